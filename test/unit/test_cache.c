/*
 * The answer cache: what it gives back, for how long, and what leaves when it is full.
 */
#include "common/clock.h"
#include "dns/protocol.h"
#include "dns/reply.h"
#include "dns/writer.h"
#include "frontend/cache.h"
#include "frontend/cache_show.h"
#include "frontend/coherence.h"
#include "suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTE 7

#define ASSERT_STARTS(text, start) CU_ASSERT_EQUAL(strncmp(text, start, strlen(start)), 0)
#define ASSERT_ENDS(text, end)                                                                     \
	CU_ASSERT_STRING_EQUAL(                                                                    \
		text + (strlen(text) > strlen(end) ? strlen(text) - strlen(end) : 0), end)

/* A cache, its clock in milliseconds, and a query with its reply. */
struct fixture {
	struct coherence *coherence;
	struct cache *cache;
	int64_t now_ms;
	uint8_t message[300];
	struct dns_query query;
	struct cache_key key;
	uint8_t reply[8192];
	size_t size;
	uint8_t out[CACHE_REPLY_MAX];
	struct cache_hit hit;
};

static void setup(struct fixture *fixture, size_t size)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->coherence = coherence_create();
	CU_ASSERT_FATAL(fixture->coherence != NULL);
	const struct cache_options options = {.size = size,
					      .udp_payload = 1232,
					      .stale_s = 3600,
					      .coherence = fixture->coherence};
	fixture->cache = cache_create(&options);
	CU_ASSERT_FATAL(fixture->cache != NULL);
	coherence_watch_begin(fixture->coherence, 1);
	fixture->now_ms = 1000000;
}

static void teardown(struct fixture *fixture)
{
	cache_destroy(fixture->cache);
	coherence_destroy(fixture->coherence);
}

enum ask_flags { ASK_EDNS = 1, ASK_DO = 2, ASK_RD = 4 };

/* Makes the query, with an ID of its own each time. */
static void ask(struct fixture *fixture, const char *name, uint16_t type, unsigned int flags)
{
	static const uint8_t opt[] = {0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0};
	uint8_t *message = fixture->message;
	uint16_t id = (uint16_t)(dns_get16(message) + 0x1235);
	memset(message, 0, DNS_HEADER_SIZE);
	dns_put16(message, id);
	dns_put16(message + 2, flags & ASK_RD ? DNS_FLAG_RD : 0);
	dns_put16(message + 4, 1);
	int length = dns_name_from_text(name, strlen(name), NULL, message + DNS_HEADER_SIZE);
	CU_ASSERT_FATAL(length > 0);
	size_t size = DNS_HEADER_SIZE + (size_t)length;
	dns_put16(message + size, type);
	dns_put16(message + size + 2, DNS_CLASS_IN);
	size += 4;
	if (flags & (ASK_EDNS | ASK_DO)) {
		memcpy(message + size, opt, sizeof(opt));
		message[size + 7] = flags & ASK_DO ? 0x80 : 0;
		dns_put16(message + 10, 1);
		size += sizeof(opt);
	}
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(message, size, &fixture->query), 0);
	cache_key_init(&fixture->key, cache_seed(fixture->cache), &fixture->query, ROUTE);
}

/* --- replies ---------------------------------------------------------------------------------- */

static struct dns_writer begin_reply(struct fixture *fixture)
{
	struct dns_writer writer;
	dns_writer_init(&writer, fixture->reply, sizeof(fixture->reply), &fixture->query);
	return writer;
}

static void put_a(struct fixture *fixture, struct dns_writer *writer, uint32_t ttl, uint8_t last)
{
	const uint8_t address[] = {192, 0, 2, last};
	CU_ASSERT_EQUAL(dns_writer_put_record(writer, DNS_SECTION_ANSWER, fixture->query.qname,
					      DNS_TYPE_A, ttl, address, sizeof(address)),
			0);
}

static void put_soa(struct dns_writer *writer, uint32_t ttl, uint32_t minimum)
{
	uint8_t apex[DNS_NAME_MAX];
	uint8_t rdata[22] = {0};
	dns_name_from_text("example.", 8, NULL, apex);
	dns_put32(rdata + 18, minimum);
	CU_ASSERT_EQUAL(dns_writer_put_record(writer, DNS_SECTION_AUTHORITY, apex, DNS_TYPE_SOA,
					      ttl, rdata, sizeof(rdata)),
			0);
}

