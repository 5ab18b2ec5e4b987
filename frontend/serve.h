/*
 * What becomes of a query, from its arrival to its reply.
 *
 * A transport hands in a message (serve_take), says where the reply goes, and calls serve_query.
 * What is malformed, unsupported or not ours is answered in place; the rest goes to the route's
 * backends (upstream.h) and comes back through serve_finish. An answer cache belongs between the
 * two: looked up before upstream_submit, filled in serve_finish.
 *
 * One `struct serve` per worker, used by its thread alone. Nothing here allocates, locks or, unless
 * `log.queries` asks for it, logs.
 */
#ifndef GODWIT_FRONTEND_SERVE_H
#define GODWIT_FRONTEND_SERVE_H

#include "dns/protocol.h"
#include "frontend/config.h"
#include "frontend/metrics.h"
#include "frontend/query.h"
#include "frontend/query_log.h"
#include "frontend/upstream.h"

struct serve {
	const struct frontend_config *config;
	struct metrics_shard *shard;
	struct upstream *upstream;
	struct query_pool pool;
	struct query_log log;
	uint8_t error[DNS_UDP_PAYLOAD_MIN]; /* where replies made in place are written */
};

/* `config`, `shard` and `upstream` are borrowed. 0, or -1 when memory is short. */
int serve_init(struct serve *serve, const struct frontend_config *config,
	       struct metrics_shard *shard, struct upstream *upstream);
void serve_clear(struct serve *serve);

/*
 * Takes a message of `size` octets, received at `now_ns` (clock_now_ns), into a query of the pool.
 * NULL when it is no query or the pool is empty: dropped and counted.
 */
struct query *serve_take(struct serve *serve, const struct transport *transport,
			 const uint8_t *message, size_t size, int64_t now_ns);

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
