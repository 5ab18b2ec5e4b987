/*
 * The gRPC server of a backend: DnsService/Query and the Exchange streams answered from the mirror,
 * the Watch streams, the health service, and UNIMPLEMENTED at once for every other method.
 *
 * Who runs what. Each query thread has a completion queue of its own, with a query_worker and an
 * exchange, and is a reader of the mirror. Watch streams, health and unknown methods have one more
 * queue and thread, which leaves the sockets to the others and costs next to nothing while nobody
 * asks. (Two threads share the work of one connection badly: gRPC hands events between them. Hence
 * few query threads by default.)
 */
#ifndef GODWIT_BACKEND_SERVICE_H
#define GODWIT_BACKEND_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

struct changes;
struct follower;
struct heartbeats;
struct metrics;
struct mirror;
struct service;

#define SERVICE_THREADS_MAX 64

struct service_options {
	const char *const *listen; /* addresses, as listen_add takes them */
	size_t listen_count;
	unsigned int threads;            /* query threads; 0: half the CPUs, at least one */
	struct credentials *credentials; /* for TLS; must outlive the service; NULL: plaintext */
	struct changes *changes;         /* what Watch streams tell; borrowed until destroyed */
	struct follower *follower;       /* whose data it is; borrowed likewise */
	struct heartbeats *heartbeats;   /* where the threads beat; borrowed likewise */
};

/*
 * Binds all addresses, and adds a collector to the metrics: they must not be printed any more once
 * the service is destroyed. NULL with a reason for a person in `error` when an address cannot be
 * had. Borrows `mirror` and `metrics` until destroyed. Main thread; `options` is not kept.
 */
struct service *service_create(const struct service_options *options, const struct mirror *mirror,
			       struct metrics *metrics, char *error, size_t error_size);

/* Starts answering. 0, or -1 with a reason. */
int service_start(struct service *service, char *error, size_t error_size);

/* What the health service says from now on; false until first told otherwise. Any thread. */
void service_set_serving(struct service *service, bool serving);

/* Something has been published to `changes`: the Watch streams tell it. Any thread. */
void service_tell_changes(struct service *service);

/*
 * Health turns NOT_SERVING, its streams and the Watch streams end, no new connection or call is
 * taken. Front ends have a moment to end their Exchange streams before we do. What is in hand is
 * answered for up to `grace_ms` milliseconds and then cancelled. True when every call is gone;
 * false, and service_destroy must not be called, when gRPC did not let go in another second.
 */
bool service_stop(struct service *service, int grace_ms);

/* Stops it if it was not, and frees everything. NULL is allowed. */
void service_destroy(struct service *service);

#endif
