/*
 * The answer cache, one for all workers: replies of backends, good for as long as nothing that they
 * rest on has changed.
 *
 * Memory is taken once, at the start: slots of a fixed size, in sets. A slot is read under a
 * sequence lock: a reader copies the reply straight to where it leaves from, and looks at the
 * sequence again; a writer never waits for readers, and gives up when another writer has the slot.
 * No allocation, no lock, no system call on a query's way.
 *
 * What a reply is found by: the name in lower case, type, class, DO bit and route. What differs
 * from client to client - ID, RD, the question's own case, whether there is an OPT record - is put
 * in on the way out.
 *
 * When it is good (coherence.h): the replies of a backend that tells its changes are good until one
 * of the facts they rest on changes; those of others by their TTLs, counted down.
 *
 * Eviction: a set of slots has a clock hand and a bit per slot, set by hits; a name that was asked
 * for once leaves before one that is asked for again and again.
 */
#ifndef GODWIT_FRONTEND_CACHE_H
#define GODWIT_FRONTEND_CACHE_H

#include "dns/query.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct coherence;

/* Facts kept with a reply; one that rests on more is not cached. */
#define CACHE_FACTS_MAX 8

/* How long the data of a reply may be used. */
enum cache_freshness {
	CACHE_MISS,  /* not there, or not good any more */
	CACHE_FRESH, /* good */
	CACHE_STALE, /* suspect or expired: for when no backend can be reached (RFC 8767) */
};

/* Where a reply came from and what it rests on; told by the backend's stream. */
struct cache_origin {
	uint32_t source;  /* coherence_source of the backend; 0: one that tells no changes */
	uint64_t asked;   /* coherence_now when the question was sent */
	uint64_t facts[CACHE_FACTS_MAX];
	unsigned int fact_count;
};

/* Makes a cache of about `size` octets. NULL when memory is short, or `size` is 0. */
struct cache *cache_create(size_t size, struct coherence *coherence);
void cache_destroy(struct cache *cache);

/*
 * Looks a query up and writes the reply, ready to be sent (ID, RD, question as asked, OPT if the
 * query has one, TTLs counted down), into `out` of `capacity` octets. `stale_s`: how old a stale
 * answer may be, in seconds; 0: none. `now_ms` as clock_now_ms. Any thread. Hot path.
 */
enum cache_freshness cache_lookup(struct cache *cache, const struct dns_query *query, int route,
				  int64_t now_ms, unsigned int stale_s, uint8_t *out,
				  size_t capacity, size_t *size);

/*
 * Keeps a reply that dns_reply_matches accepted, if it can be kept: not SERVFAIL for longer than a
 * second, not truncated, not what does not fit a slot. Any thread.
 */
void cache_store(struct cache *cache, const struct dns_query *query, int route,
		 const uint8_t *reply, size_t size, const struct cache_origin *origin,
		 int64_t now_ms);

#endif
