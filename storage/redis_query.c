/*
 * godwitctl's reads. Inside a transaction, looking for a zone and reading a name show what it is
 * about to write as if it were written; the list and whole zones are shown as they are in Redis.
 *
 * Redis knows no zones: which names are in one, only a scan of the keys tells.
 */
#include "storage/redis_transaction.h"

#include <stdlib.h>
#include <string.h>

int redis_zone_find(struct storage *storage, const char *apex)
{
	struct redis_store *store = redis_store_of(storage);
	const struct redis_entry *entry;
	struct redis_harvest harvest = {0};
	bool found = redis_transaction_has_added(store->transaction, apex);
	int status = STORAGE_OK;

	if (!found) {
		status = redis_read_entry(store, apex, &harvest, &entry);
		found = status == STORAGE_OK && redis_entry_is_apex(entry);
	}
	redis_harvest_clear(&harvest);
	if (status == STORAGE_OK && !found)
		return storage_fail(storage, STORAGE_NOT_FOUND, "redis has no zone %s", apex);
	return status;
}

/* --- zones ------------------------------------------------------------------------------------ */

static bool want_within(void *ctx, const char *name)
{
	const char *apex = ctx;

	return redis_name_is_within(name, apex);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Calls `each` with all apexes of the harvest, sorted. */
static int list_apexes(struct redis_store *store, const struct redis_harvest *harvest,
		       int (*each)(void *ctx, const char *apex), void *ctx)
{
	const char **apexes = malloc((harvest->table.count + 1) * sizeof(*apexes));
	size_t count = 0;

	if (!apexes)
		return redis_fail_memory(store);
	for (const struct redis_entry *entry = harvest->first; entry; entry = entry->next) {
		if (redis_entry_is_apex(entry))
			apexes[count++] = entry->name;
	}
	qsort(apexes, count, sizeof(*apexes), compare_texts);
	for (size_t i = 0; i < count && each(ctx, apexes[i]) == 0; i++)
		;
	free(apexes);
	return STORAGE_OK;
}

int redis_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex), void *ctx)
{
	struct redis_store *store = redis_store_of(storage);
	const struct redis_scan_calls all = {0};
	struct redis_harvest harvest = {0};
	int status = redis_scan(store, NULL, &all, &harvest);

	if (status == STORAGE_OK)
		status = list_apexes(store, &harvest, each, ctx);
	redis_harvest_clear(&harvest);
	return status;
}

int redis_read_zone(struct redis_store *store, const char *apex, struct redis_harvest *harvest,
		    struct redis_zones *zones)
{
	char *within = strdup(apex);
	const struct redis_scan_calls calls = {.wants = want_within, .ctx = within};
	int status = within ? redis_scan(store, apex, &calls, harvest) : redis_fail_memory(store);

	free(within);
	for (const struct redis_entry *entry = harvest->first; entry && status == STORAGE_OK;
	     entry = entry->next) {
		if (redis_entry_is_apex(entry) && !redis_zones_add(zones, entry->name))
			status = redis_fail_memory(store);
	}
	return status;
}

bool redis_find_part(const struct redis_zones *zones, const char *name, const char *apex,
		     enum redis_part *part)
{
	struct redis_place places[REDIS_PLACES_MAX];
	size_t count = redis_zones_place(zones, name, false, places);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(places[i].zone, apex) != 0)
			continue;
		*part = places[i].part;
		return true;
	}
	return false;
}

int redis_zone_read(struct storage *storage, const char *apex, storage_name_fn *each, void *ctx)
{
	struct redis_store *store = redis_store_of(storage);
	struct redis_harvest harvest = {0};
	struct redis_zones zones = {0};
	bool stopped = false;
	int status = redis_read_zone(store, apex, &harvest, &zones);

	if (status == STORAGE_OK && !redis_zones_has(&zones, apex))
		status = storage_fail(storage, STORAGE_NOT_FOUND, "redis has no zone %s", apex);
	for (const struct redis_entry *entry = harvest.first;
	     entry && status == STORAGE_OK && !stopped; entry = entry->next) {
		struct storage_name name;
		enum redis_part part;
		if (!redis_find_part(&zones, entry->name, apex, &part))
			continue;
		if (!redis_records_make(&store->records, store->url.prefix, apex, entry, part,
					&name))
			status = redis_fail_memory(store);
		else if (name.count > 0)
			stopped = each(ctx, &name) != 0;
	}
	redis_zones_clear(&zones);
	redis_harvest_clear(&harvest);
	return status;
}

/* --- one name --------------------------------------------------------------------------------- */

int redis_name_read(struct storage *storage, const char *apex, const char *owner,
		    storage_name_fn *each, void *ctx)
{
	struct redis_store *store = redis_store_of(storage);
	struct redis_harvest harvest = {0};
	enum redis_part part = REDIS_PART_ALL;
	const struct redis_entry *entry;
	struct storage_name name;
	int status = redis_read_entry(store, owner, &harvest, &entry);

	if (status == STORAGE_OK && redis_entry_is_apex(entry))
		part = strcmp(owner, apex) == 0 ? REDIS_PART_APEX : REDIS_PART_DELEGATION;
	if (status == STORAGE_OK &&
	    !redis_records_make(&store->records, store->url.prefix, apex, entry, part, &name))
		status = redis_fail_memory(store);
	if (status == STORAGE_OK && name.count > 0)
		each(ctx, &name);
	redis_harvest_clear(&harvest);
	return status;
}
