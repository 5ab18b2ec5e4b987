/*
 * The zones asked for most, all workers together: what the admin pages tell of zones.
 *
 * Each worker counts in a table of its own (zone_counter.h), in which zones come and go. The ledger
 * is one more such table (zone_table.h), fed with what has been counted since it last looked. So
 * the number it tells of a zone never goes back while the zone is in it, and begins at 0 when it
 * comes in again: what Prometheus expects of a counter.
 *
 * Told are the hottest few; and of those none that cannot be told from chance, with less than one
 * in ZONE_TABLE_ENTRIES of all queries of the last minutes. What the least asked for zones had
 * counted when they left a worker's table is lost: numbers may be too low for those, never too
 * high.
 *
 * For one thread, the admin server's.
 */
#ifndef GODWIT_FRONTEND_ZONE_LEDGER_H
#define GODWIT_FRONTEND_ZONE_LEDGER_H

#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct zone_ledger;
struct zone_table;

/* Most zones told at a time. */
#define ZONE_LEDGER_TOP_MAX 100

/* For so many workers' tables. NULL when memory is short. */
struct zone_ledger *zone_ledger_create(size_t table_count);
void zone_ledger_destroy(struct zone_ledger *ledger);

/*
 * Takes over what table number `index` has counted since the last time. `now_ms` as clock_now_ms.
 */
void zone_ledger_gather(struct zone_ledger *ledger, size_t index, const struct zone_table *table,
			int64_t now_ms);

/*
 * Appends the metric godwit_frontend_zone_queries_total, with a sample for each of the `top`
 * hottest zones, ZONE_LEDGER_TOP_MAX at most.
 */
void zone_ledger_print(const struct zone_ledger *ledger, size_t top, struct evbuffer *out);

#endif
