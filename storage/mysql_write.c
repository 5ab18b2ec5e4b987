/*
 * Writing zones and RRsets, as PowerDNS would.
 *
 * Rows to insert are gathered and sent many in one statement. They are sent before anything else is
 * asked or deleted, so that the order of things stays; an error then names the row it is about.
 *
 * A zone that is added, cleared or deleted is written as a whole: one row in godwit_changes says it
 * all, and its other rows are written with the triggers quiet (see mysql_schema.c). Its RRsets need
 * not be deleted before they are put, either, unless one is put a second time: hashes of those that
 * were put are kept until the commit. So importing a million records is little more than inserting
 * a million rows.
 *
 * Whoever writes locks the zone's row in `domains` first (mysql_store_find_zone), so that two
 * programs which read, change and write the same RRset do so one after the other.
 */
#include "storage/mysql_internal.h"

#include "dns/rdata.h"

#include <ctype.h>
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

/* Rows are sent when they reach either; servers take at least a megabyte at once. */
#define FLUSH_SIZE (256 * 1024)
#define FLUSH_ROWS 2000

static const char insert_rows[] =
	"INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, auth) VALUES ";

/* RRsets put into whole zones in this transaction: hashes in an open-addressing table. */
struct rrset_hashes {
	uint64_t *list; /* 0: empty */
	size_t count;
	size_t capacity; /* a power of 2 */
};

struct mysql_writer {
	struct powerdns_zones whole; /* zones written as a whole in this transaction */
	struct rrset_hashes put;
	char *apex; /* the zone last written to, or NULL */
	int64_t zone;
	bool zone_is_whole;
	bool quiet;             /* the session's triggers are */
	struct mysql_text rows; /* to be inserted */
	size_t row_count;
};

/* --- hashes ----------------------------------------------------------------------------------- */

static bool hashes_grow(struct rrset_hashes *hashes)
{
	struct rrset_hashes larger = {.capacity = hashes->capacity ? 2 * hashes->capacity : 1024};

	if (hashes->count * 2 < hashes->capacity)
		return true;
	larger.list = calloc(larger.capacity, sizeof(*larger.list));
	if (!larger.list)
		return false;
	for (size_t i = 0; i < hashes->capacity; i++) {
		size_t place = hashes->list[i] & (larger.capacity - 1);
		if (hashes->list[i] == 0)
			continue;
		while (larger.list[place] != 0)
			place = (place + 1) & (larger.capacity - 1);
		larger.list[place] = hashes->list[i];
	}
	larger.count = hashes->count;
	free(hashes->list);
	*hashes = larger;
	return true;
}

/* Adds a hash; `*known` when it was there. False: out of memory. */
static bool hashes_add(struct rrset_hashes *hashes, uint64_t hash, bool *known)
{
	if (!hashes_grow(hashes))
		return false;
	size_t place = hash & (hashes->capacity - 1);
	while (hashes->list[place] != 0 && hashes->list[place] != hash)
		place = (place + 1) & (hashes->capacity - 1);
	*known = hashes->list[place] == hash;
	hashes->count += !*known;
	hashes->list[place] = hash;
	return true;
}

/* FNV-1a of a text in lower case with its NUL, going on from `hash`. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (uint64_t)tolower((unsigned char)*text)) * 0x100000001b3;
	while (*text++ != '\0');
	return hash;
}

static uint64_t hash_rrset(int64_t zone, const char *owner, const char *type)
{
	uint64_t hash = hash_text(hash_text(0xcbf29ce484222325 ^ (uint64_t)zone, owner), type);

	hash ^= hash >> 32;
	return hash ? hash : 1;
}

/* --- transactions ----------------------------------------------------------------------------- */

/* Forgets what belongs to one transaction. */
static void reset(struct mysql_writer *writer)
{
	powerdns_zones_clear(&writer->whole);
	free(writer->put.list);
	writer->put = (struct rrset_hashes){0};
	free(writer->apex);
	writer->apex = NULL;
	writer->rows.size = 0;
	writer->rows.failed = false;
	writer->row_count = 0;
}

