/*
 * Hears what changes: one Watch stream to each backend address that has such streams, for the whole
 * front end, on a thread of its own, so that no load on a worker delays a change.
 *
 * From the first message of a stream on the answers of its backend may be kept (coherence.h); each
 * message after it tells changes, or nothing but that the backend is there, and how fresh its data
 * is (freshness.h). When the stream ends, or nothing is heard for WATCHER_SILENCE_MS, what the
 * backend answered is suspect, until a new stream has begun: that is tried after growing pauses,
 * and whenever the address is connected anew. Backends without the method are left alone until
 * then.
 */
#ifndef GODWIT_FRONTEND_WATCHER_H
#define GODWIT_FRONTEND_WATCHER_H

#include "frontend/plan.h"

struct coherence;
struct freshness;
struct heartbeats;
struct metrics;
struct sources;
struct watcher;

/*
 * How long a backend may be silent; it should say something every 250 ms. When it is the front end
 * that has slept, what was said meanwhile is heard first, for 200 ms: or else each time that a busy
 * machine keeps this thread from a CPU, all answers would have to be asked for again.
 */
#define WATCHER_SILENCE_MS 1000

/* Largest message that is read; octets. */
#define WATCHER_MESSAGE_MAX (64 * 1024)

struct watcher_options {
	struct coherence *coherence; /* told what changes; borrowed, like the others */
	struct sources *sources;
	struct freshness *freshness; /* told how backends' data stands */
	struct metrics *metrics;
	struct heartbeats *heartbeats; /* one that hears nothing would serve what has changed */
};

/* Starts the thread, which watches nobody yet. NULL when memory or threads are short. */
struct watcher *watcher_create(const struct watcher_options *options);

/* Ends the thread and every stream. NULL is allowed. */
void watcher_destroy(struct watcher *watcher);

/*
 * Makes it watch the backends of `plan`, which must live until the next change has returned. Any
 * thread.
 */
void watcher_set_plan(struct watcher *watcher, const struct plan *plan);

/* Makes it look at its plan's addresses again. Any thread. */
void watcher_refresh(struct watcher *watcher);

/* Streams that tell changes now. Any thread. */
unsigned int watcher_count(const struct watcher *watcher);

#endif
