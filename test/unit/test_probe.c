/* The probe, on a loop of its own, against a server that does as it is told (fake_dns.h). */
#include "announcer/metrics.h"
#include "announcer/probe.h"
#include "common/clock.h"
#include "fake_dns.h"
#include "suite.h"

#include <dirent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define UDP ANNOUNCER_PROTOCOL_UDP
#define TCP ANNOUNCER_PROTOCOL_TCP
#define TLS ANNOUNCER_PROTOCOL_TLS

/* What sanitizers may add to a time that is measured, in ms of the machine (see on_tick). */
#define SLACK 250

#define TICK_MS 2

static const struct metric_def defs[ANNOUNCER_METRIC_COUNT] = {
#define COUNTER(id) [id] = {#id, NULL, "Test.", METRIC_COUNTER}
	COUNTER(METRIC_PROBES_GOOD_UDP),
	COUNTER(METRIC_PROBES_GOOD_TCP),
	COUNTER(METRIC_PROBES_GOOD_TLS),
	COUNTER(METRIC_PROBES_FAILED_UDP),
	COUNTER(METRIC_PROBES_FAILED_TCP),
	COUNTER(METRIC_PROBES_FAILED_TLS),
	[METRIC_PROBE_SECONDS] = {"probe_seconds", NULL, "Test.", METRIC_HISTOGRAM},
};

/* A probe with what it borrows, and its server. */
static struct fixture {
	struct event_base *base;
	struct event *tick;
	struct fake_dns *server;
	struct announcer_probe config;
	struct metrics *metrics;
	struct metrics_shard *shard;
	struct probe *probe;
	char directory[64];
	char ca[96];
	char reason[400];
	int changes;
	int64_t tick_ms;    /* when the latest tick was */
	int64_t machine_ms; /* the machine's time, see on_tick */
} f;

static void on_change(void *ctx)
{
	(void)ctx;
	f.changes++;
}

/*
 * Counts the machine's time, of which bounds are: it stands still while the loop does, for the
 * machine is busy elsewhere then. It never is more than the clock's.
 */
static void on_tick(evutil_socket_t fd, short events, void *ctx)
{
	(void)fd, (void)events, (void)ctx;
	int64_t now_ms = clock_now_ms();
	int64_t gap_ms = now_ms - f.tick_ms;
	f.machine_ms += gap_ms < 5 * TICK_MS ? gap_ms : 5 * TICK_MS;
	f.tick_ms = now_ms;
}

/* A server, and a configuration with the defaults; nothing runs yet. */
static void set_up(unsigned int protocols)
{
	const struct timeval tick = {.tv_usec = TICK_MS * 1000};
	memset(&f, 0, sizeof(f));
	f.tick_ms = clock_now_ms();
	strcpy(f.directory, "/tmp/godwit-test-probe-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f.directory));
	snprintf(f.ca, sizeof(f.ca), "%s/ca.pem", f.directory);
	f.server = fake_dns_start(protocols & TLS ? f.directory : NULL);
	f.base = event_base_new();
	f.tick = event_new(f.base, -1, EV_PERSIST, on_tick, NULL);
	event_add(f.tick, &tick);
	f.metrics = metrics_create(defs, ANNOUNCER_METRIC_COUNT);
	f.shard = metrics_shard_create(f.metrics);
	f.config = (struct announcer_probe){
		.protocols = protocols,
		.tls_port = fake_dns_tls_port(f.server),
		.name = "\6health\7example",
		.type = 1,
		.interval_ms = 200,
		.fast_interval_ms = 50,
		.timeout_ms = 500,
		.rise = 3,
		.fall = 3,
	};
	char text[64];
	snprintf(text, sizeof(text), "127.0.0.1:%hu", fake_dns_port(f.server));
	CU_ASSERT_EQUAL_FATAL(address_parse(text, &f.config.address, NULL, 0), 0);
}

static void start(void)
{
	char error[256] = "";
	f.probe = probe_create(f.base, &f.config, f.shard, on_change, NULL, error, sizeof(error));
	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f.probe);
}