void mysql_writer_destroy(struct mysql_writer *writer)
{
	if (!writer)
		return;
	reset(writer);
	mysql_text_clear(&writer->rows);
	free(writer);
}

int mysql_writer_flush(struct mysql_store *store)
{
	struct mysql_writer *writer = store->writer;

	if (writer->row_count == 0)
		return STORAGE_OK;
	int status =
		mysql_store_run_built(store, &writer->rows, MYSQL_REPLY_LONG_MS, "insert records");
	writer->rows.size = 0;
	writer->rows.failed = false;
	writer->row_count = 0;
	return status;
}

/* Runs store->statement after the rows that wait. */
static int run(struct mysql_store *store, const char *doing)
{
	int status = mysql_writer_flush(store);

	return status == STORAGE_OK ? mysql_store_run(store, MYSQL_REPLY_LONG_MS, doing) : status;
}

/* Makes the triggers quiet, or not. */
static int set_quiet(struct mysql_store *store, bool quiet)
{
	if (store->writer->quiet == quiet)
		return STORAGE_OK;
	int status = mysql_writer_flush(store);
	if (status == STORAGE_OK)
		status = mysql_store_run_text(
			store, quiet ? "SET @godwit_quiet = 1" : "SET @godwit_quiet = NULL",
			MYSQL_REPLY_MS, "set the session");
	if (status == STORAGE_OK)
		store->writer->quiet = quiet;
	return status;
}

int mysql_store_begin(struct storage *storage)
{
	struct mysql_store *store = mysql_store_of(storage);
	int status = mysql_schema_check(store);

	if (status != STORAGE_OK)
		return status;
	if (!store->writer && !(store->writer = calloc(1, sizeof(*store->writer))))
		return mysql_store_fail_memory(store);
	reset(store->writer);
	mysql_trim_as_writer(store);
	store->writer->quiet = true; /* unknown, perhaps of another connection */
	status = set_quiet(store, false);
	if (status == STORAGE_OK)
		status = mysql_store_run_text(store, "START TRANSACTION", MYSQL_REPLY_MS,
					      "begin to write");
	return status;
}

int mysql_store_commit(struct storage *storage)
{
	struct mysql_store *store = mysql_store_of(storage);
	int status = set_quiet(store, false);

	if (status == STORAGE_OK)
		status = mysql_writer_flush(store);
	if (status == STORAGE_OK)
		status = mysql_store_run_text(store, "COMMIT", MYSQL_REPLY_LONG_MS, "commit");
	if (status != STORAGE_OK)
		return status;
	reset(store->writer);
	return STORAGE_OK;
}

void mysql_store_rollback(struct storage *storage)
{
	struct mysql_store *store = mysql_store_of(storage);
	char error[STORAGE_ERROR_MAX];

	reset(store->writer);
	if (!store->db)
		return;
	/* Why it is rolled back has been said. Should this fail, the server does it, too. */
	memcpy(error, storage->error, sizeof(error));
	if (mysql_store_run_text(store, "ROLLBACK", MYSQL_REPLY_LONG_MS, "roll back") != STORAGE_OK)
		mysql_store_close(store);
	memcpy(storage->error, error, sizeof(error));
}

/* --- zones ------------------------------------------------------------------------------------ */

/* The zone last written to may be gone, or another. */
static void forget_zone(struct mysql_writer *writer)
{
	free(writer->apex);
	writer->apex = NULL;
}

/* Runs "SQL id", a statement that ends in the zone's id. */
static int run_for_zone(struct mysql_store *store, const char *sql, int64_t id)
{
	int status = mysql_writer_flush(store);

	mysql_text_start(&store->statement, sql);
	mysql_text_add_format(&store->statement, "%lld", (long long)id);
	return status == STORAGE_OK ? mysql_store_run(store, MYSQL_REPLY_LONG_MS, "write a zone")
				    : status;
}

