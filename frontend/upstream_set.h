/* What upstream.c and upstream_set.c share: the inside of an upstream. For these two only. */
#ifndef GODWIT_FRONTEND_UPSTREAM_SET_H
#define GODWIT_FRONTEND_UPSTREAM_SET_H

#include "frontend/upstream.h"

#include <event2/util.h>
#include <pthread.h>

/* One question to a replica in flight: a unary call, or on its stream. */
struct attempt {
	struct channel_call call; /* first: a call is its attempt */
	struct stream_question question;
	bool streamed; /* it is the question that is in flight, not the call */
	TAILQ_ENTRY(attempt) link;
	struct attempt *next_free;
	struct attempt *next_known; /* all that were ever made, for the end */
	struct replica *replica;
	struct query *query; /* NULL: a probe, or given up */
	bool probe;
	bool given_up; /* past its deadline and cancelled; not in the list any more */
	int64_t deadline_ms;
};

TAILQ_HEAD(attempt_list, attempt);
TAILQ_HEAD(replica_list, replica);
TAILQ_HEAD(waiting_list, query);

struct upstream_route {
	const struct plan_route *plan;
	struct replica **replicas;
	const struct balance_peer **peers; /* those of `replicas`, for balance_choose */
	size_t count;
	size_t choice;               /* of the replica asked in this pass of the loop */
	uint64_t choice_pass;        /* the pass it was chosen in */
	struct waiting_list waiting; /* by arrival */
};

struct upstream {
	struct upstream_options options;
	struct upstream_handler handler;
	struct metrics_shard *shard;
	struct channel_queue *queue;
	struct replica_options replica_options;
	struct event *timer;
	struct event *kick; /* the end of a pass of the loop in which streams were asked */
	bool kicked;
	uint64_t pass;           /* of the loop, as far as streams were asked in it */
	int64_t armed_ms;        /* when the timer fires; INT64_MAX: not armed */
	int64_t listen_until_ms; /* after our own sleep, what has come is heard first until then */
	uint32_t random;
	uint64_t last_id;
	const struct plan *plan;
	struct attempt_list attempts; /* in flight and not given up, by deadline */
	struct attempt *free;
	struct attempt *known;
	size_t waiting_count; /* in all routes */
	struct replica_list retired;
	/* Held by the worker while it changes what follows, by others while they read it. */
	pthread_mutex_t lock;
	struct replica_list replicas;
	struct upstream_route *routes;
	size_t route_count;
};

/* upstream.c: callbacks of the queue and the timer. */
void upstream_on_done(void *ctx, struct channel_call *call, const struct channel_result *result);
void upstream_on_answer(void *ctx, struct stream_question *question,
			const struct channel_result *result, const struct cache_origin *origin);
void upstream_on_flush(void *ctx);
void upstream_on_kick(evutil_socket_t fd, short what, void *ctx);
void upstream_on_timer(evutil_socket_t fd, short what, void *ctx);

/* upstream_set.c */
/* Frees retired replicas that have nothing in flight any more. Not from a stream's callback. */
void upstream_free_retired(struct upstream *upstream);

#endif
