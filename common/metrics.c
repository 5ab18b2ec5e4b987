/*
 * Shards and their sum.
 *
 * A set lays its metrics out once: a counter takes one 64-bit value, a histogram one for each
 * bucket, one for the rest (+Inf) and one for the sum. Every shard is such an array, aligned to
 * cache lines so that two threads never share one, and hangs in a list that only grows; the list
 * and the collectors are guarded by a mutex that counting never takes.
 */
#include "common/metrics.h"

#include "common/process.h"

#include <event2/buffer.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_CACHE_LINE 64

/* Upper bounds of a histogram's buckets, and how they stand in the text. */
static const struct {
	uint64_t nanoseconds;
	const char *text; /* seconds */
} metrics_buckets[] = {
	{25000, "2.5e-05"},  {50000, "5e-05"},    {100000, "0.0001"},  {250000, "0.00025"},
	{500000, "0.0005"},  {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},
	{10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},
	{250000000, "0.25"}, {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"},
	{5000000000, "5"},   {10000000000, "10"},
};
#define METRICS_BUCKETS (sizeof(metrics_buckets) / sizeof(metrics_buckets[0]))
#define METRICS_HISTOGRAM_REST METRICS_BUCKETS      /* index of +Inf */
#define METRICS_HISTOGRAM_SUM (METRICS_BUCKETS + 1) /* index of the sum, in nanoseconds */
#define METRICS_HISTOGRAM_SLOTS (METRICS_BUCKETS + 2)

struct metrics_shard_entry {
	struct metrics_shard shard;
	struct metrics_shard_entry *next;
};

struct metrics_collector {
	void (*collect)(void *ctx, struct evbuffer *out);
	void *ctx;
	struct metrics_collector *next;
};

struct metrics {
	const struct metric_def *defs;
	size_t count;
	uint16_t *slot;      /* metric id -> first index into a shard's values */
	size_t values_count; /* of one shard */

	pthread_mutex_t lock; /* guards what follows */
	struct metrics_shard_entry *shards;
	struct metrics_collector *collectors; /* in the order they came */
};

/* Memory for start-up structures: without it there is no program to run. */
static void *metrics_allocate(size_t size)
{
	size_t rounded = (size + METRICS_CACHE_LINE - 1) / METRICS_CACHE_LINE * METRICS_CACHE_LINE;
	void *memory = aligned_alloc(METRICS_CACHE_LINE, rounded ? rounded : METRICS_CACHE_LINE);
	if (!memory)
		abort();
	return memset(memory, 0, rounded);
}

struct metrics *metrics_create(const struct metric_def *defs, size_t count)
{
	struct metrics *metrics = metrics_allocate(sizeof(*metrics));

	metrics->defs = defs;
	metrics->count = count;
	metrics->slot = metrics_allocate(count * sizeof(*metrics->slot));
	for (size_t i = 0; i < count; i++) {
		metrics->slot[i] = (uint16_t)metrics->values_count;
		metrics->values_count +=
			defs[i].kind == METRIC_HISTOGRAM ? METRICS_HISTOGRAM_SLOTS : 1;
	}
	pthread_mutex_init(&metrics->lock, NULL);
	return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
	if (!metrics)
		return;
	while (metrics->shards) {
		struct metrics_shard_entry *entry = metrics->shards;
		metrics->shards = entry->next;
		free(entry->shard.values);
		free(entry);
	}
	while (metrics->collectors) {
		struct metrics_collector *collector = metrics->collectors;
		metrics->collectors = collector->next;
		free(collector);
	}
	pthread_mutex_destroy(&metrics->lock);
	free(metrics->slot);
	free(metrics);
}

struct metrics_shard *metrics_shard_create(struct metrics *metrics)
{
	struct metrics_shard_entry *entry = metrics_allocate(sizeof(*entry));

	entry->shard.slot = metrics->slot;
	entry->shard.values =
		metrics_allocate(metrics->values_count * sizeof(*entry->shard.values));
	pthread_mutex_lock(&metrics->lock);
	entry->next = metrics->shards;
	metrics->shards = entry;
	pthread_mutex_unlock(&metrics->lock);
	return &entry->shard;
}

void metrics_observe(struct metrics_shard *shard, unsigned int id, uint64_t nanoseconds)
{
	metrics_observe_many(shard, id, nanoseconds, 1);
}

void metrics_observe_many(struct metrics_shard *shard, unsigned int id, uint64_t nanoseconds,
			  uint64_t n)
{
	_Atomic uint64_t *values = &shard->values[shard->slot[id]];
	_Atomic uint64_t *sum = &values[METRICS_HISTOGRAM_SUM];
	size_t bucket = 0;

	while (bucket < METRICS_BUCKETS && nanoseconds > metrics_buckets[bucket].nanoseconds)
		bucket++;
	atomic_store_explicit(&values[bucket],
			      atomic_load_explicit(&values[bucket], memory_order_relaxed) + n,
			      memory_order_relaxed);
	atomic_store_explicit(sum,
			      atomic_load_explicit(sum, memory_order_relaxed) + n * nanoseconds,
			      memory_order_relaxed);
}

/* The sum over all shards of the value at `index`. The lock is held. */
static uint64_t metrics_sum(const struct metrics *metrics, size_t index)
{
	uint64_t sum = 0;
	for (const struct metrics_shard_entry *entry = metrics->shards; entry; entry = entry->next)
		sum += atomic_load_explicit(&entry->shard.values[index], memory_order_relaxed);
	return sum;
}

uint64_t metrics_read(struct metrics *metrics, unsigned int id)
{
	pthread_mutex_lock(&metrics->lock);
	uint64_t sum = metrics_sum(metrics, metrics->slot[id]);
	pthread_mutex_unlock(&metrics->lock);
	return sum;
}

void metrics_add_collector(struct metrics *metrics,
			   void (*collect)(void *ctx, struct evbuffer *out), void *ctx)
{
	struct metrics_collector *collector = metrics_allocate(sizeof(*collector));
	struct metrics_collector **end = &metrics->collectors;

	collector->collect = collect;
	collector->ctx = ctx;
	pthread_mutex_lock(&metrics->lock);
	while (*end)
		end = &(*end)->next;
	*end = collector;
	pthread_mutex_unlock(&metrics->lock);
}

static void metrics_print_header(struct evbuffer *out, const char *name, const char *help,
				 const char *type)
{
	evbuffer_add_printf(out, "# HELP %s ", name);
	for (const char *p = help; *p; p++) {
		if (*p == '\\' || *p == '\n')
			evbuffer_add(out, *p == '\n' ? "\\n" : "\\\\", 2);
		else
			evbuffer_add(out, p, 1);
	}
	evbuffer_add_printf(out, "\n# TYPE %s %s\n", name, type);
}

void metrics_print_gauge(struct evbuffer *out, const char *name, const char *help, double value)
{
	metrics_print_header(out, name, help, "gauge");
	if (isnan(value))
		evbuffer_add_printf(out, "%s NaN\n", name);
	else if (isinf(value))
		evbuffer_add_printf(out, "%s %cInf\n", name, value > 0 ? '+' : '-');
	else
		evbuffer_add_printf(out, "%s %.15g\n", name, value);
}

void metrics_print_label(struct evbuffer *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			evbuffer_add(out, "\\n", 2);
		else if (*text == '"' || *text == '\\')
			evbuffer_add_printf(out, "\\%c", *text);
		else
			evbuffer_add(out, text, 1);
	}
}

