/*
 * How long to wait before the next try of something that failed: doubling from `min_ms` to
 * `max_ms`, with up to a quarter taken off at random so that replicas do not come back in step.
 */
#ifndef GODWIT_COMMON_BACKOFF_H
#define GODWIT_COMMON_BACKOFF_H

#include <stdint.h>

struct backoff {
	int32_t min_ms;
	int32_t max_ms;
	int32_t next_ms; /* 0: the next wait is min_ms */
};

/* The wait before the next try, in milliseconds; each call lengthens the one after it. */
int32_t backoff_next(struct backoff *backoff);

/* After a success: the next failure waits `min_ms` again. */
static inline void backoff_reset(struct backoff *backoff)
{
	backoff->next_ms = 0;
}

#endif
