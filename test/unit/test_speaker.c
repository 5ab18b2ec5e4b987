/*
 * Speakers with each other over loopback: sessions of both families, what they announce, TCP MD5
 * and GTSM, the end, and the next hops of an interface.
 */
#include "common/clock.h"
#include "speaker_fixture.h"
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const nothing[] = {NULL};
static const char *const one[] = {"192.0.2.53/32", NULL};
static const char *const two[] = {"192.0.2.53/32", "192.0.2.54/32", NULL};
static const char *const both_families[] = {"192.0.2.53/32", "2001:db8::53/128", NULL};

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

/* --- next hops -------------------------------------------------------------------------------- */

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
		{"next hops follow the interface", test_next_hops_follow_the_interface},
	};
	return SUITE_RUN("speaker", tests);
}
