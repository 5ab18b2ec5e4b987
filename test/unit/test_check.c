/* When a row of results means up, and when down; and how soon the next question comes. */
#include "announcer/check.h"
#include "suite.h"

#define INTERVAL 200
#define FAST 50

static struct check check;

static void set_up(unsigned int rise, unsigned int fall)
{
	check_init(&check, rise, fall, INTERVAL, FAST);
}

/* Adds equal results; returns how many changed the state. */
static int add(bool good, int times)
{
	int changes = 0;
	for (int i = 0; i < times; i++)
		changes += check_add(&check, good);
	return changes;
}

static void bring_up(void)
{
	set_up(3, 3);
	add(true, 3);
}

static void test_down_until_rise(void)
{
	set_up(3, 2);
	CU_ASSERT_FALSE(check.up);
	CU_ASSERT_EQUAL(add(true, 2), 0);
	CU_ASSERT_FALSE(check.up);
	CU_ASSERT_TRUE(check_add(&check, true));
	CU_ASSERT_TRUE(check.up);
	CU_ASSERT_EQUAL(add(true, 10), 0);
}

static void test_a_failure_begins_the_row_anew(void)
{
	set_up(3, 3);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(add(true, 2), 0);
		CU_ASSERT_EQUAL(add(false, 1), 0);
	}
	CU_ASSERT_EQUAL(add(true, 3), 1);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(add(false, 2), 0);
		CU_ASSERT_EQUAL(add(true, 1), 0);
	}
	CU_ASSERT_TRUE(check.up);
	CU_ASSERT_EQUAL(check.row, 1);
	CU_ASSERT_EQUAL(add(false, 3), 1);
	CU_ASSERT_FALSE(check.up);
	CU_ASSERT_EQUAL(check.row, 3);
}

static void test_one_is_enough_when_one_is_asked_for(void)
{
	set_up(1, 1);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_TRUE(check_add(&check, true));
		CU_ASSERT_TRUE(check_add(&check, false));
	}
}

static void test_doubt_is_asked_fast(void)
{
	set_up(3, 3);
	CU_ASSERT_TRUE(check_in_doubt(&check, false)); /* nothing known */
	CU_ASSERT_EQUAL(check_next_ms(&check, false, 0), FAST);
	add(true, 1);
	CU_ASSERT_TRUE(check_in_doubt(&check, false)); /* perhaps up soon */
	add(true, 2);
	CU_ASSERT_FALSE(check_in_doubt(&check, false));
	CU_ASSERT_EQUAL(check_next_ms(&check, false, 0), INTERVAL);
	add(false, 1);
	CU_ASSERT_TRUE(check_in_doubt(&check, false)); /* perhaps down soon */
	CU_ASSERT_EQUAL(check_next_ms(&check, false, 0), FAST);
	add(false, 2);
	CU_ASSERT_FALSE(check_in_doubt(&check, false));
}

static void test_waiting_is_doubt_while_up(void)
{
	bring_up();
	CU_ASSERT_TRUE(check_in_doubt(&check, true));
	CU_ASSERT_EQUAL(check_next_ms(&check, true, 0), FAST);
	/* A server known to be down is not asked faster because it does not answer. */
	add(false, 3);
	CU_ASSERT_FALSE(check_in_doubt(&check, true));
	CU_ASSERT_EQUAL(check_next_ms(&check, true, 0), INTERVAL);
}

static void test_jitter_takes_off_up_to_a_tenth(void)
{
	int least = INTERVAL;
	bring_up();
	for (uint32_t random = 0; random < 1000; random++) {
		int next = check_next_ms(&check, false, random);
		CU_ASSERT(next <= INTERVAL && next >= INTERVAL - INTERVAL / 10);
		least = next < least ? next : least;
	}
	CU_ASSERT_EQUAL(least, INTERVAL - INTERVAL / 10);
	CU_ASSERT(check_next_ms(&check, false, UINT32_MAX) <= INTERVAL);
	check.interval_ms = 1;
	CU_ASSERT_EQUAL(check_next_ms(&check, false, 7), 1);
}

static void test_fast_is_never_slower(void)
{
	check_init(&check, 3, 3, 20, 50);
	CU_ASSERT_EQUAL(check_next_ms(&check, false, 0), 20);
}

static void test_a_question_just_asked_is_not_silence(void)
{
	bring_up();
	CU_ASSERT_FALSE(check_is_silence(&check, 0));
	CU_ASSERT_FALSE(check_is_silence(&check, FAST - 1));
	CU_ASSERT_TRUE(check_is_silence(&check, FAST));
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"down until `rise` good results in a row", test_down_until_rise},
		{"a failure begins the row anew", test_a_failure_begins_the_row_anew},
		{"one is enough when one is asked for", test_one_is_enough_when_one_is_asked_for},
		{"doubt is asked fast", test_doubt_is_asked_fast},
		{"waiting for an answer is doubt, while up", test_waiting_is_doubt_while_up},
		{"jitter takes off up to a tenth", test_jitter_takes_off_up_to_a_tenth},
		{"fast is never slower", test_fast_is_never_slower},
		{"a question just asked is not silence", test_a_question_just_asked_is_not_silence},
	};
	return SUITE_RUN("check", tests);
}