static void end_reply(struct fixture *fixture, struct dns_writer *writer, uint16_t flags, int rcode)
{
	dns_writer_put_edns(writer, &fixture->query, 4096, rcode, DNS_EDE_OTHER, "not kept");
	fixture->size = dns_writer_finish(writer, flags, rcode);
	CU_ASSERT(dns_reply_matches(&fixture->query, fixture->reply, fixture->size));
}

static void answer_a(struct fixture *fixture, uint32_t ttl, uint8_t last)
{
	struct dns_writer writer = begin_reply(fixture);
	put_a(fixture, &writer, ttl, last);
	end_reply(fixture, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
}

/* Stores the reply to a question that was looked up in vain. */
static enum cache_fate store_of(struct fixture *fixture, const struct cache_origin *origin)
{
	bool denial_too = cache_note_miss(fixture->cache, &fixture->key);
	return cache_store(fixture->cache, &fixture->key, &fixture->query, fixture->reply,
			   fixture->size, origin, denial_too, fixture->now_ms);
}

/* Stores as the reply of a backend that tells no changes. */
static enum cache_fate store(struct fixture *fixture)
{
	return store_of(fixture, &(const struct cache_origin){0});
}

/* Stores as the reply of source 1, resting on one fact. */
static enum cache_fate store_coherent(struct fixture *fixture, uint64_t fact)
{
	const struct cache_origin origin = {.source = 1,
					    .asked = coherence_now(fixture->coherence),
					    .facts = {fact},
					    .fact_count = 1};
	return store_of(fixture, &origin);
}

static enum cache_result look_up(struct fixture *fixture)
{
	return cache_lookup(fixture->cache, &fixture->key, &fixture->query, fixture->now_ms,
			    fixture->out, &fixture->hit);
}

static enum cache_result look_up_stale(struct fixture *fixture)
{
	return cache_lookup_stale(fixture->cache, &fixture->key, &fixture->query, fixture->now_ms,
				  fixture->out, &fixture->hit);
}

/* The first record of what came out, behind its (compressed) owner name. */
static const uint8_t *first_record(const struct fixture *fixture)
{
	return fixture->out + DNS_HEADER_SIZE + fixture->query.question_size + 2;
}

static uint32_t ttl_out(const struct fixture *fixture)
{
	return dns_get32(first_record(fixture) + 4);
}

/* --- what comes out --------------------------------------------------------------------------- */

static void test_a_hit_is_made_for_its_client(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS | ASK_RD);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	answer_a(&f, 300, 1);
	CU_ASSERT_EQUAL(store(&f), CACHE_KEPT);
	ask(&f, "wWw.ExAmPlE.", DNS_TYPE_A, 0);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	/* ID and spelling of this query, no RD, no OPT. */
	CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
	CU_ASSERT_EQUAL(memcmp(f.out + DNS_HEADER_SIZE, f.query.qname, f.query.question_size), 0);
	CU_ASSERT_EQUAL(dns_get16(f.out + 2), DNS_FLAG_QR | DNS_FLAG_AA);
	CU_ASSERT_EQUAL(dns_get16(f.out + 10), 0);
	ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS | ASK_RD);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
	CU_ASSERT_EQUAL(dns_get16(f.out + 2), DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RD);
	/* OPT: our own payload size, and no extended error. */
	CU_ASSERT_EQUAL(dns_get16(f.out + 10), 1);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 8), 1232);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 2), 0);
	teardown(&f);
}

static void test_keys_tell_questions_apart(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	answer_a(&f, 300, 1);
	store(&f);
	ask(&f, "www.example.", DNS_TYPE_AAAA, 0);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	ask(&f, "ww.example.", DNS_TYPE_A, 0);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	ask(&f, "www.example.", DNS_TYPE_A, ASK_DO);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	cache_key_init(&f.key, cache_seed(f.cache), &f.query, ROUTE + 1);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	/* "[" and "{" differ as "A" and "a" do, but they are no letters. */
	ask(&f, "[.example.", DNS_TYPE_A, 0);
	answer_a(&f, 300, 1);
	store(&f);
	ask(&f, "{.example.", DNS_TYPE_A, 0);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	teardown(&f);
}

