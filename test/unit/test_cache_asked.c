/*
 * Denials and the answer cache: kept only once they are asked for again, so that random names push
 * nothing out.
 */
#include "cache_fixture.h"
#include "dns/protocol.h"
#include "dns/reply.h"
#include "suite.h"

#include <stdio.h>

static void deny(struct fixture *f, int rcode)
{
	struct dns_writer writer = fixture_begin_reply(f);
	fixture_put_soa(&writer, 300, 60);
	fixture_end_reply(f, &writer, DNS_FLAG_AA, rcode);
}

static void test_only_denials_are_put_off(void)
{
	uint8_t cut[DNS_NAME_MAX];
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "nothing.example.", DNS_TYPE_A, 0);
	deny(&f, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, 1), CACHE_PUT_OFF);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, 1), CACHE_KEPT);
	/* Another type, another spelling, the DO bit: each question is one of its own, or not. */
	fixture_ask(&f, "nothing.example.", DNS_TYPE_AAAA, 0);
	deny(&f, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_PUT_OFF);
	fixture_ask(&f, "NOTHING.example.", DNS_TYPE_AAAA, ASK_EDNS);
	deny(&f, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_KEPT);
	/* A referral has no answers either. */
	fixture_ask(&f, "www.cut.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = fixture_begin_reply(&f);
	dns_name_from_text("cut.example.", 12, NULL, cut);
	CU_ASSERT_EQUAL(dns_writer_put_record(&writer, DNS_SECTION_AUTHORITY, cut, DNS_TYPE_NS, 300,
					      cut, (uint16_t)dns_name_size(cut)),
			0);
	fixture_end_reply(&f, &writer, 0, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_KEPT);
	fixture_stop(&f);
}

static void test_a_denial_replaces_what_is_there_at_once(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 10, 1);
	fixture_store(&f);
	f.now_ms += 10000;
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_STALE);
	deny(&f, DNS_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_KEPT);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(dns_reply_rcode(f.out, f.hit.size), DNS_RCODE_NXDOMAIN);
	/* And it needs no second asking when it has changed itself. */
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, fact), CACHE_KEPT);
	coherence_change(f.coherence, &fact, 1);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_OUTDATED);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, fact), CACHE_KEPT);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	fixture_stop(&f);
}

static enum cache_fate deny_number(struct fixture *f, const char *prefix, unsigned int number)
{
	char name[64];
	snprintf(name, sizeof(name), "%s%u.example.", prefix, number);
	fixture_ask(f, name, DNS_TYPE_A, 0);
	deny(f, DNS_RCODE_NXDOMAIN);
	return fixture_store(f);
}

static void test_a_flood_of_denials_leaves_the_cache_alone(void)
{
	enum { FLOOD = 100000, APART = 1000, REAL = 50 };
	unsigned int kept = 0;
	unsigned int known = 0;
	struct fixture f;
	fixture_start(&f, 1 << 20); /* remembers 4096 questions */
	for (unsigned int i = 0; i < FLOOD; i++) {
		kept += deny_number(&f, "random", i) != CACHE_PUT_OFF;
		/* Somebody asks for a few names again and again, far apart. */
		if (i % (APART / REAL) == 0)
			known += deny_number(&f, "real", i / (APART / REAL) % REAL) == CACHE_KEPT;
	}
	/* Tags that two questions share: far less than one in a thousand. */
	CU_ASSERT(kept < FLOOD / 1000);
	CU_ASSERT(known >= (FLOOD / APART - 2) * REAL);
	CU_ASSERT(cache_count(f.cache) >= REAL && cache_count(f.cache) <= REAL + kept);
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"only denials are put off", test_only_denials_are_put_off},
		{"a denial replaces what is there at once",
		 test_a_denial_replaces_what_is_there_at_once},
		{"a flood of denials leaves the cache alone",
		 test_a_flood_of_denials_leaves_the_cache_alone},
	};
	return SUITE_RUN("cache_asked", tests);
}
