/*
 * Speakers with each other and with raw peers, over loopback: sessions, collisions, hostility, MD5,
 * GTSM, the end.
 */
#include "announcer/peer.h"
#include "common/clock.h"
#include "speaker_fixture.h"
#include "suite.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ID(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define LOW_ID ID(192, 0, 2, 1)
#define HIGH_ID ID(192, 0, 2, 200)

static const char *const nothing[] = {NULL};
static const char *const one[] = {"192.0.2.53/32", NULL};
static const char *const two[] = {"192.0.2.53/32", "192.0.2.54/32", NULL};
static const char *const both_families[] = {"192.0.2.53/32", "2001:db8::53/128", NULL};

/* --- two speakers ----------------------------------------------------------------------------- */

struct pair {
	struct loop loop;
	struct node a, b;
};

/* Two speakers that know each other; both connect. */
static void pair_init(struct pair *pair, const char *host_a, const char *host_b)
{
	struct address a = fixture_address(host_a, fixture_find_port(host_a));
	struct address b = fixture_address(host_b, fixture_find_port(host_b));
	loop_start(&pair->loop);
	node_init(&pair->a, &pair->loop, 64512, LOW_ID, a, 64513, b);
	node_init(&pair->b, &pair->loop, 64513, HIGH_ID, b, 64512, a);
}

static void pair_start(struct pair *pair)
{
	node_start(&pair->a);
	node_start(&pair->b);
}

static void pair_stop(struct pair *pair)
{
	node_stop(&pair->a);
	node_stop(&pair->b);
	loop_stop(&pair->loop);
}

static bool pair_is_established(void *ctx)
{
	struct pair *pair = ctx;
	return node_is_established(&pair->a) && node_is_established(&pair->b);
}

static bool b_has_two_routes(void *ctx)
{
	return node_status(&((struct pair *)ctx)->b).counts.routes_received == 2;
}

static bool b_has_three_updates(void *ctx)
{
	return node_status(&((struct pair *)ctx)->b).counts.updates_received >= 3;
}

static bool a_is_flushed(void *ctx)
{
	return speaker_is_flushed(((struct pair *)ctx)->a.speaker);
}

static void test_two_speakers_announce_to_each_other(void)
{
	struct pair pair;
	struct prefix prefix;
	char error[64];
	pair_init(&pair, "127.0.0.1", "127.0.0.2");
	pair_start(&pair);
	CU_ASSERT_EQUAL(speaker_peer_count(pair.a.speaker), 1);
	node_announce(&pair.a, two);
	CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_two_routes, &pair));
	CU_ASSERT_TRUE(loop_until(&pair.loop, a_is_flushed, &pair));

	struct peer_status a = node_status(&pair.a);
	CU_ASSERT_EQUAL(a.announced, 2);
	CU_ASSERT_EQUAL(a.as, 64513);
	CU_ASSERT_EQUAL(a.hold_time_s, 9);
	CU_ASSERT_EQUAL(a.established, 1);
	CU_ASSERT_TRUE(a.ipv4 && a.ipv6);
	CU_ASSERT_FALSE(a.has_bfd);
	CU_ASSERT_STRING_EQUAL(a.held_back, "");
	CU_ASSERT_STRING_EQUAL(a.description, "peer of 64512");
	CU_ASSERT_EQUAL(strncmp(a.address, "127.0.0.2:", 10), 0);
	CU_ASSERT_EQUAL(strncmp(a.local_address, "127.0.0.1", 9), 0);
	prefix_parse("192.0.2.54/32", &prefix, error, sizeof(error));
	CU_ASSERT_TRUE(speaker_has_announced(pair.a.speaker, 0, &prefix));

	node_announce(&pair.a, one);
	CU_ASSERT_FALSE(speaker_has_announced(pair.a.speaker, 0, &prefix));
	uint64_t before = node_status(&pair.b).counts.updates_received;
	node_announce(&pair.a, nothing);
	CU_ASSERT_EQUAL(node_status(&pair.a).announced, 0);
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_three_updates, &pair));
	CU_ASSERT_TRUE(before < 3);
	pair_stop(&pair);
}

