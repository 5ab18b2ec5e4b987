#include "ctl/figures.h"

#include "ctl/text.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_WIDTH 20

enum figure_kind {
	FIGURE_COUNT,
	FIGURE_TROUBLE, /* a count that is shown only when it is not 0 */
	FIGURE_SECONDS,
	FIGURE_BYTES,
	FIGURE_STATE,  /* 1 is up */
	FIGURE_PEERS,  /* one sample for each, 1 is up; those that are down are named */
	FIGURE_OLDEST, /* seconds, one sample for each; the largest, and whose it is */
};

/* A metric and what it is called; the values of samples with different labels are added up. */
struct figure {
	const char *metric;
	const char *label;
	enum figure_kind kind;
};

static const struct figure figures[] = {
	{"godwit_backend_store_up", "store", FIGURE_STATE},
	{"godwit_backend_data_age_seconds", "data age", FIGURE_SECONDS},
	{"godwit_backend_last_change_age_seconds", "last change", FIGURE_SECONDS},
	{"godwit_backend_zones", "zones", FIGURE_COUNT},
	{"godwit_backend_names", "names", FIGURE_COUNT},
	{"godwit_backend_records", "records", FIGURE_COUNT},
	{"godwit_backend_mirror_bytes", "memory for them", FIGURE_BYTES},
	{"godwit_backend_queries_total", "queries", FIGURE_COUNT},
	{"godwit_backend_zones_without_soa", "zones without SOA", FIGURE_TROUBLE},
	{"godwit_backend_records_rejected_total", "records left out", FIGURE_TROUBLE},
	{"godwit_backend_store_outages_total", "store outages", FIGURE_TROUBLE},
	{"godwit_backend_store_guarded_total", "loads held back", FIGURE_TROUBLE},
	{"godwit_backend_threads_hung", "threads that hang", FIGURE_TROUBLE},
	{"godwit_frontend_backend_up", "backends", FIGURE_PEERS},
	{"godwit_frontend_backend_store_up", "their stores", FIGURE_PEERS},
	{"godwit_frontend_backend_data_age_seconds", "oldest data", FIGURE_OLDEST},
	{"godwit_frontend_queries_total", "queries", FIGURE_COUNT},
	{"godwit_frontend_unanswered_total", "unanswered", FIGURE_TROUBLE},
	{"godwit_frontend_drops_total", "dropped", FIGURE_TROUBLE},
	{"godwit_frontend_retries_total", "retries", FIGURE_TROUBLE},
	{"godwit_frontend_threads_hung", "threads that hang", FIGURE_TROUBLE},
	{"godwit_announcer_service_probe_up", "probes", FIGURE_PEERS},
	{"godwit_announcer_service_announced", "services", FIGURE_PEERS},
	{"godwit_announcer_service_drained", "drained", FIGURE_TROUBLE},
	{"godwit_announcer_peer_up", "routers", FIGURE_PEERS},
	{"godwit_announcer_bfd_up", "BFD", FIGURE_PEERS},
	{"godwit_announcer_service_downs_total", "failures", FIGURE_TROUBLE},
	{"godwit_announcer_bgp_lost_total", "sessions lost", FIGURE_TROUBLE},
	{"godwit_announcer_netlink_errors_total", "address errors", FIGURE_TROUBLE},
	{"godwit_announcer_threads_hung", "threads that hang", FIGURE_TROUBLE},
};

#define FIGURES (sizeof(figures) / sizeof(figures[0]))

/* All samples of one metric. */
struct sum {
	double value;
	unsigned int samples;
	struct evbuffer *down; /* the peers that are, ", " between; NULL: none yet */
	double oldest;         /* the largest value, and whose it is */
	char oldest_of[128];
};

/* Notes the value of a sample's only label, NAME{label="VALUE"}, as a peer that is down. */
static void sum_note_down(struct sum *sum, const char *line)
{
	const char *begin = strchr(line, '"');
	const char *end = begin ? strchr(begin + 1, '"') : NULL;
	if (!end)
		return;
	if (!sum->down)
		sum->down = evbuffer_new();
	else
		evbuffer_add(sum->down, ", ", 2);
	if (sum->down)
		evbuffer_add(sum->down, begin + 1, (size_t)(end - begin - 1));
}

