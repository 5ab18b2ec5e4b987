/*
 * The BFD state machine, in made-up time: alone, fed with packets, and two of them joined by a wire
 * that can be cut.
 */
#include "announcer/bfd_session.h"
#include "suite.h"

#include <string.h>

#define MS 1000
#define SECOND (1000 * MS)

static const struct bfd_session_options options_a = {.discriminator = 0xa,
						     .min_tx_us = 100 * MS,
						     .min_rx_us = 100 * MS,
						     .multiplier = 3,
						     .seed = 1};
static const struct bfd_session_options options_b = {.discriminator = 0xb,
						     .min_tx_us = 50 * MS,
						     .min_rx_us = 200 * MS,
						     .multiplier = 5,
						     .seed = 2};

/* A packet as `b` would send it. */
static struct bfd_packet packet_of_b(enum bfd_state state)
{
	return (struct bfd_packet){
		.state = state,
		.multiplier = 5,
		.my_discriminator = 0xb,
		.your_discriminator = 0xa,
		.desired_min_tx_us = 50 * MS,
		.required_min_rx_us = 200 * MS,
	};
}

static int send_all(struct bfd_session *session, int64_t now, struct bfd_packet *last)
{
	int count = 0;

	while (bfd_session_next_packet(session, now, last))
		count++;
	return count;
}

/* A session that is up, at time 0, with nothing to send and no poll of its own left. */
static struct bfd_session session_up(const struct bfd_session_options *options)
{
	struct bfd_session session;
	struct bfd_packet packet = packet_of_b(BFD_INIT);

	bfd_session_init(&session, options, 0);
	CU_ASSERT_TRUE(bfd_session_receive(&session, &packet, 0));
	packet = packet_of_b(BFD_UP);
	packet.final = true;
	CU_ASSERT_FALSE(bfd_session_receive(&session, &packet, 0));
	send_all(&session, 0, &packet);
	CU_ASSERT_EQUAL_FATAL(session.state, BFD_UP);
	return session;
}

/* Two sessions and the wire between them. */
struct pair {
	struct bfd_session a, b;
	int64_t now;
	bool cut_to_b, cut_to_a;
	int sent_a, sent_b;
	struct bfd_packet last_a, last_b; /* sent by */
};

static void pair_init(struct pair *pair, const struct bfd_session_options *a,
		      const struct bfd_session_options *b)
{
	memset(pair, 0, sizeof(*pair));
	bfd_session_init(&pair->a, a, 0);
	bfd_session_init(&pair->b, b, 0);
}

/* Sends what is due at both ends until nobody has more to say now. */
static void pair_exchange(struct pair *pair)
{
	struct bfd_packet packet;
	bool any = true;

	while (any) {
		any = false;
		if (bfd_session_next_packet(&pair->a, pair->now, &packet)) {
			any = true;
			pair->sent_a++;
			pair->last_a = packet;
			if (!pair->cut_to_b)
				bfd_session_receive(&pair->b, &packet, pair->now);
		}
		if (bfd_session_next_packet(&pair->b, pair->now, &packet)) {
			any = true;
			pair->sent_b++;
			pair->last_b = packet;
			if (!pair->cut_to_a)
				bfd_session_receive(&pair->a, &packet, pair->now);
		}
	}
}

/* Lets time go on from deadline to deadline. */
static void pair_run(struct pair *pair, int64_t until)
{
	for (;;) {
		pair_exchange(pair);
		int64_t a = bfd_session_deadline_us(&pair->a);
		int64_t b = bfd_session_deadline_us(&pair->b);
		int64_t next = a < b ? a : b;
		if (next > until)
			break;
		CU_ASSERT_FATAL(next >= pair->now);
		pair->now = next;
		bfd_session_tick(&pair->a, pair->now);
		bfd_session_tick(&pair->b, pair->now);
	}
	pair->now = until;
}

