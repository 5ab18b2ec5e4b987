/*
 * A beat is a count that only its thread adds to; what is known about the thread is kept by who
 * looks, under one lock.
 */
#include "common/heartbeat.h"

#include "common/log.h"
#include "common/metrics.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Longer gaps between looks are no silence of the others: nobody was running. */
#define LOOK_GAP_MAX_MS (2 * HEARTBEAT_MS)

struct heartbeat {
	char name[HEARTBEAT_NAME_MAX];
	enum heartbeat_kind kind;
	int64_t bound_ms;
	_Atomic uint64_t beats;
	_Atomic bool ended;
	/* What looking has found out; under the lock. */
	uint64_t seen;
	int64_t silent_ms; /* since `seen` was new */
	bool hangs;
	uint64_t times; /* it has hung */
	struct heartbeat *next;
};

struct heartbeats {
	const char *program;
	pthread_mutex_t lock; /* for all below */
	struct heartbeat *first;
	struct heartbeat **end; /* of the list: where the next one is put */
	bool looked;
	int64_t look_ms; /* when, if it has been looked at all */
};

struct heartbeats *heartbeats_create(const char *program)
{
	struct heartbeats *heartbeats = calloc(1, sizeof(*heartbeats));

	if (!heartbeats)
		return NULL;
	heartbeats->program = program;
	pthread_mutex_init(&heartbeats->lock, NULL);
	heartbeats->end = &heartbeats->first;
	return heartbeats;
}

void heartbeats_destroy(struct heartbeats *heartbeats)
{
	struct heartbeat *heartbeat;

	if (!heartbeats)
		return;
	while ((heartbeat = heartbeats->first)) {
		heartbeats->first = heartbeat->next;
		free(heartbeat);
	}
	pthread_mutex_destroy(&heartbeats->lock);
	free(heartbeats);
}

struct heartbeat *heartbeats_add(struct heartbeats *heartbeats, const char *name,
				 enum heartbeat_kind kind, int64_t bound_ms)
{
	struct heartbeat *heartbeat = calloc(1, sizeof(*heartbeat));

	if (!heartbeat)
		return NULL;
	snprintf(heartbeat->name, sizeof(heartbeat->name), "%s", name);
	heartbeat->kind = kind;
	heartbeat->bound_ms = bound_ms;
	pthread_mutex_lock(&heartbeats->lock);
	*heartbeats->end = heartbeat;
	heartbeats->end = &heartbeat->next;
	pthread_mutex_unlock(&heartbeats->lock);
	return heartbeat;
}

/* --- the thread's side ------------------------------------------------------------------------ */

void heartbeat_beat(struct heartbeat *heartbeat)
{
	if (!heartbeat)
		return;
	/* Nobody else writes it. */
	uint64_t beats = atomic_load_explicit(&heartbeat->beats, memory_order_relaxed);
	atomic_store_explicit(&heartbeat->beats, beats + 1, memory_order_relaxed);
}

void heartbeat_end(struct heartbeat *heartbeat)
{
	if (heartbeat)
		atomic_store_explicit(&heartbeat->ended, true, memory_order_relaxed);
}

static void heartbeat_on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	heartbeat_beat(ctx);
}

struct event_base *heartbeat_new_loop(void)
{
	const struct timeval turn = {.tv_sec = HEARTBEAT_TURN_MS / 1000};
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_set_max_dispatch_interval(config, &turn, -1, 0) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	/* Two priorities: 0 is ours, all other events get 1 by themselves. */
	if (base && event_base_priority_init(base, 2) != 0) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

struct event *heartbeat_add_timer(struct event_base *base, struct heartbeat *heartbeat)
{
	const struct timeval interval = {.tv_sec = HEARTBEAT_MS / 1000};
	struct event *timer = event_new(base, -1, EV_PERSIST, heartbeat_on_timer, heartbeat);

