/* The road of one query through a worker. */
#include "frontend/serve.h"

#include "common/clock.h"
#include "common/log.h"
#include "dns/protocol.h"
#include "dns/reply.h"
#include "frontend/cache_reply.h"
#include "frontend/discovery.h"
#include "frontend/reply.h"

#include <string.h>

int serve_init(struct serve *serve, const struct frontend_config *config,
	       struct metrics_shard *shard, struct upstream *upstream, struct cache *cache)
{
	*serve = (struct serve){
		.config = config, .shard = shard, .upstream = upstream, .cache = cache};
	query_log_init(&serve->log, config->log.queries);
	return query_pool_init(&serve->pool);
}

void serve_clear(struct serve *serve)
{
	query_pool_clear(&serve->pool);
}

void serve_set_plan(struct serve *serve, const struct plan *plan)
{
	serve->plan = plan;
	serve->plan_number++;
}

/* --- answers that need no backend ------------------------------------------------------------- */

static size_t serve_write_error(struct serve *serve, const struct dns_query *dns, int rcode,
				int ede, const char *text, uint8_t *out)
{
	return dns_reply_write_error(dns, rcode, serve->config->limits.udp_payload, ede, text, out,
				     SERVE_REPLY_MAX);
}

/* The key of a query in the cache; false when no route leads anywhere. */
static bool serve_make_key(const struct serve *serve, const struct dns_query *dns,
			   struct cache_key *key)
{
	const struct plan_route *route = plan_find_route(serve->plan, dns->qname);
	if (!route)
		return false;
	cache_key_init(key, cache_seed(serve->cache), dns, route->id);
	return true;
}

static struct query *serve_make_query(struct serve *serve, const struct dns_query *dns, int verdict,
				      const struct transport *transport, int64_t now_ns)
{
	struct query *query = query_pool_get(&serve->pool, dns);
	if (!query)
		return NULL;
	query->verdict = verdict;
	query->transport = transport;
	query->plan = serve->plan_number;
	query->received_ns = now_ns;
	query->deadline_ms = now_ns / CLOCK_NS_PER_MS + serve->config->limits.query_timeout_ms;
	return query;
}

/* Asks for an answer anew that is about to expire. Nobody waits: what fails is forgotten. */
static void serve_refresh(struct serve *serve, const struct dns_query *dns, int64_t now_ns)
{
	struct query *query = serve_make_query(serve, dns, DNS_RCODE_NOERROR, NULL, now_ns);
	if (!query)
		return;
	query->denial_too = true;
	metrics_add(serve->shard, FRONTEND_CACHE_REFRESHES, 1);
	upstream_submit(serve->upstream, query);
}

/* Looks into the cache. Returns the size of the reply, 0 when there is none. */
static size_t serve_look_up(struct serve *serve, struct serve_message *message, int64_t now_ns,
			    uint8_t *out)
{
	struct cache_hit hit;
	if (!serve->cache)
		return 0;
	switch (cache_lookup(serve->cache, &message->key, &message->dns, now_ns / CLOCK_NS_PER_MS,
			     out, &hit)) {
	case CACHE_REFRESH:
		serve_refresh(serve, &message->dns, now_ns);
		/* fall through */
	case CACHE_HIT:
		metrics_add(serve->shard, FRONTEND_CACHE_HITS, 1);
		zone_counter_add(&serve->zones, &message->dns, hit.zone_size, now_ns);
		return hit.size;
	case CACHE_OUTDATED:
		metrics_add(serve->shard, FRONTEND_CACHE_INVALID, 1);
		/* fall through */
	default:
		metrics_add(serve->shard, FRONTEND_CACHE_MISSES, 1);
		message->denial_too = cache_note_miss(serve->cache, &message->key);
		message->has_stale =
			message->denial_too &&
			cache_has_stale(serve->cache, &message->key, now_ns / CLOCK_NS_PER_MS);
		return 0;
	}
}

/*
 * Answers without a backend, ready to leave and counted but for its latency. Returns the reply's
 * size, 0 when a backend has to be asked.
 */