static void test_two_come_up_within_a_second(void)
{
	struct pair pair;

	pair_init(&pair, &options_a, &options_b);
	pair_run(&pair, SECOND);
	CU_ASSERT_EQUAL(pair.a.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.b.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.a.remote_discriminator, 0xb);
	CU_ASSERT_EQUAL(pair.b.remote_discriminator, 0xa);
	CU_ASSERT_FALSE(pair.a.polling);
	CU_ASSERT_FALSE(pair.b.polling);
	/* Each sends no faster than the other wants; each waits by the other's multiplier. */
	CU_ASSERT_EQUAL(pair.a.interval_us, 200 * MS);
	CU_ASSERT_EQUAL(pair.b.interval_us, 100 * MS);
	CU_ASSERT_EQUAL(bfd_session_detection_us(&pair.a), 5 * 100 * MS);
	CU_ASSERT_EQUAL(bfd_session_detection_us(&pair.b), 3 * 200 * MS);
}

static void test_two_stay_up(void)
{
	struct pair pair;

	pair_init(&pair, &options_a, &options_b);
	pair_run(&pair, SECOND);
	int64_t since_a = pair.a.changed_us;
	int before = pair.sent_a;
	pair_run(&pair, 601 * SECOND);
	CU_ASSERT_EQUAL(pair.a.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.b.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.a.changed_us, since_a);
	/* 600 s at 150 to 200 ms each. */
	CU_ASSERT(pair.sent_a - before >= 3000 && pair.sent_a - before <= 4000);
}

static void test_multiplier_of_one_stays_up(void)
{
	struct bfd_session_options one_a = options_a;
	struct bfd_session_options one_b = options_b;
	struct pair pair;

	one_a.multiplier = one_b.multiplier = 1;
	pair_init(&pair, &one_a, &one_b);
	pair_run(&pair, SECOND);
	int64_t since_a = pair.a.changed_us;
	pair_run(&pair, 100 * SECOND);
	CU_ASSERT_EQUAL(pair.a.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.a.changed_us, since_a);
}

static void test_a_cut_wire_is_seen_in_the_detection_time(void)
{
	struct pair pair;

	pair_init(&pair, &options_a, &options_b);
	pair_run(&pair, 10 * SECOND);
	pair.cut_to_a = pair.cut_to_b = true;
	pair_run(&pair, 10 * SECOND + 399 * MS);
	CU_ASSERT_EQUAL(pair.a.state, BFD_UP); /* the last packet was at most 100 ms old */
	pair_run(&pair, 10 * SECOND + 500 * MS);
	CU_ASSERT_EQUAL(pair.a.state, BFD_DOWN);
	CU_ASSERT_EQUAL(pair.a.cause, BFD_CAUSE_EXPIRED);
	CU_ASSERT_EQUAL(pair.a.diagnostic, BFD_DIAG_EXPIRED);
	CU_ASSERT_EQUAL(pair.a.silence_us, 500 * MS);
	CU_ASSERT_EQUAL(pair.a.remote_discriminator, 0);
	pair_run(&pair, 10 * SECOND + 600 * MS);
	CU_ASSERT_EQUAL(pair.b.state, BFD_DOWN);
	/* Down, both are slow, and say why. */
	pair_run(&pair, 20 * SECOND);
	int before = pair.sent_a;
	pair_run(&pair, 30 * SECOND);
	CU_ASSERT(pair.sent_a - before >= 10 && pair.sent_a - before <= 14);
	CU_ASSERT_EQUAL(pair.last_a.diagnostic, BFD_DIAG_EXPIRED);
	CU_ASSERT_EQUAL(pair.last_a.desired_min_tx_us, BFD_SLOW_US);
	CU_ASSERT_EQUAL(pair.last_a.your_discriminator, 0);
	/* And come back when the wire does. */
	pair.cut_to_a = pair.cut_to_b = false;
	pair_run(&pair, 31 * SECOND + 1);
	CU_ASSERT_EQUAL(pair.a.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.b.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.a.diagnostic, BFD_DIAG_NONE);
}

