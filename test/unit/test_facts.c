/*
 * The promise on which the coherent cache rests: an answer whose facts have not been told as
 * changed is still the answer that would be given now. Tried with random changes to small, dense
 * zones, where every rule of the answers - wildcards, delegations, aliases, empty non-terminals,
 * additional addresses - meets every other.
 */
#include "backend/answer.h"
#include "backend/mirror.h"
#include "dns/hash.h"
#include "dns/protocol.h"
#include "suite.h"
#include "zone_text.h"

#include <stdlib.h>
#include <string.h>

static struct mirror *mirror;

/* --- what the observer was told --------------------------------------------------------------- */

static uint64_t told[4096];
static size_t told_count;
static bool told_everything;

static void on_change(void *ctx, const uint64_t *facts, size_t count, bool everything)
{
	(void)ctx;
	CU_ASSERT_FATAL(told_count + count <= sizeof(told) / sizeof(told[0]));
	if (count > 0)
		memcpy(told + told_count, facts, count * sizeof(*facts));
	told_count += count;
	told_everything |= everything;
}

static void forget_told(void)
{
	told_count = 0;
	told_everything = false;
}

static bool was_told(uint64_t fact)
{
	for (size_t i = 0; i < told_count; i++) {
		if (told[i] == fact)
			return true;
	}
	return told_everything;
}

static bool was_told_of(enum dns_fact fact, const char *text)
{
	uint8_t name[DNS_NAME_MAX];

	zone_text_name(text, name);
	return was_told(dns_fact_hash(fact, name));
}

/* --- asking ----------------------------------------------------------------------------------- */

struct kept {
	struct answer_info info;
	size_t size;
	uint8_t reply[2048];
};

static void ask(const char *text, uint16_t type, struct kept *out)
{
	static uint8_t reply[ANSWER_SIZE_MAX];
	uint8_t query[512] = {0, 1, 0, 0, 0, 1};

	zone_text_name(text, query + DNS_HEADER_SIZE);
	size_t size = DNS_HEADER_SIZE + dns_name_size(query + DNS_HEADER_SIZE);
	dns_put16(query + size, type);
	dns_put16(query + size + 2, DNS_CLASS_IN);
	out->info = (struct answer_info){.wants_facts = true};
	mirror_read_begin();
	out->size = answer_query(mirror, query, size + 4, 1232, reply, &out->info);
	mirror_read_end();
	CU_ASSERT_FATAL(out->size > 0 && out->size <= sizeof(out->reply));
	memcpy(out->reply, reply, out->size);
}

static bool still_holds(const struct kept *kept)
{
	if (told_everything || kept->info.is_volatile)
		return false;
	for (unsigned int i = 0; i < kept->info.fact_count; i++) {
		if (was_told(kept->info.facts[i]))
			return false;
	}
	return true;
}

/* --- random changes --------------------------------------------------------------------------- */

static uint64_t state = 88172645463325252u;

static unsigned int roll(unsigned int below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)((state >> 20) % below);
}

/* A name of up to four labels of four kinds below example.com, or outside it now and then. */
static void random_name(char *out, size_t size, bool owner)
{
	static const char *const labels[] = {"a", "b", "c", "*"};
	unsigned int depth = roll(5);

	out[0] = '\0';
	for (unsigned int i = 0; i < depth; i++) {
		strncat(out, labels[roll(4)], size - strlen(out) - 1);
		strncat(out, ".", size - strlen(out) - 1);
	}
	strncat(out, owner || roll(12) ? "example.com" : "example.net", size - strlen(out) - 1);
}

/* A few records that may stand together, or none. */
static void random_records(char *out, size_t size, bool apex)
{
	char target[128];

	out[0] = '\0';
	if (apex)
		snprintf(out, size, "%sNS 60 ns.a.example.com.\n", ZONE_TEXT_SOA);
	else if (roll(4) == 0)
		return;
	for (unsigned int i = 1 + roll(2); i > 0; i--) {
		size_t used = strlen(out);
		random_name(target, sizeof(target), false);
		switch (roll(apex ? 4 : 7)) {
		case 0:
			snprintf(out + used, size - used, "A 60 192.0.2.%u\n", roll(200));
			break;
		case 1:
			snprintf(out + used, size - used, "TXT 60 \"%u\"\n", roll(200));
			break;
		case 2:
			snprintf(out + used, size - used, "MX 60 1 %s.\n", target);
			break;
		case 3:
			snprintf(out + used, size - used, "DNAME 60 %s.\n", target);
			return;
		case 4:
			snprintf(out + used, size - used, "NS 60 %s.\n", target);
			break;
		case 5:
			snprintf(out, size, "CNAME 60 %s.\n", target);
			return;
		default:
			snprintf(out + used, size - used, "AAAA 60 2001:db8::%u\n", roll(200));
		}
	}
}

static void change_something(void)
{
	char owner[128];
	char records[1024];

	mirror_write_begin(mirror, false);
	for (unsigned int i = 1 + roll(2); i > 0; i--) {
		random_name(owner, sizeof(owner), true);
		random_records(records, sizeof(records), strcmp(owner, "example.com") == 0);
		CU_ASSERT_EQUAL(zone_text_put(mirror, "example.com", owner, records), 0);
	}
	mirror_write_commit(mirror);
}

#define QUESTIONS 300

