/* The road of one query through a worker. */
#include "frontend/serve.h"

#include "common/clock.h"
#include "dns/reply.h"
#include "frontend/reply.h"

int serve_init(struct serve *serve, const struct frontend_config *config,
	       struct metrics_shard *shard, struct upstream *upstream)
{
	*serve = (struct serve){.config = config, .shard = shard, .upstream = upstream};
	query_log_init(&serve->log, config->log.queries);
	return query_pool_init(&serve->pool);
}

void serve_clear(struct serve *serve)
{
	query_pool_clear(&serve->pool);
}

struct query *serve_take(struct serve *serve, const struct transport *transport,
			 const uint8_t *message, size_t size, int64_t now_ns)
{
	metrics_add(serve->shard, transport->queries, 1);
	struct query *query = query_pool_get(&serve->pool, message, size);
	if (!query) {
		metrics_add(serve->shard, FRONTEND_DROPS_OVERLOAD, 1);
		return NULL;
	}
	query->verdict = dns_query_parse(query->message, size, &query->dns);
	if (query->verdict == DNS_QUERY_DROP) {
		metrics_add(serve->shard, FRONTEND_DROPS_NOT_A_QUERY, 1);
		query_pool_put(&serve->pool, query);
		return NULL;
	}
	query->transport = transport;
	query->received_ns = now_ns;
	query->deadline_ms = now_ns / 1000000 + serve->config->limits.query_timeout_ms;
	return query;
}

static void serve_send(struct serve *serve, struct query *query, uint8_t *reply, size_t size)
{
	size = reply_prepare(serve->config, serve->shard, query, reply, size);
	query_log_reply(&serve->log, query, reply, size);
	query->transport->send(query, reply, size);
	query_pool_put(&serve->pool, query);
}

static void serve_error(struct serve *serve, struct query *query, int rcode, int ede,
			const char *text)
{
	size_t size = dns_reply_write_error(&query->dns, rcode, serve->config->limits.udp_payload,
					    ede, text, serve->error, sizeof(serve->error));
	serve_send(serve, query, serve->error, size);
}

void serve_query(struct serve *serve, struct query *query)
{
	if (query->verdict == DNS_RCODE_NOERROR)
		upstream_submit(serve->upstream, query);
	else
		serve_error(serve, query, query->verdict, DNS_EDE_NONE, NULL);
}

void serve_finish(void *ctx, struct query *query, enum upstream_result result, uint8_t *reply,
		  size_t size, const struct cache_origin *origin)
{
	struct serve *serve = ctx;
	(void)origin; /* for the cache */
	switch (result) {
	case UPSTREAM_ANSWERED:
		serve_send(serve, query, reply, size);
		break;
	case UPSTREAM_NO_ROUTE:
		serve_error(serve, query, DNS_RCODE_REFUSED, DNS_EDE_NOT_AUTHORITATIVE, NULL);
		break;
	case UPSTREAM_OVERLOADED:
		metrics_add(serve->shard, FRONTEND_OVERLOADS, 1);
		serve_error(serve, query, DNS_RCODE_SERVFAIL, DNS_EDE_OTHER, "overloaded");
		break;
	case UPSTREAM_UNREACHABLE:
		metrics_add(serve->shard, FRONTEND_UNREACHABLE, 1);
		serve_error(serve, query, DNS_RCODE_SERVFAIL, DNS_EDE_NO_REACHABLE_AUTHORITY,
			    "no backend can be reached");
		break;
	case UPSTREAM_FAILED:
		metrics_add(serve->shard, FRONTEND_UNREACHABLE, 1);
		serve_error(serve, query, DNS_RCODE_SERVFAIL, DNS_EDE_NETWORK_ERROR,
			    "backend failed");
		break;
	case UPSTREAM_EXPIRED:
		metrics_add(serve->shard, FRONTEND_EXPIRED, 1);
		serve_error(serve, query, DNS_RCODE_SERVFAIL, DNS_EDE_NETWORK_ERROR,
			    "backend did not answer in time");
		break;
	}
}

size_t serve_in_flight(const struct serve *serve)
{
	return atomic_load_explicit(&serve->pool.used, memory_order_relaxed);
}
