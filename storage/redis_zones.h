/*
 * Which zone a name belongs to. Redis has names only; a name with an SOA is the apex of a zone, and
 * every name belongs to the zone of the longest apex at or above it. At the apex of a child zone
 * the NS and DS records belong to the zone above it as well.
 *
 * The apexes are a set. When some come or go, the set keeps in mind which (`changed`), so that the
 * place of a name before and after can be compared. Pure but for memory. One thread.
 */
#ifndef GODWIT_STORAGE_REDIS_ZONES_H
#define GODWIT_STORAGE_REDIS_ZONES_H

#include "storage/redis_hash.h"
#include "storage/redis_table.h"

/* Start with zeroes. */
struct redis_zones {
	struct redis_table apexes;  /* owns its keys */
	struct redis_table changed; /* owns its keys; those that came or went */
};

/* A zone in which a name has records. */
struct redis_place {
	const char *zone; /* borrowed from the set, or from the name */
	enum redis_part part;
};

#define REDIS_PLACES_MAX 2

void redis_zones_clear(struct redis_zones *zones);
bool redis_zones_has(const struct redis_zones *zones, const char *name);

/* Adds an apex. False: out of memory. */
bool redis_zones_add(struct redis_zones *zones, const char *apex);

/* Adds or removes an apex and marks it as changed, if it is a change. False: out of memory. */
bool redis_zones_change(struct redis_zones *zones, const char *apex, bool is_apex);
/* True when the name is at or below an apex that is marked as changed. */
bool redis_zones_affect(const struct redis_zones *zones, const char *name);
/* Forgets the marks. */
void redis_zones_settle(struct redis_zones *zones);

/*
 * The places of a name, REDIS_PLACES_MAX at most, its own zone first; returns their number, 0 for a
 * name without any apex above it. With `before`, as it was without the changes.
 */
size_t redis_zones_place(const struct redis_zones *zones, const char *name, bool before,
			 struct redis_place *places);

/* `name` is `apex` or below it. */
bool redis_name_is_within(const char *name, const char *apex);

#endif