/* Keeps a sample's value and the value of its only label if it is the oldest yet. */
static void sum_note_oldest(struct sum *sum, const char *line, double value)
{
	const char *begin = strchr(line, '"');
	const char *end = begin ? strchr(begin + 1, '"') : NULL;
	if (!end || (sum->samples > 1 && value <= sum->oldest))
		return;
	sum->oldest = value;
	snprintf(sum->oldest_of, sizeof(sum->oldest_of), "%.*s", (int)(end - begin - 1), begin + 1);
}

/* Adds one line of Prometheus text, `name{labels} value`. */
static void sums_add(struct sum *sums, const char *line)
{
	size_t length = strcspn(line, "{ ");
	const char *value = strrchr(line, ' ');
	for (size_t i = 0; value && i < FIGURES; i++) {
		if (strlen(figures[i].metric) != length ||
		    strncmp(figures[i].metric, line, length) != 0)
			continue;
		double number = strtod(value, NULL);
		sums[i].value += number;
		sums[i].samples++;
		if (figures[i].kind == FIGURE_PEERS && number == 0)
			sum_note_down(&sums[i], line);
		if (figures[i].kind == FIGURE_OLDEST)
			sum_note_oldest(&sums[i], line, number);
	}
}

/* "3.2 s" up to "4 d 11 h". */
static void format_seconds(double seconds, char *out, size_t size)
{
	unsigned long whole = seconds > 0 ? (unsigned long)seconds : 0;
	if (seconds < 60)
		snprintf(out, size, "%.1f s", seconds);
	else if (seconds < 3600)
		snprintf(out, size, "%lu min %lu s", whole / 60, whole % 60);
	else if (seconds < 86400)
		snprintf(out, size, "%lu h %lu min", whole / 3600, whole / 60 % 60);
	else
		snprintf(out, size, "%lu d %lu h", whole / 86400, whole / 3600 % 24);
}

static void print_figure(const struct figure *figure, struct sum *sum)
{
	char text[64];
	switch (figure->kind) {
	case FIGURE_TROUBLE:
		if (sum->value == 0)
			return;
		/* fall through */
	case FIGURE_COUNT:
		snprintf(text, sizeof(text), "%.0f", sum->value);
		break;
	case FIGURE_SECONDS:
		format_seconds(sum->value, text, sizeof(text));
		break;
	case FIGURE_OLDEST:
		format_seconds(sum->oldest, text, sizeof(text));
		break;
	case FIGURE_BYTES:
		snprintf(text, sizeof(text), "%.1f MiB", sum->value / (1024 * 1024));
		break;
	case FIGURE_STATE:
		snprintf(text, sizeof(text), "%s", sum->value > 0 ? "up" : "down");
		break;
	case FIGURE_PEERS:
		snprintf(text, sizeof(text), "%.0f of %u up", sum->value, sum->samples);
		break;
	}
	printf("    %-*s %s", LABEL_WIDTH, figure->label, text);
	if (sum->down)
		printf("; down: %.*s", (int)evbuffer_get_length(sum->down),
		       (const char *)evbuffer_pullup(sum->down, -1));
	if (figure->kind == FIGURE_OLDEST && sum->samples > 1)
		printf(" at %s", sum->oldest_of);
	putchar('\n');
}

void figures_print(struct evbuffer *metrics)
{
	struct sum sums[FIGURES] = {{0}};
	char *line;
	while ((line = evbuffer_readln(metrics, NULL, EVBUFFER_EOL_LF))) {
		text_tame(line);
		sums_add(sums, line);
		free(line);
	}
	for (size_t i = 0; i < FIGURES; i++) {
		if (sums[i].samples > 0)
			print_figure(&figures[i], &sums[i]);
		if (sums[i].down)
			evbuffer_free(sums[i].down);
	}
}
