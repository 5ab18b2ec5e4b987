/* The pool of queries in flight. */
#include "frontend/query.h"

#include <stdlib.h>
#include <string.h>

int query_pool_init(struct query_pool *pool)
{
	*pool = (struct query_pool){0};
	/* Not touched until used: the kernel hands out zero pages on demand. */
	pool->queries = malloc(QUERY_POOL_SIZE * sizeof(pool->queries[0]));
	return pool->queries ? 0 : -1;
}

static void query_free_message(struct query *query)
{
	if (query->message != query->inline_message)
		free(query->message);
	query->message = NULL;
}

void query_pool_clear(struct query_pool *pool)
{
	for (size_t i = 0; i < pool->touched; i++)
		query_free_message(&pool->queries[i]);
	free(pool->queries);
	*pool = (struct query_pool){0};
}

static void query_pool_count(struct query_pool *pool, size_t change)
{
	size_t used = atomic_load_explicit(&pool->used, memory_order_relaxed);
	atomic_store_explicit(&pool->used, used + change, memory_order_relaxed);
}

static struct query *query_pool_take(struct query_pool *pool)
{
	struct query *query = pool->free;
	if (query) {
		pool->free = query->path.next_free;
	} else if (pool->touched < QUERY_POOL_SIZE) {
		query = &pool->queries[pool->touched++];
		query->message = NULL;
	}
	return query;
}

/* Copies the message, and what was parsed of it with pointers into the copy. */
static void query_copy(struct query *query, const struct dns_query *dns)
{
	uint8_t *copy = query->message;
	memcpy(copy, dns->message, dns->size);
	query->dns = *dns;
	query->dns.message = copy;
	if (dns->qname)
		query->dns.qname = copy + (dns->qname - dns->message);
	if (dns->edns.options)
		query->dns.edns.options = copy + (dns->edns.options - dns->message);
}

struct query *query_pool_get(struct query_pool *pool, const struct dns_query *dns)
{
	struct query *query = query_pool_take(pool);
	if (!query)
		return NULL;
	query->message = dns->size <= QUERY_INLINE_SIZE ? query->inline_message : malloc(dns->size);
	if (!query->message) {
		query->path.next_free = pool->free;
		pool->free = query;
		return NULL;
	}
	query_copy(query, dns);
	query->avoid[0] = query->avoid[1] = 0;
	query->broke = false;
	query->attempt = 0;
	query->timed_out = false;
	query->denial_too = false;
	query->key_hash = 0;
	query->joined = NULL;
	query->joined_count = 0;
	query_pool_count(pool, 1);
	return query;
}

void query_pool_put(struct query_pool *pool, struct query *query)
{
	query_free_message(query);
	query->path.next_free = pool->free;
	pool->free = query;
	query_pool_count(pool, (size_t)-1);
}
