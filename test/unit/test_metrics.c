/* Prometheus' text format, line for line. */
#include "common/metrics.h"
#include "suite.h"

#include <event2/buffer.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { METRIC_UDP, METRIC_TCP, METRIC_TIME, METRIC_PLAIN };

static const struct metric_def defs[] = {
	[METRIC_UDP] = {"test_queries_total", "protocol=\"udp\"", "Queries.", METRIC_COUNTER},
	[METRIC_TCP] = {"test_queries_total", "protocol=\"tcp\"", "Queries.", METRIC_COUNTER},
	[METRIC_TIME] = {"test_time_seconds", "half=\"front\"", "Time.", METRIC_HISTOGRAM},
	[METRIC_PLAIN] = {"test_plain_total", NULL, "A \\ and\na line.", METRIC_COUNTER},
};

/* Prints the set into a string for the caller to free. */
static char *print(struct metrics *metrics)
{
	struct evbuffer *out = evbuffer_new();

	metrics_print(metrics, out);
	size_t size = evbuffer_get_length(out);
	char *text = malloc(size + 1);
	if (!text)
		abort();
	evbuffer_remove(out, text, size);
	text[size] = '\0';
	evbuffer_free(out);
	return text;
}

/* How often a line that begins with `prefix` stands in the text. */
static int count_lines(const char *text, const char *prefix)
{
	int count = 0;

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		count += strncmp(line, prefix, strlen(prefix)) == 0;
	}
	return count;
}

static void test_one_header_for_all_labels(void)
{
	struct metrics *metrics = metrics_create(defs, 4);
	struct metrics_shard *shard = metrics_shard_create(metrics);

	metrics_add(shard, METRIC_UDP, 3);
	metrics_add(shard, METRIC_TCP, 1);
	char *text = print(metrics);
	CU_ASSERT_PTR_EQUAL(strstr(text, "# HELP test_queries_total Queries.\n"
					 "# TYPE test_queries_total counter\n"
					 "test_queries_total{protocol=\"udp\"} 3\n"
					 "test_queries_total{protocol=\"tcp\"} 1\n"
					 "# HELP test_time_seconds Time.\n"
					 "# TYPE test_time_seconds histogram\n"),
			    text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "# HELP test_plain_total A \\\\ and\\na line.\n"
					    "# TYPE test_plain_total counter\n"
					    "test_plain_total 0\n"));
	free(text);
	metrics_destroy(metrics);
}

static void test_buckets_add_up(void)
{
	struct metrics *metrics = metrics_create(defs, 4);
	struct metrics_shard *shard = metrics_shard_create(metrics);

	metrics_observe(shard, METRIC_TIME, 25000);       /* 25 us, the first bound itself */
	metrics_observe(shard, METRIC_TIME, 25001);       /* just over it */
	metrics_observe(shard, METRIC_TIME, 20000000000); /* 20 s, over the last */
	char *text = print(metrics);
	CU_ASSERT_PTR_NOT_NULL(strstr(text,
				      "test_time_seconds_bucket{half=\"front\",le=\"2.5e-05\"} 1\n"
				      "test_time_seconds_bucket{half=\"front\",le=\"5e-05\"} 2\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text,
				      "test_time_seconds_bucket{half=\"front\",le=\"10\"} 2\n"
				      "test_time_seconds_bucket{half=\"front\",le=\"+Inf\"} 3\n"
				      "test_time_seconds_sum{half=\"front\"} 20.000050001\n"
				      "test_time_seconds_count{half=\"front\"} 3\n"));
	CU_ASSERT_EQUAL(count_lines(text, "test_time_seconds_bucket"), 19);
	free(text);
	metrics_destroy(metrics);
}

#define THREADS 4
#define EVENTS 100000

static void *count_events(void *arg)
{
	struct metrics_shard *shard = metrics_shard_create(arg);

	for (int i = 0; i < EVENTS; i++)
		metrics_add(shard, METRIC_UDP, 1);
	return NULL;
}

static void test_shards_of_ended_threads_still_count(void)
{
	struct metrics *metrics = metrics_create(defs, 4);
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, count_events, metrics), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(metrics_read(metrics, METRIC_UDP), THREADS * EVENTS);
	CU_ASSERT_EQUAL(metrics_read(metrics, METRIC_TCP), 0);
	metrics_destroy(metrics);
}

static void collect(void *ctx, struct evbuffer *out)
{
	metrics_print_gauge(out, ctx, "A state.", 1234567890.25);
}

static void test_collectors_are_asked_in_order(void)
{
	struct metrics *metrics = metrics_create(defs, 4);
	char first[] = "test_first", second[] = "test_second";

	metrics_add_collector(metrics, collect, first);
	metrics_add_collector(metrics, collect, second);
	char *text = print(metrics);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "# HELP test_first A state.\n"
					    "# TYPE test_first gauge\n"
					    "test_first 1234567890.25\n"
					    "# HELP test_second A state.\n"));
	free(text);
	metrics_destroy(metrics);
}

static void assert_gauge(double value, const char *expected)
{
	struct evbuffer *out = evbuffer_new();
	char text[256] = "";

	metrics_print_gauge(out, "test", "Help.", value);
	evbuffer_remove(out, text, sizeof(text) - 1);
	const char *sample = strstr(text, "gauge\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(sample);
	CU_ASSERT_STRING_EQUAL(sample + 6, expected);
	evbuffer_free(out);
}

static void test_gauges_are_numbers_prometheus_reads(void)
{
	assert_gauge(0, "test 0\n");
	assert_gauge(0.25, "test 0.25\n");
	assert_gauge(-17, "test -17\n");
	assert_gauge(123456789012345.0, "test 123456789012345\n");
	assert_gauge((double)NAN, "test NaN\n");
	assert_gauge((double)INFINITY, "test +Inf\n");
	assert_gauge(-(double)INFINITY, "test -Inf\n");
}

static double sample(const char *text, const char *name)
{
	char line[128];

	snprintf(line, sizeof(line), "\n%s ", name);
	const char *found = strstr(text, line);
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	return atof(found + strlen(line));
}

static void test_the_process_shows_itself(void)
{
	struct metrics *metrics = metrics_create(NULL, 0);
	char *text = print(metrics);

	CU_ASSERT(sample(text, "process_resident_memory_bytes") > 100000);
	CU_ASSERT(sample(text, "process_cpu_seconds_total") > 0);
	CU_ASSERT(sample(text, "process_open_fds") >= 3);
	CU_ASSERT(sample(text, "process_open_fds") < 100);
	CU_ASSERT(fabs(sample(text, "process_start_time_seconds") - (double)time(NULL)) < 600);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "\ngodwit_build_info{version=\"" GODWIT_VERSION "\"} 1\n"));
	CU_ASSERT_EQUAL(count_lines(text, "# HELP "), count_lines(text, "# TYPE "));
	free(text);
	metrics_destroy(metrics);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"one header for all labels", test_one_header_for_all_labels},
		{"buckets add up", test_buckets_add_up},
		{"shards of ended threads still count", test_shards_of_ended_threads_still_count},
		{"collectors are asked in order", test_collectors_are_asked_in_order},
		{"gauges are numbers Prometheus reads", test_gauges_are_numbers_prometheus_reads},
		{"the process shows itself", test_the_process_shows_itself},
	};
	return SUITE_RUN("metrics", tests);
}
