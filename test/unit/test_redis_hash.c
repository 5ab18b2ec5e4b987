/* storage/redis_hash.h, redis_zones.h and redis_table.h: keys and hashes into records of zones. */
#include "storage/redis_hash.h"

#include "storage/redis_zones.h"
#include "test/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 16

/* Room for an entry with its fields. */
struct hash {
	struct redis_entry entry;
	struct redis_field fields[FIELDS_MAX];
};

/* Adds a field of C strings; more octets with hash_add_octets. */
static void hash_add_octets(struct hash *hash, const char *name, size_t name_size,
			    const char *value, size_t value_size)
{
	hash->entry.fields[hash->entry.count++] = (struct redis_field){
		.name = name, .name_size = name_size, .value = value, .value_size = value_size};
}

static void hash_add(struct hash *hash, const char *name, const char *value)
{
	hash_add_octets(hash, name, strlen(name), value, strlen(value));
}

static enum redis_key parse(const char *key, char *name)
{
	return redis_key_parse("dns:", key, strlen(key), name);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void test_keys_in_the_right_spelling(void)
{
	static const char *const right[] = {"example.com", ".",     "*.wild.example.com",
					    "_sip._tcp.x", "a-b.c", "a\\.b.c",
					    "\\032x.y",    "x/y.z", "\\@"};
	char name[DNS_NAME_TEXT_MAX], key[256];

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		snprintf(key, sizeof(key), "dns:%s", right[i]);
		enum redis_key kind = parse(key, name);
		if (kind != REDIS_KEY_NAME)
			printf("%s -> %d %s\n", right[i], kind, name);
		CU_ASSERT(kind == REDIS_KEY_NAME || strcmp(right[i], "\\@") == 0);
		if (kind == REDIS_KEY_NAME)
			CU_ASSERT_STRING_EQUAL(name, right[i]);
	}
}

static void test_keys_in_other_spellings(void)
{
	char name[DNS_NAME_TEXT_MAX];

	CU_ASSERT_EQUAL(parse("dns:WWW.Example.com", name), REDIS_KEY_ODD);
	CU_ASSERT_STRING_EQUAL(name, "www.example.com");
	CU_ASSERT_EQUAL(parse("dns:www.example.com.", name), REDIS_KEY_ODD);
	CU_ASSERT_STRING_EQUAL(name, "www.example.com");
	CU_ASSERT_EQUAL(parse("dns:\\097.example.com", name), REDIS_KEY_ODD);
	CU_ASSERT_STRING_EQUAL(name, "a.example.com");
	CU_ASSERT_EQUAL(parse("dns:caf\xc3\xa9.example.com", name), REDIS_KEY_ODD);
	CU_ASSERT_STRING_EQUAL(name, "caf\\195\\169.example.com");
	CU_ASSERT_EQUAL(redis_key_parse("dns:", "dns:a\0b.c", 9, name), REDIS_KEY_ODD);
	CU_ASSERT_STRING_EQUAL(name, "a\\000b.c");
}

static void test_keys_that_are_no_names(void)
{
	char name[DNS_NAME_TEXT_MAX], label[80];

	CU_ASSERT_EQUAL(parse("dns:", name), REDIS_KEY_BAD);
	CU_ASSERT_EQUAL(parse("dns:@", name), REDIS_KEY_BAD);
	CU_ASSERT_EQUAL(parse("dns:a..b", name), REDIS_KEY_BAD);
	CU_ASSERT_EQUAL(parse("dns:.a", name), REDIS_KEY_BAD);
	CU_ASSERT_EQUAL(parse("dns:a\\", name), REDIS_KEY_BAD);
	CU_ASSERT_EQUAL(parse("dns:\\999", name), REDIS_KEY_BAD);
	CU_ASSERT_EQUAL(parse("dns", name), REDIS_KEY_FOREIGN);
	CU_ASSERT_EQUAL(parse("other:example.com", name), REDIS_KEY_FOREIGN);
	CU_ASSERT_EQUAL(redis_key_parse("dns:", "", 0, name), REDIS_KEY_FOREIGN);
	memset(label, 'a', sizeof(label));
	memcpy(label, "dns:", 4);
	CU_ASSERT_EQUAL(redis_key_parse("dns:", label, 4 + 63, name), REDIS_KEY_NAME);
	CU_ASSERT_EQUAL(redis_key_parse("dns:", label, 4 + 64, name), REDIS_KEY_BAD);
}

static void test_random_octets_are_no_trouble(void)
{
	char key[600], name[DNS_NAME_TEXT_MAX];

	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)rand() % sizeof(key);
		for (size_t i = 0; i < size; i++)
			key[i] = rand() % 4 == 0 ? (char)rand() : "ab.\\01A*"[rand() % 8];
		memcpy(key, "dns:", 4);
		if (size >= 4 && redis_key_parse("dns:", key, size, name) == REDIS_KEY_NAME)
			CU_ASSERT(strlen(name) == size - 4 && memcmp(name, key + 4, size - 4) == 0);
	}
}

