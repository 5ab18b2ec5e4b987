/* Queries by zone: which zones stay in a table, what is counted, and what is told. */
#include "dns/name.h"
#include "frontend/zone_counter.h"
#include "frontend/zone_ledger.h"
#include "frontend/zone_table.h"
#include "suite.h"

#include <event2/buffer.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOT 20
#define METRIC "godwit_frontend_zone_queries_total"

static int64_t now_ms = 5000000;

/* --- counting and looking --------------------------------------------------------------------- */

static void add(struct zone_table *table, const char *zone, uint64_t n)
{
	uint8_t name[DNS_NAME_MAX];
	int size = dns_name_from_text(zone, strlen(zone), NULL, name);
	CU_ASSERT_FATAL(size > 0);
	zone_table_add(table, name, (size_t)size, n, now_ms);
}

/* Zone number `i` of those that begin with a letter. */
static void add_number(struct zone_table *table, char letter, unsigned int i, uint64_t n)
{
	char zone[40];
	snprintf(zone, sizeof(zone), "%c%u.example", letter, i);
	add(table, zone, n);
}

/* What a table has counted for a zone; 0: it is not there. */
static uint64_t count_of(const struct zone_table *table, const char *zone)
{
	char text[DNS_NAME_TEXT_MAX];
	struct zone_entry entry;
	for (size_t i = 0; i < ZONE_TABLE_ENTRIES; i++) {
		if (!zone_table_read(table, i, &entry))
			continue;
		dns_name_to_text(entry.zone, text);
		if (strcmp(text, zone) == 0)
			return entry.count;
	}
	return 0;
}

/* A ledger over some tables, and the lines it tells. */
struct telling {
	struct zone_ledger *ledger;
	char text[65536];
};

static void tell(struct telling *telling, struct zone_table **tables, size_t count, size_t top)
{
	struct evbuffer *out = evbuffer_new();
	for (size_t i = 0; i < count; i++)
		zone_ledger_gather(telling->ledger, i, tables[i], now_ms);
	zone_ledger_print(telling->ledger, top, out);
	int size = evbuffer_remove(out, telling->text, sizeof(telling->text) - 1);
	CU_ASSERT_FATAL(size > 0);
	telling->text[size] = '\0';
	evbuffer_free(out);
}

/* The number told of a zone, as it stands in the text; -1: none. */
static long long told(const struct telling *telling, const char *zone)
{
	char line[2048];
	snprintf(line, sizeof(line), "\n" METRIC "{zone=\"%s\"} ", zone);
	const char *found = strstr(telling->text, line);
	return found ? atoll(found + strlen(line)) : -1;
}

static unsigned int count_told(const struct telling *telling)
{
	unsigned int count = 0;
	for (const char *p = telling->text; (p = strstr(p, "\n" METRIC "{")); p++)
		count++;
	return count;
}

/* --- the table -------------------------------------------------------------------------------- */

static void test_a_zone_is_counted_in_any_case(void)
{
	struct zone_table *table = zone_table_create();
	add(table, "Example.COM", 2);
	add(table, "example.com", 3);
	add(table, ".", 7);
	CU_ASSERT_EQUAL(count_of(table, "example.com."), 5);
	CU_ASSERT_EQUAL(count_of(table, "."), 7);
	CU_ASSERT_EQUAL(count_of(table, "com."), 0);
	CU_ASSERT_EQUAL(zone_table_total(table), 12);
	zone_table_destroy(table);
}

static void test_hot_zones_survive_a_flood_of_others(void)
{
	struct zone_table *table = zone_table_create();
	char zone[40];
	const unsigned int rounds = 5000;
	/* Each hot zone has one query in 60, two thirds are for zones asked for once. */
	for (unsigned int i = 0; i < rounds; i++)
		for (unsigned int k = 0; k < HOT; k++) {
			add_number(table, 'h', k, 1);
			add_number(table, 'x', (i * HOT + k) * 2, 1);
			add_number(table, 'x', (i * HOT + k) * 2 + 1, 1);
		}
	for (unsigned int k = 0; k < HOT; k++) {
		snprintf(zone, sizeof(zone), "h%u.example.", k);
		CU_ASSERT(count_of(table, zone) <= rounds);
		CU_ASSERT(count_of(table, zone) > rounds * 9 / 10);
	}
	CU_ASSERT_EQUAL(zone_table_total(table), (uint64_t)rounds * HOT * 3);
	zone_table_destroy(table);
}

