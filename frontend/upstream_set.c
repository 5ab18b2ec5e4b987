/*
 * The set of replicas behind an upstream: made, kept and retired as plan and resolver say, and
 * looked at by the admin thread.
 */
#include "frontend/upstream_set.h"

#include "common/clock.h"
#include "common/log.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void upstream_on_state(void *ctx, void *owner, enum channel_state state)
{
	struct upstream *upstream = ctx;
	struct replica *replica = owner;
	replica_note_connection(replica, state);
	if (state == CHANNEL_BROKEN)
		resolver_hurry(upstream->plan->resolver, replica->backend);
}

static void upstream_on_stream(void *ctx, void *owner, bool open)
{
	(void)ctx;
	replica_note_stream(owner, open);
}

struct upstream *upstream_create(struct event_base *base, const struct upstream_options *options,
				 const struct upstream_handler *handler,
				 struct metrics_shard *shard)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	if (!upstream)
		return NULL;
	upstream->options = *options;
	upstream->handler = *handler;
	upstream->shard = shard;
	upstream->armed_ms = INT64_MAX;
	upstream->random = (uint32_t)clock_now_ns() | 1;
	TAILQ_INIT(&upstream->attempts);
	TAILQ_INIT(&upstream->replicas);
	TAILQ_INIT(&upstream->retired);
	pthread_mutex_init(&upstream->lock, NULL);
	upstream->pass = 1;
	upstream->timer = evtimer_new(base, upstream_on_timer, upstream);
	upstream->kick = event_new(base, -1, 0, upstream_on_kick, upstream);
	upstream->queue = channel_queue_create(base, upstream_on_flush, upstream);
	if (!upstream->timer || !upstream->kick || !upstream->queue) {
		upstream_destroy(upstream);
		return NULL;
	}
	upstream->replica_options = (struct replica_options){
		.base = base,
		.queue = upstream->queue,
		.calls = {.ctx = upstream, .done = upstream_on_done, .state = upstream_on_state},
		.streams = {.ctx = upstream,
			    .done = upstream_on_answer,
			    .state = upstream_on_stream},
		.coherence = options->coherence,
		.sources = options->sources,
		.shard = shard,
	};
	return upstream;
}

static void upstream_free_routes(struct upstream_route *routes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(routes[i].replicas);
		free(routes[i].peers);
	}
	free(routes);
}

static void upstream_free_replicas(struct replica_list *list)
{
	struct replica *replica;
	while ((replica = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, replica, link);
		replica_destroy(replica);
	}
}

void upstream_destroy(struct upstream *upstream)
{
	if (!upstream)
		return;
	struct attempt *attempt;
	TAILQ_FOREACH(attempt, &upstream->attempts, link)
		if (!attempt->streamed)
			channel_call_cancel(&attempt->call);
	upstream_free_replicas(&upstream->replicas);
	upstream_free_replicas(&upstream->retired);
	channel_queue_destroy(upstream->queue);
	while ((attempt = upstream->known)) {
		upstream->known = attempt->next_known;
		channel_call_clear(&attempt->call);
		free(attempt);
	}
	upstream_free_routes(upstream->routes, upstream->route_count);
	if (upstream->timer)
		event_free(upstream->timer);
	if (upstream->kick)
		event_free(upstream->kick);
	pthread_mutex_destroy(&upstream->lock);
	free(upstream);
}

/* --- bringing the replicas in line with the plan ---------------------------------------------- */

static struct replica *upstream_find_replica(struct upstream *upstream, const char *key)
{
	struct replica *replica;
	TAILQ_FOREACH(replica, &upstream->replicas, link)
		if (strcmp(replica->address.key, key) == 0)
			return replica;
	return NULL;
}

static struct replica *upstream_want_replica(struct upstream *upstream,
					     const struct plan_route *route, size_t backend,
					     const struct plan_address *address)
{
	struct replica *replica = upstream_find_replica(upstream, address->key);
	if (!replica) {
		replica = replica_create(&upstream->replica_options, address,
					 &upstream->plan->backends[backend], route->zone);
		if (!replica)
			return NULL;
		replica->id = ++upstream->last_id;
		replica->talkative = upstream->options.talkative;
		TAILQ_INSERT_TAIL(&upstream->replicas, replica, link);
	}
	replica->backend = backend;
	replica->wanted = true;
	return replica;
}

static int upstream_add_to_route(struct upstream_route *route, struct replica *replica)
{
	for (size_t i = 0; i < route->count; i++)
		if (route->replicas[i] == replica)
			return 0;
	size_t count = route->count + 1;
	struct replica **replicas = realloc(route->replicas, count * sizeof(replicas[0]));
	if (!replicas)
		return -1;
	route->replicas = replicas;
	const struct balance_peer **peers = realloc((void *)route->peers, count * sizeof(peers[0]));
	if (!peers)
		return -1;
	route->peers = peers;
	replicas[count - 1] = replica;
	peers[count - 1] = &replica->peer;
	route->count = count;
	return 0;
}

