/* What is known of how fresh backends' data is. */
#include "frontend/coherence.h"
#include "frontend/freshness.h"
#include "suite.h"

#include <stdint.h>

#define NOW_MS 1000000
#define YEAR_MS (365LL * 86400 * 1000)

static struct freshness *freshness;

static struct freshness_row read_at(uint32_t source, int64_t now_ms)
{
	struct freshness_row row;

	freshness_read(freshness, source, now_ms, &row);
	return row;
}

static void test_nothing_is_known_of_who_has_not_said(void)
{
	freshness = freshness_create();
	CU_ASSERT_FALSE(read_at(1, NOW_MS).known);
	CU_ASSERT_FALSE(read_at(0, NOW_MS).known);
	CU_ASSERT_FALSE(read_at(COHERENCE_SOURCES, NOW_MS).known);
	freshness_destroy(freshness);
	freshness = NULL;
	CU_ASSERT_FALSE(read_at(1, NOW_MS).known);
}

static void test_an_age_grows_from_what_was_said(void)
{
	freshness = freshness_create();
	freshness_tell(freshness, 7, true, true, 250, NOW_MS);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).known);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).loaded);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).heard);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).store_up);
	CU_ASSERT_EQUAL(read_at(7, NOW_MS).age_ms, 250);
	CU_ASSERT_EQUAL(read_at(7, NOW_MS + 3000).age_ms, 3250);
	CU_ASSERT_FALSE(read_at(6, NOW_MS).known);
	freshness_tell(freshness, 7, true, true, 10, NOW_MS + 3000);
	CU_ASSERT_EQUAL(read_at(7, NOW_MS + 3000).age_ms, 10);
	freshness_destroy(freshness);
}

static void test_a_store_that_is_away_is_told(void)
{
	freshness = freshness_create();
	freshness_tell(freshness, 7, true, false, 90000, NOW_MS);
	CU_ASSERT_FALSE(read_at(7, NOW_MS).store_up);
	CU_ASSERT_EQUAL(read_at(7, NOW_MS).age_ms, 90000);
	freshness_tell(freshness, 7, false, false, 0, NOW_MS);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).known);
	CU_ASSERT_FALSE(read_at(7, NOW_MS).loaded);
	CU_ASSERT_EQUAL(read_at(7, NOW_MS + 1000).age_ms, 0);
	freshness_destroy(freshness);
}

static void test_data_ages_on_when_the_stream_has_ended(void)
{
	freshness = freshness_create();
	freshness_tell(freshness, 7, true, true, 0, NOW_MS);
	freshness_end(freshness, 7);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).known);
	CU_ASSERT_FALSE(read_at(7, NOW_MS).heard);
	CU_ASSERT_EQUAL(read_at(7, NOW_MS + 60000).age_ms, 60000);
	freshness_forget(freshness, 7);
	CU_ASSERT_FALSE(read_at(7, NOW_MS).known);
	freshness_end(freshness, 7);
	CU_ASSERT_FALSE(read_at(7, NOW_MS).known);
	freshness_destroy(freshness);
}

static void test_whatever_is_said_is_a_number_of_years_at_most(void)
{
	freshness = freshness_create();
	freshness_tell(freshness, 7, true, true, UINT64_MAX, NOW_MS);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).age_ms > 99 * YEAR_MS);
	CU_ASSERT_TRUE(read_at(7, NOW_MS).age_ms < 101 * YEAR_MS);
	/* A reader's clock may be a little behind. */
	freshness_tell(freshness, 7, true, true, 0, NOW_MS);
	CU_ASSERT_EQUAL(read_at(7, NOW_MS - 1).age_ms, 0);
	/* Who has no number is nobody. */
	freshness_tell(freshness, 0, true, true, 0, NOW_MS);
	freshness_tell(freshness, COHERENCE_SOURCES, true, true, 0, NOW_MS);
	freshness_end(freshness, UINT32_MAX);
	freshness_forget(freshness, UINT32_MAX);
	freshness_destroy(freshness);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"nothing is known of who has not said", test_nothing_is_known_of_who_has_not_said},
		{"an age grows from what was said", test_an_age_grows_from_what_was_said},
		{"a store that is away is told", test_a_store_that_is_away_is_told},
		{"data ages on when the stream has ended",
		 test_data_ages_on_when_the_stream_has_ended},
		{"whatever is said is a number of years at most",
		 test_whatever_is_said_is_a_number_of_years_at_most},
	};

	return SUITE_RUN("freshness", tests);
}
