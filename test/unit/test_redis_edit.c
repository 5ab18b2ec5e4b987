/* storage/redis_edit.h: what writing RRsets does to a hash, shown as the commands sent for it. */
#include "storage/redis_edit.h"

#include "dns/rdata.h"
#include "test/unit/suite.h"

#include <stdio.h>
#include <string.h>

static struct redis_arena arena;

/* An entry of fields given as name, value, ..., NULL. */
static const struct redis_entry *make_entry(const char *const *texts)
{
	struct redis_entry *entry =
		redis_arena_alloc(&arena, sizeof(*entry) + 16 * sizeof(entry->fields[0]));

	*entry = (struct redis_entry){.name = "x.example.com"};
	for (; texts[0]; texts += 2)
		entry->fields[entry->count++] = (struct redis_field){
			.name = texts[0],
			.value = texts[1],
			.name_size = strlen(texts[0]),
			.value_size = strlen(texts[1]),
		};
	return entry;
}

/* The commands of a change as text: "HSET A 192.0.2.1 ttl 60; HDEL TXT". */
static const char *describe(struct redis_change *change)
{
	static char text[1024];
	struct redis_command commands[REDIS_COMMANDS_MAX];
	size_t used = 0;

	CU_ASSERT_FATAL(redis_change_apply(change, &arena));
	int count = redis_change_commands(change, &arena, commands);
	text[0] = '\0';
	for (int i = 0; i < count; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? "; " : "",
					 commands[i].name);
		for (size_t j = 0; j < commands[i].count; j++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, " %.*s",
						 (int)commands[i].sizes[j], commands[i].words[j]);
	}
	return text;
}

/* What is sent to put one RRset, or delete it, into a hash. */
static const char *put(const char *const *before, const char *type, const char *value, uint32_t ttl)
{
	struct redis_edit edit = {
		.type = (uint16_t)dns_type_from_text(type), .value = value, .ttl = ttl};
	struct redis_change change = {.name = "x.example.com",
				      .before = make_entry(before),
				      .cleared = REDIS_PART_NONE,
				      .edits = &edit};

	return describe(&change);
}

static const char *clear(const char *const *before, enum redis_part part)
{
	struct redis_change change = {
		.name = "x.example.com", .before = make_entry(before), .cleared = part};

	return describe(&change);
}

#define HASH(...) ((const char *const[]){__VA_ARGS__, NULL})
#define EMPTY ((const char *const[]){NULL})

static void test_the_first_rrset_brings_the_names_ttl(void)
{
	CU_ASSERT_STRING_EQUAL(put(EMPTY, "A", "192.0.2.1", 60), "HSET ttl 60 A 192.0.2.1");
	CU_ASSERT_STRING_EQUAL(put(EMPTY, "A", "192.0.2.1", 3600), "HSET ttl 3600 A 192.0.2.1");
}

static void test_another_type_keeps_to_it_or_has_its_own(void)
{
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "ttl", "60"), "TXT", "x", 60), "HSET TXT x");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "ttl", "60"), "TXT", "x", 5),
			       "HSET ttl.TXT 5 TXT x");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1"), "TXT", "x", 3600), "HSET TXT x");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1"), "TXT", "x", 60), "HSET ttl.TXT 60 TXT x");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "ttl.A", "9"), "TXT", "x", 60),
			       "HSET ttl 60 TXT x");
}

static void test_the_only_type_changes_the_names_ttl(void)
{
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "ttl", "60"), "A", "1", 300), "HSET ttl 300");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "ttl", "60"), "A", "1", 60), "");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "ttl", "x"), "A", "2", 60), "HSET ttl 60 A 2");
}

static void test_other_spellings_of_a_type_are_replaced(void)
{
	CU_ASSERT_STRING_EQUAL(
		put(HASH("a", "1", "TYPE1", "2", "TTL.type1", "5", "ttl", "60"), "A", "3", 60),
		"HSET A 3; HDEL a TYPE1 TTL.type1");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "TTL", "60"), "A", "1", 300),
			       "HSET ttl 300; HDEL TTL");
}

static void test_deleting(void)
{
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "TXT", "x", "ttl.A", "5"), "A", NULL, 0),
			       "HDEL A ttl.A");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "ttl", "60"), "A", NULL, 0), "DEL");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1", "owner", "me"), "A", NULL, 0), "HDEL A");
	CU_ASSERT_STRING_EQUAL(put(HASH("A", "1"), "TXT", NULL, 0), "");
	CU_ASSERT_STRING_EQUAL(put(EMPTY, "A", NULL, 0), "");
}

static void test_clearing(void)
{
	const char *const *apex =
		HASH("SOA", "s", "NS", "n", "DS", "d", "ttl", "60", "ttl.NS", "5");

	CU_ASSERT_STRING_EQUAL(clear(apex, REDIS_PART_APEX), "HDEL SOA NS ttl.NS");
	CU_ASSERT_STRING_EQUAL(clear(apex, REDIS_PART_DELEGATION), "HDEL DS");
	CU_ASSERT_STRING_EQUAL(clear(apex, REDIS_PART_ALL), "DEL");
	CU_ASSERT_STRING_EQUAL(clear(HASH("SOA", "s", "ttl", "60"), REDIS_PART_APEX), "DEL");
}

static const struct suite_test tests[] = {
	{"the first RRset brings the name's TTL", test_the_first_rrset_brings_the_names_ttl},
	{"another type keeps to it or has its own", test_another_type_keeps_to_it_or_has_its_own},
	{"the only type changes the name's TTL", test_the_only_type_changes_the_names_ttl},
	{"other spellings of a type are replaced", test_other_spellings_of_a_type_are_replaced},
	{"deleting RRsets", test_deleting},
	{"clearing what a zone has", test_clearing},
};

int main(void)
{
	int status = SUITE_RUN("redis_edit", tests);

	redis_arena_clear(&arena);
	return status;
}
