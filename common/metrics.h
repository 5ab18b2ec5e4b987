/*
 * Counters, gauges and histograms in Prometheus' text format, counted without locks.
 *
 * A program describes its metrics once, in a table indexed by an enum of its own. Each thread that
 * counts has a shard, an array of 64-bit numbers that only it writes; a scrape adds the shards up.
 * Counting is a relaxed load and store on a cache line of the thread's own. What is not a count of
 * events (a size, an age, a state per backend) is a collector: a function that is asked at scrape
 * time and prints its lines.
 */
#ifndef GODWIT_COMMON_METRICS_H
#define GODWIT_COMMON_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct metrics;

enum metric_kind {
	METRIC_COUNTER,
	METRIC_HISTOGRAM, /* observes seconds, in buckets from 25 microseconds to 10 seconds */
};

struct metric_def {
	/* The whole name with unit, "godwit_frontend_queries_total". Entries of one name with
	   different labels stand together in the table. */
	const char *name;
	const char *labels; /* `protocol="udp"`, or NULL */
	const char *help;
	enum metric_kind kind;
};

/* One thread's numbers. Only the thread that owns it may add. */
struct metrics_shard {
	const uint16_t *slot; /* metric id -> first index into values */
	_Atomic uint64_t *values;
};

/*
 * Makes a set from `count` definitions, which must outlive it. Never fails but for memory, which
 * ends the process.
 */
struct metrics *metrics_create(const struct metric_def *defs, size_t count);
void metrics_destroy(struct metrics *metrics);

/*
 * A new shard, owned by the set and kept until its end: its counts outlive the thread. Any thread.
 */
struct metrics_shard *metrics_shard_create(struct metrics *metrics);

/* Adds to a counter of the calling thread's shard. Hot path. */
static inline void metrics_add(struct metrics_shard *shard, unsigned int id, uint64_t n)
{
	_Atomic uint64_t *value = &shard->values[shard->slot[id]];
	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* Counts one observation of `nanoseconds` in a histogram of the thread's shard. Hot path. */
void metrics_observe(struct metrics_shard *shard, unsigned int id, uint64_t nanoseconds);

/* The same for `n` observations of `nanoseconds` each: a batch that was timed as a whole. */
void metrics_observe_many(struct metrics_shard *shard, unsigned int id, uint64_t nanoseconds,
			  uint64_t n);

/* The sum of a counter over all shards. Any thread. */
uint64_t metrics_read(struct metrics *metrics, unsigned int id);

/*
 * Registers a function that appends complete text-format lines (HELP and TYPE included) at scrape
 * time. It runs on the admin thread: what it reads must be safe to read from there.
 */
void metrics_add_collector(struct metrics *metrics,
			   void (*collect)(void *ctx, struct evbuffer *out), void *ctx);

/* Appends HELP, TYPE and one sample of a metric without labels: a helper for collectors. */
void metrics_print_gauge(struct evbuffer *out, const char *name, const char *help, double value);

/* Appends a text as the inside of a label value. */
void metrics_print_label(struct evbuffer *out, const char *text);

/* Appends every metric, then what the collectors add, process metrics included. Any thread. */
void metrics_print(struct metrics *metrics, struct evbuffer *out);

#endif
