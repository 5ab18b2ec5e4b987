#include "bench/histogram.h"

#include <string.h>

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

/* Values below 32 have a bucket each; others share one with all of the same six leading bits. */
static unsigned int bucket_of(uint64_t value)
{
	if (value < SUB_COUNT)
		return (unsigned int)value;
	unsigned int shift = 63u - (unsigned int)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (shift << HISTOGRAM_SUB_BITS) + (unsigned int)(value >> shift);
}

/* The largest value of a bucket. */
static int64_t bucket_end(unsigned int bucket)
{
	if (bucket < 2 * SUB_COUNT)
		return bucket;
	unsigned int shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	uint64_t leading = bucket - (shift << HISTOGRAM_SUB_BITS);
	return (int64_t)(((leading + 1) << shift) - 1);
}

void histogram_add(struct histogram *histogram, int64_t ns)
{
	if (ns < 0)
		ns = 0;
	histogram->counts[bucket_of((uint64_t)ns)]++;
	histogram->total++;
	if (ns > histogram->max)
		histogram->max = ns;
}

int64_t histogram_percentile(const struct histogram *histogram, double share)
{
	double wanted = share * (double)histogram->total;
	uint64_t seen = 0;

	if (histogram->total == 0)
		return 0;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen > 0 && (double)seen >= wanted)
			return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
	}
	return histogram->max;
}
