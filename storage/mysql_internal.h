/*
 * What the files of the MySQL driver share. Private to storage/mysql*.c:
 *
 *   mysql.c           the driver's table, creating and destroying
 *   mysql_url.c       the store's URL
 *   mysql_connect.c   finding a host that serves, and setting the session up
 *   mysql_query.c     statements, results, error lines
 *   mysql_schema.c    the tables and triggers: checking and creating them
 *   mysql_names.c     rows into names
 *   mysql_read.c      loading, and godwitctl's reads
 *   mysql_follow.c    the stream of changes
 *   mysql_changes.c   what one look finds changed, by zone and name
 *   mysql_gaps.c      numbers of changes that were not seen yet
 *   mysql_settle.c    which of them never will be
 *   mysql_resume.c    following on after an outage; mysql_witness.c by what it is proven
 *   mysql_history.c   noticing what no trigger told: TRUNCATE, restored copies
 *   mysql_trim.c      keeping godwit_changes short
 *   mysql_write.c     zones and RRsets into rows
 *
 * The prefix is mysql_store_ because the client library has mysql_ for itself.
 */
#ifndef GODWIT_STORAGE_MYSQL_INTERNAL_H
#define GODWIT_STORAGE_MYSQL_INTERNAL_H

#include "storage/driver.h"
#include "storage/mysql_gaps.h"
#include "storage/mysql_text.h"
#include "storage/mysql_url.h"
#include "storage/mysql_witness.h"
#include "storage/powerdns.h"
#include "storage/powerdns_zones.h"

#include <mysql.h>

/* How long a reply may take, in milliseconds. An interruption ends either wait. */
#define MYSQL_REPLY_MS 3000        /* of a server that has next to nothing to do */
#define MYSQL_REPLY_LONG_MS 600000 /* of one that works through, or alters, a whole table */

#define MYSQL_TIME_MAX 32 /* octets of a TIMESTAMP(6) as text */

/* A row of godwit_changes as a follower remembers it. */
struct mysql_change_mark {
	uint64_t seq;
	char at[MYSQL_TIME_MAX]; /* when it was written, to the microsecond: no two histories agree
				  */
};

/* What changes when rows do, whether or not a trigger told. */
struct mysql_fingerprint {
	char ids[160];        /* the lowest and highest id of each table */
	char created[96];     /* when tables and triggers were, as far as the server says */
	uint64_t next_ids[2]; /* that records and domains give out next; 0: not said */
	uint64_t triggers;    /* of ours, as far as this account may see them */
	int64_t counts[2];    /* rows of records and domains; -1: not counted yet */
};

struct mysql_store {
	struct storage base;
	struct mysql_url url;
	char *password_file; /* NULL: none */

	MYSQL *db;           /* NULL: not connected */
	size_t host;         /* the one in use, or the first to try */
	char place[300];     /* "db1:3306/pdns", for people */
	char server[600];    /* which server it is, by its own account */
	bool remote_writers; /* transactions may be open on other servers than this */
	bool ready;          /* the schema was checked on this connection */
	bool minds_case;     /* names stored in another case are found by LOWER(name) only */
	char name_index[70]; /* an index of records that begins with the name; "": none */
	struct mysql_text statement;

	/* Following. */
	bool loaded;                   /* false: storage_load has to come first */
	bool unproven;                 /* the connection is new: mysql_resume_check has to */
	char followed[600];            /* the server, as `server` */
	bool has_mark;                 /* false: godwit_changes was empty */
	struct mysql_change_mark mark; /* the newest change seen */
	struct mysql_gaps gaps;        /* numbers below it that were not */
	struct mysql_witness witness;  /* of what was taken over last */
	struct powerdns_zones zones;
	struct mysql_fingerprint fingerprint;
	int64_t looked_ms;  /* when changes were last looked for, by clock_now_ms, as those below */
	int64_t changed_ms; /* when some were last found */
	int64_t gaps_asked_ms; /* when all missing numbers were last asked for */
	int64_t checked_ms;    /* when the history was last checked */
	int64_t counted_ms;    /* when rows were last counted */
	int64_t count_took_ms;
	int64_t settled_ms;   /* when gaps were last looked into */
	uint64_t settle_from; /* the number to go on with */
	int64_t trim_at_ms;   /* when to trim godwit_changes next */
	uint64_t trim_below;  /* what may go at the next trimming: known a while ago */
	bool trim_refused;    /* said so already */

	/* Writing: see mysql_write.c. */
	struct mysql_writer *writer;
};