static void start(void)
{
	mirror = mirror_create();
	mirror_set_observer(mirror, on_change, NULL);
	mirror_write_begin(mirror, true);
	zone_text_put_zone(mirror, "example.com");
	zone_text_put(mirror, "example.com", "example.com", ZONE_TEXT_SOA);
	mirror_write_commit(mirror);
}

static void test_unchanged_facts_mean_an_unchanged_answer(void)
{
	static const uint16_t types[] = {DNS_TYPE_A,   DNS_TYPE_TXT, DNS_TYPE_MX,   DNS_TYPE_NS,
					 DNS_TYPE_ANY, DNS_TYPE_DS,  DNS_TYPE_CNAME};
	static struct kept kept[QUESTIONS];
	static char names[QUESTIONS][128];
	static uint16_t asked[QUESTIONS];
	unsigned int held = 0;
	unsigned int dropped = 0;

	start();
	for (unsigned int i = 0; i < 60; i++)
		change_something();
	for (unsigned int i = 0; i < QUESTIONS; i++) {
		random_name(names[i], sizeof(names[i]), true);
		asked[i] = types[roll(sizeof(types) / sizeof(types[0]))];
		ask(names[i], asked[i], &kept[i]);
	}
	for (unsigned int round = 0; round < 3000; round++) {
		forget_told();
		change_something();
		for (unsigned int i = 0; i < QUESTIONS; i++) {
			struct kept now;
			bool holds = still_holds(&kept[i]);
			ask(names[i], asked[i], &now);
			bool same = now.size == kept[i].size &&
				    memcmp(now.reply, kept[i].reply, now.size) == 0;
			if (holds && !same) {
				fprintf(stderr, "\nround %u: %s type %u\n", round, names[i],
					asked[i]);
				CU_FAIL_FATAL("an answer changed and none of its facts did");
			}
			holds ? held++ : dropped++;
			kept[i] = now;
		}
	}
	CU_ASSERT_TRUE(held > 3 * dropped); /* or the promise would be an easy one */
	CU_ASSERT_TRUE(dropped > 1000);
	mirror_destroy(mirror);
}

static void test_only_what_changed_is_told(void)
{
	start();
	CU_ASSERT_TRUE(told_everything); /* a zone came */
	mirror_write_begin(mirror, false);
	zone_text_put(mirror, "example.com", "a.b.example.com", "A 60 192.0.2.1\n");
	zone_text_put(mirror, "example.com", "w.example.com", "A 60 192.0.2.1\n");
	mirror_write_commit(mirror);
	forget_told();

	mirror_write_begin(mirror, false);
	zone_text_put(mirror, "example.com", "w.example.com", "A 60 192.0.2.1\n"); /* the same */
	mirror_write_commit(mirror);
	CU_ASSERT_EQUAL(told_count, 0);
	CU_ASSERT_FALSE(told_everything);

	mirror_write_begin(mirror, false);
	zone_text_put(mirror, "example.com", "w.example.com", "A 60 192.0.2.2\n");
	mirror_write_commit(mirror);
	CU_ASSERT_EQUAL(told_count, 1);
	CU_ASSERT_TRUE(was_told_of(DNS_FACT_DATA, "W.example.com"));

	forget_told();
	mirror_write_begin(mirror, false);
	zone_text_put(mirror, "example.com", "a.b.example.com", "");
	mirror_write_commit(mirror);
	CU_ASSERT_TRUE(was_told_of(DNS_FACT_DATA, "a.b.example.com"));
	CU_ASSERT_TRUE(was_told_of(DNS_FACT_DATA, "b.example.com"));
	CU_ASSERT_FALSE(was_told_of(DNS_FACT_DATA, "example.com"));
	CU_ASSERT_FALSE(told_everything);

	forget_told();
	uint8_t apex[DNS_NAME_MAX];
	zone_text_name("example.com", apex);
	mirror_write_begin(mirror, false);
	mirror_remove_zone(mirror, apex);
	mirror_write_commit(mirror);
	CU_ASSERT_TRUE(told_everything);
	mirror_destroy(mirror);
}

static void test_a_serial_leaves_negative_answers_alone(void)
{
	struct kept kept;

	start();
	ask("nothing.example.com", DNS_TYPE_A, &kept);
	CU_ASSERT_EQUAL(kept.info.rcode, DNS_RCODE_NXDOMAIN);
	forget_told();
	mirror_write_begin(mirror, false);
	zone_text_put(mirror, "example.com", "example.com",
		      "SOA 3600 ns1.test. host.test. 2 7200 3600 1209600 300\n");
	mirror_write_commit(mirror);
	CU_ASSERT_TRUE(still_holds(&kept));
	ask("example.com", DNS_TYPE_SOA, &kept);
	forget_told();
	mirror_write_begin(mirror, false);
	zone_text_put(mirror, "example.com", "example.com", ZONE_TEXT_SOA);
	mirror_write_commit(mirror);
	CU_ASSERT_FALSE(still_holds(&kept));
	mirror_destroy(mirror);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"only what changed is told", test_only_what_changed_is_told},
		{"a serial leaves negative answers alone",
		 test_a_serial_leaves_negative_answers_alone},
		{"unchanged facts mean an unchanged answer",
		 test_unchanged_facts_mean_an_unchanged_answer},
	};
	mirror_reader_register();
	int status = SUITE_RUN("facts", tests);
	mirror_reader_unregister();
	return status;
}