static void test_sessions_over_ipv6(void)
{
	struct pair pair;
	pair_init(&pair, "::1", "::1");
	pair.a.peer.next_hop_ipv4.ss_family = AF_INET;
	inet_pton(AF_INET, "203.0.113.1",
		  &((struct sockaddr_in *)&pair.a.peer.next_hop_ipv4)->sin_addr);
	pair_start(&pair);
	node_announce(&pair.a, both_families);
	CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_two_routes, &pair));
	CU_ASSERT_EQUAL(strncmp(node_status(&pair.a).address, "[::1]:", 6), 0);
	pair_stop(&pair);
}

static void test_what_cannot_be_announced_is_said(void)
{
	struct pair pair;
	pair_init(&pair, "127.0.0.1", "127.0.0.2");
	pair_start(&pair);
	node_announce(&pair.a, both_families);
	CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
	CU_ASSERT_EQUAL(node_status(&pair.a).announced, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&pair.a).held_back, "IPv6: no next hop"));
	pair_stop(&pair);

	pair_init(&pair, "::1", "::1");
	pair.b.peer.ipv6 = false;
	pair_start(&pair);
	node_announce(&pair.a, both_families + 1);
	CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
	CU_ASSERT_EQUAL(node_status(&pair.a).announced, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&pair.a).held_back, "IPv6: not agreed on"));
	pair_stop(&pair);
}

static bool a_is_not_established(void *ctx)
{
	return !node_is_established(&((struct pair *)ctx)->a);
}

static void test_a_router_that_restarts_hears_everything_again(void)
{
	struct pair pair;
	pair_init(&pair, "127.0.0.1", "127.0.0.2");
	pair.b.peer.passive = true; /* so that A has to come back */
	pair_start(&pair);
	node_announce(&pair.a, two);
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_two_routes, &pair));
	node_stop(&pair.b);
	CU_ASSERT_TRUE(loop_until(&pair.loop, a_is_not_established, &pair));
	CU_ASSERT_NOT_EQUAL(node_status(&pair.a).last_error[0], '\0');
	CU_ASSERT_EQUAL(node_status(&pair.a).announced, 0);
	CU_ASSERT_EQUAL(loop_count(&pair.loop, METRIC_BGP_LOST), 1);
	int64_t since_ms = clock_now_ms();
	node_start(&pair.b);
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_two_routes, &pair));
	CU_ASSERT_TRUE(clock_now_ms() - since_ms < 2000);
	CU_ASSERT_EQUAL(node_status(&pair.a).established, 2);
	CU_ASSERT_EQUAL(node_status(&pair.a).announced, 2);
	pair_stop(&pair);
}

static void test_of_simultaneous_connections_one_stays(void)
{
	for (int round = 0; round < 4; round++) {
		struct pair pair;
		pair_init(&pair, "127.0.0.1", "127.0.0.2");
		if (round % 2) {
			pair.a.config.router_id = HIGH_ID;
			pair.b.config.router_id = round == 3 ? HIGH_ID : LOW_ID;
		}
		pair_start(&pair);
		node_announce(&pair.a, two);
		CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
		loop_for(&pair.loop, 50);
		CU_ASSERT_TRUE(pair_is_established(&pair));
		CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_two_routes, &pair));
		CU_ASSERT_EQUAL(node_status(&pair.a).established, 1);
		pair_stop(&pair);
	}
}

static bool both_are_closed(void *ctx)
{
	struct pair *pair = ctx;
	return speaker_is_closed(pair->a.speaker) && !node_is_established(&pair->b);
}

static void test_a_shutdown_tells_why(void)
{
	struct pair pair;
	pair_init(&pair, "127.0.0.1", "127.0.0.2");
	pair_start(&pair);
	CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
	speaker_shutdown(pair.a.speaker, "back at \"noon\"");
	CU_ASSERT_TRUE(loop_until(&pair.loop, both_are_closed, &pair));
	CU_ASSERT_EQUAL(node_status(&pair.a).state, PEER_IDLE);
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&pair.b).last_error, "noon"));
	loop_for(&pair.loop, 300);
	CU_ASSERT_TRUE(speaker_is_closed(pair.a.speaker));
	pair_stop(&pair);
}

