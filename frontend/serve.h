/*
 * What becomes of a query, from its arrival to its reply.
 *
 * A transport hands in a message and a buffer (serve_take). What needs no backend - malformed or
 * unsupported, not ours, in the answer cache - is answered in that buffer at once: no query object,
 * no copy of the message, no clock, no system call. For the rest the transport gets a query, says
 * where its reply goes, and calls serve_query; it goes to the route's backends (upstream.h), comes
 * back through serve_finish, and leaves by the transport's `send`.
 *
 * When no backend answers in time, a stale answer does, if the cache has one (RFC 8767); and then
 * SERVE_STALE_MS are time enough, however long `limits.query_timeout_ms` is. An answer of the cache
 * that is asked for again and again and about to expire is asked for anew meanwhile: a query
 * without a transport, whose reply only the cache gets.
 *
 * A question that is in flight already is not asked again (flights.h): the query waits for the
 * answer, which is made into a reply for each client as one of the cache is.
 *
 * Questions about resolver.arpa are answered in place (discovery.h), if that is wanted.
 *
 * Queries of another class than IN are REFUSED, CHAOS's version.bind, hostname.bind and id.server
 * (RFC 4892) among them: what runs here is for the admin pages to tell, not for strangers.
 *
 * One `struct serve` per worker, used by its thread alone. Nothing here allocates, locks or, unless
 * `log.queries` asks for it, logs.
 */
#ifndef GODWIT_FRONTEND_SERVE_H
#define GODWIT_FRONTEND_SERVE_H

#include "frontend/cache.h"
#include "frontend/config.h"
#include "frontend/flights.h"
#include "frontend/metrics.h"
#include "frontend/query.h"
#include "frontend/query_log.h"
#include "frontend/upstream.h"
#include "frontend/zone_counter.h"

/* Room for a reply that serve_take makes. */
#define SERVE_REPLY_MAX CACHE_REPLY_MAX

/* A client that can be given a stale answer waits so long at most (RFC 8767 section 5). */
#define SERVE_STALE_MS 1800

struct serve {
	const struct frontend_config *config;
	struct metrics_shard *shard;
	struct upstream *upstream;
	struct cache *cache;         /* NULL: none */
	struct discovery *discovery; /* NULL: none; set by the owner after serve_init */
	const struct plan *plan;     /* its routes and their ids */
	unsigned int plan_number;
	struct query_pool pool;
	struct flights flights; /* of questions that have a key in the cache */
	struct query_log log;
	struct zone_counter zones;      /* counts nothing unless its owner has made it do so */
	uint64_t replied;               /* at once, since serve_observe */
	uint8_t reply[SERVE_REPLY_MAX]; /* where replies to queries are made */
};

/* All are borrowed; `cache` may be NULL. 0, or -1 when memory is short. */
int serve_init(struct serve *serve, const struct frontend_config *config,
	       struct metrics_shard *shard, struct upstream *upstream, struct cache *cache);
void serve_clear(struct serve *serve);

/* Goes over to another plan, which is borrowed. Before any query, and before upstream_set_plan. */
void serve_set_plan(struct serve *serve, const struct plan *plan);

enum serve_outcome {
	SERVE_DROPPED, /* no query, or no room for another; counted */
	SERVE_REPLIED, /* at once: the reply is the caller's to send */
	SERVE_PENDING, /* there is a query, to be given a path and to serve_query */
};

/* A message as far as it has been read. */
struct serve_message {
	struct dns_query dns;           /* leads into the message */
	int verdict;                    /* what dns_query_parse said */
	const struct plan_route *route; /* of a good question; NULL: not ours */
	const struct cache_slot *slot;  /* from serve_expect_answer for serve_expect_facts */
	bool denial_too;                /* cache_note_miss's word, once looked up in vain */
	bool has_stale;                 /* and cache_has_stale's */
	struct cache_key key;           /* if there is a route, and a cache */
};

/* What serve_take gives back. */
struct serve_reply {
	uint8_t *octets; /* SERVE_REPLY_MAX; given by the caller */
	size_t size;
	struct query *query;
	struct dns_query dns; /* SERVE_REPLIED, but for datagrams: what was asked, in the message */
};

/*
 * Takes a message of `size` octets, received at `now_ns` (clock_now_ns). `reply->octets` may be
 * written to in any case. Hot path.
 */
enum serve_outcome serve_take(struct serve *serve, const struct transport *transport,
			      const uint8_t *message, size_t size, int64_t now_ns,
			      struct serve_reply *reply);

/*
 * The same in steps, for a transport that has many messages at once: each step is done for all of
 * them before the next, so that what one reads of the cache is on its way from memory while others
 * are dealt with. serve_read reads a message, which must stay where it is; the next two only fetch
 * memory (cache_prefetch_slot, cache_prefetch_facts); serve_take_read is the rest of serve_take.
 * Hot path.
 */
void serve_read(struct serve *serve, const struct transport *transport, const uint8_t *message,
		size_t size, struct serve_message *out);
void serve_expect_answer(const struct serve *serve, struct serve_message *message);
void serve_expect_facts(const struct serve *serve, const struct serve_message *message);
enum serve_outcome serve_take_read(struct serve *serve, const struct transport *transport,
				   struct serve_message *message, int64_t now_ns,
				   struct serve_reply *reply);

/* The time it took to answer what was replied to at once since the last call: for a batch. */
void serve_observe(struct serve *serve, int64_t received_ns);

/*
 * Answers a query that serve_take gave and whose `path` the caller has filled in, now or later
 * through its transport. It is no longer the caller's.
 */
void serve_query(struct serve *serve, struct query *query);

/* upstream.h's word on a query; ctx is the struct serve. */
void serve_finish(void *ctx, struct query *query, enum upstream_result result, uint8_t *reply,
		  size_t size, const struct cache_origin *origin);

/* Queries not answered yet. Any thread. */
size_t serve_in_flight(const struct serve *serve);

#endif
