/*
 * The follower: the one thread that writes the mirror. It opens the store, loads everything, then
 * takes over changes for as long as the program lives.
 *
 * When the store fails, answers go on from memory: the follower says once what happened, tries
 * again with growing pauses (up to FOLLOWER_RETRY_MAX_MS), and says when it is back. It goes on
 * from where it stood if the store can prove that nothing was missed, and else loads everything
 * anew. A load that breaks off takes nothing away.
 *
 * A store that is back with much less than it had - restarted empty, the wrong database - is not
 * believed: the old answers stay until it has its records again, or somebody confirms the loss
 * (follower_reload). What is deleted while we look is deleted.
 *
 * With a snapshot file, what the mirror holds is saved there now and then (snapshot_keeper.h), and
 * a start while the store cannot be used answers from it.
 *
 * What a record must be to be served is said in backend/intake.h.
 *
 * Threads: create, start, stop and destroy from one thread; the rest from any.
 */
#ifndef GODWIT_BACKEND_FOLLOWER_H
#define GODWIT_BACKEND_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct follower;
struct heartbeat;
struct metrics;
struct mirror;

/*
 * The follower beats at least so often (heartbeat.h), in milliseconds, but while a store's driver
 * waits for one long statement, or the mirror takes over a very large load. It is reported and not
 * vital: what is loaded is served while it stands still, and after a restart would have to be
 * loaded again, from a store that may be what it waits for.
 */
#define FOLLOWER_SILENT_MS 60000

#define FOLLOWER_RETRY_MIN_MS 100
#define FOLLOWER_RETRY_MAX_MS 1000
/* Between looks at a store that has lost its records. */
#define FOLLOWER_GUARD_RETRY_MS 5000

struct follower_options {
	const char *store;         /* URL */
	const char *password_file; /* NULL: none */
	const char *snapshot;      /* path; NULL: none */
	/* A store that is back after an outage may have lost so many percent of its records. */
	unsigned int max_loss_percent;
	struct heartbeat *heartbeat; /* the thread's; NULL: nobody looks */
	/* Called on the follower's thread each time everything has been loaded. May be NULL. */
	void (*loaded)(void *ctx);
	void *ctx;
};

/*
 * Makes a follower; touches no store yet. NULL with a reason for a person in `error` when the URL
 * is wrong. Borrows `mirror` and `metrics`.
 */
struct follower *follower_create(const struct follower_options *options, struct mirror *mirror,
				 struct metrics *metrics, char *error, size_t error_size);

/* Starts the thread. 0, or an errno. */
int follower_start(struct follower *follower);

/* Interrupts whatever it does and waits for the thread's end. */
void follower_stop(struct follower *follower);

/* Stops it if it runs, and frees it. NULL is allowed. */
void follower_destroy(struct follower *follower);

/*
 * Writes one line that says how the data stands, for /readyz. Returns true once everything has been
 * loaded, however long ago.
 */
bool follower_describe(struct follower *follower, char *out, size_t size);

/*
 * Has everything loaded again, soon; with `force`, however much is lost by it. Writes one line for
 * people into `reply`. False when that is refused: a loss waits to be confirmed. Any thread.
 */
bool follower_reload(struct follower *follower, bool force, char *reply, size_t reply_size);

/* How the data stands beside the store. */
struct follower_standing {
	bool loaded;    /* there is data, from the store or a snapshot */
	bool store_up;  /* the store is followed; false: an outage, or it was never reached */
	int64_t age_ms; /* since the data was last known to be as the store is; 0: not loaded */
};

/* Any thread; cheap. */
void follower_read_standing(const struct follower *follower, struct follower_standing *out);

/* A metrics collector: the store's state, the data's age and the mirror's figures. */
void follower_collect(void *ctx, struct evbuffer *out);

#endif
