#include "backend/follower.h"

#include "backend/counters.h"
#include "backend/intake.h"
#include "backend/mirror.h"
#include "common/backoff.h"
#include "common/clock.h"
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

/* How long one storage_follow waits; the data's age is known that precisely. */
#define FOLLOW_WAIT_MS 500

#define REASON_MAX 1024

struct follower {
	struct mirror *mirror;
	struct metrics_shard *shard;
	struct storage *storage;
	struct intake *intake;
	struct backoff backoff;
	void (*loaded)(void *ctx);
	void *ctx;
	pthread_t thread;
	bool running;

	/* The thread's own. */
	int outage_status; /* why the store cannot be used; STORAGE_OK: it can */

	/* For others to read. Times are clock_now_ms; 0: never. */
	_Atomic bool up;
	_Atomic int64_t contact_ms; /* when the mirror last was as the store */
	_Atomic int64_t outage_ms;  /* when the outage began; 0: none */

	pthread_mutex_t lock; /* for the two below */
	pthread_cond_t wake;
	bool stopping;
	char reason[REASON_MAX]; /* of the outage */
};

/* --- outages ---------------------------------------------------------------------------------- */

static void outage_begin(struct follower *follower, int status)
{
	const char *reason = storage_error(follower->storage);

	pthread_mutex_lock(&follower->lock);
	snprintf(follower->reason, sizeof(follower->reason), "%s", reason);
	pthread_mutex_unlock(&follower->lock);
	if (follower->outage_status == STORAGE_OK) {
		atomic_store_explicit(&follower->up, false, memory_order_relaxed);
		atomic_store_explicit(&follower->outage_ms, clock_now_ms(), memory_order_relaxed);
		metrics_add(follower->shard, BACKEND_STORE_OUTAGES, 1);
	}
	/* one line an outage, and one more when it turns into another kind */
	if (follower->outage_status != status)
		log_error("store cannot be used", "reason=%s until_then=%s retry=%s", reason,
			  mirror_is_loaded(follower->mirror) ? "answering from memory"
							     : "not answering",
			  "on its own");
	follower->outage_status = status;
}

static void outage_end(struct follower *follower)
{
	int64_t began = atomic_load_explicit(&follower->outage_ms, memory_order_relaxed);

	atomic_store_explicit(&follower->up, true, memory_order_relaxed);
	if (follower->outage_status == STORAGE_OK)
		return;
	log_info("store is back", "outage_s=%.1f", (double)(clock_now_ms() - began) / 1000);
	atomic_store_explicit(&follower->outage_ms, 0, memory_order_relaxed);
	follower->outage_status = STORAGE_OK;
}

