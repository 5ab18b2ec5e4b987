/*
 * Following changes: what is in godwit_changes behind the last row seen, by zone and name, each
 * name read again as a whole and handed over in one batch per look.
 *
 * Rows and changes are read in one transaction, so a batch leads from one state that the store had
 * to a later one. As many names of a zone as changed are read one by one: the table keeps at most
 * some 100,000 changes, and who is further behind loads everything anyway.
 *
 * A follower has lost track, and says STORAGE_RELOAD, when the row it saw last is not there any
 * more: trimmed away, or another history - a restored copy, a replaced file; and when the schema
 * changed, because changes may have gone unseen while there was no trigger. The same is asked after
 * an outage, of the same file opened anew: when nothing speaks against it, following goes on.
 */
#include "storage/sqlite_internal.h"

#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

/* Apexes that something happened to; each malloc'ed. */
struct apexes {
	char **list;
	size_t count;
	size_t capacity;
};

/* One look's tools, passed along. */
struct follow {
	struct sqlite_store *store;
	const struct storage_sink *sink;
	struct powerdns_rows rows;
	struct apexes apexes;
	bool any_whole; /* some zone is marked so */
};

/* STORAGE_RELOAD when the history is not the one that was followed so far. */
static int check_history(struct sqlite_store *store)
{
	const struct sqlite_position *position = &store->position;
	sqlite3_stmt *statement;
	int64_t schema_version, token;
	int status = sqlite_read_integer(store, sqlite_statement(store, STATEMENT_SCHEMA_VERSION),
					 "read its schema", 0, &schema_version);

	if (status != STORAGE_OK)
		return status;
	if (schema_version != store->schema_version)
		return storage_fail(&store->base, STORAGE_RELOAD,
				    "sqlite file %s: its tables were changed", store->path);
	if (!position->has_row)
		return STORAGE_OK;
	statement = sqlite_statement(store, STATEMENT_CHANGE_AT);
	if (statement)
		sqlite3_bind_int64(statement, 1, position->seq);
	/* A token of just this value, one in 2^64, only means loading once too often. */
	status = sqlite_read_integer(store, statement, "read changes", ~position->token, &token);
	if (status == STORAGE_OK && token != position->token)
		return storage_fail(&store->base, STORAGE_RELOAD,
				    "sqlite file %s: change %lld, the last one followed, is gone",
				    store->path, (long long)position->seq);
	return status;
}

/* --- zones added, renamed and deleted --------------------------------------------------------- */

/* Reads a zone's apex, NULL when there is no such zone; malloc'ed. */
static int read_apex(struct sqlite_store *store, int64_t id, char **apex)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_ZONE_NAME);
	int status = STORAGE_OK;

	*apex = NULL;
	if (!statement)
		return sqlite_fail(store, "read zones");
	sqlite3_bind_int64(statement, 1, id);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		const unsigned char *name = sqlite3_column_text(statement, 0);
		*apex = powerdns_name_dup(name ? (const char *)name : "",
					  (size_t)sqlite3_column_bytes(statement, 0));
		if (!*apex)
			status = sqlite_fail_memory(store);
	} else if (code != SQLITE_DONE) {
		status = sqlite_fail(store, "read zones");
	}
	sqlite3_reset(statement);
	return status;
}

/* Adds an apex and takes it; NULL is out of memory, as is the status then. */
static int add_apex(struct follow *follow, char *apex)
{
	struct apexes *apexes = &follow->apexes;

	if (apex && apexes->count == apexes->capacity) {
		size_t capacity = apexes->capacity ? 2 * apexes->capacity : 16;
		char **list = realloc(apexes->list, capacity * sizeof(*list));
		if (list) {
			apexes->list = list;
			apexes->capacity = capacity;
		}
	}
	if (!apex || apexes->count == apexes->capacity) {
		free(apex);
		return sqlite_fail_memory(follow->store);
	}
	apexes->list[apexes->count++] = apex;
	return STORAGE_OK;
}

