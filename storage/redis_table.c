#include "storage/redis_table.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_SIZE ((size_t)256 * 1024)
#define FIRST_BLOCK_SIZE ((size_t)4 * 1024)
#define TABLE_MIN 16
#define PAGES_FROM BLOCK_SIZE

/* --- large memory ----------------------------------------------------------------------------- */

/*
 * Zeroes. What is large comes from the kernel and goes back to it: a load of a million names needs
 * 140 MB for a few seconds, which malloc would keep for good, in the gaps between what the receiver
 * allocates meanwhile.
 */
static void *large_alloc(size_t size)
{
	if (size < PAGES_FROM)
		return calloc(1, size);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory != MAP_FAILED ? memory : NULL;
}

/* `size` as it was asked for. NULL is allowed. */
static void large_free(void *memory, size_t size)
{
	if (size < PAGES_FROM)
		free(memory);
	else if (memory)
		munmap(memory, size);
}

/* --- arena ------------------------------------------------------------------------------------ */

struct redis_arena_block {
	struct redis_arena_block *next;
	size_t used;
	size_t size;
	alignas(void *) char data[];
};

void *redis_arena_alloc(struct redis_arena *arena, size_t size)
{
	struct redis_arena_block *block = arena->blocks;

	size = (size + alignof(void *) - 1) & ~(alignof(void *) - 1);
	if (!block || block->size - block->used < size) {
		size_t capacity = (block ? BLOCK_SIZE : FIRST_BLOCK_SIZE) - sizeof(*block);
		if (capacity < size)
			capacity = size;
		block = large_alloc(sizeof(*block) + capacity);
		if (!block)
			return NULL;
		block->next = arena->blocks;
		block->size = capacity;
		arena->blocks = block;
	}
	void *memory = block->data + block->used;
	block->used += size;
	return memory;
}

char *redis_arena_copy(struct redis_arena *arena, const char *text, size_t size)
{
	char *copy = redis_arena_alloc(arena, size + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

static void free_blocks(struct redis_arena_block *block)
{
	while (block) {
		struct redis_arena_block *next = block->next;
		large_free(block, sizeof(*block) + block->size);
		block = next;
	}
}

void redis_arena_reset(struct redis_arena *arena)
{
	struct redis_arena_block *block = arena->blocks;

	if (!block)
		return;
	if (block->size > BLOCK_SIZE) {
		redis_arena_clear(arena);
		return;
	}
	free_blocks(block->next);
	block->next = NULL;
	block->used = 0;
}

void redis_arena_clear(struct redis_arena *arena)
{
	free_blocks(arena->blocks);
	arena->blocks = NULL;
}

/* --- table ------------------------------------------------------------------------------------ */

/* FNV-1a, its high bits folded down because the low ones choose the place. */
static size_t hash_of(const char *key)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3;
	return (size_t)(hash ^ (hash >> 29));
}

/* The key's slot, or the free one where it belongs. The table has free slots. */
static struct redis_table_slot *find_slot(const struct redis_table *table, const char *key)
{
	size_t mask = table->capacity - 1, place = hash_of(key) & mask;

	while (table->slots[place].key && strcmp(table->slots[place].key, key) != 0)
		place = (place + 1) & mask;
	return &table->slots[place];
}

struct redis_table_slot *redis_table_find(const struct redis_table *table, const char *key)
{
	if (table->count == 0)
		return NULL;
	struct redis_table_slot *slot = find_slot(table, key);
	return slot->key ? slot : NULL;
}

static bool grow(struct redis_table *table)
{
	struct redis_table larger = {.capacity = table->capacity ? 2 * table->capacity : TABLE_MIN,
				     .count = table->count};

	larger.slots = large_alloc(larger.capacity * sizeof(*larger.slots));
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < table->capacity; i++) {
		if (table->slots[i].key)
			*find_slot(&larger, table->slots[i].key) = table->slots[i];
	}
	large_free(table->slots, table->capacity * sizeof(*table->slots));
	*table = larger;
	return true;
}

bool redis_table_put(struct redis_table *table, const char *key, void *value)
{
	if (3 * (table->count + 1) > 2 * table->capacity && !grow(table))
		return false;
	struct redis_table_slot *slot = find_slot(table, key);
	if (!slot->key) {
		slot->key = key;
		table->count++;
	}
	slot->value = value;
	return true;
}

void redis_table_remove(struct redis_table *table, struct redis_table_slot *slot)
{
	size_t mask = table->capacity - 1, hole = (size_t)(slot - table->slots);

	table->count--;
	/* Entries behind the hole move up into it, unless they stand where they belong already. */
	for (size_t i = (hole + 1) & mask; table->slots[i].key; i = (i + 1) & mask) {
		size_t home = hash_of(table->slots[i].key) & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		table->slots[hole] = table->slots[i];
		hole = i;
	}
	table->slots[hole] = (struct redis_table_slot){0};
}

void redis_table_clear(struct redis_table *table)
{
	large_free(table->slots, table->capacity * sizeof(*table->slots));
	*table = (struct redis_table){0};
}

/* --- set -------------------------------------------------------------------------------------- */

bool redis_set_add(struct redis_set *set, const char *text)
{
	if (redis_set_has(set, text))
		return true;
	const char *copy = redis_arena_copy(&set->arena, text, strlen(text));
	return copy && redis_table_put(&set->table, copy, NULL);
}

void redis_set_clear(struct redis_set *set)
{
	redis_table_clear(&set->table);
	redis_arena_clear(&set->arena);
}
