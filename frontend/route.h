/*
 * Which route a name takes: the one with the longest zone at or above it.
 *
 * The table is built once from the configuration and never changed, so any number of threads may
 * look up in it at the same time.
 */
#ifndef GODWIT_FRONTEND_ROUTE_H
#define GODWIT_FRONTEND_ROUTE_H

#include <stddef.h>
#include <stdint.h>

struct route_table;

#define ROUTE_NONE (-1)

/*
 * Builds a table of `count` zones, uncompressed wire names of any case, which are copied. What
 * route_find returns are indexes into `zones`. NULL when memory is short.
 */
struct route_table *route_table_create(const uint8_t *const *zones, size_t count);
void route_table_destroy(struct route_table *table);

/*
 * The index of the longest zone at or above `name` (uncompressed wire name, any case), or
 * ROUTE_NONE. Any thread. Hot path: a binary search per label of the name, those in front of the
 * longest zone not counted.
 */
int route_find(const struct route_table *table, const uint8_t *name);

#endif
