#include "storage/powerdns_zones.h"

#include <stdlib.h>
#include <string.h>

void powerdns_zones_clear(struct powerdns_zones *zones)
{
	for (size_t i = 0; i < zones->count; i++)
		free(zones->list[i].apex);
	free(zones->list);
	*zones = (struct powerdns_zones){0};
}

/* Where the zone stands, or where it would have to. */
static size_t find_place(const struct powerdns_zones *zones, int64_t id)
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
static struct powerdns_zone *find_entry(const struct powerdns_zones *zones, int64_t id)
{
	size_t place = find_place(zones, id);

	return place < zones->count && zones->list[place].id == id ? &zones->list[place] : NULL;
}

struct powerdns_zone *powerdns_zones_find(const struct powerdns_zones *zones, int64_t id)
{
	struct powerdns_zone *zone = find_entry(zones, id);

	return zone && zone->apex ? zone : NULL;
}

/* Makes room for one more. */
static bool grow(struct powerdns_zones *zones)
{
	size_t capacity = zones->capacity ? 2 * zones->capacity : 64;
	struct powerdns_zone *list;

	if (zones->count < zones->capacity)
		return true;
	list = realloc(zones->list, capacity * sizeof(*list));
	if (!list)
		return false;
	zones->list = list;
	zones->capacity = capacity;
	return true;
}

struct powerdns_zone *powerdns_zones_put(struct powerdns_zones *zones, int64_t id, char *apex)
{
	struct powerdns_zone *zone = find_entry(zones, id);

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
	*zone = (struct powerdns_zone){.id = id, .apex = apex};
	return zone;
}

void powerdns_zones_remove(struct powerdns_zones *zones, int64_t id)
{
	struct powerdns_zone *zone = find_entry(zones, id);

	if (!zone)
		return;
	free(zone->apex);
	zone->apex = NULL;
}

/* Orders names as text. */
static int compare_apexes(const void *a, const void *b)
{
	return strcmp(((const struct powerdns_zone *)a)->apex,
		      ((const struct powerdns_zone *)b)->apex);
}

void powerdns_zones_sort_by_apex(struct powerdns_zones *zones)
{
	if (zones->count > 0)
		qsort(zones->list, zones->count, sizeof(*zones->list), compare_apexes);
}
