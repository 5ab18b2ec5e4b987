#include "backend/snapshot_keeper.h"

#include "backend/counters.h"
#include "backend/mirror.h"
#include "backend/snapshot.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct snapshot_keeper {
	struct mirror *mirror;
	const char *path;
	struct metrics_shard *shard; /* the thread's */
	pthread_t thread;
	pthread_mutex_t lock; /* for the two below */
	pthread_cond_t wake;
	bool changed;
	bool stopping;
	bool failing; /* the thread's: told already */
};

/* Saves once; returns how long to wait before the next time, in milliseconds. */
static int64_t save(struct snapshot_keeper *keeper)
{
	char error[512];
	int64_t started = clock_now_ms();

	if (snapshot_save(keeper->mirror, keeper->path, error, sizeof(error)) != SNAPSHOT_OK) {
		metrics_add(keeper->shard, BACKEND_SNAPSHOTS_FAILED, 1);
		if (!keeper->failing)
			log_error("snapshot not saved", "reason=%s retry_s=%d", error,
				  SNAPSHOT_RETRY_MS / 1000);
		keeper->failing = true;
		snapshot_keeper_note_change(keeper);
		return SNAPSHOT_RETRY_MS;
	}
	metrics_add(keeper->shard, BACKEND_SNAPSHOTS_SAVED, 1);
	if (keeper->failing)
		log_info("snapshot saved again", "path=%s", keeper->path);
	keeper->failing = false;
	int64_t pause = SNAPSHOT_DUTY * (clock_now_ms() - started);
	return pause > SNAPSHOT_DELAY_MS ? pause : SNAPSHOT_DELAY_MS;
}

/* Waits until `until_ms` or the end. */
static void wait_until(struct snapshot_keeper *keeper, int64_t until_ms)
{
	const struct timespec until = clock_timespec(until_ms);

	while (!keeper->stopping &&
	       pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until) != ETIMEDOUT)
		continue;
}

static void *keeper_run(void *arg)
{
	struct snapshot_keeper *keeper = arg;
	int64_t pause_ms = SNAPSHOT_DELAY_MS;

	pthread_setname_np(pthread_self(), "snapshot");
	mirror_reader_register();
	pthread_mutex_lock(&keeper->lock);
	while (!keeper->stopping || keeper->changed) {
		if (!keeper->changed) {
			pthread_cond_wait(&keeper->wake, &keeper->lock);
			continue;
		}
		wait_until(keeper, clock_now_ms() + pause_ms);
		bool last = keeper->stopping;
		keeper->changed = false;
		pthread_mutex_unlock(&keeper->lock);
		pause_ms = save(keeper);
		pthread_mutex_lock(&keeper->lock);
		if (last)
			break; /* saved, or tried to */
	}
	pthread_mutex_unlock(&keeper->lock);
	mirror_reader_unregister();
	return NULL;
}

struct snapshot_keeper *snapshot_keeper_start(struct mirror *mirror, const char *path,
					      struct metrics *metrics)
{
	struct snapshot_keeper *keeper = calloc(1, sizeof(*keeper));
	pthread_condattr_t attributes;

	if (!keeper)
		return NULL;
	keeper->mirror = mirror;
	keeper->path = path;
	keeper->shard = metrics_shard_create(metrics);
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&keeper->thread, NULL, keeper_run, keeper) == 0)
		return keeper;
	pthread_cond_destroy(&keeper->wake);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
	return NULL;
}

void snapshot_keeper_note_change(struct snapshot_keeper *keeper)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->changed = true;
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
}

void snapshot_keeper_stop(struct snapshot_keeper *keeper)
{
	if (!keeper)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->stopping = true;
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
	pthread_join(keeper->thread, NULL);
	pthread_cond_destroy(&keeper->wake);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
}
