/*
 * One backend address being watched: a channel, the Watch stream on it, and what it says, told to
 * coherence.h. Belongs to the watcher (watcher.h) and its thread.
 */
#ifndef GODWIT_FRONTEND_WATCH_H
#define GODWIT_FRONTEND_WATCH_H

#include "frontend/plan.h"

#include <event2/util.h>
#include <stdatomic.h>

struct channel_queue;
struct channel_stream;
struct coherence;
struct event;
struct event_base;
struct freshness;
struct metrics_shard;
struct sources;
struct watch;

/* What all watches have in common; borrowed. */
struct watch_options {
	struct event_base *base;
	struct channel_queue *queue;
	struct coherence *coherence;
	struct sources *sources;
	struct freshness *freshness; /* told what backends say of their data */
	struct metrics_shard *shard;
	_Atomic unsigned int *count; /* of those that tell changes */
};

/* Starts to connect. `backend` as channel_open has it. NULL when memory is short. */
struct watch *watch_create(const struct watch_options *options, const struct plan_address *address,
			   const struct plan_backend *backend);
void watch_destroy(struct watch *watch);

/* Its address' plan_address.key. */
const char *watch_key(const struct watch *watch);

#endif
