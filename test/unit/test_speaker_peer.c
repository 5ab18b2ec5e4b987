/* A speaker whose peer is the test: what is on the wire, hostility, too little of everything. */
#include "common/clock.h"
#include "speaker_fixture.h"
#include "suite.h"

#include <dirent.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const nothing[] = {NULL};
static const char *const one[] = {"192.0.2.53/32", NULL};
static const char *const two[] = {"192.0.2.53/32", "192.0.2.54/32", NULL};

static void test_a_withdrawal_is_on_the_wire_at_once(void)
{
	struct lab lab;
	struct raw raw;
	uint8_t message[4096];
	lab_start(&lab);
	node_announce(&lab.node, one);
	raw_accept(&raw, &lab.loop, lab.listener);
	lab_establish(&lab, &raw, HIGH_ID);
	CU_ASSERT_TRUE(raw_expect(&raw, 2, message));
	CU_ASSERT_EQUAL(message[19] << 8 | message[20], 0); /* announces */

	/* The loop does not turn from here on. */
	node_announce(&lab.node, nothing);
	CU_ASSERT_EQUAL(raw_receive_now(&raw, message), 2);
	CU_ASSERT_EQUAL(message[19] << 8 | message[20], 5);
	CU_ASSERT_EQUAL(message[21], 32);
	node_announce(&lab.node, one);
	CU_ASSERT_EQUAL(raw_receive_now(&raw, message), 2);
	CU_ASSERT_EQUAL(message[19] << 8 | message[20], 0);
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_strangers_are_refused(void)
{
	struct lab lab;
	struct raw raw;
	lab_start(&lab);
	raw_connect(&raw, &lab.loop, "127.0.0.3", &lab.node.listen, NULL);
	CU_ASSERT_TRUE(raw_expect_end(&raw));
	CU_ASSERT_EQUAL(raw.size, 0);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_REFUSED), 1);
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_garbage_ends_the_connection_and_is_tried_again(void)
{
	struct lab lab;
	struct raw raw;
	lab_start(&lab);
	raw_accept(&raw, &lab.loop, lab.listener);
	raw_send(&raw, "GET / HTTP/1.1\r\nHost: bgp.example\r\n\r\n", 37);
	CU_ASSERT_TRUE(raw_expect_notification(&raw, 1, 1));
	CU_ASSERT_TRUE(raw_expect_end(&raw));
	CU_ASSERT_NOT_EQUAL(node_status(&lab.node).last_error[0], '\0');
	raw_close(&raw);
	raw_accept(&raw, &lab.loop, lab.listener);
	lab_establish(&lab, &raw, HIGH_ID);
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_a_wrong_as_is_told_so(void)
{
	struct lab lab;
	struct raw raw;
	lab_start(&lab);
	raw_accept(&raw, &lab.loop, lab.listener);
	raw_send_open(&raw, 64999, HIGH_ID);
	CU_ASSERT_TRUE(raw_expect_notification(&raw, 2, 2));
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&lab.node).last_error, "64999"));
	raw_close(&raw);
	lab_stop(&lab);
}

static bool lab_is_waiting(void *ctx)
{
	return node_status(&((struct lab *)ctx)->node).state == PEER_IDLE;
}

static void test_a_refused_connection_is_tried_ever_later(void)
{
	struct lab lab;
	lab_init(&lab);
	close(lab.listener);
	node_start(&lab.node);
	CU_ASSERT_TRUE(loop_until(&lab.loop, lab_is_waiting, &lab));
	loop_for(&lab.loop, 1000);
	CU_ASSERT_TRUE(loop_until(&lab.loop, lab_is_waiting, &lab)); /* not in the midst of one */
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&lab.node).last_error, "refused"));
	/* At 0, 100, 300, 700 ms, less up to a quarter each; ten if it did not grow. */
	uint64_t tries = loop_count(&lab.loop, METRIC_BGP_CONNECTS);
	CU_ASSERT_TRUE(tries >= 3 && tries <= 6);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_CONNECT_FAILURES), tries);
	lab.listener = raw_listen(&lab.there);
	struct raw raw;
	raw_accept(&raw, &lab.loop, lab.listener);
	raw_close(&raw);
	lab_stop(&lab);
}

