/*
 * The room of the answer cache: what leaves when it is full or told to, and slots that are read
 * while they are written.
 */
#include "cache_fixture.h"
#include "dns/protocol.h"
#include "dns/reply.h"
#include "suite.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- eviction --------------------------------------------------------------------------------- */

static bool is_there(struct fixture *f, const char *prefix, unsigned int number)
{
	char name[64];
	snprintf(name, sizeof(name), "%s%u.example.", prefix, number);
	fixture_ask(f, name, DNS_TYPE_A, 0);
	return fixture_look_up(f) == CACHE_HIT;
}

static void keep(struct fixture *f, const char *prefix, unsigned int number)
{
	if (is_there(f, prefix, number))
		return;
	fixture_answer_a(f, 86400, 1);
	fixture_store(f);
}

static void test_hot_names_survive_a_flood(void)
{
	enum { HOT = 400, FLOOD = 200000 };
	struct fixture f;
	unsigned int left = 0;
	fixture_start(&f, 1 << 20); /* about 1750 small slots */
	for (unsigned int i = 0; i < 3 * HOT; i++)
		keep(&f, "hot", i % HOT);
	/* Between two hits of a hot name come twice as many others as the cache can hold. */
	for (unsigned int i = 0; i < FLOOD; i++) {
		keep(&f, "flood", i);
		if (i % 10 == 0)
			keep(&f, "hot", i / 10 % HOT);
	}
	for (unsigned int i = 0; i < HOT; i++)
		left += is_there(&f, "hot", i);
	CU_ASSERT(left >= HOT * 95 / 100);
	CU_ASSERT(cache_count(f.cache) <= 2000);
	fixture_stop(&f);
}

static void test_what_was_hot_makes_room_in_the_end(void)
{
	enum { NAMES = 1000 };
	struct fixture f;
	unsigned int left = 0;
	fixture_start(&f, 1 << 20);
	for (unsigned int round = 0; round < 5; round++)
		for (unsigned int i = 0; i < NAMES; i++)
			keep(&f, "old", i);
	for (unsigned int round = 0; round < 40; round++)
		for (unsigned int i = 0; i < NAMES; i++)
			keep(&f, "new", i);
	for (unsigned int i = 0; i < NAMES; i++)
		left += is_there(&f, "new", i);
	CU_ASSERT(left >= NAMES * 90 / 100);
	fixture_stop(&f);
}

static void test_flush(void)
{
	struct fixture f;
	uint8_t name[DNS_NAME_MAX];
	fixture_start(&f, 1 << 20);
	for (unsigned int i = 0; i < 100; i++)
		keep(&f, "n", i);
	fixture_ask(&f, "n5.example.", DNS_TYPE_A, ASK_DO);
	fixture_answer_a(&f, 300, 1);
	fixture_store(&f);
	CU_ASSERT_EQUAL(cache_count(f.cache), 101);
	dns_name_from_text("N5.example.", 11, NULL, name);
	CU_ASSERT_EQUAL(cache_flush(f.cache, name), 2);
	CU_ASSERT(!is_there(&f, "n", 5));
	CU_ASSERT(is_there(&f, "n", 6));
	CU_ASSERT_EQUAL(cache_flush(f.cache, NULL), 99);
	CU_ASSERT(!is_there(&f, "n", 6));
	CU_ASSERT_EQUAL(cache_count(f.cache), 0);
	fixture_stop(&f);
}

/* --- threads ---------------------------------------------------------------------------------- */

/* Writers store replies of one octet repeated, of many lengths; no reader must see two mixed. */
struct race {
	struct cache *cache;
	_Atomic bool stop;
	_Atomic unsigned int hits;
	_Atomic unsigned int wrong;
};

static struct fixture *race_fixture(struct race *race)
{
	struct fixture *f = calloc(1, sizeof(*f));
	f->cache = race->cache;
	f->now_ms = 1000000;
	return f;
}

static void *run_writer(void *ctx)
{
	struct race *race = ctx;
	struct fixture *f = race_fixture(race);
	for (unsigned int i = 0; !atomic_load(&race->stop); i++) {
		fixture_ask(f, "race.example.", DNS_TYPE_A, ASK_EDNS);
		struct dns_writer writer = fixture_begin_reply(f);
		for (unsigned int j = 0; j <= i % 40; j++)
			fixture_put_a(f, &writer, 300, (uint8_t)i);
		fixture_end_reply(f, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
		fixture_store(f);
		if (i % 100 == 0)
			cache_flush(f->cache, NULL);
	}
	free(f);
	return NULL;
}

/* All records of a reply have the same data, and there are as many as it says. */
static bool is_whole(const struct fixture *f)
{
	unsigned int count = dns_get16(f->out + 6);
	const uint8_t *record = fixture_first_record(f);
	if (!dns_reply_matches(&f->query, f->out, f->hit.size) || count == 0)
		return false;
	for (unsigned int i = 1; i < count; i++)
		if (record[13] != record[16 * i + 13] || dns_get32(record + 16 * i + 4) != 300)
			return false;
	return true;
}

/* The size follows from the number of records: both are of one reply. */
static void check_view(void *ctx, const struct cache_view *view)
{
	struct race *race = ctx;
	if (view->records == 0 || view->qtype != DNS_TYPE_A ||
	    view->size != DNS_HEADER_SIZE + 18 + (size_t)16 * view->records)
		atomic_fetch_add(&race->wrong, 1);
}

static void *run_reader(void *ctx)
{
	struct race *race = ctx;
	struct fixture *f = race_fixture(race);
	for (unsigned int i = 0; !atomic_load(&race->stop); i++) {
		fixture_ask(f, "race.example.", DNS_TYPE_A, 0);
		if (i % 1000 == 0)
			cache_visit(f->cache, f->query.qname, f->now_ms, check_view, race);
		if (fixture_look_up(f) != CACHE_HIT)
			continue;
		atomic_fetch_add(&race->hits, 1);
		if (!is_whole(f))
			atomic_fetch_add(&race->wrong, 1);
	}
	free(f);
	return NULL;
}

static void test_readers_never_see_half_a_reply(void)
{
	struct fixture f;
	pthread_t threads[4];
	fixture_start(&f, 1 << 20);
	struct race race = {.cache = f.cache};
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL_FATAL(
			pthread_create(&threads[i], NULL, i < 2 ? run_writer : run_reader, &race),
			0);
	while (atomic_load(&race.hits) < 200000 && atomic_load(&race.wrong) == 0)
		sched_yield();
	atomic_store(&race.stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(atomic_load(&race.wrong), 0);
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"hot names survive a flood", test_hot_names_survive_a_flood},
		{"what was hot makes room in the end", test_what_was_hot_makes_room_in_the_end},
		{"flush, one name or all", test_flush},
		{"readers never see half a reply", test_readers_never_see_half_a_reply},
	};
	return SUITE_RUN("cache_set", tests);
}
