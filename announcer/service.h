/*
 * One service: its probe, its life line, its drain file and what was said by hand, and what follows
 * from them (service_state.h).
 *
 * The service tells its owner by `on_change` that something it rests on has changed; the owner then
 * calls service_update, and announces accordingly. When the front end drains, it is told that it
 * may end ("withdrawn") as soon as the owner says that no router sends clients here any more.
 *
 * On the control thread, except where said otherwise.
 */
#ifndef GODWIT_ANNOUNCER_SERVICE_H
#define GODWIT_ANNOUNCER_SERVICE_H

#include "announcer/config.h"
#include "announcer/service_state.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct event;
struct event_base;
struct life_line;
struct metrics_shard;
struct probe;

struct service_options {
	struct event_base *base; /* borrowed, as all of these */
	const struct announcer_service *config;
	int graceful_ms;
	struct metrics_shard *metrics;
	void (*on_change)(void *ctx);
	void *ctx;
};

struct service {
	struct service_options options;
	struct service_state state;
	struct service_view view;    /* what the state rests on */
	enum service_phase reported; /* the phase that was logged last */
	struct probe *probe;
	struct life_line *life_line; /* NULL: none configured */
	enum life_line_state life_line_was;
	struct event *timer; /* looks at the drain file, and at the end of DRAINING */
	bool drain_file;     /* is there */
	bool stopping;       /* the announcer ends */
	bool unheard;        /* no session is established: the owner's, before service_update */
	bool told;           /* "withdrawn" has been said since the front end began to drain */
	int64_t settled_ms;  /* withdrawn, and routers have acted on it, from then on; INT64_MAX:
				not known yet. The owner's. */
	_Atomic bool drained_by_hand; /* any thread may set it, and then wake the owner */
};

/* Starts probing. NULL with a reason that names the service. */
struct service *service_create(const struct service_options *options, char *error,
			       size_t error_size);
void service_destroy(struct service *service);

/*
 * Looks at everything anew. Returns true when the phase has changed: the owner announces, or
 * withdraws, and then calls service_report. Logs nothing, so that nothing delays a withdrawal.
 */
bool service_update(struct service *service);

/* Logs and counts the phase, if it has changed since the last call. */
void service_report(struct service *service);

/*
 * True while the front end drains and has not been told yet that it may end, although the service
 * is withdrawn: the owner waits for the routers and then calls service_release.
 */
bool service_wants_release(const struct service *service);
void service_release(struct service *service);

/* The end of the announcer is near: drain. */
void service_stop(struct service *service);

#endif