static void test_every_letter_is_lowered(void)
{
	struct fixture f;
	uint64_t upper[CACHE_KEY_WORDS_MAX];
	uint64_t lower[CACHE_KEY_WORDS_MAX];
	setup(&f, 1 << 20);
	for (unsigned int octet = 0; octet < 256; octet++) {
		uint8_t name[] = {1, (uint8_t)octet, 8, 'a', 'Z', '@', '[', '`', '{', 0xc1, 0, 0};
		uint8_t expected[sizeof(name)];
		dns_name_copy_lower(name, expected);
		CU_ASSERT_EQUAL(cache_key_put_name(upper, name, sizeof(name)), 2);
		CU_ASSERT_EQUAL(cache_key_put_name(lower, expected, sizeof(name)), 2);
		CU_ASSERT_EQUAL(memcmp(upper, lower, 16), 0);
		CU_ASSERT_EQUAL(memcmp(upper, expected, sizeof(name)), 0);
	}
	teardown(&f);
}

static void test_large_replies_have_slots_of_their_own(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	for (unsigned int count = 1; count < 300; count += 23) {
		ask(&f, "large.example.", DNS_TYPE_A, ASK_EDNS);
		struct dns_writer writer = begin_reply(&f);
		for (unsigned int i = 0; i < count; i++)
			put_a(&f, &writer, 300, (uint8_t)i);
		end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
		bool fits = count < 220;
		CU_ASSERT_EQUAL(store(&f), fits ? CACHE_KEPT : CACHE_NOT_KEPT);
		if (!fits)
			continue;
		CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
		CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
		CU_ASSERT_EQUAL(dns_get16(f.out + 6), count);
		CU_ASSERT_EQUAL(cache_count(f.cache), 1);
	}
	teardown(&f);
}

/* --- by TTL ----------------------------------------------------------------------------------- */