/* From now on until the commit, one change stands for all of the zone's. Empties it. */
static int begin_whole(struct mysql_store *store, const char *apex, int64_t id)
{
	char *copy = strdup(apex);

	if (!copy || !powerdns_zones_put(&store->writer->whole, id, copy))
		return mysql_store_fail_memory(store);
	forget_zone(store->writer);
	int status = run_for_zone(
		store,
		"INSERT INTO godwit_changes (domain_id) SELECT id FROM domains WHERE id = ", id);
	if (status == STORAGE_OK)
		status = set_quiet(store, true);
	if (status == STORAGE_OK)
		status = run_for_zone(store, "DELETE FROM records WHERE domain_id = ", id);
	return status;
}

int mysql_store_zone_add(struct storage *storage, const char *apex)
{
	struct mysql_store *store = mysql_store_of(storage);
	int64_t id;
	int status = mysql_store_get_zone_id(store, apex, &id);

	if (status == STORAGE_OK)
		return storage_fail(storage, STORAGE_EXISTS, "mysql %s has a zone %s already",
				    store->place, apex);
	if (status != STORAGE_NOT_FOUND)
		return status;
	mysql_text_start(&store->statement, "INSERT INTO domains (name, type) VALUES (");
	mysql_store_add_quoted(store, &store->statement, apex, strlen(apex));
	mysql_text_add(&store->statement, ", 'NATIVE')");
	status = run(store, "add a zone");
	/* Rows may be there for an id that a zone had before: they were nobody's. */
	if (status == STORAGE_OK)
		status = begin_whole(store, apex, (int64_t)mysql_insert_id(store->db));
	return status;
}

int mysql_store_zone_clear(struct storage *storage, const char *apex)
{
	struct mysql_store *store = mysql_store_of(storage);
	int64_t id;
	int status = mysql_store_get_zone_id(store, apex, &id);

	return status == STORAGE_OK ? begin_whole(store, apex, id) : status;
}

/* What PowerDNS's other tables know of a zone goes with it; not all have those tables. */
static int delete_belongings(struct mysql_store *store, int64_t id)
{
	static const char *const deletes[] = {
		"DELETE FROM comments WHERE domain_id = ",
		"DELETE FROM domainmetadata WHERE domain_id = ",
		"DELETE FROM cryptokeys WHERE domain_id = ",
	};

	for (size_t i = 0; i < sizeof(deletes) / sizeof(deletes[0]); i++) {
		int status = run_for_zone(store, deletes[i], id);
		if (status != STORAGE_OK &&
		    (!store->db || mysql_errno(store->db) != ER_NO_SUCH_TABLE))
			return status;
	}
	return STORAGE_OK;
}

int mysql_store_zone_delete(struct storage *storage, const char *apex)
{
	struct mysql_store *store = mysql_store_of(storage);
	int64_t id;
	int status = mysql_store_get_zone_id(store, apex, &id);

	if (status == STORAGE_OK)
		status = begin_whole(store, apex, id);
	if (status == STORAGE_OK)
		status = delete_belongings(store, id);
	if (status == STORAGE_OK)
		status = run_for_zone(store, "DELETE FROM domains WHERE id = ", id);
	return status;
}

/* --- RRsets ----------------------------------------------------------------------------------- */

/* Gets ready to write to a zone: most often the one of the last time. */
static int select_zone(struct mysql_store *store, const char *apex)
{
	struct mysql_writer *writer = store->writer;

	if (!writer->apex || strcmp(writer->apex, apex) != 0) {
		forget_zone(writer);
		int status = mysql_writer_flush(store);
		if (status == STORAGE_OK)
			status = mysql_store_get_zone_id(store, apex, &writer->zone);
		if (status != STORAGE_OK)
			return status;
		writer->zone_is_whole = powerdns_zones_find(&writer->whole, writer->zone) != NULL;
		writer->apex = strdup(apex); /* failing that, it is looked up again */
	}
	return set_quiet(store, writer->zone_is_whole);
}

