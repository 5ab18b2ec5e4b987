/*
 * Following: the names that changed, read again and handed over as one batch.
 *
 * Most often a name's records changed: they go to the zone that it is in. When an SOA came or went,
 * zones have come or gone, and the names below belong elsewhere: these are looked for by a scan and
 * handed over with the rest. Everything is read before the batch begins, so a batch that has begun
 * is always committed. What changes meanwhile is heard of, and the next batch.
 */
#include "storage/redis_internal.h"

#include "common/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 250      /* at silent connections and the oracle */
#define DRAIN_EVERY 1000 /* names handed over between two looks at what changed */

/* --- a batch ---------------------------------------------------------------------------------- */

/* Notes which of the names that were read became or ceased to be apexes. */
static int update_zones(struct redis_store *store, const struct redis_harvest *harvest)
{
	for (const struct redis_entry *entry = harvest->first; entry; entry = entry->next) {
		if (!redis_zones_change(&store->zones, entry->name, redis_entry_is_apex(entry)))
			return redis_fail_memory(store);
	}
	return STORAGE_OK;
}

/* What has to be read besides the names that changed. */
struct affected {
	const struct redis_zones *zones;
	const struct redis_harvest *known;
};

static bool is_affected(void *ctx, const char *name)
{
	const struct affected *affected = ctx;

	return redis_zones_affect(affected->zones, name) &&
	       !redis_harvest_find(affected->known, name);
}

/* Reads the names below apexes that came or went. */
static int gather_affected(struct redis_store *store, struct redis_harvest *harvest)
{
	const struct redis_table *changed = &store->zones.changed;
	struct affected affected = {&store->zones, harvest};
	const struct redis_scan_calls calls = {.wants = is_affected, .ctx = &affected};
	const char *only = NULL;

	if (changed->count == 0)
		return STORAGE_OK;
	for (size_t i = 0; changed->count == 1 && i < changed->capacity; i++) {
		if (changed->slots[i].key)
			only = changed->slots[i].key;
	}
	return redis_scan(store, only, &calls, harvest);
}

static void deliver_zones(struct redis_store *store, const struct storage_sink *sink)
{
	const struct redis_table *changed = &store->zones.changed;

	for (size_t i = 0; i < changed->capacity; i++) {
		const char *apex = changed->slots[i].key;
		if (apex && redis_zones_has(&store->zones, apex))
			sink->zone(sink->ctx, apex);
		else if (apex)
			sink->zone_gone(sink->ctx, apex);
	}
}

/* True when the zone is one of the places. */
static bool is_among(const struct redis_place *places, size_t count, const char *zone)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(places[i].zone, zone) == 0)
			return true;
	}
	return false;
}

/* Hands a name over where it is now, and takes it away from where it was. */
static int deliver_entry(struct redis_store *store, const struct redis_entry *entry,
			 const struct storage_sink *sink)
{
	struct redis_place before[REDIS_PLACES_MAX], after[REDIS_PLACES_MAX];
	size_t after_count = redis_zones_place(&store->zones, entry->name, false, after);
	size_t before_count = 0;
	int status = STORAGE_OK;

	if (store->zones.changed.count > 0)
		before_count = redis_zones_place(&store->zones, entry->name, true, before);
	for (size_t i = 0; i < before_count && status == STORAGE_OK; i++) {
		before[i].part = REDIS_PART_NONE;
		if (redis_zones_has(&store->zones, before[i].zone) &&
		    !is_among(after, after_count, before[i].zone))
			status = redis_deliver(store, entry, &before[i], sink);
	}
	for (size_t i = 0; i < after_count && status == STORAGE_OK; i++)
		status = redis_deliver(store, entry, &after[i], sink);
	return status;
}

