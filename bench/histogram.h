/*
 * A histogram of durations in nanoseconds, exact to 3 percent over the whole range: 32 buckets for
 * each power of two. Adding is a few instructions and allocates nothing. One thread.
 */
#ifndef GODWIT_BENCH_HISTOGRAM_H
#define GODWIT_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t total;
	int64_t max;
};

/* A negative duration counts as 0. */
void histogram_add(struct histogram *histogram, int64_t ns);
/* The duration that `share` (0 to 1) of all are not above; 0 of none. */
int64_t histogram_percentile(const struct histogram *histogram, double share);

#endif
