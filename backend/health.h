/*
 * grpc.health.v1.Health: whether this backend serves, for front ends, balancers and Kubernetes.
 *
 * The services known are "" (the server as a whole) and "coredns.dns.DnsService"; both are
 * NOT_SERVING until health_set_serving(true), and again once health_close was called. Check of
 * another service is NOT_FOUND; Watch of one says SERVICE_UNKNOWN and stays open, as the protocol
 * asks for.
 *
 * A Watch stream hears the state when it opens and each time it changes. One whose client is slow
 * skips what it missed: the latest state wins. HEALTH_WATCHERS_MAX streams can be open; more get
 * RESOURCE_EXHAUSTED.
 *
 * Threads: the serve functions belong on one queue's thread; the rest may be called from any.
 */
#ifndef GODWIT_BACKEND_HEALTH_H
#define GODWIT_BACKEND_HEALTH_H

#include "backend/rpc.h"

#include <stdbool.h>

struct health;
struct metrics_shard;

#define HEALTH_CHECK_METHOD "/grpc.health.v1.Health/Check"
#define HEALTH_WATCH_METHOD "/grpc.health.v1.Health/Watch"

#define HEALTH_WATCHERS_MAX 1024

/* Borrows `shard`, which must be the serving thread's. */
struct health *health_create(struct metrics_shard *shard);
/* No stream may be open any more. */
void health_destroy(struct health *health);

/* Changes the state and tells every Watch stream. After health_close it changes nothing. */
void health_set_serving(struct health *health, bool serving);

/*
 * NOT_SERVING for good: every stream hears so and is ended, new ones at once. From its return on
 * nothing here touches a call but from the queue's thread. Call before the server is shut down.
 */
void health_close(struct health *health);

/* Watch streams open now. */
unsigned int health_count_watchers(struct health *health);

/* The serve functions of the two methods; `ctx` is the struct health. */
void health_serve_check(struct rpc_call *call, void *ctx);
void health_serve_watch(struct rpc_call *call, void *ctx);

#endif
