/*
 * Dispatching queries to replicas. The set of replicas itself is kept in upstream_set.c; this file
 * has the life of a query: submit, attempt, end of an attempt, retry, waiting, deadlines.
 */
#include "frontend/upstream.h"

#include "common/clock.h"
#include "common/log.h"
#include "dns/reply.h"
#include "frontend/upstream_set.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A timer that is later than this tells of our own sleep: what came meanwhile is still unread. */
#define UPSTREAM_LATE_MS 20
/* How long it is listened for, before anything is given up. */
#define UPSTREAM_LISTEN_MS 200

/* --- deadlines -------------------------------------------------------------------------------- */

static void upstream_arm(struct upstream *upstream, int64_t at_ms)
{
	if (at_ms >= upstream->armed_ms)
		return;
	int64_t now_ms = clock_now_ms();
	int64_t wait_ms = at_ms > now_ms ? at_ms - now_ms : 1;
	const struct timeval wait = clock_timeval(wait_ms);
	upstream->armed_ms = now_ms + wait_ms;
	evtimer_add(upstream->timer, &wait);
}

/* Puts an attempt into the list, which is ordered by deadline: nearly always at its end. */
static void upstream_watch_attempt(struct upstream *upstream, struct attempt *attempt)
{
	struct attempt *before = TAILQ_LAST(&upstream->attempts, attempt_list);
	while (before && before->deadline_ms > attempt->deadline_ms)
		before = TAILQ_PREV(before, attempt_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&upstream->attempts, before, attempt, link);
	else
		TAILQ_INSERT_HEAD(&upstream->attempts, attempt, link);
	upstream_arm(upstream, attempt->deadline_ms);
}

/* --- attempts --------------------------------------------------------------------------------- */

static struct attempt *upstream_take_attempt(struct upstream *upstream)
{
	struct attempt *attempt = upstream->free;
	if (attempt) {
		upstream->free = attempt->next_free;
		return attempt;
	}
	attempt = calloc(1, sizeof(*attempt));
	if (!attempt)
		return NULL;
	channel_call_init(&attempt->call);
	attempt->next_known = upstream->known;
	upstream->known = attempt;
	return attempt;
}

static void upstream_put_attempt(struct upstream *upstream, struct attempt *attempt)
{
	attempt->query = NULL;
	attempt->replica = NULL;
	attempt->next_free = upstream->free;
	upstream->free = attempt;
}

/* Asks the replica's stream, whose turn to send is at the end of this pass of the loop. */
static bool upstream_ask_stream(struct upstream *upstream, struct replica *replica,
				struct attempt *attempt, const struct query *query)
{
	if (!stream_ask(replica->stream, &attempt->question, query->message, query->dns.size))
		return false;
	if (!upstream->kicked) {
		upstream->kicked = true;
		event_active(upstream->kick, EV_TIMEOUT, 0);
	}
	return true;
}

void upstream_on_kick(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct upstream *upstream = ctx;
	struct replica *replica;
	upstream->kicked = false;
	upstream->pass++;
	TAILQ_FOREACH(replica, &upstream->replicas, link)
		stream_flush(replica->stream);
	TAILQ_FOREACH(replica, &upstream->retired, link)
		stream_flush(replica->stream);
}

/*
 * Asks `replica`: for `query`, or with NULL a probe, which is always a unary call. False when it
 * cannot be started.
 */
static bool upstream_start_attempt(struct upstream *upstream, struct replica *replica,
				   struct query *query, int64_t deadline_ms, int64_t now_ms)
{
	const uint8_t *message = query ? query->message : replica->probe;
	size_t size = query ? query->dns.size : replica->probe_size;
	int64_t end_ms = query ? query->deadline_ms : deadline_ms;
	struct attempt *attempt = upstream_take_attempt(upstream);
	if (!attempt)
		return false;
	attempt->streamed = query && upstream_ask_stream(upstream, replica, attempt, query);
	if (!attempt->streamed && channel_call_start(replica->channel, &attempt->call, message,
						     size, (int)(end_ms - now_ms)) != 0) {
		upstream_put_attempt(upstream, attempt);
		return false;
	}
	attempt->query = query;
	attempt->replica = replica;
	attempt->probe = !query;
	attempt->given_up = false;
	attempt->deadline_ms = deadline_ms;
	replica_begin_call(replica);
	upstream_watch_attempt(upstream, attempt);
	return true;
}

