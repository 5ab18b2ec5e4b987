/*
 * Reading zones: loading everything for a follower, and godwitctl's reads. How rows become names is
 * in mysql_names.c.
 */
#include "storage/mysql_internal.h"

#include <stdlib.h>
#include <string.h>

/*
 * The zones there are. Should both "example.com" and "example.com." be in the table, which its
 * unique index allows, only the first counts.
 */
#define SELECT_ZONES                                                                               \
	"SELECT d.id, d.name FROM domains AS d WHERE NOT (RIGHT(d.name, 1) = '.' AND EXISTS "      \
	"(SELECT 1 FROM domains AS twin WHERE twin.name = LEFT(d.name, CHAR_LENGTH(d.name) - 1)))" \
	" ORDER BY d.id"

static const char doing[] = "read zones";

/* --- zones ------------------------------------------------------------------------------------ */

/* Reads all zones. */
static int read_zones(struct mysql_store *store, struct powerdns_zones *zones)
{
	struct mysql_result result;

	mysql_text_start(&store->statement, SELECT_ZONES);
	int status = mysql_store_query(store, true, MYSQL_REPLY_LONG_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, doing)) == STORAGE_OK && result.row) {
		char *apex = powerdns_name_dup(mysql_result_text(&result, 1), result.sizes[1]);
		if (!apex || !powerdns_zones_put(zones, mysql_result_number(&result, 0, 0), apex)) {
			status = mysql_store_fail_memory(store);
			break;
		}
	}
	mysql_result_close(store, &result);
	return status;
}

int mysql_store_find_zone(struct mysql_store *store, const char *apex,
			  struct powerdns_zones *forget, int64_t *id)
{
	static const char looking[] = "look for a zone";
	struct mysql_result result;
	bool found = false;

	mysql_text_start(&store->statement, "SELECT id, name FROM domains WHERE ");
	mysql_text_add(&store->statement, mysql_store_name_key(store));
	mysql_text_add(&store->statement, " IN (");
	mysql_store_add_spellings(store, apex);
	mysql_text_add(&store->statement, ") ORDER BY CHAR_LENGTH(name), id");
	/* Who writes holds the zone until the commit: what is read in between stays true. */
	if (store->base.in_transaction)
		mysql_text_add(&store->statement, " FOR UPDATE");
	int status = mysql_store_query(store, false, MYSQL_REPLY_LONG_MS, looking, &result);
	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, looking)) == STORAGE_OK && result.row) {
		int64_t row_id = mysql_result_number(&result, 0, 0);
		char *name = powerdns_name_dup(mysql_result_text(&result, 1), result.sizes[1]);
		if (name && strcmp(name, apex) == 0) {
			*id = found ? *id : row_id;
			found = true;
			if (forget)
				powerdns_zones_remove(forget, row_id);
		}
		free(name);
	}
	mysql_result_close(store, &result);
	if (status == STORAGE_OK && !found)
		status = storage_fail(&store->base, STORAGE_NOT_FOUND, "mysql %s has no zone %s",
				      store->place, apex);
	return status;
}

int mysql_store_get_zone_id(struct mysql_store *store, const char *apex, int64_t *id)
{
	return mysql_store_find_zone(store, apex, NULL, id);
}

/* --- handing over ----------------------------------------------------------------------------- */

static int deliver_name(void *ctx, const struct storage_name *name)
{
	const struct storage_sink *sink = ctx;

	sink->name(sink->ctx, name);
	return 0;
}

int mysql_deliver_zone(struct mysql_store *store, struct powerdns_zone *zone,
		       const struct storage_sink *sink)
{
	struct storage_sink receiver = *sink;

	sink->zone(sink->ctx, zone->apex);
	return mysql_names_read_zone(store, zone, deliver_name, &receiver);
}

int mysql_deliver_names(struct mysql_store *store, const struct powerdns_zone *zone,
			char *const *names, size_t count, const struct storage_sink *sink)
{
	struct storage_sink receiver = *sink;

	return mysql_names_look_up(store, zone, names, count, deliver_name, &receiver);
}

/* --- loading ---------------------------------------------------------------------------------- */

static int deliver_all(struct mysql_store *store, const struct storage_sink *sink)
{
	struct storage_sink receiver = *sink;

	for (size_t i = 0; i < store->zones.count; i++)
		sink->zone(sink->ctx, store->zones.list[i].apex);
	return mysql_names_read_all(store, &store->zones, deliver_name, &receiver);
}

