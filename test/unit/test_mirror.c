/* The mirror: trees of names, batches that show at once, and readers beside the writer. */
#include "backend/mirror.h"
#include "dns/protocol.h"
#include "suite.h"
#include "zone_text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static struct mirror *mirror;

static void begin(bool full)
{
	mirror_write_begin(mirror, full);
}

static void put_zone(const char *apex)
{
	zone_text_put_zone(mirror, apex);
	CU_ASSERT_EQUAL(zone_text_put(mirror, apex, apex, ZONE_TEXT_SOA), 0);
}

static void put(const char *apex, const char *owner, const char *records)
{
	CU_ASSERT_EQUAL(zone_text_put(mirror, apex, owner, records), 0);
}

static void commit(void)
{
	mirror_write_commit(mirror);
}

/* A fresh mirror with example.com and www.example.com in it. */
static void start(void)
{
	mirror = mirror_create();
	CU_ASSERT_FALSE(mirror_is_loaded(mirror));
	begin(true);
	put_zone("example.com");
	put("example.com", "www.example.com", "A 60 192.0.2.1\n");
	commit();
	CU_ASSERT_TRUE(mirror_is_loaded(mirror));
}

static void stop(void)
{
	mirror_destroy(mirror);
}

/* The node of a name in the zone that serves it, or NULL. Any thread. */
static const struct mirror_node *find_name(const uint8_t *name)
{
	uint8_t labels[DNS_LABELS_MAX];
	unsigned int label;

	unsigned int count = dns_name_find_labels(name, labels);
	const struct mirror_zone *zone =
		mirror_find_zone(mirror, name, labels, count, false, &label);
	if (!zone)
		return NULL;
	const struct mirror_node *node = mirror_zone_apex(zone);
	while (node && label > 0)
		node = mirror_find_child(mirror, node, name + labels[--label]);
	return node;
}

static const struct mirror_node *find(const char *text)
{
	uint8_t name[DNS_NAME_MAX];

	zone_text_name(text, name);
	return find_name(name);
}

/* How many records of a type a name has; -1 when there is no such name. */
static int count(const char *name, uint16_t type)
{
	mirror_read_begin();
	const struct mirror_node *node = find(name);
	const struct mirror_rrset *rrset = node ? mirror_find_rrset(node, type) : NULL;
	int result = node ? (rrset ? rrset->count : 0) : -1;
	mirror_read_end();
	return result;
}

