/*
 * The tables: PowerDNS's own (the schema of its gsqlite3 back end, version 4), so that its programs
 * work on the same file, and beside them what Godwit needs to follow changes:
 *
 *  godwit_changes  one row for each change that anybody made: the zone (domains.id) and the owner
 *                  name as written in the row, or NULL for the whole zone. Triggers fill it.
 * `token` is random: it tells a follower that the row it saw last is still the same row, not one of
 * a database that was restored or replaced meanwhile. The table trims itself; a follower that falls
 * behind further loads anew. godwit_bulk     the zones that the present transaction writes as a
 * whole. For them the triggers stay quiet: one row in godwit_changes says it. Empty outside of a
 *                  transaction.
 *  godwit_records_name  the index by which a zone's rows come grouped by owner, in any case.
 */
#include "storage/sqlite_internal.h"

#include <string.h>

/* What is created when missing: a table of PowerDNS's with its indexes, or one thing of ours. */
struct schema_object {
	const char *name;
	bool needed; /* Godwit cannot work without it */
	const char *sql;
};

#define CHANGES_KEPT "100000"

/* The owner name as a change says it: one that is not text is found by reading the whole zone. */
#define CHANGED_NAME(row) "CASE WHEN typeof(" row ".name) = 'text' THEN " row ".name END"

/* True unless the zone is written as a whole, or the row is in none. */
#define IS_FOLLOWED(row)                                                                           \
	row ".domain_id IS NOT NULL AND NOT EXISTS "                                               \
	    "(SELECT 1 FROM godwit_bulk AS bulk WHERE bulk.domain_id = " row ".domain_id) "

