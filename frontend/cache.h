/*
 * The answer cache, one for all workers: replies of backends, good for as long as nothing that they
 * rest on has changed.
 *
 * Memory is taken once, at the start: slots of two sizes, in sets. A slot is read under a sequence
 * lock (cache_slot.h): a reader copies the reply straight to where it leaves from, and looks at the
 * sequence again; a writer never waits for readers, and gives up when another writer has the slot.
 * No allocation, no lock, no system call on a query's way.
 *
 * What a reply is found by: the name in lower case, type, DO bit and route (cache_key.h). What
 * differs from client to client - ID, RD, the question's own case, whether there is an OPT record -
 * is put in on the way out (cache_reply.h).
 *
 * When it is good: the replies of a backend that tells its changes are good until one of the facts
 * they rest on changes (coherence.h), and leave with the TTLs they came with; those of others by
 * their TTLs, counted down (RFC 1034 section 4.3.4, RFC 2308 section 5 for negative ones). A
 * failure is kept for a second. A reply that is not good any more, but not known to be wrong
 * either, is *stale*: served only when no backend can be had (RFC 8767).
 *
 * What is kept: positive answers, referrals and failures at once, denials when they are asked for a
 * second time (cache_asked.h), so that a flood of random names leaves the cache alone.
 *
 * Eviction: each slot counts its hits up to three; a new reply takes the slot of its set with the
 * least, so a flood of names that are asked for once wears out one slot and leaves hot names alone.
 * Counts go down when all of a set have some, and with every so many replies stored in it.
 *
 * Any thread may call any function.
 */
#ifndef GODWIT_FRONTEND_CACHE_H
#define GODWIT_FRONTEND_CACHE_H

#include "dns/query.h"
#include "frontend/cache_key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct cache_slot;
struct coherence;

/* Facts kept with a reply; one that rests on more is not cached. */
#define CACHE_FACTS_MAX 8

/* Room that a lookup needs: the longest reply kept, with an OPT record. */
#define CACHE_REPLY_MAX 4096

/* The TTL of stale answers, in seconds, unless their own is lower (RFC 8767 section 4). */
#define CACHE_STALE_TTL_S 30

struct cache_options {
	size_t size;                 /* octets, more or less */
	uint16_t udp_payload;        /* to be said in OPT records */
	unsigned int stale_s;        /* how long past its end an answer may be served; 0: never */
	struct coherence *coherence; /* borrowed */
};

enum cache_result {
	CACHE_MISS,     /* not there, or expired */
	CACHE_OUTDATED, /* there, but something it rests on has changed, or may have */
	CACHE_HIT,      /* good */
	CACHE_REFRESH,  /* good, and asked for again and again, but about to expire: to be asked
			   anew in the background. Told to one of those who look it up. */
	CACHE_STALE,    /* suspect or expired; cache_lookup_stale only */
};

/* Where a reply came from and what it rests on; told by the backend's stream. */
struct cache_origin {
	uint32_t source; /* coherence.h's number of the backend; 0: one that tells no changes */
	uint64_t asked;  /* coherence_now when the question was sent */
	uint64_t facts[CACHE_FACTS_MAX];
	unsigned int fact_count;
	uint8_t zone_size; /* of the zone's name, the end of the question's; 0: unknown */
};

/* What became of a reply that was to be stored. */
enum cache_fate {
	CACHE_NOT_KEPT, /* it cannot be, or its slot was being written by another thread */
	CACHE_PUT_OFF,  /* a denial, and those are not wanted */
	CACHE_KEPT,
	CACHE_KEPT_FOR_ANOTHER, /* which was evicted */
};

/* NULL when memory is short, or too little for a set. */
struct cache *cache_create(const struct cache_options *options);
void cache_destroy(struct cache *cache);

/* A reply found, beside its octets. */
struct cache_hit {
	size_t size;
	uint8_t zone_size; /* cache_origin's */
};

/*
 * Looks `query` up by its key, and on a hit writes the reply, ready to be sent, into `out`,
 * CACHE_REPLY_MAX octets (which may be written to even if there is no hit), and fills in `hit`.
 * `now_ms` as clock_now_ms. Hot path.
 */