static void test_ttls_are_counted_down(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = begin_reply(&f);
	put_a(&f, &writer, 300, 1);
	put_a(&f, &writer, 60, 2);
	end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
	store(&f);
	f.now_ms += 12999;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(ttl_out(&f), 288);
	CU_ASSERT_EQUAL(dns_get32(first_record(&f) + 16 + 4), 48);
	f.now_ms += 47000; /* 59.999 s: the lowest TTL decides */
	CU_ASSERT_EQUAL(look_up(&f), CACHE_REFRESH);
	f.now_ms += 1;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	teardown(&f);
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
	setup(&f, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(&f, "no.example.", (uint16_t)(100 + i), ASK_EDNS);
		struct dns_writer writer = begin_reply(&f);
		put_soa(&writer, cases[i].ttl, cases[i].minimum);
		end_reply(&f, &writer, DNS_FLAG_AA, cases[i].rcode);
		CU_ASSERT_EQUAL(store(&f), CACHE_PUT_OFF);
		CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
		CU_ASSERT_EQUAL(store(&f), CACHE_KEPT);
		f.now_ms += cases[i].lives_ms - 1;
		CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
		CU_ASSERT_EQUAL(dns_reply_rcode(f.out, f.hit.size), cases[i].rcode);
		f.now_ms += 1;
		CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	}
	/* Without a SOA record nothing says for how long (RFC 2308 section 5). */
	ask(&f, "no.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = begin_reply(&f);
	end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(store(&f), CACHE_PUT_OFF);
	CU_ASSERT_EQUAL(store(&f), CACHE_NOT_KEPT);
	CU_ASSERT_EQUAL(cache_count(f.cache), sizeof(cases) / sizeof(cases[0]));
	teardown(&f);
}

/* --- denials, at their second asking ---------------------------------------------------------- */

static void deny(struct fixture *f, int rcode)
{
	struct dns_writer writer = begin_reply(f);
	put_soa(&writer, 300, 60);
	end_reply(f, &writer, DNS_FLAG_AA, rcode);
}

static void test_only_denials_are_put_off(void)
{
	uint8_t cut[DNS_NAME_MAX];
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "nothing.example.", DNS_TYPE_A, 0);
	deny(&f, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(store_coherent(&f, 1), CACHE_PUT_OFF);
	CU_ASSERT_EQUAL(store_coherent(&f, 1), CACHE_KEPT);
	/* Another type, another spelling, the DO bit: each question is one of its own, or not. */
	ask(&f, "nothing.example.", DNS_TYPE_AAAA, 0);
	deny(&f, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(store(&f), CACHE_PUT_OFF);
	ask(&f, "NOTHING.example.", DNS_TYPE_AAAA, ASK_EDNS);
	deny(&f, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(store(&f), CACHE_KEPT);
	/* A referral has no answers either. */
	ask(&f, "www.cut.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = begin_reply(&f);
	dns_name_from_text("cut.example.", 12, NULL, cut);
	CU_ASSERT_EQUAL(dns_writer_put_record(&writer, DNS_SECTION_AUTHORITY, cut, DNS_TYPE_NS, 300,
					      cut, (uint16_t)dns_name_size(cut)),
			0);
	end_reply(&f, &writer, 0, DNS_RCODE_NOERROR);
	CU_ASSERT_EQUAL(store(&f), CACHE_KEPT);
	teardown(&f);
}

static void test_a_denial_replaces_what_is_there_at_once(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	answer_a(&f, 10, 1);
	store(&f);
	f.now_ms += 10000;
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_STALE);
	deny(&f, DNS_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(store(&f), CACHE_KEPT);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(dns_reply_rcode(f.out, f.hit.size), DNS_RCODE_NXDOMAIN);
	/* And it needs no second asking when it has changed itself. */
	CU_ASSERT_EQUAL(store_coherent(&f, fact), CACHE_KEPT);
	coherence_change(f.coherence, &fact, 1);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_OUTDATED);
	CU_ASSERT_EQUAL(store_coherent(&f, fact), CACHE_KEPT);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	teardown(&f);
}

static enum cache_fate deny_number(struct fixture *f, const char *prefix, unsigned int number)
{
	char name[64];
	snprintf(name, sizeof(name), "%s%u.example.", prefix, number);
	ask(f, name, DNS_TYPE_A, 0);
	deny(f, DNS_RCODE_NXDOMAIN);
	return store(f);
}

static void test_a_flood_of_denials_leaves_the_cache_alone(void)
{
	enum { FLOOD = 100000, APART = 1000, REAL = 50 };
	unsigned int kept = 0;
	unsigned int known = 0;
	struct fixture f;
	setup(&f, 1 << 20); /* remembers 4096 questions */
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
	teardown(&f);
}

static void test_failures_live_a_second_and_are_never_stale(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS);
	struct dns_writer writer = begin_reply(&f);
	end_reply(&f, &writer, 0, DNS_RCODE_SERVFAIL);
	/* Whoever they come from. */
	CU_ASSERT_EQUAL(store_coherent(&f, 1), CACHE_KEPT);
	f.now_ms += 999;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	f.now_ms += 1;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_MISS);
	teardown(&f);
}

static void test_what_must_not_be_kept(void)
{
	static const uint8_t subnet[] = {0, 0, 41, 4, 0xd0, 0, 0,  0,  0,   0, 11,
					 0, 8, 0,  7, 0,    1, 24, 24, 192, 0, 2};
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	answer_a(&f, 0, 1);
	CU_ASSERT_EQUAL(store(&f), CACHE_NOT_KEPT); /* TTL 0 */
	answer_a(&f, 0x80000001u, 1);
	CU_ASSERT_EQUAL(store(&f), CACHE_NOT_KEPT); /* RFC 2181 section 8 */
	answer_a(&f, 300, 1);
	f.reply[2] |= DNS_FLAG_TC >> 8;
	CU_ASSERT_EQUAL(store(&f), CACHE_NOT_KEPT);
	/* An answer for one network only. */
	answer_a(&f, 300, 1);
	memcpy(f.reply + f.size, subnet, sizeof(subnet));
	f.size += sizeof(subnet);
	dns_put16(f.reply + 10, 1);
	CU_ASSERT(dns_reply_matches(&f.query, f.reply, f.size));
	CU_ASSERT_EQUAL(store(&f), CACHE_NOT_KEPT);
	CU_ASSERT_EQUAL(cache_count(f.cache), 0);
	teardown(&f);
}

static void test_one_refresh_of_what_is_hot(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "hot.example.", DNS_TYPE_A, 0);
	answer_a(&f, 100, 1);
	store(&f);
	f.now_ms += 95000;
	/* Asked for once, it is not hot; the second time somebody has to refresh it, one only. */
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_REFRESH);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	/* Its new life ends the same way. */
	store(&f);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	f.now_ms += 95000;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_REFRESH);
	teardown(&f);
}