static void upstream_start_probe(struct upstream *upstream, struct replica *replica, int64_t now_ms)
{
	int64_t deadline_ms = now_ms + upstream->options.query_timeout_ms;
	replica->peer.probing =
		upstream_start_attempt(upstream, replica, NULL, deadline_ms, now_ms);
	if (!replica->peer.probing)
		replica_note_probe_failure(replica, "the probe could not be sent", now_ms);
}

/* --- choosing --------------------------------------------------------------------------------- */

static uint32_t upstream_random(struct upstream *upstream)
{
	/* xorshift32 (Marsaglia): only ties between replicas hang on it. */
	uint32_t x = upstream->random;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return upstream->random = x;
}

static const uint64_t upstream_avoid_none[2];

static const struct balance_peer *upstream_avoided(const struct upstream_route *route, uint64_t id)
{
	for (size_t i = 0; id && i < route->count; i++)
		if (route->replicas[i]->id == id)
			return route->peers[i];
	return NULL;
}

/* The route's best replica but those in `avoid`: an index, BALANCE_NONE or BALANCE_FULL. */
static int upstream_choose(struct upstream *upstream, const struct upstream_route *route,
			   const uint64_t avoid[2])
{
	const struct balance_peer *const avoided[2] = {
		upstream_avoided(route, avoid[0]),
		upstream_avoided(route, avoid[1]),
	};
	return balance_choose(route->peers, route->count, avoided, upstream_random(upstream));
}

/* The replica for a new query: the one chosen before in this pass, as long as it is good. */
static int upstream_choose_for_pass(struct upstream *upstream, struct upstream_route *route)
{
	if (route->choice_pass == upstream->pass && balance_is_good(route->peers[route->choice]))
		return (int)route->choice;
	int choice = upstream_choose(upstream, route, upstream_avoid_none);
	if (choice >= 0 && stream_is_open(route->replicas[choice]->stream)) {
		route->choice = (size_t)choice;
		route->choice_pass = upstream->pass;
	}
	return choice;
}

static void upstream_finish(struct upstream *upstream, struct query *query,
			    enum upstream_result result)
{
	upstream->handler.done(upstream->handler.ctx, query, result, NULL, 0, NULL);
}

/* No replica of the route can be asked: perhaps its name has other addresses by now. */
static void upstream_give_up(struct upstream *upstream, const struct upstream_route *route,
			     struct query *query)
{
	for (size_t i = 0; i < route->plan->backend_count; i++)
		resolver_hurry(upstream->plan->resolver, route->plan->backends[i]);
	upstream_finish(upstream, query, query->attempt ? UPSTREAM_FAILED : UPSTREAM_UNREACHABLE);
}

static void upstream_call(struct upstream *upstream, struct replica *replica, struct query *query,
			  int64_t now_ms)
{
	int64_t deadline_ms = query->deadline_ms;
	if (query->attempt == 0) {
		int64_t share_ms = now_ms + upstream->options.query_timeout_ms * 2 / 5;
		deadline_ms = share_ms < deadline_ms ? share_ms : deadline_ms;
	}
	query->attempt++;
	if (!upstream_start_attempt(upstream, replica, query, deadline_ms, now_ms))
		upstream_finish(upstream, query, UPSTREAM_FAILED);
}

