/*
 * Counts a worker's queries by zone, next to nothing a query.
 *
 * While there is little to do every query is counted; but of a worker's queries in ten milliseconds
 * no more than ZONE_COUNTER_SINGLES one by one: from there on one in ZONE_COUNTER_EVERY stands for
 * as many. How many are passed over is drawn anew each time, so that clients with a rhythm of their
 * own are counted like any others. What is not counted costs a subtraction.
 *
 * One per worker, used by its thread alone; its table (zone_table.h) may be read by others.
 */
#ifndef GODWIT_FRONTEND_ZONE_COUNTER_H
#define GODWIT_FRONTEND_ZONE_COUNTER_H

#include "dns/query.h"

#include <stdint.h>

struct zone_table;

#define ZONE_COUNTER_SINGLES 100
#define ZONE_COUNTER_EVERY 32

/* One of zeros counts nothing. */
struct zone_counter {
	uint32_t wait;   /* queries until the next one is counted, that one included */
	uint32_t weight; /* how many it stands for */
	uint32_t random;
	uint32_t singles; /* left in this ... */
	int64_t period;   /* ... ten milliseconds */
	struct zone_table *table;
};

/* 0, or -1 when memory is short: nothing will be counted. */
int zone_counter_init(struct zone_counter *counter);
void zone_counter_clear(struct zone_counter *counter);

/* The rest of zone_counter_add, for the query that is counted. */
void zone_counter_note(struct zone_counter *counter, const uint8_t *zone, size_t size,
		       int64_t now_ns);

/*
 * Counts a query for the zone whose name is the last `zone_size` octets of the query's; 0: its zone
 * is not known, and it does not count. `now_ns` as clock_now_ns. Hot path.
 */
static inline void zone_counter_add(struct zone_counter *counter, const struct dns_query *query,
				    uint8_t zone_size, int64_t now_ns)
{
	if (zone_size > 0 && --counter->wait == 0)
		zone_counter_note(counter, query->qname + query->qname_size - zone_size, zone_size,
				  now_ns);
}

#endif
