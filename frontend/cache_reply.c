/* Replies taken apart and put together. */
#include "frontend/cache_reply.h"

#include "dns/name.h"
#include "dns/protocol.h"

#include <string.h>

#define RECORD_FIXED_SIZE 10 /* type, class, TTL, data length */
#define SOA_FIXED_SIZE 20    /* five 32-bit numbers behind the two names; MINIMUM is the last */
#define OPTION_CLIENT_SUBNET 8

/* --- taking apart ----------------------------------------------------------------------------- */

static unsigned int reply_rcode(uint16_t flags)
{
	return flags & 0xf;
}

bool cache_reply_is_failure(uint16_t flags)
{
	return reply_rcode(flags) != DNS_RCODE_NOERROR && reply_rcode(flags) != DNS_RCODE_NXDOMAIN;
}

/* An OPT record that leaves nothing out when it is left out. `fixed` is behind its owner name. */
static bool reply_opt_is_plain(const uint8_t *fixed)
{
	const uint8_t *option = fixed + RECORD_FIXED_SIZE;
	size_t left = dns_get16(fixed + 8);
	if (fixed[4] != 0) /* the upper bits of an extended response code */
		return false;
	while (left >= 4) {
		size_t size = 4u + dns_get16(option + 2);
		if (size > left || dns_get16(option) == OPTION_CLIENT_SUBNET)
			return false;
		option += size;
		left -= size;
	}
	return left == 0;
}

/* A TTL with its upper bit set is none (RFC 2181 section 8). */
static uint32_t reply_ttl(const uint8_t *octets)
{
	uint32_t ttl = dns_get32(octets);
	return ttl & 0x80000000u ? 0 : ttl;
}

/* What a record has to say about how long its reply may be kept. */
static uint32_t reply_record_lifetime(const uint8_t *fixed, bool authority)
{
	uint32_t ttl = reply_ttl(fixed + 4);
	size_t size = dns_get16(fixed + 8);
	if (!authority || dns_get16(fixed) != DNS_TYPE_SOA || size < SOA_FIXED_SIZE)
		return ttl;
	/* A negative answer (RFC 2308 section 5). */
	uint32_t minimum = reply_ttl(fixed + RECORD_FIXED_SIZE + size - 4);
	return minimum < ttl ? minimum : ttl;
}

/*
 * No such name, or no data of the type: no answer, and nothing in the authority section or a SOA
 * record; in a referral NS records take its place.
 */
static bool reply_is_denial(const struct cache_reply *reply, bool has_soa)
{
	if (reply_rcode(reply->flags) == DNS_RCODE_NXDOMAIN)
		return true;
	return reply_rcode(reply->flags) == DNS_RCODE_NOERROR && reply->counts[0] == 0 &&
	       (has_soa || reply->counts[1] == 0);
}

/*
 * The lifetime of a whole reply whose records gave `lowest`: a denial needs a SOA record, or it
 * must not be kept.
 */
static uint32_t reply_lifetime(const struct cache_reply *reply, uint32_t lowest, bool has_soa)
{
	if (cache_reply_is_failure(reply->flags))
		return CACHE_REPLY_FAILURE_S;
	if (reply->denial && !has_soa)
		return 0;
	return lowest < CACHE_REPLY_LIFETIME_MAX_S ? lowest : CACHE_REPLY_LIFETIME_MAX_S;
}

