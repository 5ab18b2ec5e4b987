/*
 * A worker's way to the backends: which replica gets a query, when it is tried elsewhere, and what
 * happens when there are more queries than the backends can take.
 *
 * A replica is asked through its stream (stream.h) when it has one, else by unary calls. What is
 * submitted in one pass of the loop gathers and leaves together: the replica with the least in
 * flight is chosen once for a pass and route.
 *
 * A query is submitted once and comes back once, through `done`. In between it is either *called*
 * (an attempt is in flight at a replica) or *waiting* in its route's line because every usable
 * replica has its fill in flight (REPLICA_CALLS_MAX calls, or a full stream). Lines are first in,
 * first out and bounded: UPSTREAM_WAITING_MAX queries a worker; what comes beyond is
 * UPSTREAM_OVERLOADED at once. So the memory that overload can take is known, and gRPC never sees
 * more calls than it can stand.
 *
 * A query has its deadline and at most two attempts. The first one is given up after two fifths of
 * the query timeout if there is another replica to ask, so that the queries of a backend that hangs
 * move away in time; without another one it may use all of it. A failure (an error status, an
 * answer that is none: dns_reply_matches) moves the query on at once.
 *
 * Deadlines are for the backends' silence, not for ours: when this thread itself has slept, stopped
 * or kept from a CPU, what has come meanwhile is read before anything is given up, for a fifth of a
 * second at most.
 *
 * One per worker; only upstream_is_ready and upstream_visit may be called from other threads.
 */
#ifndef GODWIT_FRONTEND_UPSTREAM_H
#define GODWIT_FRONTEND_UPSTREAM_H

#include "frontend/cache.h"
#include "frontend/metrics.h"
#include "frontend/plan.h"
#include "frontend/query.h"
#include "frontend/replica.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPSTREAM_WAITING_MAX 1024
#define UPSTREAM_ATTEMPTS_MAX 2
/*
 * And once more, elsewhere, where a connection broke: a backend that dies takes along all addresses
 * it is known by (one for each family, in Kubernetes), and the second attempt may meet another of
 * them. Not more often: a query that makes backends die is not to go through all of them.
 */
#define UPSTREAM_ATTEMPTS_BROKEN_MAX 3

struct event_base;
struct upstream;

enum upstream_result {
	UPSTREAM_ANSWERED,    /* with a reply that dns_reply_matches has accepted */
	UPSTREAM_NO_ROUTE,    /* no zone of ours is at or above the name */
	UPSTREAM_OVERLOADED,  /* the line is full */
	UPSTREAM_UNREACHABLE, /* no replica is connected, or none is fit to be asked */
	UPSTREAM_FAILED,      /* every attempt failed */
	UPSTREAM_EXPIRED,     /* the deadline passed */
};

struct upstream_handler {
	void *ctx;
	/*
	 * A query is the owner's again. `reply` (NULL but for UPSTREAM_ANSWERED) may be changed in
	 * place and lives until the callback returns. So does `origin`: where the reply came from
	 * and what it rests on; NULL when there is no reply or it must be used once only.
	 */
	void (*done)(void *ctx, struct query *query, enum upstream_result result, uint8_t *reply,
		     size_t size, const struct cache_origin *origin);
	/* A batch of replies has been handed over: time to send them. */
	void *flush_ctx;
	void (*flush)(void *flush_ctx);
};

struct upstream_options {
	int query_timeout_ms;
	const struct coherence *coherence; /* borrowed, like the next one; NULL: no cache */
	struct sources *sources;           /* the numbers of replicas for it */
	bool talkative; /* log at info what happens to replicas: one worker speaks for all */
};

/* Makes it, with a completion-queue thread, without replicas. NULL when memory is short. */
struct upstream *upstream_create(struct event_base *base, const struct upstream_options *options,
				 const struct upstream_handler *handler,
				 struct metrics_shard *shard);

/*
 * Frees everything and ends the calls in flight; their queries are not called back. The loop must
 * not be running.
 */
void upstream_destroy(struct upstream *upstream);

/*
 * Goes over to another plan, which must live until the next change: replicas in both keep their
 * connections, others are opened and closed; waiting queries are routed anew.
 */
int upstream_set_plan(struct upstream *upstream, const struct plan *plan);

/* Takes over what the plan's resolver has found: opens and closes replicas accordingly. */
int upstream_refresh(struct upstream *upstream);

/* Takes a parsed query. `done` may be called before this returns. Hot path. */
void upstream_submit(struct upstream *upstream, struct query *query);
/* The same some time after the query was received. */
void upstream_resubmit(struct upstream *upstream, struct query *query);

/*
 * True when every route has a replica that is connected and not out of use; else `reason` names the
 * first route without. Any thread.
 */
bool upstream_is_ready(struct upstream *upstream, char *reason, size_t reason_size);

/* Calls `visit` for each replica, under a lock: be quick. Any thread. */
void upstream_visit(struct upstream *upstream, void (*visit)(void *ctx, const struct replica *),
		    void *ctx);

#endif