static void tear_down(void)
{
	probe_destroy(f.probe);
	metrics_destroy(f.metrics);
	event_free(f.tick);
	event_base_free(f.base);
	fake_dns_stop(f.server);
	unlink(f.ca);
	rmdir(f.directory);
}

static bool is_up(void)
{
	return probe_is_up(f.probe, f.reason, sizeof(f.reason));
}

static bool is_down(void)
{
	return !is_up();
}

static bool is_refused(void)
{
	return is_down() && strstr(f.reason, "refused");
}

/* Runs the loop until the condition holds; the machine's ms until then, or -1 after `limit_ms`. */
static int run_until(bool (*condition)(void), int limit_ms)
{
	int64_t begin_ms = f.machine_ms;
	while (!condition()) {
		if (f.machine_ms - begin_ms > limit_ms)
			return -1;
		event_base_loop(f.base, EVLOOP_ONCE);
	}
	return (int)(f.machine_ms - begin_ms);
}

static void run_for(int ms)
{
	int64_t end_ms = f.machine_ms + ms;
	while (f.machine_ms < end_ms)
		event_base_loop(f.base, EVLOOP_ONCE);
}

static void start_up(void)
{
	start();
	CU_ASSERT_FATAL(run_until(is_up, 5000) >= 0);
	f.changes = 0;
}

/* Starts, has the server behave so, and waits for the cause that the probe then names. */
static void assert_cause(unsigned int protocols, enum fake_dns_manner manner, const char *cause)
{
	set_up(protocols);
	f.config.interval_ms = 80;
	f.config.fast_interval_ms = 20;
	f.config.timeout_ms = 250;
	start_up();
	fake_dns_behave(f.server, manner, 0);
	CU_ASSERT(run_until(is_down, 5000) >= 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.reason, cause));
	if (!strstr(f.reason, cause))
		fprintf(stderr, "%s instead of %s\n", f.reason, cause);
	CU_ASSERT_EQUAL(f.changes, 1);
	fake_dns_behave(f.server, FAKE_DNS_GOOD, 0);
	CU_ASSERT(run_until(is_up, 5000) >= 0);
	CU_ASSERT_EQUAL(f.changes, 2);
	tear_down();
}

/* --- up --------------------------------------------------------------------------------------- */

static void test_good_answers_bring_up(void)
{
	set_up(UDP | TCP | TLS);
	start();
	CU_ASSERT_FALSE(is_up());
	CU_ASSERT_STRING_EQUAL(f.reason, "udp: not answered yet; tcp: not answered yet; "
					 "tls: not answered yet");
	CU_ASSERT(run_until(is_up, 5000) >= 0);
	CU_ASSERT_STRING_EQUAL(f.reason, "udp, tcp and tls answer");
	CU_ASSERT_EQUAL(f.changes, 1);
	CU_ASSERT(metrics_read(f.metrics, METRIC_PROBES_GOOD_UDP) >= 3);
	CU_ASSERT(metrics_read(f.metrics, METRIC_PROBES_GOOD_TCP) >= 3);
	CU_ASSERT(metrics_read(f.metrics, METRIC_PROBES_GOOD_TLS) >= 3);
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_UDP), 0);
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_TCP), 0);
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_TLS), 0);
	tear_down();
}

static void test_reset_begins_anew(void)
{
	set_up(UDP | TCP);
	start_up();
	probe_reset(f.probe);
	CU_ASSERT_TRUE(is_down());
	CU_ASSERT_STRING_EQUAL(f.reason, "udp: not answered yet; tcp: not answered yet");
	CU_ASSERT_EQUAL(f.changes, 0);
	int64_t begin_ms = clock_now_ms();
	CU_ASSERT(run_until(is_up, 5000) >= 0);
	CU_ASSERT(clock_now_ms() - begin_ms >= 50); /* `rise` good answers, not one */
	CU_ASSERT_EQUAL(f.changes, 1);
	tear_down();
}

/* --- down ------------------------------------------------------------------------------------- */

static unsigned int queries_before;

