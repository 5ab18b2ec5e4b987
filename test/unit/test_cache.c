/* The answer cache: what it gives back, to whom, and for how long. */
#include "cache_fixture.h"
#include "dns/protocol.h"
#include "dns/reply.h"
#include "suite.h"

#include <string.h>

/* --- what comes out --------------------------------------------------------------------------- */

static void test_a_hit_is_made_for_its_client(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS | ASK_RD);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	fixture_answer_a(&f, 300, 1);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_KEPT);
	fixture_ask(&f, "wWw.ExAmPlE.", DNS_TYPE_A, 0);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	/* ID and spelling of this query, no RD, no OPT. */
	CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
	CU_ASSERT_EQUAL(memcmp(f.out + DNS_HEADER_SIZE, f.query.qname, f.query.question_size), 0);
	CU_ASSERT_EQUAL(dns_get16(f.out + 2), DNS_FLAG_QR | DNS_FLAG_AA);
	CU_ASSERT_EQUAL(dns_get16(f.out + 10), 0);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS | ASK_RD);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
	CU_ASSERT_EQUAL(dns_get16(f.out + 2), DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RD);
	/* OPT: our own payload size, and no extended error. */
	CU_ASSERT_EQUAL(dns_get16(f.out + 10), 1);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 8), 1232);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 2), 0);
	fixture_stop(&f);
}

static void test_keys_tell_questions_apart(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 300, 1);
	fixture_store(&f);
	fixture_ask(&f, "www.example.", DNS_TYPE_AAAA, 0);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	fixture_ask(&f, "ww.example.", DNS_TYPE_A, 0);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, ASK_DO);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	cache_key_init(&f.key, cache_seed(f.cache), &f.query, ROUTE + 1);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	/* "[" and "{" differ as "A" and "a" do, but they are no letters. */
	fixture_ask(&f, "[.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 300, 1);
	fixture_store(&f);
	fixture_ask(&f, "{.example.", DNS_TYPE_A, 0);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	fixture_stop(&f);
}

static void test_every_letter_is_lowered(void)
{
	struct fixture f;
	uint64_t upper[CACHE_KEY_WORDS_MAX];
	uint64_t lower[CACHE_KEY_WORDS_MAX];
	fixture_start(&f, 1 << 20);
	for (unsigned int octet = 0; octet < 256; octet++) {
		uint8_t name[] = {1, (uint8_t)octet, 8, 'a', 'Z', '@', '[', '`', '{', 0xc1, 0, 0};
		uint8_t expected[sizeof(name)];
		dns_name_copy_lower(name, expected);
		CU_ASSERT_EQUAL(cache_key_put_name(upper, name, sizeof(name)), 2);
		CU_ASSERT_EQUAL(cache_key_put_name(lower, expected, sizeof(name)), 2);
		CU_ASSERT_EQUAL(memcmp(upper, lower, 16), 0);
		CU_ASSERT_EQUAL(memcmp(upper, expected, sizeof(name)), 0);
	}
	fixture_stop(&f);
}

static void test_large_replies_have_slots_of_their_own(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	for (unsigned int count = 1; count < 300; count += 23) {
		fixture_ask(&f, "large.example.", DNS_TYPE_A, ASK_EDNS);
		struct dns_writer writer = fixture_begin_reply(&f);
		for (unsigned int i = 0; i < count; i++)
			fixture_put_a(&f, &writer, 300, (uint8_t)i);
		fixture_end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
		bool fits = count < 220;
		CU_ASSERT_EQUAL(fixture_store(&f), fits ? CACHE_KEPT : CACHE_NOT_KEPT);
		if (!fits)
			continue;
		CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
		CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
		CU_ASSERT_EQUAL(dns_get16(f.out + 6), count);
		CU_ASSERT_EQUAL(cache_count(f.cache), 1);
	}
	fixture_stop(&f);
}

/* --- by TTL ----------------------------------------------------------------------------------- */

static void test_ttls_are_counted_down(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = fixture_begin_reply(&f);
	fixture_put_a(&f, &writer, 300, 1);
	fixture_put_a(&f, &writer, 60, 2);
	fixture_end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
	fixture_store(&f);
	f.now_ms += 12999;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(fixture_ttl_out(&f), 288);
	CU_ASSERT_EQUAL(dns_get32(fixture_first_record(&f) + 16 + 4), 48);
	f.now_ms += 47000; /* 59.999 s: the lowest TTL decides */
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_REFRESH);
	f.now_ms += 1;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	fixture_stop(&f);
}

