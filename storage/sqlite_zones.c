/*
 * The zones that were handed over, an array in the order of their ids: loading only appends. What
 * is removed keeps its place, without an apex, because zones that change are removed and put again.
 */
#include "storage/sqlite_internal.h"

#include <stdlib.h>
#include <string.h>

void sqlite_zones_clear(struct sqlite_zones *zones)
{
	for (size_t i = 0; i < zones->count; i++)
		free(zones->list[i].apex);
	free(zones->list);
	*zones = (struct sqlite_zones){0};
}

/* Where the zone stands, or where it would have to. */
static size_t find_place(const struct sqlite_zones *zones, int64_t id)
{
	size_t low = 0, high = zones->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (zones->list[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The zone's entry, removed or not. */
static struct sqlite_zone *find_entry(const struct sqlite_zones *zones, int64_t id)
{
	size_t place = find_place(zones, id);

	return place < zones->count && zones->list[place].id == id ? &zones->list[place] : NULL;
}

struct sqlite_zone *sqlite_zones_find(const struct sqlite_zones *zones, int64_t id)
{
	struct sqlite_zone *zone = find_entry(zones, id);

	return zone && zone->apex ? zone : NULL;
}

/* Makes room for one more. */
static bool grow(struct sqlite_zones *zones)
{
	size_t capacity = zones->capacity ? 2 * zones->capacity : 64;
	struct sqlite_zone *list;

	if (zones->count < zones->capacity)
		return true;
	list = realloc(zones->list, capacity * sizeof(*list));
	if (!list)
		return false;
	zones->list = list;
	zones->capacity = capacity;
	return true;
}

struct sqlite_zone *sqlite_zones_put(struct sqlite_zones *zones, int64_t id, char *apex)
{
	struct sqlite_zone *zone = find_entry(zones, id);

	if (!zone) {
		if (!grow(zones)) {
			free(apex);
			return NULL;
		}
		size_t place = find_place(zones, id);
		zone = &zones->list[place];
		memmove(zone + 1, zone, (zones->count - place) * sizeof(*zone));
		zones->count++;
	} else {
		free(zone->apex);
	}
	*zone = (struct sqlite_zone){.id = id, .apex = apex};
	return zone;
}

void sqlite_zones_remove(struct sqlite_zones *zones, int64_t id)
{
	struct sqlite_zone *zone = find_entry(zones, id);

	if (!zone)
		return;
	free(zone->apex);
	zone->apex = NULL;
}
