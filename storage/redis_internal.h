/*
 * What the files of the Redis driver share. Private to storage/redis*.c:
 *
 *   redis.c           the driver's table, creating, opening, what errors of the server mean
 *   redis_url.c       the URL
 *   redis_link.c      one connection; redis_tls.c its TLS; redis_resolve.c looking names up
 *   redis_table.c     memory and tables
 *   redis_hash.c      keys and hashes into records
 *   redis_zones.c     which zone a name belongs to
 *   redis_read.c      reading many keys at once: by scanning, by name
 *   redis_harvest.c   what was read
 *   redis_load.c      everything, as one batch
 *   redis_track.c     hearing of changes
 *   redis_follow.c    handing changes over
 *   redis_edit.c      what a change of RRsets does to a hash
 *   redis_write.c     transactions; redis_clear.c emptying zones, redis_commit.c sending them
 *   redis_query.c     godwitctl's reads; redis_init.c its check of rights
 *   redis_sentinel.c  finding the primary by its sentinels
 *   redis_cluster.c   finding all primaries of a cluster, and a key's
 *   redis_oracle.c    noticing that the primaries are others
 *
 * A store has one node, or as many as a cluster has primaries. A node has two connections: `data`
 * for commands and `track`, once something is followed, for the server's word of what changed.
 */
#ifndef GODWIT_STORAGE_REDIS_INTERNAL_H
#define GODWIT_STORAGE_REDIS_INTERNAL_H

#include "storage/redis_hash.h"
#include "storage/redis_link.h"
#include "storage/redis_table.h"
#include "storage/redis_url.h"
#include "storage/redis_zones.h"

#define REDIS_PASSWORD_MAX 1024
#define REDIS_SLOTS 16384

struct redis_node {
	struct redis_host host; /* owns its name */
	struct redis_link data;
	struct redis_link track;
};

struct redis_store {
	struct storage base;
	struct redis_url url;
	char *password_file; /* NULL: none */
	SSL_CTX *tls;        /* NULL: none, or not open */

	struct redis_node *nodes; /* NULL: not open */
	size_t node_count;
	uint16_t *slots; /* of a cluster: the index of a slot's node; else NULL */
	/* A sentinel or a node of a cluster, asked who the primaries are; of a list, the server. */
	struct redis_link oracle;
	size_t oracle_host; /* which of the sentinels it is */
	char *oracle_said;  /* its last answer, as text to compare with */
	int64_t oracle_ms;  /* when it was asked last */
	bool oracle_asked;  /* and has not answered */
	bool stale;         /* of a list: only a replica without its primary was to be had */

	struct redis_zones zones;
	struct redis_set dirty; /* names that changed and were not read since */
	struct redis_records records;
	uint64_t strays; /* names without a zone at the last load */
	bool tracking;   /* changes are heard of */
	bool flushed;    /* everything changed: FLUSHDB */
	bool loaded;     /* `zones` is right but for what is dirty */
	bool known;      /* `zones` is what the receiver was told last, loaded or not */
	bool reopen;     /* before loading: connections or nodes are not the right ones */
	struct redis_transaction *transaction; /* NULL: none */
};

/* The driver's state behind the common part, which is its first member. */
static inline struct redis_store *redis_store_of(struct storage *storage)
{
	return (struct redis_store *)storage;
}

/* --- redis.c ---------------------------------------------------------------------------------- */

int redis_open(struct storage *storage);
void redis_close(struct redis_store *store);
int redis_init(struct storage *storage);
/* STORAGE_OK when it is open; the error line says so otherwise. */
int redis_check_open(struct redis_store *store);
int redis_fail_memory(struct redis_store *store);

/* Connects and says who we are. `select`: also chooses the database. */
int redis_connect(struct redis_store *store, struct redis_link *link, const struct redis_host *host,
		  bool select);
/* Adds a node that is connected. Takes `link`, also when it fails. */
int redis_add_node(struct redis_store *store, const struct redis_host *host,
		   struct redis_link *link);

/*
 * Sends a command of C strings and waits for its reply. An error reply becomes a status and the
 * error line, and `*reply` NULL.
 */
int redis_call(struct redis_link *link, redisReply **reply, const char *word, ...)
	__attribute__((sentinel));
/* The status that an error reply means; sets the error line. */
int redis_refuse(struct redis_link *link, const redisReply *reply);
/* True when the reply is an error that begins with `word`. */
bool redis_is_error(const redisReply *reply, const char *word);
/* True for a string reply, of whatever kind, with that text. */
bool redis_is_text(const redisReply *reply, const char *text);

/* What a server of a list of hosts is good for, the best first. */
enum redis_fitness {
	REDIS_FIT,
	REDIS_STALE, /* a replica without its primary: better than nothing to a reader */
	REDIS_UNFIT, /* a replica, to a writer */
};

/* By its answer to ROLE. */
enum redis_fitness redis_judge(const struct redis_store *store, const redisReply *reply);

/* --- redis_harvest.c, redis_read.c ------------------------------------------------------------ */

/* Hashes that were read, each name once. Start with zeroes. */
struct redis_harvest {
	struct redis_arena arena;
	struct redis_entry *first;
	struct redis_entry **end; /* where the next one is linked; NULL: `first` */
	struct redis_table table; /* by name */
};