static void test_negative_answers_live_by_their_soa(void)
{
	static const struct {
		uint32_t ttl;
		uint32_t minimum;
		int rcode;
		int64_t lives_ms;
	} cases[] = {
		{300, 60, DNS_RCODE_NXDOMAIN, 60000},
		{30, 60, DNS_RCODE_NXDOMAIN, 30000},
		{300, 5, DNS_RCODE_NOERROR, 5000},
		{400000, 400000, DNS_RCODE_NXDOMAIN, 86400000},
	};
	struct fixture f;
	fixture_start(&f, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_ask(&f, "no.example.", (uint16_t)(100 + i), ASK_EDNS);
		struct dns_writer writer = fixture_begin_reply(&f);
		fixture_put_soa(&writer, cases[i].ttl, cases[i].minimum);
		fixture_end_reply(&f, &writer, DNS_FLAG_AA, cases[i].rcode);
		CU_ASSERT_EQUAL(fixture_store(&f), CACHE_PUT_OFF);
		CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
		CU_ASSERT_EQUAL(fixture_store(&f), CACHE_KEPT);
		f.now_ms += cases[i].lives_ms - 1;
		CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
		CU_ASSERT_EQUAL(dns_reply_rcode(f.out, f.hit.size), cases[i].rcode);
		f.now_ms += 1;
		CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	}
	/* Without a SOA record nothing says for how long (RFC 2308 section 5). */
	fixture_ask(&f, "no.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = fixture_begin_reply(&f);
	fixture_end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_PUT_OFF);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_NOT_KEPT);
	CU_ASSERT_EQUAL(cache_count(f.cache), sizeof(cases) / sizeof(cases[0]));
	fixture_stop(&f);
}

static void test_failures_live_a_second_and_are_never_stale(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS);
	struct dns_writer writer = fixture_begin_reply(&f);
	fixture_end_reply(&f, &writer, 0, DNS_RCODE_SERVFAIL);
	/* Whoever they come from. */
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, 1), CACHE_KEPT);
	f.now_ms += 999;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	f.now_ms += 1;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_MISS);
	fixture_stop(&f);
}

static void test_what_must_not_be_kept(void)
{
	static const uint8_t subnet[] = {0, 0, 41, 4, 0xd0, 0, 0,  0,  0,   0, 11,
					 0, 8, 0,  7, 0,    1, 24, 24, 192, 0, 2};
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 0, 1);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_NOT_KEPT); /* TTL 0 */
	fixture_answer_a(&f, 0x80000001u, 1);
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_NOT_KEPT); /* RFC 2181 section 8 */
	fixture_answer_a(&f, 300, 1);
	f.reply[2] |= DNS_FLAG_TC >> 8;
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_NOT_KEPT);
	/* An answer for one network only. */
	fixture_answer_a(&f, 300, 1);
	memcpy(f.reply + f.size, subnet, sizeof(subnet));
	f.size += sizeof(subnet);
	dns_put16(f.reply + 10, 1);
	CU_ASSERT(dns_reply_matches(&f.query, f.reply, f.size));
	CU_ASSERT_EQUAL(fixture_store(&f), CACHE_NOT_KEPT);
	CU_ASSERT_EQUAL(cache_count(f.cache), 0);
	fixture_stop(&f);
}

static void test_one_refresh_of_what_is_hot(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "hot.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 100, 1);
	fixture_store(&f);
	f.now_ms += 95000;
	/* Asked for once, it is not hot; the second time somebody has to refresh it, one only. */
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_REFRESH);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	/* Its new life ends the same way. */
	fixture_store(&f);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	f.now_ms += 95000;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_REFRESH);
	fixture_stop(&f);
}

/* --- by facts --------------------------------------------------------------------------------- */

static void test_coherent_answers_stay_until_a_fact_changes(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 300, 1);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, fact), CACHE_KEPT);
	f.now_ms += (int64_t)30 * 86400 * 1000;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(fixture_ttl_out(&f), 300);
	coherence_change(f.coherence, &fact, 1);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_OUTDATED);
	/* It is known to be wrong: not even in need. */
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_MISS);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, fact), CACHE_KEPT);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	fixture_stop(&f);
}

static void test_refusals_of_a_coherent_source_stay(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = fixture_begin_reply(&f);
	fixture_end_reply(&f, &writer, 0, DNS_RCODE_REFUSED);
	const struct cache_origin origin = {.source = 1, .asked = coherence_now(f.coherence)};
	CU_ASSERT_EQUAL(fixture_store_of(&f, &origin), CACHE_KEPT);
	f.now_ms += 86400000;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	/* A zone that comes changes everything. */
	coherence_change_everything(f.coherence, 1);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_OUTDATED);
	fixture_stop(&f);
}

