/*
 * A worker: one thread with its own event loop, sockets, query pool and backend connections.
 *
 * Encrypted connections have workers of their own, as many, which are less urgent to the kernel: a
 * flood of handshakes takes no time from plain queries.
 *
 * Workers share nothing on a query's way but the configuration, the plan, and the count of TCP
 * connections. The kernel spreads clients over them (SO_REUSEPORT).
 *
 * A worker's loop beats (heartbeat.h): one that stands still is seen at /livez.
 *
 * What another thread wants of a worker - new addresses, a new plan, to stop - is left as a request
 * and picked up by its loop. All functions are for the main thread unless they say otherwise.
 */
#ifndef GODWIT_FRONTEND_WORKER_H
#define GODWIT_FRONTEND_WORKER_H

#include "frontend/config.h"
#include "frontend/metrics.h"
#include "frontend/plan.h"
#include "frontend/replica.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* A stopping worker waits this long for queries in flight and replies not yet read. */
#define WORKER_STOP_MS 4000

struct worker;
struct zone_table;

struct worker_options {
	unsigned int index;                   /* 0 is the one that logs what all of them meet */
	const struct frontend_config *config; /* borrowed */
	struct metrics *metrics;              /* borrowed */
	struct heartbeats *heartbeats;        /* borrowed */
	struct cache *cache;                  /* of all workers; borrowed; NULL: none */
	struct coherence *coherence;          /* borrowed; NULL: no cache */
	struct sources *sources;              /* the same */
	bool secure;                          /* serves TLS, HTTPS and QUIC; else UDP and TCP */
	bool quic;                            /* of those, the one that serves QUIC (quic.h) */
	_Atomic unsigned *tcp_open;           /* TCP connections of all workers; borrowed */
	_Atomic unsigned *tls_open;           /* encrypted ones */
	struct tls *tls;                      /* borrowed; NULL: nothing encrypted */
	struct clients *clients;              /* the same */
};

/* Makes a worker and opens its sockets. NULL with one line in `error` when that fails. */
struct worker *worker_create(const struct worker_options *options, char *error, size_t error_size);

/* Starts its thread with the plan, which is borrowed. 0, or -1. */
int worker_start(struct worker *worker, const struct plan *plan);

/* Waits for the thread, if it runs, and frees everything. NULL is allowed. */
void worker_destroy(struct worker *worker);

/* Makes the worker look at its plan's addresses again. Any thread. */
void worker_refresh(struct worker *worker);

/*
 * Makes the worker go over to another plan and waits until it has: the old one is then free of it.
 * 0, or -1 when it is short of memory and not all routes are in place.
 */
int worker_set_plan(struct worker *worker, const struct plan *plan);

/* Makes the worker stop reading, answer what is in flight and end. Does not wait. */
void worker_stop(struct worker *worker);

/* True once the worker's loop has ended. */
bool worker_has_ended(const struct worker *worker);

/* For the admin thread; see upstream.h. */
bool worker_is_ready(struct worker *worker, char *reason, size_t reason_size);
void worker_visit_replicas(struct worker *worker, void (*visit)(void *, const struct replica *),
			   void *ctx);
size_t worker_in_flight(const struct worker *worker);
/* What it has counted by zone; NULL: config->top_zones is 0. */
const struct zone_table *worker_zones(const struct worker *worker);

#endif