static void test_names_are_found_in_any_case(void)
{
	start();
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1);
	CU_ASSERT_EQUAL(count("WWW.EXAMPLE.COM", DNS_TYPE_A), 1);
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_AAAA), 0);
	CU_ASSERT_EQUAL(count("ww.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("www.example.org", DNS_TYPE_A), -1);
	begin(false);
	put("Example.COM", "MiXed.example.com", "A 60 192.0.2.1\n");
	commit();
	CU_ASSERT_EQUAL(count("mixed.example.com", DNS_TYPE_A), 1);
	stop();
}

static void test_names_between_exist_and_go_with_their_last_child(void)
{
	start();
	begin(false);
	put("example.com", "a.b.c.example.com", "A 60 192.0.2.1\n");
	put("example.com", "d.c.example.com", "A 60 192.0.2.1\n");
	commit();
	CU_ASSERT_EQUAL(count("b.c.example.com", DNS_TYPE_A), 0);
	CU_ASSERT_EQUAL(count("c.example.com", DNS_TYPE_A), 0);
	begin(false);
	put("example.com", "a.b.c.example.com", "");
	commit();
	CU_ASSERT_EQUAL(count("a.b.c.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("b.c.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("c.example.com", DNS_TYPE_A), 0);
	begin(false);
	put("example.com", "d.c.example.com", "");
	put("example.com", "never.was.example.com", "");
	commit();
	CU_ASSERT_EQUAL(count("c.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("was.example.com", DNS_TYPE_A), -1);
	stop();
}

static void test_a_name_that_loses_its_records_stays_above_others(void)
{
	start();
	begin(false);
	put("example.com", "x.www.example.com", "A 60 192.0.2.1\n");
	put("example.com", "www.example.com", "");
	commit();
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 0);
	CU_ASSERT_EQUAL(count("x.www.example.com", DNS_TYPE_A), 1);
	stop();
}

static void test_rrsets_are_sorted_merged_and_without_doubles(void)
{
	start();
	begin(true);
	put_zone("example.com");
	put("example.com", "www.example.com", "TXT 60 \"b\"\nA 50 192.0.2.2\nA 60 192.0.2.1\n");
	put("example.com", "WWW.example.com", "A 70 192.0.2.1\nA 70 192.0.2.3\n");
	commit();
	mirror_read_begin();
	const struct mirror_node *node = find("www.example.com");
	CU_ASSERT_PTR_NOT_NULL_FATAL(node);
	const struct mirror_rrset *rrset = mirror_first_rrset(node);
	CU_ASSERT_EQUAL(rrset->type, DNS_TYPE_A);
	CU_ASSERT_EQUAL(rrset->count, 3);
	CU_ASSERT_EQUAL(rrset->ttl, 50);
	CU_ASSERT_EQUAL(rrset->size, 18);
	CU_ASSERT_EQUAL(memcmp(rrset->data + 2, "\300\0\2\1", 4), 0);
	CU_ASSERT_EQUAL(memcmp(rrset->data + 14, "\300\0\2\3", 4), 0);
	mirror_read_end();
	/* In a later batch the same call replaces. */
	begin(false);
	put("example.com", "www.example.com", "A 60 192.0.2.9\n");
	commit();
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1);
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_TXT), 0);
	stop();
}

static void test_a_new_zone_shows_at_its_commit(void)
{
	start();
	begin(false);
	put_zone("example.org");
	put("example.org", "www.example.org", "A 60 192.0.2.1\n");
	CU_ASSERT_EQUAL(count("www.example.org", DNS_TYPE_A), -1);
	commit();
	CU_ASSERT_EQUAL(count("www.example.org", DNS_TYPE_A), 1);
	stop();
}

static void test_a_batch_cut_short_takes_nothing_away(void)
{
	start();
	begin(true);
	put_zone("example.org");
	put("example.org", "www.example.org", "A 60 192.0.2.1\n");
	put_zone("example.com");
	mirror_write_abort(mirror);
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1); /* was not named, stays */
	CU_ASSERT_EQUAL(count("www.example.org", DNS_TYPE_A), -1);
	begin(true);
	put_zone("example.org");
	commit();
	CU_ASSERT_EQUAL(count("example.org", DNS_TYPE_SOA), 1);
	CU_ASSERT_EQUAL(count("www.example.org", DNS_TYPE_A), -1); /* of the cut batch: swept */
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), -1);
	stop();
}

static void test_a_reload_sweeps_what_is_not_named(void)
{
	struct mirror_stats stats;

	start();
	begin(false);
	put("example.com", "a.b.example.com", "A 60 192.0.2.1\n");
	put("example.com", "b.example.com", "A 60 192.0.2.1\n");
	put("example.com", "*.b.example.com", "A 60 192.0.2.1\n");
	commit();
	begin(false);
	put_zone("example.com");
	put("example.com", "new.example.com", "A 60 192.0.2.1\n");
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1);
	commit();
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("a.b.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("b.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("new.example.com", DNS_TYPE_A), 1);
	mirror_read_stats(mirror, &stats);
	CU_ASSERT_EQUAL(stats.zones, 1);
	CU_ASSERT_EQUAL(stats.names, 2);
	CU_ASSERT_EQUAL(stats.records, 2);
	stop();
}

