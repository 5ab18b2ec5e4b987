/* Which replica is chosen, and how trust in one is lost and won back. */
#include "frontend/balance.h"
#include "suite.h"

#define COUNT 3
#define CAP 10

static struct balance_peer peers[COUNT];
static const struct balance_peer *pointers[COUNT];

static void set_up(void)
{
	for (int i = 0; i < COUNT; i++) {
		balance_peer_init(&peers[i], CAP);
		balance_note_connection(&peers[i], BALANCE_CONNECTION_READY);
		pointers[i] = &peers[i];
	}
}

static int choose(const struct balance_peer *avoid, uint32_t random)
{
	return balance_choose(pointers, COUNT, (const struct balance_peer *[]){avoid, NULL},
			      random);
}

static void fail(struct balance_peer *peer, int times)
{
	for (int i = 0; i < times; i++)
		balance_note_failure(peer, 1000);
}

static void test_fewest_calls_win(void)
{
	set_up();
	peers[0].in_flight = 5;
	peers[1].in_flight = 2;
	peers[2].in_flight = 3;
	for (uint32_t random = 0; random < 9; random++)
		CU_ASSERT_EQUAL(choose(NULL, random), 1);
}

static void test_equals_share(void)
{
	int chosen[COUNT] = {0};
	set_up();
	for (uint32_t random = 0; random < 30; random++)
		chosen[choose(NULL, random)]++;
	for (int i = 0; i < COUNT; i++)
		CU_ASSERT_EQUAL(chosen[i], 10);
}

static void test_broken_is_not_chosen(void)
{
	set_up();
	balance_note_connection(&peers[0], BALANCE_CONNECTION_BROKEN);
	balance_note_connection(&peers[2], BALANCE_CONNECTION_BROKEN);
	peers[1].in_flight = CAP - 1;
	CU_ASSERT_EQUAL(choose(NULL, 0), 1);
	balance_note_connection(&peers[1], BALANCE_CONNECTION_BROKEN);
	CU_ASSERT_EQUAL(choose(NULL, 0), BALANCE_NONE);
}

static void test_connected_before_connecting(void)
{
	set_up();
	balance_note_connection(&peers[0], BALANCE_CONNECTION_PENDING);
	balance_note_connection(&peers[1], BALANCE_CONNECTION_PENDING);
	peers[2].in_flight = 7;
	CU_ASSERT_EQUAL(choose(NULL, 0), 2);
	peers[2].in_flight = CAP;
	CU_ASSERT_NOT_EQUAL(choose(NULL, 0), 2);
}

static void test_full_is_told_from_none(void)
{
	set_up();
	for (int i = 0; i < COUNT; i++)
		peers[i].in_flight = CAP;
	CU_ASSERT_EQUAL(choose(NULL, 0), BALANCE_FULL);
	peers[1].in_flight--;
	CU_ASSERT_EQUAL(choose(NULL, 0), 1);
	CU_ASSERT_EQUAL(choose(&peers[1], 0), BALANCE_FULL);
	CU_ASSERT_EQUAL(balance_choose(NULL, 0, (const struct balance_peer *[2]){0}, 5),
			BALANCE_NONE);
}

static void test_avoided_is_not_chosen(void)
{
	set_up();
	for (uint32_t random = 0; random < 9; random++)
		CU_ASSERT_NOT_EQUAL(choose(&peers[1], random), 1);
	const struct balance_peer *const two[] = {&peers[0], &peers[1]};
	for (uint32_t random = 0; random < 9; random++)
		CU_ASSERT_EQUAL(balance_choose(pointers, COUNT, two, random), 2);
}

