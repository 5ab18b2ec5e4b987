/* Threads that move on and threads that hang, by a clock that the test keeps. */
#include "common/heartbeat.h"
#include "suite.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BOUND_MS 10000

struct fixture {
	struct heartbeats *heartbeats;
	struct heartbeat *worker; /* vital */
	struct heartbeat *other;  /* vital */
	int64_t now_ms;
	char reason[128];
};

static void start(struct fixture *fixture)
{
	*fixture = (struct fixture){.now_ms = 1000000};
	fixture->heartbeats = heartbeats_create("frontend");
	CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->heartbeats);
	fixture->worker =
		heartbeats_add(fixture->heartbeats, "worker-0", HEARTBEAT_VITAL, BOUND_MS);
	fixture->other = heartbeats_add(fixture->heartbeats, "worker-1", HEARTBEAT_VITAL, BOUND_MS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->worker);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->other);
	heartbeats_look(fixture->heartbeats, fixture->now_ms);
}

/*
 * Looks every second for so many; worker-1 beats before each look, worker-0 only if it is told to.
 */
static void pass(struct fixture *fixture, int looks, bool worker_moves)
{
	for (int i = 0; i < looks; i++) {
		fixture->now_ms += HEARTBEAT_MS;
		heartbeat_beat(fixture->other);
		if (worker_moves)
			heartbeat_beat(fixture->worker);
		heartbeats_look(fixture->heartbeats, fixture->now_ms);
	}
}

static bool is_alive(struct fixture *fixture)
{
	return heartbeats_describe(fixture->heartbeats, fixture->reason, sizeof(fixture->reason));
}

static void stop(struct fixture *fixture)
{
	heartbeats_destroy(fixture->heartbeats);
}

static void test_threads_that_beat_are_alive(void)
{
	struct fixture fixture;

	start(&fixture);
	pass(&fixture, 100, true);
	CU_ASSERT_TRUE(is_alive(&fixture));
	CU_ASSERT_STRING_EQUAL(fixture.reason, "alive");
	stop(&fixture);
}

static void test_a_silent_thread_hangs_after_its_bound_and_is_named(void)
{
	struct fixture fixture;

	start(&fixture);
	pass(&fixture, 3, true);
	pass(&fixture, BOUND_MS / HEARTBEAT_MS, false);
	CU_ASSERT_TRUE(is_alive(&fixture));
	pass(&fixture, 1, false);
	CU_ASSERT_FALSE(is_alive(&fixture));
	CU_ASSERT_STRING_EQUAL(fixture.reason, "worker-0 has not moved for 11 s");
	pass(&fixture, 1, true);
	CU_ASSERT_TRUE(is_alive(&fixture));
	stop(&fixture);
}

static void test_a_thread_that_never_began_hangs_too(void)
{
	struct fixture fixture;

	start(&fixture);
	pass(&fixture, BOUND_MS / HEARTBEAT_MS + 1, false);
	CU_ASSERT_FALSE(is_alive(&fixture));
	stop(&fixture);
}

/* SIGSTOP and SIGCONT, a suspended machine, a frozen cgroup: nobody could beat, nobody looked. */
static void test_a_gap_between_looks_is_nobodys_silence(void)
{
	struct fixture fixture;

	start(&fixture);
	pass(&fixture, 3, true);
	fixture.now_ms += 3600 * 1000;
	heartbeats_look(fixture.heartbeats, fixture.now_ms);
	CU_ASSERT_TRUE(is_alive(&fixture));
	pass(&fixture, 7, false);
	CU_ASSERT_TRUE(is_alive(&fixture));
	/* What was silent for two seconds and eight has been so for ten: the gap counts for two. */
	pass(&fixture, 1, false);
	CU_ASSERT_TRUE(is_alive(&fixture));
	pass(&fixture, 1, false);
	CU_ASSERT_FALSE(is_alive(&fixture));
	stop(&fixture);
}

