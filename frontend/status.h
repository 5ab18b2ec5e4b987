/*
 * What the admin thread tells about the front end: readiness, and the figures that are not counts
 * of events. Reads the workers' atomics; see worker.h.
 */
#ifndef GODWIT_FRONTEND_STATUS_H
#define GODWIT_FRONTEND_STATUS_H

#include "frontend/worker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct admin;
struct evbuffer;
struct freshness;
struct heartbeats;

struct status {
	struct worker **workers;
	size_t worker_count;
	struct cache *cache;         /* NULL: none */
	struct watcher *watcher;     /* the same */
	struct freshness *freshness; /* the same */
	struct zone_ledger *zones;   /* the same: zones are not counted */
	unsigned int top_zones;      /* that are told of */
	struct heartbeats *heartbeats;
	_Atomic unsigned tcp_open;
	_Atomic unsigned tls_open;           /* connections of all encrypted protocols */
	struct life_line *_Atomic life_line; /* the same; set while the admin server runs */
	_Atomic bool draining;               /* about to end, but still answering */
	_Atomic bool stopping;
};

/*
 * admin.h's admin_ready_fn, ctx a struct status: ready when the front end is listening, no thread
 * hangs - with a worker its share of the queries would be lost - and every worker has, for every
 * route, a backend it is connected to.
 */
bool status_is_ready(void *ctx, char *reason, size_t reason_size);

/*
 * Adds the front end's own pages: POST /cache/flush forgets all cached answers, POST
 * /cache/flush?name=www.example.com those for one name, and GET /cache?name=www.example.com shows
 * these (cache_show.h). `status` must outlive the server.
 */
void status_add_pages(struct status *status, struct admin *admin);

/* A collector (metrics.h), ctx a struct status: gauges, and the figures of each backend address. */
void status_collect(void *ctx, struct evbuffer *out);

#endif