static void test_zones_come_and_go(void)
{
	struct mirror_stats stats;

	start();
	begin(false);
	put_zone("sub.example.com");
	put("sub.example.com", "www.sub.example.com", "A 60 192.0.2.1\n");
	put_zone(".");
	commit();
	CU_ASSERT_EQUAL(count("www.sub.example.com", DNS_TYPE_A), 1);
	CU_ASSERT_EQUAL(count("other.test", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count(".", DNS_TYPE_SOA), 1);
	begin(false);
	uint8_t apex[DNS_NAME_MAX];
	zone_text_name("SUB.example.com", apex);
	mirror_remove_zone(mirror, apex);
	mirror_remove_zone(mirror, apex); /* twice does not hurt */
	commit();
	CU_ASSERT_EQUAL(count("www.sub.example.com", DNS_TYPE_A), -1);
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1);
	begin(true);
	commit();
	mirror_read_stats(mirror, &stats);
	CU_ASSERT_EQUAL(stats.zones + stats.zones_no_soa + stats.names + stats.records, 0);
	stop();
}

static void test_a_zone_without_soa_is_not_served(void)
{
	struct mirror_stats stats;

	start();
	begin(false);
	put("example.com", "example.com", "NS 60 ns1.test.\n");
	commit();
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), -1);
	mirror_read_stats(mirror, &stats);
	CU_ASSERT_EQUAL(stats.zones, 0);
	CU_ASSERT_EQUAL(stats.zones_no_soa, 1);
	begin(false);
	put("example.com", "example.com", ZONE_TEXT_SOA);
	commit();
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1);
	stop();
}

static void test_names_outside_or_of_no_zone_are_refused(void)
{
	start();
	begin(false);
	CU_ASSERT_EQUAL(zone_text_put(mirror, "example.com", "example.org", "A 60 192.0.2.1\n"),
			-1);
	CU_ASSERT_EQUAL(zone_text_put(mirror, "example.org", "example.org", "A 60 192.0.2.1\n"),
			-1);
	commit();
	stop();
}

static void test_wildcards_are_flagged(void)
{
	start();
	mirror_read_begin();
	CU_ASSERT_FALSE(mirror_node_flags(find("example.com")) & MIRROR_NODE_HAS_WILDCARD);
	mirror_read_end();
	begin(false);
	put("example.com", "x.*.example.com", "NS 60 ns1.test.\n");
	commit();
	mirror_read_begin();
	CU_ASSERT_TRUE(mirror_node_flags(find("example.com")) & MIRROR_NODE_HAS_WILDCARD);
	CU_ASSERT_TRUE(mirror_node_flags(find("x.*.example.com")) & MIRROR_NODE_HAS_NS);
	CU_ASSERT_FALSE(mirror_node_flags(find("*.example.com")) & MIRROR_NODE_HAS_DATA);
	mirror_read_end();
	begin(false);
	put("example.com", "x.*.example.com", "");
	commit();
	mirror_read_begin();
	CU_ASSERT_FALSE(mirror_node_flags(find("example.com")) & MIRROR_NODE_HAS_WILDCARD);
	mirror_read_end();
	stop();
}

/* --- readers beside the writer ---------------------------------------------------------------- */

static atomic_bool done;
static _Atomic unsigned int torn;
static _Atomic unsigned int looks;

/* www has one A record of ours at any time, and a name that is found has its data. */
static void *read_on(void *arg)
{
	static const uint8_t *const www = (const uint8_t *)"\3www\7example\3com";
	static const uint8_t *const leaf = (const uint8_t *)"\1a\1b\1c\1d\7example\3com";

	(void)arg;
	mirror_reader_register();
	while (!atomic_load(&done)) {
		mirror_read_begin();
		const struct mirror_node *node = find_name(www);
		const struct mirror_node *deep = find_name(leaf);
		if (node) {
			const struct mirror_rrset *first = mirror_first_rrset(node);
			if (!first || first->type != DNS_TYPE_A || first->data[2] != 192)
				atomic_fetch_add(&torn, 1);
		}
		/* The whole path appears and goes at once: a leaf always has its data. */
		if (deep && !mirror_first_rrset(deep))
			atomic_fetch_add(&torn, 1);
		mirror_read_end();
		atomic_fetch_add(&looks, 1);
	}
	mirror_reader_unregister();
	return NULL;
}

