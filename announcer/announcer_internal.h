/* The announcer's insides, for announcer*.c only. */
#ifndef GODWIT_ANNOUNCER_ANNOUNCER_INTERNAL_H
#define GODWIT_ANNOUNCER_ANNOUNCER_INTERNAL_H

#include "announcer/addresses.h"
#include "announcer/announcer.h"
#include "announcer/routes.h"
#include "announcer/service.h"
#include "announcer/speaker.h"
#include "announcer/status.h"

#include <pthread.h>
#include <stdatomic.h>

struct admin;
struct event;
struct event_base;
struct heartbeat;
struct heartbeats;
struct metrics;

/* Sessions are lost while a thread stands still: sooner than other programs' (heartbeat.h). */
#define ANNOUNCER_SILENT_MS 5000

/* How far the end has come. */
enum announcer_end {
	ANNOUNCER_RUNS,
	ANNOUNCER_DRAINS, /* until all services are withdrawn and settled */
	ANNOUNCER_CLOSES, /* until all sessions are closed */
};

struct announcer {
	struct announcer_config *config;
	struct metrics *metrics;
	struct metrics_shard *shard; /* the control thread's */
	struct event_base *base;
	int wake_fd; /* an eventfd: look at the flags that other threads set */
	struct event *wake;
	struct event *tick;    /* once a second */
	struct event *publish; /* a snapshot, once this turn's events are done */
	struct event *settle;  /* while something waits for routers to act */
	struct netlink *netlink;
	struct addresses addresses;
	struct netlink_address *hosts; /* this host's addresses, for the labels */
	size_t host_count;
	struct bfd *bfd; /* NULL: no peer wants it */
	struct speaker *speaker;
	struct service **services; /* config->service_count of them */
	struct routes routes;
	struct status status;
	struct admin *admin;
	struct heartbeats *heartbeats;
	struct heartbeat *heartbeat; /* the control thread's */
	pthread_t thread;
	bool thread_runs;
	bool updating; /* in announcer_update */
	bool again;    /* it was called once more meanwhile */
	enum announcer_end end;
	int64_t close_by_ms;   /* ANNOUNCER_CLOSES: not waited for longer */
	_Atomic bool stopping; /* set by the main thread */
	_Atomic bool stopped;  /* set by the control thread */
};

/*
 * Looks at all services anew and does what follows: addresses, announcements, log lines. May be
 * called from any callback on the control thread, from within itself too.
 */
void announcer_update(struct announcer *announcer);

/* The host's addresses may have changed. */
void announcer_on_hosts(void *ctx);

/*
 * Moves on what waits for routers: front ends that want to end, addresses to be taken away, the
 * announcer's own end. On the `settle` event only.
 */
void announcer_settle(struct announcer *announcer);

/* The pages and gauges of the admin server: announcer_admin.c. */
int announcer_start_admin(struct announcer *announcer, char *error, size_t error_size);

#endif
