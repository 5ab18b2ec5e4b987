/*
 * What the files of the SQLite driver share. Private to storage/sqlite*.c:
 *
 *   sqlite.c          the driver's table, creating, its statements, errors, transactions
 *   sqlite_file.c     opening the file in the way that works, noticing that it was replaced
 *   sqlite_schema.c   the tables and triggers: creating and checking them
 *   sqlite_read.c     rows into names: loading and godwitctl's reads
 *   sqlite_follow.c   the stream of changes
 *   sqlite_write.c    zones and RRsets into rows
 */
#ifndef GODWIT_STORAGE_SQLITE_INTERNAL_H
#define GODWIT_STORAGE_SQLITE_INTERNAL_H

#include "storage/driver.h"
#include "storage/powerdns.h"
#include "storage/powerdns_zones.h"

#include <sqlite3.h>
#include <sys/types.h>
#include <time.h>

/* Statements that are prepared once a connection; their SQL is in sqlite.c. */
enum sqlite_statement {
	STATEMENT_BEGIN_READ,
	STATEMENT_BEGIN_WRITE,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_DATA_VERSION,
	STATEMENT_SCHEMA_VERSION,
	STATEMENT_OBJECT_FIND,
	STATEMENT_CHANGE_NEWEST,
	STATEMENT_CHANGE_AT,
	STATEMENT_CHANGED_ZONES,
	STATEMENT_CHANGED_NAMES,
	STATEMENT_ZONES,
	STATEMENT_ZONE_NAME,
	STATEMENT_ZONE_ID,
	STATEMENT_ZONE_TWINS,
	STATEMENT_ZONE_ROWS,
	STATEMENT_NAME_ROWS,
	STATEMENT_ZONE_INSERT,
	STATEMENT_ZONE_DELETE,
	STATEMENT_ZONE_CLEAR,
	STATEMENT_BULK_ADD,
	STATEMENT_BULK_END,
	STATEMENT_CHANGE_ADD,
	STATEMENT_NAME_EXISTS,
	STATEMENT_RRSET_DELETE,
	STATEMENT_RECORD_INSERT,
	STATEMENT_COUNT, /* how many there are */
};

/* What tells one file, and one state of it, from another. */
struct sqlite_file {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

enum sqlite_open_mode {
	OPEN_NORMAL,    /* as any program: needs to write at least the -shm file */
	OPEN_SHARED,    /* read the files that writers keep beside the database */
	OPEN_IMMUTABLE, /* read the database alone, watch it by stat(2) */
};

/* How far changes were followed: the newest row of godwit_changes that was seen. */
struct sqlite_position {
	bool loaded;   /* false: nothing was, storage_load has to come first */
	bool has_row;  /* false: the table was empty */
	int64_t seq;   /* the row's number */
	int64_t token; /* its random mark: another in the same row is another history */
};

struct sqlite_store {
	struct storage base;
	char *path;
	sqlite3 *db; /* NULL: not open, or the file is not there yet */
	sqlite3_stmt *statements[STATEMENT_COUNT];
	bool ready; /* the schema was checked on this connection */

	enum sqlite_open_mode mode;
	struct sqlite_file file;      /* the database, when it was opened */
	struct sqlite_file wal;       /* its write-ahead log, when changes were last read */
	struct sqlite_file stale_wal; /* one left behind by a database that was replaced */
	bool reopen;                  /* the file behind the path is another: before loading */
	int64_t busy_since_ms;        /* when waiting for the present lock began */

	int64_t data_version;   /* SQLite's mark of others' commits, at the last look */
	int64_t schema_version; /* when loaded */
	struct sqlite_position position;
	struct powerdns_zones zones;