/* The driver's state behind the common part, which is its first member. */
static inline struct mysql_store *mysql_store_of(struct storage *storage)
{
	return (struct mysql_store *)storage;
}

/* --- mysql_connect.c -------------------------------------------------------------------------- */

int mysql_store_open(struct storage *storage);
/* Ends the connection at once, whatever it is in the middle of. */
void mysql_store_close(struct mysql_store *store);

/* --- mysql_query.c ---------------------------------------------------------------------------- */

/*
 * Sets the error line from the client library's last one: "cannot DOING: ...", with what to do
 * about it. Returns the status it means.
 */
int mysql_store_fail(struct mysql_store *store, const char *doing);
int mysql_store_fail_memory(struct mysql_store *store);

/* Rows of a statement. */
struct mysql_result {
	MYSQL_RES *set;
	MYSQL_ROW row;        /* the present one; NULL: there is no more */
	unsigned long *sizes; /* of its columns, in octets */
	bool streamed;        /* rows are still at the server: nothing else may be asked */
};

/*
 * Runs the statement in store->statement, which returns nothing of interest. Waits `limit_ms` for
 * the reply. `doing` is for the error line.
 */
int mysql_store_run(struct mysql_store *store, int limit_ms, const char *doing);
/* The same for a statement kept elsewhere, and for a text that is fixed. */
int mysql_store_run_built(struct mysql_store *store, const struct mysql_text *statement,
			  int limit_ms, const char *doing);
int mysql_store_run_text(struct mysql_store *store, const char *sql, int limit_ms,
			 const char *doing);
/*
 * Runs the statement in store->statement for its rows; with `streamed` they are read from the
 * server one by one, and nothing else can be run until mysql_result_close. On failure there is
 * nothing to close.
 */
int mysql_store_query(struct mysql_store *store, bool streamed, int limit_ms, const char *doing,
		      struct mysql_result *result);
/* Moves to the next row, result->row. */
int mysql_result_next(struct mysql_store *store, struct mysql_result *result, const char *doing);
/* Frees the rows. Closing before the end of streamed ones ends the connection. */
void mysql_result_close(struct mysql_store *store, struct mysql_result *result);

/* A column of the present row as a number; `otherwise` for NULL. */
int64_t mysql_result_number(const struct mysql_result *result, unsigned int column,
			    int64_t otherwise);
/* A column's text, "" for NULL. */
const char *mysql_result_text(const struct mysql_result *result, unsigned int column);

/* Begins a consistent view of the store; mysql_store_read_end always follows. */
int mysql_store_read_begin(struct mysql_store *store);
void mysql_store_read_end(struct mysql_store *store);

/* Appends a quoted string to a statement. */
void mysql_store_add_quoted(struct mysql_store *store, struct mysql_text *statement,
			    const char *text, size_t size);
/* How names are compared with what mysql_store_add_spellings gives. */
static inline const char *mysql_store_name_key(const struct mysql_store *store)
{
	return store->minds_case ? "LOWER(name)" : "name";
}
/* Appends "'x', 'x.'" to store->statement: both spellings a name may have in the tables. */
void mysql_store_add_spellings(struct mysql_store *store, const char *name);

/* --- mysql_schema.c --------------------------------------------------------------------------- */

int mysql_store_init(struct storage *storage);
/* STORAGE_OK when the connection is open and every table is there, and trigger, if visible. */
int mysql_schema_check(struct mysql_store *store);

/* --- mysql_names.c ------------------------------------------------------------------------------
 *
 * Each calls `each` for names until it returns other than 0. Rows are read one by one: `each` must
 * not use the store, and stopping early ends the connection. Both note in the zones whether they
 * have odd names.
 */

/* All names of all zones. Names of zones that are not in `zones` are left out. */
int mysql_names_read_all(struct mysql_store *store, const struct powerdns_zones *zones,
			 storage_name_fn *each, void *ctx);
/* All names of one zone. */
int mysql_names_read_zone(struct mysql_store *store, struct powerdns_zone *zone,
			  storage_name_fn *each, void *ctx);
/* Some names of one zone, sorted and all different: also for one that has no records. */
int mysql_names_look_up(struct mysql_store *store, const struct powerdns_zone *zone,
			char *const *names, size_t count, storage_name_fn *each, void *ctx);

/* --- mysql_read.c ----------------------------------------------------------------------------- */

int mysql_store_load(struct storage *storage, const struct storage_sink *sink);
int mysql_store_zone_find(struct storage *storage, const char *apex);
int mysql_store_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex),
			  void *ctx);
int mysql_store_zone_read(struct storage *storage, const char *apex, storage_name_fn *each,
			  void *ctx);
