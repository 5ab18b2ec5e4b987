/*
 * What one look at godwit_changes found changed, by zone and name: each once, zones before names,
 * read again and handed over.
 *
 * Names of one zone are looked up together, many in one statement. A zone of which more than
 * NAMES_MAX changed is read as a whole, and so is one in which a name may stand in spellings that
 * looking up by text does not find. When a look finds more than CHANGES_MAX changes, as after an
 * import by another program, names are forgotten for their zones' sake, which bounds the memory.
 */
#include "storage/mysql_internal.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 100000
#define NAMES_MAX 5000

/* --- gathering -------------------------------------------------------------------------------- */

void mysql_changes_clear(struct mysql_changes *changes)
{
	for (size_t i = 0; i < changes->count; i++)
		free(changes->list[i].name);
	free(changes->list);
	*changes = (struct mysql_changes){0};
}

/* By zone; what is about the whole zone first; then by name. */
static int compare(const void *a, const void *b)
{
	const struct mysql_change *x = a, *y = b;

	if (x->zone != y->zone)
		return x->zone < y->zone ? -1 : 1;
	if (!x->name || !y->name)
		return (x->name != NULL) - (y->name != NULL);
	return strcmp(x->name, y->name);
}

static bool is_same(const struct mysql_change *a, const struct mysql_change *b)
{
	return a->zone == b->zone && a->name && b->name && strcmp(a->name, b->name) == 0;
}

/* Sorts, and keeps each once: only the zone where that is said, or where names are too many. */
static void compact(struct mysql_changes *changes, size_t names_max)
{
	struct mysql_change *list = changes->list;
	size_t kept = 0, zone_start = 0;

	if (changes->count > 0)
		qsort(list, changes->count, sizeof(*list), compare);
	for (size_t i = 0; i < changes->count; i++) {
		bool new_zone = kept == 0 || list[kept - 1].zone != list[i].zone;
		if (new_zone)
			zone_start = kept;
		if (!new_zone && (!list[zone_start].name || is_same(&list[kept - 1], &list[i]))) {
			free(list[i].name);
			continue;
		}
		list[kept++] = list[i];
		if (kept - zone_start > names_max) {
			while (kept > zone_start)
				free(list[--kept].name);
			list[kept++] = (struct mysql_change){.zone = list[i].zone};
		}
	}
	changes->count = kept;
}

bool mysql_changes_add(struct mysql_changes *changes, int64_t zone, const char *name, size_t size)
{
	struct mysql_change change = {.zone = zone};

	if (changes->count >= CHANGES_MAX) {
		compact(changes, NAMES_MAX);
		/* So many of so many zones: all as zones. */
		if (changes->count >= CHANGES_MAX / 2)
			compact(changes, 0);
	}
	if (changes->count == changes->capacity) {
		size_t capacity = changes->capacity ? 2 * changes->capacity : 16;
		struct mysql_change *list = realloc(changes->list, capacity * sizeof(*list));
		if (!list)
			return false;
		changes->list = list;
		changes->capacity = capacity;
	}
	if (name && !(change.name = powerdns_name_dup(name, size)))
		return false;
	changes->list[changes->count++] = change;
	return true;
}

/* --- zones added, renamed and deleted --------------------------------------------------------- */

/* One look's tools, passed along. */
struct delivery {
	struct mysql_store *store;
	const struct storage_sink *sink;
	bool begun;    /* something was handed over, or zones were forgotten */
	char **apexes; /* of zones that changed: as they were and as they are */
	size_t count;
	size_t capacity;
};

/* From here on a failure can only be made up for by loading. */
static void begin(struct delivery *delivery)
{
	if (delivery->begun)
		return;
	delivery->begun = true;
	delivery->store->loaded = false;
	delivery->sink->begin(delivery->sink->ctx, STORAGE_BATCH_CHANGES);
}

/* A sink's name: looking names up fails before the first one, as a rule, or not at all. */
static void begin_and_pass(void *ctx, const struct storage_name *name)
{
	struct delivery *delivery = ctx;

	begin(delivery);
	delivery->sink->name(delivery->sink->ctx, name);
}

/* Takes `apex`, which may be NULL for want of memory. */
static int add_apex(struct delivery *delivery, char *apex)
{
	if (apex && delivery->count == delivery->capacity) {
		size_t capacity = delivery->capacity ? 2 * delivery->capacity : 16;
		char **apexes = realloc(delivery->apexes, capacity * sizeof(*apexes));
		if (apexes) {
			delivery->apexes = apexes;
			delivery->capacity = capacity;
		}
	}
	if (!apex || delivery->count == delivery->capacity) {
		free(apex);
		return mysql_store_fail_memory(delivery->store);
	}
	delivery->apexes[delivery->count++] = apex;
	return STORAGE_OK;
}

