#include "backend/follower.h"

#include "backend/counters.h"
#include "backend/intake.h"
#include "backend/mirror.h"
#include "backend/snapshot.h"
#include "backend/snapshot_keeper.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"
#include "common/metrics.h"
#include "storage/storage.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long one storage_follow waits; the data's age is known that precisely. */
#define FOLLOW_WAIT_MS 500

#define REASON_MAX 1024

/* Beside storage_status: the guard did not let a load pass. */
#define FOLLOWER_GUARDED (-100)

struct follower {
	struct mirror *mirror;
	struct metrics_shard *shard;
	struct metrics *metrics;
	struct storage *storage;
	struct intake *intake;
	struct heartbeat *heartbeat;
	struct backoff backoff;
	struct snapshot_keeper *keeper; /* NULL: no snapshot */
	const char *snapshot;
	unsigned int max_loss_percent;
	void (*loaded)(void *ctx);
	void *ctx;
	pthread_t thread;
	bool running;

	/* The thread's own. */
	int outage_status;        /* why the store cannot be used; STORAGE_OK: it can */
	bool in_step;             /* the mirror has what the storage last handed over, all of it */
	bool snapshot_tried;      /* to start from */
	char guarded[REASON_MAX]; /* why the guard did not let the last load pass */

	/* For others to read. Whoever sees `ready` or a change of `up` sees what came before it. */
	_Atomic bool ready; /* there is data, from the store or a snapshot */
	_Atomic bool up;
	/* clock_now_ms; 0: never. */
	_Atomic int64_t contact_ms; /* when the mirror last was as the store */
	_Atomic int64_t outage_ms;  /* when the outage began; 0: none */

	pthread_mutex_t lock; /* for all below */
	pthread_cond_t wake;
	bool stopping;
	bool reload;             /* asked for */
	bool force;              /* and that whatever is lost */
	char reason[REASON_MAX]; /* of the outage */
	bool is_guarded;         /* and that it is the guard */
};

/* --- outages ---------------------------------------------------------------------------------- */

static void outage_begin(struct follower *follower, int status)
{
	const char *reason =
		status == FOLLOWER_GUARDED ? follower->guarded : storage_error(follower->storage);

	pthread_mutex_lock(&follower->lock);
	snprintf(follower->reason, sizeof(follower->reason), "%s", reason);
	follower->is_guarded = status == FOLLOWER_GUARDED;
	pthread_mutex_unlock(&follower->lock);
	/* one line an outage, and one more when it turns into another kind */
	if (follower->outage_status != status)
		log_error("store cannot be used", "reason=%s until_then=%s retry=%s", reason,
			  mirror_is_loaded(follower->mirror) ? "answering from memory"
							     : "not answering",
			  "on its own");
	if (follower->outage_status == STORAGE_OK) {
		atomic_store_explicit(&follower->outage_ms, clock_now_ms(), memory_order_relaxed);
		metrics_add(follower->shard, BACKEND_STORE_OUTAGES, 1);
		atomic_store_explicit(&follower->up, false, memory_order_release);
	}
	follower->outage_status = status;
}

static void outage_end(struct follower *follower)
{
	if (follower->outage_status != STORAGE_OK) {
		int64_t began = atomic_load_explicit(&follower->outage_ms, memory_order_relaxed);
		pthread_mutex_lock(&follower->lock);
		follower->is_guarded = false;
		pthread_mutex_unlock(&follower->lock);
		log_info("store is back", "outage_s=%.1f", (double)(clock_now_ms() - began) / 1000);
		atomic_store_explicit(&follower->outage_ms, 0, memory_order_relaxed);
		follower->outage_status = STORAGE_OK;
	}
	atomic_store_explicit(&follower->up, true, memory_order_release);
}

/*
 * Sleeps for a retry's pause, until follower_stop, or until a reload is asked for. False when it is
 * time to stop.
 */