static void test_ttl_security_between_neighbours(void)
{
	static const char *const hosts[][2] = {{"127.0.0.1", "127.0.0.2"}, {"::1", "::1"}};
	for (size_t i = 0; i < 2; i++) {
		struct pair pair;
		pair_init(&pair, hosts[i][0], hosts[i][1]);
		pair.a.peer.ttl_security = true;
		pair.b.peer.ttl_security = true;
		pair_start(&pair);
		CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
		pair_stop(&pair);
	}
}

/* --- TCP MD5 ---------------------------------------------------------------------------------- */

static bool kernel_has_md5(void)
{
	struct tcp_md5sig key = {.tcpm_addr = {.ss_family = AF_INET}, .tcpm_keylen = 1};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool has = setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) == 0;
	if (!has)
		printf("SKIPPED: the kernel refuses TCP MD5: %s\n", strerror(errno));
	close(fd);
	return has;
}

static void test_md5_both_ways(void)
{
	static const char *const hosts[][2] = {{"127.0.0.1", "127.0.0.2"}, {"::1", "::1"}};
	for (size_t i = 0; i < 4 && kernel_has_md5(); i++) {
		struct pair pair;
		pair_init(&pair, hosts[i / 2][0], hosts[i / 2][1]);
		snprintf(pair.a.peer.password, sizeof(pair.a.peer.password), "a shared secret");
		snprintf(pair.b.peer.password, sizeof(pair.b.peer.password), "a shared secret");
		/* The listener's key and the connection's, each alone. */
		pair.a.peer.passive = i % 2 == 0;
		pair.b.peer.passive = i % 2 == 1;
		pair_start(&pair);
		CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
		pair_stop(&pair);
	}
}

static bool b_has_failed(void *ctx)
{
	return node_status(&((struct pair *)ctx)->b).last_error[0] != '\0';
}

static void test_a_wrong_md5_password_gets_nowhere(void)
{
	struct pair pair;
	if (!kernel_has_md5())
		return;
	pair_init(&pair, "127.0.0.1", "127.0.0.2");
	snprintf(pair.a.peer.password, sizeof(pair.a.peer.password), "a shared secret");
	snprintf(pair.b.peer.password, sizeof(pair.b.peer.password), "another secret");
	pair.a.peer.passive = true;
	pair_start(&pair);
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_failed, &pair));
	CU_ASSERT_PTR_NOT_NULL(strstr(node_status(&pair.b).last_error, "timed out"));
	CU_ASSERT_EQUAL(loop_count(&pair.loop, METRIC_BGP_ACCEPTED), 0);
	pair_stop(&pair);
}

/* --- raw peers -------------------------------------------------------------------------------- */

/* A speaker whose peer, 127.0.0.2, is the test. */
struct lab {
	struct loop loop;
	struct node node;
	struct address there; /* where the speaker looks for its peer */
	int listener;
};

static void lab_init(struct lab *lab)
{
	struct address here = fixture_address("127.0.0.1", fixture_find_port("127.0.0.1"));
	lab->there = fixture_address("127.0.0.2", fixture_find_port("127.0.0.2"));
	lab->listener = raw_listen(&lab->there);
	loop_start(&lab->loop);
	node_init(&lab->node, &lab->loop, 64512, LOW_ID, here, 64513, lab->there);
}

static void lab_start(struct lab *lab)
{
	lab_init(lab);
	node_start(&lab->node);
}

static void lab_stop(struct lab *lab)
{
	node_stop(&lab->node);
	close(lab->listener);
	loop_stop(&lab->loop);
}

