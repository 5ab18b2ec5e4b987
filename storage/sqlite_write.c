/*
 * Writing zones and RRsets, as PowerDNS would.
 *
 * A zone that is added, cleared or deleted is written as a whole: it is noted in godwit_bulk until
 * the commit, its rows leave no changes of their own, and one row in godwit_changes says it all. So
 * importing a million records does not write a million changes, to be thrown away again.
 */
#include "storage/sqlite_internal.h"

#include "dns/rdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sqlite_begin(struct storage *storage)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int status = sqlite_schema_check(store);

	if (status == STORAGE_OK)
		status = sqlite_run_plain(store, STATEMENT_BEGIN_WRITE, "begin to write");
	return status;
}

/* The zone last written to may be gone, or another. */
static void forget_zone(struct sqlite_store *store)
{
	free(store->write_apex);
	store->write_apex = NULL;
}

int sqlite_commit(struct storage *storage)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int status = sqlite_run_plain(store, STATEMENT_BULK_END, "write");

	if (status == STORAGE_OK)
		status = sqlite_run_plain(store, STATEMENT_COMMIT, "commit");
	if (status == STORAGE_OK)
		store->data_version = -1; /* which our own commits do not change */
	forget_zone(store);
	return status;
}

void sqlite_rollback(struct storage *storage)
{
	struct sqlite_store *store = sqlite_store_of(storage);

	forget_zone(store);
	/* SQLite may have rolled back already, on a full disk for one. */
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

/* Runs a statement whose only parameter is a zone. */
static int run_for_zone(struct sqlite_store *store, enum sqlite_statement which, int64_t id)
{
	sqlite3_stmt *statement = sqlite_statement(store, which);

	if (statement)
		sqlite3_bind_int64(statement, 1, id);
	return sqlite_run(store, statement, "write a zone");
}

/* From now on until the commit, one change stands for all of the zone's. */
static int begin_bulk(struct sqlite_store *store, int64_t id)
{
	int status = run_for_zone(store, STATEMENT_BULK_ADD, id);

	if (status == STORAGE_OK)
		status = run_for_zone(store, STATEMENT_CHANGE_ADD, id);
	return status;
}

int sqlite_zone_add(struct storage *storage, const char *apex)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int64_t id;
	int status = sqlite_zone_get_id(store, apex, &id);

	if (status == STORAGE_OK)
		return storage_fail(storage, STORAGE_EXISTS, "sqlite file %s has a zone %s already",
				    store->path, apex);
	if (status != STORAGE_NOT_FOUND)
		return status;
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_ZONE_INSERT);
	if (statement)
		sqlite3_bind_text(statement, 1, apex, -1, SQLITE_TRANSIENT);
	status = sqlite_run(store, statement, "add a zone");
	/*
	 * Rows may be there for an id that a zone had before: they were nobody's, not this zone's.
	 */
	id = sqlite3_last_insert_rowid(store->db);
	if (status == STORAGE_OK)
		status = begin_bulk(store, id);
	if (status == STORAGE_OK)
		status = run_for_zone(store, STATEMENT_ZONE_CLEAR, id);
	return status;
}

int sqlite_zone_clear(struct storage *storage, const char *apex)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int64_t id;
	int status = sqlite_zone_get_id(store, apex, &id);

	if (status == STORAGE_OK)
		status = begin_bulk(store, id);
	if (status == STORAGE_OK)
		status = run_for_zone(store, STATEMENT_ZONE_CLEAR, id);
	return status;
}

int sqlite_zone_delete(struct storage *storage, const char *apex)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int64_t id;
	int status = sqlite_zone_clear(storage, apex);

	if (status == STORAGE_OK)
		status = sqlite_zone_get_id(store, apex, &id);
	if (status == STORAGE_OK)
		status = run_for_zone(store, STATEMENT_ZONE_DELETE, id);
	forget_zone(store);
	return status;
}

/* --- RRsets ----------------------------------------------------------------------------------- */