enum cache_result cache_lookup(struct cache *cache, const struct cache_key *key,
			       const struct dns_query *query, int64_t now_ms, uint8_t *out,
			       struct cache_hit *hit);

/*
 * Has memory fetched that cache_lookup of a key is going to read, without waiting for it, in three
 * steps that each need what the one before has fetched: the tags of its set, the slot that they
 * lead to, which is returned (NULL: there is none, it is going to be a miss), and the counters of
 * the facts in there. For one who has other keys to deal with in between. Hot path.
 */
void cache_prefetch_set(const struct cache *cache, const struct cache_key *key);
const struct cache_slot *cache_prefetch_slot(const struct cache *cache,
					     const struct cache_key *key);
void cache_prefetch_facts(const struct cache *cache, const struct cache_slot *slot);

/*
 * The same as cache_lookup when no backend can be had: an answer that is good after all, or a stale
 * one: with low TTLs and an extended error that says so (RFC 8914 section 4.4). CACHE_HIT,
 * CACHE_STALE or CACHE_MISS.
 */
enum cache_result cache_lookup_stale(struct cache *cache, const struct cache_key *key,
				     const struct dns_query *query, int64_t now_ms, uint8_t *out,
				     struct cache_hit *hit);

/*
 * Notes that `key` was looked up in vain. True when its answer is to be kept even if it is a
 * denial: it was asked for lately, or it has an entry, which must not outlive a newer answer, as it
 * could be served stale. Hot path.
 */
bool cache_note_miss(struct cache *cache, const struct cache_key *key);

/*
 * True when nothing that a reply rests on has changed since its question was sent, as far as its
 * source tells changes: it is as good as one that is asked for now.
 */
bool cache_is_current(const struct cache *cache, const struct cache_origin *origin);

/* True when cache_lookup_stale would find a stale answer now. */
bool cache_has_stale(const struct cache *cache, const struct cache_key *key, int64_t now_ms);

/*
 * Keeps a reply that dns_reply_matches accepted for `query`, if it can be kept: not what is
 * truncated, meant for one client only, or too long. Nor a denial, unless `denial_too`, which is
 * what cache_note_miss said.
 */
enum cache_fate cache_store(struct cache *cache, const struct cache_key *key,
			    const struct dns_query *query, const uint8_t *reply, size_t size,
			    const struct cache_origin *origin, bool denial_too, int64_t now_ms);

/*
 * Forgets what is kept for `name` (a wire name, any case), or everything if it is NULL. Returns how
 * many replies that were. Walks all of the cache: not for the hot path.
 */
size_t cache_flush(struct cache *cache, const uint8_t *name);

/* What a lookup would make of a reply at this moment. */
enum cache_state {
	CACHE_STATE_GOOD,     /* it is given out */
	CACHE_STATE_SUSPECT,  /* changes may have gone untold: only when no backend can be had */
	CACHE_STATE_EXPIRED,  /* past its TTLs: the same, but not a failure or for too long */
	CACHE_STATE_OUTDATED, /* a fact it rests on has changed, or suspect for too long: not */
};

/* A reply that is held, as people want to know it. */
struct cache_view {
	uint16_t qtype;
	bool dnssec_ok;
	uint8_t rcode;
	unsigned int records; /* of all sections, without OPT */
	size_t size;          /* octets of the reply, without OPT */
	uint32_t source;      /* kept by facts that this source tells; 0: by its TTLs */
	int64_t age_ms;       /* since it was stored */
	int64_t left_ms;      /* by its TTLs, below 0 when they are over; 0 with a source */
	enum cache_state state;
};

typedef void (*cache_visit_fn)(void *ctx, const struct cache_view *view);

/*
 * Calls `visit` for each reply that is held for `name` (a wire name, any case), in no order; one
 * that is being replaced at this moment may be left out. Counts as no hit. Walks all of the cache:
 * not for the hot path.
 */
void cache_visit(const struct cache *cache, const uint8_t *name, int64_t now_ms,
		 cache_visit_fn visit, void *ctx);

/* Octets of memory, and replies held at present. */
size_t cache_size(const struct cache *cache);
size_t cache_count(const struct cache *cache);

/* The seed that keys of this cache are made with. */
uint64_t cache_seed(const struct cache *cache);

#endif