static void clear_apexes(struct apexes *apexes)
{
	for (size_t i = 0; i < apexes->count; i++)
		free(apexes->list[i]);
	free(apexes->list);
}

static int compare_apexes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Notes the apex that a changed zone had and the one it has, and forgets the zone. */
static int note_zone(struct follow *follow, int64_t id)
{
	struct sqlite_store *store = follow->store;
	const struct powerdns_zone *zone = powerdns_zones_find(&store->zones, id);
	char *apex;
	int status = read_apex(store, id, &apex);

	if (status == STORAGE_OK && apex)
		status = add_apex(follow, apex);
	if (status == STORAGE_OK && zone)
		status = add_apex(follow, strdup(zone->apex));
	powerdns_zones_remove(&store->zones, id);
	return status;
}

/* Notes the apexes of all zones that were added, renamed, deleted or changed as a whole. */
static int note_zones(struct follow *follow)
{
	struct sqlite_store *store = follow->store;
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_CHANGED_ZONES);
	int status = STORAGE_OK, code = SQLITE_DONE;

	if (!statement)
		return sqlite_fail(store, "read changes");
	sqlite3_bind_int64(statement, 1, store->position.seq);
	while (status == STORAGE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
		status = note_zone(follow, sqlite3_column_int64(statement, 0));
	if (status == STORAGE_OK && code != SQLITE_DONE)
		status = sqlite_fail(store, "read changes");
	sqlite3_reset(statement);
	return status;
}

/* Forgets all rows in `domains` with that apex: of two spellings, only one counts. */
static int forget_twins(struct sqlite_store *store, const char *apex)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_ZONE_TWINS);
	int code, status = STORAGE_OK;

	if (!statement)
		return sqlite_fail(store, "read zones");
	sqlite_bind_spellings(statement, 1, apex);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		powerdns_zones_remove(&store->zones, sqlite3_column_int64(statement, 0));
	if (code != SQLITE_DONE)
		status = sqlite_fail(store, "read zones");
	sqlite3_reset(statement);
	return status;
}

/* Finds out which zone has an apex now, and hands that over, or says that none has. */
static int deliver_apex(struct follow *follow, const char *apex)
{
	struct sqlite_store *store = follow->store;
	struct powerdns_zone *zone;
	char *copy;
	int64_t id;
	int status = forget_twins(store, apex);

	if (status == STORAGE_OK)
		status = sqlite_zone_get_id(store, apex, &id);
	if (status == STORAGE_NOT_FOUND) {
		follow->sink->zone_gone(follow->sink->ctx, apex);
		return STORAGE_OK;
	}
	if (status != STORAGE_OK)
		return status;
	copy = strdup(apex);
	zone = copy ? powerdns_zones_put(&store->zones, id, copy) : NULL;
	if (!zone)
		return sqlite_fail_memory(store);
	zone->whole = follow->any_whole = true;
	return sqlite_deliver_zone(store, zone, &follow->rows, follow->sink);
}

/*
 * By apex, not by row: zones may have changed places, been deleted and added again with another id,
 * or come out from behind a twin.
 */