static void test_a_wire_cut_one_way_takes_both_down(void)
{
	struct pair pair;

	pair_init(&pair, &options_a, &options_b);
	pair_run(&pair, 10 * SECOND);
	pair.cut_to_b = true;
	pair_run(&pair, 10 * SECOND + 600 * MS);
	CU_ASSERT_EQUAL(pair.b.cause, BFD_CAUSE_EXPIRED);
	CU_ASSERT_EQUAL(pair.a.state, BFD_DOWN); /* told at once */
	CU_ASSERT_EQUAL(pair.a.cause, BFD_CAUSE_PEER_DOWN);
	CU_ASSERT_EQUAL(pair.a.diagnostic, BFD_DIAG_NEIGHBOR_DOWN);
	CU_ASSERT_EQUAL(pair.a.remote_diagnostic, BFD_DIAG_EXPIRED);
	pair_run(&pair, 20 * SECOND);
	CU_ASSERT_NOT_EQUAL(pair.a.state, BFD_UP);
	CU_ASSERT_NOT_EQUAL(pair.b.state, BFD_UP);
}

/* RFC 5880 section 6.8.6 as a table: our state, the peer's, and what becomes of ours. */
static void test_the_table_of_states(void)
{
	static const enum bfd_state next[4][4] = {
		/* the peer:      AdminDown       Down            Init            Up */
		[BFD_ADMIN_DOWN] = {BFD_ADMIN_DOWN, BFD_ADMIN_DOWN, BFD_ADMIN_DOWN, BFD_ADMIN_DOWN},
		[BFD_DOWN] = {BFD_DOWN, BFD_INIT, BFD_UP, BFD_DOWN},
		[BFD_INIT] = {BFD_DOWN, BFD_INIT, BFD_UP, BFD_UP},
		[BFD_UP] = {BFD_DOWN, BFD_DOWN, BFD_UP, BFD_UP},
	};

	for (unsigned int ours = 0; ours < 4; ours++) {
		for (unsigned int theirs = 0; theirs < 4; theirs++) {
			struct bfd_session session;
			struct bfd_packet packet;
			bfd_session_init(&session, &options_a, 0);
			if (ours == BFD_ADMIN_DOWN)
				bfd_session_shut(&session, 0);
			packet = packet_of_b(BFD_DOWN);
			if (ours == BFD_INIT)
				bfd_session_receive(&session, &packet, 0);
			packet = packet_of_b(BFD_INIT);
			if (ours == BFD_UP)
				bfd_session_receive(&session, &packet, 0);
			CU_ASSERT_EQUAL_FATAL(session.state, ours);
			packet = packet_of_b((enum bfd_state)theirs);
			bool changed = bfd_session_receive(&session, &packet, 1);
			CU_ASSERT_EQUAL(session.state, next[ours][theirs]);
			CU_ASSERT_EQUAL(changed, next[ours][theirs] != ours);
		}
	}
}

static void test_a_change_is_told_at_once(void)
{
	struct bfd_session session;
	struct bfd_packet packet;

	bfd_session_init(&session, &options_a, 0);
	CU_ASSERT_EQUAL(send_all(&session, 0, &packet), 1);
	CU_ASSERT_EQUAL(packet.state, BFD_DOWN);
	CU_ASSERT_EQUAL(send_all(&session, 1, &packet), 0);
	packet = packet_of_b(BFD_DOWN);
	packet.your_discriminator = 0;
	bfd_session_receive(&session, &packet, 2);
	CU_ASSERT(bfd_session_deadline_us(&session) <= 2);
	CU_ASSERT_EQUAL(send_all(&session, 2, &packet), 1);
	CU_ASSERT_EQUAL(packet.state, BFD_INIT);
	CU_ASSERT_EQUAL(packet.your_discriminator, 0xb);
	CU_ASSERT_EQUAL(packet.desired_min_tx_us, BFD_SLOW_US);
}