/* Notes the apex that a changed zone had, and the one it has. */
static int note_zone(struct delivery *delivery, int64_t id)
{
	static const char doing[] = "read zones";
	struct mysql_store *store = delivery->store;
	const struct powerdns_zone *zone = powerdns_zones_find(&store->zones, id);
	struct mysql_result result;
	int status = zone ? add_apex(delivery, strdup(zone->apex)) : STORAGE_OK;

	if (status != STORAGE_OK)
		return status;
	begin(delivery);
	powerdns_zones_remove(&store->zones, id);
	mysql_text_start(&store->statement, "SELECT name FROM domains WHERE id = ");
	mysql_text_add_format(&store->statement, "%lld", (long long)id);
	status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	if (status == STORAGE_OK && result.row)
		status = add_apex(delivery, powerdns_name_dup(mysql_result_text(&result, 0),
							      result.sizes[0]));
	mysql_result_close(store, &result);
	return status;
}

/* Hands over the zone that has this apex now, or that there is none. */
static int deliver_apex(struct delivery *delivery, const char *apex)
{
	struct mysql_store *store = delivery->store;
	int64_t id;
	int status = mysql_store_find_zone(store, apex, &store->zones, &id);

	if (status == STORAGE_NOT_FOUND) {
		delivery->sink->zone_gone(delivery->sink->ctx, apex);
		return STORAGE_OK;
	}
	if (status != STORAGE_OK)
		return status;
	char *copy = strdup(apex);
	struct powerdns_zone *zone = copy ? powerdns_zones_put(&store->zones, id, copy) : NULL;
	if (!zone)
		return mysql_store_fail_memory(store);
	zone->whole = true;
	return mysql_deliver_zone(store, zone, delivery->sink);
}

static int compare_apexes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * By apex, not by row: zones may have changed places, been deleted and added again with another id,
 * or come out from behind a twin.
 */
static int deliver_zones(struct delivery *delivery, const struct mysql_changes *changes)
{
	int status = STORAGE_OK;

	for (size_t i = 0; i < changes->count && status == STORAGE_OK; i++) {
		if (!changes->list[i].name)
			status = note_zone(delivery, changes->list[i].zone);
	}
	if (status == STORAGE_OK && delivery->count > 0)
		qsort(delivery->apexes, delivery->count, sizeof(*delivery->apexes), compare_apexes);
	for (size_t i = 0; i < delivery->count && status == STORAGE_OK; i++) {
		if (i == 0 || strcmp(delivery->apexes[i], delivery->apexes[i - 1]) != 0)
			status = deliver_apex(delivery, delivery->apexes[i]);
	}
	return status;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Hands over the changed names of one zone: the `count` changes from `first` on. */
static int deliver_zone_names(struct delivery *delivery, const struct mysql_change *first,
			      size_t count)
{
	struct mysql_store *store = delivery->store;
	struct powerdns_zone *zone = powerdns_zones_find(&store->zones, first->zone);
	bool odd;

	if (!zone || zone->whole)
		return STORAGE_OK;
	odd = zone->odd_names;
	char **names = malloc(count * sizeof(*names));
	if (!names)
		return mysql_store_fail_memory(store);
	for (size_t i = 0; i < count; i++) {
		names[i] = first[i].name;
		odd = odd || powerdns_name_is_odd(names[i]);
	}
	zone->whole = odd;
	if (odd)
		begin(delivery);
	const struct storage_sink sink = {.ctx = delivery, .name = begin_and_pass};
	int status = odd ? mysql_deliver_zone(store, zone, delivery->sink)
			 : mysql_deliver_names(store, zone, names, count, &sink);
	free(names);
	return status;
}

static int deliver_names(struct delivery *delivery, const struct mysql_changes *changes)
{
	const struct mysql_change *list = changes->list;
	int status = STORAGE_OK;

	for (size_t start = 0, end; start < changes->count && status == STORAGE_OK; start = end) {
		for (end = start + 1; end < changes->count && list[end].zone == list[start].zone;)
			end++;
		if (list[start].name)
			status = deliver_zone_names(delivery, &list[start], end - start);
	}
	return status;
}

int mysql_changes_deliver(struct mysql_store *store, struct mysql_changes *changes,
			  const struct storage_sink *sink)
{
	struct delivery delivery = {.store = store, .sink = sink};

	compact(changes, NAMES_MAX);
	int status = deliver_zones(&delivery, changes);
	if (status == STORAGE_OK)
		status = deliver_names(&delivery, changes);
	for (size_t i = 0; i < store->zones.count; i++)
		store->zones.list[i].whole = false;
	for (size_t i = 0; i < delivery.count; i++)
		free(delivery.apexes[i]);
	free(delivery.apexes);
	if (!delivery.begun)
		return status;
	if (status == STORAGE_OK)
		sink->commit(sink->ctx);
	else
		sink->abort(sink->ctx);
	store->loaded = status == STORAGE_OK;
	return status;
}
