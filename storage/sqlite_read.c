/*
 * Rows into names: what loading, following and godwitctl's reads have in common.
 *
 * A zone is read in the order of an index that ignores case, so that the rows of one owner come
 * together. Spellings with a trailing dot come apart; the interface allows that for whole zones.
 * A single name is looked up in both spellings at once.
 */
#include "storage/sqlite_internal.h"

#include <string.h>

/* Columns of ZONE_ROWS and NAME_ROWS. */
enum { COLUMN_ID, COLUMN_NAME, COLUMN_TYPE, COLUMN_CONTENT, COLUMN_TTL, COLUMN_PRIO };

static size_t column_size(sqlite3_stmt *statement, int column)
{
	return (size_t)sqlite3_column_bytes(statement, column);
}

/* A column's text, "" for NULL. Call before column_size, as SQLite asks. */
static const char *column_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text ? (const char *)text : "";
}

static bool add_row(struct powerdns_rows *rows, sqlite3_stmt *statement)
{
	struct powerdns_row row = {
		.id = sqlite3_column_int64(statement, COLUMN_ID),
		.type = column_text(statement, COLUMN_TYPE),
		.content = column_text(statement, COLUMN_CONTENT),
		.ttl = POWERDNS_TTL_DEFAULT,
		.prio = sqlite3_column_int64(statement, COLUMN_PRIO),
	};

	row.type_size = column_size(statement, COLUMN_TYPE);
	row.content_size = column_size(statement, COLUMN_CONTENT);
	if (sqlite3_column_type(statement, COLUMN_TTL) != SQLITE_NULL)
		row.ttl = sqlite3_column_int64(statement, COLUMN_TTL);
	return powerdns_rows_add(rows, &row);
}

/* --- names of a zone -------------------------------------------------------------------------- */

/* Reading one zone, row by row, into names. */
struct zone_reader {
	struct sqlite_store *store;
	sqlite3_stmt *statement; /* ZONE_ROWS */
	const char *apex;
	struct powerdns_rows *rows;
	storage_name_fn *each;
	void *ctx;
	bool started; /* a name is being gathered */
	bool odd;     /* a name was one for sqlite_zone.odd_names */
};

/* Hands over the name gathered so far. Returns what `each` does. */
static int finish_name(struct zone_reader *reader)
{
	struct storage_name name;

	if (!reader->started)
		return 0;
	powerdns_rows_finish(reader->rows, reader->apex, &name);
	reader->odd = reader->odd || powerdns_name_is_odd(name.owner);
	return reader->each(reader->ctx, &name);
}

/* Takes the row that the statement stands on; `*stopped` when `each` said so. */
static int take_row(struct zone_reader *reader, bool *stopped)
{
	bool is_text = sqlite3_column_type(reader->statement, COLUMN_NAME) == SQLITE_TEXT;
	const char *owner = column_text(reader->statement, COLUMN_NAME);
	size_t size = column_size(reader->statement, COLUMN_NAME);

	/* Looking up by text finds neither NULL, which reads as "", nor a blob. */
	reader->odd = reader->odd || !is_text;
	if (!reader->started || !powerdns_rows_match(reader->rows, owner, size)) {
		if (storage_is_interrupted(&reader->store->base))
			return storage_fail_interrupted(&reader->store->base);
		*stopped = finish_name(reader) != 0;
		reader->started = powerdns_rows_start(reader->rows, owner, size);
		if (!reader->started)
			return sqlite_fail_memory(reader->store);
	}
	if (!add_row(reader->rows, reader->statement))
		return sqlite_fail_memory(reader->store);
	return STORAGE_OK;
}

/* Calls `each` for every name of the zone that the statement is bound to. */
static int read_zone(struct zone_reader *reader)
{
	bool stopped = false;
	int status = STORAGE_OK, code = SQLITE_DONE;

	while (status == STORAGE_OK && !stopped &&
	       (code = sqlite3_step(reader->statement)) == SQLITE_ROW)
		status = take_row(reader, &stopped);
	if (status == STORAGE_OK && !stopped && code != SQLITE_DONE)
		status = sqlite_fail(reader->store, "read records");
	if (status == STORAGE_OK && !stopped)
		finish_name(reader);
	sqlite3_reset(reader->statement);
	return status;
}

static int deliver_name(void *ctx, const struct storage_name *name)
{
	const struct storage_sink *sink = ctx;

	sink->name(sink->ctx, name);
	return 0;
}