static int upstream_fill_route(struct upstream *upstream, struct upstream_route *route)
{
	struct plan_address addresses[RESOLVER_ADDRESSES_MAX];
	route->count = 0;
	route->choice_pass = 0;
	for (size_t i = 0; i < route->plan->backend_count; i++) {
		size_t backend = route->plan->backends[i];
		size_t count = plan_read_addresses(upstream->plan, backend, addresses);
		for (size_t j = 0; j < count; j++) {
			struct replica *replica = upstream_want_replica(upstream, route->plan,
									backend, &addresses[j]);
			if (!replica || upstream_add_to_route(route, replica) != 0)
				return -1;
		}
	}
	return 0;
}

void upstream_free_retired(struct upstream *upstream)
{
	struct replica *next;
	for (struct replica *replica = TAILQ_FIRST(&upstream->retired); replica; replica = next) {
		next = TAILQ_NEXT(replica, link);
		if (replica->peer.in_flight > 0)
			continue;
		TAILQ_REMOVE(&upstream->retired, replica, link);
		replica_destroy(replica);
	}
}

/* Takes replicas out that nobody wants; those with calls in flight linger until these are back. */
static void upstream_retire_unwanted(struct upstream *upstream)
{
	struct replica *next;
	for (struct replica *replica = TAILQ_FIRST(&upstream->replicas); replica; replica = next) {
		next = TAILQ_NEXT(replica, link);
		if (replica->wanted)
			continue;
		replica->retired = true;
		TAILQ_REMOVE(&upstream->replicas, replica, link);
		TAILQ_INSERT_TAIL(&upstream->retired, replica, link);
	}
	upstream_free_retired(upstream);
}

/* upstream_refresh with the lock held. */
static int upstream_fill_routes(struct upstream *upstream)
{
	struct replica *replica;
	int result = 0;
	TAILQ_FOREACH(replica, &upstream->replicas, link)
		replica->wanted = false;
	for (size_t i = 0; i < upstream->route_count; i++)
		if (upstream_fill_route(upstream, &upstream->routes[i]) != 0)
			result = -1;
	/* Short of memory, better too many replicas than routes that lead to freed ones. */
	if (result == 0)
		upstream_retire_unwanted(upstream);
	else
		log_error("out of memory while opening backends", NULL);
	return result;
}

int upstream_refresh(struct upstream *upstream)
{
	pthread_mutex_lock(&upstream->lock);
	int result = upstream_fill_routes(upstream);
	pthread_mutex_unlock(&upstream->lock);
	return result;
}

int upstream_set_plan(struct upstream *upstream, const struct plan *plan)
{
	struct upstream_route *routes = calloc(plan->route_count, sizeof(routes[0]));
	struct waiting_list waiting = TAILQ_HEAD_INITIALIZER(waiting);
	if (!routes)
		return -1;
	for (size_t i = 0; i < plan->route_count; i++) {
		routes[i].plan = &plan->routes[i];
		TAILQ_INIT(&routes[i].waiting);
	}
	for (size_t i = 0; i < upstream->route_count; i++)
		TAILQ_CONCAT(&waiting, &upstream->routes[i].waiting, waiting);
	upstream->waiting_count = 0;

	pthread_mutex_lock(&upstream->lock);
	upstream_free_routes(upstream->routes, upstream->route_count);
	upstream->plan = plan;
	upstream->routes = routes;
	upstream->route_count = plan->route_count;
	int result = upstream_fill_routes(upstream);
	pthread_mutex_unlock(&upstream->lock);

	struct query *query;
	while ((query = TAILQ_FIRST(&waiting))) {
		TAILQ_REMOVE(&waiting, query, waiting);
		upstream_resubmit(upstream, query);
	}
	return result;
}

/* --- for the admin thread --------------------------------------------------------------------- */

static bool upstream_route_is_ready(const struct upstream_route *route)
{
	for (size_t i = 0; i < route->count; i++) {
		const struct replica_figures *figures = &route->replicas[i]->figures;
		if (atomic_load_explicit(&figures->connected, memory_order_relaxed) &&
		    atomic_load_explicit(&figures->trusted, memory_order_relaxed))
			return true;
	}
	return false;
}

bool upstream_is_ready(struct upstream *upstream, char *reason, size_t reason_size)
{
	pthread_mutex_lock(&upstream->lock);
	bool ready = upstream->plan != NULL;
	if (!ready)
		snprintf(reason, reason_size, "starting");
	for (size_t i = 0; i < upstream->route_count && ready; i++) {
		const struct upstream_route *route = &upstream->routes[i];
		ready = upstream_route_is_ready(route);
		if (!ready)
			snprintf(reason, reason_size, "no backend of route %s can be reached",
				 route->plan->zone_text);
	}
	pthread_mutex_unlock(&upstream->lock);
	return ready;
}

void upstream_visit(struct upstream *upstream, void (*visit)(void *ctx, const struct replica *),
		    void *ctx)
{
	struct replica *replica;
	pthread_mutex_lock(&upstream->lock);
	TAILQ_FOREACH(replica, &upstream->replicas, link)
		visit(ctx, replica);
	pthread_mutex_unlock(&upstream->lock);
}