static void test_a_new_interval_is_polled_until_final(void)
{
	struct bfd_session session;
	struct bfd_packet packet = packet_of_b(BFD_INIT);

	bfd_session_init(&session, &options_a, 0);
	bfd_session_receive(&session, &packet, 0);
	CU_ASSERT_EQUAL(send_all(&session, 0, &packet), 1);
	CU_ASSERT_EQUAL(packet.desired_min_tx_us, 100 * MS);
	CU_ASSERT_TRUE(packet.poll);
	packet = packet_of_b(BFD_UP); /* no final bit: the poll goes on */
	bfd_session_receive(&session, &packet, 100 * MS);
	CU_ASSERT_EQUAL(send_all(&session, 200 * MS, &packet), 1);
	CU_ASSERT_TRUE(packet.poll);
	packet = packet_of_b(BFD_UP);
	packet.final = true;
	bfd_session_receive(&session, &packet, 250 * MS);
	CU_ASSERT_EQUAL(send_all(&session, 450 * MS, &packet), 1);
	CU_ASSERT_FALSE(packet.poll);
}

static void test_a_poll_is_answered_at_once(void)
{
	struct bfd_session session = session_up(&options_a);
	struct bfd_packet packet = packet_of_b(BFD_UP);
	int64_t before = session.send_at_us;

	packet.poll = true;
	bfd_session_receive(&session, &packet, 10);
	CU_ASSERT_EQUAL(send_all(&session, 10, &packet), 1);
	CU_ASSERT_TRUE(packet.final);
	CU_ASSERT_FALSE(packet.poll);
	CU_ASSERT_EQUAL(session.send_at_us, before); /* periodic packets go on as they were */
	/* Both bits in one packet are no poll: answers to answers would never end. */
	packet = packet_of_b(BFD_UP);
	packet.poll = packet.final = true;
	bfd_session_receive(&session, &packet, 20);
	CU_ASSERT_EQUAL(send_all(&session, 20, &packet), 0);
}

static void check_jitter(uint8_t multiplier, int64_t most)
{
	struct bfd_session_options options = options_a;
	struct bfd_packet packet;
	int64_t low = INT64_MAX;
	int64_t high = 0;

	options.multiplier = multiplier;
	struct bfd_session session = session_up(&options);
	int64_t now = session.send_at_us;
	for (int i = 0; i < 2000; i++) {
		packet = packet_of_b(BFD_UP);
		bfd_session_receive(&session, &packet, now);
		CU_ASSERT_EQUAL(send_all(&session, now, &packet), 1);
		int64_t gap = session.send_at_us - now;
		low = gap < low ? gap : low;
		high = gap > high ? gap : high;
		now = session.send_at_us;
	}
	CU_ASSERT(low >= 150 * MS && low < 152 * MS);
	CU_ASSERT(high <= most && high > most - 2 * MS);
}

static void test_jitter_is_a_quarter_at_most(void)
{
	check_jitter(3, 200 * MS);
}

static void test_jitter_leaves_a_tenth_when_no_packet_may_be_lost(void)
{
	check_jitter(1, 180 * MS);
}

static void test_a_peer_that_wants_nothing_gets_nothing(void)
{
	struct bfd_session session = session_up(&options_a);
	struct bfd_packet packet = packet_of_b(BFD_UP);

	packet.required_min_rx_us = 0;
	bfd_session_receive(&session, &packet, 10);
	CU_ASSERT_EQUAL(send_all(&session, 400 * MS, &packet), 0);
	CU_ASSERT_EQUAL(bfd_session_deadline_us(&session), 10 + 500 * MS); /* still watched */
	packet = packet_of_b(BFD_UP);
	packet.required_min_rx_us = 0;
	packet.poll = true;
	bfd_session_receive(&session, &packet, 400 * MS);
	CU_ASSERT_EQUAL(send_all(&session, 400 * MS, &packet), 1); /* but an answer */
	CU_ASSERT_TRUE(packet.final);
}

