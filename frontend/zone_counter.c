/* Which queries are counted. */
#include "frontend/zone_counter.h"

#include "common/clock.h"
#include "frontend/zone_table.h"

#define PERIOD_NS 10000000

int zone_counter_init(struct zone_counter *counter)
{
	*counter = (struct zone_counter){
		.wait = 1,
		.weight = 1,
		.singles = ZONE_COUNTER_SINGLES,
		.random = 2463534242,
		.table = zone_table_create(),
	};
	return counter->table ? 0 : -1;
}

void zone_counter_clear(struct zone_counter *counter)
{
	zone_table_destroy(counter->table);
	*counter = (struct zone_counter){0};
}

/* Marsaglia's xorshift: good enough to break a rhythm. */
static uint32_t counter_draw(struct zone_counter *counter)
{
	uint32_t x = counter->random;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return counter->random = x;
}

void zone_counter_note(struct zone_counter *counter, const uint8_t *zone, size_t size,
		       int64_t now_ns)
{
	if (!counter->table)
		return;
	zone_table_add(counter->table, zone, size, counter->weight, now_ns / CLOCK_NS_PER_MS);
	int64_t period = now_ns / PERIOD_NS;
	if (period != counter->period) {
		counter->period = period;
		counter->singles = ZONE_COUNTER_SINGLES;
	}
	if (counter->singles > 0) {
		counter->singles--;
		counter->wait = counter->weight = 1;
		return;
	}
	/* 1 to 63, 32 on average */
	counter->wait = 1 + ((uint64_t)counter_draw(counter) * (2 * ZONE_COUNTER_EVERY - 1) >> 32);
	counter->weight = ZONE_COUNTER_EVERY;
}
