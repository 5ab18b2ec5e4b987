/* The ring of changes: subscribers at their own pace, slow ones, and threads. */
#include "backend/changes.h"

#include "suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define OUT 1024

static void count_wake(void *ctx)
{
	atomic_fetch_add((_Atomic unsigned int *)ctx, 1);
}

struct fixture {
	struct changes *changes;
	_Atomic unsigned int wakes;
	uint64_t out[OUT];
	bool everything;
};

static void setup(struct fixture *fixture)
{
	*fixture = (struct fixture){0};
	fixture->changes = changes_create(count_wake, &fixture->wakes);
}

static size_t read_some(struct fixture *fixture, uint64_t *position, size_t capacity)
{
	return changes_read(fixture->changes, position, fixture->out, capacity,
			    &fixture->everything);
}

/* Publishes facts first, first + 1, ... */
static void publish(struct fixture *fixture, uint64_t first, size_t count)
{
	uint64_t *facts = malloc(count * sizeof(*facts));

	for (size_t i = 0; i < count; i++)
		facts[i] = first + i;
	changes_publish(fixture->changes, facts, count, false);
	free(facts);
}

static void test_told_in_order(void)
{
	struct fixture fixture;
	setup(&fixture);
	uint64_t position = changes_position(fixture.changes);

	publish(&fixture, 10, 3);
	publish(&fixture, 20, 2);
	CU_ASSERT_EQUAL(fixture.wakes, 2);
	CU_ASSERT_EQUAL_FATAL(read_some(&fixture, &position, OUT), 5);
	CU_ASSERT(!fixture.everything);
	CU_ASSERT_EQUAL(fixture.out[0], 10);
	CU_ASSERT_EQUAL(fixture.out[3], 20);
	CU_ASSERT_EQUAL(read_some(&fixture, &position, OUT), 0);
	changes_destroy(fixture.changes);
}

static void test_new_subscriber_hears_nothing_old(void)
{
	struct fixture fixture;
	setup(&fixture);

	publish(&fixture, 1, 5);
	uint64_t position = changes_position(fixture.changes);
	CU_ASSERT_EQUAL(read_some(&fixture, &position, OUT), 0);
	CU_ASSERT(!fixture.everything);
	changes_destroy(fixture.changes);
}

static void test_small_reads_go_on(void)
{
	struct fixture fixture;
	setup(&fixture);
	uint64_t position = changes_position(fixture.changes);

	publish(&fixture, 0, 10);
	for (uint64_t i = 0; i < 10; i += 2) {
		CU_ASSERT_EQUAL(read_some(&fixture, &position, 2), 2);
		CU_ASSERT_EQUAL(fixture.out[1], i + 1);
	}
	CU_ASSERT_EQUAL(read_some(&fixture, &position, 2), 0);
	changes_destroy(fixture.changes);
}

static void test_everything_takes_the_place_of_facts(void)
{
	struct fixture fixture;
	setup(&fixture);
	uint64_t position = changes_position(fixture.changes);

	publish(&fixture, 1, 5);
	changes_publish(fixture.changes, NULL, 0, true);
	publish(&fixture, 7, 2);
	CU_ASSERT_EQUAL(read_some(&fixture, &position, OUT), 0);
	CU_ASSERT(fixture.everything);
	CU_ASSERT_EQUAL(read_some(&fixture, &position, OUT), 0);
	CU_ASSERT(!fixture.everything);
	publish(&fixture, 9, 1);
	CU_ASSERT_EQUAL(read_some(&fixture, &position, OUT), 1);
	changes_destroy(fixture.changes);
}

static void test_slow_subscriber_is_told_everything(void)
{
	struct fixture fixture;
	setup(&fixture);
	uint64_t slow = changes_position(fixture.changes);
	uint64_t prompt = slow;
	uint64_t expected = 0;

	for (int i = 0; i < 3 * CHANGES_RING / OUT; i++) {
		publish(&fixture, expected, OUT);
		CU_ASSERT_EQUAL_FATAL(read_some(&fixture, &prompt, OUT), OUT);
		CU_ASSERT_EQUAL_FATAL(fixture.out[0], expected);
		CU_ASSERT_EQUAL_FATAL(fixture.out[OUT - 1], expected + OUT - 1);
		expected += OUT;
	}
	CU_ASSERT_EQUAL(read_some(&fixture, &slow, OUT), 0);
	CU_ASSERT(fixture.everything);
	CU_ASSERT_EQUAL(slow, prompt);
	changes_destroy(fixture.changes);
}

static void test_a_full_ring_is_still_told(void)
{
	struct fixture fixture;
	setup(&fixture);
	publish(&fixture, 0, 17); /* so that the ring's end is in the middle */
	uint64_t position = changes_position(fixture.changes);
	uint64_t told = 0;
	size_t count;

	publish(&fixture, 0, CHANGES_RING);
	while ((count = read_some(&fixture, &position, OUT)) > 0)
		for (size_t i = 0; i < count; i++)
			CU_ASSERT_EQUAL_FATAL(fixture.out[i], told++);
	CU_ASSERT_EQUAL(told, CHANGES_RING);
	CU_ASSERT(!fixture.everything);
	publish(&fixture, 0, CHANGES_RING + 1);
	read_some(&fixture, &position, OUT);
	CU_ASSERT(fixture.everything);
	changes_destroy(fixture.changes);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define TOLD 200000

static void *publish_all(void *arg)
{
	struct fixture *fixture = arg;

	for (uint64_t i = 1; i <= TOLD; i++)
		changes_publish(fixture->changes, &i, 1, false);
	return NULL;
}

struct subscriber {
	struct changes *changes;
	uint64_t position;
	bool in_order;
};

/* Reads until the last fact; what it has not been told it must have been told as "everything". */
static void *subscribe(void *arg)
{
	struct subscriber *subscriber = arg;
	uint64_t out[64];
	uint64_t last = 0;

	subscriber->in_order = true;
	while (subscriber->position < TOLD) {
		bool everything;
		size_t count = changes_read(subscriber->changes, &subscriber->position, out, 64,
					    &everything);

		if (everything)
			last = subscriber->position;
		for (size_t i = 0; i < count; i++)
			subscriber->in_order = subscriber->in_order && out[i] == ++last;
	}
	return NULL;
}

static void test_threads_lose_nothing(void)
{
	struct fixture fixture;
	struct subscriber subscribers[3];
	pthread_t threads[3];
	pthread_t publisher;

	setup(&fixture);
	for (int i = 0; i < 3; i++) {
		subscribers[i] = (struct subscriber){.changes = fixture.changes};
		pthread_create(&threads[i], NULL, subscribe, &subscribers[i]);
	}
	pthread_create(&publisher, NULL, publish_all, &fixture);
	pthread_join(publisher, NULL);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT(subscribers[i].in_order);
	}
	CU_ASSERT_EQUAL(fixture.wakes, TOLD);
	changes_destroy(fixture.changes);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"facts are told in order", test_told_in_order},
		{"a new subscriber hears nothing old", test_new_subscriber_hears_nothing_old},
		{"a small read goes on where it ended", test_small_reads_go_on},
		{"everything takes the place of facts", test_everything_takes_the_place_of_facts},
		{"a slow subscriber is told everything", test_slow_subscriber_is_told_everything},
		{"a full ring is still told", test_a_full_ring_is_still_told},
		{"threads lose nothing", test_threads_lose_nothing},
	};
	return SUITE_RUN("changes", tests);
}
