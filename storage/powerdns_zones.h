/*
 * The zones that a follower of PowerDNS's tables has handed over, by their id in `domains`: a table
 * has forgotten a zone's apex once it is renamed or deleted. For all SQL drivers.
 *
 * An array in the order of the ids: loading only appends. What is removed keeps its place, without
 * an apex, because zones that change are removed and put again. One thread at a time.
 */
#ifndef GODWIT_STORAGE_POWERDNS_ZONES_H
#define GODWIT_STORAGE_POWERDNS_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct powerdns_zone {
	int64_t id;
	char *apex;     /* as it crosses storage.h; NULL: removed */
	bool odd_names; /* some are not in the one spelling that looking up by text finds */
	bool whole;     /* to be handed over as a whole in this batch, or it has been */
};

/* Starts with zeroes. */
struct powerdns_zones {
	struct powerdns_zone *list;
	size_t count;
	size_t capacity;
};

void powerdns_zones_clear(struct powerdns_zones *zones);
/* NULL: no such zone. Valid until the next put or remove. */
struct powerdns_zone *powerdns_zones_find(const struct powerdns_zones *zones, int64_t id);
/* Adds a zone or renames it; takes `apex`, from malloc. NULL: out of memory. */
struct powerdns_zone *powerdns_zones_put(struct powerdns_zones *zones, int64_t id, char *apex);
void powerdns_zones_remove(struct powerdns_zones *zones, int64_t id);
/* Orders by apex as text, for listing: nothing can be found by id afterwards. */
void powerdns_zones_sort_by_apex(struct powerdns_zones *zones);

#endif