static void metrics_print_counter(const struct metrics *metrics, size_t id, struct evbuffer *out)
{
	const struct metric_def *def = &metrics->defs[id];
	unsigned long long value = metrics_sum(metrics, metrics->slot[id]);

	if (def->labels)
		evbuffer_add_printf(out, "%s{%s} %llu\n", def->name, def->labels, value);
	else
		evbuffer_add_printf(out, "%s %llu\n", def->name, value);
}

static void metrics_print_histogram(const struct metrics *metrics, size_t id, struct evbuffer *out)
{
	const struct metric_def *def = &metrics->defs[id];
	const char *labels = def->labels ? def->labels : "";
	const char *comma = def->labels ? "," : "";
	char braces[256] = "";
	size_t first = metrics->slot[id];
	unsigned long long count = 0;

	if (def->labels)
		snprintf(braces, sizeof(braces), "{%s}", def->labels);
	for (size_t i = 0; i < METRICS_BUCKETS; i++) {
		count += metrics_sum(metrics, first + i);
		evbuffer_add_printf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", def->name, labels,
				    comma, metrics_buckets[i].text, count);
	}
	count += metrics_sum(metrics, first + METRICS_HISTOGRAM_REST);
	evbuffer_add_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", def->name, labels, comma,
			    count);
	evbuffer_add_printf(out, "%s_sum%s %.9f\n", def->name, braces,
			    (double)metrics_sum(metrics, first + METRICS_HISTOGRAM_SUM) / 1e9);
	evbuffer_add_printf(out, "%s_count%s %llu\n", def->name, braces, count);
}

static void metrics_print_process(struct evbuffer *out)
{
	struct process_figures figures;

	process_read_figures(&figures);
	metrics_print_header(out, "process_cpu_seconds_total",
			     "User and system CPU time spent in seconds.", "counter");
	evbuffer_add_printf(out, "process_cpu_seconds_total %.6f\n", figures.cpu_seconds);
	metrics_print_gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.",
			    (double)figures.resident_bytes);
	metrics_print_gauge(out, "process_open_fds", "Number of open file descriptors.",
			    (double)figures.open_fds);
	metrics_print_gauge(out, "process_start_time_seconds",
			    "Start time of the process since the Unix epoch in seconds.",
			    figures.start_time);
	metrics_print_header(out, "godwit_build_info", "The program's version, as a label.",
			     "gauge");
	evbuffer_add_printf(out, "godwit_build_info{version=\"" GODWIT_VERSION "\"} 1\n");
}

void metrics_print(struct metrics *metrics, struct evbuffer *out)
{
	const char *name = "";

	pthread_mutex_lock(&metrics->lock);
	for (size_t i = 0; i < metrics->count; i++) {
		const struct metric_def *def = &metrics->defs[i];
		bool histogram = def->kind == METRIC_HISTOGRAM;
		if (strcmp(name, def->name) != 0)
			metrics_print_header(out, def->name, def->help,
					     histogram ? "histogram" : "counter");
		name = def->name;
		if (histogram)
			metrics_print_histogram(metrics, i, out);
		else
			metrics_print_counter(metrics, i, out);
	}
	const struct metrics_collector *collector = metrics->collectors;
	pthread_mutex_unlock(&metrics->lock);

	/* Outside the lock, so that a collector may read metrics. Entries never go or change; one
	   that is added meanwhile is seen or not. */
	for (; collector; collector = collector->next)
		collector->collect(collector->ctx, out);
	metrics_print_process(out);
}
