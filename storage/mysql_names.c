/*
 * Rows into names: what loading, following and godwitctl's reads have in common.
 *
 * Everything is read in the order of an index that begins with the name, which PowerDNS's schema
 * has, so that the rows of one owner come together, the first row comes at once, and the server
 * sorts nothing. Zones are mixed in that order: the rows of one owner are gathered by zone. Without
 * such an index the server sorts.
 *
 * A server's collation takes more for equal than DNS does ("é" for "e"): rows of such names may
 * come mixed, which the interface allows for whole zones, and when single names are looked up those
 * that were not asked for are left out.
 */
#include "storage/mysql_internal.h"

#include <stdlib.h>
#include <string.h>

/* Columns of SELECT_ROWS. */
enum {
	COLUMN_ID,
	COLUMN_ZONE,
	COLUMN_NAME,
	COLUMN_TYPE,
	COLUMN_CONTENT,
	COLUMN_TTL,
	COLUMN_PRIO,
	COLUMN_COUNT
};

/* The rows that are served: not disabled, and not PowerDNS's empty non-terminals without a type. */
#define SELECT_ROWS "SELECT id, domain_id, name, type, content, ttl, prio FROM records"
#define WHERE_SERVED " WHERE COALESCE(disabled, 0) = 0 AND type <> '' AND name IS NOT NULL"

#define NAMES_AT_ONCE 500 /* looked up in one statement */

static const char doing[] = "read records";

static bool add_row(struct powerdns_rows *rows, MYSQL_ROW row, size_t type_size,
		    size_t content_size)
{
	const struct powerdns_row record = {
		.id = strtoll(row[COLUMN_ID], NULL, 10),
		.type = row[COLUMN_TYPE],
		.type_size = type_size,
		.content = row[COLUMN_CONTENT] ? row[COLUMN_CONTENT] : "",
		.content_size = content_size,
		.ttl = row[COLUMN_TTL] ? strtoll(row[COLUMN_TTL], NULL, 10) : POWERDNS_TTL_DEFAULT,
		.prio = row[COLUMN_PRIO] ? strtoll(row[COLUMN_PRIO], NULL, 10) : 0,
	};

	return powerdns_rows_add(rows, &record);
}

/* --- rows in the order of their names --------------------------------------------------------- */

/* What one owner has in one zone. */
struct group {
	int64_t zone;
	struct powerdns_rows rows;
};

/* Reading rows, one by one, into names. */
struct reader {
	struct mysql_store *store;
	const struct powerdns_zones *zones; /* rows of others are left out */
	storage_name_fn *each;
	void *ctx;
	struct group *groups; /* of the present owner; the first `count` are in use */
	size_t count;
	size_t capacity;
	bool stopped; /* `each` said so */
};

static void reader_clear(struct reader *reader)
{
	for (size_t i = 0; i < reader->capacity; i++)
		powerdns_rows_clear(&reader->groups[i].rows);
	free(reader->groups);
}

/* Hands over what was gathered of the present owner. */
static void finish_owner(struct reader *reader)
{
	struct storage_name name;

	for (size_t i = 0; i < reader->count && !reader->stopped; i++) {
		struct group *group = &reader->groups[i];
		struct powerdns_zone *zone = powerdns_zones_find(reader->zones, group->zone);
		powerdns_rows_finish(&group->rows, zone->apex, &name);
		zone->odd_names = zone->odd_names || powerdns_name_is_odd(name.owner);
		reader->stopped = reader->each(reader->ctx, &name) != 0;
	}
	reader->count = 0;
}

/* The present owner's group for a zone, begun if there is none. NULL: out of memory. */
static struct group *find_group(struct reader *reader, int64_t zone, const char *owner, size_t size)
{
	for (size_t i = 0; i < reader->count; i++) {
		if (reader->groups[i].zone == zone)
			return &reader->groups[i];
	}
	if (reader->count == reader->capacity) {
		size_t capacity = reader->capacity ? 2 * reader->capacity : 2;
		struct group *groups = realloc(reader->groups, capacity * sizeof(*groups));
		if (!groups)
			return NULL;
		memset(groups + reader->capacity, 0,
		       (capacity - reader->capacity) * sizeof(*groups));
		reader->groups = groups;
		reader->capacity = capacity;
	}
	struct group *group = &reader->groups[reader->count];
	if (!powerdns_rows_start(&group->rows, owner, size))
		return NULL;
	group->zone = zone;
	reader->count++;
	return group;
}

static int take_row(struct reader *reader, const struct mysql_result *result)
{
	const char *owner = result->row[COLUMN_NAME];
	size_t size = result->sizes[COLUMN_NAME];
	int64_t zone = mysql_result_number(result, COLUMN_ZONE, INT64_MIN);

	if (reader->count > 0 && !powerdns_rows_match(&reader->groups[0].rows, owner, size)) {
		if (storage_is_interrupted(&reader->store->base))
			return storage_fail_interrupted(&reader->store->base);
		finish_owner(reader);
	}
	if (!powerdns_zones_find(reader->zones, zone))
		return STORAGE_OK;
	struct group *group = find_group(reader, zone, owner, size);
	if (!group || !add_row(&group->rows, result->row, result->sizes[COLUMN_TYPE],
			       result->sizes[COLUMN_CONTENT]))
		return mysql_store_fail_memory(reader->store);
	return STORAGE_OK;
}

