/*
 * The life of a Watch stream: connected, opened, begun with the first message, ended. There is one
 * timer: while a stream is open it measures silence, in between the pause before the next one.
 */
#include "frontend/watch.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "frontend/channel_stream.h"
#include "frontend/coherence.h"
#include "frontend/freshness.h"
#include "frontend/metrics.h"
#include "frontend/sources.h"
#include "frontend/watcher.h"
#include "proto/godwit.pb-c.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_PAUSE_MIN_MS 50
#define WATCH_PAUSE_MAX_MS 2000

/* A timer that is later than this tells of our own sleep, not of the backend's. */
#define WATCH_LATE_MS 100
/* How long we then listen to what has been said meanwhile. */
#define WATCH_LISTEN_MS 200

struct watch {
	struct watch_options options;
	struct plan_address address;
	uint32_t source; /* 0: there are too many; nothing is watched */
	struct channel *channel;
	struct channel_stream *stream; /* NULL: none */
	bool connected;
	bool begun;     /* the first message has come */
	bool absent;    /* it has no such method, as it is connected now */
	bool listening; /* once more, after a sleep of ours */
	struct event *timer;
	int64_t due_ms; /* of the timer */
	struct backoff backoff;
};

static void watch_arm(struct watch *watch, int64_t wait_ms)
{
	const struct timeval wait = clock_timeval(wait_ms);
	watch->due_ms = clock_now_ms() + wait_ms;
	watch->listening = false;
	if (evtimer_add(watch->timer, &wait) != 0)
		log_error("a watch has no timer", "backend=%s", watch->address.text);
}

/* --- beginning and ending --------------------------------------------------------------------- */

static void watch_begin(struct watch *watch)
{
	watch->begun = true;
	backoff_reset(&watch->backoff);
	coherence_watch_begin(watch->options.coherence, watch->source);
	atomic_fetch_add_explicit(watch->options.count, 1, memory_order_relaxed);
	log_info("backend tells its changes", "backend=%s", watch->address.text);
}

static void watch_end(struct watch *watch)
{
	watch->begun = false;
	coherence_watch_end(watch->options.coherence, watch->source);
	freshness_end(watch->options.freshness, watch->source);
	atomic_fetch_sub_explicit(watch->options.count, 1, memory_order_relaxed);
}

/* The stream has ended or is given up: the next one after a pause. */
static void watch_pause(struct watch *watch, const char *reason)
{
	watch->stream = NULL;
	if (watch->begun) {
		watch_end(watch);
		metrics_add(watch->options.shard, FRONTEND_WATCHES_BROKEN, 1);
		log_warning("backend tells no changes any more: its cached answers are suspect",
			    "backend=%s reason=%s", watch->address.text, reason);
	}
	evtimer_del(watch->timer);
	if (watch->connected && !watch->absent)
		watch_arm(watch, backoff_next(&watch->backoff));
}

/* Gives the stream up from our side. */
static void watch_break(struct watch *watch, const char *reason)
{
	channel_stream_close(watch->stream);
	watch_pause(watch, reason);
}

/* --- the stream's events ---------------------------------------------------------------------- */

static void watch_on_opened(void *ctx)
{
	(void)ctx; /* the first message counts */
}

static void watch_note_standing(struct watch *watch, const Godwit__V1__Standing *standing)
{
	struct freshness *freshness = watch->options.freshness;
	if (standing)
		freshness_tell(freshness, watch->source, standing->loaded, standing->store_up,
			       standing->age_ms, clock_now_ms());
	else
		freshness_forget(freshness, watch->source);
}

static void watch_tell(struct watch *watch, const Godwit__V1__Changes *changes)
{
	struct coherence *coherence = watch->options.coherence;
	if (changes->n_fact > 0)
		coherence_change(coherence, changes->fact, changes->n_fact);
	if (changes->everything)
		coherence_change_everything(coherence, watch->source);
	watch_note_standing(watch, changes->standing);
	/* Counted once they count. */
	metrics_add(watch->options.shard, FRONTEND_WATCH_MESSAGES, 1);
	metrics_add(watch->options.shard, FRONTEND_WATCH_FACTS, changes->n_fact);
}