static bool has_asked(void)
{
	return fake_dns_queries(f.server) > queries_before;
}

/* Until a question has reached the server: the next one is an interval away. */
static void run_until_asked(void)
{
	queries_before = fake_dns_queries(f.server);
	CU_ASSERT(run_until(has_asked, 5000) >= 0);
}

static void test_silence_counts_within_interval_and_timeout(void)
{
	set_up(UDP);
	/* Five timeouts, a fast interval apart, would take 400 ms longer. */
	f.config.fall = 5;
	f.config.fast_interval_ms = 100;
	start_up();
	run_until_asked();
	run_until_asked();
	fake_dns_behave(f.server, FAKE_DNS_SILENT, 0);
	int64_t begin_ms = clock_now_ms();
	int took = run_until(is_down, 5000);
	CU_ASSERT(clock_now_ms() - begin_ms >= 500 - 10);
	CU_ASSERT(took >= 0 && took <= 200 + 500 + SLACK);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.reason, "udp: no answer within 500 ms ("));
	tear_down();
}

static void test_slow_answers_are_answers(void)
{
	set_up(UDP | TCP);
	f.config.timeout_ms = 1500;
	start_up();
	fake_dns_behave(f.server, FAKE_DNS_GOOD, 350);
	run_for(1500);
	CU_ASSERT_TRUE(is_up());
	CU_ASSERT_EQUAL(f.changes, 0);
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_UDP), 0);
	tear_down();
}

static bool two_have_failed(void)
{
	return metrics_read(f.metrics, METRIC_PROBES_FAILED_UDP) >= 2;
}

static void test_a_pause_shorter_than_the_timeout_is_none(void)
{
	set_up(UDP);
	f.config.interval_ms = 300;
	f.config.timeout_ms = 1000;
	start_up();
	fake_dns_behave(f.server, FAKE_DNS_SILENT, 0);
	run_until_asked();
	run_until_asked();
	fake_dns_behave(f.server, FAKE_DNS_GOOD, 0);
	CU_ASSERT(run_until(two_have_failed, 5000) >= 0);
	run_for(400); /* and no others */
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_UDP), 2);
	CU_ASSERT_TRUE(is_up());
	CU_ASSERT_EQUAL(f.changes, 0);
	tear_down();
}

static void test_a_closed_port_counts_at_once(void)
{
	static const unsigned int protocols[] = {UDP, TCP};
	for (int i = 0; i < 2; i++) {
		set_up(protocols[i]);
		start_up();
		fake_dns_close_ports(f.server, true);
		int took = run_until(is_down, 5000);
		CU_ASSERT(took >= 0 && took <= 200 + 2 * 50 + SLACK);
		CU_ASSERT_PTR_NOT_NULL(strstr(f.reason, "Connection refused"));
		fake_dns_close_ports(f.server, false);
		CU_ASSERT(run_until(is_up, 5000) >= 0);
		tear_down();
	}
}

static void test_bad_answers_are_named(void)
{
	assert_cause(UDP, FAKE_DNS_SERVFAIL, "udp: SERVFAIL instead of NOERROR (");
	assert_cause(TCP, FAKE_DNS_SERVFAIL, "tcp: SERVFAIL instead of NOERROR (");
	assert_cause(TCP, FAKE_DNS_WRONG_ID, "tcp: the ID is another one (");
	assert_cause(TCP, FAKE_DNS_WRONG_QUESTION, "tcp: the question is another one (");
	assert_cause(TCP, FAKE_DNS_TRUNCATED, "tcp: the answer is truncated (");
	assert_cause(TCP, FAKE_DNS_GARBAGE, "tcp: the ID is another one (");
}

static void test_what_does_not_match_is_no_answer_over_udp(void)
{
	assert_cause(UDP, FAKE_DNS_WRONG_ID, "no answer within 250 ms (the ID is another one) (");
	assert_cause(UDP, FAKE_DNS_WRONG_QUESTION,
		     "no answer within 250 ms (the question is another one) (");
	assert_cause(UDP, FAKE_DNS_GARBAGE, "no answer within 250 ms (");
	set_up(UDP);
	start_up();
	fake_dns_behave(f.server, FAKE_DNS_WRONG_ID_FIRST, 0);
	run_for(600);
	CU_ASSERT_TRUE(is_up());
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_UDP), 0);
	tear_down();
}

