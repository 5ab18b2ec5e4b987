/*
 * What the answer cache keeps of a reply, and how it is made into one again for another client.
 *
 * Kept: flags, counts and all records but OPT, with their compression: pointers lead into the
 * question, which is put in anew, of the same length and in the client's own spelling. Not kept:
 * ID, RD, OPT with its extended errors.
 *
 * Pure; any thread; no allocation. Hot path.
 */
#ifndef GODWIT_FRONTEND_CACHE_REPLY_H
#define GODWIT_FRONTEND_CACHE_REPLY_H

#include "dns/query.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A failure is kept this long (RFC 2308 section 7 allows more), other answers for a day. */
#define CACHE_REPLY_FAILURE_S 1
#define CACHE_REPLY_LIFETIME_MAX_S 86400

/* What cache_reply_end appends at most. */
#define CACHE_REPLY_END_MAX 17

/* Records of a reply that is kept. */
#define CACHE_REPLY_RECORDS_MAX 256

struct cache_reply {
	uint16_t flags;
	uint16_t counts[3];  /* answer, authority, additional without OPT */
	uint32_t lifetime_s; /* by its TTLs; 0: not to be kept by them */
	bool denial;         /* NXDOMAIN or no data of the type (RFC 2308 section 2) */
	uint16_t records_size;
	uint16_t ttl_count;
	const uint8_t *records;                 /* in the reply it was read from */
	uint16_t ttls[CACHE_REPLY_RECORDS_MAX]; /* where TTLs stand, from `records` on */
};

/* True for a denial that is told by its header alone, as most are: there is no such name. */
bool cache_reply_says_no_name(const uint8_t *reply);

/*
 * Takes apart a reply that dns_reply_matches accepted for `query`. False when it cannot be kept: it
 * is truncated, has no question or an extended response code, OPT is not its last record, or is
 * meant for one client's network (RFC 7871).
 */
bool cache_reply_read(struct cache_reply *out, const struct dns_query *query, const uint8_t *reply,
		      size_t size);

/* True for a response code but NOERROR and NXDOMAIN: it says nothing about names, a failure. */
bool cache_reply_is_failure(uint16_t flags);

/*
 * Writes header and question of a reply to `query` whose flags and counts were kept. Returns where
 * the records go.
 */
size_t cache_reply_begin(uint8_t *out, const struct dns_query *query, uint16_t flags,
			 const uint16_t *counts);

/* Counts the TTLs of records down by `age_s`, and to `limit_s` at most. */
void cache_reply_count_down(uint8_t *records, const uint16_t *ttls, size_t count, uint32_t age_s,
			    uint32_t limit_s);

/*
 * Ends a reply of `size` octets: appends OPT if the query has one, with `udp_payload` and, when
 * `stale`, the extended error that says so. Needs CACHE_REPLY_END_MAX octets of room. Returns the
 * new size.
 */
size_t cache_reply_end(uint8_t *out, size_t size, const struct dns_query *query,
		       uint16_t udp_payload, bool stale);

#endif
