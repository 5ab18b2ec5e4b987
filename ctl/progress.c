#include "ctl/progress.h"

#include "common/clock.h"

#include <stdio.h>
#include <unistd.h>

#define DRAW_EVERY_MS 100
#define BAR_WIDTH 30

void progress_init(struct progress *progress)
{
	*progress = (struct progress){.shown = isatty(STDERR_FILENO)};
}

/* The bar itself, or nothing when nobody knows the total. */
static void progress_format_bar(uint64_t done, uint64_t total, char *out, size_t size)
{
	char bar[BAR_WIDTH + 1];
	double part = total ? (double)done / (double)total : 0;
	if (part > 1)
		part = 1;
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < part * BAR_WIDTH ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	*out = '\0';
	if (total)
		snprintf(out, size, " [%s] %3.0f %%", bar, part * 100);
}

static void progress_draw(struct progress *progress, uint64_t done, uint64_t total,
			  uint64_t records, int64_t now)
{
	char bar[BAR_WIDTH + 16];
	double seconds = (double)(now - progress->begin_ms) / 1000;
	double rate = seconds > 0 ? (double)(records - progress->first_records) / seconds : 0;

	progress_format_bar(done, total, bar, sizeof(bar));
	/* \033[K: what the line before had more of goes. */
	fprintf(stderr, "\r%s%s  %llu records  %.0f records/s\033[K", progress->phase, bar,
		(unsigned long long)records, rate);
	fflush(stderr);
	progress->drawn = true;
}

void progress_update(struct progress *progress, const char *phase, uint64_t done, uint64_t total,
		     uint64_t records)
{
	if (!progress->shown)
		return;
	int64_t now = clock_now_ms();
	if (progress->phase != phase) {
		progress->phase = phase;
		progress->begin_ms = now;
		progress->first_records = records;
	}
	if (now < progress->next_ms)
		return;
	progress->next_ms = now + DRAW_EVERY_MS;
	progress_draw(progress, done, total, records, now);
}

void progress_say(struct progress *progress, const char *text)
{
	if (!progress->shown)
		return;
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
	progress->drawn = true;
}

void progress_clear(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = false;
}
