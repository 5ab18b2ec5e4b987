/*
 * One replica of a backend: a channel to one address, a stream on it if the replica has such, what
 * is known about it, and its figures.
 *
 * Replicas belong to a worker's upstream (upstream.h) and are used by its thread; the figures are
 * atomics that the admin thread reads.
 */
#ifndef GODWIT_FRONTEND_REPLICA_H
#define GODWIT_FRONTEND_REPLICA_H

#include "dns/query.h"
#include "frontend/balance.h"
#include "frontend/channel.h"
#include "frontend/plan.h"
#include "frontend/stream.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * Calls in flight to one replica, from one worker. gRPC's C core suffers beyond a few hundred; a
 * stream takes WINDOW_QUESTIONS.
 */
#define REPLICA_CALLS_MAX 128

/* Octets of a probe: header, name, type and class. */
#define REPLICA_PROBE_MAX (12 + DNS_NAME_MAX + 4)

struct replica_figures {
	_Atomic uint64_t calls;
	_Atomic uint64_t failures;
	_Atomic uint32_t in_flight;
	_Atomic bool connected; /* the connection stands */
	_Atomic bool trusted;   /* and it is not known to fail */
	_Atomic bool streams;   /* and a stream on it is open */
};

struct replica {
	struct balance_peer peer;
	TAILQ_ENTRY(replica) link;
	uint64_t id;    /* of this worker, never used twice, never 0 */
	size_t backend; /* index into the plan's backends, to have its name resolved again */
	bool wanted;    /* scratch of upstream_refresh */
	bool retired;   /* no longer in the plan: freed when its last call has come back */
	bool talkative; /* log at info what else is debug: one worker speaks for all */
	struct channel *channel;
	struct stream *stream;
	struct sources *sources; /* where `source` is held; NULL: there is no cache */
	uint32_t source;         /* its number for the cache; 0: none */
	struct plan_address address;
	struct replica_figures figures;
	uint8_t probe[REPLICA_PROBE_MAX]; /* a query for the route's SOA record */
	size_t probe_size;
	struct dns_query probe_query; /* leads into `probe` */
};

/* What the replicas of a worker have in common; all borrowed. */
struct replica_options {
	struct event_base *base;
	struct channel_queue *queue;
	struct channel_handler calls;
	struct stream_handler streams;     /* `state` is called with the replica as owner */
	const struct coherence *coherence; /* NULL, and the next one: no cache */
	struct sources *sources;
	struct metrics_shard *shard;
};

/*
 * Makes a replica and starts to connect. `backend` is not needed afterwards; `zone` is the apex
 * that probes ask for. NULL when memory is short.
 */
struct replica *replica_create(const struct replica_options *options,
			       const struct plan_address *address,
			       const struct plan_backend *backend, const uint8_t *zone);
/* Closes the channel and frees; no call may be in flight. */
void replica_destroy(struct replica *replica);

/* How many calls it can take now: the stream has opened, or is open no more. */
void replica_note_stream(struct replica *replica, bool open);

/* Bookkeeping around each call or probe: `calls` counts both. */
void replica_begin_call(struct replica *replica);
void replica_end_call(struct replica *replica);

/* What a call or probe taught. These log when the replica goes out of use or comes back. */
void replica_note_success(struct replica *replica);
void replica_note_failure(struct replica *replica, const char *reason, int64_t now_ms);
void replica_note_probe_failure(struct replica *replica, const char *reason, int64_t now_ms);
void replica_note_connection(struct replica *replica, enum channel_state state);

#endif
