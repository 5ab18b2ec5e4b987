/*
 * The tables: PowerDNS's own (the schema of its gmysql back end, version 4), so that its programs
 * work on the same database, and beside them what Godwit needs to follow changes:
 *
 *  godwit_changes  one row for each change that anybody made: the zone (domains.id) and the owner
 *                  name as written in the row; no name for the whole zone; neither for everything.
 *                  Triggers on domains and records fill it. `at` is when the row was written, by
 *                  the server's clock: trimming goes by it, and a follower recognises by it that
 *                  the row it saw last is still the same, not one of a restored database that came
 *                  to the same number.
 *
 * The triggers are quiet while the session's variable @godwit_quiet is set: godwitctl sets it when
 * it writes whole zones, for which one row says it all. They write single rows of VALUES, for which
 * InnoDB takes no lock on the table's numbers: writers do not wait for each other. They run with
 * the rights of the account that ran init; the accounts that write need none on godwit_changes.
 *
 * Only NULL-safe and binary comparisons are used: a change of case in a TXT record is a change.
 * PowerDNS's updates of ordername, auth, last_check and the like are none.
 */
#include "storage/mysql_internal.h"

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is created when missing. */
struct schema_object {
	const char *name;
	bool trigger;
	const char *sql;
};

#define TABLE_OPTIONS " ENGINE=InnoDB CHARACTER SET latin1"