int mysql_store_name_read(struct storage *storage, const char *apex, const char *owner,
			  storage_name_fn *each, void *ctx);

/*
 * Finds a zone by its apex, STORAGE_NOT_FOUND without one. Every row that has this apex, a twin
 * spelled with a dot perhaps, is removed from `forget`, which may be NULL.
 */
int mysql_store_find_zone(struct mysql_store *store, const char *apex,
			  struct powerdns_zones *forget, int64_t *id);
/* The same without forgetting. */
int mysql_store_get_zone_id(struct mysql_store *store, const char *apex, int64_t *id);
/* Hands over a zone and all its names. */
int mysql_deliver_zone(struct mysql_store *store, struct powerdns_zone *zone,
		       const struct storage_sink *sink);
/* Hands over some names of a zone with what they have, nothing perhaps. */
int mysql_deliver_names(struct mysql_store *store, const struct powerdns_zone *zone,
			char *const *names, size_t count, const struct storage_sink *sink);

/* --- mysql_follow.c and its parts ------------------------------------------------------------- */

int mysql_store_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms);
/* Within a consistent view: notes where the changes stand, and what is missing among them. */
int mysql_follow_start(struct mysql_store *store);

/* Sums up the rows seen from `first` to the mark, within a consistent view; mysql_resume.c. */
int mysql_witness_read(struct mysql_store *store, uint64_t first, struct mysql_witness *witness);
/*
 * STORAGE_OK when the server has the history that was followed and changes can be followed on from
 * the mark and the gaps, STORAGE_RELOAD when not. Within a consistent view.
 */
int mysql_resume_check(struct mysql_store *store);
/* The same, by how many changes there were meanwhile. */
int mysql_resume_weigh(struct mysql_store *store, uint64_t changes);

/* What one look at godwit_changes found; mysql_changes.c. */
struct mysql_change {
	int64_t zone;
	char *name; /* as in the row; NULL: the whole zone */
};
struct mysql_changes {
	struct mysql_change *list;
	size_t count;
	size_t capacity;
	uint64_t seen;   /* rows that were, however many were kept */
	uint64_t lowest; /* of their numbers; 0: there is none */
};
void mysql_changes_clear(struct mysql_changes *changes);
/* Adds one, copying the name. False: out of memory. */
bool mysql_changes_add(struct mysql_changes *changes, int64_t zone, const char *name, size_t size);
/*
 * Hands them over as one batch, within a consistent view. When it fails before anything was handed
 * over, store->loaded is as it was: the same can be tried again. Else it is false.
 */
int mysql_changes_deliver(struct mysql_store *store, struct mysql_changes *changes,
			  const struct storage_sink *sink);

/* Closes the gaps that nobody will fill. Outside of a consistent view. mysql_settle.c */
int mysql_settle_gaps(struct mysql_store *store, int64_t now_ms);

/* True when it is time to look whether anything changed without a trigger; mysql_history.c. */
bool mysql_history_is_due(const struct mysql_store *store, int64_t now_ms);
/* Notes the state of the tables. Within the consistent view in which they are loaded. */
int mysql_history_start(struct mysql_store *store);
/*
 * Compares it with what was noted: STORAGE_RELOAD. Within a consistent view; `changed` says whether
 * changes were found in that, which explain other ids and counts.
 */
int mysql_history_check(struct mysql_store *store, bool changed, int64_t now_ms);

/* Trims godwit_changes a little when it is time; never fails. mysql_trim.c */
void mysql_trim_as_follower(struct mysql_store *store, int64_t now_ms);
void mysql_trim_as_writer(struct mysql_store *store);

/* --- mysql_write.c ---------------------------------------------------------------------------- */

void mysql_writer_destroy(struct mysql_writer *writer);
int mysql_store_begin(struct storage *storage);
int mysql_store_commit(struct storage *storage);
void mysql_store_rollback(struct storage *storage);
int mysql_store_zone_add(struct storage *storage, const char *apex);
int mysql_store_zone_delete(struct storage *storage, const char *apex);
int mysql_store_zone_clear(struct storage *storage, const char *apex);
int mysql_store_rrset_put(struct storage *storage, const char *apex, const char *owner,
			  const char *type, uint32_t ttl, const char *const *contents,
			  size_t count);
int mysql_store_rrset_delete(struct storage *storage, const char *apex, const char *owner,
			     const char *type);
/* Sends the rows that wait to be inserted: before anything is read within a transaction. */
int mysql_writer_flush(struct mysql_store *store);

#endif