static size_t count_descriptors(void)
{
	size_t count = 0;
	DIR *directory = opendir("/proc/self/fd");
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static bool nothing_is_left(void *ctx)
{
	struct lab *lab = ctx;
	return node_status(&lab->node).state == PEER_ACTIVE && speaker_is_closed(lab->node.speaker);
}

static void test_a_flood_of_connections_is_bounded(void)
{
	struct lab lab;
	struct raw raw[60]; /* as many as wait in a listener's queue */
	lab_init(&lab);
	lab.node.peer.passive = true;
	node_start(&lab.node);
	size_t before = count_descriptors();
	for (size_t i = 0; i < 60; i++)
		raw_connect(&raw[i], &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	loop_for(&lab.loop, 50);
	CU_ASSERT_TRUE(loop_count(&lab.loop, METRIC_BGP_ACCEPTED) <= 9);
	CU_ASSERT_TRUE(loop_count(&lab.loop, METRIC_BGP_REFUSED) >= 50);
	for (size_t i = 0; i < 60; i++)
		raw_close(&raw[i]);
	CU_ASSERT_TRUE(loop_until(&lab.loop, nothing_is_left, &lab));
	CU_ASSERT_EQUAL(count_descriptors(), before);
	lab_stop(&lab);
}

static void set_ttl(int fd, int ttl)
{
	CU_ASSERT_EQUAL_FATAL(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
}

static void test_with_ttl_security_far_packets_are_not_heard(void)
{
	struct lab lab;
	struct raw raw;
	uint8_t message[4096];
	lab_init(&lab);
	lab.node.peer.ttl_security = true;
	set_ttl(lab.listener, 255); /* else the speaker does not even hear our SYN-ACK */
	node_start(&lab.node);
	raw_accept(&raw, &lab.loop, lab.listener);
	set_ttl(raw.fd, 254);
	CU_ASSERT_TRUE(raw_expect(&raw, 1, message));
	raw_send_open(&raw, 64513, HIGH_ID);
	loop_for(&lab.loop, 100);
	CU_ASSERT_EQUAL(node_status(&lab.node).state, PEER_OPEN_SENT);
	set_ttl(raw.fd, 255); /* TCP sends it again */
	CU_ASSERT_TRUE(raw_expect(&raw, 4, message));
	raw_close(&raw);
	lab_stop(&lab);
}

static bool lab_is_closed(void *ctx)
{
	return speaker_is_closed(((struct lab *)ctx)->node.speaker);
}

static void test_a_shutdown_does_not_wait_for_ever(void)
{
	struct lab lab;
	struct raw raw;
	uint8_t message[4096];
	lab_start(&lab);
	raw_accept(&raw, &lab.loop, lab.listener);
	lab_establish(&lab, &raw, HIGH_ID);
	int64_t since_ms = clock_now_ms();
	speaker_shutdown(lab.node.speaker, "bye");
	CU_ASSERT_EQUAL(raw_receive_now(&raw, message), 3); /* before the loop turns */
	CU_ASSERT_EQUAL(memcmp(message + 19, "\6\2\3bye", 6), 0);
	CU_ASSERT_FALSE(speaker_is_closed(lab.node.speaker));
	CU_ASSERT_TRUE(loop_until(&lab.loop, lab_is_closed, &lab)); /* the raw peer stays */
	CU_ASSERT_TRUE(clock_now_ms() - since_ms < 2000);
	raw_close(&raw);
	lab_stop(&lab);
}

/* A peer that does not read: what was announced is not acknowledged, and everybody can tell. */
static void test_what_is_not_acknowledged_is_not_flushed(void)
{
	struct lab lab;
	struct raw raw;
	int small = 1;
	lab_start(&lab);
	setsockopt(lab.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	raw_accept(&raw, &lab.loop, lab.listener);
	lab_establish(&lab, &raw, HIGH_ID);
	for (int i = 0; i < 3000; i++)
		node_announce(&lab.node, i % 2 ? nothing : two);
	loop_for(&lab.loop, 20);
	CU_ASSERT_FALSE(speaker_is_flushed(lab.node.speaker));
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_a_listener_that_is_taken_is_an_error(void)
{
	struct lab lab;
	char error[256] = "";
	lab_init(&lab);
	int taken = raw_listen(&lab.node.listen);
	const struct speaker_options options = {
		.base = lab.loop.base,
		.config = &lab.node.config,
		.metrics = lab.loop.shard,
	};
	CU_ASSERT_PTR_NULL(speaker_start(&options, error, sizeof(error)));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "cannot listen on 127.0.0.1:"));
	close(taken);
	lab_stop(&lab);
}

/* Descriptors are a peer's to come back to: nothing spins, nothing is forgotten. */
static void test_without_descriptors_a_peer_waits(void)
{
	struct lab lab;
	struct raw raw;
	uint8_t message[4096];
	struct rlimit limit;
	lab_init(&lab);
	lab.node.peer.passive = true;
	node_start(&lab.node);
	getrlimit(RLIMIT_NOFILE, &limit);
	raw_connect(&raw, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	const struct rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	loop_for(&lab.loop, 50);
	setrlimit(RLIMIT_NOFILE, &limit);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_ACCEPTED), 0);
	CU_ASSERT_TRUE(raw_expect(&raw, 1, message));
	raw_close(&raw);

	/* The same for connections that we make. */
	node_stop(&lab.node);
	lab.node.peer.passive = false;
	node_start(&lab.node);
	setrlimit(RLIMIT_NOFILE, &none);
	loop_for(&lab.loop, 20);
	setrlimit(RLIMIT_NOFILE, &limit);
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&lab.node).last_error, "Too many open files"));
	raw_accept(&raw, &lab.loop, lab.listener);
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_a_session_that_flaps_comes_ever_later(void)
{
	struct lab lab;
	struct raw raw;
	lab_start(&lab);
	int64_t since_ms = clock_now_ms();
	for (int i = 0; i < 4; i++) {
		raw_accept(&raw, &lab.loop, lab.listener);
		lab_establish(&lab, &raw, HIGH_ID);
		raw_close(&raw);
	}
	/* At 0, 100, 300, 700 ms, less up to a quarter each. */
	CU_ASSERT_TRUE(clock_now_ms() - since_ms >= 500);
	lab_stop(&lab);
}

