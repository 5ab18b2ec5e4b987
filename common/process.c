/* /proc/self, read anew at each call: a scrape every few seconds needs no caching. */
#include "common/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t process_read_resident(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t process_count_fds(void)
{
	uint64_t count = 0;
	DIR *dir = opendir("/proc/self/fd");

	if (!dir)
		return 0;
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count > 0 ? count - 1 : 0; /* without the directory's own */
}

/* Field 22 of /proc/self/stat: clock ticks from boot to the process's start. */
static unsigned long long process_read_start_ticks(void)
{
	unsigned long long ticks = 0;
	char text[1024];
	FILE *file = fopen("/proc/self/stat", "re");

	if (!file)
		return 0;
	size_t size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[size] = '\0';
	/* Field 2 is the program's name in parentheses and may hold anything. */
	const char *rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1,
			    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
			    " %*d %*d %llu",
			    &ticks) != 1)
		return 0;
	return ticks;
}

/* The `btime` line of /proc/stat: when the system booted, seconds since the epoch. */
static unsigned long long process_read_boot_time(void)
{
	unsigned long long seconds = 0;
	char line[256];
	FILE *file = fopen("/proc/stat", "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "btime %llu", &seconds) == 1)
			break;
	}
	fclose(file);
	return seconds;
}

void process_read_figures(struct process_figures *out)
{
	struct timespec cpu = {0};

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	out->cpu_seconds = (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9;
	out->resident_bytes = process_read_resident();
	out->open_fds = process_count_fds();
	out->start_time = (double)process_read_boot_time() +
			  (double)process_read_start_ticks() / (double)sysconf(_SC_CLK_TCK);
}
