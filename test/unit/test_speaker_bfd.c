/*
 * What BFD means for a session, on a BFD that does what the test says: this file stands in for
 * announcer/bfd.c.
 */
#include "announcer/bfd_packet.h"
#include "speaker_fixture.h"
#include "suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the BFD ---------------------------------------------------------------------------------- */

struct bfd {
	int event;
};

struct bfd_link {
	struct bfd_options options;
	struct bfd_status status;
};

static struct bfd the_bfd;
static struct bfd_link the_link;

int bfd_event_fd(const struct bfd *bfd)
{
	return bfd->event;
}

struct bfd_link *bfd_add(struct bfd *bfd, const struct bfd_options *options, char *error,
			 size_t error_size)
{
	(void)bfd;
	if (options->min_tx_us == 0) {
		snprintf(error, error_size, "the fake BFD fails");
		return NULL;
	}
	the_link.options = *options;
	return &the_link;
}

void bfd_read_status(struct bfd_link *link, struct bfd_status *out)
{
	*out = link->status;
}

const char *bfd_diagnostic_name(uint8_t diagnostic)
{
	return diagnostic == BFD_DIAG_EXPIRED ? "control detection time expired" : "something else";
}

static void link_change(enum bfd_state state, enum bfd_state remote, uint8_t diagnostic)
{
	const uint64_t one = 1;
	the_link.status.ups += state == BFD_UP && the_link.status.state != BFD_UP;
	the_link.status.downs += state != BFD_UP && the_link.status.state == BFD_UP;
	the_link.status.state = state;
	the_link.status.remote_state = remote;
	the_link.status.diagnostic = diagnostic;
	if (write(the_bfd.event, &one, sizeof(one)) != (ssize_t)sizeof(one))
		abort();
}

/* --- a speaker whose peer is the test --------------------------------------------------------- */

/* A lab whose speaker uses the BFD above. */
static void bfd_lab_init(struct lab *lab)
{
	lab_init(lab);
	memset(&the_link, 0, sizeof(the_link));
	the_link.status.state = BFD_DOWN;
	the_bfd.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	lab->node.bfd = &the_bfd;
	lab->node.peer.bfd = (struct announcer_bfd){
		.enabled = true,
		.min_tx_ms = 100,
		.min_rx_ms = 50,
		.multiplier = 3,
	};
}

static void bfd_lab_stop(struct lab *lab)
{
	lab_stop(lab);
	close(the_bfd.event);
}

/* The next session, established. */
static void accept_session(struct lab *lab, struct raw *raw)
{
	raw_accept(raw, &lab->loop, lab->listener);
	lab_establish(lab, raw, HIGH_ID);
}

static void test_down_closes_the_session_at_once(void)
{
	struct lab lab;
	struct raw raw;
	bfd_lab_init(&lab);
	node_start(&lab.node);
	accept_session(&lab, &raw); /* a BFD that is not up holds nothing back */
	link_change(BFD_UP, BFD_UP, BFD_DIAG_NONE);
	loop_for(&lab.loop, 10);
	CU_ASSERT_TRUE(node_status(&lab.node).has_bfd);
	CU_ASSERT_EQUAL(node_status(&lab.node).bfd.state, BFD_UP);
	CU_ASSERT_TRUE(node_is_established(&lab.node));

	link_change(BFD_DOWN, BFD_UP, BFD_DIAG_EXPIRED);
	CU_ASSERT_TRUE(raw_expect_notification(&raw, 6, 10));
	CU_ASSERT_TRUE(raw_expect_end(&raw));
	CU_ASSERT_STRING_EQUAL(node_status(&lab.node).last_error,
			       "BFD down: control detection time expired");
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_BFD_CLOSED), 1);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_LOST), 1);
	raw_close(&raw);
	accept_session(&lab, &raw);
	raw_close(&raw);
	bfd_lab_stop(&lab);
}

/* Down and up again before anybody looked: packets were lost for too long all the same. */
static void test_a_short_down_counts_too(void)
{
	struct lab lab;
	struct raw raw;
	bfd_lab_init(&lab);
	node_start(&lab.node);
	link_change(BFD_UP, BFD_UP, BFD_DIAG_NONE);
	accept_session(&lab, &raw);
	link_change(BFD_DOWN, BFD_UP, BFD_DIAG_EXPIRED);
	link_change(BFD_UP, BFD_UP, BFD_DIAG_NONE);
	CU_ASSERT_TRUE(raw_expect_notification(&raw, 6, 10));
	raw_close(&raw);
	bfd_lab_stop(&lab);
}