/* Runs store->statement, rows in the order of their names, and calls `each` for every name. */
static int read_names(struct reader *reader)
{
	struct mysql_store *store = reader->store;
	struct mysql_result result;
	int status = mysql_store_query(store, true, MYSQL_REPLY_LONG_MS, doing, &result);

	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, doing)) == STORAGE_OK && result.row &&
	       !reader->stopped) {
		status = take_row(reader, &result);
		if (status != STORAGE_OK)
			break;
	}
	if (status == STORAGE_OK)
		finish_owner(reader);
	mysql_result_close(store, &result);
	reader_clear(reader);
	return status;
}

/* --- all zones, or one ------------------------------------------------------------------------ */

/* Begins store->statement as one for all served rows, with the index named if there is one. */
static void start_rows(struct mysql_store *store, bool by_name)
{
	mysql_text_start(&store->statement, SELECT_ROWS);
	if (by_name && *store->name_index)
		mysql_text_add_format(&store->statement, " FORCE INDEX (`%s`)", store->name_index);
	mysql_text_add(&store->statement, WHERE_SERVED);
}

int mysql_names_read_all(struct mysql_store *store, const struct powerdns_zones *zones,
			 storage_name_fn *each, void *ctx)
{
	struct reader reader = {.store = store, .zones = zones, .each = each, .ctx = ctx};

	start_rows(store, true);
	mysql_text_add(&store->statement, " ORDER BY name");
	return read_names(&reader);
}

int mysql_names_read_zone(struct mysql_store *store, struct powerdns_zone *zone,
			  storage_name_fn *each, void *ctx)
{
	const struct powerdns_zones one = {.list = zone, .count = 1};
	struct reader reader = {.store = store, .zones = &one, .each = each, .ctx = ctx};

	start_rows(store, false);
	mysql_text_add_format(&store->statement, " AND domain_id = %lld ORDER BY name",
			      (long long)zone->id);
	zone->odd_names = false;
	return read_names(&reader);
}

/* --- some names ------------------------------------------------------------------------------- */

/* A row, and which of the names asked for it belongs to. */
struct found_row {
	size_t name;
	MYSQL_ROW row;
	size_t type_size;
	size_t content_size;
};

static int compare_found(const void *a, const void *b)
{
	size_t x = ((const struct found_row *)a)->name, y = ((const struct found_row *)b)->name;

	return x < y ? -1 : x > y;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Finds out whose the rows are. Returns how many are anyone's, or -1 without memory. */
static ssize_t sort_rows(struct mysql_result *result, char *const *names, size_t count,
			 struct found_row *found)
{
	size_t used = 0;

	while ((result->row = mysql_fetch_row(result->set))) {
		unsigned long *sizes = mysql_fetch_lengths(result->set);
		char *owner = powerdns_name_dup(result->row[COLUMN_NAME], sizes[COLUMN_NAME]);
		if (!owner)
			return -1;
		char *const *name = bsearch(&owner, names, count, sizeof(*names), compare_names);
		free(owner);
		if (name)
			found[used++] = (struct found_row){
				.name = (size_t)(name - names),
				.row = result->row,
				.type_size = sizes[COLUMN_TYPE],
				.content_size = sizes[COLUMN_CONTENT],
			};
	}
	if (used > 0)
		qsort(found, used, sizeof(*found), compare_found);
	return (ssize_t)used;
}

/* Calls `each` for each name, also for one that has nothing. False: out of memory. */
static bool hand_over(const char *apex, char *const *names, size_t count,
		      const struct found_row *found, size_t found_count, storage_name_fn *each,
		      void *ctx)
{
	struct powerdns_rows rows = {0};
	struct storage_name name;
	bool memory = true;
	size_t next = 0;

	for (size_t i = 0; i < count && memory; i++) {
		memory = powerdns_rows_start(&rows, names[i], strlen(names[i]));
		for (; memory && next < found_count && found[next].name == i; next++)
			memory = add_row(&rows, found[next].row, found[next].type_size,
					 found[next].content_size);
		if (!memory)
			break;
		powerdns_rows_finish(&rows, apex, &name);
		if (each(ctx, &name) != 0)
			break;
	}
	powerdns_rows_clear(&rows);
	return memory;
}

/* Looks up at most NAMES_AT_ONCE names. */
static int look_up(struct mysql_store *store, const struct powerdns_zone *zone, char *const *names,
		   size_t count, storage_name_fn *each, void *ctx)
{
	struct mysql_result result;

	start_rows(store, !store->minds_case);
	mysql_text_add_format(&store->statement, " AND domain_id = %lld AND %s IN (",
			      (long long)zone->id, mysql_store_name_key(store));
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			mysql_text_add(&store->statement, ", ");
		mysql_store_add_spellings(store, names[i]);
	}
	mysql_text_add(&store->statement, ")");
	int status = mysql_store_query(store, false, MYSQL_REPLY_LONG_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	size_t rows = mysql_num_rows(result.set);
	struct found_row *found = malloc((rows + 1) * sizeof(*found));
	ssize_t used = found ? sort_rows(&result, names, count, found) : -1;
	if (used < 0 || !hand_over(zone->apex, names, count, found, (size_t)used, each, ctx))
		status = mysql_store_fail_memory(store);
	free(found);
	mysql_result_close(store, &result);
	return status;
}

int mysql_names_look_up(struct mysql_store *store, const struct powerdns_zone *zone,
			char *const *names, size_t count, storage_name_fn *each, void *ctx)
{
	int status = STORAGE_OK;

	for (size_t done = 0; done < count && status == STORAGE_OK; done += NAMES_AT_ONCE) {
		size_t some = count - done < NAMES_AT_ONCE ? count - done : NAMES_AT_ONCE;
		status = look_up(store, zone, names + done, some, each, ctx);
	}
	return status;
}
