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

struct query *query_pool_get(struct query_pool *pool, const uint8_t *message, size_t size)
{
	struct query *query = query_pool_take(pool);
	if (!query)
		return NULL;
	query->message = size <= QUERY_INLINE_SIZE ? query->inline_message : malloc(size);
	if (!query->message) {
		query->path.next_free = pool->free;
		pool->free = query;
		return NULL;
	}
	memcpy(query->message, message, size);
	query->dns = (struct dns_query){.message = query->message, .size = size};
	query->avoid = 0;
	query->attempt = 0;
	query->timed_out = false;
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