static const struct schema_object objects[] = {
	{"domains", false,
	 "CREATE TABLE IF NOT EXISTS domains ("
	 "id INT AUTO_INCREMENT, "
	 "name VARCHAR(255) NOT NULL, "
	 "master VARCHAR(128) DEFAULT NULL, "
	 "last_check INT DEFAULT NULL, "
	 "type VARCHAR(8) NOT NULL, "
	 "notified_serial INT UNSIGNED DEFAULT NULL, "
	 "account VARCHAR(40) CHARACTER SET utf8 DEFAULT NULL, "
	 "options VARCHAR(64000) DEFAULT NULL, "
	 "catalog VARCHAR(255) DEFAULT NULL, "
	 "PRIMARY KEY (id), UNIQUE KEY name_index (name), KEY catalog_idx "
	 "(catalog))" TABLE_OPTIONS},
	{"records", false,
	 "CREATE TABLE IF NOT EXISTS records ("
	 "id BIGINT AUTO_INCREMENT, "
	 "domain_id INT DEFAULT NULL, "
	 "name VARCHAR(255) DEFAULT NULL, "
	 "type VARCHAR(10) DEFAULT NULL, "
	 "content VARCHAR(64000) DEFAULT NULL, "
	 "ttl INT DEFAULT NULL, "
	 "prio INT DEFAULT NULL, "
	 "disabled TINYINT(1) DEFAULT 0, "
	 "ordername VARCHAR(255) BINARY DEFAULT NULL, "
	 "auth TINYINT(1) DEFAULT 1, "
	 "PRIMARY KEY (id), KEY nametype_index (name, type), KEY domain_id (domain_id), "
	 "KEY ordername (ordername))" TABLE_OPTIONS},
	{"supermasters", false,
	 "CREATE TABLE IF NOT EXISTS supermasters ("
	 "ip VARCHAR(64) NOT NULL, "
	 "nameserver VARCHAR(255) NOT NULL, "
	 "account VARCHAR(40) CHARACTER SET utf8 NOT NULL, "
	 "PRIMARY KEY (ip, nameserver))" TABLE_OPTIONS},
	{"comments", false,
	 "CREATE TABLE IF NOT EXISTS comments ("
	 "id INT AUTO_INCREMENT, "
	 "domain_id INT NOT NULL, "
	 "name VARCHAR(255) NOT NULL, "
	 "type VARCHAR(10) NOT NULL, "
	 "modified_at INT NOT NULL, "
	 "account VARCHAR(40) CHARACTER SET utf8 DEFAULT NULL, "
	 "comment TEXT CHARACTER SET utf8 NOT NULL, "
	 "PRIMARY KEY (id), KEY comments_name_type_idx (name, type), "
	 "KEY comments_order_idx (domain_id, modified_at))" TABLE_OPTIONS},
	{"domainmetadata", false,
	 "CREATE TABLE IF NOT EXISTS domainmetadata ("
	 "id INT AUTO_INCREMENT, "
	 "domain_id INT NOT NULL, "
	 "kind VARCHAR(32), "
	 "content TEXT, "
	 "PRIMARY KEY (id), KEY domainmetadata_idx (domain_id, kind))" TABLE_OPTIONS},
	{"cryptokeys", false,
	 "CREATE TABLE IF NOT EXISTS cryptokeys ("
	 "id INT AUTO_INCREMENT, "
	 "domain_id INT NOT NULL, "
	 "flags INT NOT NULL, "
	 "active BOOL, "
	 "published BOOL DEFAULT 1, "
	 "content TEXT, "
	 "PRIMARY KEY (id), KEY domainidindex (domain_id))" TABLE_OPTIONS},
	{"tsigkeys", false,
	 "CREATE TABLE IF NOT EXISTS tsigkeys ("
	 "id INT AUTO_INCREMENT, "
	 "name VARCHAR(255), "
	 "algorithm VARCHAR(50), "
	 "secret VARCHAR(255), "
	 "PRIMARY KEY (id), UNIQUE KEY namealgoindex (name, algorithm))" TABLE_OPTIONS},

	{"godwit_changes", false,
	 "CREATE TABLE IF NOT EXISTS godwit_changes ("
	 "seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, "
	 "domain_id BIGINT DEFAULT NULL, "
	 "name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL, "
	 "at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), "
	 "PRIMARY KEY (seq)) ENGINE=InnoDB"},
	{"godwit_records_insert", true,
	 "CREATE TRIGGER godwit_records_insert AFTER INSERT ON records FOR EACH ROW BEGIN "
	 "IF NEW.domain_id IS NOT NULL AND @godwit_quiet IS NULL THEN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (NEW.domain_id, NEW.name); "
	 "END IF; END"},
	{"godwit_records_update", true,
	 "CREATE TRIGGER godwit_records_update AFTER UPDATE ON records FOR EACH ROW BEGIN "
	 "IF @godwit_quiet IS NULL AND (NOT (OLD.domain_id <=> NEW.domain_id) OR "
	 "NOT (OLD.ttl <=> NEW.ttl) OR NOT (OLD.prio <=> NEW.prio) OR "
	 "NOT (OLD.disabled <=> NEW.disabled) OR "
	 "NOT (CAST(OLD.name AS BINARY) <=> CAST(NEW.name AS BINARY)) OR "
	 "NOT (CAST(OLD.type AS BINARY) <=> CAST(NEW.type AS BINARY)) OR "
	 "NOT (CAST(OLD.content AS BINARY) <=> CAST(NEW.content AS BINARY))) THEN "
	 "IF OLD.domain_id IS NOT NULL THEN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (OLD.domain_id, OLD.name); "
	 "END IF; "
	 "IF NEW.domain_id IS NOT NULL AND (NOT (OLD.domain_id <=> NEW.domain_id) OR "
	 "NOT (CAST(OLD.name AS BINARY) <=> CAST(NEW.name AS BINARY))) THEN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (NEW.domain_id, NEW.name); "
	 "END IF; END IF; END"},
	{"godwit_records_delete", true,
	 "CREATE TRIGGER godwit_records_delete AFTER DELETE ON records FOR EACH ROW BEGIN "
	 "IF OLD.domain_id IS NOT NULL AND @godwit_quiet IS NULL THEN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (OLD.domain_id, OLD.name); "
	 "END IF; END"},
	{"godwit_domains_insert", true,
	 "CREATE TRIGGER godwit_domains_insert AFTER INSERT ON domains FOR EACH ROW BEGIN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (NEW.id, NULL); END"},
	{"godwit_domains_update", true,
	 "CREATE TRIGGER godwit_domains_update AFTER UPDATE ON domains FOR EACH ROW BEGIN "
	 "IF OLD.id <> NEW.id OR "
	 "NOT (CAST(OLD.name AS BINARY) <=> CAST(NEW.name AS BINARY)) THEN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (OLD.id, NULL); "
	 "IF OLD.id <> NEW.id THEN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (NEW.id, NULL); "
	 "END IF; END IF; END"},
	{"godwit_domains_delete", true,
	 "CREATE TRIGGER godwit_domains_delete AFTER DELETE ON domains FOR EACH ROW BEGIN "
	 "INSERT INTO godwit_changes (domain_id, name) VALUES (OLD.id, NULL); END"},
};

