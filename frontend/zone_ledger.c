/* Workers' tables added up. */
#include "frontend/zone_ledger.h"

#include "dns/name.h"
#include "frontend/zone_counter.h"
#include "frontend/zone_table.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

/* How far an entry of a worker's table has been taken over. */
struct ledger_mark {
	uint64_t sequence;
	uint64_t count;
};

/* How far a worker's table has been. */
struct ledger_source {
	uint64_t total;
	struct ledger_mark marks[ZONE_TABLE_ENTRIES];
};

struct zone_ledger {
	struct zone_table *table;
	uint64_t heat; /* of all queries counted, those for zones not in the table too */
	int64_t faded_ms;
	struct ledger_source sources[];
};

struct zone_ledger *zone_ledger_create(size_t table_count)
{
	struct zone_ledger *ledger =
		calloc(1, sizeof(*ledger) + table_count * sizeof(ledger->sources[0]));
	if (!ledger)
		return NULL;
	ledger->table = zone_table_create();
	if (ledger->table)
		return ledger;
	free(ledger);
	return NULL;
}

void zone_ledger_destroy(struct zone_ledger *ledger)
{
	if (!ledger)
		return;
	zone_table_destroy(ledger->table);
	free(ledger);
}

/* --- gathering -------------------------------------------------------------------------------- */

/* Takes over what an entry has that was not there before. */
static void ledger_take(struct zone_ledger *ledger, struct ledger_mark *mark,
			const struct zone_entry *entry, int64_t now_ms)
{
	uint64_t before = mark->sequence == entry->sequence ? mark->count : 0;
	*mark = (struct ledger_mark){entry->sequence, entry->count};
	if (entry->count > before)
		zone_table_add(ledger->table, entry->zone, dns_name_size(entry->zone),
			       entry->count - before, now_ms);
}

void zone_ledger_gather(struct zone_ledger *ledger, size_t index, const struct zone_table *table,
			int64_t now_ms)
{
	struct ledger_source *source = &ledger->sources[index];
	struct zone_entry entry;
	for (size_t i = 0; i < ZONE_TABLE_ENTRIES; i++)
		if (zone_table_read(table, i, &entry))
			ledger_take(ledger, &source->marks[i], &entry, now_ms);
	int64_t steps = (now_ms - ledger->faded_ms) / ZONE_TABLE_FADE_MS;
	ledger->faded_ms += steps * ZONE_TABLE_FADE_MS;
	uint64_t total = zone_table_total(table);
	ledger->heat = zone_table_fade(ledger->heat, steps) + total - source->total;
	source->total = total;
}

/* --- telling ---------------------------------------------------------------------------------- */

/* An entry of the ledger that may be told. */
struct ledger_rank {
	uint64_t heat;
	size_t index;
};

static int ledger_compare(const void *a, const void *b)
{
	const struct ledger_rank *left = a;
	const struct ledger_rank *right = b;
	if (left->heat != right->heat)
		return left->heat < right->heat ? 1 : -1;
	return (left->index > right->index) - (left->index < right->index);
}

/* Appends a zone as people write it, with no dot at its end, as the inside of a label value. */
static void ledger_print_zone(struct evbuffer *out, const uint8_t *zone)
{
	char text[DNS_NAME_TEXT_MAX];
	size_t length = dns_name_to_text(zone, text);
	if (length > 1)
		length--;
	for (const char *p = text; p < text + length; p++) {
		if (*p == '"' || *p == '\\')
			evbuffer_add(out, "\\", 1);
		evbuffer_add(out, p, 1);
	}
}

void zone_ledger_print(const struct zone_ledger *ledger, size_t top, struct evbuffer *out)
{
	static const char name[] = "godwit_frontend_zone_queries_total";
	struct ledger_rank ranks[ZONE_TABLE_ENTRIES];
	struct zone_entry entry;
	size_t count = 0;
	for (size_t i = 0; i < ZONE_TABLE_ENTRIES; i++) {
		uint64_t heat = zone_table_heat(ledger->table, i);
		if (heat > 0 && heat >= ledger->heat / ZONE_TABLE_ENTRIES)
			ranks[count++] = (struct ledger_rank){heat, i};
	}
	qsort(ranks, count, sizeof(ranks[0]), ledger_compare);
	evbuffer_add_printf(out,
			    "# HELP %s Queries answered, by zone, of the zones asked for most "
			    "lately. Under load one in %d is counted, as %d.\n"
			    "# TYPE %s counter\n",
			    name, ZONE_COUNTER_EVERY, ZONE_COUNTER_EVERY, name);
	for (size_t i = 0; i < count && i < top; i++) {
		if (!zone_table_read(ledger->table, ranks[i].index, &entry))
			continue;
		evbuffer_add_printf(out, "%s{zone=\"", name);
		ledger_print_zone(out, entry.zone);
		evbuffer_add_printf(out, "\"} %llu\n", (unsigned long long)entry.count);
	}
}