static void test_readers_never_see_half_a_name(void)
{
	pthread_t readers[2];

	start();
	atomic_store(&done, false);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&readers[i], NULL, read_on, NULL), 0);
	for (int round = 0; round < 300 || atomic_load(&looks) < 1000; round++) {
		char records[256];
		snprintf(records, sizeof(records), "A 60 192.0.2.%d\nAAAA 60 2001:db8::%d\n",
			 round % 250, round % 250);
		begin(round % 7 == 0);
		if (round % 7 == 0)
			put_zone("example.com");
		put("example.com", "www.example.com", round % 3 ? records : "A 60 192.0.2.1\n");
		put("example.com", "a.b.c.d.example.com", round % 2 ? "A 60 192.0.2.1\n" : "");
		for (int i = 0; i < 20; i++) {
			char name[64];
			snprintf(name, sizeof(name), "n%d.example.com", (round * 20 + i) % 1500);
			put("example.com", name, "A 60 192.0.2.1\n");
		}
		commit();
	}
	atomic_store(&done, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	CU_ASSERT_EQUAL(atomic_load(&torn), 0);
	CU_ASSERT_TRUE(atomic_load(&looks) > 0);
	stop();
}

static void test_memory_is_given_back(void)
{
	struct mirror_stats before;
	struct mirror_stats after;

	start();
	mirror_read_stats(mirror, &before);
	begin(false);
	for (int i = 0; i < 20000; i++) {
		char name[64];
		snprintf(name, sizeof(name), "n%d.x.example.com", i);
		put("example.com", name, "A 60 192.0.2.1\n");
	}
	commit();
	mirror_read_stats(mirror, &after);
	CU_ASSERT_EQUAL(after.names, before.names + 20000);
	CU_ASSERT_TRUE((after.bytes - before.bytes) / 20000 < 250);
	begin(true);
	put_zone("example.com");
	put("example.com", "www.example.com", "A 60 192.0.2.1\n");
	commit();
	mirror_read_stats(mirror, &after);
	CU_ASSERT_EQUAL(after.names, before.names);
	CU_ASSERT_EQUAL(after.bytes, before.bytes);
	stop();
}

/* --- everything ------------------------------------------------------------------------------- */

struct told {
	int zones;
	int rrsets;
	bool www;
	bool apex;
};

static int on_zone(void *ctx, const uint8_t *apex)
{
	struct told *told = ctx;

	(void)apex;
	told->zones++;
	return 0;
}

static int on_rrset(void *ctx, const uint8_t *apex, const uint8_t *owner,
		    const struct mirror_rrset *rrset)
{
	struct told *told = ctx;

	told->rrsets++;
	CU_ASSERT_TRUE(dns_name_is_within(owner, apex));
	if (dns_name_equal(owner, (const uint8_t *)"\3www\7example\3com") &&
	    rrset->type == DNS_TYPE_A)
		told->www = true;
	if (dns_name_equal(owner, (const uint8_t *)"\7example\3com") && rrset->type == DNS_TYPE_SOA)
		told->apex = true;
	return 0;
}

static void test_everything_is_told_but_half_loaded_zones(void)
{
	struct told told = {0};
	const struct mirror_export export = {&told, on_zone, on_rrset};

	start();
	begin(false);
	put("example.com", "a.b.example.com", "A 60 192.0.2.1\nTXT 60 \"x\"\n");
	put_zone("example.org");
	CU_ASSERT_EQUAL(mirror_export(mirror, &export), 0);
	CU_ASSERT_EQUAL(told.zones, 1);
	CU_ASSERT_EQUAL(told.rrsets, 4);
	CU_ASSERT_TRUE(told.www && told.apex);
	commit();
	stop();
}

