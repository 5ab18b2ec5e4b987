/*
 * The record store: one interface, a driver for each kind of database.
 *
 * A store holds zones, and in each zone RRsets of text records in zone-file presentation form, as
 * other systems write them. Two kinds of users:
 *
 *  - the backend *follows*: storage_load hands over everything, storage_follow hands over what
 *    changed since, both through a `struct storage_sink`, in batches; what a batch says takes
 *    effect together at its commit;
 *  - godwitctl *reads and writes*: zones and whole RRsets, in transactions.
 *
 * A `struct storage` is one connection with its own position in the stream of changes. It is used
 * by one thread at a time; only storage_interrupt may come from another. Calls block, but for no
 * longer than the driver's time-outs, and a lost connection is not reopened behind the caller's
 * back: calls return STORAGE_UNAVAILABLE, the caller waits and calls storage_open again.
 *
 * Names cross this interface as text: owner names and apexes absolute, in lower case, *without* a
 * trailing dot (the root is "."), as PowerDNS's tables and Redis keys have them. Data is text with
 * absolute names; a name in it without a trailing dot is absolute too, as PowerDNS writes them.
 */
#ifndef GODWIT_STORAGE_STORAGE_H
#define GODWIT_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct storage;

enum storage_status {
	STORAGE_OK = 0,
	STORAGE_UNAVAILABLE = -1, /* missing, locked, unreachable: wait and storage_open again */
	STORAGE_DAMAGED = -2,     /* there, but its content is not a database: the same */
	STORAGE_NOT_READY = -3,   /* a database without Godwit's tables or triggers: `init` it */
	STORAGE_RELOAD = -4,      /* following has lost track: storage_load again */
	STORAGE_INTERRUPTED = -5, /* storage_interrupt was called */
	STORAGE_NOT_FOUND = -6,   /* no such zone */
	STORAGE_EXISTS = -7,      /* such a zone is there already */
	STORAGE_REFUSED = -8,     /* read-only, no privilege, a constraint: the error says which */
	STORAGE_REPLACED = -9,    /* another store stands in its place: storage_load again */
};

/* One record of an owner name. */
struct storage_record {
	const char *type;    /* "A", "TYPE65280" */
	const char *content; /* presentation form */
	uint32_t ttl;        /* seconds */
	const char *key;     /* where it stands in the store, for log lines: "records.id=17" */
};

/* Everything that an owner name has in one zone. */
struct storage_name {
	const char *zone;  /* apex */
	const char *owner; /* at or below the apex, as far as the driver knows: receivers check */
	const struct storage_record *records; /* in any order */
	size_t count;                         /* 0: the name has no records any more */
};

enum storage_batch {
	STORAGE_BATCH_FULL,    /* the whole store follows: what is not named is gone */
	STORAGE_BATCH_CHANGES, /* only what changed follows */
};

/*
 * Where a follower receives a batch: begin, then any of zone, zone_gone and name, then commit; or
 * abort, when the store failed in between: what was said is incomplete, and a FULL batch must not
 * take away anything for not being named. Strings live until the function returns.
 */
struct storage_sink {
	void *ctx;
	void (*begin)(void *ctx, enum storage_batch batch);
	/*
	 * The zone exists; its names follow, all of them, each once or (in unusual spellings of one
	 * name) more than once, to be merged. Zones that follow in a CHANGES batch replace what was
	 * there: names of that zone not named before the commit are gone.
	 */
	void (*zone)(void *ctx, const char *apex);
	/* The zone exists no more. Only in a CHANGES batch. */
	void (*zone_gone)(void *ctx, const char *apex);
	/* A name's records: all of them, replacing what was there. */
	void (*name)(void *ctx, const struct storage_name *name);
	void (*commit)(void *ctx);
	void (*abort)(void *ctx);
};

struct storage_options {
	const char *password_file; /* NULL: none. Unused by sqlite */
	int poll_ms;               /* how often polling drivers look for changes; 0: the default */
	bool read_only;            /* never write: what a backend asks for */
};

