/*
 * The SQLite driver: records in one file, in PowerDNS's tables.
 *
 * One connection, used by one thread at a time. A follower polls `PRAGMA data_version`, which costs
 * a few microseconds and changes when any other connection has committed, and then reads what the
 * triggers wrote into godwit_changes (see sqlite_schema.c and sqlite_follow.c). Reads happen in one
 * read transaction each, so what is handed over is a state that the store really had.
 *
 * No call blocks for long: a lock held by another program is waited for by on_busy, at most for
 * BUSY_*_MS, and an interruption ends that wait, too.
 */
#include "storage/sqlite_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True when a name ends in a dot behind a label: one that is not escaped. */
#define IS_DOTTED(name) name " GLOB '*[^\\.].'"

/*
 * The zones there are: not those whose name is no text or cannot be one. Should both "example.com"
 * and "example.com." be in the table, which its unique index allows, only the first counts.
 */
#define ZONES_FROM                                                                                 \
	" FROM domains AS d WHERE typeof(d.name) = 'text' AND d.name NOT GLOB '*..' AND NOT "      \
	"((d.name = '.' AND EXISTS (SELECT 1 FROM domains AS twin WHERE twin.name = '')) OR "      \
	"(" IS_DOTTED("d.name") " AND EXISTS (SELECT 1 FROM domains AS twin WHERE "                \
				"twin.name = substr(d.name, 1, length(d.name) - 1))))"

/*
 * The rows that are served: not disabled, and not PowerDNS's empty non-terminals, whose type is
 * NULL. The index is named so that statistics gathered by ANALYZE cannot lead to a sort.
 */
#define ROWS_FROM                                                                                  \
	"SELECT id, name, type, content, ttl, prio FROM records INDEXED BY godwit_records_name "   \
	"WHERE coalesce(disabled, 0) = 0 AND type <> '' AND domain_id = ?1"

/* A name without its case and its trailing dot, unless that is escaped. */
#define NAME_AS_READ                                                                               \
	"lower(CASE WHEN " IS_DOTTED("name") " THEN substr(name, 1, length(name) - 1) "            \
					     "ELSE name END)"

static const char *const statement_text[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN_READ] = "BEGIN",
	[STATEMENT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_DATA_VERSION] = "PRAGMA data_version",
	[STATEMENT_SCHEMA_VERSION] = "PRAGMA schema_version",
	[STATEMENT_OBJECT_FIND] = "SELECT 1 FROM sqlite_master WHERE name = ?1 COLLATE NOCASE",
	[STATEMENT_CHANGE_NEWEST] =
		"SELECT seq, token FROM godwit_changes ORDER BY seq DESC LIMIT 1",
	[STATEMENT_CHANGE_AT] = "SELECT token FROM godwit_changes WHERE seq = ?1",
	[STATEMENT_CHANGED_ZONES] = "SELECT DISTINCT domain_id FROM godwit_changes "
				    "WHERE seq > ?1 AND name IS NULL AND domain_id IS NOT NULL",
	[STATEMENT_CHANGED_NAMES] =
		"SELECT DISTINCT domain_id, " NAME_AS_READ " FROM godwit_changes "
		"WHERE seq > ?1 AND domain_id IS NOT NULL ORDER BY 1, 2",
	[STATEMENT_ZONES] = "SELECT id, name" ZONES_FROM " ORDER BY id",
	[STATEMENT_ZONE_NAME] = "SELECT name" ZONES_FROM " AND id = ?1",
	[STATEMENT_ZONE_ID] = "SELECT id" ZONES_FROM " AND name IN (?1, ?2)",
	[STATEMENT_ZONE_TWINS] = "SELECT id FROM domains WHERE name IN (?1, ?2)",
	[STATEMENT_ZONE_ROWS] = ROWS_FROM " ORDER BY name COLLATE NOCASE",
	[STATEMENT_NAME_ROWS] = ROWS_FROM " AND name COLLATE NOCASE IN (?2, ?3)",
	[STATEMENT_ZONE_INSERT] = "INSERT INTO domains (name, type) VALUES (?1, 'NATIVE')",
	[STATEMENT_ZONE_DELETE] = "DELETE FROM domains WHERE id = ?1",
	[STATEMENT_ZONE_CLEAR] = "DELETE FROM records WHERE domain_id = ?1",
	[STATEMENT_BULK_ADD] = "INSERT OR IGNORE INTO godwit_bulk (domain_id) VALUES (?1)",
	[STATEMENT_BULK_END] = "DELETE FROM godwit_bulk",
	[STATEMENT_CHANGE_ADD] = "INSERT INTO godwit_changes (domain_id) VALUES (?1)",
	[STATEMENT_NAME_EXISTS] =
		"SELECT EXISTS (SELECT 1 FROM records INDEXED BY "
		"godwit_records_name WHERE domain_id = ?1 AND name COLLATE NOCASE "
		"= ?2) OR EXISTS (SELECT 1 FROM records INDEXED BY "
		"godwit_records_name WHERE domain_id = ?1 AND name COLLATE NOCASE "
		"= ?3)",
	[STATEMENT_RRSET_DELETE] = "DELETE FROM records INDEXED BY godwit_records_name "
				   "WHERE domain_id = ?1 AND name COLLATE NOCASE IN (?2, ?3) "
				   "AND type COLLATE NOCASE IN (?4, ?5)",
	[STATEMENT_RECORD_INSERT] =
		"INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) "
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 1)",
};