/* --- records ---------------------------------------------------------------------------------- */

/* Makes records and finds the one of that content; its TTL, or -1. */
static int64_t find_record(const struct hash *hash, enum redis_part part, const char *type,
			   const char *content)
{
	struct redis_records records = {0};
	struct storage_name name;
	int64_t ttl = -1;

	CU_ASSERT_FATAL(
		redis_records_make(&records, "dns:", "example.com", &hash->entry, part, &name));
	for (size_t i = 0; i < name.count; i++) {
		CU_ASSERT_PTR_NOT_NULL(strstr(name.records[i].key, "dns:www.example.com "));
		if (strcmp(name.records[i].type, type) == 0 &&
		    strcmp(name.records[i].content, content) == 0)
			ttl = name.records[i].ttl;
	}
	redis_records_clear(&records);
	return ttl;
}

static size_t count_records(const struct hash *hash, enum redis_part part)
{
	struct redis_records records = {0};
	struct storage_name name;

	CU_ASSERT_FATAL(
		redis_records_make(&records, "dns:", "example.com", &hash->entry, part, &name));
	redis_records_clear(&records);
	return name.count;
}

static void test_lines_and_ttls(void)
{
	struct hash hash = {.entry = {.name = "www.example.com"}};

	hash_add(&hash, "A", "192.0.2.1\n 192.0.2.2\t\r\n\n\r\n192.0.2.3");
	hash_add(&hash, "TTL", " 60\n");
	hash_add(&hash, "TTL.type15", "7200");
	hash_add(&hash, "mx", "10 mail.example.com");
	hash_add(&hash, "ttl.TXT", "many");
	hash_add(&hash, "TXT", "\"x\"");
	hash_add(&hash, "ttl.SRV", "99999999999999999999999");
	hash_add(&hash, "SRV", "0 0 1 a");
	CU_ASSERT_EQUAL(count_records(&hash, REDIS_PART_ALL), 6);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_ALL, "A", "192.0.2.2"), 60);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_ALL, "A", "192.0.2.3"), 60);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_ALL, "mx", "10 mail.example.com"), 7200);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_ALL, "TXT", "\"x\""), 60);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_ALL, "SRV", "0 0 1 a"), 2147483647);
	CU_ASSERT_EQUAL(count_records(&hash, REDIS_PART_NONE), 0);
}

static void test_octets_that_are_no_text(void)
{
	struct hash hash = {.entry = {.name = "www.example.com"}};

	hash_add_octets(&hash, "TXT", 3, "\"a\0b\"", 5);
	hash_add_octets(&hash, "A\0A", 3, "192.0.2.1", 9);
	hash_add_octets(&hash, "", 0, "x", 1);
	hash_add_octets(&hash, "ttl\0", 4, "5", 1);
	hash_add_octets(&hash, "ttl.", 4, "5", 1);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_ALL, "TXT", "\"a\\000b\""), 3600);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_ALL, "A\\000A", "192.0.2.1"), 3600);
	CU_ASSERT_FALSE(redis_entry_is_apex(&hash.entry));
}

static void test_an_apex_is_what_has_an_soa(void)
{
	struct hash hash = {.entry = {.name = "www.example.com"}};

	hash_add(&hash, "SOA", " \n\r\n");
	CU_ASSERT_FALSE(redis_entry_is_apex(&hash.entry));
	hash_add(&hash, "soa", "a b 1 1 1 1 1");
	CU_ASSERT(redis_entry_is_apex(&hash.entry));
	struct hash other = {.entry = {.name = "www.example.com"}};
	hash_add(&other, "type6", "a b 1 1 1 1 1");
	CU_ASSERT(redis_entry_is_apex(&other.entry));
}

static void test_parts_of_a_child_zones_apex(void)
{
	struct hash hash = {.entry = {.name = "www.example.com"}};

	hash_add(&hash, "SOA", "a b 1 1 1 1 1");
	hash_add(&hash, "NS", "a\nb");
	hash_add(&hash, "ds", "1 13 2 00");
	hash_add(&hash, "TXT", "x");
	CU_ASSERT_EQUAL(count_records(&hash, REDIS_PART_APEX), 4);
	CU_ASSERT_EQUAL(count_records(&hash, REDIS_PART_DELEGATION), 3);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_DELEGATION, "ds", "1 13 2 00"), 3600);
	CU_ASSERT_EQUAL(find_record(&hash, REDIS_PART_APEX, "ds", "1 13 2 00"), -1);
}

/* --- zones ------------------------------------------------------------------------------------ */