static int deliver_zones(struct follow *follow)
{
	struct apexes *apexes = &follow->apexes;
	int status = note_zones(follow);

	if (status == STORAGE_OK && apexes->count > 0)
		qsort(apexes->list, apexes->count, sizeof(*apexes->list), compare_apexes);
	for (size_t i = 0; i < apexes->count && status == STORAGE_OK; i++) {
		if (i == 0 || strcmp(apexes->list[i], apexes->list[i - 1]) != 0)
			status = deliver_apex(follow, apexes->list[i]);
	}
	return status;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Hands over one name, with its whole zone where a name alone may not be found in all spellings. */
static int deliver_change(struct follow *follow, int64_t zone_id, const char *name)
{
	struct sqlite_store *store = follow->store;
	struct powerdns_zone *zone = powerdns_zones_find(&store->zones, zone_id);

	if (!zone || zone->whole)
		return STORAGE_OK;
	if (storage_is_interrupted(&store->base))
		return storage_fail_interrupted(&store->base);
	if (name && !zone->odd_names && !powerdns_name_is_odd(name))
		return sqlite_deliver_name(store, zone, name, &follow->rows, follow->sink);
	zone->whole = follow->any_whole = true;
	return sqlite_deliver_zone(store, zone, &follow->rows, follow->sink);
}

static int deliver_names(struct follow *follow)
{
	struct sqlite_store *store = follow->store;
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_CHANGED_NAMES);
	int status = STORAGE_OK, code = SQLITE_DONE;

	if (!statement)
		return sqlite_fail(store, "read changes");
	sqlite3_bind_int64(statement, 1, store->position.seq);
	while (status == STORAGE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
		status = deliver_change(follow, sqlite3_column_int64(statement, 0),
					(const char *)sqlite3_column_text(statement, 1));
	if (status == STORAGE_OK && code != SQLITE_DONE)
		status = sqlite_fail(store, "read changes");
	sqlite3_reset(statement);
	return status;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Hands over what changed, within the read transaction that was begun. */
static int deliver_changes(struct sqlite_store *store, const struct storage_sink *sink,
			   bool *delivered)
{
	struct follow follow = {.store = store, .sink = sink};
	struct sqlite_position newest;
	int status = check_history(store);

	if (status == STORAGE_OK)
		status = sqlite_read_position(store, &newest);
	if (status != STORAGE_OK || newest.seq == store->position.seq)
		return status;
	/* Rows that came while the table was empty: how many were deleted before, nobody knows. */
	if (!store->position.has_row)
		return storage_fail(&store->base, STORAGE_RELOAD,
				    "sqlite file %s: godwit_changes was emptied", store->path);
	sink->begin(sink->ctx, STORAGE_BATCH_CHANGES);
	status = deliver_zones(&follow);
	if (status == STORAGE_OK)
		status = deliver_names(&follow);
	for (size_t i = 0; follow.any_whole && i < store->zones.count; i++)
		store->zones.list[i].whole = false;
	clear_apexes(&follow.apexes);
	powerdns_rows_clear(&follow.rows);
	if (status == STORAGE_OK) {
		sink->commit(sink->ctx);
		store->position = newest;
		*delivered = true;
		return STORAGE_OK;
	}
	/* Some zones are forgotten already: only loading brings them back. */
	sink->abort(sink->ctx);
	store->position.loaded = false;
	return status;
}

/* Looks for changes once. */
static int look(struct sqlite_store *store, const struct storage_sink *sink, bool *delivered)
{
	int64_t data_version;
	int status = sqlite_file_check(store);

	if (status == STORAGE_OK && store->mode == OPEN_IMMUTABLE)
		return STORAGE_OK; /* and that it has not changed, the check has said */
	if (status == STORAGE_OK)
		status = sqlite_read_integer(store, sqlite_statement(store, STATEMENT_DATA_VERSION),
					     "look for changes", 0, &data_version);
	if (status != STORAGE_OK || data_version == store->data_version)
		return status;
	status = sqlite_read_begin(store);
	if (status == STORAGE_OK)
		status = deliver_changes(store, sink, delivered);
	sqlite_read_end(store);
	if (status != STORAGE_OK)
		return status;
	/* The mark from before the transaction: what was committed in between is seen next time. */
	store->data_version = data_version;
	sqlite_file_note_wal(store);
	return STORAGE_OK;
}

int sqlite_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int64_t deadline = clock_now_ms() + wait_ms;
	bool delivered = false;

	if (store->db && !store->position.loaded)
		return storage_fail(storage, STORAGE_RELOAD, "sqlite file %s: load it first",
				    store->path);
	for (;;) {
		int status = look(store, sink, &delivered);
		int64_t left = deadline - clock_now_ms();
		if (status != STORAGE_OK || delivered || left <= 0)
			return status;
		if (!storage_wait(storage, left < storage->poll_ms ? (int)left : storage->poll_ms))
			return storage_fail_interrupted(storage);
	}
}
