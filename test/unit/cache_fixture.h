/*
 * What the tests of the answer cache stand on: a cache with a clock of its own, a query, and the
 * replies to it.
 */
#ifndef GODWIT_TEST_UNIT_CACHE_FIXTURE_H
#define GODWIT_TEST_UNIT_CACHE_FIXTURE_H

#include "dns/query.h"
#include "dns/writer.h"
#include "frontend/cache.h"
#include "frontend/coherence.h"

#include <stddef.h>
#include <stdint.h>

#define ROUTE 7

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

/* A cache of `size` octets, which follows the changes of source 1. */
void fixture_start(struct fixture *f, size_t size);
void fixture_stop(struct fixture *f);

enum fixture_ask { ASK_EDNS = 1, ASK_DO = 2, ASK_RD = 4 };

/* Makes the query, with an ID of its own each time. */
void fixture_ask(struct fixture *f, const char *name, uint16_t type, unsigned int flags);

/* --- replies to it ---------------------------------------------------------------------------- */

/* One is begun, filled with what follows, and ended; then it can be stored. */
struct dns_writer fixture_begin_reply(struct fixture *f);
void fixture_put_a(struct fixture *f, struct dns_writer *writer, uint32_t ttl, uint8_t last);
void fixture_put_soa(struct dns_writer *writer, uint32_t ttl, uint32_t minimum);
void fixture_end_reply(struct fixture *f, struct dns_writer *writer, uint16_t flags, int rcode);

/* A whole reply: 192.0.2.`last`. */
void fixture_answer_a(struct fixture *f, uint32_t ttl, uint8_t last);

/* --- in and out ------------------------------------------------------------------------------- */

/* Stores the reply to a question that was looked up in vain. */
enum cache_fate fixture_store_of(struct fixture *f, const struct cache_origin *origin);

/* Stores as the reply of a backend that tells no changes. */
enum cache_fate fixture_store(struct fixture *f);

/* Stores as the reply of source 1, resting on one fact. */
enum cache_fate fixture_store_coherent(struct fixture *f, uint64_t fact);

enum cache_result fixture_look_up(struct fixture *f);
enum cache_result fixture_look_up_stale(struct fixture *f);

/* The first record of what came out, behind its (compressed) owner name. */
const uint8_t *fixture_first_record(const struct fixture *f);
uint32_t fixture_ttl_out(const struct fixture *f);

#endif