/* --- errors ----------------------------------------------------------------------------------- */

/* What an SQLite result code means to the caller, and what a person can do about it. */
static int classify(int code, const char **advice)
{
	*advice = "";
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		*advice = " (another program holds a lock on it)";
		return STORAGE_UNAVAILABLE;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		*advice = " (restore it from a copy, or see sqlite3's .recover)";
		return STORAGE_DAMAGED;
	case SQLITE_ERROR:
	case SQLITE_SCHEMA:
		return STORAGE_NOT_READY;
	case SQLITE_READONLY:
		/* Extended codes are about recovery, which the next writer does. */
		return code == SQLITE_READONLY ? STORAGE_REFUSED : STORAGE_UNAVAILABLE;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return STORAGE_REFUSED;
	default: /* CANTOPEN, IOERR, FULL, NOMEM, ...: may be better later */
		return STORAGE_UNAVAILABLE;
	}
}

int sqlite_fail(struct sqlite_store *store, const char *doing)
{
	const char *advice;
	int status = classify(sqlite3_extended_errcode(store->db), &advice);

	if (storage_is_interrupted(&store->base))
		return storage_fail_interrupted(&store->base);
	if (status == STORAGE_NOT_READY)
		return storage_fail(
			&store->base, status,
			"sqlite file %s: cannot %s: %s: run `godwitctl --store %s init`",
			store->path, doing, sqlite3_errmsg(store->db), store->base.url);
	/* SQLite's own words for these never say why. */
	int system_error = sqlite3_system_errno(store->db),
	    code = sqlite3_errcode(store->db) & 0xff;
	if ((code == SQLITE_CANTOPEN || code == SQLITE_IOERR) && system_error != 0)
		return storage_fail(&store->base, status, "sqlite file %s: cannot %s: %s",
				    store->path, doing, strerror(system_error));
	return storage_fail(&store->base, status, "sqlite file %s: cannot %s: %s%s", store->path,
			    doing, sqlite3_errmsg(store->db), advice);
}

int sqlite_fail_memory(struct sqlite_store *store)
{
	return storage_fail(&store->base, STORAGE_UNAVAILABLE, "sqlite file %s: out of memory",
			    store->path);
}

/* --- statements ------------------------------------------------------------------------------- */

sqlite3_stmt *sqlite_statement(struct sqlite_store *store, enum sqlite_statement which)
{
	sqlite3_stmt **slot = &store->statements[which];

	if (!*slot)
		sqlite3_prepare_v3(store->db, statement_text[which], -1, SQLITE_PREPARE_PERSISTENT,
				   slot, NULL);
	return *slot;
}