static void test_an_answer_overtaken_by_a_change_is_not_kept(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	const struct cache_origin origin = {
		.source = 1, .asked = coherence_now(f.coherence), .facts = {fact}, .fact_count = 1};
	fixture_answer_a(&f, 300, 1);
	coherence_change(f.coherence, &fact, 1);
	CU_ASSERT_EQUAL(fixture_store_of(&f, &origin), CACHE_NOT_KEPT);
	/* Nor one of a source that is not being watched. */
	coherence_watch_end(f.coherence, 1);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, 1), CACHE_NOT_KEPT);
	fixture_stop(&f);
}

/* Whose an answer is comes back with it, whether it is kept by facts or by TTLs, good or stale. */
static void test_an_answer_keeps_its_zone(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	for (uint32_t source = 0; source < 2; source++) {
		const struct cache_origin origin = {
			.source = source, .asked = coherence_now(f.coherence), .zone_size = 9};
		fixture_ask(&f, source ? "facts.example." : "ttls.example.", DNS_TYPE_A, 0);
		fixture_answer_a(&f, 300, 1);
		CU_ASSERT_EQUAL(fixture_store_of(&f, &origin), CACHE_KEPT);
		CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
		CU_ASSERT_EQUAL(f.hit.zone_size, 9);
	}
	coherence_watch_end(f.coherence, 1);
	f.hit.zone_size = 0;
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_STALE);
	CU_ASSERT_EQUAL(f.hit.zone_size, 9);
	fixture_ask(&f, "untold.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 300, 1);
	fixture_store(&f);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(f.hit.zone_size, 0);
	fixture_stop(&f);
}

/* --- stale ------------------------------------------------------------------------------------ */

static void test_expired_answers_are_stale_for_a_while(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS);
	fixture_answer_a(&f, 100, 1);
	fixture_store(&f);
	CU_ASSERT(!cache_has_stale(f.cache, &f.key, f.now_ms)); /* it is good */
	f.now_ms += 100000;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_MISS);
	CU_ASSERT(cache_has_stale(f.cache, &f.key, f.now_ms));
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_STALE);
	CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
	CU_ASSERT_EQUAL(fixture_ttl_out(&f), CACHE_STALE_TTL_S);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 2), DNS_EDE_STALE_ANSWER);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 6), DNS_OPTION_EDE);
	f.now_ms += 3600000;
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_MISS);
	CU_ASSERT(!cache_has_stale(f.cache, &f.key, f.now_ms));
	fixture_stop(&f);
}

static void test_suspect_answers_are_stale(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	fixture_ask(&f, "www.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 10, 1);
	fixture_store_coherent(&f, 1);
	coherence_watch_end(f.coherence, 1);
	f.now_ms = coherence_suspect_since_ms(f.coherence, 1);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_OUTDATED);
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_STALE);
	CU_ASSERT_EQUAL(fixture_ttl_out(&f),
			10); /* its own TTL is lower than what stale ones get */
	f.now_ms += 3600000;
	CU_ASSERT_EQUAL(fixture_look_up_stale(&f), CACHE_MISS);
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"a hit is made for its client", test_a_hit_is_made_for_its_client},
		{"keys tell questions apart", test_keys_tell_questions_apart},
		{"every letter is lowered", test_every_letter_is_lowered},
		{"large replies have slots of their own",
		 test_large_replies_have_slots_of_their_own},
		{"TTLs are counted down", test_ttls_are_counted_down},
		{"negative answers live by their SOA", test_negative_answers_live_by_their_soa},
		{"failures live a second and are never stale",
		 test_failures_live_a_second_and_are_never_stale},
		{"what must not be kept", test_what_must_not_be_kept},
		{"one refresh of what is hot", test_one_refresh_of_what_is_hot},
		{"coherent answers stay until a fact changes",
		 test_coherent_answers_stay_until_a_fact_changes},
		{"refusals of a coherent source stay", test_refusals_of_a_coherent_source_stay},
		{"an answer overtaken by a change is not kept",
		 test_an_answer_overtaken_by_a_change_is_not_kept},
		{"an answer keeps its zone", test_an_answer_keeps_its_zone},
		{"expired answers are stale for a while",
		 test_expired_answers_are_stale_for_a_while},
		{"suspect answers are stale", test_suspect_answers_are_stale},
	};
	return SUITE_RUN("cache", tests);
}
