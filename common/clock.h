/* Time that never jumps: CLOCK_MONOTONIC in the units the programs count in. */
#ifndef GODWIT_COMMON_CLOCK_H
#define GODWIT_COMMON_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define CLOCK_NS_PER_MS 1000000

static inline int64_t clock_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t clock_now_ms(void)
{
	return clock_now_ns() / CLOCK_NS_PER_MS;
}

/* So many milliseconds, 0 or more, for a timer of libevent. */
static inline struct timeval clock_timeval(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* The same, or a time of clock_now_ms, for the system's own waits. */
static inline struct timespec clock_timespec(int64_t ms)
{
	return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * CLOCK_NS_PER_MS};
}

#endif