int sqlite_run(struct sqlite_store *store, sqlite3_stmt *statement, const char *doing)
{
	int code, status = STORAGE_OK;

	if (!statement) /* could not be prepared: only SQLite's own failure says why */
		return sqlite_fail(store, doing);
	do
		code = sqlite3_step(statement);
	while (code == SQLITE_ROW);
	if (code != SQLITE_DONE)
		status = sqlite_fail(store, doing);
	sqlite3_reset(statement);
	return status;
}

int sqlite_run_plain(struct sqlite_store *store, enum sqlite_statement which, const char *doing)
{
	return sqlite_run(store, sqlite_statement(store, which), doing);
}

int sqlite_read_integer(struct sqlite_store *store, sqlite3_stmt *statement, const char *doing,
			int64_t otherwise, int64_t *out)
{
	int status = STORAGE_OK;

	if (!statement)
		return sqlite_run(store, NULL, doing);
	int code = sqlite3_step(statement);
	*out = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : otherwise;
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		status = sqlite_fail(store, doing);
	sqlite3_reset(statement);
	return status;
}

void sqlite_bind_spellings(sqlite3_stmt *statement, int index, const char *name)
{
	bool root = strcmp(name, ".") == 0;
	char *dotted = root ? sqlite3_mprintf("") : sqlite3_mprintf("%s.", name);

	/* Out of memory binds NULL, which equals nothing: the other spelling still counts. */
	sqlite3_bind_text(statement, index, name, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(statement, index + 1, dotted, -1, sqlite3_free);
}

int sqlite_read_begin(struct sqlite_store *store)
{
	if (store->base.in_transaction)
		return STORAGE_OK;
	return sqlite_run_plain(store, STATEMENT_BEGIN_READ, "begin to read");
}

void sqlite_read_end(struct sqlite_store *store)
{
	/* Nothing was written, so there is nothing that a failure could lose. */
	if (!store->base.in_transaction && store->db && !sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

/* --- the driver ------------------------------------------------------------------------------- */

/* What stands after "sqlite:" as a path: "//" is the empty host of a URL, then an absolute path. */
static const char *path_of(const char *location, char *error, size_t error_size)
{
	const char *path = location;

	if (strncmp(location, "//", 2) == 0) {
		path = location + 2;
		if (*path != '/') {
			snprintf(error, error_size,
				 "\"sqlite:%s\" names a host: write sqlite:PATH or sqlite:///PATH",
				 location);
			return NULL;
		}
	}
	if (*path == '\0' || strcmp(path, ":memory:") == 0) {
		snprintf(error, error_size, "\"sqlite:%s\" names no file", location);
		return NULL;
	}
	return path;
}

static struct storage *create(const char *url, const char *location,
			      const struct storage_options *options, char *error, size_t error_size)
{
	const char *path = path_of(location, error, error_size);

	(void)url;
	(void)options;
	if (!path)
		return NULL;
	struct sqlite_store *store = calloc(1, sizeof(*store));
	if (!store || !(store->path = strdup(path))) {
		snprintf(error, error_size, "sqlite file %s: %s", path, strerror(errno));
		free(store);
		return NULL;
	}
	return &store->base;
}

static void destroy(struct storage *storage)
{
	struct sqlite_store *store = sqlite_store_of(storage);

	sqlite_close(store);
	sqlite_forget(store);
	free(store->path);
	free(store);
}

const struct storage_driver storage_driver_sqlite = {
	.scheme = "sqlite",
	.create = create,
	.destroy = destroy,
	.open = sqlite_open,
	.load = sqlite_load,
	.follow = sqlite_follow,
	.init = sqlite_init,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.zone_add = sqlite_zone_add,
	.zone_delete = sqlite_zone_delete,
	.zone_clear = sqlite_zone_clear,
	.zone_find = sqlite_zone_find,
	.zone_list = sqlite_zone_list,
	.zone_read = sqlite_zone_read,
	.name_read = sqlite_name_read,
	.rrset_put = sqlite_rrset_put,
	.rrset_delete = sqlite_rrset_delete,
};
