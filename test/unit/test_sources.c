/* The numbers of backend addresses: shared while held, and given to others afterwards. */
#include "frontend/coherence.h"
#include "frontend/plan.h"
#include "frontend/sources.h"
#include "suite.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void test_an_address_has_one_number(void)
{
	struct sources *sources = sources_create();
	CU_ASSERT_FATAL(sources != NULL);
	uint32_t first = sources_hold(sources, "ipv4:192.0.2.1:8053");
	uint32_t second = sources_hold(sources, "ipv4:192.0.2.2:8053");
	CU_ASSERT(first > 0 && first < COHERENCE_SOURCES);
	CU_ASSERT(second > 0 && second < COHERENCE_SOURCES);
	CU_ASSERT_NOT_EQUAL(first, second);
	CU_ASSERT_EQUAL(sources_hold(sources, "ipv4:192.0.2.1:8053"), first);
	/* Only the last holder's release lets go of it. */
	sources_release(sources, first);
	CU_ASSERT_EQUAL(sources_hold(sources, "ipv4:192.0.2.1:8053"), first);
	sources_destroy(sources);
	sources_destroy(NULL);
}

static void test_a_number_goes_to_another_when_nobody_holds_it(void)
{
	char target[64];
	bool taken[COHERENCE_SOURCES] = {false};
	struct sources *sources = sources_create();
	CU_ASSERT_FATAL(sources != NULL);
	for (int i = 1; i < COHERENCE_SOURCES; i++) {
		snprintf(target, sizeof(target), "ipv4:192.0.2.1:%d", i);
		uint32_t source = sources_hold(sources, target);
		CU_ASSERT_FATAL(source > 0 && source < COHERENCE_SOURCES && !taken[source]);
		taken[source] = true;
	}
	/* No room: known ones are still found, a new one is not kept and need not be released. */
	CU_ASSERT_EQUAL(sources_hold(sources, "ipv4:192.0.2.2:1"), 0);
	sources_release(sources, 0);
	uint32_t known = sources_hold(sources, "ipv4:192.0.2.1:77");
	CU_ASSERT(known > 0);
	sources_release(sources, known);
	CU_ASSERT_EQUAL(sources_hold(sources, "ipv4:192.0.2.2:1"), 0);
	sources_release(sources, known);
	CU_ASSERT_EQUAL(sources_hold(sources, "ipv4:192.0.2.2:1"), known);
	/* The old address, when it comes back, is a stranger: its number means another now. */
	CU_ASSERT_EQUAL(sources_hold(sources, "ipv4:192.0.2.1:77"), 0);
	sources_destroy(sources);
}

static void test_long_addresses_are_told_apart(void)
{
	char a[PLAN_TARGET_MAX];
	char b[PLAN_TARGET_MAX];
	struct sources *sources = sources_create();
	CU_ASSERT_FATAL(sources != NULL);
	memset(a, 'x', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	memcpy(b, a, sizeof(a));
	b[sizeof(b) - 2] = 'y';
	uint32_t first = sources_hold(sources, a);
	CU_ASSERT_NOT_EQUAL(sources_hold(sources, b), first);
	CU_ASSERT_EQUAL(sources_hold(sources, a), first);
	sources_destroy(sources);
}

/* --- from several threads --------------------------------------------------------------------- */

enum { THREADS = 4, TURNS = 2000 };

/* Everybody holds the same address and one of his own; two never have one number. */
static void *take_turns(void *ctx)
{
	static const char shared[] = "ipv4:192.0.2.1:8053";
	struct sources *sources = ctx;
	char own[64];
	uintptr_t wrong = 0;
	snprintf(own, sizeof(own), "unix:%p", (void *)own);
	for (int i = 0; i < TURNS; i++) {
		uint32_t first = sources_hold(sources, shared);
		uint32_t second = sources_hold(sources, own);
		wrong += first == 0 || second == 0 || first == second;
		wrong += sources_hold(sources, own) != second;
		sources_release(sources, second);
		sources_release(sources, second);
		sources_release(sources, first);
	}
	return (void *)wrong;
}

static void test_threads_agree(void)
{
	pthread_t threads[THREADS];
	char target[64];
	struct sources *sources = sources_create();
	CU_ASSERT_FATAL(sources != NULL);
	for (int i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take_turns, sources), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong = NULL;
		pthread_join(threads[i], &wrong);
		CU_ASSERT_PTR_NULL(wrong);
	}
	/* Everything was released: there is room for as many as ever. */
	for (int i = 1; i < COHERENCE_SOURCES; i++) {
		snprintf(target, sizeof(target), "ipv4:192.0.2.3:%d", i);
		CU_ASSERT(sources_hold(sources, target) > 0);
	}
	sources_destroy(sources);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"an address has one number", test_an_address_has_one_number},
		{"a number goes to another when nobody holds it",
		 test_a_number_goes_to_another_when_nobody_holds_it},
		{"long addresses are told apart", test_long_addresses_are_told_apart},
		{"threads agree", test_threads_agree},
	};
	return SUITE_RUN("sources", tests);
}
