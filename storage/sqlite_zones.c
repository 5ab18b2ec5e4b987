/* The zones that were handed over, an array in the order of their ids: loading only appends. */
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

struct sqlite_zone *sqlite_zones_find(const struct sqlite_zones *zones, int64_t id)
{
	size_t place = find_place(zones, id);

	return place < zones->count && zones->list[place].id == id ? &zones->list[place] : NULL;
}

struct sqlite_zone *sqlite_zones_put(struct sqlite_zones *zones, int64_t id, char *apex)
{
	struct sqlite_zone *zone = sqlite_zones_find(zones, id);

	if (zone) {
		free(zone->apex);
		zone->apex = apex;
		return zone;
	}
	if (zones->count == zones->capacity) {
		size_t capacity = zones->capacity ? 2 * zones->capacity : 64;
		struct sqlite_zone *list = realloc(zones->list, capacity * sizeof(*list));
		if (!list) {
			free(apex);
			return NULL;
		}
		zones->list = list;
		zones->capacity = capacity;
	}
	size_t place = find_place(zones, id);
	zone = &zones->list[place];
	memmove(zone + 1, zone, (zones->count - place) * sizeof(*zone));
	*zone = (struct sqlite_zone){.id = id, .apex = apex};
	zones->count++;
	return zone;
}

void sqlite_zones_remove(struct sqlite_zones *zones, int64_t id)
{
	struct sqlite_zone *zone = sqlite_zones_find(zones, id);

	if (!zone)
		return;
	free(zone->apex);
	zones->count--;
	memmove(zone, zone + 1, (size_t)(zones->list + zones->count - zone) * sizeof(*zone));
}