static void test_heat_fades_and_counts_stay(void)
{
	struct zone_table *table = zone_table_create();
	add(table, "was.example", 1000000);
	uint64_t most = 0;
	now_ms += 10 * ZONE_TABLE_FADE_MS;
	add(table, "is.example", 1);
	for (size_t i = 0; i < ZONE_TABLE_ENTRIES; i++)
		most = zone_table_heat(table, i) > most ? zone_table_heat(table, i) : most;
	CU_ASSERT(most > 500000 && most < 550000); /* (15/16)^10 */
	CU_ASSERT_EQUAL(count_of(table, "was.example."), 1000000);
	/* However long nobody asks: it ends, and nothing goes below what is there. */
	now_ms += INT64_C(100000) * ZONE_TABLE_FADE_MS;
	add(table, "is.example", 1);
	CU_ASSERT_EQUAL(count_of(table, "is.example."), 2);
	CU_ASSERT_EQUAL(zone_table_fade(UINT64_MAX, INT64_MAX), 15);
	zone_table_destroy(table);
}

static void *read_for_ever(void *ctx)
{
	struct zone_table *table = ctx;
	struct zone_entry entry;
	size_t broken = 0;
	/* Until the owner says that it is done. */
	for (size_t i = 0; zone_table_total(table) % 2 == 0; i = (i + 1) % ZONE_TABLE_ENTRIES) {
		char text[DNS_NAME_TEXT_MAX];
		if (!zone_table_read(table, i, &entry))
			continue;
		dns_name_to_text(entry.zone, text);
		const char *end = strchr(text, '.');
		unsigned int first = 0;
		unsigned int second = 1;
		/* Both labels have the same number: else it is two names. */
		if (!end || sscanf(text, "x%u.y%u.", &first, &second) != 2 || first != second)
			broken++;
	}
	return (void *)broken;
}

static void test_names_are_read_whole_while_others_take_their_place(void)
{
	struct zone_table *table = zone_table_create();
	pthread_t reader;
	void *broken = NULL;
	char zone[64];
	CU_ASSERT_FATAL(pthread_create(&reader, NULL, read_for_ever, table) == 0);
	for (unsigned int i = 0; i < 100000; i++) {
		snprintf(zone, sizeof(zone), "x%u.y%u", i * 7919, i * 7919);
		add(table, zone, 2);
	}
	add(table, "x1.y1", 1);
	pthread_join(reader, &broken);
	CU_ASSERT_PTR_NULL(broken);
	zone_table_destroy(table);
}

/* --- the counter ------------------------------------------------------------------------------ */

static void count(struct zone_counter *counter, const char *name, uint8_t zone_size, int64_t now_ns)
{
	uint8_t wire[DNS_NAME_MAX];
	int size = dns_name_from_text(name, strlen(name), NULL, wire);
	const struct dns_query query = {.qname = wire, .qname_size = (uint16_t)size};
	zone_counter_add(counter, &query, zone_size, now_ns);
}

static void test_few_queries_are_counted_one_by_one(void)
{
	struct zone_counter counter;
	CU_ASSERT_EQUAL_FATAL(zone_counter_init(&counter), 0);
	for (int i = 0; i < 1000; i++) {
		count(&counter, "www.example.com", 13, i * 1000000);
		count(&counter, "a.b.example.org", 13, i * 1000000);
		count(&counter, "www.example.net", 0, i * 1000000);
	}
	CU_ASSERT_EQUAL(count_of(counter.table, "example.com."), 1000);
	CU_ASSERT_EQUAL(count_of(counter.table, "example.org."), 1000);
	CU_ASSERT_EQUAL(zone_table_total(counter.table), 2000);
	zone_counter_clear(&counter);
}