static void test_a_clock_that_goes_back_hangs_nobody(void)
{
	struct fixture fixture;

	start(&fixture);
	pass(&fixture, 3, true);
	fixture.now_ms -= 500000;
	heartbeats_look(fixture.heartbeats, fixture.now_ms);
	pass(&fixture, 5, false);
	CU_ASSERT_TRUE(is_alive(&fixture));
	pass(&fixture, 6, false);
	CU_ASSERT_FALSE(is_alive(&fixture));
	stop(&fixture);
}

static void test_a_thread_that_ends_is_not_missed(void)
{
	struct fixture fixture;

	start(&fixture);
	pass(&fixture, 20, false);
	CU_ASSERT_FALSE(is_alive(&fixture));
	heartbeat_end(fixture.worker);
	pass(&fixture, 20, false);
	CU_ASSERT_TRUE(is_alive(&fixture));
	stop(&fixture);
}

static void test_a_reported_thread_is_named_and_kills_nobody(void)
{
	struct fixture fixture;
	struct heartbeat *follower;

	start(&fixture);
	follower = heartbeats_add(fixture.heartbeats, "follower", HEARTBEAT_REPORTED, 3000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(follower);
	pass(&fixture, 4, true);
	CU_ASSERT_TRUE(is_alive(&fixture));
	CU_ASSERT_STRING_EQUAL(fixture.reason, "alive, follower has not moved for 4 s");
	pass(&fixture, 11, false);
	CU_ASSERT_FALSE(is_alive(&fixture));
	CU_ASSERT_STRING_EQUAL(fixture.reason,
			       "worker-0 has not moved for 11 s, follower has not moved for 15 s");
	stop(&fixture);
}

static void test_a_line_that_is_too_short_names_whom_it_can(void)
{
	struct fixture fixture;
	char reason[40];

	start(&fixture);
	heartbeats_add(fixture.heartbeats, "a-name-that-is-longer-than-fits", HEARTBEAT_VITAL, 100);
	pass(&fixture, 11, false);
	CU_ASSERT_FALSE(heartbeats_describe(fixture.heartbeats, reason, sizeof(reason)));
	CU_ASSERT_STRING_EQUAL(reason, "worker-0 has not moved for 11 s");
	CU_ASSERT_FALSE(heartbeats_describe(fixture.heartbeats, reason, 5));
	CU_ASSERT_STRING_EQUAL(reason, "");
	stop(&fixture);
}

static void test_metrics_count_each_hang(void)
{
	struct fixture fixture;
	struct evbuffer *out = evbuffer_new();

	start(&fixture);
	pass(&fixture, 20, false);
	pass(&fixture, 1, true);
	pass(&fixture, 20, false);
	heartbeats_collect(fixture.heartbeats, out);
	evbuffer_add(out, "", 1);
	const char *text = (const char *)evbuffer_pullup(out, -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ngodwit_frontend_threads_hung 1\n"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "\ngodwit_frontend_thread_hangs_total{thread=\"worker-0\"} 2\n"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "\ngodwit_frontend_thread_hangs_total{thread=\"worker-1\"} 0\n"));
	evbuffer_free(out);
	stop(&fixture);
}

/* An event that is always due: the loop never gets to the end of what there is to do. */
struct busy {
	struct event *again;
	struct event_base *base;
	int turns;
};

static void keep_busy(evutil_socket_t fd, short what, void *ctx)
{
	struct busy *busy = ctx;
	const struct timespec work = {.tv_nsec = 10 * 1000 * 1000};
	(void)fd;
	(void)what;

	nanosleep(&work, NULL);
	if (++busy->turns < 200)
		event_active(busy->again, 0, 0);
	else
		event_base_loopbreak(busy->base);
}

static void test_a_loop_beats_however_busy_it_is(void)
{
	struct fixture fixture;
	struct busy busy = {.base = heartbeat_new_loop()};
	struct event *timer;

	start(&fixture);
	CU_ASSERT_PTR_NOT_NULL_FATAL(busy.base);
	busy.again = event_new(busy.base, -1, EV_PERSIST, keep_busy, &busy);
	timer = heartbeat_add_timer(busy.base, fixture.worker);
	CU_ASSERT_PTR_NOT_NULL_FATAL(timer);
	pass(&fixture, BOUND_MS / HEARTBEAT_MS + 1, false);
	CU_ASSERT_FALSE(is_alive(&fixture));
	event_active(busy.again, 0, 0);
	event_base_dispatch(busy.base);
	pass(&fixture, 1, false);
	CU_ASSERT_TRUE(is_alive(&fixture));
	event_free(timer);
	event_free(busy.again);
	event_base_free(busy.base);
	stop(&fixture);
}

static void test_nobody_is_an_allowed_thread(void)
{
	heartbeat_beat(NULL);
	heartbeat_end(NULL);
	heartbeats_destroy(NULL);
}

/* Standard error, caught in a file from here to the end. */
static char log_path[] = "/tmp/godwit-test-heartbeat-XXXXXX";

static unsigned int count_lines_with(const char *text)
{
	char octets[65536];
	unsigned int count = 0;
	int fd = open(log_path, O_RDONLY);
	ssize_t size = fd < 0 ? 0 : read(fd, octets, sizeof(octets) - 1);

	octets[size > 0 ? size : 0] = '\0';
	if (fd >= 0)
		close(fd);
	for (const char *at = octets; (at = strstr(at, text)); at += strlen(text))
		count++;
	return count;
}

static void test_each_hang_is_logged_once_and_so_is_its_end(void)
{
	struct fixture fixture;
	int kept = dup(STDERR_FILENO);
	int file = mkstemp(log_path);

	CU_ASSERT_TRUE_FATAL(kept >= 0 && file >= 0);
	dup2(file, STDERR_FILENO);
	start(&fixture);
	pass(&fixture, 60, false);
	CU_ASSERT_EQUAL(count_lines_with("level=error msg=\"a thread hangs\" thread=worker-0 "
					 "silent_s=11.0 livez=\"fails until it moves\"\n"),
			1);
	CU_ASSERT_EQUAL(count_lines_with("\n"), 1);
	pass(&fixture, 5, true);
	CU_ASSERT_EQUAL(count_lines_with("level=info msg=\"a thread that hung moves again\" "
					 "thread=worker-0 silent_s=60.0\n"),
			1);
	CU_ASSERT_EQUAL(count_lines_with("\n"), 2);
	stop(&fixture);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(file);
	unlink(log_path);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"threads that beat are alive", test_threads_that_beat_are_alive},
		{"a silent thread hangs after its bound and is named",
		 test_a_silent_thread_hangs_after_its_bound_and_is_named},
		{"a thread that never began hangs too", test_a_thread_that_never_began_hangs_too},
		{"a gap between looks is nobody's silence",
		 test_a_gap_between_looks_is_nobodys_silence},
		{"a clock that goes back hangs nobody", test_a_clock_that_goes_back_hangs_nobody},
		{"a thread that ends is not missed", test_a_thread_that_ends_is_not_missed},
		{"a reported thread is named and kills nobody",
		 test_a_reported_thread_is_named_and_kills_nobody},
		{"a line that is too short names whom it can",
		 test_a_line_that_is_too_short_names_whom_it_can},
		{"metrics count each hang", test_metrics_count_each_hang},
		{"a loop beats however busy it is", test_a_loop_beats_however_busy_it_is},
		{"nobody is an allowed thread", test_nobody_is_an_allowed_thread},
		{"each hang is logged once and so is its end",
		 test_each_hang_is_logged_once_and_so_is_its_end},
	};

	return SUITE_RUN("heartbeat", tests);
}
