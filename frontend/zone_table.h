/*
 * How much each zone is asked for: the zones that are asked for most, in memory that does not grow.
 *
 * There may be 100,000 zones, most of them hardly ever asked for. The table has room for
 * ZONE_TABLE_ENTRIES and finds out by itself which ones belong there, after the space-saving
 * algorithm (Metwally, Agrawal, El Abbadi 2005). A zone's hash picks a set of ZONE_TABLE_WAYS
 * entries. Each entry has a heat, which grows with every query counted. A zone that is not there
 * takes the entry of the coldest in its set, and its heat with it: so it stays when it is asked for
 * more than the others that come and go, and a thousand zones asked for once wear out one entry of
 * each set and leave hot ones alone. How much of a heat is only inherited is known; the rest is
 * sure.
 *
 * Heat goes down by a sixteenth every ZONE_TABLE_FADE_MS, that is, by half in five minutes: what
 * was asked for last month has no say. Counts do not: an entry's count says what was counted for
 * its zone since the zone took it, never too much.
 *
 * One thread, the owner, counts. Any other may read entries meanwhile: their names stand under a
 * sequence lock (cache_slot.h). Counting allocates nothing, locks nothing and takes the same time
 * whatever is in the table.
 */
#ifndef GODWIT_FRONTEND_ZONE_TABLE_H
#define GODWIT_FRONTEND_ZONE_TABLE_H

#include "dns/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_TABLE_WAYS 8
#define ZONE_TABLE_SETS 64
#define ZONE_TABLE_ENTRIES (ZONE_TABLE_WAYS * ZONE_TABLE_SETS)

#define ZONE_TABLE_FADE_MS 30000

struct zone_table;

/* NULL when memory is short: 150 kB. */
struct zone_table *zone_table_create(void);
void zone_table_destroy(struct zone_table *table);

/*
 * Counts `n` queries for a zone: a wire name of `size` octets, in any case. `now_ms` as
 * clock_now_ms. The owner.
 */
void zone_table_add(struct zone_table *table, const uint8_t *zone, size_t size, uint64_t n,
		    int64_t now_ms);

/* What stands in an entry. */
struct zone_entry {
	uint64_t sequence; /* another whenever another zone has taken the entry */
	uint64_t count;
	uint8_t zone[DNS_NAME_MAX + 1]; /* in lower case */
};

/* Reads an entry, `index` below ZONE_TABLE_ENTRIES. False: it is free, or changing. Any thread. */
bool zone_table_read(const struct zone_table *table, size_t index, struct zone_entry *out);

/* Everything ever counted, for zones that are gone too. Any thread. */
uint64_t zone_table_total(const struct zone_table *table);

/* The sure part of an entry's heat. The owner. */
uint64_t zone_table_heat(const struct zone_table *table, size_t index);

/* What a heat is worth some time later: `steps` times a sixteenth less. */
uint64_t zone_table_fade(uint64_t heat, int64_t steps);

#endif