/* Sleeps for a retry's pause or until follower_stop. False when it is time to stop. */
static bool pause_before_retry(struct follower *follower)
{
	int64_t until_ms = clock_now_ms() + backoff_next(&follower->backoff);
	struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
	bool stopping;

	pthread_mutex_lock(&follower->lock);
	while (!follower->stopping &&
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

static int load(struct follower *follower, const struct storage_sink *sink)
{
	int64_t started = clock_now_ms();
	struct mirror_stats stats;
	int status = storage_load(follower->storage, sink);

	if (status != STORAGE_OK)
		return status;
	outage_end(follower);
	note_contact(follower);
	metrics_add(follower->shard, BACKEND_STORE_LOADS, 1);
	mirror_read_stats(follower->mirror, &stats);
	log_info("store loaded",
		 "zones=%" PRIu64 " names=%" PRIu64 " records=%" PRIu64 " left_out=%" PRIu64
		 " took_s=%.3f",
		 stats.zones, stats.names, stats.records, intake_rejected(follower->intake),
		 (double)(clock_now_ms() - started) / 1000);
	if (follower->loaded != NULL)
		follower->loaded(follower->ctx);
	return STORAGE_OK;
}

/* Opens, loads and follows until something breaks; returns what. */
static int follow(struct follower *follower, const struct storage_sink *sink)
{
	bool reloaded = false;
	int status = storage_open(follower->storage);

	if (status == STORAGE_OK)
		status = load(follower, sink);
	while (status == STORAGE_OK) {
		status = storage_follow(follower->storage, sink, FOLLOW_WAIT_MS);
		if (status == STORAGE_OK) {
			note_contact(follower);
			backoff_reset(&follower->backoff);
			reloaded = false;
		} else if (status == STORAGE_RELOAD && !reloaded) {
			/* twice in a row is an outage, or we would load without a pause */
			log_info("store has to be loaded again", "reason=%s",
				 storage_error(follower->storage));
			status = load(follower, sink);
			reloaded = true;
		}
	}
	return status;
}

static void *follower_run(void *arg)
{
	struct follower *follower = arg;
	const struct storage_sink sink = intake_sink(follower->intake);

	pthread_setname_np(pthread_self(), "follower");
	mirror_reader_register();
	for (;;) {
		int status = follow(follower, &sink);

		if (status == STORAGE_INTERRUPTED)
			break;
		outage_begin(follower, status);
		if (!pause_before_retry(follower))
			break;
	}
	mirror_reader_unregister();
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
	follower->loaded = options->loaded;
	follower->ctx = options->ctx;
	follower->backoff = (struct backoff){FOLLOWER_RETRY_MIN_MS, FOLLOWER_RETRY_MAX_MS, 0};
	follower->shard = metrics_shard_create(metrics);
	follower->intake = intake_create(mirror, follower->shard);
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
	int error = pthread_create(&follower->thread, NULL, follower_run, follower);

	follower->running = error == 0;
	return error;
}

void follower_stop(struct follower *follower)
{
	if (!follower->running)
		return;
	pthread_mutex_lock(&follower->lock);
	follower->stopping = true;
	pthread_cond_signal(&follower->wake);
	pthread_mutex_unlock(&follower->lock);
	storage_interrupt(follower->storage);
	pthread_join(follower->thread, NULL);
	follower->running = false;
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

/* --- figures ---------------------------------------------------------------------------------- */

/* Seconds since a time of clock_now_ms. */
static double seconds_since(int64_t then_ms)
{
	return (double)(clock_now_ms() - then_ms) / 1000;
}

bool follower_describe(struct follower *follower, char *out, size_t size)
{
	int64_t contact = atomic_load_explicit(&follower->contact_ms, memory_order_relaxed);
	bool outage = atomic_load_explicit(&follower->outage_ms, memory_order_relaxed) != 0;
	bool loaded = mirror_is_loaded(follower->mirror);
	char reason[REASON_MAX + 2] = "";
	struct mirror_stats stats;

	mirror_read_stats(follower->mirror, &stats);
	if (outage) {
		pthread_mutex_lock(&follower->lock);
		snprintf(reason, sizeof(reason), ": %s", follower->reason);
		pthread_mutex_unlock(&follower->lock);
	}
	if (loaded)
		snprintf(out, size, "%" PRIu64 " %s, %" PRIu64 " %s%s, data %.1f s old%s",
			 stats.zones, stats.zones == 1 ? "zone" : "zones", stats.names,
			 stats.names == 1 ? "name" : "names", outage ? " from memory" : "",
			 seconds_since(contact), reason);
	else
		snprintf(out, size, "store not loaded yet%s", reason);
	return loaded;
}

void follower_collect(void *ctx, struct evbuffer *out)
{
	struct follower *follower = ctx;
	int64_t contact = atomic_load_explicit(&follower->contact_ms, memory_order_relaxed);
	struct mirror_stats stats;

	mirror_read_stats(follower->mirror, &stats);
	metrics_print_gauge(out, "godwit_backend_store_up",
			    "1 while the record store is followed, 0 during an outage.",
			    atomic_load_explicit(&follower->up, memory_order_relaxed));
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