/* Goes through the records; OPT, which must be the last one, is left out. */
static bool reply_read_records(struct cache_reply *out, const uint8_t *reply, size_t size,
			       size_t offset)
{
	unsigned int total = (unsigned int)out->counts[0] + out->counts[1] + out->counts[2];
	uint32_t lowest = UINT32_MAX;
	bool has_soa = false;
	size_t start = offset;
	if (total > CACHE_REPLY_RECORDS_MAX)
		return false;
	for (unsigned int i = 0; i < total; i++) {
		size_t record = offset;
		if (dns_name_skip(reply, size, &offset) < 0 || size - offset < RECORD_FIXED_SIZE)
			return false;
		const uint8_t *fixed = reply + offset;
		bool authority = i >= out->counts[0] && i < out->counts[0] + out->counts[1];
		offset += RECORD_FIXED_SIZE + (size_t)dns_get16(fixed + 8);
		if (offset > size)
			return false;
		if (dns_get16(fixed) == DNS_TYPE_OPT) {
			if (i + 1 != total || out->counts[2] == 0 || !reply_opt_is_plain(fixed))
				return false;
			out->counts[2]--;
			offset = record;
			break;
		}
		uint32_t lifetime = reply_record_lifetime(fixed, authority);
		lowest = lifetime < lowest ? lifetime : lowest;
		has_soa |= authority && dns_get16(fixed) == DNS_TYPE_SOA;
		out->ttls[out->ttl_count++] = (uint16_t)((size_t)(fixed - reply) + 4 - start);
	}
	out->records = reply + start;
	out->records_size = (uint16_t)(offset - start);
	out->denial = reply_is_denial(out, has_soa);
	out->lifetime_s = reply_lifetime(out, lowest, has_soa);
	return true;
}

bool cache_reply_says_no_name(const uint8_t *reply)
{
	return reply_rcode(dns_get16(reply + 2)) == DNS_RCODE_NXDOMAIN;
}

bool cache_reply_read(struct cache_reply *out, const struct dns_query *query, const uint8_t *reply,
		      size_t size)
{
	out->flags = dns_get16(reply + 2) & (uint16_t) ~(DNS_FLAG_RD | DNS_FLAG_CD);
	out->ttl_count = 0;
	if ((out->flags & DNS_FLAG_TC) || dns_get16(reply + 4) != 1)
		return false;
	for (size_t i = 0; i < 3; i++)
		out->counts[i] = dns_get16(reply + 6 + 2 * i);
	return reply_read_records(out, reply, size, DNS_HEADER_SIZE + query->question_size);
}

/* --- putting together ------------------------------------------------------------------------- */

size_t cache_reply_begin(uint8_t *out, const struct dns_query *query, uint16_t flags,
			 const uint16_t *counts)
{
	dns_put16(out, query->id);
	dns_put16(out + 2, flags | (query->flags & DNS_FLAG_RD));
	dns_put16(out + 4, 1);
	for (size_t i = 0; i < 3; i++)
		dns_put16(out + 6 + 2 * i, counts[i]);
	memcpy(out + DNS_HEADER_SIZE, query->qname, query->question_size);
	return (size_t)DNS_HEADER_SIZE + query->question_size;
}

void cache_reply_count_down(uint8_t *records, const uint16_t *ttls, size_t count, uint32_t age_s,
			    uint32_t limit_s)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t ttl = reply_ttl(records + ttls[i]);
		ttl = ttl > age_s ? ttl - age_s : 0;
		dns_put32(records + ttls[i], ttl < limit_s ? ttl : limit_s);
	}
}

size_t cache_reply_end(uint8_t *out, size_t size, const struct dns_query *query,
		       uint16_t udp_payload, bool stale)
{
	static const uint8_t stale_option[] = {0, DNS_OPTION_EDE, 0, 2, 0, DNS_EDE_STALE_ANSWER};
	if (!query->edns.present)
		return size;
	uint8_t *opt = out + size;
	dns_put16(out + 10, (uint16_t)(dns_get16(out + 10) + 1));
	opt[0] = 0; /* the root */
	dns_put16(opt + 1, DNS_TYPE_OPT);
	dns_put16(opt + 3, udp_payload);
	dns_put32(opt + 5, query->edns.dnssec_ok ? 0x8000 : 0);
	dns_put16(opt + 9, stale ? sizeof(stale_option) : 0);
	size += 11;
	if (!stale)
		return size;
	memcpy(out + size, stale_option, sizeof(stale_option));
	return size + sizeof(stale_option);
}