#define OBJECTS (sizeof(objects) / sizeof(objects[0]))

/* --- checking --------------------------------------------------------------------------------- */

/* Which objects are there, as far as this account may see: `found` has OBJECTS entries. */
static int find_objects(struct mysql_store *store, bool *found)
{
	static const char doing[] = "read its schema";
	struct mysql_result result;

	memset(found, 0, OBJECTS * sizeof(*found));
	mysql_text_start(&store->statement,
			 "SELECT LOWER(table_name), 0 FROM information_schema.tables "
			 "WHERE table_schema = DATABASE() "
			 "UNION ALL SELECT LOWER(trigger_name), 1 FROM information_schema.triggers "
			 "WHERE trigger_schema = DATABASE()");
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, doing)) == STORAGE_OK && result.row) {
		bool trigger = mysql_result_number(&result, 1, 0) == 1;
		for (size_t i = 0; i < OBJECTS; i++) {
			if (objects[i].trigger == trigger &&
			    strcmp(objects[i].name, mysql_result_text(&result, 0)) == 0)
				found[i] = true;
		}
	}
	mysql_result_close(store, &result);
	return status;
}

/*
 * Whether this account may see triggers: one that has no more than SELECT sees none, and then none
 * being there says nothing. Grants by way of a role are not listed; finding one shows it, too.
 */
static int find_trigger_right(struct mysql_store *store, const bool *found, bool *right)
{
	static const char doing[] = "read its privileges";
	struct mysql_result result;

	*right = false;
	for (size_t i = 0; i < OBJECTS; i++)
		*right = *right || (objects[i].trigger && found[i]);
	if (*right)
		return STORAGE_OK;
	mysql_text_start(
		&store->statement,
		"SELECT 1 FROM information_schema.user_privileges WHERE privilege_type = 'TRIGGER' "
		"UNION SELECT 1 FROM information_schema.schema_privileges "
		"WHERE privilege_type = 'TRIGGER' AND DATABASE() LIKE table_schema "
		"UNION SELECT 1 FROM information_schema.table_privileges "
		"WHERE privilege_type = 'TRIGGER' AND table_schema = DATABASE() "
		"AND table_name = 'records'");
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	*right = result.row != NULL;
	mysql_result_close(store, &result);
	return status;
}

/* Remembers the index by which all rows come in the order of their names without sorting. */
static int find_name_index(struct mysql_store *store)
{
	static const char doing[] = "read its schema";
	struct mysql_result result;

	store->name_index[0] = '\0';
	mysql_text_start(&store->statement,
			 "SELECT index_name FROM information_schema.statistics WHERE table_schema "
			 "= DATABASE() AND table_name = 'records' AND column_name = 'name' AND "
			 "seq_in_index = 1 AND sub_part IS NULL AND index_type = 'BTREE' LIMIT 1");
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	if (status == STORAGE_OK && result.row && !strchr(mysql_result_text(&result, 0), '`'))
		snprintf(store->name_index, sizeof(store->name_index), "%s",
			 mysql_result_text(&result, 0));
	mysql_result_close(store, &result);
	return status;
}

/* Notes whether looking up a name by "=" finds it in any case, as PowerDNS's schema has it. */
static int find_collation(struct mysql_store *store)
{
	static const char doing[] = "read its schema";
	struct mysql_result result;

	mysql_text_start(&store->statement,
			 "SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() "
			 "AND table_name IN ('records', 'domains') AND column_name = 'name' "
			 "AND collation_name NOT LIKE '%\\_ci'");
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	store->minds_case = result.row != NULL;
	mysql_result_close(store, &result);
	return status;
}