static void test_demand_mode_is_respected_while_both_are_up(void)
{
	struct bfd_session session = session_up(&options_a);
	struct bfd_packet packet = packet_of_b(BFD_UP);

	packet.demand = true;
	bfd_session_receive(&session, &packet, 10);
	CU_ASSERT_EQUAL(send_all(&session, 400 * MS, &packet), 0);
	/* It goes down: a change is told, and periodic packets come again. */
	CU_ASSERT_TRUE(bfd_session_tick(&session, 10 + 500 * MS));
	CU_ASSERT_EQUAL(send_all(&session, 10 + 500 * MS, &packet), 1);
	CU_ASSERT_EQUAL(send_all(&session, 10 + 1500 * MS, &packet), 1);
	CU_ASSERT_FALSE(packet.demand);
}

static void test_a_faster_peer_is_followed_at_once(void)
{
	struct bfd_session session = session_up(&options_a);
	struct bfd_packet packet = packet_of_b(BFD_UP);

	packet.required_min_rx_us = 10 * SECOND;
	bfd_session_receive(&session, &packet, 10);
	CU_ASSERT(session.send_at_us >= 7500 * MS);
	packet = packet_of_b(BFD_UP);
	packet.required_min_rx_us = 1;
	bfd_session_receive(&session, &packet, 20);
	CU_ASSERT_EQUAL(session.interval_us, 100 * MS); /* no faster than we want */
	CU_ASSERT(session.send_at_us <= 100 * MS);
}

static void test_the_detection_time_follows_the_peer(void)
{
	struct bfd_session session = session_up(&options_a);
	struct bfd_packet packet = packet_of_b(BFD_UP);

	CU_ASSERT_EQUAL(bfd_session_detection_us(&session), 500 * MS);
	packet.multiplier = 255;
	packet.desired_min_tx_us = UINT32_MAX;
	bfd_session_receive(&session, &packet, 10);
	CU_ASSERT_EQUAL(bfd_session_detection_us(&session), 255 * (int64_t)UINT32_MAX);
	packet = packet_of_b(BFD_UP);
	packet.multiplier = 1;
	bfd_session_receive(&session, &packet, 20);
	CU_ASSERT_EQUAL(bfd_session_detection_us(&session), 100 * MS);
	CU_ASSERT_FALSE(bfd_session_tick(&session, 20 + 100 * MS - 1));
	CU_ASSERT_TRUE(bfd_session_tick(&session, 20 + 100 * MS));
}

static void test_a_peer_taken_down_is_told_from_a_dead_one(void)
{
	struct pair pair;

	pair_init(&pair, &options_a, &options_b);
	pair_run(&pair, 10 * SECOND);
	CU_ASSERT_TRUE(bfd_session_shut(&pair.b, pair.now));
	pair_run(&pair, 10 * SECOND + 1);
	CU_ASSERT_EQUAL(pair.a.state, BFD_DOWN);
	CU_ASSERT_EQUAL(pair.a.cause, BFD_CAUSE_PEER_ADMIN_DOWN);
	CU_ASSERT_EQUAL(pair.a.remote_state, BFD_ADMIN_DOWN);
	CU_ASSERT_EQUAL(pair.a.remote_diagnostic, BFD_DIAG_ADMINISTRATIVELY);
	CU_ASSERT_EQUAL(pair.b.state, BFD_ADMIN_DOWN);
	/* Told again on request; nothing brings it back. */
	int before = pair.sent_b;
	CU_ASSERT_FALSE(bfd_session_shut(&pair.b, pair.now));
	pair_exchange(&pair);
	CU_ASSERT_EQUAL(pair.sent_b, before + 1);
	pair_run(&pair, 60 * SECOND);
	CU_ASSERT_EQUAL(pair.b.state, BFD_ADMIN_DOWN);
	CU_ASSERT_EQUAL(pair.a.state, BFD_DOWN);
}