/* Brings a raw connection to Established; its identifier is `id`. */
static void lab_establish(struct lab *lab, struct raw *raw, uint32_t id)
{
	uint8_t message[4096];
	raw_send_open(raw, 64513, id);
	raw_send_keepalive(raw);
	CU_ASSERT_TRUE_FATAL(raw_expect(raw, 1, message));
	CU_ASSERT_TRUE_FATAL(raw_expect(raw, 4, message));
	CU_ASSERT_TRUE_FATAL(loop_until(&lab->loop, node_is_established, &lab->node));
}

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
	int64_t since_ms = clock_now_ms();
	raw_connect(&raw, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	lab_establish(&lab, &raw, HIGH_ID);
	CU_ASSERT_TRUE(clock_now_ms() - since_ms < PEER_NEWCOMER_MS);
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
	raw_connect(&early, &lab.loop, "127.0.0.2", &lab.node.listen, NULL);
	loop_for(&lab.loop, PEER_NEWCOMER_MS / 2);
	CU_ASSERT_TRUE(node_is_established(&lab.node));
	raw_connect(&raw, &lab.loop, "127.0.0.2", &lab.node.listen, NULL); /* in its place */
	CU_ASSERT_TRUE(raw_expect_end(&early));
	lab_establish(&lab, &raw, HIGH_ID);
	int64_t took_ms = clock_now_ms() - since_ms;
	CU_ASSERT_TRUE(took_ms >= PEER_NEWCOMER_MS && took_ms < 3 * PEER_NEWCOMER_MS);
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

static bool in_a_network_of_its_own(void)
{
	if (unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0)
		return true;
	printf("SKIPPED: no network namespace: %s\n", strerror(errno));
	return false;
}

static size_t a_announced(struct pair *pair)
{
	speaker_note_host_addresses(pair->a.speaker);
	return node_status(&pair->a).announced;
}

/* The last test: the process stays in the namespace. */
static void test_next_hops_follow_the_interface(void)
{
	struct pair pair;
	if (!in_a_network_of_its_own())
		return;
	pair_init(&pair, "127.0.0.1", "127.0.0.2");
	snprintf(pair.a.config.next_hop_interface, sizeof(pair.a.config.next_hop_interface), "lo");
	pair_start(&pair);
	node_announce(&pair.a, both_families);
	CU_ASSERT_TRUE(loop_until(&pair.loop, pair_is_established, &pair));
	CU_ASSERT_EQUAL(a_announced(&pair), 1);
	CU_ASSERT_EQUAL(system("ip address add 2001:db8:1::1/64 dev lo nodad"), 0);
	CU_ASSERT_EQUAL(a_announced(&pair), 2);
	CU_ASSERT_STRING_EQUAL(node_status(&pair.a).held_back, "");
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_two_routes, &pair));
	CU_ASSERT_EQUAL(system("ip address del 2001:db8:1::1/64 dev lo"), 0);
	CU_ASSERT_EQUAL(a_announced(&pair), 1);
	CU_ASSERT_TRUE(loop_until(&pair.loop, b_has_three_updates, &pair));
	pair_stop(&pair);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"two speakers announce and withdraw", test_two_speakers_announce_to_each_other},
		{"sessions over IPv6 carry both families", test_sessions_over_ipv6},
		{"what cannot be announced is said", test_what_cannot_be_announced_is_said},
		{"a router that restarts hears everything again",
		 test_a_router_that_restarts_hears_everything_again},
		{"of simultaneous connections one stays",
		 test_of_simultaneous_connections_one_stays},
		{"a shutdown tells why", test_a_shutdown_tells_why},
		{"TTL security between neighbours", test_ttl_security_between_neighbours},
		{"TCP MD5, made and accepted", test_md5_both_ways},
		{"a wrong MD5 password gets nowhere", test_a_wrong_md5_password_gets_nowhere},
		{"a withdrawal is on the wire at once", test_a_withdrawal_is_on_the_wire_at_once},
		{"strangers are refused", test_strangers_are_refused},
		{"garbage ends the connection, which is tried again",
		 test_garbage_ends_the_connection_and_is_tried_again},
		{"a wrong AS number is told so", test_a_wrong_as_is_told_so},
		{"a refused connection is tried ever later",
		 test_a_refused_connection_is_tried_ever_later},
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
		{"next hops follow the interface", test_next_hops_follow_the_interface},
	};
	return SUITE_RUN("speaker", tests);
}