/* --- by facts --------------------------------------------------------------------------------- */

static void test_coherent_answers_stay_until_a_fact_changes(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	answer_a(&f, 300, 1);
	CU_ASSERT_EQUAL(store_coherent(&f, fact), CACHE_KEPT);
	f.now_ms += (int64_t)30 * 86400 * 1000;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(ttl_out(&f), 300);
	coherence_change(f.coherence, &fact, 1);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_OUTDATED);
	/* It is known to be wrong: not even in need. */
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_MISS);
	CU_ASSERT_EQUAL(store_coherent(&f, fact), CACHE_KEPT);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	teardown(&f);
}

static void test_refusals_of_a_coherent_source_stay(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	struct dns_writer writer = begin_reply(&f);
	end_reply(&f, &writer, 0, DNS_RCODE_REFUSED);
	const struct cache_origin origin = {.source = 1, .asked = coherence_now(f.coherence)};
	CU_ASSERT_EQUAL(store_of(&f, &origin), CACHE_KEPT);
	f.now_ms += 86400000;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	/* A zone that comes changes everything. */
	coherence_change_everything(f.coherence, 1);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_OUTDATED);
	teardown(&f);
}

static void test_an_answer_overtaken_by_a_change_is_not_kept(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	const struct cache_origin origin = {
		.source = 1, .asked = coherence_now(f.coherence), .facts = {fact}, .fact_count = 1};
	answer_a(&f, 300, 1);
	coherence_change(f.coherence, &fact, 1);
	CU_ASSERT_EQUAL(store_of(&f, &origin), CACHE_NOT_KEPT);
	/* Nor one of a source that is not being watched. */
	coherence_watch_end(f.coherence, 1);
	CU_ASSERT_EQUAL(store_coherent(&f, 1), CACHE_NOT_KEPT);
	teardown(&f);
}

/* Whose an answer is comes back with it, whether it is kept by facts or by TTLs, good or stale. */
static void test_an_answer_keeps_its_zone(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	for (uint32_t source = 0; source < 2; source++) {
		const struct cache_origin origin = {
			.source = source, .asked = coherence_now(f.coherence), .zone_size = 9};
		ask(&f, source ? "facts.example." : "ttls.example.", DNS_TYPE_A, 0);
		answer_a(&f, 300, 1);
		CU_ASSERT_EQUAL(store_of(&f, &origin), CACHE_KEPT);
		CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
		CU_ASSERT_EQUAL(f.hit.zone_size, 9);
	}
	coherence_watch_end(f.coherence, 1);
	f.hit.zone_size = 0;
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_STALE);
	CU_ASSERT_EQUAL(f.hit.zone_size, 9);
	ask(&f, "untold.example.", DNS_TYPE_A, 0);
	answer_a(&f, 300, 1);
	store(&f);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(f.hit.zone_size, 0);
	teardown(&f);
}

/* --- stale ------------------------------------------------------------------------------------ */

static void test_expired_answers_are_stale_for_a_while(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, ASK_EDNS);
	answer_a(&f, 100, 1);
	store(&f);
	CU_ASSERT(!cache_has_stale(f.cache, &f.key, f.now_ms)); /* it is good */
	f.now_ms += 100000;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_MISS);
	CU_ASSERT(cache_has_stale(f.cache, &f.key, f.now_ms));
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_STALE);
	CU_ASSERT(dns_reply_matches(&f.query, f.out, f.hit.size));
	CU_ASSERT_EQUAL(ttl_out(&f), CACHE_STALE_TTL_S);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 2), DNS_EDE_STALE_ANSWER);
	CU_ASSERT_EQUAL(dns_get16(f.out + f.hit.size - 6), DNS_OPTION_EDE);
	f.now_ms += 3600000;
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_MISS);
	CU_ASSERT(!cache_has_stale(f.cache, &f.key, f.now_ms));
	teardown(&f);
}