void redis_harvest_clear(struct redis_harvest *harvest);
/* The entry of a name, or NULL. */
struct redis_entry *redis_harvest_find(const struct redis_harvest *harvest, const char *name);
/* Adds a copy of an entry in place of the one of that name, if any. False: out of memory. */
bool redis_harvest_replace(struct redis_harvest *harvest, const struct redis_entry *entry);

/* What a scan asks its caller. */
struct redis_scan_calls {
	/* Whether the hash of a name is to be read; NULL: all are. */
	bool (*wants)(void *ctx, const char *name);
	/*
	 * Called now and then when changes were heard of, while no answer is awaited. May be NULL.
	 */
	int (*changed)(void *ctx);
	void *ctx;
};

/*
 * Reads every hash of the store that is wanted; at or below `apex` unless that is NULL. Hears
 * changes meanwhile, when they are tracked.
 */
int redis_scan(struct redis_store *store, const char *apex, const struct redis_scan_calls *calls,
	       struct redis_harvest *harvest);
/*
 * Reads the hashes of these names, those that are none as empty entries. What fits into one piece
 * is read at one moment.
 */
int redis_fetch(struct redis_store *store, const struct redis_table *names,
		struct redis_harvest *harvest);
/* WATCHes (when `watch`) and reads one name. */
int redis_fetch_one(struct redis_store *store, const char *name, bool watch,
		    struct redis_harvest *harvest);

/* The key of a name; "dns:www.example.com" into `key`, REDIS_KEY_MAX octets. False: too long. */
#define REDIS_KEY_MAX (DNS_NAME_TEXT_MAX + 256)
bool redis_make_key(const struct redis_store *store, const char *name, char *key);
/* The name of a key, DNS_NAME_TEXT_MAX octets. False: it has none, which is logged. */
bool redis_read_key(const struct redis_store *store, const redisReply *key, char *name);

/* --- redis_load.c, redis_track.c, redis_follow.c ---------------------------------------------- */

int redis_load(struct storage *storage, const struct storage_sink *sink);
/* Hands over what `entry` is in `place`. */
int redis_deliver(struct redis_store *store, const struct redis_entry *entry,
		  const struct redis_place *place, const struct storage_sink *sink);

/* Opens the second connections and turns tracking on, if it is not. */
int redis_track_start(struct redis_store *store);
/* Takes in what the servers said of changes, without waiting. */
int redis_track_drain(struct redis_store *store);
/* The same while no answer is awaited: sees the end of any connection. */
int redis_track_look(struct redis_store *store);
/* Pings connections that are silent; fails when one was silent for too long. */
int redis_track_check(struct redis_store *store);

int redis_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms);

/* --- redis_query.c ---------------------------------------------------------------------------- */

int redis_zone_find(struct storage *storage, const char *apex);
int redis_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex), void *ctx);
int redis_zone_read(struct storage *storage, const char *apex, storage_name_fn *each, void *ctx);
int redis_name_read(struct storage *storage, const char *apex, const char *owner,
		    storage_name_fn *each, void *ctx);

/* --- redis_write.c ---------------------------------------------------------------------------- */

int redis_begin(struct storage *storage);
int redis_commit(struct storage *storage);
void redis_rollback(struct storage *storage);
int redis_zone_add(struct storage *storage, const char *apex);
int redis_zone_delete(struct storage *storage, const char *apex);
int redis_zone_clear(struct storage *storage, const char *apex);
int redis_rrset_put(struct storage *storage, const char *apex, const char *owner, const char *type,
		    uint32_t ttl, const char *const *contents, size_t count);
int redis_rrset_delete(struct storage *storage, const char *apex, const char *owner,
		       const char *type);

/* --- redis_sentinel.c, redis_cluster.c, redis_oracle.c ---------------------------------------- */

int redis_sentinel_open(struct redis_store *store);
/* Connects the oracle to a sentinel; asks it; takes its answer. */
int redis_sentinel_connect(struct redis_store *store, const struct redis_host *host);
int redis_sentinel_ask(struct redis_store *store);
/* STORAGE_REPLACED when it names another primary than before. */
int redis_sentinel_take(struct redis_store *store, const redisReply *reply);

int redis_cluster_open(struct redis_store *store);
/*
 * Takes CLUSTER SLOTS' answer; `asked` is the host that gave it. With `connect` unknown primaries
 * become nodes; without, STORAGE_REPLACED when they are not the nodes that there are.
 */
int redis_cluster_take(struct redis_store *store, const redisReply *reply, const char *asked,
		       bool connect);
/* The node of a key. */
struct redis_node *redis_find_node(struct redis_store *store, const char *key, size_t size);
/*
 * When `*reply` sends us to another node (MOVED, ASK), sends the command there and puts its answer
 * in place; NULL when that fails. `sizes` may be NULL when all words are C strings.
 */
int redis_redirect(struct redis_store *store, redisReply **reply, int count,
		   const char *const *words, const size_t *sizes);

/*
 * Looks after who the primaries are. Waits for nothing but a new connection to the oracle.
 * STORAGE_REPLACED when they are others.
 */
int redis_oracle_check(struct redis_store *store);

#endif