/* The whole store within the consistent view that was begun. */
static int load_all(struct mysql_store *store, const struct storage_sink *sink)
{
	int status = mysql_follow_start(store);

	if (status == STORAGE_OK)
		status = mysql_history_start(store);
	powerdns_zones_clear(&store->zones);
	if (status == STORAGE_OK)
		status = read_zones(store, &store->zones);
	if (status != STORAGE_OK)
		return status;
	sink->begin(sink->ctx, STORAGE_BATCH_FULL);
	status = deliver_all(store, sink);
	if (status == STORAGE_OK)
		sink->commit(sink->ctx);
	else
		sink->abort(sink->ctx);
	store->loaded = status == STORAGE_OK;
	store->unproven = false;
	return status;
}

int mysql_store_load(struct storage *storage, const struct storage_sink *sink)
{
	struct mysql_store *store = mysql_store_of(storage);

	store->loaded = false;
	store->ready = false; /* whatever led to loading anew may have changed the schema */
	/* Losing track in the middle of a reply ends the connection. */
	int status = store->db ? STORAGE_OK : mysql_store_open(storage);
	if (status == STORAGE_OK)
		status = mysql_schema_check(store);
	if (status == STORAGE_OK)
		status = mysql_store_read_begin(store);
	if (status == STORAGE_OK)
		status = load_all(store, sink);
	mysql_store_read_end(store);
	return status;
}

/* --- godwitctl's reads ------------------------------------------------------------------------ */

int mysql_store_zone_find(struct storage *storage, const char *apex)
{
	struct mysql_store *store = mysql_store_of(storage);
	int64_t id;
	int status = mysql_schema_check(store);

	return status == STORAGE_OK ? mysql_store_get_zone_id(store, apex, &id) : status;
}

int mysql_store_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex),
			  void *ctx)
{
	struct mysql_store *store = mysql_store_of(storage);
	struct powerdns_zones zones = {0};
	int status = mysql_schema_check(store);

	if (status == STORAGE_OK)
		status = read_zones(store, &zones);
	/* From memory: `each` may use the store, even write to it. */
	if (status == STORAGE_OK) {
		powerdns_zones_sort_by_apex(&zones);
		for (size_t i = 0; i < zones.count && each(ctx, zones.list[i].apex) == 0; i++)
			;
	}
	powerdns_zones_clear(&zones);
	return status;
}

/* Finds a zone within a consistent view; its apex is a copy. */
static int find_one(struct mysql_store *store, const char *apex, struct powerdns_zone *zone)
{
	int status = mysql_schema_check(store);

	if (status == STORAGE_OK)
		status = mysql_store_read_begin(store);
	if (status == STORAGE_OK)
		status = mysql_store_get_zone_id(store, apex, &zone->id);
	if (status == STORAGE_OK && !(zone->apex = strdup(apex)))
		status = mysql_store_fail_memory(store);
	return status;
}

int mysql_store_zone_read(struct storage *storage, const char *apex, storage_name_fn *each,
			  void *ctx)
{
	struct mysql_store *store = mysql_store_of(storage);
	struct powerdns_zone zone = {0};
	int status = find_one(store, apex, &zone);

	if (status == STORAGE_OK)
		status = mysql_names_read_zone(store, &zone, each, ctx);
	mysql_store_read_end(store);
	free(zone.apex);
	return status;
}

/* Passes a name on if it has anything. */
struct one_name {
	storage_name_fn *each;
	void *ctx;
};

static int pass_if_any(void *ctx, const struct storage_name *name)
{
	const struct one_name *one = ctx;

	return name->count > 0 ? one->each(one->ctx, name) : 0;
}

int mysql_store_name_read(struct storage *storage, const char *apex, const char *owner,
			  storage_name_fn *each, void *ctx)
{
	struct mysql_store *store = mysql_store_of(storage);
	struct one_name one = {.each = each, .ctx = ctx};
	struct powerdns_zone zone = {0};
	char *name = strdup(owner);
	int status = name ? find_one(store, apex, &zone) : mysql_store_fail_memory(store);

	if (status == STORAGE_OK)
		status = mysql_names_look_up(store, &zone, &name, 1, pass_if_any, &one);
	mysql_store_read_end(store);
	free(zone.apex);
	free(name);
	return status;
}
