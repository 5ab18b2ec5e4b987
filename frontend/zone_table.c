/* Sets of entries: what is looked at for each query side by side, names and counts apart. */
#include "frontend/zone_table.h"

#include "frontend/cache_key.h"
#include "frontend/cache_slot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ZONE_WORDS CACHE_SLOT_WORDS(DNS_NAME_MAX)

/* A slot's words: the count, which changes on its own, and the name. */
#define SLOT_COUNT 0
#define SLOT_ZONE 1
#define SLOT_SIZE (sizeof(struct cache_slot) + (SLOT_ZONE + ZONE_WORDS) * sizeof(uint64_t))

/* The owner's alone. */
struct zone_set {
	uint64_t tags[ZONE_TABLE_WAYS]; /* hashes of zones; 0: free */
	uint64_t heat[ZONE_TABLE_WAYS];
	uint64_t inherited[ZONE_TABLE_WAYS]; /* of that, from the zone before */
};

struct zone_table {
	struct zone_set sets[ZONE_TABLE_SETS];
	uint64_t seed;
	int64_t faded_ms;
	_Atomic uint64_t total;
	_Alignas(struct cache_slot) uint8_t slots[ZONE_TABLE_ENTRIES * SLOT_SIZE];
};

struct zone_table *zone_table_create(void)
{
	struct zone_table *table = calloc(1, sizeof(*table));
	if (table && getrandom(&table->seed, sizeof(table->seed), 0) == sizeof(table->seed))
		return table;
	free(table);
	return NULL;
}

void zone_table_destroy(struct zone_table *table)
{
	free(table);
}

static struct cache_slot *table_slot(const struct zone_table *table, size_t index)
{
	return (struct cache_slot *)(uintptr_t)(table->slots + index * SLOT_SIZE);
}

/* --- counting --------------------------------------------------------------------------------- */

uint64_t zone_table_fade(uint64_t heat, int64_t steps)
{
	for (; steps > 0 && heat >= 16; steps--)
		heat -= heat / 16;
	return heat;
}

static void table_fade(struct zone_table *table, int64_t now_ms)
{
	int64_t steps = (now_ms - table->faded_ms) / ZONE_TABLE_FADE_MS;
	table->faded_ms += steps * ZONE_TABLE_FADE_MS;
	for (struct zone_set *set = table->sets; set < table->sets + ZONE_TABLE_SETS; set++) {
		for (unsigned int way = 0; way < ZONE_TABLE_WAYS; way++) {
			set->heat[way] = zone_table_fade(set->heat[way], steps);
			set->inherited[way] = zone_table_fade(set->inherited[way], steps);
		}
	}
}

static unsigned int set_find(const struct zone_set *set, uint64_t tag)
{
	unsigned int way = 0;
	while (way < ZONE_TABLE_WAYS && set->tags[way] != tag)
		way++;
	return way;
}

/* A free way, if there is one: those have no heat. */
static unsigned int set_find_coldest(const struct zone_set *set)
{
	unsigned int coldest = 0;
	for (unsigned int way = 1; way < ZONE_TABLE_WAYS; way++)
		if (set->heat[way] < set->heat[coldest])
			coldest = way;
	return coldest;
}

/* Gives a slot to another zone. */
static void slot_take(struct cache_slot *slot, const uint64_t *zone, unsigned int words)
{
	if (!cache_slot_begin_write(slot)) /* there is one who writes */
		return;
	cache_slot_copy_in(slot, SLOT_COUNT, &(const uint64_t){0}, sizeof(uint64_t));
	cache_slot_copy_in(slot, SLOT_ZONE, zone, words * sizeof(zone[0]));
	cache_slot_end_write(slot);
}

static void count_add(_Atomic uint64_t *count, uint64_t n)
{
	uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
	atomic_store_explicit(count, before + n, memory_order_release);
}

void zone_table_add(struct zone_table *table, const uint8_t *zone, size_t size, uint64_t n,
		    int64_t now_ms)
{
	uint64_t words[ZONE_WORDS];
	unsigned int word_count = cache_key_put_name(words, zone, size);
	/* Two zones of one hash would be counted as one; nobody outside can make them. */
	uint64_t tag = cache_key_hash(words, word_count, table->seed);
	struct zone_set *set = &table->sets[tag % ZONE_TABLE_SETS];
	unsigned int way = set_find(set, tag);
	if (now_ms - table->faded_ms >= ZONE_TABLE_FADE_MS)
		table_fade(table, now_ms);
	bool known = way < ZONE_TABLE_WAYS;
	if (!known)
		way = set_find_coldest(set);
	struct cache_slot *slot =
		table_slot(table, (size_t)(set - table->sets) * ZONE_TABLE_WAYS + way);
	if (!known) {
		set->tags[way] = tag;
		set->inherited[way] = set->heat[way];
		slot_take(slot, words, word_count);
	}
	set->heat[way] += n;
	count_add(&table->total, n);
	count_add(&slot->words[SLOT_COUNT], n);
}

/* --- reading ---------------------------------------------------------------------------------- */

bool zone_table_read(const struct zone_table *table, size_t index, struct zone_entry *out)
{
	const struct cache_slot *slot = table_slot(table, index);
	out->sequence = cache_slot_begin_read(slot);
	if (out->sequence == 0 || out->sequence & 1)
		return false;
	out->count = cache_slot_get(slot, SLOT_COUNT);
	cache_slot_copy_out(slot, SLOT_ZONE, out->zone, sizeof(out->zone));
	return cache_slot_is_whole(slot, out->sequence);
}

uint64_t zone_table_total(const struct zone_table *table)
{
	return atomic_load_explicit(&table->total, memory_order_acquire);
}

uint64_t zone_table_heat(const struct zone_table *table, size_t index)
{
	const struct zone_set *set = &table->sets[index / ZONE_TABLE_WAYS];
	return set->heat[index % ZONE_TABLE_WAYS] - set->inherited[index % ZONE_TABLE_WAYS];
}
