/* The watcher's thread, and the set of addresses it watches. */
#include "frontend/watcher.h"

#include "common/heartbeat.h"
#include "common/log.h"
#include "common/metrics.h"
#include "frontend/channel_queue.h"
#include "frontend/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct watcher {
	struct watch_options options;
	pthread_t thread;
	bool started;
	_Atomic bool stopping;
	_Atomic unsigned int count;
	int wake_fd;
	struct event *wake;
	struct heartbeat *heartbeat;
	struct event *beat;
	pthread_mutex_t lock; /* for the plan: held while its addresses are read */
	const struct plan *plan;
	struct watch **watches;
	size_t watch_count;
};

/* --- the set ---------------------------------------------------------------------------------- */

/* Takes the watch of a key out of `watches`, or NULL. */
static struct watch *watcher_take(struct watch **watches, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++) {
		struct watch *watch = watches[i];
		if (watch && strcmp(watch_key(watch), key) == 0) {
			watches[i] = NULL;
			return watch;
		}
	}
	return NULL;
}

static bool watcher_has(const struct watcher *watcher, const char *key)
{
	for (size_t i = 0; i < watcher->watch_count; i++)
		if (strcmp(watch_key(watcher->watches[i]), key) == 0)
			return true;
	return false;
}

/* Adds the watch of an address: one there was before (`old`), or a new one. */
static void watcher_add(struct watcher *watcher, const struct plan_address *address,
			const struct plan_backend *backend, struct watch **old, size_t old_count)
{
	if (watcher_has(watcher, address->key))
		return;
	struct watch **grown =
		realloc(watcher->watches, (watcher->watch_count + 1) * sizeof(watcher->watches[0]));
	struct watch *watch = watcher_take(old, old_count, address->key);
	if (grown)
		watcher->watches = grown;
	if (grown && !watch)
		watch = watch_create(&watcher->options, address, backend);
	if (grown && watch) {
		watcher->watches[watcher->watch_count++] = watch;
		return;
	}
	watch_destroy(watch);
	log_error("a backend is not watched: out of memory", "backend=%s", address->text);
}

/* Brings the watches in line with the plan's addresses. */
static void watcher_update(struct watcher *watcher)
{
	struct plan_address addresses[RESOLVER_ADDRESSES_MAX];
	struct watch **old = watcher->watches;
	size_t old_count = watcher->watch_count;
	watcher->watches = NULL;
	watcher->watch_count = 0;
	pthread_mutex_lock(&watcher->lock);
	for (size_t i = 0; watcher->plan && i < watcher->plan->backend_count; i++) {
		size_t count = plan_read_addresses(watcher->plan, i, addresses);
		for (size_t j = 0; j < count; j++)
			watcher_add(watcher, &addresses[j], &watcher->plan->backends[i], old,
				    old_count);
	}
	pthread_mutex_unlock(&watcher->lock);
	for (size_t i = 0; i < old_count; i++)
		watch_destroy(old[i]);
	free(old);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void watcher_on_wake(evutil_socket_t fd, short what, void *ctx)
{
	(void)what;
	struct watcher *watcher = ctx;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading an eventfd failed", "reason=%s", strerror(errno));
	if (atomic_load(&watcher->stopping))
		event_base_loopbreak(watcher->options.base);
	else
		watcher_update(watcher);
}

static void watcher_on_flush(void *ctx)
{
	(void)ctx; /* changes are told one by one: nothing gathers */
}

static void *watcher_run(void *ctx)
{
	struct watcher *watcher = ctx;
	if (event_base_dispatch(watcher->options.base) != 0)
		log_error("event loop failed", "thread=watcher");
	/* One that ends by itself is missed. */
	if (atomic_load(&watcher->stopping))
		heartbeat_end(watcher->heartbeat);
	return NULL;
}

void watcher_refresh(struct watcher *watcher)
{
	const uint64_t one = 1;
	if (write(watcher->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking the watcher failed", "reason=%s", strerror(errno));
}

void watcher_set_plan(struct watcher *watcher, const struct plan *plan)
{
	pthread_mutex_lock(&watcher->lock);
	watcher->plan = plan;
	pthread_mutex_unlock(&watcher->lock);
	watcher_refresh(watcher);
}

unsigned int watcher_count(const struct watcher *watcher)
{
	return atomic_load_explicit(&watcher->count, memory_order_relaxed);
}

/* --- life and death --------------------------------------------------------------------------- */

static int watcher_open(struct watcher *watcher, struct heartbeats *heartbeats)
{
	watcher->options.base = heartbeat_new_loop();
	watcher->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!watcher->options.base || watcher->wake_fd < 0)
		return -1;
	watcher->wake = event_new(watcher->options.base, watcher->wake_fd, EV_READ | EV_PERSIST,
				  watcher_on_wake, watcher);
	if (!watcher->wake || event_add(watcher->wake, NULL) != 0)
		return -1;
	watcher->options.queue =
		channel_queue_create(watcher->options.base, watcher_on_flush, watcher);
	if (!watcher->options.queue)
		return -1;
	watcher->heartbeat =
		heartbeats_add(heartbeats, "watcher", HEARTBEAT_VITAL, HEARTBEAT_BOUND_MS);
	if (!watcher->heartbeat)
		return -1;
	watcher->beat = heartbeat_add_timer(watcher->options.base, watcher->heartbeat);
	if (!watcher->beat)
		return -1;
	watcher->started = pthread_create(&watcher->thread, NULL, watcher_run, watcher) == 0;
	return watcher->started ? 0 : -1;
}

struct watcher *watcher_create(const struct watcher_options *options)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	if (!watcher)
		return NULL;
	watcher->wake_fd = -1;
	watcher->options = (struct watch_options){
		.coherence = options->coherence,
		.sources = options->sources,
		.freshness = options->freshness,
		.shard = metrics_shard_create(options->metrics),
		.count = &watcher->count,
	};
	pthread_mutex_init(&watcher->lock, NULL);
	if (watcher_open(watcher, options->heartbeats) != 0) {
		watcher_destroy(watcher);
		return NULL;
	}
	pthread_setname_np(watcher->thread, "watcher");
	return watcher;
}

void watcher_destroy(struct watcher *watcher)
{
	if (!watcher)
		return;
	if (watcher->started) {
		atomic_store(&watcher->stopping, true);
		watcher_refresh(watcher);
		pthread_join(watcher->thread, NULL);
	}
	for (size_t i = 0; i < watcher->watch_count; i++)
		watch_destroy(watcher->watches[i]);
	free(watcher->watches);
	channel_queue_destroy(watcher->options.queue);
	if (watcher->wake)
		event_free(watcher->wake);
	if (watcher->beat)
		event_free(watcher->beat);
	if (watcher->wake_fd >= 0)
		close(watcher->wake_fd);
	if (watcher->options.base)
		event_base_free(watcher->options.base);
	pthread_mutex_destroy(&watcher->lock);
	free(watcher);
}
