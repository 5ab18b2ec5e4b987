/*
 * A speaker to which its peer comes while it has a connection with it: collisions (RFC 4271 section
 * 6.8), and a router that has lost its session.
 */
#include "announcer/peer.h"
#include "common/clock.h"
#include "speaker_fixture.h"
#include "suite.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The raw peer has one connection each way with an OPEN on both. */
static void collide(struct lab *lab, struct raw *made, struct raw *accepted, uint32_t id)
{
	uint8_t message[4096];
	lab_start(lab);
	raw_accept(made, &lab->loop, lab->listener);
	raw_connect(accepted, &lab->loop, "127.0.0.2", &lab->node.listen, NULL);
	CU_ASSERT_TRUE_FATAL(raw_expect(made, 1, message));
	CU_ASSERT_TRUE_FATAL(raw_expect(accepted, 1, message));
	raw_send_open(made, 64513, id);
	CU_ASSERT_TRUE_FATAL(raw_expect(made, 4, message));
	raw_send_open(accepted, 64513, id);
}

static void test_a_collision_is_decided_by_the_identifiers(void)
{
	struct lab lab;
	struct raw made;
	struct raw accepted;
	uint8_t message[4096];

	collide(&lab, &made, &accepted, HIGH_ID); /* the peer's is higher: what it made stays */
	CU_ASSERT_TRUE(raw_expect_notification(&made, 6, 7));
	CU_ASSERT_TRUE(raw_expect(&accepted, 4, message));
	raw_send_keepalive(&accepted);
	CU_ASSERT_TRUE(loop_until(&lab.loop, node_is_established, &lab.node));
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_COLLISIONS), 1);
	CU_ASSERT_STRING_EQUAL(node_status(&lab.node).last_error, "");
	raw_close(&made);
	raw_close(&accepted);
	lab_stop(&lab);

	collide(&lab, &made, &accepted, LOW_ID - 1);
	CU_ASSERT_TRUE(raw_expect_notification(&accepted, 6, 7));
	raw_send_keepalive(&made);
	CU_ASSERT_TRUE(loop_until(&lab.loop, node_is_established, &lab.node));
	raw_close(&made);
	raw_close(&accepted);
	lab_stop(&lab);
}

