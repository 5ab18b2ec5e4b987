/* Which zone a name is routed by. */
#include "dns/name.h"
#include "frontend/route.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

#define ZONES_MAX 600

static uint8_t zones[ZONES_MAX][DNS_NAME_MAX];
static const uint8_t *pointers[ZONES_MAX];

static void wire(const char *text, uint8_t *out)
{
	CU_ASSERT_FATAL(dns_name_from_text(text, strlen(text), NULL, out) > 0);
}

static struct route_table *table_of(const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		wire(texts[i], zones[i]);
		pointers[i] = zones[i];
	}
	struct route_table *table = route_table_create(pointers, count);
	CU_ASSERT_FATAL(table != NULL);
	return table;
}

static int find(const struct route_table *table, const char *text)
{
	uint8_t name[DNS_NAME_MAX];
	wire(text, name);
	return route_find(table, name);
}

static void test_longest_zone_wins(void)
{
	static const char *const texts[] = {"example.com.", ".", "sub.example.com.", "com."};
	struct route_table *table = table_of(texts, 4);
	CU_ASSERT_EQUAL(find(table, "sub.example.com."), 2);
	CU_ASSERT_EQUAL(find(table, "a.b.sub.example.com."), 2);
	CU_ASSERT_EQUAL(find(table, "www.example.com."), 0);
	CU_ASSERT_EQUAL(find(table, "example.com."), 0);
	CU_ASSERT_EQUAL(find(table, "other.com."), 3);
	CU_ASSERT_EQUAL(find(table, "example.net."), 1);
	CU_ASSERT_EQUAL(find(table, "."), 1);
	route_table_destroy(table);
}

static void test_no_zone_no_route(void)
{
	static const char *const texts[] = {"example.com."};
	struct route_table *table = table_of(texts, 1);
	CU_ASSERT_EQUAL(find(table, "example.org."), ROUTE_NONE);
	CU_ASSERT_EQUAL(find(table, "com."), ROUTE_NONE);
	CU_ASSERT_EQUAL(find(table, "."), ROUTE_NONE);
	route_table_destroy(table);
}

static void test_labels_match_whole(void)
{
	static const char *const texts[] = {"example.com."};
	struct route_table *table = table_of(texts, 1);
	/* The same octets at the end, but not on a label boundary. */
	CU_ASSERT_EQUAL(find(table, "badexample.com."), ROUTE_NONE);
	CU_ASSERT_EQUAL(find(table, "bad\\007example.com."), ROUTE_NONE);
	route_table_destroy(table);
}

static void test_case_does_not_matter(void)
{
	static const char *const texts[] = {"Example.COM."};
	struct route_table *table = table_of(texts, 1);
	CU_ASSERT_EQUAL(find(table, "WWW.eXAMPLE.com."), 0);
	route_table_destroy(table);
}

static void test_many_zones(void)
{
	char text[64];
	for (int i = 0; i < ZONES_MAX; i++) {
		snprintf(text, sizeof(text), "zone%d.example.", i);
		wire(text, zones[i]);
		pointers[i] = zones[i];
	}
	struct route_table *table = route_table_create(pointers, ZONES_MAX);
	for (int i = 0; i < ZONES_MAX; i++) {
		snprintf(text, sizeof(text), "a.b.zone%d.example.", i);
		CU_ASSERT_EQUAL(find(table, text), i);
	}
	CU_ASSERT_EQUAL(find(table, "zone600.example."), ROUTE_NONE);
	route_table_destroy(table);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"the longest zone wins", test_longest_zone_wins},
		{"no zone, no route", test_no_zone_no_route},
		{"labels match whole", test_labels_match_whole},
		{"case does not matter", test_case_does_not_matter},
		{"many zones", test_many_zones},
	};
	return SUITE_RUN("route", tests);
}