static void test_a_restarted_peer_comes_back(void)
{
	struct bfd_session_options other = options_b;
	struct pair pair;

	pair_init(&pair, &options_a, &options_b);
	pair_run(&pair, 10 * SECOND);
	other.discriminator = 0xc;
	bfd_session_init(&pair.b, &other, pair.now);
	pair_run(&pair, 11 * SECOND + 1);
	CU_ASSERT_EQUAL(pair.a.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.b.state, BFD_UP);
	CU_ASSERT_EQUAL(pair.a.remote_discriminator, 0xc);
	CU_ASSERT(pair.a.changed_us >= 10 * SECOND); /* not without having gone down */
}

/* Packets that waited while the process did not run count before its time is judged. */
static void test_packets_that_waited_keep_it_up(void)
{
	struct bfd_session session = session_up(&options_a);
	struct bfd_packet packet = packet_of_b(BFD_UP);

	bfd_session_receive(&session, &packet, 5 * SECOND);
	CU_ASSERT_FALSE(bfd_session_tick(&session, 5 * SECOND));
	CU_ASSERT_EQUAL(session.state, BFD_UP);
	CU_ASSERT_EQUAL(send_all(&session, 5 * SECOND, &packet), 1); /* one, not all it missed */
}

static void test_a_slow_interval_of_ours_needs_no_poll(void)
{
	struct bfd_session_options slow = options_a;
	struct bfd_packet packet = packet_of_b(BFD_INIT);
	struct bfd_session session;

	slow.min_tx_us = 2 * SECOND;
	bfd_session_init(&session, &slow, 0);
	bfd_session_receive(&session, &packet, 0);
	CU_ASSERT_EQUAL(send_all(&session, 0, &packet), 1);
	CU_ASSERT_EQUAL(packet.state, BFD_UP);
	CU_ASSERT_EQUAL(packet.desired_min_tx_us, 2 * SECOND);
	CU_ASSERT_FALSE(packet.poll);
}

static void test_nobody_there_costs_one_packet_a_second(void)
{
	struct bfd_session session;
	struct bfd_packet packet;
	int count = 0;

	bfd_session_init(&session, &options_a, 0);
	for (int64_t now = 0; now < 100 * SECOND; now = bfd_session_deadline_us(&session)) {
		CU_ASSERT_FALSE(bfd_session_tick(&session, now));
		count += send_all(&session, now, &packet);
	}
	CU_ASSERT(count >= 100 && count <= 134);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"two come up within a second", test_two_come_up_within_a_second},
		{"two stay up", test_two_stay_up},
		{"a multiplier of one stays up", test_multiplier_of_one_stays_up},
		{"a cut wire is seen in the detection time",
		 test_a_cut_wire_is_seen_in_the_detection_time},
		{"a wire cut one way takes both down", test_a_wire_cut_one_way_takes_both_down},
		{"the table of states", test_the_table_of_states},
		{"a change is told at once", test_a_change_is_told_at_once},
		{"a new interval is polled until final", test_a_new_interval_is_polled_until_final},
		{"a poll is answered at once", test_a_poll_is_answered_at_once},
		{"jitter is a quarter at most", test_jitter_is_a_quarter_at_most},
		{"jitter leaves a tenth when no packet may be lost",
		 test_jitter_leaves_a_tenth_when_no_packet_may_be_lost},
		{"a peer that wants nothing gets nothing",
		 test_a_peer_that_wants_nothing_gets_nothing},
		{"demand mode is respected while both are up",
		 test_demand_mode_is_respected_while_both_are_up},
		{"a faster peer is followed at once", test_a_faster_peer_is_followed_at_once},
		{"the detection time follows the peer", test_the_detection_time_follows_the_peer},
		{"a peer taken down is told from a dead one",
		 test_a_peer_taken_down_is_told_from_a_dead_one},
		{"a restarted peer comes back", test_a_restarted_peer_comes_back},
		{"packets that waited keep it up", test_packets_that_waited_keep_it_up},
		{"a slow interval of ours needs no poll",
		 test_a_slow_interval_of_ours_needs_no_poll},
		{"nobody there costs one packet a second",
		 test_nobody_there_costs_one_packet_a_second},
	};
	return SUITE_RUN("bfd_session", tests);
}