int sqlite_deliver_zone(struct sqlite_store *store, struct powerdns_zone *zone,
			struct powerdns_rows *rows, const struct storage_sink *sink)
{
	struct storage_sink receiver = *sink;
	struct zone_reader reader = {
		.store = store,
		.statement = sqlite_statement(store, STATEMENT_ZONE_ROWS),
		.apex = zone->apex,
		.rows = rows,
		.each = deliver_name,
		.ctx = &receiver,
	};

	if (!reader.statement)
		return sqlite_fail(store, "read records");
	sqlite3_bind_int64(reader.statement, 1, zone->id);
	sink->zone(sink->ctx, zone->apex);
	int status = read_zone(&reader);
	zone->odd_names = reader.odd;
	return status;
}

/* --- one name --------------------------------------------------------------------------------- */

/* Gathers all rows of a name, in whatever spelling, into `rows`. */
static int gather_name(struct sqlite_store *store, int64_t zone_id, const char *owner,
		       struct powerdns_rows *rows)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_NAME_ROWS);
	bool memory = powerdns_rows_start(rows, owner, strlen(owner));
	int status = STORAGE_OK, code = SQLITE_DONE;

	if (!statement)
		return sqlite_fail(store, "read records");
	sqlite3_bind_int64(statement, 1, zone_id);
	if (memory)
		sqlite_bind_spellings(statement, 2, rows->text);
	while (memory && (code = sqlite3_step(statement)) == SQLITE_ROW)
		memory = add_row(rows, statement);
	if (!memory)
		status = sqlite_fail_memory(store);
	else if (code != SQLITE_DONE)
		status = sqlite_fail(store, "read records");
	sqlite3_reset(statement);
	return status;
}

int sqlite_deliver_name(struct sqlite_store *store, const struct powerdns_zone *zone,
			const char *owner, struct powerdns_rows *rows,
			const struct storage_sink *sink)
{
	struct storage_name name;
	int status = gather_name(store, zone->id, owner, rows);

	if (status != STORAGE_OK)
		return status;
	powerdns_rows_finish(rows, zone->apex, &name);
	sink->name(sink->ctx, &name);
	return STORAGE_OK;
}

/* --- loading ---------------------------------------------------------------------------------- */

int sqlite_read_position(struct sqlite_store *store, struct sqlite_position *position)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_CHANGE_NEWEST);
	int status = STORAGE_OK;

	*position = (struct sqlite_position){.loaded = true};
	if (!statement)
		return sqlite_fail(store, "read changes");
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		position->has_row = true;
		position->seq = sqlite3_column_int64(statement, 0);
		position->token = sqlite3_column_int64(statement, 1);
	} else if (code != SQLITE_DONE) {
		status = sqlite_fail(store, "read changes");
	}
	sqlite3_reset(statement);
	return status;
}

/* Hands over every zone and remembers its id. */
static int load_zones(struct sqlite_store *store, const struct storage_sink *sink)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_ZONES);
	struct powerdns_rows rows = {0};
	int status = STORAGE_OK, code = SQLITE_DONE;

	if (!statement)
		return sqlite_fail(store, "read zones");
	while (status == STORAGE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = column_text(statement, 1);
		char *apex = powerdns_name_dup(name, column_size(statement, 1));
		struct powerdns_zone *zone = NULL;
		if (apex)
			zone = powerdns_zones_put(&store->zones, sqlite3_column_int64(statement, 0),
						  apex);
		status = zone ? sqlite_deliver_zone(store, zone, &rows, sink)
			      : sqlite_fail_memory(store);
	}
	if (status == STORAGE_OK && code != SQLITE_DONE)
		status = sqlite_fail(store, "read zones");
	sqlite3_reset(statement);
	powerdns_rows_clear(&rows);
	return status;
}

/* The whole store within the read transaction that was begun. */
static int load_all(struct sqlite_store *store, const struct storage_sink *sink)
{
	struct sqlite_position position;
	int64_t schema_version;
	int status = sqlite_read_integer(store, sqlite_statement(store, STATEMENT_SCHEMA_VERSION),
					 "read its schema", 0, &schema_version);

	if (status == STORAGE_OK)
		status = sqlite_read_position(store, &position);
	if (status != STORAGE_OK)
		return status;
	sqlite_forget(store);
	sink->begin(sink->ctx, STORAGE_BATCH_FULL);
	status = load_zones(store, sink);
	/* Read without locks, the file must not have changed meanwhile. */
	if (status == STORAGE_OK && store->mode == OPEN_IMMUTABLE)
		status = sqlite_file_check(store);
	if (status != STORAGE_OK) {
		sink->abort(sink->ctx);
		return status;
	}
	sink->commit(sink->ctx);
	store->position = position;
	store->schema_version = schema_version;
	store->data_version = -1; /* none that SQLite gives: the first look reads changes */
	return STORAGE_OK;
}