	if (!timer)
		return NULL;
	if (event_priority_set(timer, 0) == 0 && event_add(timer, &interval) == 0)
		return timer;
	event_free(timer);
	return NULL;
}

/* --- looking ---------------------------------------------------------------------------------- */

static double heartbeat_silent_s(const struct heartbeat *heartbeat)
{
	return (double)heartbeat->silent_ms / 1000;
}

static void heartbeat_note_hang(struct heartbeat *heartbeat)
{
	heartbeat->hangs = true;
	heartbeat->times++;
	log_error("a thread hangs", "thread=%s silent_s=%.1f livez=%s", heartbeat->name,
		  heartbeat_silent_s(heartbeat),
		  heartbeat->kind == HEARTBEAT_VITAL ? "fails until it moves" : "unharmed");
}

static void heartbeat_note_move(struct heartbeat *heartbeat)
{
	heartbeat->hangs = false;
	log_info("a thread that hung moves again", "thread=%s silent_s=%.1f", heartbeat->name,
		 heartbeat_silent_s(heartbeat));
}

static void heartbeat_look(struct heartbeat *heartbeat, int64_t gap_ms)
{
	uint64_t beats = atomic_load_explicit(&heartbeat->beats, memory_order_relaxed);

	if (atomic_load_explicit(&heartbeat->ended, memory_order_relaxed)) {
		heartbeat->hangs = false;
		return;
	}
	if (beats == heartbeat->seen) {
		heartbeat->silent_ms += gap_ms;
		if (!heartbeat->hangs && heartbeat->silent_ms > heartbeat->bound_ms)
			heartbeat_note_hang(heartbeat);
		return;
	}
	if (heartbeat->hangs)
		heartbeat_note_move(heartbeat);
	heartbeat->seen = beats;
	heartbeat->silent_ms = 0;
}

void heartbeats_look(struct heartbeats *heartbeats, int64_t now_ms)
{
	struct heartbeat *heartbeat;

	pthread_mutex_lock(&heartbeats->lock);
	int64_t gap_ms = heartbeats->looked ? now_ms - heartbeats->look_ms : 0;
	if (gap_ms < 0)
		gap_ms = 0;
	if (gap_ms > LOOK_GAP_MAX_MS)
		gap_ms = LOOK_GAP_MAX_MS;
	heartbeats->looked = true;
	heartbeats->look_ms = now_ms;
	for (heartbeat = heartbeats->first; heartbeat; heartbeat = heartbeat->next)
		heartbeat_look(heartbeat, gap_ms);
	pthread_mutex_unlock(&heartbeats->lock);
}

/* --- what was found --------------------------------------------------------------------------- */

/* Appends a thread that hangs to a line that has `used` octets; returns how many it has then. */
static size_t heartbeat_describe(const struct heartbeat *heartbeat, char *line, size_t size,
				 size_t used)
{
	int written =
		snprintf(line + used, size - used, "%s%s has not moved for %.0f s",
			 used > 0 ? ", " : "", heartbeat->name, heartbeat_silent_s(heartbeat));

	if (written < 0 || (size_t)written >= size - used) {
		line[used] = '\0'; /* the others are not named */
		return used;
	}
	return used + (size_t)written;
}

bool heartbeats_describe(void *ctx, char *reason, size_t reason_size)
{
	struct heartbeats *heartbeats = ctx;
	const struct heartbeat *heartbeat;
	bool alive = true;
	size_t used = 0;

	pthread_mutex_lock(&heartbeats->lock);
	for (heartbeat = heartbeats->first; heartbeat; heartbeat = heartbeat->next)
		if (heartbeat->hangs && heartbeat->kind == HEARTBEAT_VITAL)
			alive = false;
	if (alive) {
		int written = snprintf(reason, reason_size, "alive");
		used = written > 0 && (size_t)written < reason_size ? (size_t)written : 0;
	}
	for (heartbeat = heartbeats->first; heartbeat; heartbeat = heartbeat->next)
		if (heartbeat->hangs)
			used = heartbeat_describe(heartbeat, reason, reason_size, used);
	pthread_mutex_unlock(&heartbeats->lock);
	return alive;
}

void heartbeats_collect(void *ctx, struct evbuffer *out)
{
	struct heartbeats *heartbeats = ctx;
	const struct heartbeat *heartbeat;
	unsigned int hung = 0;
	char name[64];

	pthread_mutex_lock(&heartbeats->lock);
	for (heartbeat = heartbeats->first; heartbeat; heartbeat = heartbeat->next)
		hung += heartbeat->hangs;
	snprintf(name, sizeof(name), "godwit_%s_threads_hung", heartbeats->program);
	metrics_print_gauge(out, name, "Threads that have not moved for longer than they may.",
			    hung);
	snprintf(name, sizeof(name), "godwit_%s_thread_hangs_total", heartbeats->program);
	evbuffer_add_printf(out, "# HELP %s Times a thread was found hanging.\n# TYPE %s counter\n",
			    name, name);
	for (heartbeat = heartbeats->first; heartbeat; heartbeat = heartbeat->next)
		evbuffer_add_printf(out, "%s{thread=\"%s\"} %llu\n", name, heartbeat->name,
				    (unsigned long long)heartbeat->times);
	pthread_mutex_unlock(&heartbeats->lock);
}
