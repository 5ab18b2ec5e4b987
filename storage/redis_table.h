/*
 * Memory for many small things of one life, and a hash table from text to a pointer: what the Redis
 * driver gathers names with. Neither is safe for several threads.
 */
#ifndef GODWIT_STORAGE_REDIS_TABLE_H
#define GODWIT_STORAGE_REDIS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Allocates by moving on within large blocks; everything is freed at once. Start with zeroes. */
struct redis_arena {
	struct redis_arena_block *blocks; /* the one allocated from first */
};

/* `size` octets, aligned for any pointer. NULL: out of memory. */
void *redis_arena_alloc(struct redis_arena *arena, size_t size);
/* A copy with a NUL behind it. NULL: out of memory. */
char *redis_arena_copy(struct redis_arena *arena, const char *text, size_t size);
/* Forgets what was allocated, but keeps a block to allocate from. */
void redis_arena_reset(struct redis_arena *arena);
void redis_arena_clear(struct redis_arena *arena);

struct redis_table_slot {
	const char *key; /* NULL: free */
	void *value;
};

/* Open addressing, linear probing, at most two thirds full. Start with zeroes. Borrows its keys. */
struct redis_table {
	struct redis_table_slot *slots;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

/* The entry of `key`, or NULL. */
struct redis_table_slot *redis_table_find(const struct redis_table *table, const char *key);
/* Sets the value of `key`, which must live as long as the entry. False: out of memory. */
bool redis_table_put(struct redis_table *table, const char *key, void *value);
/* Takes an entry that redis_table_find gave out of the table. */
void redis_table_remove(struct redis_table *table, struct redis_table_slot *slot);
/* Frees the table, not what it leads to. */
void redis_table_clear(struct redis_table *table);

/* A set of texts that owns them; only ever grows until cleared. Start with zeroes. */
struct redis_set {
	struct redis_arena arena;
	struct redis_table table;
};

/* False: out of memory. */
bool redis_set_add(struct redis_set *set, const char *text);
static inline bool redis_set_has(const struct redis_set *set, const char *text)
{
	return redis_table_find(&set->table, text) != NULL;
}
void redis_set_clear(struct redis_set *set);

#endif