static const struct schema_object objects[] = {
	{"domains", true,
	 "CREATE TABLE domains ("
	 "id INTEGER PRIMARY KEY, "
	 "name VARCHAR(255) NOT NULL COLLATE NOCASE, "
	 "master VARCHAR(128) DEFAULT NULL, "
	 "last_check INTEGER DEFAULT NULL, "
	 "type VARCHAR(8) NOT NULL, "
	 "notified_serial INTEGER DEFAULT NULL, "
	 "account VARCHAR(40) DEFAULT NULL, "
	 "options VARCHAR(65535) DEFAULT NULL, "
	 "catalog VARCHAR(255) DEFAULT NULL);"
	 "CREATE UNIQUE INDEX name_index ON domains(name);"
	 "CREATE INDEX catalog_idx ON domains(catalog);"},
	{"records", true,
	 "CREATE TABLE records ("
	 "id INTEGER PRIMARY KEY, "
	 "domain_id INTEGER DEFAULT NULL, "
	 "name VARCHAR(255) DEFAULT NULL, "
	 "type VARCHAR(10) DEFAULT NULL, "
	 "content VARCHAR(65535) DEFAULT NULL, "
	 "ttl INTEGER DEFAULT NULL, "
	 "prio INTEGER DEFAULT NULL, "
	 "disabled BOOLEAN DEFAULT 0, "
	 "ordername VARCHAR(255), "
	 "auth BOOL DEFAULT 1, "
	 "FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);"
	 "CREATE INDEX records_lookup_idx ON records(name, type);"
	 "CREATE INDEX records_lookup_id_idx ON records(domain_id, name, type);"
	 "CREATE INDEX records_order_idx ON records(domain_id, ordername);"},
	{"supermasters", false,
	 "CREATE TABLE supermasters ("
	 "ip VARCHAR(64) NOT NULL, "
	 "nameserver VARCHAR(255) NOT NULL COLLATE NOCASE, "
	 "account VARCHAR(40) NOT NULL);"
	 "CREATE UNIQUE INDEX ip_nameserver_pk ON supermasters(ip, nameserver);"},
	{"comments", false,
	 "CREATE TABLE comments ("
	 "id INTEGER PRIMARY KEY, "
	 "domain_id INTEGER NOT NULL, "
	 "name VARCHAR(255) NOT NULL, "
	 "type VARCHAR(10) NOT NULL, "
	 "modified_at INT NOT NULL, "
	 "account VARCHAR(40) DEFAULT NULL, "
	 "comment VARCHAR(65535) NOT NULL, "
	 "FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);"
	 "CREATE INDEX comments_idx ON comments(domain_id, name, type);"
	 "CREATE INDEX comments_order_idx ON comments(domain_id, modified_at);"},
	{"domainmetadata", false,
	 "CREATE TABLE domainmetadata ("
	 "id INTEGER PRIMARY KEY, "
	 "domain_id INT NOT NULL, "
	 "kind VARCHAR(32) COLLATE NOCASE, "
	 "content TEXT, "
	 "FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);"
	 "CREATE INDEX domainmetaidindex ON domainmetadata(domain_id);"},
	{"cryptokeys", false,
	 "CREATE TABLE cryptokeys ("
	 "id INTEGER PRIMARY KEY, "
	 "domain_id INT NOT NULL, "
	 "flags INT NOT NULL, "
	 "active BOOL, "
	 "published BOOL DEFAULT 1, "
	 "content TEXT, "
	 "FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);"
	 "CREATE INDEX domainidindex ON cryptokeys(domain_id);"},
	{"tsigkeys", false,
	 "CREATE TABLE tsigkeys ("
	 "id INTEGER PRIMARY KEY, "
	 "name VARCHAR(255) COLLATE NOCASE, "
	 "algorithm VARCHAR(50) COLLATE NOCASE, "
	 "secret VARCHAR(255));"
	 "CREATE UNIQUE INDEX namealgoindex ON tsigkeys(name, algorithm);"},

	{"godwit_changes", true,
	 "CREATE TABLE godwit_changes ("
	 "seq INTEGER PRIMARY KEY AUTOINCREMENT, "
	 "domain_id INTEGER, "
	 "name TEXT, "
	 "token INTEGER NOT NULL DEFAULT (random()));"
	 /* A first row, so that a follower always has one to hold on to. */
	 "INSERT INTO godwit_changes (domain_id) VALUES (NULL);"},
	{"godwit_bulk", true, "CREATE TABLE godwit_bulk (domain_id INTEGER PRIMARY KEY);"},
	{"godwit_records_name", true,
	 "CREATE INDEX godwit_records_name ON records(domain_id, name COLLATE NOCASE);"},
	{"godwit_changes_trim", true,
	 "CREATE TRIGGER godwit_changes_trim AFTER INSERT ON godwit_changes "
	 "WHEN NEW.seq % 1024 = 0 BEGIN "
	 "DELETE FROM godwit_changes WHERE seq <= NEW.seq - " CHANGES_KEPT "; END;"},

	{"godwit_records_insert", true,
	 "CREATE TRIGGER godwit_records_insert AFTER INSERT ON records "
	 "WHEN " IS_FOLLOWED("NEW") "BEGIN "
				    "INSERT INTO godwit_changes (domain_id, name) "
				    "VALUES (NEW.domain_id, " CHANGED_NAME("NEW") "); END;"},
	/* REPLACE deletes the row in its way without firing a trigger for that. */
	{"godwit_records_replace", true,
	 "CREATE TRIGGER godwit_records_replace BEFORE INSERT ON records "
	 "WHEN EXISTS (SELECT 1 FROM records AS old WHERE old.id = NEW.id) BEGIN "
	 "INSERT INTO godwit_changes (domain_id, name) "
	 "SELECT old.domain_id, " CHANGED_NAME("old") " FROM records AS old "
						      "WHERE old.id = NEW.id; END;"},
	/* Other columns, ordername and auth, are about DNSSEC as PowerDNS does it. */
	{"godwit_records_update", true,
	 "CREATE TRIGGER godwit_records_update AFTER UPDATE OF "
	 "domain_id, name, type, content, ttl, prio, disabled ON records BEGIN "
	 "INSERT INTO godwit_changes (domain_id, name) "
	 "SELECT OLD.domain_id, " CHANGED_NAME("OLD") " WHERE " IS_FOLLOWED(
		 "OLD") "; "
			"INSERT INTO godwit_changes (domain_id, name) "
			"SELECT NEW.domain_id, " CHANGED_NAME("NEW") " WHERE " IS_FOLLOWED(
				"NEW") "AND (NEW.domain_id IS NOT OLD.domain_id OR NEW.name IS NOT "
				       "OLD.name); END;"},
	{"godwit_records_delete", true,
	 "CREATE TRIGGER godwit_records_delete AFTER DELETE ON records "
	 "WHEN " IS_FOLLOWED("OLD") "BEGIN "
				    "INSERT INTO godwit_changes (domain_id, name) "
				    "VALUES (OLD.domain_id, " CHANGED_NAME("OLD") "); END;"},

	{"godwit_domains_insert", true,
	 "CREATE TRIGGER godwit_domains_insert AFTER INSERT ON domains BEGIN "
	 "INSERT INTO godwit_changes (domain_id) VALUES (NEW.id); END;"},
	{"godwit_domains_replace", true,
	 "CREATE TRIGGER godwit_domains_replace BEFORE INSERT ON domains BEGIN "
	 "INSERT INTO godwit_changes (domain_id) "
	 "SELECT id FROM domains WHERE id = NEW.id OR name = NEW.name; END;"},
	/* Not last_check and notified_serial, which PowerDNS writes all the time. */
	{"godwit_domains_update", true,
	 "CREATE TRIGGER godwit_domains_update AFTER UPDATE OF id, name ON domains BEGIN "
	 "INSERT INTO godwit_changes (domain_id) VALUES (OLD.id); "
	 "INSERT INTO godwit_changes (domain_id) SELECT NEW.id WHERE NEW.id <> OLD.id; END;"},
	{"godwit_domains_delete", true,
	 "CREATE TRIGGER godwit_domains_delete AFTER DELETE ON domains BEGIN "
	 "INSERT INTO godwit_changes (domain_id) VALUES (OLD.id); END;"},
};

