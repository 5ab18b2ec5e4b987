/* Figures of the running process that the kernel keeps, for /metrics. */
#ifndef GODWIT_COMMON_PROCESS_H
#define GODWIT_COMMON_PROCESS_H

#include <stdint.h>

struct process_figures {
	double cpu_seconds;      /* user and system time used so far, all threads */
	uint64_t resident_bytes; /* memory in RAM */
	uint64_t open_fds;
	double start_time; /* seconds since the Unix epoch */
};

/* Reads all of them from /proc. What cannot be read is 0. Any thread; not for hot paths. */
void process_read_figures(struct process_figures *out);

#endif