static size_t serve_answer(struct serve *serve, const struct transport *transport,
			   struct serve_message *message, int64_t now_ns, uint8_t *out)
{
	size_t size;
	const struct dns_query *dns = &message->dns;
	const struct plan_route *route = message->route;
	int rcode = message->verdict;
	if (route && route->minimal_any && dns->qtype == DNS_TYPE_ANY) {
		size = dns_reply_write_minimal_any(dns, serve->config->limits.udp_payload, out,
						   SERVE_REPLY_MAX);
	} else if (route) {
		size = serve_look_up(serve, message, now_ns, out);
		if (size == 0)
			return 0;
		rcode = out[3] & 0xf; /* extended ones are not kept */
	} else if (rcode == DNS_RCODE_NOERROR && discovery_owns(serve->discovery, dns)) {
		size = discovery_answer(serve->discovery, dns, serve->config->limits.udp_payload,
					out, SERVE_REPLY_MAX, &rcode);
	} else if (rcode == DNS_RCODE_NOERROR) {
		rcode = DNS_RCODE_REFUSED;
		size = serve_write_error(serve, dns, rcode, DNS_EDE_NOT_AUTHORITATIVE, NULL, out);
	} else {
		size = serve_write_error(serve, dns, rcode, DNS_EDE_NONE, NULL, out);
	}
	metrics_add(serve->shard, metrics_of_rcode(rcode), 1);
	return transport->datagram ? reply_fit(serve->config, serve->shard, dns, out, size) : size;
}

/* --- taking queries --------------------------------------------------------------------------- */

/*
 * A query that is to be logged needs its client's address, so it becomes an object first and is
 * answered after.
 */
static bool serve_replies_at_once(const struct serve *serve)
{
	return serve->log.mode == FRONTEND_QUERY_LOG_NONE;
}

/* Hands on what the look-up in vain has found out. */
static void serve_note_miss(struct query *query, const struct serve_message *message)
{
	int64_t stale_ms = query->received_ns / CLOCK_NS_PER_MS + SERVE_STALE_MS;
	query->denial_too = message->denial_too;
	query->key_hash = message->key.hash;
	if (message->has_stale && stale_ms < query->deadline_ms)
		query->deadline_ms = stale_ms;
}

/* Finds what a message's question leads to. */
static void serve_find(const struct serve *serve, struct serve_message *message)
{
	message->route = NULL;
	message->denial_too = false;
	message->has_stale = false;
	message->key.hash = 0;
	if (message->verdict == DNS_RCODE_NOERROR &&
	    !discovery_owns(serve->discovery, &message->dns))
		message->route = plan_find_route(serve->plan, message->dns.qname);
	if (message->route && serve->cache)
		cache_key_init(&message->key, cache_seed(serve->cache), &message->dns,
			       message->route->id);
}

void serve_read(struct serve *serve, const struct transport *transport, const uint8_t *message,
		size_t size, struct serve_message *out)
{
	metrics_add(serve->shard, transport->queries, 1);
	out->verdict = dns_query_parse(message, size, &out->dns);
	serve_find(serve, out);
	if (out->route && serve->cache)
		cache_prefetch_set(serve->cache, &out->key);
}

void serve_expect_answer(const struct serve *serve, struct serve_message *message)
{
	message->slot = NULL;
	if (message->route && serve->cache)
		message->slot = cache_prefetch_slot(serve->cache, &message->key);
}

void serve_expect_facts(const struct serve *serve, const struct serve_message *message)
{
	if (message->slot)
		cache_prefetch_facts(serve->cache, message->slot);
}

enum serve_outcome serve_take_read(struct serve *serve, const struct transport *transport,
				   struct serve_message *message, int64_t now_ns,
				   struct serve_reply *reply)
{
	if (message->verdict == DNS_QUERY_DROP) {
		metrics_add(serve->shard, FRONTEND_DROPS_NOT_A_QUERY, 1);
		return SERVE_DROPPED;
	}
	if (serve_replies_at_once(serve)) {
		reply->size = serve_answer(serve, transport, message, now_ns, reply->octets);
		if (reply->size > 0) {
			if (!transport->datagram)
				reply->dns = message->dns;
			serve->replied++;
			return SERVE_REPLIED;
		}
	}
	reply->query = serve_make_query(serve, &message->dns, message->verdict, transport, now_ns);
	if (!reply->query) {
		metrics_add(serve->shard, FRONTEND_DROPS_OVERLOAD, 1);
		return SERVE_DROPPED;
	}
	serve_note_miss(reply->query, message);
	return SERVE_PENDING;
}

enum serve_outcome serve_take(struct serve *serve, const struct transport *transport,
			      const uint8_t *message, size_t size, int64_t now_ns,
			      struct serve_reply *reply)
{
	struct serve_message read;
	serve_read(serve, transport, message, size, &read);
	return serve_take_read(serve, transport, &read, now_ns, reply);
}

void serve_observe(struct serve *serve, int64_t received_ns)
{
	if (serve->replied == 0)
		return;
	metrics_observe_many(serve->shard, FRONTEND_LATENCY,
			     (uint64_t)(clock_now_ns() - received_ns), serve->replied);
	serve->replied = 0;
}