#define OBJECTS (sizeof(objects) / sizeof(objects[0]))

/* Whether a table, index or trigger of that name is there. */
static int find_object(struct sqlite_store *store, const char *name, bool *found)
{
	sqlite3_stmt *statement = sqlite_statement(store, STATEMENT_OBJECT_FIND);
	int64_t one;

	if (statement)
		sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
	int status = sqlite_read_integer(store, statement, "read its schema", 0, &one);
	*found = status == STORAGE_OK && one == 1;
	return status;
}

/* Whether the tables have the columns that are read: statements on them can be prepared. */
static int check_columns(struct sqlite_store *store)
{
	static const enum sqlite_statement probes[] = {STATEMENT_ZONES, STATEMENT_ZONE_ROWS,
						       STATEMENT_CHANGE_NEWEST};

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (!sqlite_statement(store, probes[i]))
			return sqlite_fail(store, "use its tables");
	}
	return STORAGE_OK;
}

int sqlite_schema_check(struct sqlite_store *store)
{
	bool found;

	if (!store->db)
		return storage_fail(&store->base, STORAGE_UNAVAILABLE,
				    "sqlite file %s does not exist: create it with "
				    "`godwitctl --store %s init`",
				    store->path, store->base.url);
	if (store->ready)
		return STORAGE_OK;
	for (size_t i = 0; i < OBJECTS; i++) {
		int status = find_object(store, objects[i].name, &found);
		if (status != STORAGE_OK)
			return status;
		if (!found && objects[i].needed)
			return storage_fail(
				&store->base, STORAGE_NOT_READY,
				"sqlite file %s has no %s: run `godwitctl --store %s init`",
				store->path, objects[i].name, store->base.url);
	}
	int status = check_columns(store);
	store->ready = status == STORAGE_OK;
	return status;
}

/* Makes a file without content use a write-ahead log: readers and writers then never wait. */
static int prepare_new_file(struct sqlite_store *store)
{
	sqlite3_stmt *statement = NULL;
	int64_t pages = 0;

	sqlite3_prepare_v2(store->db, "PRAGMA page_count", -1, &statement, NULL);
	int status = sqlite_read_integer(store, statement, "read", 0, &pages);
	sqlite3_finalize(statement);
	/* Should it fail - another init at the same moment - the file works all the same. */
	if (status == STORAGE_OK && pages == 0)
		sqlite3_exec(store->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	return status;
}

static int create_missing(struct sqlite_store *store)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		bool found;
		int status = find_object(store, objects[i].name, &found);
		if (status != STORAGE_OK)
			return status;
		if (!found &&
		    sqlite3_exec(store->db, objects[i].sql, NULL, NULL, NULL) != SQLITE_OK)
			return sqlite_fail(store, "create its tables");
	}
	return STORAGE_OK;
}

int sqlite_init(struct storage *storage)
{
	struct sqlite_store *store = sqlite_store_of(storage);
	int status = sqlite_open_or_create(store);

	if (status == STORAGE_OK)
		status = prepare_new_file(store);
	if (status == STORAGE_OK)
		status = sqlite_run_plain(store, STATEMENT_BEGIN_WRITE, "begin to write");
	if (status != STORAGE_OK)
		return status;
	status = create_missing(store);
	if (status == STORAGE_OK)
		status = sqlite_run_plain(store, STATEMENT_COMMIT, "commit");
	if (status == STORAGE_OK)
		status = sqlite_schema_check(store);
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return status;
}