static void test_suspect_answers_are_stale(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	ask(&f, "www.example.", DNS_TYPE_A, 0);
	answer_a(&f, 10, 1);
	store_coherent(&f, 1);
	coherence_watch_end(f.coherence, 1);
	f.now_ms = coherence_suspect_since_ms(f.coherence, 1);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_OUTDATED);
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_STALE);
	CU_ASSERT_EQUAL(ttl_out(&f), 10); /* its own TTL is lower than what stale ones get */
	f.now_ms += 3600000;
	CU_ASSERT_EQUAL(look_up_stale(&f), CACHE_MISS);
	teardown(&f);
}

/* --- eviction --------------------------------------------------------------------------------- */

static bool is_there(struct fixture *f, const char *prefix, unsigned int number)
{
	char name[64];
	snprintf(name, sizeof(name), "%s%u.example.", prefix, number);
	ask(f, name, DNS_TYPE_A, 0);
	return look_up(f) == CACHE_HIT;
}

static void keep(struct fixture *f, const char *prefix, unsigned int number)
{
	if (is_there(f, prefix, number))
		return;
	answer_a(f, 86400, 1);
	store(f);
}

static void test_hot_names_survive_a_flood(void)
{
	enum { HOT = 400, FLOOD = 200000 };
	struct fixture f;
	unsigned int left = 0;
	setup(&f, 1 << 20); /* about 1750 small slots */
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
	teardown(&f);
}

static void test_what_was_hot_makes_room_in_the_end(void)
{
	enum { NAMES = 1000 };
	struct fixture f;
	unsigned int left = 0;
	setup(&f, 1 << 20);
	for (unsigned int round = 0; round < 5; round++)
		for (unsigned int i = 0; i < NAMES; i++)
			keep(&f, "old", i);
	for (unsigned int round = 0; round < 40; round++)
		for (unsigned int i = 0; i < NAMES; i++)
			keep(&f, "new", i);
	for (unsigned int i = 0; i < NAMES; i++)
		left += is_there(&f, "new", i);
	CU_ASSERT(left >= NAMES * 90 / 100);
	teardown(&f);
}

static void test_flush(void)
{
	struct fixture f;
	uint8_t name[DNS_NAME_MAX];
	setup(&f, 1 << 20);
	for (unsigned int i = 0; i < 100; i++)
		keep(&f, "n", i);
	ask(&f, "n5.example.", DNS_TYPE_A, ASK_DO);
	answer_a(&f, 300, 1);
	store(&f);
	CU_ASSERT_EQUAL(cache_count(f.cache), 101);
	dns_name_from_text("N5.example.", 11, NULL, name);
	CU_ASSERT_EQUAL(cache_flush(f.cache, name), 2);
	CU_ASSERT(!is_there(&f, "n", 5));
	CU_ASSERT(is_there(&f, "n", 6));
	CU_ASSERT_EQUAL(cache_flush(f.cache, NULL), 99);
	CU_ASSERT(!is_there(&f, "n", 6));
	CU_ASSERT_EQUAL(cache_count(f.cache), 0);
	teardown(&f);
}

/* --- what is there ---------------------------------------------------------------------------- */

/* What cache_show_name says of a name. */
static const char *show(const struct fixture *f, const char *name)
{
	static char text[16384];
	uint8_t wire[DNS_NAME_MAX];
	CU_ASSERT_FATAL(dns_name_from_text(name, strlen(name), NULL, wire) > 0);
	cache_show_name(f->cache, wire, f->now_ms, text, sizeof(text));
	return text;
}

