#include "storage/redis_internal.h"

int redis_cluster_open(struct redis_store *store)
{
	return storage_fail(&store->base, STORAGE_REFUSED, "redis: clusters are not in yet");
}

int redis_oracle_check(struct redis_store *store)
{
	(void)store;
	return STORAGE_OK;
}

struct redis_node *redis_find_node(struct redis_store *store, const char *key, size_t size)
{
	(void)key;
	(void)size;
	return &store->nodes[0];
}

int redis_redirect(struct redis_store *store, redisReply **reply, int count,
		   const char *const *words, const size_t *sizes)
{
	(void)store, (void)reply, (void)count, (void)words, (void)sizes;
	return STORAGE_OK;
}