/* The id of the zone to write to: most often the one of the last time. */
static int find_zone(struct sqlite_store *store, const char *apex, int64_t *id)
{
	int status;

	if (store->write_apex && strcmp(store->write_apex, apex) == 0) {
		*id = store->write_zone;
		return STORAGE_OK;
	}
	forget_zone(store);
	status = sqlite_zone_get_id(store, apex, id);
	if (status == STORAGE_OK) {
		store->write_zone = *id;
		store->write_apex = strdup(apex); /* failing that, it is looked up again */
	}
	return status;
}

/*
 * Whether the owner has any records: a deletion that finds nothing, as all do in a zone that is
 * being filled, costs as much as the insertion that follows.
 */
static int find_name(struct sqlite_store *store, int64_t zone_id, const char *owner, bool *found)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_NAME_EXISTS);
	int64_t exists = 0;

	if (statement) {
		sqlite3_bind_int64(statement, 1, zone_id);
		sqlite_bind_spellings(statement, 2, owner);
	}
	int status = sqlite_read_integer(store, statement, "look for a name", 0, &exists);
	*found = exists != 0;
	return status;
}

static int delete_rrset(struct sqlite_store *store, int64_t zone_id, const char *owner,
			const char *mnemonic, const char *generic)
{
	bool found;
	int status = find_name(store, zone_id, owner, &found);

	if (status != STORAGE_OK || !found)
		return status;
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_RRSET_DELETE);
	if (!statement)
		return sqlite_fail(store, "delete records");
	sqlite3_bind_int64(statement, 1, zone_id);
	sqlite_bind_spellings(statement, 2, owner);
	sqlite3_bind_text(statement, 4, mnemonic, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 5, generic, -1, SQLITE_STATIC);
	return sqlite_run(store, statement, "delete records");
}

/* Inserts one record with what all of its RRset has bound already. */
static int insert_record(struct sqlite_store *store, sqlite3_stmt *statement, const char *type,
			 const char *text)
{
	char *content = malloc(strlen(text) + 1);
	int32_t prio;

	if (!content)
		return sqlite_fail_memory(store);
	powerdns_content_split(type, text, content, &prio);
	sqlite3_bind_text(statement, 4, content, -1, free);
	if (prio >= 0)
		sqlite3_bind_int(statement, 6, prio);
	else
		sqlite3_bind_null(statement, 6);
	return sqlite_run(store, statement, "insert a record");
}

int sqlite_rrset_put(struct storage *storage, const char *apex, const char *owner, const char *type,
		     uint32_t ttl, const char *const *contents, size_t count)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	char mnemonic[DNS_TYPE_TEXT_MAX], generic[DNS_TYPE_TEXT_MAX];
	sqlite3_stmt *statement;
	int64_t zone_id;
	int status = find_zone(store, apex, &zone_id);

	if (status != STORAGE_OK)
		return status;
	powerdns_type_spellings(type, mnemonic, generic);
	status = delete_rrset(store, zone_id, owner, mnemonic, generic);
	if (status != STORAGE_OK)
		return status;
	statement = sqlite_statement(store, STATEMENT_RECORD_INSERT);
	if (!statement)
		return sqlite_fail(store, "insert a record");
	sqlite3_bind_int64(statement, 1, zone_id);
	sqlite3_bind_text(statement, 2, owner, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, mnemonic, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 5, ttl);
	for (size_t i = 0; i < count && status == STORAGE_OK; i++)
		status = insert_record(store, statement, mnemonic, contents[i]);
	sqlite3_clear_bindings(statement); /* they point to the caller's strings */
	return status;
}

int sqlite_rrset_delete(struct storage *storage, const char *apex, const char *owner,
			const char *type)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	char mnemonic[DNS_TYPE_TEXT_MAX], generic[DNS_TYPE_TEXT_MAX];
	int64_t zone_id;
	int status = find_zone(store, apex, &zone_id);

	if (status != STORAGE_OK)
		return status;
	powerdns_type_spellings(type, mnemonic, generic);
	return delete_rrset(store, zone_id, owner, mnemonic, generic);
}