/* Names n0 to n<size - 1> of a generation are there, or none of them. */
static unsigned int count_generation(unsigned int generation, unsigned int size)
{
	unsigned int found = 0;
	char name[64];

	for (unsigned int i = 0; i < size; i++) {
		snprintf(name, sizeof(name), "n%u.g%u.example.com", i, generation);
		found += count(name, DNS_TYPE_A) == 1;
	}
	return found;
}

static void put_generation(unsigned int generation, unsigned int size, const char *records)
{
	char name[64];

	for (unsigned int i = 0; i < size; i++) {
		snprintf(name, sizeof(name), "n%u.g%u.example.com", i, generation);
		put("example.com", name, records);
	}
}

/*
 * So many names that those gone before would fill any filter of what is there: it is made anew, and
 * when the table grows and shrinks, too.
 */
static void test_names_are_found_whatever_was_there_before(void)
{
	static const unsigned int sizes[] = {300, 300, 300, 300, 300, 5000, 5000, 300, 300, 1};
	const unsigned int count_of_sizes = sizeof(sizes) / sizeof(sizes[0]);

	start();
	for (unsigned int round = 0; round < 2 * count_of_sizes; round++) {
		unsigned int size = sizes[round % count_of_sizes];
		unsigned int before = round > 0 ? sizes[(round - 1) % count_of_sizes] : 0;
		begin(false);
		put_generation(round, size, "A 60 192.0.2.1\n");
		CU_ASSERT_EQUAL(count_generation(round, size), size); /* at once */
		if (before > 0)
			put_generation(round - 1, before, "");
		commit();
		CU_ASSERT_EQUAL(count_generation(round, size), size);
		CU_ASSERT_EQUAL(count_generation(round - 1, before), 0);
		CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1);
	}
	stop();
}

static void test_losses_are_counted_before_they_happen(void)
{
	start();
	begin(false);
	put("example.com", "two.example.com", "A 60 192.0.2.1\nA 60 192.0.2.2\n");
	CU_ASSERT_EQUAL(mirror_count_unnamed(mirror), 0);
	commit();
	begin(true);
	CU_ASSERT_EQUAL(mirror_count_unnamed(mirror), 4);
	put_zone("example.com");
	CU_ASSERT_EQUAL(mirror_count_unnamed(mirror), 3);
	put("example.com", "two.example.com", "A 60 192.0.2.1\n");
	CU_ASSERT_EQUAL(mirror_count_unnamed(mirror), 1);
	mirror_write_abort(mirror);
	CU_ASSERT_EQUAL(count("www.example.com", DNS_TYPE_A), 1);
	stop();
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"names are found in any case", test_names_are_found_in_any_case},
		{"names between exist and go with their last child",
		 test_names_between_exist_and_go_with_their_last_child},
		{"a name that loses its records stays above others",
		 test_a_name_that_loses_its_records_stays_above_others},
		{"RRsets are sorted, merged and without doubles",
		 test_rrsets_are_sorted_merged_and_without_doubles},
		{"a new zone shows at its commit", test_a_new_zone_shows_at_its_commit},
		{"a batch cut short takes nothing away", test_a_batch_cut_short_takes_nothing_away},
		{"a reload sweeps what is not named", test_a_reload_sweeps_what_is_not_named},
		{"zones come and go", test_zones_come_and_go},
		{"a zone without SOA is not served", test_a_zone_without_soa_is_not_served},
		{"names outside or of no zone are refused",
		 test_names_outside_or_of_no_zone_are_refused},
		{"wildcards are flagged", test_wildcards_are_flagged},
		{"readers never see half a name", test_readers_never_see_half_a_name},
		{"memory is given back", test_memory_is_given_back},
		{"everything is told but half loaded zones",
		 test_everything_is_told_but_half_loaded_zones},
		{"names are found whatever was there before",
		 test_names_are_found_whatever_was_there_before},
		{"losses are counted before they happen",
		 test_losses_are_counted_before_they_happen},
	};
	mirror_reader_register();
	int status = SUITE_RUN("mirror", tests);
	mirror_reader_unregister();
	return status;
}