static void test_a_remote_admin_down_leaves_the_session(void)
{
	struct lab lab;
	struct raw raw;
	bfd_lab_init(&lab);
	node_start(&lab.node);
	link_change(BFD_UP, BFD_UP, BFD_DIAG_NONE);
	accept_session(&lab, &raw);
	link_change(BFD_DOWN, BFD_ADMIN_DOWN, BFD_DIAG_NEIGHBOR_DOWN);
	loop_for(&lab.loop, 30);
	CU_ASSERT_TRUE(node_is_established(&lab.node));
	/* The peer's BFD comes back, then really fails. */
	link_change(BFD_UP, BFD_UP, BFD_DIAG_NONE);
	loop_for(&lab.loop, 10);
	link_change(BFD_DOWN, BFD_DOWN, BFD_DIAG_NEIGHBOR_DOWN);
	CU_ASSERT_TRUE(raw_expect_notification(&raw, 6, 10));
	raw_close(&raw);
	bfd_lab_stop(&lab);
}

static bool lab_has_tried_four_times(void *ctx)
{
	return loop_count(&((struct lab *)ctx)->loop, METRIC_BGP_CONNECT_FAILURES) == 4;
}

static void test_up_ends_the_wait_between_tries(void)
{
	struct lab lab;
	struct raw raw;
	bfd_lab_init(&lab);
	lab.node.config.connect_retry_ms = 60000;
	close(lab.listener);
	node_start(&lab.node);
	CU_ASSERT_TRUE(loop_until(&lab.loop, lab_has_tried_four_times, &lab));
	lab.listener = raw_listen(&lab.there);
	link_change(BFD_UP, BFD_UP, BFD_DIAG_NONE); /* the next try is 600 ms away, or more */
	loop_for(&lab.loop, 100);
	CU_ASSERT_EQUAL(loop_count(&lab.loop, METRIC_BGP_CONNECTS), 5);
	accept_session(&lab, &raw);
	raw_close(&raw);
	bfd_lab_stop(&lab);
}

/* A listener with a key drops SYNs without it, as a broken link does. */
static bool lab_drop_connections(struct lab *lab, bool drop)
{
	struct tcp_md5sig key = {.tcpm_keylen = drop ? 1 : 0};
	((struct sockaddr_in *)&key.tcpm_addr)->sin_family = AF_INET;
	inet_pton(AF_INET, "127.0.0.1", &((struct sockaddr_in *)&key.tcpm_addr)->sin_addr);
	if (setsockopt(lab->listener, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) == 0)
		return true;
	printf("SKIPPED: the kernel refuses TCP MD5: %s\n", strerror(errno));
	return false;
}

static void test_up_does_not_wait_for_a_lost_syn(void)
{
	struct lab lab;
	struct raw raw;
	bfd_lab_init(&lab);
	if (lab_drop_connections(&lab, true)) {
		node_start(&lab.node);
		loop_for(&lab.loop, 30);
		CU_ASSERT_EQUAL(node_status(&lab.node).state, PEER_CONNECT);
		lab_drop_connections(&lab, false);
		int64_t since_ms = lab.loop.machine_ms;
		link_change(BFD_UP, BFD_UP, BFD_DIAG_NONE);
		accept_session(&lab, &raw);
		/* SYN comes again after 1 s. */
		CU_ASSERT_TRUE(lab.loop.machine_ms - since_ms < 500);
		raw_close(&raw);
	}
	bfd_lab_stop(&lab);
}

static void test_the_link_is_as_configured(void)
{
	struct lab lab;
	char error[256] = "";
	bfd_lab_init(&lab);
	lab.node.peer.multihop = 3;
	lab.node.peer.ttl_security = true;
	node_start(&lab.node);
	CU_ASSERT_EQUAL(
		memcmp(&the_link.options.peer, &lab.there.addr, sizeof(the_link.options.peer)), 0);
	CU_ASSERT_EQUAL(the_link.options.local.ss_family, AF_INET);
	CU_ASSERT_EQUAL(the_link.options.min_tx_us, 100000);
	CU_ASSERT_EQUAL(the_link.options.min_rx_us, 50000);
	CU_ASSERT_EQUAL(the_link.options.multiplier, 3);
	CU_ASSERT_TRUE(the_link.options.multihop);
	CU_ASSERT_EQUAL(the_link.options.min_ttl, 253);
	node_stop(&lab.node);

	lab.node.peer.bfd.min_tx_ms = 0;
	const struct speaker_options options = {
		.base = lab.loop.base,
		.config = &lab.node.config,
		.bfd = &the_bfd,
		.metrics = lab.loop.shard,
	};
	CU_ASSERT_PTR_NULL(speaker_start(&options, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, "the fake BFD fails");
	bfd_lab_stop(&lab);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"BFD down closes the session at once", test_down_closes_the_session_at_once},
		{"a short down counts too", test_a_short_down_counts_too},
		{"a remote AdminDown leaves the session",
		 test_a_remote_admin_down_leaves_the_session},
		{"BFD up ends the wait between tries", test_up_ends_the_wait_between_tries},
		{"BFD up does not wait for a lost SYN", test_up_does_not_wait_for_a_lost_syn},
		{"the link is as configured", test_the_link_is_as_configured},
	};
	return SUITE_RUN("speaker_bfd", tests);
}