/* Each of 32 queries, in step with what a fixed choice of every 32nd would see. */
static void test_many_queries_are_counted_by_samples_that_keep_no_step(void)
{
	struct zone_counter counter;
	const unsigned int queries = 400000;
	CU_ASSERT_EQUAL_FATAL(zone_counter_init(&counter), 0);
	for (unsigned int i = 0; i < queries; i++)
		count(&counter, i % 32 == 0 ? "www.one.example" : "www.two.example", 13, 1000000);
	double one = (double)count_of(counter.table, "one.example.");
	double two = (double)count_of(counter.table, "two.example.");
	CU_ASSERT_DOUBLE_EQUAL(one + two, queries, queries * 0.03);
	CU_ASSERT_DOUBLE_EQUAL(one / (one + two), 1 / 32.0, 0.01);
	zone_counter_clear(&counter);
}

static void test_a_counter_of_zeros_counts_nothing(void)
{
	struct zone_counter counter = {0};
	for (int i = 0; i < 3; i++)
		count(&counter, "www.example.com", 13, i);
	counter.wait = 1;
	count(&counter, "www.example.com", 13, 4);
	CU_ASSERT_PTR_NULL(counter.table);
	zone_counter_clear(&counter);
}

/* --- the ledger ------------------------------------------------------------------------------- */

static void test_tables_of_all_workers_are_added_up(void)
{
	struct zone_table *tables[] = {zone_table_create(), zone_table_create()};
	struct telling telling = {.ledger = zone_ledger_create(2)};
	tell(&telling, tables, 2, HOT);
	CU_ASSERT_EQUAL(count_told(&telling), 0);
	add(tables[0], "both.example", 10);
	add(tables[1], "both.example", 20);
	add(tables[1], "one.example", 5);
	tell(&telling, tables, 2, HOT);
	CU_ASSERT_EQUAL(told(&telling, "both.example"), 30);
	CU_ASSERT_EQUAL(told(&telling, "one.example"), 5);
	add(tables[0], "both.example", 1);
	tell(&telling, tables, 2, HOT);
	tell(&telling, tables, 2, HOT); /* nothing is taken twice */
	CU_ASSERT_EQUAL(told(&telling, "both.example"), 31);
	/* The hottest first, and no more than asked for. */
	tell(&telling, tables, 2, 1);
	CU_ASSERT_EQUAL(count_told(&telling), 1);
	CU_ASSERT_EQUAL(told(&telling, "both.example"), 31);
	zone_ledger_destroy(telling.ledger);
	zone_table_destroy(tables[0]);
	zone_table_destroy(tables[1]);
}

/* A worker's table may lose a zone: what was told of it before is not taken back. */
static void test_a_number_told_never_goes_back(void)
{
	struct zone_table *table = zone_table_create();
	struct telling telling = {.ledger = zone_ledger_create(1)};
	long long before = 0;
	uint64_t asked = 0;
	for (unsigned int i = 0; i < 50; i++) {
		add(table, "now-and-then.example", 1000);
		asked += 1000;
		tell(&telling, &table, 1, HOT);
		long long now = told(&telling, "now-and-then.example");
		CU_ASSERT(now >= before && now <= (long long)asked);
		before = now;
		for (unsigned int k = 0; k < 2 * ZONE_TABLE_ENTRIES; k++)
			add_number(table, 'x', i * 10000 + k, 1 + i % 3 * 500);
	}
	CU_ASSERT(before > 0);
	zone_ledger_destroy(telling.ledger);
	zone_table_destroy(table);
}

static void test_zones_asked_for_as_rarely_as_any_are_not_told(void)
{
	struct zone_table *table = zone_table_create();
	struct telling telling = {.ledger = zone_ledger_create(1)};
	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < 20000; i++)
			add_number(table, 'x', i, 1);
		add(table, "hot.example", 500);
		tell(&telling, &table, 1, HOT);
		CU_ASSERT_EQUAL(count_told(&telling), 1);
		CU_ASSERT_EQUAL(told(&telling, "hot.example"), (round + 1) * 500);
		now_ms += 15000;
	}
	zone_ledger_destroy(telling.ledger);
	zone_table_destroy(table);
}