/*
 * Deletes an RRset in whatever spelling. The first condition is for the index; the second, by
 * octets, leaves names alone that only the server's collation takes for equal.
 */
static int delete_rrset(struct mysql_store *store, const char *owner, const char *mnemonic,
			const char *generic)
{
	struct mysql_text *statement = &store->statement;

	mysql_text_start(statement, "DELETE FROM records WHERE domain_id = ");
	mysql_text_add_format(statement, "%lld AND %s IN (", (long long)store->writer->zone,
			      mysql_store_name_key(store));
	mysql_store_add_spellings(store, owner);
	mysql_text_add(statement,
		       ") AND LOWER(CONVERT(name USING utf8mb4)) COLLATE utf8mb4_bin IN (");
	mysql_store_add_spellings(store, owner);
	mysql_text_add(statement, ") AND type IN (");
	mysql_store_add_quoted(store, statement, mnemonic, strlen(mnemonic));
	mysql_text_add(statement, ", ");
	mysql_store_add_quoted(store, statement, generic, strlen(generic));
	mysql_text_add(statement, ")");
	return run(store, "delete records");
}

/* Appends one row to those that wait. */
static int add_row(struct mysql_store *store, const char *owner, const char *type, uint32_t ttl,
		   const char *text)
{
	struct mysql_writer *writer = store->writer;
	char *content = malloc(strlen(text) + 1);
	int32_t prio;

	if (!content)
		return mysql_store_fail_memory(store);
	powerdns_content_split(type, text, content, &prio);
	if (writer->row_count++ == 0)
		mysql_text_start(&writer->rows, insert_rows);
	else
		mysql_text_add(&writer->rows, ", ");
	mysql_text_add_format(&writer->rows, "(%lld, ", (long long)writer->zone);
	mysql_store_add_quoted(store, &writer->rows, owner, strlen(owner));
	mysql_text_add(&writer->rows, ", ");
	mysql_store_add_quoted(store, &writer->rows, type, strlen(type));
	mysql_text_add(&writer->rows, ", ");
	mysql_store_add_quoted(store, &writer->rows, content, strlen(content));
	if (prio >= 0)
		mysql_text_add_format(&writer->rows, ", %u, %d, 0, 1)", ttl, prio);
	else
		mysql_text_add_format(&writer->rows, ", %u, NULL, 0, 1)", ttl);
	free(content);
	if (writer->rows.size >= FLUSH_SIZE || writer->row_count >= FLUSH_ROWS)
		return mysql_writer_flush(store);
	return STORAGE_OK;
}

int mysql_store_rrset_put(struct storage *storage, const char *apex, const char *owner,
			  const char *type, uint32_t ttl, const char *const *contents, size_t count)
{
	struct mysql_store *store = mysql_store_of(storage);
	char mnemonic[DNS_TYPE_TEXT_MAX], generic[DNS_TYPE_TEXT_MAX];
	bool known = true;
	int status = select_zone(store, apex);

	if (status != STORAGE_OK)
		return status;
	powerdns_type_spellings(type, mnemonic, generic);
	if (store->writer->zone_is_whole &&
	    !hashes_add(&store->writer->put, hash_rrset(store->writer->zone, owner, mnemonic),
			&known))
		return mysql_store_fail_memory(store);
	if (known)
		status = delete_rrset(store, owner, mnemonic, generic);
	for (size_t i = 0; i < count && status == STORAGE_OK; i++)
		status = add_row(store, owner, mnemonic, ttl, contents[i]);
	return status;
}

int mysql_store_rrset_delete(struct storage *storage, const char *apex, const char *owner,
			     const char *type)
{
	struct mysql_store *store = mysql_store_of(storage);
	char mnemonic[DNS_TYPE_TEXT_MAX], generic[DNS_TYPE_TEXT_MAX];
	int status = select_zone(store, apex);

	if (status != STORAGE_OK)
		return status;
	powerdns_type_spellings(type, mnemonic, generic);
	return delete_rrset(store, owner, mnemonic, generic);
}