static void watch_on_message(void *ctx, uint8_t *octets, size_t size)
{
	struct watch *watch = ctx;
	Godwit__V1__Changes *changes = godwit__v1__changes__unpack(NULL, size, octets);
	if (!changes) {
		watch_break(watch, "a message that is no godwit.v1.Changes");
		return;
	}
	if (!watch->begun)
		watch_begin(watch);
	watch_tell(watch, changes);
	godwit__v1__changes__free_unpacked(changes, NULL);
	channel_stream_read(watch->stream);
	watch_arm(watch, WATCHER_SILENCE_MS);
}

static void watch_on_ended(void *ctx, grpc_status_code status)
{
	struct watch *watch = ctx;
	watch->absent = status == GRPC_STATUS_UNIMPLEMENTED;
	watch_pause(watch, "the stream has ended");
}

static const struct channel_stream_handler watch_handler = {
	.opened = watch_on_opened,
	.message = watch_on_message,
	.ended = watch_on_ended,
};

static void watch_open(struct watch *watch)
{
	watch->absent = false;
	watch->stream = channel_stream_open(watch->channel, CHANNEL_WATCH, WATCHER_MESSAGE_MAX,
					    &watch_handler, watch);
	if (watch->stream) {
		/* The one request, which has no fields, and nothing follows it. */
		channel_stream_write(watch->stream, NULL, 0);
		channel_stream_finish(watch->stream);
	}
	watch_arm(watch, WATCHER_SILENCE_MS);
}

/*
 * We have slept - the process was stopped, or its thread kept from a CPU - and what the backend
 * said meanwhile is still to be read: it is heard before it is judged. Once, until it says
 * something.
 */
static bool watch_has_slept(const struct watch *watch)
{
	return !watch->listening && clock_now_ms() > watch->due_ms + WATCH_LATE_MS;
}

static void watch_on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct watch *watch = ctx;
	if (watch->stream && watch_has_slept(watch)) {
		watch_arm(watch, WATCH_LISTEN_MS);
		watch->listening = true;
	} else if (watch->stream) {
		watch_break(watch, "silence");
	} else if (watch->connected) {
		watch_open(watch);
	}
}

static void watch_on_state(void *ctx, void *owner, enum channel_state state)
{
	(void)ctx;
	struct watch *watch = owner;
	watch->connected = state == CHANNEL_READY;
	if (watch->connected && !watch->stream)
		watch_open(watch);
	/* A stream on a connection that broke ends by itself. */
}

/* --- life and death --------------------------------------------------------------------------- */

static int watch_connect(struct watch *watch, const struct plan_backend *backend)
{
	const struct channel_handler handler = {.state = watch_on_state};
	watch->timer = evtimer_new(watch->options.base, watch_on_timer, watch);
	if (!watch->timer)
		return -1;
	watch->channel =
		channel_open(watch->options.queue, watch->address.target, backend, &handler, watch);
	return watch->channel ? 0 : -1;
}

struct watch *watch_create(const struct watch_options *options, const struct plan_address *address,
			   const struct plan_backend *backend)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return NULL;
	watch->options = *options;
	watch->address = *address;
	watch->backoff =
		(struct backoff){.min_ms = WATCH_PAUSE_MIN_MS, .max_ms = WATCH_PAUSE_MAX_MS};
	watch->source = sources_hold(options->sources, address->key);
	if (watch->source && watch_connect(watch, backend) != 0) {
		watch_destroy(watch);
		return NULL;
	}
	return watch;
}

void watch_destroy(struct watch *watch)
{
	if (!watch)
		return;
	channel_stream_close(watch->stream);
	if (watch->begun)
		watch_end(watch);
	channel_close(watch->channel);
	if (watch->timer)
		event_free(watch->timer);
	freshness_forget(watch->options.freshness, watch->source);
	sources_release(watch->options.sources, watch->source);
	free(watch);
}

const char *watch_key(const struct watch *watch)
{
	return watch->address.key;
}