static int deliver_harvest(struct redis_store *store, const struct redis_harvest *harvest,
			   const struct storage_sink *sink)
{
	size_t delivered = 0;
	int status = STORAGE_OK;

	sink->begin(sink->ctx, STORAGE_BATCH_CHANGES);
	deliver_zones(store, sink);
	for (const struct redis_entry *entry = harvest->first; entry && status == STORAGE_OK;
	     entry = entry->next) {
		status = deliver_entry(store, entry, sink);
		/* So that the server need not keep what it tells. What fails, fails again later. */
		if (++delivered % DRAIN_EVERY == 0)
			redis_track_drain(store);
	}
	if (status == STORAGE_OK)
		sink->commit(sink->ctx);
	else
		sink->abort(sink->ctx);
	return status;
}

/* Reads what is dirty and hands it over. */
static int deliver_changes(struct redis_store *store, const struct storage_sink *sink)
{
	struct redis_set dirty = store->dirty;
	struct redis_harvest harvest = {0};

	store->dirty = (struct redis_set){0};
	/* Whatever fails from here on, these names are forgotten: only loading makes it whole. */
	store->loaded = store->known = false;
	int status = redis_fetch(store, &dirty.table, &harvest);
	redis_set_clear(&dirty);
	if (status == STORAGE_OK)
		status = update_zones(store, &harvest);
	if (status == STORAGE_OK)
		status = gather_affected(store, &harvest);
	if (status == STORAGE_OK)
		status = deliver_harvest(store, &harvest, sink);
	redis_zones_settle(&store->zones);
	redis_harvest_clear(&harvest);
	store->loaded = store->known = status == STORAGE_OK;
	return status;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void add_poll(struct pollfd *fds, size_t *count, const struct redis_link *link)
{
	if (redis_link_is_open(link))
		fds[(*count)++] =
			(struct pollfd){.fd = link->fd, .events = redis_link_events(link)};
}

/* Sleeps until something is said on any connection, for `wait_ms` at most. */
static int wait_for_word(struct redis_store *store, int wait_ms)
{
	struct pollfd *fds = malloc((2 * store->node_count + 2) * sizeof(*fds));
	size_t count = 0;

	if (!fds)
		return redis_fail_memory(store);
	for (size_t i = 0; i < store->node_count; i++) {
		add_poll(fds, &count, &store->nodes[i].data);
		add_poll(fds, &count, &store->nodes[i].track);
	}
	add_poll(fds, &count, &store->oracle);
	fds[count++] = (struct pollfd){.fd = store->base.wake_fd, .events = POLLIN};
	poll(fds, count, wait_ms);
	free(fds);
	return storage_is_interrupted(&store->base) ? storage_fail_interrupted(&store->base)
						    : STORAGE_OK;
}

/* Looks once at all connections. */
static int look(struct redis_store *store)
{
	int status = redis_track_look(store);

	/*
	 * A connection that was closed may well be opened again; loading finds out. What is behind
	 * it then may be another server, or the same without its memory.
	 */
	if (status == STORAGE_UNAVAILABLE)
		status = STORAGE_REPLACED;
	store->reopen = status == STORAGE_REPLACED;
	if (status == STORAGE_OK)
		status = redis_track_check(store);
	if (status == STORAGE_OK)
		status = redis_oracle_check(store);
	if (status == STORAGE_OK && store->flushed)
		status = storage_fail(&store->base, STORAGE_RELOAD,
				      "redis %s: all keys were flushed", store->nodes[0].data.name);
	if (status != STORAGE_OK)
		store->loaded = false;
	return status;
}

int redis_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms)
{
	struct redis_store *store = redis_store_of(storage);
	int64_t deadline = clock_now_ms() + wait_ms;
	int status = redis_check_open(store);

	if (status == STORAGE_OK && !store->loaded)
		return storage_fail(storage, STORAGE_RELOAD, "redis %s: changes went unheard",
				    store->nodes[0].data.name);
	while (status == STORAGE_OK) {
		status = look(store);
		if (status != STORAGE_OK)
			break;
		if (store->dirty.table.count > 0)
			return deliver_changes(store, sink);
		int64_t left = deadline - clock_now_ms();
		if (left <= 0)
			break;
		status = wait_for_word(store, left < LOOK_MS ? (int)left : LOOK_MS);
	}
	return status;
}
