/*
 * Loading: everything, as one batch.
 *
 * Tracking is turned on first, so whatever changes meanwhile is heard of and read again by the
 * first redis_follow. Which zone a name belongs to is known only when all keys were seen; so all
 * hashes are gathered in memory, some 200 octets a name, before the first is handed over. The
 * receiver takes them from there at its own pace, and a server that fails during the scan costs
 * nothing.
 */
#include "storage/redis_internal.h"

#include "common/log.h"

#include <inttypes.h>

#define SCAN_ATTEMPTS 3
#define DRAIN_EVERY 1000 /* names handed over between two looks at what changed */

static bool want_all(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return true;
}

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

/* Reads everything. Should all keys be flushed meanwhile, it begins again. */
static int gather(struct redis_store *store, struct redis_harvest *harvest)
{
	int status = STORAGE_OK;

	for (int i = 0; i < SCAN_ATTEMPTS && status == STORAGE_OK; i++) {
		redis_harvest_clear(harvest);
		redis_set_clear(&store->dirty);
		store->flushed = false;
		status = redis_scan(store, NULL, want_all, NULL, harvest);
		if (!store->flushed)
			break;
	}
	return status;
}

static int find_zones(struct redis_store *store, const struct redis_harvest *harvest)
{
	redis_zones_clear(&store->zones);
	for (const struct redis_entry *entry = harvest->first; entry; entry = entry->next) {
		if (redis_entry_is_apex(entry) && !redis_zones_add(&store->zones, entry->name))
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
	struct redis_harvest harvest = {0};
	int status = prepare(store);

	if (status == STORAGE_OK)
		status = gather(store, &harvest);
	if (status == STORAGE_OK)
		status = find_zones(store, &harvest);
	if (status == STORAGE_OK) {
		sink->begin(sink->ctx, STORAGE_BATCH_FULL);
		status = deliver_all(store, &harvest, sink);
		if (status == STORAGE_OK)
			sink->commit(sink->ctx);
		else
			sink->abort(sink->ctx);
	}
	redis_harvest_clear(&harvest);
	store->loaded = status == STORAGE_OK;
	if (store->loaded && store->strays > 0)
		log_warning("names in Redis are in no zone: nothing above them has an SOA",
			    "names=%" PRIu64, store->strays);
	return status;
}