/*
 * Makes a store from its URL ("sqlite:godwit.db"; a relative path is relative to the working
 * directory) without touching it. NULL with a reason for a person in `error` when the URL is wrong.
 */
struct storage *storage_create(const char *url, const struct storage_options *options, char *error,
			       size_t error_size);
/* Closes and frees. NULL is allowed. */
void storage_destroy(struct storage *storage);

/*
 * Connects, or reconnects after a failure. The position in the stream of changes is kept: after it,
 * storage_follow goes on where it stood if the driver can prove that nothing was missed.
 */
int storage_open(struct storage *storage);

/* One line that says what the last failed call met and what to do about it. Never NULL. */
const char *storage_error(const struct storage *storage);

/*
 * Hands over everything as one FULL batch and remembers the position for storage_follow. Ahead of
 * that may come CHANGES batches: what changes while everything is read, of zones handed over
 * before.
 */
int storage_load(struct storage *storage, const struct storage_sink *sink);

/*
 * Waits up to `wait_ms` milliseconds for changes and hands over what came as CHANGES batches.
 * STORAGE_OK whether or not there were any: the receiver is as the store is, or was a moment ago.
 * STORAGE_RELOAD when changes since the last call cannot be told for sure. A receiver that did not
 * take over the last FULL batch must load instead: the driver does not know.
 */
int storage_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms);

/* Makes a waiting call, and every later one, return STORAGE_INTERRUPTED soon. Any thread. */
void storage_interrupt(struct storage *storage);

/* Creates the tables, indexes and triggers that are missing. Safe on a store in use. */
int storage_init(struct storage *storage);

/* A transaction: what is written between begin and commit is seen together or not at all. */
int storage_begin(struct storage *storage);
int storage_commit(struct storage *storage);
void storage_rollback(struct storage *storage);

/* Adds an empty zone. Inside a transaction. STORAGE_EXISTS. */
int storage_zone_add(struct storage *storage, const char *apex);
/* Deletes a zone and its records. Inside a transaction. STORAGE_NOT_FOUND. */
int storage_zone_delete(struct storage *storage, const char *apex);
/* Deletes a zone's records, not the zone. Inside a transaction. STORAGE_NOT_FOUND. */
int storage_zone_clear(struct storage *storage, const char *apex);
/* STORAGE_OK or STORAGE_NOT_FOUND. */
int storage_zone_find(struct storage *storage, const char *apex);
/*
 * The zone that `name` belongs to, the longest apex at or above it, into `apex`
 * (DNS_NAME_TEXT_MAX octets). With `above`, only apexes above the name (for DS). STORAGE_NOT_FOUND.
 */
int storage_zone_find_enclosing(struct storage *storage, const char *name, bool above, char *apex);
/* Calls `each` with every apex, sorted as text. Stops when it returns other than 0. */
int storage_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex), void *ctx);
/*
 * Calls `each` for every name of a zone; one in unusual spellings may come more than once. Stops
 * when it returns other than 0. `each` must not read another zone from the same store.
 * STORAGE_NOT_FOUND.
 */
int storage_zone_read(struct storage *storage, const char *apex,
		      int (*each)(void *ctx, const struct storage_name *name), void *ctx);
/* Calls `each` once with one name's records, if it has any. */
int storage_name_read(struct storage *storage, const char *apex, const char *owner,
		      int (*each)(void *ctx, const struct storage_name *name), void *ctx);

/*
 * Writes a whole RRset, replacing what the owner had of that type. Inside a transaction. Data must
 * be valid presentation form of the type (callers check: see storage/record.h).
 */
int storage_rrset_put(struct storage *storage, const char *apex, const char *owner,
		      const char *type, uint32_t ttl, const char *const *contents, size_t count);
/* Deletes a whole RRset; STORAGE_OK also when there was none. Inside a transaction. */
int storage_rrset_delete(struct storage *storage, const char *apex, const char *owner,
			 const char *type);

#endif
