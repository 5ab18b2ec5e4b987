/*
 * Statements and results: the client library's calls, with time-outs, interruption and errors as
 * storage.h has them.
 *
 * Statements are text with quoted values rather than prepared ones: looking up 500 names or
 * inserting 2,000 rows is one statement then, whatever their number, and proxies that move a
 * session between servers lose nothing. Values come in only through mysql_store_add_quoted and as
 * numbers.
 *
 * Waiting for a reply is done with poll(2) on the connection and on the store's wake_fd together,
 * so that an interruption ends it at once; the library's own time-outs cover the rest, which is
 * reading what has begun to arrive. A connection that was given up on is closed: a reply that comes
 * late must not be taken for another's.
 */
#include "storage/mysql_internal.h"

#include "common/clock.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* --- errors ----------------------------------------------------------------------------------- */

struct meaning {
	unsigned int code;
	int status;
	const char *advice; /* what a person can do, "" for nothing but waiting */
};

static const struct meaning meanings[] = {
	{ER_NO_SUCH_TABLE, STORAGE_NOT_READY, ""},
	{ER_BAD_FIELD_ERROR, STORAGE_NOT_READY, ""},
	{ER_TABLE_DEF_CHANGED, STORAGE_RELOAD, ""}, /* within the view that is open */
	{ER_BAD_DB_ERROR, STORAGE_UNAVAILABLE, "create it: CREATE DATABASE"},
	{ER_ACCESS_DENIED_ERROR, STORAGE_UNAVAILABLE, "check the URL's user and the password file"},
	{ER_DBACCESS_DENIED_ERROR, STORAGE_UNAVAILABLE,
	 "grant it: a backend needs SELECT on the database, godwitctl INSERT, UPDATE and DELETE "
	 "besides"},
	{ER_TABLEACCESS_DENIED_ERROR, STORAGE_REFUSED,
	 "grant it: a backend needs SELECT on the database, godwitctl INSERT, UPDATE and DELETE "
	 "besides, and its init CREATE and TRIGGER"},
	{ER_COLUMNACCESS_DENIED_ERROR, STORAGE_REFUSED, "grant it for the whole table"},
	{ER_SPECIFIC_ACCESS_DENIED_ERROR, STORAGE_REFUSED, "grant it, or use another account"},
	{ER_BINLOG_CREATE_ROUTINE_NEED_SUPER, STORAGE_REFUSED,
	 "the server keeps a binary log: SET GLOBAL log_bin_trust_function_creators = 1, or run "
	 "init with an account that has SUPER"},
	{ER_OPTION_PREVENTS_STATEMENT, STORAGE_REFUSED,
	 "name a host that takes writes: this one is read-only"},
	{ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, STORAGE_REFUSED, ""},
	{ER_ROW_IS_REFERENCED_2, STORAGE_REFUSED, "a foreign key forbids it"},
	{ER_NO_REFERENCED_ROW_2, STORAGE_REFUSED, "a foreign key forbids it"},
	{ER_DUP_ENTRY, STORAGE_REFUSED, ""},
	{ER_DATA_TOO_LONG, STORAGE_REFUSED, ""},
	{ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, STORAGE_REFUSED, ""},
	{ER_WARN_DATA_OUT_OF_RANGE, STORAGE_REFUSED, ""},
	{ER_NET_PACKET_TOO_LARGE, STORAGE_REFUSED, "raise the server's max_allowed_packet"},
	{ER_CON_COUNT_ERROR, STORAGE_UNAVAILABLE, "raise the server's max_connections"},
	{ER_LOCK_WAIT_TIMEOUT, STORAGE_UNAVAILABLE,
	 "another program holds a lock on it: try again"},
	{ER_LOCK_DEADLOCK, STORAGE_UNAVAILABLE, "try again"},
	{ER_RECORD_FILE_FULL, STORAGE_UNAVAILABLE, "make room on the server's disk"},
	{ER_DISK_FULL, STORAGE_UNAVAILABLE, "make room on the server's disk"},
};

int mysql_store_fail(struct mysql_store *store, const char *doing)
{
	static const struct meaning other = {0, STORAGE_UNAVAILABLE, ""};
	const struct meaning *meaning = &other;
	unsigned int code = mysql_errno(store->db);

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].code == code)
			meaning = &meanings[i];
	}
	if (storage_is_interrupted(&store->base))
		return storage_fail_interrupted(&store->base);
	if (meaning->status == STORAGE_NOT_READY)
		return storage_fail(&store->base, STORAGE_NOT_READY,
				    "mysql %s: cannot %s: %s: run `godwitctl --store %s init`",
				    store->place, doing, mysql_error(store->db), store->base.url);
	return storage_fail(&store->base, meaning->status, "mysql %s: cannot %s: %s%s%s",
			    store->place, doing, mysql_error(store->db),
			    *meaning->advice ? ": " : "", meaning->advice);
}

int mysql_store_fail_memory(struct mysql_store *store)
{
	return storage_fail(&store->base, STORAGE_UNAVAILABLE, "mysql %s: out of memory",
			    store->place);
}

/* --- statements ------------------------------------------------------------------------------- */

