/*
 * Where queries go: the routes of one configuration, and the addresses of their backends.
 *
 * All workers share a plan and read it without locks: it never changes but for the addresses of
 * named backends, which come from its resolver. A reload makes a new plan.
 */
#ifndef GODWIT_FRONTEND_PLAN_H
#define GODWIT_FRONTEND_PLAN_H

#include "common/address.h"
#include "frontend/config.h"
#include "frontend/credentials.h"
#include "frontend/resolver.h"
#include "frontend/route.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct metrics_shard;

struct plan_backend {
	char text[ADDRESS_TEXT_MAX]; /* as configured: the authority sent to it */
	struct address address;
	const struct credentials *credentials; /* the plan's */
};

struct plan_route {
	uint64_t id; /* by zone and backends: the same after a reload that leaves them alone */
	uint8_t zone[DNS_NAME_MAX];
	char zone_text[DNS_NAME_TEXT_MAX];
	bool minimal_any; /* ANY is answered in place (RFC 8482) */
	size_t *backends; /* indexes into plan.backends */
	size_t backend_count;
};

struct plan {
	struct route_table *table; /* finds indexes into `routes` */
	struct plan_route *routes;
	size_t route_count;
	struct plan_backend *backends; /* each once, however many routes lead to it the same way */
	size_t backend_count;
	struct credentials **credentials; /* of each route, in order */
	struct resolver *resolver;
};

/* Longest text of a gRPC target. */
#define PLAN_TARGET_MAX (ADDRESS_TEXT_MAX + 16)

/* Longest plan_address.key. */
#define PLAN_KEY_MAX (PLAN_TARGET_MAX + CREDENTIALS_NAME_MAX)

/* One address of a backend. */
struct plan_address {
	char target[PLAN_TARGET_MAX]; /* for gRPC, "ipv4:192.0.2.1:8053" */
	char text[ADDRESS_TEXT_MAX];  /* for people, "192.0.2.1:8053" */
	char key[PLAN_KEY_MAX];       /* target and credentials: equal for what is reached alike */
};

/*
 * Makes the plan of a configuration, which is not needed afterwards, and starts resolving names.
 * `changed` is called on a thread of the plan's own whenever addresses have changed. NULL with a
 * reason: memory is short, or a certificate cannot be used.
 */
struct plan *plan_create(const struct frontend_config *config, void (*changed)(void *ctx),
			 void *ctx, char *error, size_t error_size);

/*
 * True when certificates for backends have changed and a plan made now would use new ones. Counts
 * what was looked at in `shard`.
 */
bool plan_look_at_files(const struct plan *plan, struct metrics_shard *shard);
/*
 * Prints as metrics (metrics.h) when our certificates for backends expire: those of no plan, NULL,
 * are none. Any thread.
 */
void plan_print_certificates(const struct plan *plan, struct evbuffer *out);
/* Ends its resolving: `changed` is called no more. For when what it leads to is to be freed. */
void plan_stop(struct plan *plan);
/* No worker may use it any more. */
void plan_destroy(struct plan *plan);

/* The route of a name (an uncompressed wire name), or NULL. Any thread. Hot path. */
static inline const struct plan_route *plan_find_route(const struct plan *plan, const uint8_t *name)
{
	int index = route_find(plan->table, name);
	return index == ROUTE_NONE ? NULL : &plan->routes[index];
}

/* Copies the present addresses of a backend into `out`; returns how many. Any thread. */
size_t plan_read_addresses(const struct plan *plan, size_t backend,
			   struct plan_address out[RESOLVER_ADDRESSES_MAX]);

#endif