static void test_an_established_session_is_not_taken_over(void)
{
	struct lab lab;
	struct raw raw;
	struct raw second;
	lab_start(&lab);
	raw_accept(&raw, &lab.loop, lab.listener);
	lab_establish(&lab, &raw, HIGH_ID);
	raw_connect(&second, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	CU_ASSERT_TRUE(raw_expect_notification(&second, 6, 7));
	CU_ASSERT_TRUE(raw_expect_end(&second));
	CU_ASSERT_TRUE(node_is_established(&lab.node));
	raw_close(&second);
	raw_close(&raw);
	lab_stop(&lab);
}

/* Ends a connection as a machine that loses its power does: without a word. */
static bool forget(struct raw *raw)
{
	const int on = 1;
	bool can = setsockopt(raw->fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0;
	raw_close(raw);
	return can;
}

static void test_a_router_that_lost_its_session_gets_another_at_once(void)
{
	struct lab lab;
	struct raw old;
	struct raw raw;
	lab_start(&lab);
	raw_accept(&old, &lab.loop, lab.listener);
	lab_establish(&lab, &old, HIGH_ID);
	if (!forget(&old)) {
		printf("not tested without CAP_NET_ADMIN ");
		lab_stop(&lab);
		return;
	}
	lab.node.peer.passive = true; /* it is the router that comes */
	int64_t since_ms = lab.loop.machine_ms;
	raw_connect(&raw, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	lab_establish(&lab, &raw, HIGH_ID);
	CU_ASSERT_TRUE(lab.loop.machine_ms - since_ms < PEER_NEWCOMER_MS);
	CU_ASSERT_EQUAL(node_status(&lab.node).established, 2);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_LOST), 1);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_REPLACED), 0);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_REFUSED), 0);
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_a_session_that_does_not_answer_gives_way(void)
{
	struct sock_filter nothing_passes = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog filter = {.len = 1, .filter = &nothing_passes};
	struct lab lab;
	struct raw deaf;
	struct raw early;
	struct raw raw;
	lab_start(&lab);
	raw_accept(&deaf, &lab.loop, lab.listener);
	lab_establish(&lab, &deaf, HIGH_ID);
	CU_ASSERT_EQUAL_FATAL(
		setsockopt(deaf.fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0);
	lab.node.peer.passive = true;
	int64_t since_ms = clock_now_ms();
	int64_t machine_ms = lab.loop.machine_ms;
	raw_connect(&early, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	loop_for(&lab.loop, PEER_NEWCOMER_MS / 2);
	CU_ASSERT_TRUE(node_is_established(&lab.node));
	raw_connect(&raw, &lab.loop, "127.0.0.2", &lab.node.listen, NULL); /* in its place */
	CU_ASSERT_TRUE(raw_expect_end(&early));
	lab_establish(&lab, &raw, HIGH_ID);
	CU_ASSERT_TRUE(clock_now_ms() - since_ms >= PEER_NEWCOMER_MS);
	CU_ASSERT_TRUE(lab.loop.machine_ms - machine_ms < 3 * PEER_NEWCOMER_MS);
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&lab.node).last_error, "connected anew"));
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_REPLACED), 1);
	raw_close(&deaf);
	raw_close(&early);
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_a_shutdown_drops_a_newcomer(void)
{
	struct sock_filter nothing_passes = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog filter = {.len = 1, .filter = &nothing_passes};
	struct lab lab;
	struct raw deaf;
	struct raw raw;
	lab_start(&lab);
	raw_accept(&deaf, &lab.loop, lab.listener);
	lab_establish(&lab, &deaf, HIGH_ID);
	CU_ASSERT_EQUAL_FATAL(
		setsockopt(deaf.fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)), 0);
	raw_connect(&raw, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	loop_for(&lab.loop, 50);
	speaker_shutdown(lab.node.speaker, "bye");
	CU_ASSERT_TRUE(raw_expect_end(&raw));
	CU_ASSERT_EQUAL(node_status(&lab.node).established, 1);
	raw_close(&deaf);
	raw_close(&raw);
	lab_stop(&lab);
}

static void test_a_peer_that_comes_anew_replaces_its_silent_connection(void)
{
	struct lab lab;
	struct raw silent;
	struct raw raw;
	uint8_t message[4096];
	lab_init(&lab);
	lab.node.peer.passive = true;
	node_start(&lab.node);
	CU_ASSERT_EQUAL(node_status(&lab.node).state, PEER_ACTIVE);
	raw_connect(&silent, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	CU_ASSERT_TRUE(raw_expect(&silent, 1, message));
	CU_ASSERT_EQUAL(node_status(&lab.node).state, PEER_OPEN_SENT);
	raw_connect(&raw, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	lab_establish(&lab, &raw, HIGH_ID);
	CU_ASSERT_TRUE(raw_expect_notification(&silent, 6, 7));
	raw_close(&silent);
	raw_close(&raw);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_CONNECTS), 0);
	lab_stop(&lab);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"a collision is decided by the identifiers",
		 test_a_collision_is_decided_by_the_identifiers},
		{"an established session is not taken over",
		 test_an_established_session_is_not_taken_over},
		{"a router that lost its session gets another at once",
		 test_a_router_that_lost_its_session_gets_another_at_once},
		{"a session that does not answer gives way",
		 test_a_session_that_does_not_answer_gives_way},
		{"a shutdown drops a newcomer", test_a_shutdown_drops_a_newcomer},
		{"a peer that comes anew replaces its silent connection",
		 test_a_peer_that_comes_anew_replaces_its_silent_connection},
	};
	return SUITE_RUN("speaker_newcomer", tests);
}