static void test_streams_that_break_off_are_named(void)
{
	assert_cause(TCP, FAKE_DNS_HALF, "tcp: only 7 of 48 octets of an answer within 250 ms (");
	assert_cause(TLS, FAKE_DNS_HALF, "tls: only 7 of 48 octets of an answer within 250 ms (");
	assert_cause(TCP, FAKE_DNS_CLOSE,
		     "tcp: the connection was closed before a whole answer came (");
	assert_cause(TLS, FAKE_DNS_CLOSE,
		     "tls: the connection was closed before a whole answer came (");
}

static void test_every_protocol_must_answer(void)
{
	set_up(UDP | TCP);
	start_up();
	fake_dns_behave(f.server, FAKE_DNS_CLOSE, 0); /* streams alone */
	CU_ASSERT(run_until(is_down, 5000) >= 0);
	CU_ASSERT_PTR_NULL(strstr(f.reason, "udp"));
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_UDP), 0);
	CU_ASSERT(metrics_read(f.metrics, METRIC_PROBES_FAILED_TCP) >= 3);
	tear_down();
}

/* --- TLS -------------------------------------------------------------------------------------- */

static void test_a_trusted_certificate_is_asked_for(void)
{
	static char name[] = "dns.example";
	static char other[] = "other.example";
	set_up(TLS);
	f.config.tls_ca = f.ca;
	f.config.tls_server_name = name;
	start_up();
	tear_down();

	set_up(TLS);
	f.config.tls_ca = f.ca;
	f.config.tls_server_name = other;
	start();
	run_for(400);
	CU_ASSERT_TRUE(is_down());
	CU_ASSERT_PTR_NOT_NULL(strstr(f.reason, "tls: TLS handshake: hostname mismatch ("));
	tear_down();
}

static void test_a_new_ca_is_read_when_the_old_one_does_not_fit(void)
{
	set_up(TLS);
	f.config.tls_ca = f.ca;
	f.config.timeout_ms = 3000; /* only the certificate is to fail one */
	start_up();
	fake_dns_renew_certificate(f.server);
	run_for(1000);
	CU_ASSERT_TRUE(is_up());
	CU_ASSERT_EQUAL(f.changes, 0);
	CU_ASSERT_EQUAL(metrics_read(f.metrics, METRIC_PROBES_FAILED_TLS), 1);
	tear_down();
}

static void test_a_missing_ca_is_an_error(void)
{
	static char missing[] = "/nowhere/ca.pem";
	char error[256] = "";
	set_up(TLS);
	f.config.tls_ca = missing;
	CU_ASSERT_PTR_NULL(
		probe_create(f.base, &f.config, f.shard, on_change, NULL, error, sizeof(error)));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, missing));
	tear_down();
}

static void test_an_expected_answer_must_be_data(void)
{
	static char wrong[] = "not an address";
	static char right[] = "192.0.2.1";
	static char other[] = "192.0.2.2";
	char error[256] = "";
	set_up(UDP);
	f.config.expect_answer = wrong;
	CU_ASSERT_PTR_NULL(
		probe_create(f.base, &f.config, f.shard, on_change, NULL, error, sizeof(error)));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, wrong));
	f.config.expect_answer = right;
	start_up();
	probe_destroy(f.probe);
	f.config.expect_answer = other;
	start();
	run_for(300);
	CU_ASSERT_TRUE(is_down());
	CU_ASSERT_PTR_NOT_NULL(strstr(f.reason, "the expected record is not in the answer"));
	tear_down();
}

/* --- our own troubles ------------------------------------------------------------------------- */

/* Stops, as if the process were, right after a question has reached the server. */
static void stall(int ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	run_until_asked();
	nanosleep(&pause, NULL);
}