/* Waits until the reply begins to arrive. */
static int wait_reply(struct mysql_store *store, int limit_ms, const char *doing)
{
	struct pollfd fds[] = {{.fd = mysql_get_socket(store->db), .events = POLLIN},
			       {.fd = store->base.wake_fd, .events = POLLIN}};
	int64_t deadline = clock_now_ms() + limit_ms;

	for (;;) {
		int64_t left = deadline - clock_now_ms();
		int ready = left > 0 ? poll(fds, 2, (int)left) : 0;
		if (storage_is_interrupted(&store->base)) {
			mysql_store_close(store);
			return storage_fail_interrupted(&store->base);
		}
		if (ready > 0 && fds[0].revents)
			return STORAGE_OK;
		if (left <= 0) {
			mysql_store_close(store);
			return storage_fail(&store->base, STORAGE_UNAVAILABLE,
					    "mysql %s: cannot %s: no reply within %d s: is the "
					    "server stopped or the network down?",
					    store->place, doing, limit_ms / 1000);
		}
	}
}

static int run(struct mysql_store *store, const char *sql, size_t size, int limit_ms,
	       const char *doing)
{
	if (!store->db)
		return storage_fail(&store->base, STORAGE_UNAVAILABLE, "mysql %s: not connected",
				    store->place);
	if (storage_is_interrupted(&store->base))
		return storage_fail_interrupted(&store->base);
	if (mysql_send_query(store->db, sql, size))
		return mysql_store_fail(store, doing);
	int status = wait_reply(store, limit_ms, doing);
	if (status == STORAGE_OK && mysql_read_query_result(store->db))
		status = mysql_store_fail(store, doing);
	return status;
}

int mysql_store_run_text(struct mysql_store *store, const char *sql, int limit_ms,
			 const char *doing)
{
	return run(store, sql, strlen(sql), limit_ms, doing);
}

int mysql_store_run_built(struct mysql_store *store, const struct mysql_text *statement,
			  int limit_ms, const char *doing)
{
	if (statement->failed)
		return mysql_store_fail_memory(store);
	return run(store, statement->data, statement->size, limit_ms, doing);
}

int mysql_store_run(struct mysql_store *store, int limit_ms, const char *doing)
{
	return mysql_store_run_built(store, &store->statement, limit_ms, doing);
}

int mysql_store_query(struct mysql_store *store, bool streamed, int limit_ms, const char *doing,
		      struct mysql_result *result)
{
	int status = mysql_store_run(store, limit_ms, doing);

	*result = (struct mysql_result){.streamed = streamed};
	if (status != STORAGE_OK)
		return status;
	result->set = streamed ? mysql_use_result(store->db) : mysql_store_result(store->db);
	return result->set ? STORAGE_OK : mysql_store_fail(store, doing);
}

int mysql_result_next(struct mysql_store *store, struct mysql_result *result, const char *doing)
{
	result->row = mysql_fetch_row(result->set);
	if (result->row) {
		result->sizes = mysql_fetch_lengths(result->set);
		return STORAGE_OK;
	}
	if (result->streamed && mysql_errno(store->db))
		return mysql_store_fail(store, doing);
	result->streamed = false; /* all has come */
	return STORAGE_OK;
}

void mysql_result_close(struct mysql_store *store, struct mysql_result *result)
{
	if (!result->set)
		return;
	/* The library reads what is left before it frees: that must end at once. */
	if (result->streamed)
		shutdown(mysql_get_socket(store->db), SHUT_RDWR);
	mysql_free_result(result->set);
	if (result->streamed)
		mysql_store_close(store);
	*result = (struct mysql_result){0};
}

int64_t mysql_result_number(const struct mysql_result *result, unsigned int column,
			    int64_t otherwise)
{
	return result->row[column] ? strtoll(result->row[column], NULL, 10) : otherwise;
}

const char *mysql_result_text(const struct mysql_result *result, unsigned int column)
{
	return result->row[column] ? result->row[column] : "";
}

/* --- consistent views ------------------------------------------------------------------------- */

int mysql_store_read_begin(struct mysql_store *store)
{
	if (store->base.in_transaction)
		return mysql_writer_flush(store);
	return mysql_store_run_text(store, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
				    MYSQL_REPLY_MS, "begin to read");
}

void mysql_store_read_end(struct mysql_store *store)
{
	char error[STORAGE_ERROR_MAX];

	if (store->base.in_transaction || !store->db)
		return;
	/* Nothing was written; whoever failed before has said why already. */
	memcpy(error, store->base.error, sizeof(error));
	if (mysql_store_run_text(store, "COMMIT", MYSQL_REPLY_MS, "end reading") != STORAGE_OK)
		memcpy(store->base.error, error, sizeof(error));
}

/* --- values ----------------------------------------------------------------------------------- */

void mysql_store_add_quoted(struct mysql_store *store, struct mysql_text *statement,
			    const char *text, size_t size)
{
	char *place = mysql_text_reserve(statement, 2 * size + 3);

	if (!place || !store->db)
		return;
	*place = '\'';
	size = mysql_real_escape_string(store->db, place + 1, text, size);
	place[size + 1] = '\'';
	statement->size += size + 2;
}

void mysql_store_add_spellings(struct mysql_store *store, const char *name)
{
	struct mysql_text *statement = &store->statement;

	mysql_store_add_quoted(store, statement, name, strlen(name));
	if (strcmp(name, ".") == 0) {
		mysql_text_add(statement, ", ''");
		return;
	}
	mysql_text_add(statement, ", ");
	mysql_store_add_quoted(store, statement, name, strlen(name));
	if (statement->failed || !store->db)
		return;
	statement->size--; /* back before the closing quote */
	mysql_text_add(statement, ".'");
}