/* Whether the columns that are read are there, and may be read. */
static int check_columns(struct mysql_store *store)
{
	static const char *const probes[] = {
		"SELECT id, name FROM domains LIMIT 0",
		"SELECT id, domain_id, name, type, content, ttl, prio, disabled FROM records LIMIT "
		"0",
		"SELECT seq, domain_id, name, at FROM godwit_changes LIMIT 0",
	};
	struct mysql_result result;

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		mysql_text_start(&store->statement, probes[i]);
		int status =
			mysql_store_query(store, false, MYSQL_REPLY_MS, "use its tables", &result);
		if (status != STORAGE_OK)
			return status;
		mysql_result_close(store, &result);
	}
	return STORAGE_OK;
}

int mysql_schema_check(struct mysql_store *store)
{
	bool found[OBJECTS], right;

	if (!store->db)
		return storage_fail(&store->base, STORAGE_UNAVAILABLE, "mysql %s: not connected",
				    store->place);
	if (store->ready)
		return STORAGE_OK;
	int status = check_columns(store);
	if (status == STORAGE_OK)
		status = find_objects(store, found);
	if (status == STORAGE_OK)
		status = find_trigger_right(store, found, &right);
	if (status != STORAGE_OK)
		return status;
	for (size_t i = 0; i < OBJECTS; i++) {
		if (!found[i] && objects[i].trigger && right)
			return storage_fail(
				&store->base, STORAGE_NOT_READY,
				"mysql %s has no trigger %s: run `godwitctl --store %s init`",
				store->place, objects[i].name, store->base.url);
	}
	status = find_name_index(store);
	if (status == STORAGE_OK)
		status = find_collation(store);
	store->ready = status == STORAGE_OK;
	return status;
}

/* --- creating --------------------------------------------------------------------------------- */

/* Says which statement failed, and all that init needs. */
static int fail_create(struct mysql_store *store, const struct schema_object *object)
{
	char doing[80], reason[STORAGE_ERROR_MAX];
	int status;

	snprintf(doing, sizeof(doing), "create %s %s", object->trigger ? "trigger" : "table",
		 object->name);
	status = mysql_store_fail(store, doing);
	switch (mysql_errno(store->db)) {
	case ER_TABLEACCESS_DENIED_ERROR:
	case ER_DBACCESS_DENIED_ERROR:
	case ER_SPECIFIC_ACCESS_DENIED_ERROR:
		snprintf(reason, sizeof(reason), "%s", mysql_error(store->db));
		return storage_fail(&store->base, STORAGE_REFUSED,
				    "mysql %s: cannot %s: %s: init needs SELECT, INSERT, CREATE "
				    "and TRIGGER on the database: GRANT SELECT, INSERT, CREATE, "
				    "TRIGGER ON `%s`.* TO the account, or run init with another",
				    store->place, doing, reason, store->url.database);
	default:
		return status;
	}
}

static int create_missing(struct mysql_store *store, const bool *found, bool *created)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		if (found[i])
			continue;
		int status = mysql_store_run_text(store, objects[i].sql, MYSQL_REPLY_LONG_MS,
						  "create its tables");
		if (status == STORAGE_OK)
			*created = true;
		else if (!store->db || storage_is_interrupted(&store->base))
			return status;
		else if (mysql_errno(store->db) != ER_TRG_ALREADY_EXISTS) /* another init */
			return fail_create(store, &objects[i]);
	}
	return STORAGE_OK;
}

int mysql_store_init(struct storage *storage)
{
	struct mysql_store *store = mysql_store_of(storage);
	bool found[OBJECTS], created = false;
	int status = store->db ? STORAGE_OK : mysql_store_open(storage);

	/* Creating a trigger waits for the transactions that use its table. */
	if (status == STORAGE_OK)
		status = mysql_store_run_text(store, "SET SESSION lock_wait_timeout = 30",
					      MYSQL_REPLY_MS, "set the session");
	if (status == STORAGE_OK)
		status = find_objects(store, found);
	if (status == STORAGE_OK)
		status = create_missing(store, found, &created);
	/*
	 * Changes may have gone unseen while something was missing: the first row tells followers,
	 * if there are any, to load everything, and gives them one to hold on to.
	 */
	if (status == STORAGE_OK && created)
		status = mysql_store_run_text(store, "INSERT INTO godwit_changes () VALUES ()",
					      MYSQL_REPLY_MS, "write to godwit_changes");
	store->ready = false;
	return status == STORAGE_OK ? mysql_schema_check(store) : status;
}
