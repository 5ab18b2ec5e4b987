/*
 * Sets of slots: where in the cache a reply stands, and which one leaves when another needs room.
 *
 * A set is a cache line of its own: a tag for each of its ways, the hash of what stands there or 0,
 * and a word of counts. A lookup reads that line and then the slots whose tag is right, hardly ever
 * more than one. The lines of all sets stand side by side, apart from the slots: a sixtieth of the
 * memory, so what misses, which reads nothing else, seldom leaves the processor's own caches. Tags
 * are hints: the key in the slot decides.
 *
 * A cache has a store of small slots and one of large slots. All functions may be called from any
 * thread; none waits.
 */
#ifndef GODWIT_FRONTEND_CACHE_SET_H
#define GODWIT_FRONTEND_CACHE_SET_H

#include "frontend/cache_slot.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_WAYS 7

struct cache_set {
	_Atomic uint64_t tags[CACHE_WAYS];
	/* An octet a way: hits, up to CACHE_USES_MAX, and CACHE_REFRESHING. The last one counts
	   what was stored in the set. */
	_Atomic uint64_t uses;
};

#define CACHE_USES_MAX 3
#define CACHE_REFRESHING 4u

/* Sets of equal slots in one piece of memory: all sets, then the slots of the first, and so on. */
struct cache_sets {
	struct cache_set *sets;
	uint8_t *slots;
	size_t size; /* octets mapped */
	size_t count;
	size_t slot_size; /* octets of a slot, its sequence included */
};

/* Maps sets of about `size` octets with slots of `slot_size`. 0, or -1: not even one fits. */
int cache_sets_init(struct cache_sets *sets, size_t size, size_t slot_size);
void cache_sets_clear(struct cache_sets *sets);

/* Words of a slot that data can use. */
static inline size_t cache_sets_slot_words(const struct cache_sets *sets)
{
	return (sets->slot_size - sizeof(struct cache_slot)) / sizeof(uint64_t);
}

static inline struct cache_set *cache_sets_at(const struct cache_sets *sets, size_t index)
{
	return &sets->sets[index];
}

/* The set of a hash. Hot path. */
static inline struct cache_set *cache_sets_find(const struct cache_sets *sets, uint64_t hash)
{
	return cache_sets_at(sets, (size_t)((hash >> 32) * sets->count >> 32));
}

static inline struct cache_slot *cache_set_slot(const struct cache_sets *sets,
						const struct cache_set *set, unsigned int way)
{
	size_t index = (size_t)(set - sets->sets) * CACHE_WAYS + way;
	return (struct cache_slot *)(void *)(sets->slots + index * sets->slot_size);
}

static inline uint64_t cache_set_tag(const struct cache_set *set, unsigned int way)
{
	return atomic_load_explicit(&set->tags[way], memory_order_relaxed);
}

/* The first way from `from` on that has the tag; CACHE_WAYS: none. Hot path. */
static inline unsigned int cache_set_find(const struct cache_set *set, uint64_t tag,
					  unsigned int from)
{
	while (from < CACHE_WAYS && cache_set_tag(set, from) != tag)
		from++;
	return from;
}

/*
 * Counts a hit. True when the way had some before. Writes nothing to those that have enough
 * already. Hot path.
 */
bool cache_set_note_hit(struct cache_set *set, unsigned int way);

/* Marks a way as being refreshed. True for the one caller who did it. */
bool cache_set_begin_refresh(struct cache_set *set, unsigned int way);

/* The way that `tag` is to be stored at: its own, else a free one, else the one used least. */
unsigned int cache_set_choose(struct cache_set *set, uint64_t tag);

/*
 * Says that a way now has `tag`. Its hits go on counting if it had the same before, and begin anew
 * if not. Returns the tag it had; 0: it was free.
 */
uint64_t cache_set_place(struct cache_set *set, unsigned int way, uint64_t tag);

/* Frees a way if it has `tag`. True when it had. */
bool cache_set_remove(struct cache_set *set, unsigned int way, uint64_t tag);

#endif
