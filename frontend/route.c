/* A sorted array of lower-case wire names, searched once for each suffix of the name asked for. */
#include "frontend/route.h"

#include "dns/name.h"

#include <stdlib.h>
#include <string.h>

struct route_entry {
	uint8_t zone[DNS_NAME_MAX];
	size_t size;
	int index;
};

struct route_table {
	size_t count;
	size_t longest; /* octets of the longest zone: no use to look for longer ones */
	struct route_entry entries[];
};

/* Any total order does: by size first, which decides nearly always. */
static int route_compare(const void *a, const void *b)
{
	const struct route_entry *left = a;
	const struct route_entry *right = b;
	if (left->size != right->size)
		return left->size < right->size ? -1 : 1;
	return memcmp(left->zone, right->zone, left->size);
}

struct route_table *route_table_create(const uint8_t *const *zones, size_t count)
{
	struct route_table *table = malloc(sizeof(*table) + count * sizeof(table->entries[0]));
	if (!table)
		return NULL;
	table->count = count;
	table->longest = 0;
	for (size_t i = 0; i < count; i++) {
		struct route_entry *entry = &table->entries[i];
		entry->size = dns_name_copy_lower(zones[i], entry->zone);
		entry->index = (int)i;
		if (entry->size > table->longest)
			table->longest = entry->size;
	}
	qsort(table->entries, count, sizeof(table->entries[0]), route_compare);
	return table;
}

void route_table_destroy(struct route_table *table)
{
	free(table);
}

static int route_find_exact(const struct route_table *table, const uint8_t *name, size_t size)
{
	size_t low = 0;
	size_t high = table->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct route_entry *entry = &table->entries[middle];
		int order = size != entry->size ? (size < entry->size ? -1 : 1)
						: memcmp(name, entry->zone, size);
		if (order == 0)
			return entry->index;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return ROUTE_NONE;
}

int route_find(const struct route_table *table, const uint8_t *name)
{
	uint8_t lower[DNS_NAME_MAX];
	size_t left = dns_name_size(name);
	while (left > table->longest && *name != 0) {
		left -= *name + 1u;
		name += *name + 1u;
	}
	size_t size = dns_name_copy_lower(name, lower);
	size_t at = 0;
	for (;;) {
		int index = route_find_exact(table, lower + at, size - at);
		if (index != ROUTE_NONE || lower[at] == 0)
			return index;
		at += lower[at] + 1u;
	}
}