/* The name's places as text: "example.com:1 com:2". */
static const char *place(const struct redis_zones *zones, const char *name, bool before)
{
	static char text[512];
	struct redis_place places[REDIS_PLACES_MAX];
	size_t count = redis_zones_place(zones, name, before, places), used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s:%d", i ? " " : "",
					 places[i].zone, places[i].part);
	return text;
}

static void test_a_name_belongs_to_the_longest_apex(void)
{
	struct redis_zones zones = {0};

	CU_ASSERT_STRING_EQUAL(place(&zones, "www.example.com", false), "");
	CU_ASSERT(redis_zones_add(&zones, "example.com") &&
		  redis_zones_add(&zones, "a.example.com"));
	CU_ASSERT_STRING_EQUAL(place(&zones, "www.example.com", false), "example.com:0");
	CU_ASSERT_STRING_EQUAL(place(&zones, "x.y.a.example.com", false), "a.example.com:0");
	CU_ASSERT_STRING_EQUAL(place(&zones, "notexample.com", false), "");
	CU_ASSERT_STRING_EQUAL(place(&zones, "example.com", false), "example.com:1");
	CU_ASSERT_STRING_EQUAL(place(&zones, "a.example.com", false),
			       "a.example.com:1 example.com:2");
	CU_ASSERT_STRING_EQUAL(place(&zones, "x\\.a.example.com", false), "example.com:0");
	CU_ASSERT(redis_zones_add(&zones, "."));
	CU_ASSERT_STRING_EQUAL(place(&zones, "com", false), ".:0");
	CU_ASSERT_STRING_EQUAL(place(&zones, ".", false), ".:1");
	redis_zones_clear(&zones);
}

static void test_places_before_and_after_changes(void)
{
	struct redis_zones zones = {0};

	CU_ASSERT(redis_zones_add(&zones, "com") && redis_zones_add(&zones, "b.com"));
	CU_ASSERT(redis_zones_change(&zones, "a.com", true));
	CU_ASSERT(redis_zones_change(&zones, "b.com", false));
	CU_ASSERT(redis_zones_change(&zones, "com", true)); /* no change */
	CU_ASSERT_EQUAL(zones.changed.count, 2);
	CU_ASSERT_STRING_EQUAL(place(&zones, "x.a.com", true), "com:0");
	CU_ASSERT_STRING_EQUAL(place(&zones, "x.a.com", false), "a.com:0");
	CU_ASSERT_STRING_EQUAL(place(&zones, "b.com", true), "b.com:1 com:2");
	CU_ASSERT_STRING_EQUAL(place(&zones, "b.com", false), "com:0");
	CU_ASSERT(redis_zones_affect(&zones, "a.com") && redis_zones_affect(&zones, "x.y.b.com"));
	CU_ASSERT_FALSE(redis_zones_affect(&zones, "c.com"));
	redis_zones_settle(&zones);
	CU_ASSERT_FALSE(redis_zones_affect(&zones, "a.com"));
	CU_ASSERT_STRING_EQUAL(place(&zones, "b.com", true), "com:0");
	redis_zones_clear(&zones);
}

static void test_a_table_finds_what_stays_in_it(void)
{
	static char keys[5000][8];
	struct redis_table table = {0};

	for (size_t i = 0; i < 5000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%zu", i);
		CU_ASSERT_FATAL(redis_table_put(&table, keys[i], keys[i]));
	}
	for (size_t i = 0; i < 5000; i += 3)
		redis_table_remove(&table, redis_table_find(&table, keys[i]));
	for (size_t i = 0; i < 5000; i++) {
		struct redis_table_slot *slot = redis_table_find(&table, keys[i]);
		CU_ASSERT_EQUAL(slot != NULL, i % 3 != 0);
		CU_ASSERT(!slot || slot->value == keys[i]);
	}
	CU_ASSERT_EQUAL(table.count, 5000 - 1667);
	redis_table_clear(&table);
}

static const struct suite_test tests[] = {
	{"keys in the right spelling are names", test_keys_in_the_right_spelling},
	{"other spellings are told the right one", test_keys_in_other_spellings},
	{"keys that are no names", test_keys_that_are_no_names},
	{"random octets are no trouble", test_random_octets_are_no_trouble},
	{"a record a line, TTLs of names and types", test_lines_and_ttls},
	{"octets that are no text", test_octets_that_are_no_text},
	{"an apex is what has an SOA", test_an_apex_is_what_has_an_soa},
	{"what of a child's apex belongs to whom", test_parts_of_a_child_zones_apex},
	{"a name belongs to the longest apex", test_a_name_belongs_to_the_longest_apex},
	{"places before and after apexes change", test_places_before_and_after_changes},
	{"a table finds what stays in it", test_a_table_finds_what_stays_in_it},
};

int main(void)
{
	return SUITE_RUN("redis_hash", tests);
}
