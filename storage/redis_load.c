/*
 * Loading: everything, as one batch.
 *
 * Tracking is turned on first, so whatever changes meanwhile is heard of and read again by the
 * first redis_follow. Which zone a name belongs to is known only when all keys were seen; so all
 * hashes are gathered in memory, some 200 octets a name, before the first is handed over. The
 * receiver takes them from there at its own pace, and a server that fails during the scan costs
 * nothing.
 *
 * A receiver that has everything already, as after an outage, does not wait for the end to see what
 * changes from now on: names of zones that it knows are read and handed over as they change, as
 * CHANGES batches ahead of the FULL one, and what the scan had or will have of them is replaced.
 */
#include "storage/redis_internal.h"

#include "common/log.h"

#include <inttypes.h>

#define SCAN_ATTEMPTS 3
#define DRAIN_EVERY 1000 /* names handed over between two looks at what changed */

int redis_deliver(struct redis_store *store, const struct redis_entry *entry,
		  const struct redis_place *place, const struct storage_sink *sink)
{
	struct storage_name name;

	if (!redis_records_make(&store->records, store->url.prefix, place->zone, entry, place->part,
				&name))
		return redis_fail_memory(store);
	sink->name(sink->ctx, &name);
	return STORAGE_OK;
}

/* --- what changes meanwhile ------------------------------------------------------------------- */

/* One load's tools, passed along. */
struct load {
	struct redis_store *store;
	const struct storage_sink *sink;
	struct redis_harvest harvest; /* everything */
	struct redis_harvest changed; /* what was just read again */
};

/* Adds the apexes of the zones, as the receiver knows them, of the names that changed. */
static int add_apexes(struct redis_store *store, const struct redis_set *changed,
		      struct redis_set *names)
{
	struct redis_place places[REDIS_PLACES_MAX];

	for (size_t i = 0; i < changed->table.capacity; i++) {
		const char *name = changed->table.slots[i].key;
		if (!name)
			continue;
		size_t count = redis_zones_place(&store->zones, name, false, places);
		bool memory = redis_set_add(names, name);
		for (size_t p = 0; p < count; p++)
			memory = memory && redis_set_add(names, places[p].zone);
		if (!memory)
			return redis_fail_memory(store);
	}
	return STORAGE_OK;
}

/* True when the zone is one to the receiver and, as was just read, in this store. */
static bool is_zone(const struct load *load, const char *apex)
{
	const struct redis_entry *entry = redis_harvest_find(&load->changed, apex);

	return entry && redis_entry_is_apex(entry) && redis_zones_has(&load->store->zones, apex);
}

/*
 * Hands over what was read again, as far as it does not touch which zones there are: that, only the
 * whole load tells. A zone whose apex is not there belongs to a store that lost it, or to another.
 */
static int deliver_changed(struct load *load)
{
	struct redis_store *store = load->store;
	struct redis_place places[REDIS_PLACES_MAX];
	int status = STORAGE_OK;

	load->sink->begin(load->sink->ctx, STORAGE_BATCH_CHANGES);
	for (const struct redis_entry *entry = load->changed.first; entry && status == STORAGE_OK;
	     entry = entry->next) {
		if (redis_entry_is_apex(entry) != redis_zones_has(&store->zones, entry->name))
			continue;
		size_t count = redis_zones_place(&store->zones, entry->name, false, places);
		for (size_t i = 0; i < count && status == STORAGE_OK; i++) {
			if (is_zone(load, places[i].zone))
				status = redis_deliver(store, entry, &places[i], load->sink);
		}
	}
	if (status == STORAGE_OK)
		load->sink->commit(load->sink->ctx);
	else
		load->sink->abort(load->sink->ctx);
	return status;
}

/* What a scan calls: reads what changed, hands it over and corrects the harvest by it. */
static int take_changed(void *ctx)
{
	struct load *load = ctx;
	struct redis_store *store = load->store;
	struct redis_set changed = store->dirty, names = {0};
	int status = add_apexes(store, &changed, &names);

	store->dirty = (struct redis_set){0};
	if (status == STORAGE_OK)
		status = redis_fetch(store, &names.table, &load->changed);
	if (status == STORAGE_OK && !store->flushed)
		status = deliver_changed(load);
	for (const struct redis_entry *entry = load->changed.first; entry && status == STORAGE_OK;
	     entry = entry->next) {
		if (!redis_harvest_replace(&load->harvest, entry))
			status = redis_fail_memory(store);
	}
	redis_harvest_clear(&load->changed);
	redis_set_clear(&changed);
	redis_set_clear(&names);
	return status;
}

