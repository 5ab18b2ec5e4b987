/* Witnesses of what was seen of godwit_changes, and copies of the gaps beside them. */
#include "storage/mysql_gaps.h"
#include "storage/mysql_witness.h"
#include "suite.h"

#include <stdio.h>

static void add(struct mysql_witness *witness, uint64_t from, uint64_t to)
{
	char at[32];

	for (uint64_t seq = from; seq != to; seq += from < to ? 1 : -1) {
		snprintf(at, sizeof(at), "2026-01-01 00:00:00.%06u", (unsigned int)seq);
		mysql_witness_add(witness, seq, at);
	}
}

static void test_the_order_does_not_matter(void)
{
	struct mysql_witness a = {.first = 10}, b = {.first = 10};

	add(&a, 10, 1010);
	add(&b, 1009, 9);
	CU_ASSERT_TRUE(mysql_witness_equal(&a, &b));
	CU_ASSERT_EQUAL(a.count, 1000);
}

static void test_whatever_differs_is_seen(void)
{
	struct mysql_witness whole = {.first = 1}, other = {.first = 1}, begun = {.first = 2};

	add(&whole, 1, 100);
	add(&other, 1, 99);
	CU_ASSERT_FALSE(mysql_witness_equal(&whole, &other)); /* one is missing */
	mysql_witness_add(&other, 100, "2026-01-01 00:00:00.000099");
	CU_ASSERT_FALSE(mysql_witness_equal(&whole, &other)); /* another number */
	other = (struct mysql_witness){.first = 1};
	add(&other, 1, 99);
	mysql_witness_add(&other, 99, "2026-01-01 00:00:00.000100");
	CU_ASSERT_FALSE(mysql_witness_equal(&whole, &other)); /* at another time */
	add(&begun, 1, 100);
	CU_ASSERT_FALSE(mysql_witness_equal(&whole, &begun)); /* from elsewhere on */
}

static void test_times_of_rows_are_not_exchanged_unseen(void)
{
	struct mysql_witness a = {.first = 1}, b = {.first = 1};

	mysql_witness_add(&a, 1, "x");
	mysql_witness_add(&a, 2, "y");
	mysql_witness_add(&b, 1, "y");
	mysql_witness_add(&b, 2, "x");
	CU_ASSERT_FALSE(mysql_witness_equal(&a, &b));
}

static void test_nothing_proves_nothing(void)
{
	const struct mysql_witness none = {0};

	CU_ASSERT_FALSE(mysql_witness_equal(&none, &none));
}

static void test_a_copy_of_gaps_is_what_they_were(void)
{
	struct mysql_gaps gaps = {0}, copy = {0};

	mysql_gaps_start(&gaps, 1);
	CU_ASSERT_TRUE(mysql_gaps_copy(&copy, &gaps));
	CU_ASSERT_EQUAL(copy.count, 0);
	for (uint64_t seq = 2; seq <= 200; seq += 2)
		mysql_gaps_see(&gaps, seq, 7);
	CU_ASSERT_TRUE(mysql_gaps_copy(&copy, &gaps));
	mysql_gaps_see(&gaps, 3, 8);
	CU_ASSERT_EQUAL(copy.count, 100);
	CU_ASSERT_EQUAL(copy.next, 201);
	CU_ASSERT_EQUAL(mysql_gaps_see(&copy, 3, 9), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(mysql_gaps_see(&copy, 4, 9), MYSQL_GAPS_KNOWN);
	CU_ASSERT_EQUAL(mysql_gaps_see(&copy, 300, 9),
			MYSQL_GAPS_NEW); /* it grows like any other */
	mysql_gaps_clear(&gaps);
	mysql_gaps_clear(&copy);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"the order does not matter", test_the_order_does_not_matter},
		{"whatever differs is seen", test_whatever_differs_is_seen},
		{"times of rows are not exchanged unseen",
		 test_times_of_rows_are_not_exchanged_unseen},
		{"nothing proves nothing", test_nothing_proves_nothing},
		{"a copy of gaps is what they were", test_a_copy_of_gaps_is_what_they_were},
	};

	return SUITE_RUN("mysql_witness", tests);
}
