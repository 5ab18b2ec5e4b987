#include "storage/redis_zones.h"

#include "storage/driver.h"

#include <stdlib.h>
#include <string.h>

/* The name's parent; NULL for the root. */
static const char *redis_name_parent(const char *name)
{
	return strcmp(name, ".") == 0 ? NULL : storage_name_parent(name);
}

bool redis_name_is_within(const char *name, const char *apex)
{
	while (name && strcmp(name, apex) != 0)
		name = redis_name_parent(name);
	return name != NULL;
}

/* --- the set ---------------------------------------------------------------------------------- */

/* Puts a copy of the key. False: out of memory. */
static bool put_copy(struct redis_table *table, const char *key)
{
	char *copy = strdup(key);

	if (copy && redis_table_put(table, copy, NULL))
		return true;
	free(copy);
	return false;
}

static void clear_table(struct redis_table *table)
{
	for (size_t i = 0; i < table->capacity; i++) {
		char *key;
		memcpy(&key, &table->slots[i].key, sizeof(key)); /* ours to free, not const */
		free(key);
	}
	redis_table_clear(table);
}

void redis_zones_clear(struct redis_zones *zones)
{
	clear_table(&zones->apexes);
	clear_table(&zones->changed);
}

bool redis_zones_has(const struct redis_zones *zones, const char *name)
{
	return redis_table_find(&zones->apexes, name) != NULL;
}

bool redis_zones_add(struct redis_zones *zones, const char *apex)
{
	return redis_zones_has(zones, apex) || put_copy(&zones->apexes, apex);
}

bool redis_zones_change(struct redis_zones *zones, const char *apex, bool is_apex)
{
	struct redis_table_slot *slot = redis_table_find(&zones->apexes, apex);

	if (is_apex == (slot != NULL))
		return true;
	if (!put_copy(&zones->changed, apex))
		return false;
	if (is_apex)
		return put_copy(&zones->apexes, apex);
	char *key;
	memcpy(&key, &slot->key, sizeof(key));
	redis_table_remove(&zones->apexes, slot);
	free(key);
	return true;
}

bool redis_zones_affect(const struct redis_zones *zones, const char *name)
{
	while (name && !redis_table_find(&zones->changed, name))
		name = redis_name_parent(name);
	return name != NULL;
}

void redis_zones_settle(struct redis_zones *zones)
{
	clear_table(&zones->changed);
}

/* --- places ----------------------------------------------------------------------------------- */

/* True when the name is an apex, or with `before`, was one. */
static bool is_apex(const struct redis_zones *zones, const char *name, bool before)
{
	bool changed = before && redis_table_find(&zones->changed, name);

	return redis_zones_has(zones, name) != changed;
}

/* The longest apex at or above the name, or NULL. */
static const char *find_enclosing(const struct redis_zones *zones, const char *name, bool before)
{
	while (name && !is_apex(zones, name, before))
		name = redis_name_parent(name);
	return name;
}

size_t redis_zones_place(const struct redis_zones *zones, const char *name, bool before,
			 struct redis_place *places)
{
	const char *zone = find_enclosing(zones, name, before);

	if (!zone)
		return 0;
	if (zone != name) {
		places[0] = (struct redis_place){zone, REDIS_PART_ALL};
		return 1;
	}
	places[0] = (struct redis_place){name, REDIS_PART_APEX};
	zone = redis_name_parent(name);
	if (zone)
		zone = find_enclosing(zones, zone, before);
	if (!zone)
		return 1;
	places[1] = (struct redis_place){zone, REDIS_PART_DELEGATION};
	return 2;
}