	char *write_apex; /* the zone last written to, or NULL */
	int64_t write_zone;
};

/* The driver's state behind the common part, which is its first member. */
static inline struct sqlite_store *sqlite_store_of(struct storage *storage)
{
	return (struct sqlite_store *)storage;
}

/* --- sqlite.c --------------------------------------------------------------------------------- */

/* Sets the error line from SQLite's last one: "cannot DOING: ...". Returns the status it means. */
int sqlite_fail(struct sqlite_store *store, const char *doing);
/* The same for memory. */
int sqlite_fail_memory(struct sqlite_store *store);

/* The statement, ready to be bound; NULL when it cannot be prepared, for sqlite_fail to say why. */
sqlite3_stmt *sqlite_statement(struct sqlite_store *store, enum sqlite_statement which);
/* Runs a statement that returns nothing of interest, then resets it. NULL fails. */
int sqlite_run(struct sqlite_store *store, sqlite3_stmt *statement, const char *doing);
/* Runs one without parameters. */
int sqlite_run_plain(struct sqlite_store *store, enum sqlite_statement which, const char *doing);
/* Reads a statement's first integer; `otherwise` when there is no row. Resets the statement. */
int sqlite_read_integer(struct sqlite_store *store, sqlite3_stmt *statement, const char *doing,
			int64_t otherwise, int64_t *out);
/* Binds both spellings that a name may have in the tables, at `index` and after. */
void sqlite_bind_spellings(sqlite3_stmt *statement, int index, const char *name);

/*
 * Begins a read transaction, a consistent view of the store; sqlite_read_end always follows. Within
 * a write transaction both do nothing.
 */
int sqlite_read_begin(struct sqlite_store *store);
void sqlite_read_end(struct sqlite_store *store);

/* --- sqlite_file.c ---------------------------------------------------------------------------- */

int sqlite_open(struct storage *storage);
/* Opens the file, creating it when it is missing. */
int sqlite_open_or_create(struct sqlite_store *store);
/* Ends the connection; where changes stand is kept. */
void sqlite_close(struct sqlite_store *store);
/* Forgets where changes stand: only loading helps then. */
void sqlite_forget(struct sqlite_store *store);
/* STORAGE_OK when the path still leads to what was opened, STORAGE_REPLACED when to another. */
int sqlite_file_check(struct sqlite_store *store);
/* Remembers which write-ahead log belongs to the database. */
void sqlite_file_note_wal(struct sqlite_store *store);

/* --- sqlite_schema.c -------------------------------------------------------------------------- */

int sqlite_init(struct storage *storage);
/* STORAGE_OK when the connection is open and every table and trigger is there. */
int sqlite_schema_check(struct sqlite_store *store);

/* --- sqlite_read.c ---------------------------------------------------------------------------- */

int sqlite_load(struct storage *storage, const struct storage_sink *sink);
int sqlite_zone_find(struct storage *storage, const char *apex);
int sqlite_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex), void *ctx);
int sqlite_zone_read(struct storage *storage, const char *apex, storage_name_fn *each, void *ctx);
int sqlite_name_read(struct storage *storage, const char *apex, const char *owner,
		     storage_name_fn *each, void *ctx);

/* The id of a zone, STORAGE_NOT_FOUND without one. */
int sqlite_zone_get_id(struct sqlite_store *store, const char *apex, int64_t *id);
/* Hands over a zone and all its names. */
int sqlite_deliver_zone(struct sqlite_store *store, struct powerdns_zone *zone,
			struct powerdns_rows *rows, const struct storage_sink *sink);
/* Hands over one name with what it has, nothing perhaps. */
int sqlite_deliver_name(struct sqlite_store *store, const struct powerdns_zone *zone,
			const char *owner, struct powerdns_rows *rows,
			const struct storage_sink *sink);
/* Reads the newest change into `position`. */
int sqlite_read_position(struct sqlite_store *store, struct sqlite_position *position);

/* --- sqlite_follow.c -------------------------------------------------------------------------- */

int sqlite_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms);

/* --- sqlite_write.c --------------------------------------------------------------------------- */

int sqlite_begin(struct storage *storage);
int sqlite_commit(struct storage *storage);
void sqlite_rollback(struct storage *storage);
int sqlite_zone_add(struct storage *storage, const char *apex);
int sqlite_zone_delete(struct storage *storage, const char *apex);
int sqlite_zone_clear(struct storage *storage, const char *apex);
int sqlite_rrset_put(struct storage *storage, const char *apex, const char *owner, const char *type,
		     uint32_t ttl, const char *const *contents, size_t count);
int sqlite_rrset_delete(struct storage *storage, const char *apex, const char *owner,
			const char *type);

#endif
