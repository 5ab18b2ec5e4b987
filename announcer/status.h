/*
 * What people and monitoring see of the announcer: a snapshot, made by the control thread at each
 * change and once a second, printed by the admin thread.
 *
 * The two never wait for each other: a snapshot, once made, does not change; the lock is held only
 * to exchange or take a reference, and who lets go of the last one frees it.
 */
#ifndef GODWIT_ANNOUNCER_STATUS_H
#define GODWIT_ANNOUNCER_STATUS_H

#include "announcer/config.h"
#include "announcer/routes.h"
#include "announcer/service_state.h"
#include "announcer/speaker.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;

struct status_service {
	const char *name; /* the configuration's */
	struct service_state state;
	struct service_view view;
	size_t told; /* of its routes, those that at least one peer has been told */
};

/* All arrays are the snapshot's own. */
struct status_snapshot {
	unsigned int references;
	uint32_t as;
	uint32_t router_id;
	bool stopping;
	uint64_t bfd_unknown;
	struct status_service *services;
	size_t service_count;
	struct route *routes;
	size_t route_count;
	struct peer_status *peers;
	size_t peer_count;
	bool *told; /* [route * peer_count + peer]: announced in the peer's session */
};

struct status {
	pthread_mutex_t lock; /* for `snapshot` and the references */
	struct status_snapshot *snapshot;
};

void status_init(struct status *status);
void status_clear(struct status *status);

/* An empty snapshot with room for so much. NULL: out of memory. Any thread. */
struct status_snapshot *status_create_snapshot(size_t services, size_t routes, size_t peers);

/* Makes a snapshot the current one. Control thread. */
void status_publish(struct status *status, struct status_snapshot *snapshot);

/* The current snapshot, to be given back; NULL before the first. Any thread. */
struct status_snapshot *status_take(struct status *status);
void status_give_back(struct status *status, struct status_snapshot *snapshot);

/* How many peers have been told of a route. */
size_t status_count_told(const struct status_snapshot *snapshot, size_t route);

/*
 * True when every service is announced to at least one peer, or deliberately not. `reason`, one
 * line either way.
 */
bool status_is_ready(const struct status_snapshot *snapshot, char *reason, size_t reason_size);

/* For people, for programs, for Prometheus: status_text.c, status_json.c, status_metrics.c. */
void status_print_text(const struct status_snapshot *snapshot, struct evbuffer *out);
void status_print_json(const struct status_snapshot *snapshot, struct evbuffer *out);
void status_print_metrics(const struct status_snapshot *snapshot, struct evbuffer *out);

/* "lost", "silent", "serving", "draining". */
const char *status_life_line_name(enum life_line_state state);

#endif