/* Sends a reply that is ready. The query is done. */
static void serve_send_ready(struct serve *serve, struct query *query, const uint8_t *reply,
			     size_t size, int64_t now_ns)
{
	metrics_observe(serve->shard, FRONTEND_LATENCY, (uint64_t)(now_ns - query->received_ns));
	query_log_reply(&serve->log, query, reply, size);
	query->transport->send(query, reply, size);
	query_pool_put(&serve->pool, query);
}

/* Asks the backends, unless the same question is in flight. */
static void serve_ask(struct serve *serve, struct query *query)
{
	if (query->key_hash && flights_join(&serve->flights, query))
		metrics_add(serve->shard, FRONTEND_JOINED, 1);
	else
		upstream_submit(serve->upstream, query);
}

void serve_query(struct serve *serve, struct query *query)
{
	size_t size = 0;
	if (!serve_replies_at_once(serve)) {
		struct serve_message message = {.dns = query->dns, .verdict = query->verdict};
		serve_find(serve, &message);
		size = serve_answer(serve, query->transport, &message, query->received_ns,
				    serve->reply);
		serve_note_miss(query, &message);
	}
	if (size > 0)
		serve_send_ready(serve, query, serve->reply, size, clock_now_ns());
	else
		serve_ask(serve, query);
}

/* --- what comes back -------------------------------------------------------------------------- */

static void serve_send(struct serve *serve, struct query *query, uint8_t *reply, size_t size,
		       int64_t now_ns)
{
	size = reply_prepare(serve->config, serve->shard, query, reply, size);
	serve_send_ready(serve, query, reply, size, now_ns);
}

static void serve_fail(struct serve *serve, struct query *query, enum frontend_metric cause,
		       int ede, const char *text)
{
	metrics_add(serve->shard, cause, 1);
	size_t size =
		serve_write_error(serve, &query->dns, DNS_RCODE_SERVFAIL, ede, text, serve->reply);
	serve_send(serve, query, serve->reply, size, clock_now_ns());
}

/* Answers from the cache what no backend would. False when it has nothing. */
static bool serve_send_stale(struct serve *serve, struct query *query)
{
	struct cache_key key;
	struct cache_hit hit;
	if (!serve->cache || !serve_make_key(serve, &query->dns, &key))
		return false;
	int64_t now_ns = clock_now_ns();
	enum cache_result found = cache_lookup_stale(serve->cache, &key, &query->dns,
						     now_ns / CLOCK_NS_PER_MS, serve->reply, &hit);
	if (found == CACHE_MISS)
		return false;
	if (found == CACHE_STALE) {
		metrics_add(serve->shard, FRONTEND_CACHE_STALE, 1);
		log_warning_limited("serving stale answers", "reason=%s",
				    "no backend answers a query");
	}
	zone_counter_add(&serve->zones, &query->dns, hit.zone_size, now_ns);
	serve_send(serve, query, serve->reply, hit.size, now_ns);
	return true;
}

static void serve_keep(struct serve *serve, const struct query *query, const uint8_t *reply,
		       size_t size, const struct cache_origin *origin, int64_t now_ns)
{
	struct cache_key key;
	/* Routes may have changed since: then nobody can say whose answer it is. */
	if (!serve->cache || !origin || query->plan != serve->plan_number ||
	    !serve_make_key(serve, &query->dns, &key))
		return;
	enum cache_fate fate = cache_store(serve->cache, &key, &query->dns, reply, size, origin,
					   query->denial_too, now_ns / CLOCK_NS_PER_MS);
	if (fate == CACHE_KEPT || fate == CACHE_KEPT_FOR_ANOTHER)
		metrics_add(serve->shard, FRONTEND_CACHE_FILLS, 1);
	if (fate == CACHE_KEPT_FOR_ANOTHER)
		metrics_add(serve->shard, FRONTEND_CACHE_EVICTIONS, 1);
	if (fate == CACHE_PUT_OFF)
		metrics_add(serve->shard, FRONTEND_CACHE_PUT_OFF, 1);
}

/* The client hears that it did not work, and why. */
static void serve_finish_failed(struct serve *serve, struct query *query,
				enum upstream_result result)
{
	switch (result) {
	case UPSTREAM_OVERLOADED:
		serve_fail(serve, query, FRONTEND_OVERLOADS, DNS_EDE_OTHER, "overloaded");
		break;
	case UPSTREAM_UNREACHABLE:
		serve_fail(serve, query, FRONTEND_UNREACHABLE, DNS_EDE_NO_REACHABLE_AUTHORITY,
			   "no backend can be reached");
		break;
	case UPSTREAM_EXPIRED:
		serve_fail(serve, query, FRONTEND_EXPIRED, DNS_EDE_NETWORK_ERROR,
			   "backend did not answer in time");
		break;
	default:
		serve_fail(serve, query, FRONTEND_UNREACHABLE, DNS_EDE_NETWORK_ERROR,
			   "backend failed");
		break;
	}
}