/* --- everything ------------------------------------------------------------------------------- */

/* Reads everything. Should all keys be flushed meanwhile, it begins again. */
static int gather(struct load *load)
{
	struct redis_store *store = load->store;
	const struct redis_scan_calls calls = {.changed = store->known ? take_changed : NULL,
					       .ctx = load};
	int status = STORAGE_OK;

	for (int i = 0; i < SCAN_ATTEMPTS && status == STORAGE_OK; i++) {
		redis_harvest_clear(&load->harvest);
		redis_set_clear(&store->dirty);
		store->flushed = false;
		status = redis_scan(store, NULL, &calls, &load->harvest);
		if (!store->flushed)
			break;
	}
	return status;
}

static int find_zones(struct redis_store *store, const struct redis_harvest *harvest)
{
	store->known = false;
	redis_zones_clear(&store->zones);
	for (const struct redis_entry *entry = harvest->first; entry; entry = entry->next) {
		if (!entry->stale && redis_entry_is_apex(entry) &&
		    !redis_zones_add(&store->zones, entry->name))
			return redis_fail_memory(store);
	}
	return STORAGE_OK;
}

/* Hands over an entry in all its zones; counts it when there is none. */
static int deliver_entry(struct redis_store *store, const struct redis_entry *entry,
			 const struct storage_sink *sink)
{
	struct redis_place places[REDIS_PLACES_MAX];
	size_t count = redis_zones_place(&store->zones, entry->name, false, places);
	int status = STORAGE_OK;

	store->strays += count == 0;
	for (size_t i = 0; i < count && status == STORAGE_OK; i++)
		status = redis_deliver(store, entry, &places[i], sink);
	return status;
}

static int deliver_all(struct redis_store *store, const struct redis_harvest *harvest,
		       const struct storage_sink *sink)
{
	const struct redis_table *apexes = &store->zones.apexes;
	size_t delivered = 0;
	int status = STORAGE_OK;

	for (size_t i = 0; i < apexes->capacity; i++) {
		if (apexes->slots[i].key)
			sink->zone(sink->ctx, apexes->slots[i].key);
	}
	store->strays = 0;
	for (const struct redis_entry *entry = harvest->first; entry && status == STORAGE_OK;
	     entry = entry->next) {
		if (entry->stale)
			continue;
		status = deliver_entry(store, entry, sink);
		if (status == STORAGE_OK && ++delivered % DRAIN_EVERY == 0) {
			if (storage_is_interrupted(&store->base))
				return storage_fail_interrupted(&store->base);
			status = redis_track_drain(store);
		}
	}
	return status;
}

/* The connections to load through, with tracking on. */
static int prepare(struct redis_store *store)
{
	int status = STORAGE_OK;

	if (store->reopen)
		status = redis_open(&store->base);
	store->loaded = false;
	if (status == STORAGE_OK)
		status = redis_check_open(store);
	return status == STORAGE_OK ? redis_track_start(store) : status;
}

int redis_load(struct storage *storage, const struct storage_sink *sink)
{
	struct redis_store *store = redis_store_of(storage);
	struct load load = {.store = store, .sink = sink};
	int status = prepare(store);

	if (status == STORAGE_OK)
		status = gather(&load);
	if (status == STORAGE_OK && store->known && store->dirty.table.count > 0)
		status = take_changed(&load);
	if (status == STORAGE_OK)
		status = find_zones(store, &load.harvest);
	if (status == STORAGE_OK) {
		sink->begin(sink->ctx, STORAGE_BATCH_FULL);
		status = deliver_all(store, &load.harvest, sink);
		if (status == STORAGE_OK)
			sink->commit(sink->ctx);
		else
			sink->abort(sink->ctx);
	}
	redis_harvest_clear(&load.harvest);
	store->loaded = status == STORAGE_OK;
	store->known = store->known || store->loaded;
	if (store->loaded && store->strays > 0)
		log_warning("names in Redis are in no zone: nothing above them has an SOA",
			    "names=%" PRIu64, store->strays);
	return status;
}