int sqlite_load(struct storage *storage, const struct storage_sink *sink)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int status = store->reopen ? sqlite_open(storage) : STORAGE_OK;

	store->ready = false; /* whatever led to loading anew may have changed the schema */
	if (status == STORAGE_OK)
		status = sqlite_schema_check(store);
	if (status != STORAGE_OK)
		return status;
	status = sqlite_read_begin(store);
	if (status == STORAGE_OK)
		status = load_all(store, sink);
	sqlite_read_end(store);
	if (status == STORAGE_OK)
		sqlite_file_note_wal(store);
	return status;
}

/* --- godwitctl's reads ------------------------------------------------------------------------ */

int sqlite_zone_get_id(struct sqlite_store *store, const char *apex, int64_t *id)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_ZONE_ID);

	if (statement)
		sqlite_bind_spellings(statement, 1, apex);
	int status = sqlite_read_integer(store, statement, "look for a zone", INT64_MIN, id);
	if (status == STORAGE_OK && *id == INT64_MIN)
		status = storage_fail(&store->base, STORAGE_NOT_FOUND,
				      "sqlite file %s has no zone %s", store->path, apex);
	return status;
}

int sqlite_zone_find(struct storage *storage, const char *apex)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int64_t id;
	int status = sqlite_schema_check(store);

	return status == STORAGE_OK ? sqlite_zone_get_id(store, apex, &id) : status;
}

/* Reads all zones into `zones`, by id. */
static int read_apexes(struct sqlite_store *store, struct powerdns_zones *zones)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_ZONES);
	int status = STORAGE_OK, code = SQLITE_DONE;

	if (!statement)
		return sqlite_fail(store, "read zones");
	while (status == STORAGE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = column_text(statement, 1);
		char *apex = powerdns_name_dup(name, column_size(statement, 1));
		if (!apex || !powerdns_zones_put(zones, sqlite3_column_int64(statement, 0), apex))
			status = sqlite_fail_memory(store);
	}
	if (status == STORAGE_OK && code != SQLITE_DONE)
		status = sqlite_fail(store, "read zones");
	sqlite3_reset(statement);
	return status;
}

int sqlite_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex), void *ctx)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	struct powerdns_zones zones = {0};
	int status = sqlite_schema_check(store);

	if (status == STORAGE_OK)
		status = read_apexes(store, &zones);
	/* From memory: `each` may use the store, even write to it. */
	if (status == STORAGE_OK) {
		powerdns_zones_sort_by_apex(&zones);
		for (size_t i = 0; i < zones.count && each(ctx, zones.list[i].apex) == 0; i++)
			;
	}
	powerdns_zones_clear(&zones);
	return status;
}

int sqlite_zone_read(struct storage *storage, const char *apex, storage_name_fn *each, void *ctx)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	struct powerdns_rows rows = {0};
	struct zone_reader reader = {
		.store = store, .apex = apex, .rows = &rows, .each = each, .ctx = ctx};
	int64_t id;
	int status = sqlite_schema_check(store);

	if (status == STORAGE_OK)
		status = sqlite_zone_get_id(store, apex, &id);
	if (status != STORAGE_OK)
		return status;
	reader.statement = sqlite_statement(store, STATEMENT_ZONE_ROWS);
	if (!reader.statement)
		return sqlite_fail(store, "read records");
	sqlite3_bind_int64(reader.statement, 1, id);
	status = read_zone(&reader);
	powerdns_rows_clear(&rows);
	return status;
}

int sqlite_name_read(struct storage *storage, const char *apex, const char *owner,
		     storage_name_fn *each, void *ctx)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	struct powerdns_rows rows = {0};
	struct storage_name name;
	int64_t id;
	int status = sqlite_schema_check(store);

	if (status == STORAGE_OK)
		status = sqlite_zone_get_id(store, apex, &id);
	if (status == STORAGE_OK)
		status = gather_name(store, id, owner, &rows);
	if (status == STORAGE_OK && rows.count > 0) {
		powerdns_rows_finish(&rows, apex, &name);
		each(ctx, &name);
	}
	powerdns_rows_clear(&rows);
	return status;
}