/* What was sent while we were stopped counts, however late it is read. */
static void test_a_process_that_was_stopped_keeps_a_living_peer(void)
{
	struct lab lab;
	struct raw raw;
	lab_init(&lab);
	lab.node.config.hold_time_s = 3;
	node_start(&lab.node);
	raw_accept(&raw, &lab.loop, lab.listener);
	lab_establish(&lab, &raw, HIGH_ID);
	raw_send_keepalive(&raw);
	usleep(3200 * 1000); /* the loop does not turn: the hold time is the matter */
	loop_for(&lab.loop, 50);
	CU_ASSERT_TRUE(node_is_established(&lab.node));
	raw_close(&raw);
	lab_stop(&lab);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"a withdrawal is on the wire at once", test_a_withdrawal_is_on_the_wire_at_once},
		{"strangers are refused", test_strangers_are_refused},
		{"garbage ends the connection, which is tried again",
		 test_garbage_ends_the_connection_and_is_tried_again},
		{"a wrong AS number is told so", test_a_wrong_as_is_told_so},
		{"a refused connection is tried ever later",
		 test_a_refused_connection_is_tried_ever_later},
		{"a flood of connections is bounded", test_a_flood_of_connections_is_bounded},
		{"with TTL security far packets are not heard",
		 test_with_ttl_security_far_packets_are_not_heard},
		{"a shutdown does not wait for ever", test_a_shutdown_does_not_wait_for_ever},
		{"what is not acknowledged is not flushed",
		 test_what_is_not_acknowledged_is_not_flushed},
		{"a listener that is taken is an error", test_a_listener_that_is_taken_is_an_error},
		{"without descriptors a peer waits", test_without_descriptors_a_peer_waits},
		{"a session that flaps comes ever later",
		 test_a_session_that_flaps_comes_ever_later},
		{"a process that was stopped keeps a living peer",
		 test_a_process_that_was_stopped_keeps_a_living_peer},
	};
	return SUITE_RUN("speaker_peer", tests);
}
