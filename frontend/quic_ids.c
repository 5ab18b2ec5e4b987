/* Connection IDs: a hash table of chains, seeded so that clients, who choose some, cannot aim. */
#include "frontend/quic_ids.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define QUIC_ID_BUCKETS 8192 /* a power of two */

struct quic_ids {
	uint64_t seed[2];
	struct quic_id_list buckets[QUIC_ID_BUCKETS];
};

struct quic_ids *quic_ids_create(void)
{
	struct quic_ids *ids = calloc(1, sizeof(*ids));
	if (!ids)
		return NULL;
	if (getrandom(ids->seed, sizeof(ids->seed), 0) != (ssize_t)sizeof(ids->seed)) {
		free(ids);
		return NULL;
	}
	return ids;
}

void quic_ids_destroy(struct quic_ids *ids)
{
	free(ids);
}

/* Eight octets at a time, each mixed with what came before: no two IDs collide for every seed. */
static size_t quic_ids_hash(const struct quic_ids *ids, const uint8_t *octets, size_t size)
{
	uint64_t hash = ids->seed[0] ^ size;
	for (size_t i = 0; i < size; i += 8) {
		uint64_t part = 0;
		memcpy(&part, octets + i, size - i < 8 ? size - i : 8);
		hash = (hash ^ part) * (ids->seed[1] | 1);
		hash ^= hash >> 32;
	}
	return (hash * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (QUIC_ID_BUCKETS - 1);
}

void *quic_ids_find(const struct quic_ids *ids, const uint8_t *octets, size_t size)
{
	const struct quic_id *id;
	if (size > QUIC_ID_MAX)
		return NULL;
	LIST_FOREACH(id, &ids->buckets[quic_ids_hash(ids, octets, size)], chain) {
		if (id->size == size && memcmp(id->octets, octets, size) == 0)
			return id->owner;
	}
	return NULL;
}

int quic_ids_add(struct quic_ids *ids, struct quic_id_list *list, void *owner,
		 const uint8_t *octets, size_t size)
{
	if (size > QUIC_ID_MAX || quic_ids_find(ids, octets, size))
		return -1;
	struct quic_id *id = calloc(1, sizeof(*id));
	if (!id)
		return -1;
	id->owner = owner;
	id->size = size;
	memcpy(id->octets, octets, size);
	LIST_INSERT_HEAD(&ids->buckets[quic_ids_hash(ids, octets, size)], id, chain);
	LIST_INSERT_HEAD(list, id, own);
	return 0;
}

static void quic_id_free(struct quic_id *id)
{
	LIST_REMOVE(id, chain);
	LIST_REMOVE(id, own);
	free(id);
}

void quic_ids_remove(struct quic_id_list *list, const uint8_t *octets, size_t size)
{
	struct quic_id *id;
	LIST_FOREACH(id, list, own) {
		if (id->size == size && memcmp(id->octets, octets, size) == 0) {
			quic_id_free(id);
			return;
		}
	}
}

void quic_ids_remove_all(struct quic_id_list *list)
{
	while (!LIST_EMPTY(list))
		quic_id_free(LIST_FIRST(list));
}