static void test_show_by_ttl(void)
{
	struct fixture f;
	setup(&f, 1 << 20);
	CU_ASSERT_STRING_EQUAL(show(&f, "www.example."), "0 answers for www.example.");
	ask(&f, "www.example.", DNS_TYPE_A, ASK_DO);
	answer_a(&f, 300, 1);
	store(&f);
	ask(&f, "ww.example.", DNS_TYPE_A, 0);
	answer_a(&f, 300, 1);
	store(&f);
	f.now_ms += 12500;
	CU_ASSERT_STRING_EQUAL(show(&f, "wWw.example"),
			       "1 answer for wWw.example.\n"
			       "A +DO  NOERROR  1 record  45 octets  by TTL, 288 s left  12 s old  "
			       "good");
	f.now_ms += 300000;
	CU_ASSERT_STRING_EQUAL(show(&f, "www.example."),
			       "1 answer for www.example.\n"
			       "A +DO  NOERROR  1 record  45 octets  by TTL, over since 12 s  "
			       "312 s old  expired");
	/* Showing is no hit. */
	ask(&f, "ww.example.", DNS_TYPE_A, 0);
	f.now_ms -= 20000;
	CU_ASSERT_EQUAL(look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(look_up(&f), CACHE_REFRESH);
	teardown(&f);
}

static void test_show_by_facts(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	setup(&f, 1 << 20);
	f.now_ms = clock_now_ms();
	ask(&f, ".", 65280, 0);
	struct dns_writer writer = begin_reply(&f);
	put_soa(&writer, 300, 60);
	put_soa(&writer, 300, 61);
	end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(store_coherent(&f, fact), CACHE_PUT_OFF);
	CU_ASSERT_EQUAL(store_coherent(&f, fact), CACHE_KEPT);
	const char *text = show(&f, ".");
	ASSERT_STARTS(text, "1 answer for .\nTYPE65280  NXDOMAIN  2 records  ");
	ASSERT_ENDS(text, " octets  by facts of source 1  0 s old  good");
	coherence_watch_end(f.coherence, 1);
	f.now_ms = coherence_suspect_since_ms(f.coherence, 1) + 1000;
	text = show(&f, ".");
	ASSERT_ENDS(text, " s old  suspect");
	f.now_ms += 3600000;
	text = show(&f, ".");
	ASSERT_ENDS(text, " s old  outdated");
	f.now_ms -= 3600000;
	coherence_change(f.coherence, &fact, 1);
	text = show(&f, ".");
	ASSERT_ENDS(text, " s old  outdated");
	teardown(&f);
}

static void test_show_says_what_it_leaves_out(void)
{
	enum { TYPES = 300 };
	struct fixture f;
	unsigned int lines = 0;
	unsigned int more = 0;
	setup(&f, 1 << 24);
	for (uint16_t i = 0; i < TYPES; i++) {
		ask(&f, "many.example.", (uint16_t)(1000 + i), 0);
		answer_a(&f, 300, 1);
		CU_ASSERT_EQUAL(store(&f), CACHE_KEPT);
	}
	const char *text = show(&f, "many.example.");
	ASSERT_STARTS(text, "300 answers for many.example.\nTYPE1");
	CU_ASSERT(strlen(text) < 16384 && strlen(text) > 14000);
	for (const char *p = strchr(text, '\n'); p; p = strchr(p + 1, '\n')) {
		CU_ASSERT(strncmp(p + 1, "TYPE1", 5) == 0 ||
			  sscanf(p, "\nand %u more", &more) == 1);
		lines++;
	}
	CU_ASSERT(more > 0);
	CU_ASSERT_EQUAL(lines - 1 + more, TYPES);
	teardown(&f);
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
		ask(f, "race.example.", DNS_TYPE_A, ASK_EDNS);
		struct dns_writer writer = begin_reply(f);
		for (unsigned int j = 0; j <= i % 40; j++)
			put_a(f, &writer, 300, (uint8_t)i);
		end_reply(f, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
		store(f);
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
	const uint8_t *record = first_record(f);
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
		ask(f, "race.example.", DNS_TYPE_A, 0);
		if (i % 1000 == 0)
			cache_visit(f->cache, f->query.qname, f->now_ms, check_view, race);
		if (look_up(f) != CACHE_HIT)
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
	setup(&f, 1 << 20);
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
	teardown(&f);
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
		{"only denials are put off", test_only_denials_are_put_off},
		{"a denial replaces what is there at once",
		 test_a_denial_replaces_what_is_there_at_once},
		{"a flood of denials leaves the cache alone",
		 test_a_flood_of_denials_leaves_the_cache_alone},
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
		{"hot names survive a flood", test_hot_names_survive_a_flood},
		{"what was hot makes room in the end", test_what_was_hot_makes_room_in_the_end},
		{"flush, one name or all", test_flush},
		{"show what is kept by TTL", test_show_by_ttl},
		{"show what is kept by facts", test_show_by_facts},
		{"show says what it leaves out", test_show_says_what_it_leaves_out},
		{"readers never see half a reply", test_readers_never_see_half_a_reply},
	};
	return SUITE_RUN("cache", tests);
}