static void test_failures_in_a_row_make_suspect(void)
{
	set_up();
	CU_ASSERT_FALSE(balance_note_failure(&peers[0], 1000));
	CU_ASSERT_FALSE(balance_note_failure(&peers[0], 1000));
	balance_note_success(&peers[0]);
	CU_ASSERT_FALSE(balance_note_failure(&peers[0], 1000));
	CU_ASSERT_FALSE(balance_note_failure(&peers[0], 1000));
	CU_ASSERT_EQUAL(peers[0].trust, BALANCE_TRUSTED);
	CU_ASSERT_EQUAL(balance_probe_due_ms(&peers[0]), INT64_MAX);
	CU_ASSERT_TRUE(balance_note_failure(&peers[0], 1234));
	CU_ASSERT_EQUAL(peers[0].trust, BALANCE_SUSPECT);
	CU_ASSERT_EQUAL(balance_probe_due_ms(&peers[0]), 1234);
	/* Calls that were under way fail too: that is no news. */
	CU_ASSERT_FALSE(balance_note_failure(&peers[0], 1300));
}

static void test_suspect_is_the_last_resort(void)
{
	set_up();
	fail(&peers[0], 3);
	for (uint32_t random = 0; random < 9; random++)
		CU_ASSERT_NOT_EQUAL(choose(NULL, random), 0);
	fail(&peers[1], 3);
	fail(&peers[2], 3);
	/* A query that every replica fails on must not leave none. */
	CU_ASSERT(choose(NULL, 0) >= 0);
}

static void test_failed_probes_come_ever_more_slowly(void)
{
	int64_t wait_ms = 0;
	set_up();
	fail(&peers[0], 3);
	for (int i = 0; i < 12; i++) {
		balance_note_probe_failure(&peers[0], 5000);
		CU_ASSERT_EQUAL(peers[0].trust, BALANCE_DOWN);
		wait_ms = balance_probe_due_ms(&peers[0]) - 5000;
		CU_ASSERT(wait_ms > 0 && wait_ms <= BALANCE_PROBE_MAX_MS);
	}
	CU_ASSERT(wait_ms >= BALANCE_PROBE_MAX_MS * 3 / 4);
	CU_ASSERT_NOT_EQUAL(choose(NULL, 0), 0);
	peers[0].probing = true;
	CU_ASSERT_EQUAL(balance_probe_due_ms(&peers[0]), INT64_MAX);
}

static void test_success_brings_back(void)
{
	set_up();
	fail(&peers[0], 3);
	balance_note_probe_failure(&peers[0], 5000);
	balance_note_success(&peers[0]);
	CU_ASSERT_EQUAL(peers[0].trust, BALANCE_TRUSTED);
	CU_ASSERT_EQUAL(choose(NULL, 0), 0);
	/* A probe that was late to fail does not undo it. */
	balance_note_probe_failure(&peers[0], 5001);
	CU_ASSERT_EQUAL(peers[0].trust, BALANCE_TRUSTED);
}

static void test_new_connection_is_a_new_start(void)
{
	set_up();
	fail(&peers[0], 3);
	balance_note_probe_failure(&peers[0], 5000);
	balance_note_connection(&peers[0], BALANCE_CONNECTION_BROKEN);
	CU_ASSERT_EQUAL(balance_probe_due_ms(&peers[0]), INT64_MAX);
	balance_note_connection(&peers[0], BALANCE_CONNECTION_READY);
	CU_ASSERT_EQUAL(peers[0].trust, BALANCE_TRUSTED);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"the fewest calls in flight win", test_fewest_calls_win},
		{"equals share", test_equals_share},
		{"a broken connection is not chosen", test_broken_is_not_chosen},
		{"connected before connecting", test_connected_before_connecting},
		{"full is told from none", test_full_is_told_from_none},
		{"the avoided one is not chosen", test_avoided_is_not_chosen},
		{"failures in a row make suspect", test_failures_in_a_row_make_suspect},
		{"a suspect is the last resort", test_suspect_is_the_last_resort},
		{"failed probes come ever more slowly", test_failed_probes_come_ever_more_slowly},
		{"a success brings back", test_success_brings_back},
		{"a new connection is a new start", test_new_connection_is_a_new_start},
	};
	return SUITE_RUN("balance", tests);
}
