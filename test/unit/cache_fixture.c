#include "cache_fixture.h"

#include "dns/protocol.h"
#include "dns/reply.h"

#include <CUnit/CUnit.h>
#include <string.h>

void fixture_start(struct fixture *f, size_t size)
{
	memset(f, 0, sizeof(*f));
	f->coherence = coherence_create();
	CU_ASSERT_FATAL(f->coherence != NULL);
	const struct cache_options options = {
		.size = size, .udp_payload = 1232, .stale_s = 3600, .coherence = f->coherence};
	f->cache = cache_create(&options);
	CU_ASSERT_FATAL(f->cache != NULL);
	coherence_watch_begin(f->coherence, 1);
	f->now_ms = 1000000;
}

void fixture_stop(struct fixture *f)
{
	cache_destroy(f->cache);
	coherence_destroy(f->coherence);
}

void fixture_ask(struct fixture *f, const char *name, uint16_t type, unsigned int flags)
{
	static const uint8_t opt[] = {0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0};
	uint8_t *message = f->message;
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
	CU_ASSERT_EQUAL_FATAL(dns_query_parse(message, size, &f->query), 0);
	cache_key_init(&f->key, cache_seed(f->cache), &f->query, ROUTE);
}

/* --- replies ---------------------------------------------------------------------------------- */

struct dns_writer fixture_begin_reply(struct fixture *f)
{
	struct dns_writer writer;
	dns_writer_init(&writer, f->reply, sizeof(f->reply), &f->query);
	return writer;
}

void fixture_put_a(struct fixture *f, struct dns_writer *writer, uint32_t ttl, uint8_t last)
{
	const uint8_t address[] = {192, 0, 2, last};
	CU_ASSERT_EQUAL(dns_writer_put_record(writer, DNS_SECTION_ANSWER, f->query.qname,
					      DNS_TYPE_A, ttl, address, sizeof(address)),
			0);
}

void fixture_put_soa(struct dns_writer *writer, uint32_t ttl, uint32_t minimum)
{
	uint8_t apex[DNS_NAME_MAX];
	uint8_t rdata[22] = {0};
	dns_name_from_text("example.", 8, NULL, apex);
	dns_put32(rdata + 18, minimum);
	CU_ASSERT_EQUAL(dns_writer_put_record(writer, DNS_SECTION_AUTHORITY, apex, DNS_TYPE_SOA,
					      ttl, rdata, sizeof(rdata)),
			0);
}

void fixture_end_reply(struct fixture *f, struct dns_writer *writer, uint16_t flags, int rcode)
{
	dns_writer_put_edns(writer, &f->query, 4096, rcode, DNS_EDE_OTHER, "not kept");
	f->size = dns_writer_finish(writer, flags, rcode);
	CU_ASSERT(dns_reply_matches(&f->query, f->reply, f->size));
}

void fixture_answer_a(struct fixture *f, uint32_t ttl, uint8_t last)
{
	struct dns_writer writer = fixture_begin_reply(f);
	fixture_put_a(f, &writer, ttl, last);
	fixture_end_reply(f, &writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
}

enum cache_fate fixture_store_of(struct fixture *f, const struct cache_origin *origin)
{
	bool denial_too = cache_note_miss(f->cache, &f->key);
	return cache_store(f->cache, &f->key, &f->query, f->reply, f->size, origin, denial_too,
			   f->now_ms);
}

enum cache_fate fixture_store(struct fixture *f)
{
	return fixture_store_of(f, &(const struct cache_origin){0});
}

enum cache_fate fixture_store_coherent(struct fixture *f, uint64_t fact)
{
	const struct cache_origin origin = {.source = 1,
					    .asked = coherence_now(f->coherence),
					    .facts = {fact},
					    .fact_count = 1};
	return fixture_store_of(f, &origin);
}

enum cache_result fixture_look_up(struct fixture *f)
{
	return cache_lookup(f->cache, &f->key, &f->query, f->now_ms, f->out, &f->hit);
}

enum cache_result fixture_look_up_stale(struct fixture *f)
{
	return cache_lookup_stale(f->cache, &f->key, &f->query, f->now_ms, f->out, &f->hit);
}

const uint8_t *fixture_first_record(const struct fixture *f)
{
	return f->out + DNS_HEADER_SIZE + f->query.question_size + 2;
}

uint32_t fixture_ttl_out(const struct fixture *f)
{
	return dns_get32(fixture_first_record(f) + 4);
}