/* Its route has gone since it was taken. */
static void serve_refuse(struct serve *serve, struct query *query)
{
	size_t size = serve_write_error(serve, &query->dns, DNS_RCODE_REFUSED,
					DNS_EDE_NOT_AUTHORITATIVE, NULL, serve->reply);
	serve_send(serve, query, serve->reply, size, clock_now_ns());
}

/* A backend that cannot answer either is as good as none. */
static bool serve_is_failure(const uint8_t *reply)
{
	return (reply[3] & 0xf) == DNS_RCODE_SERVFAIL;
}

/* --- those that have joined ------------------------------------------------------------------- */

/* Sends a reply taken apart to another client. */
static void serve_send_parts(struct serve *serve, struct query *query,
			     const struct cache_reply *parts, int64_t now_ns)
{
	uint8_t *out = serve->reply;
	size_t size = cache_reply_begin(out, &query->dns, parts->flags, parts->counts);
	memcpy(out + size, parts->records, parts->records_size);
	size = cache_reply_end(out, size + parts->records_size, &query->dns,
			       serve->config->limits.udp_payload, false);
	serve_send(serve, query, out, size, now_ns);
}

/* Gives the answer of a query to those that joined it, or asks for each if it is not for them. */
static void serve_share(struct serve *serve, struct query *joined, const struct query *leader,
			const uint8_t *reply, size_t size, const struct cache_origin *origin)
{
	struct cache_reply parts;
	int64_t now_ns = clock_now_ns();
	size_t frame = DNS_HEADER_SIZE + leader->dns.question_size + CACHE_REPLY_END_MAX;
	bool failed = serve_is_failure(reply);
	bool shared = origin && leader->plan == serve->plan_number &&
		      cache_is_current(serve->cache, origin) &&
		      cache_reply_read(&parts, &leader->dns, reply, size) &&
		      frame + parts.records_size <= SERVE_REPLY_MAX;
	for (struct query *query = joined, *next; query; query = next) {
		next = query->joined;
		query->joined = NULL;
		if (failed && serve_send_stale(serve, query))
			continue;
		if (!shared) {
			upstream_resubmit(serve->upstream, query);
			continue;
		}
		zone_counter_add(&serve->zones, &query->dns, leader->zone_size, now_ns);
		serve_send_parts(serve, query, &parts, now_ns);
	}
}

/*
 * The question of a query that others joined has failed. Where nobody can be asked all have failed;
 * else their own time is not over: the first of them leads the others.
 */
static void serve_fail_joined(struct serve *serve, struct query *joined,
			      enum upstream_result result)
{
	bool final = result == UPSTREAM_OVERLOADED || result == UPSTREAM_UNREACHABLE;
	for (struct query *query = joined, *next; query; query = next) {
		next = query->joined;
		query->joined = NULL;
		if (serve_send_stale(serve, query))
			continue;
		if (final)
			serve_finish_failed(serve, query, result);
		else if (!flights_join(&serve->flights, query))
			upstream_resubmit(serve->upstream, query);
	}
}

/* Those that joined come first: a query's own reply is changed in place and then gone. */
void serve_finish(void *ctx, struct query *query, enum upstream_result result, uint8_t *reply,
		  size_t size, const struct cache_origin *origin)
{
	struct serve *serve = ctx;
	struct query *joined = query->key_hash ? flights_land(&serve->flights, query) : NULL;
	bool answered = result == UPSTREAM_ANSWERED;
	bool failed = answered ? serve_is_failure(reply) : result != UPSTREAM_NO_ROUTE;
	if (joined && answered)
		serve_share(serve, joined, query, reply, size, origin);
	else if (joined)
		serve_fail_joined(serve, joined, result);
	/* Before it is kept: a failure would take the place of the stale answer. */
	if (failed && query->transport && serve_send_stale(serve, query))
		return;
	int64_t now_ns = clock_now_ns();
	if (answered && (query->transport || !failed))
		serve_keep(serve, query, reply, size, origin, now_ns);
	if (answered && query->transport)
		zone_counter_add(&serve->zones, &query->dns, query->zone_size, now_ns);
	if (!query->transport)
		query_pool_put(&serve->pool, query);
	else if (answered)
		serve_send(serve, query, reply, size, now_ns);
	else if (failed)
		serve_finish_failed(serve, query, result);
	else
		serve_refuse(serve, query);
}

size_t serve_in_flight(const struct serve *serve)
{
	return atomic_load_explicit(&serve->pool.used, memory_order_relaxed);
}