static void test_answers_that_wait_count_after_a_stop(void)
{
	static const unsigned int protocols[] = {UDP, TCP, TLS};
	for (int i = 0; i < 3; i++) {
		set_up(protocols[i]);
		f.config.fall = 1;
		f.config.timeout_ms = 1000;
		fake_dns_behave(f.server, FAKE_DNS_GOOD, 60);
		start_up();
		stall(1400); /* the answer has come after 60 ms */
		run_for(500);
		CU_ASSERT_EQUAL(f.changes, 0);
		tear_down();
	}
}

static void test_time_slept_through_is_given_back(void)
{
	set_up(UDP);
	f.config.fall = 1;
	f.config.timeout_ms = 1000;
	start_up();
	fake_dns_behave(f.server, FAKE_DNS_GOOD, 1300); /* the server slept too, and is slower */
	stall(1200);
	fake_dns_behave(f.server, FAKE_DNS_GOOD, 0);
	run_for(1300);
	CU_ASSERT_EQUAL(f.changes, 0);
	/* But silence is noticed after a stop all the same. */
	fake_dns_behave(f.server, FAKE_DNS_SILENT, 0);
	stall(800);
	int took = run_until(is_down, 5000);
	CU_ASSERT(took >= 0 && took <= 1000 + SLACK);
	tear_down();
}

#define LATE_MS 280

static int late_turns;

static bool is_down_or_late(void)
{
	const struct timespec pause = {.tv_nsec = LATE_MS * 1000000L};
	nanosleep(&pause, NULL);
	late_turns++;
	return is_down();
}

static void test_silence_is_noticed_by_who_is_always_late(void)
{
	set_up(UDP);
	f.config.fast_interval_ms = 20; /* all that runs of each turn */
	f.config.timeout_ms = 300;
	start_up();
	fake_dns_behave(f.server, FAKE_DNS_SILENT, 0);
	late_turns = 0;
	CU_ASSERT(run_until(is_down_or_late, 200) >= 0);
	CU_ASSERT(late_turns * LATE_MS <= 200 + 2 * 300 + 2 * LATE_MS + SLACK);
	tear_down();
}

static unsigned int count_descriptors(void)
{
	unsigned int count = 0;
	DIR *directory = opendir("/proc/self/fd");
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static bool asks_no_more(void)
{
	return count_descriptors() >= queries_before + PROBE_OPEN_MAX;
}

static void test_unanswered_questions_are_bounded(void)
{
	set_up(UDP);
	f.config.interval_ms = f.config.fast_interval_ms = 2;
	f.config.timeout_ms = 60000;
	unsigned int before = count_descriptors();
	fake_dns_behave(f.server, FAKE_DNS_SILENT, 0);
	start();
	queries_before = before;
	CU_ASSERT(run_until(asks_no_more, 5000) >= 0);
	run_for(100);
	CU_ASSERT_EQUAL(count_descriptors(), before + PROBE_OPEN_MAX);
	probe_reset(f.probe);
	CU_ASSERT_EQUAL(count_descriptors(), before);
	run_for(20);
	probe_destroy(f.probe);
	CU_ASSERT_EQUAL(count_descriptors(), before);
	f.probe = NULL;
	tear_down();
}

static bool have_many_failed(void)
{
	return metrics_read(f.metrics, METRIC_PROBES_FAILED_UDP) > 50 &&
	       metrics_read(f.metrics, METRIC_PROBES_FAILED_TCP) > 50;
}

static void test_timeouts_leak_nothing(void)
{
	set_up(UDP | TCP | TLS);
	unsigned int before = count_descriptors();
	f.config.interval_ms = f.config.fast_interval_ms = 5;
	f.config.timeout_ms = 30;
	fake_dns_behave(f.server, FAKE_DNS_SILENT, 0);
	start();
	CU_ASSERT(run_until(have_many_failed, 10000) >= 0);
	/* Some under way at each end of three protocols' connections, not hundreds. */
	CU_ASSERT(count_descriptors() < before + 100);
	tear_down();
}

static void test_a_want_of_descriptors_is_a_failure_and_passes(void)
{
	struct rlimit before, none;
	set_up(UDP);
	start_up();
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT(run_until(is_down, 5000) >= 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.reason, "udp: no socket: Too many open files ("));
	setrlimit(RLIMIT_NOFILE, &before);
	CU_ASSERT(run_until(is_up, 5000) >= 0);
	tear_down();
}