/* Calls a replica for `query` if one has room. False when the query has to wait. */
static bool upstream_dispatch(struct upstream *upstream, struct upstream_route *route,
			      struct query *query, int64_t now_ms)
{
	bool again = query->avoid[0] != 0;
	int choice = again ? upstream_choose(upstream, route, query->avoid)
			   : upstream_choose_for_pass(upstream, route);
	/* A connection that broke is worth a second call to the same replica, a timeout is not. */
	if (choice == BALANCE_NONE && again && !query->timed_out &&
	    query->attempt < UPSTREAM_ATTEMPTS_MAX)
		choice = upstream_choose(upstream, route, upstream_avoid_none);
	if (choice == BALANCE_FULL)
		return false;
	if (choice == BALANCE_NONE)
		upstream_give_up(upstream, route, query);
	else
		upstream_call(upstream, route->replicas[choice], query, now_ms);
	return true;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void upstream_wait(struct upstream *upstream, struct upstream_route *route,
			  struct query *query)
{
	if (upstream->waiting_count >= UPSTREAM_WAITING_MAX) {
		upstream_finish(upstream, query, UPSTREAM_OVERLOADED);
		return;
	}
	/* A retry is older than those in line: its place is at the head. */
	if (query->attempt)
		TAILQ_INSERT_HEAD(&route->waiting, query, waiting);
	else
		TAILQ_INSERT_TAIL(&route->waiting, query, waiting);
	upstream->waiting_count++;
	upstream_arm(upstream, query->deadline_ms);
}

static void upstream_unwait(struct upstream *upstream, struct upstream_route *route,
			    struct query *query)
{
	TAILQ_REMOVE(&route->waiting, query, waiting);
	upstream->waiting_count--;
}

/* Calls replicas that have room again for those who wait. */
static void upstream_serve_waiting(struct upstream *upstream)
{
	if (upstream->waiting_count == 0)
		return;
	int64_t now_ms = clock_now_ms();
	for (size_t i = 0; i < upstream->route_count; i++) {
		struct upstream_route *route = &upstream->routes[i];
		struct query *query;
		while ((query = TAILQ_FIRST(&route->waiting))) {
			upstream_unwait(upstream, route, query);
			if (upstream_dispatch(upstream, route, query, now_ms))
				continue;
			TAILQ_INSERT_HEAD(&route->waiting, query, waiting);
			upstream->waiting_count++;
			break;
		}
	}
}

static void upstream_route_query(struct upstream *upstream, struct query *query, int64_t now_ms)
{
	int index = route_find(upstream->plan->table, query->dns.qname);
	if (index == ROUTE_NONE) {
		upstream_finish(upstream, query, UPSTREAM_NO_ROUTE);
		return;
	}
	struct upstream_route *route = &upstream->routes[index];
	bool must_wait = !query->attempt && !TAILQ_EMPTY(&route->waiting);
	if (must_wait || !upstream_dispatch(upstream, route, query, now_ms))
		upstream_wait(upstream, route, query);
}

void upstream_submit(struct upstream *upstream, struct query *query)
{
	upstream_route_query(upstream, query, query->received_ns / CLOCK_NS_PER_MS);
}

void upstream_resubmit(struct upstream *upstream, struct query *query)
{
	upstream_route_query(upstream, query, clock_now_ms());
}

/* --- the end of an attempt -------------------------------------------------------------------- */

/* The query's attempt at `replica` has failed: another one, or the client is told. */
static void upstream_retry(struct upstream *upstream, const struct replica *replica,
			   struct query *query, int64_t now_ms)
{
	if (now_ms >= query->deadline_ms) {
		upstream_finish(upstream, query, UPSTREAM_EXPIRED);
		return;
	}
	if (query->attempt >=
	    (query->broke ? UPSTREAM_ATTEMPTS_BROKEN_MAX : UPSTREAM_ATTEMPTS_MAX)) {
		upstream_finish(upstream, query, UPSTREAM_FAILED);
		return;
	}
	query->avoid[1] = query->avoid[0];
	query->avoid[0] = replica->id;
	metrics_add(upstream->shard, FRONTEND_RETRIES, 1);
	upstream_route_query(upstream, query, now_ms);
}

static const char *upstream_reason(const struct channel_result *result)
{
	switch (result->status) {
	case GRPC_STATUS_OK:
		return "the reply does not match the query";
	case GRPC_STATUS_DATA_LOSS:
		return "the reply is not a DnsPacket";
	case GRPC_STATUS_UNAVAILABLE:
		return "unavailable";
	case GRPC_STATUS_UNIMPLEMENTED:
		return "it does not serve coredns.dns.DnsService";
	case GRPC_STATUS_DEADLINE_EXCEEDED:
		return "deadline exceeded";
	case GRPC_STATUS_RESOURCE_EXHAUSTED:
		return "overloaded";
	default:
		return "an error status";
	}
}

static void upstream_finish_probe(struct upstream *upstream, struct replica *replica,
				  const struct channel_result *result)
{
	replica->peer.probing = false;
	if (result->status == GRPC_STATUS_OK &&
	    dns_reply_matches(&replica->probe_query, result->reply, result->size))
		replica_note_success(replica);
	else
		replica_note_probe_failure(replica, upstream_reason(result), clock_now_ms());
	upstream_arm(upstream, balance_probe_due_ms(&replica->peer));
}

static void upstream_finish_call(struct upstream *upstream, struct replica *replica,
				 struct query *query, const struct channel_result *result,
				 const struct cache_origin *origin)
{
	if (result->status == GRPC_STATUS_OK &&
	    dns_reply_matches(&query->dns, result->reply, result->size)) {
		replica_note_success(replica);
		query->zone_size = result->zone_size;
		upstream->handler.done(upstream->handler.ctx, query, UPSTREAM_ANSWERED,
				       result->reply, result->size, origin);
		return;
	}
	int64_t now_ms = clock_now_ms();
	if (result->status == GRPC_STATUS_UNAVAILABLE)
		query->broke = true;
	replica_note_failure(replica, upstream_reason(result), now_ms);
	upstream_arm(upstream, balance_probe_due_ms(&replica->peer));
	upstream_retry(upstream, replica, query, now_ms);
}

/* An attempt has come back from its replica. */
static void upstream_end_attempt(struct upstream *upstream, struct attempt *attempt,
				 const struct channel_result *result,
				 const struct cache_origin *origin)
{
	struct replica *replica = attempt->replica;
	struct query *query = attempt->query;
	bool given_up = attempt->given_up;
	bool probe = attempt->probe;
	if (!given_up)
		TAILQ_REMOVE(&upstream->attempts, attempt, link);
	upstream_put_attempt(upstream, attempt);
	replica_end_call(replica);
	if (probe)
		upstream_finish_probe(upstream, replica, result);
	else if (!given_up)
		upstream_finish_call(upstream, replica, query, result, origin);
}

void upstream_on_done(void *ctx, struct channel_call *call, const struct channel_result *result)
{
	static const struct cache_origin no_source;
	struct upstream *upstream = ctx;
	struct attempt *attempt = (struct attempt *)call;
	/*
	 * Unary answers do not tell what they rest on. They may be kept by their TTL when they come
	 * from a replica that never tells, but not while one's stream is out for a moment.
	 */
	const struct cache_origin *origin =
		stream_is_absent(attempt->replica->stream) ? &no_source : NULL;
	upstream_end_attempt(upstream, attempt, result, origin);
}

static struct attempt *upstream_attempt_of(struct stream_question *question)
{
	return (struct attempt *)((char *)question - offsetof(struct attempt, question));
}

void upstream_on_answer(void *ctx, struct stream_question *question,
			const struct channel_result *result, const struct cache_origin *origin)
{
	struct upstream *upstream = ctx;
	struct attempt *attempt = upstream_attempt_of(question);
	struct query *query = attempt->query;
	if (result->status != GRPC_STATUS_UNIMPLEMENTED) {
		upstream_end_attempt(upstream, attempt, result, origin);
		return;
	}
	/* It has no streams, and we asked before it could say so: that was no attempt. */
	TAILQ_REMOVE(&upstream->attempts, attempt, link);
	replica_end_call(attempt->replica);
	upstream_put_attempt(upstream, attempt);
	query->attempt--;
	upstream_resubmit(upstream, query);
}

void upstream_on_flush(void *ctx)
{
	struct upstream *upstream = ctx;
	upstream_serve_waiting(upstream);
	upstream_free_retired(upstream);
	upstream->handler.flush(upstream->handler.flush_ctx);
}

/* --- the timer -------------------------------------------------------------------------------- */

/* Ends an attempt at its deadline. A call itself comes back later, cancelled. */
static void upstream_abandon_attempt(struct upstream *upstream, struct attempt *attempt,
				     int64_t now_ms)
{
	struct query *query = attempt->query;
	struct replica *replica = attempt->replica;
	if (attempt->streamed) {
		struct stream_question *question = &attempt->question;
		stream_forget(replica->stream, question);
		upstream_put_attempt(upstream, attempt);
		replica_end_call(replica);
	} else {
		attempt->given_up = true;
		attempt->query = NULL;
		channel_call_cancel(&attempt->call);
		if (attempt->probe)
			return; /* the cancelled probe counts as failed when it comes back */
	}
	query->timed_out = true;
	replica_note_failure(replica, "no answer in time", now_ms);
	upstream_retry(upstream, replica, query, now_ms);
}

static void upstream_expire_attempt(struct upstream *upstream, struct attempt *attempt,
				    int64_t now_ms)
{
	struct query *query = attempt->query;
	TAILQ_REMOVE(&upstream->attempts, attempt, link);
	if (query && now_ms < query->deadline_ms) {
		int index = route_find(upstream->plan->table, query->dns.qname);
		const uint64_t avoid[2] = {attempt->replica->id, query->avoid[0]};
		if (index != ROUTE_NONE &&
		    upstream_choose(upstream, &upstream->routes[index], avoid) == BALANCE_NONE) {
			/* There is nobody else to ask: this one may use what time is left. */
			attempt->deadline_ms = query->deadline_ms;
			upstream_watch_attempt(upstream, attempt);
			return;
		}
	}
	upstream_abandon_attempt(upstream, attempt, now_ms);
}

/* Lines are in the order of arrival; deadlines nearly so, but for those with a stale answer. */
static void upstream_expire_waiting(struct upstream *upstream, int64_t now_ms)
{
	for (size_t i = 0; i < upstream->route_count; i++) {
		struct upstream_route *route = &upstream->routes[i];
		struct query *next;
		for (struct query *query = TAILQ_FIRST(&route->waiting); query; query = next) {
			next = TAILQ_NEXT(query, waiting);
			if (query->deadline_ms > now_ms) {
				upstream_arm(upstream, query->deadline_ms);
				continue;
			}
			upstream_unwait(upstream, route, query);
			upstream_finish(upstream, query, UPSTREAM_EXPIRED);
		}
	}
}

static void upstream_probe_due(struct upstream *upstream, int64_t now_ms)
{
	struct replica *replica;
	TAILQ_FOREACH(replica, &upstream->replicas, link) {
		if (balance_probe_due_ms(&replica->peer) <= now_ms)
			upstream_start_probe(upstream, replica, now_ms);
		upstream_arm(upstream, balance_probe_due_ms(&replica->peer));
	}
}

/*
 * True when the timer comes so late that we have slept - the process was stopped, or its thread
 * kept from a CPU. Once for each time that is listened, so that nothing is waited for twice.
 */
static bool upstream_has_slept(const struct upstream *upstream, int64_t now_ms)
{
	return now_ms > upstream->armed_ms + UPSTREAM_LATE_MS &&
	       upstream->armed_ms > upstream->listen_until_ms;
}

static void upstream_put_off(struct query *query, int64_t until_ms)
{
	if (query && query->deadline_ms < until_ms)
		query->deadline_ms = until_ms;
}

/* Gives what is due the time to be heard. Both kinds of lists stay in the order of deadlines. */
static void upstream_listen(struct upstream *upstream, int64_t until_ms)
{
	struct attempt *attempt;
	struct query *query;
	upstream->listen_until_ms = until_ms;
	TAILQ_FOREACH(attempt, &upstream->attempts, link) {
		if (attempt->deadline_ms < until_ms)
			attempt->deadline_ms = until_ms;
		upstream_put_off(attempt->query, until_ms);
	}
	for (size_t i = 0; i < upstream->route_count; i++)
		TAILQ_FOREACH(query, &upstream->routes[i].waiting, waiting)
			upstream_put_off(query, until_ms);
}

void upstream_on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct upstream *upstream = ctx;
	int64_t now_ms = clock_now_ms();
	if (upstream_has_slept(upstream, now_ms))
		upstream_listen(upstream, now_ms + UPSTREAM_LISTEN_MS);
	upstream->armed_ms = INT64_MAX;
	struct attempt *attempt;
	while ((attempt = TAILQ_FIRST(&upstream->attempts)) && attempt->deadline_ms <= now_ms)
		upstream_expire_attempt(upstream, attempt, now_ms);
	if (attempt)
		upstream_arm(upstream, attempt->deadline_ms);
	upstream_expire_waiting(upstream, now_ms);
	upstream_probe_due(upstream, now_ms);
	upstream_free_retired(upstream);
	upstream->handler.flush(upstream->handler.flush_ctx);
}