static bool pause_before_retry(struct follower *follower)
{
	int64_t pause_ms = follower->outage_status == FOLLOWER_GUARDED
				   ? FOLLOWER_GUARD_RETRY_MS
				   : backoff_next(&follower->backoff);
	int64_t until_ms = clock_now_ms() + pause_ms;
	struct timespec until = clock_timespec(until_ms);
	bool stopping;

	pthread_mutex_lock(&follower->lock);
	while (!follower->stopping && !follower->reload &&
	       pthread_cond_timedwait(&follower->wake, &follower->lock, &until) != ETIMEDOUT)
		continue;
	stopping = follower->stopping;
	pthread_mutex_unlock(&follower->lock);
	return !stopping;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* The mirror is as the store is, now. */
static void note_contact(struct follower *follower)
{
	atomic_store_explicit(&follower->contact_ms, clock_now_ms(), memory_order_relaxed);
}

/* Everything has been loaded. */
static void note_ready(struct follower *follower)
{
	atomic_store_explicit(&follower->ready, true, memory_order_release);
	if (follower->loaded != NULL)
		follower->loaded(follower->ctx);
}

/* True when a reload was asked for since the last call; `*force` says how. */
static bool take_reload_request(struct follower *follower, bool *force)
{
	pthread_mutex_lock(&follower->lock);
	bool reload = follower->reload;
	*force = reload && follower->force;
	follower->reload = follower->force = false;
	pthread_mutex_unlock(&follower->lock);
	return reload;
}

/* The guard did not let a load pass: puts that into words. */
static int note_guarded(struct follower *follower)
{
	uint64_t lost;
	uint64_t of;

	intake_was_stopped(follower->intake, &lost, &of);
	metrics_add(follower->shard, BACKEND_STORE_GUARDED, 1);
	snprintf(
		follower->guarded, sizeof(follower->guarded),
		"the store is back without %" PRIu64 " of %" PRIu64
		" records, more than %u %%: the "
		"old ones are kept until it has them again, or `godwitctl reload --force` confirms",
		lost, of, follower->max_loss_percent);
	return FOLLOWER_GUARDED;
}

/* What changed will be saved. */
static void note_change(struct follower *follower)
{
	if (follower->keeper != NULL)
		snapshot_keeper_note_change(follower->keeper);
}

/* Loads everything. `guarded`: we did not see what happened to the store meanwhile. */
static int load(struct follower *follower, const struct storage_sink *sink, bool guarded)
{
	int64_t started = clock_now_ms();
	struct mirror_stats stats;

	follower->in_step = false;
	guarded = guarded && mirror_is_loaded(follower->mirror);
	intake_set_guard(follower->intake, guarded ? follower->max_loss_percent : 100);
	int status = storage_load(follower->storage, sink);
	if (status == STORAGE_OK && intake_was_stopped(follower->intake, NULL, NULL))
		return note_guarded(follower);
	if (status != STORAGE_OK)
		return status;
	follower->in_step = true;
	note_change(follower);
	metrics_add(follower->shard, BACKEND_STORE_LOADS, 1);
	note_contact(follower);
	outage_end(follower);
	mirror_read_stats(follower->mirror, &stats);
	log_info("store loaded",
		 "zones=%" PRIu64 " names=%" PRIu64 " records=%" PRIu64 " left_out=%" PRIu64
		 " took_s=%.3f",
		 stats.zones, stats.names, stats.records, intake_rejected(follower->intake),
		 (double)(clock_now_ms() - started) / 1000);
	note_ready(follower);
	return STORAGE_OK;
}

/* The store is open again: follows on from where it was lost, or loads everything. */
static int resume(struct follower *follower, const struct storage_sink *sink)
{
	int64_t changed_ms = intake_changed_ms(follower->intake);
	int status = storage_follow(follower->storage, sink, 0);

	if (status == STORAGE_OK) {
		if (intake_changed_ms(follower->intake) != changed_ms)
			note_change(follower);
		metrics_add(follower->shard, BACKEND_STORE_RESUMES, 1);
		note_contact(follower);
		outage_end(follower);
		return STORAGE_OK;
	}
	if (status != STORAGE_RELOAD && status != STORAGE_REPLACED)
		return status;
	log_info("store has to be loaded again", "reason=%s", storage_error(follower->storage));
	return load(follower, sink, true);
}

/* Opens, catches up or loads, and follows until something breaks; returns what. */
static int follow(struct follower *follower, const struct storage_sink *sink)
{
	bool reloaded = false;
	bool force;
	int status = storage_open(follower->storage);
	bool reload = take_reload_request(follower, &force);

	if (status == STORAGE_OK && follower->in_step && !reload)
		status = resume(follower, sink);
	else if (status == STORAGE_OK)
		status = load(follower, sink, !force);
	while (status == STORAGE_OK) {
		heartbeat_beat(follower->heartbeat);
		if (take_reload_request(follower, &force)) {
			status = load(follower, sink, !force);
			continue;
		}
		int64_t changed_ms = intake_changed_ms(follower->intake);
		status = storage_follow(follower->storage, sink, FOLLOW_WAIT_MS);
		if (intake_changed_ms(follower->intake) != changed_ms)
			note_change(follower);
		if (status == STORAGE_OK) {
			note_contact(follower);
			backoff_reset(&follower->backoff);
			reloaded = false;
		} else if ((status == STORAGE_RELOAD || status == STORAGE_REPLACED) && !reloaded) {
			/* twice in a row is an outage, or we would load without a pause */
			log_info("store has to be loaded again", "reason=%s",
				 storage_error(follower->storage));
			status = load(follower, sink, status == STORAGE_REPLACED);
			reloaded = true;
		}
	}
	return status;
}

/*
 * The store cannot be used, and nothing has been loaded yet: serves what was known when the
 * snapshot was saved. Tried once; the store, when it comes, replaces it.
 */
static void start_from_snapshot(struct follower *follower)
{
	struct mirror_stats stats;
	char error[512];
	int64_t saved_s;

	if (follower->snapshot == NULL || follower->snapshot_tried ||
	    mirror_is_loaded(follower->mirror))
		return;
	follower->snapshot_tried = true;
	switch (snapshot_load(follower->mirror, follower->snapshot, &saved_s, error,
			      sizeof(error))) {
	case SNAPSHOT_OK:
		break;
	case SNAPSHOT_MISSING:
		log_info("no snapshot to start from", "path=%s", follower->snapshot);
		return;
	default:
		log_error("snapshot not used", "reason=%s", error);
		return;
	}
	int64_t age_ms = (time(NULL) - saved_s) * 1000;
	atomic_store_explicit(&follower->contact_ms, clock_now_ms() - (age_ms > 0 ? age_ms : 0),
			      memory_order_relaxed);
	mirror_read_stats(follower->mirror, &stats);
	log_info("answering from the snapshot",
		 "path=%s zones=%" PRIu64 " names=%" PRIu64 " age_s=%" PRId64, follower->snapshot,
		 stats.zones, stats.names, age_ms / 1000);
	note_ready(follower);
}

static void *follower_run(void *arg)
{
	struct follower *follower = arg;
	const struct storage_sink sink = intake_sink(follower->intake);

	pthread_setname_np(pthread_self(), "follower");
	mirror_reader_register();
	for (;;) {
		heartbeat_beat(follower->heartbeat);
		int status = follow(follower, &sink);

		if (status == STORAGE_INTERRUPTED)
			break;
		outage_begin(follower, status);
		start_from_snapshot(follower);
		if (!pause_before_retry(follower))
			break;
	}
	mirror_reader_unregister();
	heartbeat_end(follower->heartbeat);
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

/* The condition is waited for by CLOCK_MONOTONIC, as clock_now_ms counts. */
static void init_wake(struct follower *follower)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&follower->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&follower->wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

struct follower *follower_create(const struct follower_options *options, struct mirror *mirror,
				 struct metrics *metrics, char *error, size_t error_size)
{
	const struct storage_options storage = {.password_file = options->password_file,
						.read_only = true};
	struct follower *follower = calloc(1, sizeof(*follower));

	if (follower == NULL) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	init_wake(follower);
	follower->mirror = mirror;
	follower->metrics = metrics;
	follower->snapshot = options->snapshot;
	follower->max_loss_percent = options->max_loss_percent;
	follower->loaded = options->loaded;
	follower->ctx = options->ctx;
	follower->backoff = (struct backoff){FOLLOWER_RETRY_MIN_MS, FOLLOWER_RETRY_MAX_MS, 0};
	follower->shard = metrics_shard_create(metrics);
	follower->heartbeat = options->heartbeat;
	follower->intake = intake_create(mirror, follower->shard, follower->heartbeat);
	if (follower->intake == NULL)
		snprintf(error, error_size, "out of memory");
	else
		follower->storage = storage_create(options->store, &storage, error, error_size);
	if (follower->storage == NULL) {
		follower_destroy(follower);
		return NULL;
	}
	return follower;
}

int follower_start(struct follower *follower)
{
	if (follower->snapshot != NULL) {
		follower->keeper = snapshot_keeper_start(follower->mirror, follower->snapshot,
							 follower->metrics);
		if (follower->keeper == NULL)
			return ENOMEM;
	}
	int error = pthread_create(&follower->thread, NULL, follower_run, follower);

	follower->running = error == 0;
	return error;
}

void follower_stop(struct follower *follower)
{
	if (!follower->running)
		goto keeper;
	pthread_mutex_lock(&follower->lock);
	follower->stopping = true;
	pthread_cond_signal(&follower->wake);
	pthread_mutex_unlock(&follower->lock);
	storage_interrupt(follower->storage);
	pthread_join(follower->thread, NULL);
	follower->running = false;
keeper:
	snapshot_keeper_stop(follower->keeper);
	follower->keeper = NULL;
}

void follower_destroy(struct follower *follower)
{
	if (follower == NULL)
		return;
	follower_stop(follower);
	storage_destroy(follower->storage);
	intake_destroy(follower->intake);
	pthread_cond_destroy(&follower->wake);
	pthread_mutex_destroy(&follower->lock);
	free(follower);
}

bool follower_reload(struct follower *follower, bool force, char *reply, size_t reply_size)
{
	bool guarded = false;

	pthread_mutex_lock(&follower->lock);
	guarded = follower->is_guarded && !force;
	if (guarded) {
		snprintf(reply, reply_size, "%s", follower->reason);
	} else {
		follower->reload = true;
		follower->force = force;
		pthread_cond_signal(&follower->wake);
		snprintf(reply, reply_size,
			 force ? "loading everything, whatever is lost by it"
			       : "loading everything again");
	}
	pthread_mutex_unlock(&follower->lock);
	return !guarded;
}

/* --- figures ---------------------------------------------------------------------------------- */

/* Seconds since a time of clock_now_ms. */
static double seconds_since(int64_t then_ms)
{
	return (double)(clock_now_ms() - then_ms) / 1000;
}

bool follower_describe(struct follower *follower, char *out, size_t size)
{
	bool ready = atomic_load_explicit(&follower->ready, memory_order_acquire);
	int64_t contact = atomic_load_explicit(&follower->contact_ms, memory_order_relaxed);
	bool outage = atomic_load_explicit(&follower->outage_ms, memory_order_relaxed) != 0;
	char reason[REASON_MAX + 2] = "";
	struct mirror_stats stats;

	mirror_read_stats(follower->mirror, &stats);
	if (outage) {
		pthread_mutex_lock(&follower->lock);
		snprintf(reason, sizeof(reason), ": %s", follower->reason);
		pthread_mutex_unlock(&follower->lock);
	}
	if (ready)
		snprintf(out, size, "%" PRIu64 " %s, %" PRIu64 " %s%s, data %.1f s old%s",
			 stats.zones, stats.zones == 1 ? "zone" : "zones", stats.names,
			 stats.names == 1 ? "name" : "names", outage ? " from memory" : "",
			 seconds_since(contact), reason);
	else
		snprintf(out, size, "store not loaded yet%s", reason);
	return ready;
}

void follower_read_standing(const struct follower *follower, struct follower_standing *out)
{
	out->loaded = atomic_load_explicit(&follower->ready, memory_order_acquire);
	out->store_up = atomic_load_explicit(&follower->up, memory_order_acquire);
	int64_t contact = atomic_load_explicit(&follower->contact_ms, memory_order_relaxed);
	out->age_ms = contact != 0 ? clock_now_ms() - contact : 0;
}

void follower_collect(void *ctx, struct evbuffer *out)
{
	struct follower *follower = ctx;
	bool up = atomic_load_explicit(&follower->up, memory_order_acquire);
	int64_t contact = atomic_load_explicit(&follower->contact_ms, memory_order_relaxed);
	struct mirror_stats stats;

	mirror_read_stats(follower->mirror, &stats);
	metrics_print_gauge(out, "godwit_backend_store_up",
			    "1 while the record store is followed, 0 during an outage.", up);
	if (contact != 0) {
		metrics_print_gauge(out, "godwit_backend_data_age_seconds",
				    "Time since the mirror was last known to equal the store.",
				    seconds_since(contact));
		metrics_print_gauge(out, "godwit_backend_last_change_age_seconds",
				    "Time since a load or a change was last taken over.",
				    seconds_since(intake_changed_ms(follower->intake)));
	}
	metrics_print_gauge(out, "godwit_backend_zones", "Zones served.", (double)stats.zones);
	metrics_print_gauge(out, "godwit_backend_zones_without_soa",
			    "Zones in the store that are not served for want of an SOA.",
			    (double)stats.zones_no_soa);
	metrics_print_gauge(out, "godwit_backend_names", "Owner names with records.",
			    (double)stats.names);
	metrics_print_gauge(out, "godwit_backend_records", "Records served.",
			    (double)stats.records);
	metrics_print_gauge(out, "godwit_backend_mirror_bytes",
			    "Memory the mirror has allocated, about.", (double)stats.bytes);
}