static void test_what_is_hot_now_comes_before_what_was(void)
{
	struct zone_table *table = zone_table_create();
	struct telling telling = {.ledger = zone_ledger_create(1)};
	add(table, "was.example", 100000);
	tell(&telling, &table, 1, 1);
	CU_ASSERT_EQUAL(told(&telling, "was.example"), 100000);
	for (int minute = 0; minute < 30; minute++) {
		now_ms += 60000;
		add(table, "is.example", 1000);
		tell(&telling, &table, 1, 1);
	}
	CU_ASSERT_EQUAL(told(&telling, "is.example"), 30000);
	CU_ASSERT_EQUAL(count_told(&telling), 1);
	zone_ledger_destroy(telling.ledger);
	zone_table_destroy(table);
}

static void test_no_name_breaks_the_format(void)
{
	static const uint8_t hostile[] = "\x05"
					 "a\"} 9"
					 "\x06"
					 "\\\n#.\r\xff"
					 "\x03"
					 "com";
	struct zone_table *table = zone_table_create();
	struct telling telling = {.ledger = zone_ledger_create(1)};
	zone_table_add(table, hostile, sizeof(hostile), 3, now_ms);
	add(table, ".", 2);
	tell(&telling, &table, 1, HOT);
	/* As a zone file has it, and once more escaped for the label. */
	CU_ASSERT_EQUAL(
		told(&telling, "a\\\\\\\"}\\\\0329.\\\\\\\\\\\\010#\\\\.\\\\013\\\\255.com"), 3);
	CU_ASSERT_EQUAL(told(&telling, "."), 2);
	unsigned int lines = 0;
	for (const char *p = telling.text; (p = strchr(p, '\n')); p++)
		lines++;
	CU_ASSERT_EQUAL(lines, 4);
	zone_ledger_destroy(telling.ledger);
	zone_table_destroy(table);
}

/* Each of its octets is four in a zone file, and five in a label. */
static void test_the_longest_name_has_room(void)
{
	uint8_t longest[DNS_NAME_MAX];
	struct zone_table *table = zone_table_create();
	struct telling telling = {.ledger = zone_ledger_create(1)};
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 64 == 0 ? 63 : 0x80;
	longest[192] = 61;
	longest[sizeof(longest) - 1] = 0;
	zone_table_add(table, longest, sizeof(longest), 1, now_ms);
	tell(&telling, &table, 1, HOT);
	CU_ASSERT_EQUAL(count_told(&telling), 1);
	CU_ASSERT_EQUAL(strlen(strstr(telling.text, "zone=\"")),
			strlen("zone=\"\"} 1\n") + (3 * 63 + 61) * 5 + 3);
	zone_ledger_destroy(telling.ledger);
	zone_table_destroy(table);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"a zone is counted in any case", test_a_zone_is_counted_in_any_case},
		{"hot zones survive a flood of others", test_hot_zones_survive_a_flood_of_others},
		{"heat fades and counts stay", test_heat_fades_and_counts_stay},
		{"names are read whole while others take their place",
		 test_names_are_read_whole_while_others_take_their_place},
		{"few queries are counted one by one", test_few_queries_are_counted_one_by_one},
		{"many queries are counted by samples that keep no step",
		 test_many_queries_are_counted_by_samples_that_keep_no_step},
		{"a counter of zeros counts nothing", test_a_counter_of_zeros_counts_nothing},
		{"tables of all workers are added up", test_tables_of_all_workers_are_added_up},
		{"a number told never goes back", test_a_number_told_never_goes_back},
		{"zones asked for as rarely as any are not told",
		 test_zones_asked_for_as_rarely_as_any_are_not_told},
		{"what is hot now comes before what was",
		 test_what_is_hot_now_comes_before_what_was},
		{"no name breaks the format", test_no_name_breaks_the_format},
		{"the longest name has room", test_the_longest_name_has_room},
	};
	return SUITE_RUN("zone_table", tests);
}
