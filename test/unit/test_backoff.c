/* Waits double up to the longest and lose at most a quarter at random. */
#include "common/backoff.h"
#include "suite.h"

#include <stdbool.h>

static void test_doubles_up_to_the_longest(void)
{
	struct backoff backoff = {.min_ms = 100, .max_ms = 1000};
	const int32_t expected[] = {100, 200, 400, 800, 1000, 1000};

	for (size_t i = 0; i < 6; i++) {
		int32_t wait = backoff_next(&backoff);
		CU_ASSERT(wait <= expected[i]);
		CU_ASSERT(wait >= expected[i] * 3 / 4);
	}
}

static void test_starts_over_after_a_reset(void)
{
	struct backoff backoff = {.min_ms = 100, .max_ms = 100000};

	for (int i = 0; i < 5; i++)
		backoff_next(&backoff);
	backoff_reset(&backoff);
	CU_ASSERT(backoff_next(&backoff) <= 100);
}

static void test_waits_differ(void)
{
	bool differ = false;
	struct backoff first = {.min_ms = 10000, .max_ms = 10000};

	for (int i = 0; i < 50; i++)
		differ |= backoff_next(&first) != backoff_next(&first);
	CU_ASSERT(differ);
}

static void test_never_overflows(void)
{
	struct backoff backoff = {.min_ms = INT32_MAX - 1, .max_ms = INT32_MAX};

	for (int i = 0; i < 3; i++)
		CU_ASSERT(backoff_next(&backoff) > 0);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"doubles up to the longest", test_doubles_up_to_the_longest},
		{"starts over after a reset", test_starts_over_after_a_reset},
		{"waits differ", test_waits_differ},
		{"never overflows", test_never_overflows},
	};
	return SUITE_RUN("backoff", tests);
}
