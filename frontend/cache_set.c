/* Sets of slots, and eviction. */
#include "frontend/cache_set.h"

#include "frontend/pages.h"

/* So many replies stored in a set, and all its counts of hits go down by one. */
#define SET_DECAY_STORES 32

int cache_sets_init(struct cache_sets *sets, size_t size, size_t slot_size)
{
	size_t stride = sizeof(struct cache_set) + CACHE_WAYS * slot_size;
	*sets = (struct cache_sets){.slot_size = slot_size, .count = size / stride};
	if (sets->count == 0)
		return -1;
	/* The hash picks sets by 32 bits. */
	if (sets->count > UINT32_MAX)
		sets->count = UINT32_MAX;
	sets->size = sets->count * stride;
	/* Aligned to cache lines: the size of a set is one, and that of slots are several. */
	sets->sets = pages_map(sets->size);
	if (!sets->sets)
		return -1;
	sets->slots = (uint8_t *)(sets->sets + sets->count);
	return 0;
}

void cache_sets_clear(struct cache_sets *sets)
{
	pages_unmap(sets->sets, sets->size);
	*sets = (struct cache_sets){0};
}

/* --- counting hits ---------------------------------------------------------------------------- */

static unsigned int uses_of(uint64_t uses, unsigned int way)
{
	return (unsigned int)(uses >> (8 * way)) & CACHE_USES_MAX;
}

static uint64_t uses_shift(unsigned int value, unsigned int way)
{
	return (uint64_t)value << (8 * way);
}

bool cache_set_note_hit(struct cache_set *set, unsigned int way)
{
	uint64_t uses = atomic_load_explicit(&set->uses, memory_order_relaxed);
	unsigned int before = uses_of(uses, way);
	/* One try: a count that is lost now and then does no harm. */
	if (before < CACHE_USES_MAX)
		atomic_compare_exchange_weak_explicit(&set->uses, &uses, uses + uses_shift(1, way),
						      memory_order_relaxed, memory_order_relaxed);
	return before > 0;
}

bool cache_set_begin_refresh(struct cache_set *set, unsigned int way)
{
	uint64_t mark = uses_shift(CACHE_REFRESHING, way);
	return !(atomic_fetch_or_explicit(&set->uses, mark, memory_order_relaxed) & mark);
}

/* --- finding room ----------------------------------------------------------------------------- */

/* Takes `by` off every count of hits that has as much. */
static uint64_t uses_decay(uint64_t uses, unsigned int by)
{
	for (unsigned int way = 0; way < CACHE_WAYS; way++)
		if (uses_of(uses, way) >= by)
			uses -= uses_shift(by, way);
	return uses;
}

/* The way with the least hits, looked for from `from` on. */
static unsigned int uses_find_least(uint64_t uses, unsigned int from)
{
	unsigned int least = from;
	for (unsigned int i = 1; i < CACHE_WAYS; i++) {
		unsigned int way = (from + i) % CACHE_WAYS;
		if (uses_of(uses, way) < uses_of(uses, least))
			least = way;
	}
	return least;
}

unsigned int cache_set_choose(struct cache_set *set, uint64_t tag)
{
	unsigned int way = cache_set_find(set, tag, 0);
	if (way == CACHE_WAYS)
		way = cache_set_find(set, 0, 0);
	if (way < CACHE_WAYS)
		return way;
	uint64_t uses = atomic_load_explicit(&set->uses, memory_order_relaxed);
	uint64_t next;
	do {
		unsigned int stores = (unsigned int)(uses >> (8 * CACHE_WAYS)) + 1;
		way = uses_find_least(uses, stores % CACHE_WAYS);
		/* All have been hit: who was hit least goes, and the others are a step nearer. */
		next = uses_decay(uses, uses_of(uses, way));
		if (stores % SET_DECAY_STORES == 0)
			next = uses_decay(next, 1);
		next &= ~uses_shift(0xff, CACHE_WAYS);
		next |= uses_shift(stores & 0xff, CACHE_WAYS);
	} while (!atomic_compare_exchange_weak_explicit(
		&set->uses, &uses, next, memory_order_relaxed, memory_order_relaxed));
	return way;
}

uint64_t cache_set_place(struct cache_set *set, unsigned int way, uint64_t tag)
{
	uint64_t before = atomic_exchange_explicit(&set->tags[way], tag, memory_order_relaxed);
	unsigned int mask = before == tag ? CACHE_REFRESHING : 0xff;
	atomic_fetch_and_explicit(&set->uses, ~uses_shift(mask, way), memory_order_relaxed);
	return before;
}

bool cache_set_remove(struct cache_set *set, unsigned int way, uint64_t tag)
{
	return atomic_compare_exchange_strong_explicit(&set->tags[way], &tag, 0,
						       memory_order_relaxed, memory_order_relaxed);
}