/* --- callbacks -------------------------------------------------------------------------------- */

static void destroy_on_change(void *ctx)
{
	(void)ctx;
	probe_destroy(f.probe);
	f.probe = NULL;
}

static bool is_destroyed(void)
{
	return !f.probe;
}

static void test_a_probe_may_be_destroyed_when_it_changes(void)
{
	char error[256];
	set_up(UDP | TCP);
	f.probe = probe_create(f.base, &f.config, f.shard, destroy_on_change, NULL, error,
			       sizeof(error));
	CU_ASSERT(run_until(is_destroyed, 5000) >= 0);
	run_for(50);
	tear_down();
}

static void reset_on_change(void *ctx)
{
	(void)ctx;
	f.changes++;
	probe_reset(f.probe);
}

static bool has_changed_thrice(void)
{
	return f.changes >= 3;
}

static void test_a_probe_may_be_reset_when_it_changes(void)
{
	char error[256];
	set_up(UDP | TCP);
	f.probe = probe_create(f.base, &f.config, f.shard, reset_on_change, NULL, error,
			       sizeof(error));
	CU_ASSERT(run_until(has_changed_thrice, 5000) >= 0);
	CU_ASSERT_TRUE(is_down());
	tear_down();
}

/* A server that was never there is refused from the start. */
static void test_nobody_there_is_down(void)
{
	set_up(UDP | TCP);
	fake_dns_close_ports(f.server, true);
	start();
	CU_ASSERT(run_until(is_refused, 5000) >= 0);
	run_for(300);
	CU_ASSERT_EQUAL(f.changes, 0);
	fake_dns_close_ports(f.server, false);
	CU_ASSERT(run_until(is_up, 5000) >= 0);
	tear_down();
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"good answers over every protocol bring up", test_good_answers_bring_up},
		{"nobody there is down", test_nobody_there_is_down},
		{"a reset begins anew", test_reset_begins_anew},
		{"silence counts within an interval and a timeout",
		 test_silence_counts_within_interval_and_timeout},
		{"slow answers are answers", test_slow_answers_are_answers},
		{"a pause shorter than the timeout is none",
		 test_a_pause_shorter_than_the_timeout_is_none},
		{"a closed port counts at once", test_a_closed_port_counts_at_once},
		{"bad answers are named", test_bad_answers_are_named},
		{"what does not match is no answer over UDP",
		 test_what_does_not_match_is_no_answer_over_udp},
		{"streams that break off are named", test_streams_that_break_off_are_named},
		{"every protocol must answer", test_every_protocol_must_answer},
		{"a trusted certificate is asked for", test_a_trusted_certificate_is_asked_for},
		{"a new CA is read when the old one does not fit",
		 test_a_new_ca_is_read_when_the_old_one_does_not_fit},
		{"a missing CA is an error", test_a_missing_ca_is_an_error},
		{"an expected answer must be data", test_an_expected_answer_must_be_data},
		{"answers that wait count after a stop", test_answers_that_wait_count_after_a_stop},
		{"time slept through is given back", test_time_slept_through_is_given_back},
		{"silence is noticed by who is always late",
		 test_silence_is_noticed_by_who_is_always_late},
		{"unanswered questions are bounded", test_unanswered_questions_are_bounded},
		{"timeouts leak nothing", test_timeouts_leak_nothing},
		{"a want of descriptors is a failure, and passes",
		 test_a_want_of_descriptors_is_a_failure_and_passes},
		{"a probe may be destroyed when it changes",
		 test_a_probe_may_be_destroyed_when_it_changes},
		{"a probe may be reset when it changes", test_a_probe_may_be_reset_when_it_changes},
	};
	signal(SIGPIPE, SIG_IGN);
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return SUITE_RUN("probe", tests);
}
