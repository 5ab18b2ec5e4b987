/* Which answers still hold: changes told, watches that begin and end, and both at once. */
#include "common/clock.h"
#include "frontend/coherence.h"
#include "suite.h"

#include <pthread.h>
#include <stdatomic.h>

static const uint64_t facts[] = {0x1234567890abcdefu, 42, 0xffffffffffffffffu};

static void test_nothing_holds_before_the_watch(void)
{
	struct coherence *coherence = coherence_create();
	CU_ASSERT_FATAL(coherence != NULL);
	uint64_t asked = coherence_now(coherence);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 3), COHERENCE_SUSPECT);
	coherence_watch_begin(coherence, 1);
	/* It was asked before somebody listened for changes. */
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 3), COHERENCE_SUSPECT);
	asked = coherence_now(coherence);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 3), COHERENCE_GOOD);
	CU_ASSERT_EQUAL(coherence_check(coherence, 2, asked, facts, 3), COHERENCE_SUSPECT);
	coherence_destroy(coherence);
}

static void test_a_change_outdates_what_rests_on_it(void)
{
	struct coherence *coherence = coherence_create();
	coherence_watch_begin(coherence, 1);
	coherence_watch_begin(coherence, 2);
	uint64_t asked = coherence_now(coherence);
	coherence_change(coherence, &facts[1], 1);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 3), COHERENCE_OUTDATED);
	CU_ASSERT_EQUAL(coherence_check(coherence, 2, asked, facts, 3), COHERENCE_OUTDATED);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 1), COHERENCE_GOOD);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, &facts[2], 1), COHERENCE_GOOD);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, coherence_now(coherence), facts, 3),
			COHERENCE_GOOD);
	coherence_destroy(coherence);
}

static void test_a_watch_that_ended_makes_suspect_for_good(void)
{
	struct coherence *coherence = coherence_create();
	coherence_watch_begin(coherence, 1);
	coherence_watch_begin(coherence, 2);
	uint64_t asked = coherence_now(coherence);
	int64_t before_ms = clock_now_ms();
	coherence_watch_end(coherence, 1);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 3), COHERENCE_SUSPECT);
	CU_ASSERT_EQUAL(coherence_check(coherence, 2, asked, facts, 3), COHERENCE_GOOD);
	CU_ASSERT(coherence_suspect_since_ms(coherence, 1) >= before_ms);
	CU_ASSERT_EQUAL(coherence_suspect_since_ms(coherence, 2), 0);
	/* While it is down nothing new can be kept; when it is back, only what is new. */
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, coherence_now(coherence), NULL, 0),
			COHERENCE_SUSPECT);
	coherence_watch_begin(coherence, 1);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 3), COHERENCE_SUSPECT);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, coherence_now(coherence), facts, 3),
			COHERENCE_GOOD);
	coherence_destroy(coherence);
}

static void test_everything_changed_at_one_source(void)
{
	struct coherence *coherence = coherence_create();
	coherence_watch_begin(coherence, 1);
	coherence_watch_begin(coherence, 2);
	uint64_t asked = coherence_now(coherence);
	coherence_change_everything(coherence, 1);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, asked, facts, 3), COHERENCE_SUSPECT);
	CU_ASSERT_EQUAL(coherence_check(coherence, 2, asked, facts, 3), COHERENCE_GOOD);
	CU_ASSERT_EQUAL(coherence_check(coherence, 1, coherence_now(coherence), facts, 3),
			COHERENCE_GOOD);
	coherence_destroy(coherence);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define CHANGES 100000

struct race {
	struct coherence *coherence;
	_Atomic unsigned int version; /* what a backend would answer with */
	_Atomic unsigned int told;    /* the newest version that has been told */
};

/* Changes the data and tells it afterwards, as a backend does; several do so at a time. */
static void *run_writer(void *ctx)
{
	struct race *race = ctx;
	for (unsigned int i = 0; i < CHANGES; i++) {
		unsigned int version = atomic_fetch_add(&race->version, 1) + 1;
		coherence_change(race->coherence, facts, 1);
		unsigned int told = atomic_load(&race->told);
		while (told < version && !atomic_compare_exchange_weak(&race->told, &told, version))
			;
	}
	return NULL;
}

static void test_no_answer_outlives_a_change_told(void)
{
	struct race race = {.coherence = coherence_create()};
	pthread_t writers[2];
	unsigned int wrong = 0;
	coherence_watch_begin(race.coherence, 1);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i], NULL, run_writer, &race), 0);
	while (atomic_load(&race.told) < 2 * CHANGES) {
		uint64_t asked = coherence_now(race.coherence);
		unsigned int answer = atomic_load(&race.version);
		unsigned int told = atomic_load(&race.told);
		/* Later versions were told before `told` was read: the answer must be outdated. */
		if (answer < told &&
		    coherence_check(race.coherence, 1, asked, facts, 1) == COHERENCE_GOOD)
			wrong++;
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	CU_ASSERT_EQUAL(wrong, 0);
	coherence_destroy(race.coherence);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"nothing holds before the watch", test_nothing_holds_before_the_watch},
		{"a change outdates what rests on it", test_a_change_outdates_what_rests_on_it},
		{"a watch that ended makes suspect for good",
		 test_a_watch_that_ended_makes_suspect_for_good},
		{"everything changed at one source", test_everything_changed_at_one_source},
		{"no answer outlives a change told", test_no_answer_outlives_a_change_told},
	};
	return SUITE_RUN("coherence", tests);
}
