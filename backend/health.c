/*
 * Check is a plain unary call. A Watch stream keeps its call slot, and has two batches of its own
 * under way: one that waits for the end of the call, and at most one that sends. Both complete on
 * the queue's thread; health_set_serving starts sends from others. One lock covers the state, the
 * list of streams and every batch a stream starts; streams are few and changes are rare.
 *
 *     opened -> sending <-> idle -> ... -> ended (status sent or client gone) -> released
 */
#include "backend/health.h"

#include "backend/counters.h"
#include "common/log.h"
#include "common/metrics.h"
#include "proto/health.pb-c.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define DNS_SERVICE "coredns.dns.DnsService"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus health_status;
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

/* A status no message has said yet. */
#define STATUS_NONE (-1)

struct health_watch {
	struct health *health;
	struct rpc_call *call;
	struct rpc_tag sent;
	struct rpc_tag closed;
	grpc_byte_buffer *message; /* of the send under way */
	bool known;                /* the service is one we have */
	bool opened;               /* initial metadata is sent */
	bool sending;
	bool ended; /* the final status is sent, or never will be */
	bool gone;  /* the call is over */
	int said;   /* the last status sent */
	int cancelled;
	LIST_ENTRY(health_watch) link;
};

struct health {
	pthread_mutex_t lock; /* guards everything below */
	struct metrics_shard *shard;
	bool serving;
	bool closed;
	unsigned int watch_count;
	LIST_HEAD(, health_watch) watches;
};

struct health *health_create(struct metrics_shard *shard)
{
	struct health *health = gpr_zalloc(sizeof(*health));

	pthread_mutex_init(&health->lock, NULL);
	LIST_INIT(&health->watches);
	health->shard = shard;
	return health;
}

void health_destroy(struct health *health)
{
	if (health == NULL)
		return;
	pthread_mutex_destroy(&health->lock);
	gpr_free(health);
}

static health_status current_status(const struct health *health)
{
	return health->serving && !health->closed ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static grpc_slice pack_status(health_status status)
{
	Grpc__Health__V1__HealthCheckResponse response =
		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	grpc_slice slice;

	response.status = status;
	slice = grpc_slice_malloc(
		grpc__health__v1__health_check_response__get_packed_size(&response));
	grpc__health__v1__health_check_response__pack(&response, GRPC_SLICE_START_PTR(slice));
	return slice;
}

/* Reads the request: 1 for a service we have, 0 for another, -1 when it is not a request at all. */
static int read_service(struct rpc_call *call)
{
	uint8_t octets[RPC_REQUEST_MAX];
	Grpc__Health__V1__HealthCheckRequest *request;
	int64_t size = rpc_call_read(call, octets);
	int known;

	if (size < 0)
		return -1;
	request = grpc__health__v1__health_check_request__unpack(NULL, (size_t)size, octets);
	if (request == NULL)
		return -1;
	known = request->service[0] == '\0' || strcmp(request->service, DNS_SERVICE) == 0;
	grpc__health__v1__health_check_request__free_unpacked(request, NULL);
	return known;
}

/* --- Check ------------------------------------------------------------------------------------ */

void health_serve_check(struct rpc_call *call, void *ctx)
{
	struct health *health = ctx;
	int known = read_service(call);
	grpc_slice message;

	if (known < 0) {
		metrics_add(health->shard, BACKEND_CALLS_CHECK_INVALID_ARGUMENT, 1);
		rpc_call_finish(call, GRPC_STATUS_INVALID_ARGUMENT,
				"not a grpc.health.v1.HealthCheckRequest", NULL);
		return;
	}
	if (known == 0) {
		metrics_add(health->shard, BACKEND_CALLS_CHECK_NOT_FOUND, 1);
		rpc_call_finish(call, GRPC_STATUS_NOT_FOUND, "unknown service", NULL);
		return;
	}
	pthread_mutex_lock(&health->lock);
	message = pack_status(current_status(health));
	pthread_mutex_unlock(&health->lock);
	metrics_add(health->shard, BACKEND_CALLS_CHECK_OK, 1);
	rpc_call_finish(call, GRPC_STATUS_OK, NULL, &message);
}

/* --- Watch ------------------------------------------------------------------------------------ */

static health_status watch_status(const struct health_watch *watch)
{
	return watch->known ? current_status(watch->health) : STATUS(SERVICE_UNKNOWN);
}

/*
 * Sends what the stream has not said yet: the state, and the end of the stream once we close. Does
 * nothing while a send is under way: its completion comes back here. Under the lock.
 */
static void watch_push(struct health_watch *watch)
{
	grpc_slice words = grpc_slice_from_static_string("shutting down");
	health_status status = watch_status(watch);
	grpc_op ops[3] = {0};
	size_t count = 0;

	if (watch->sending || watch->ended || watch->gone)
		return;
	if (!watch->opened)
		ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
	if ((int)status != watch->said) {
		grpc_slice slice = pack_status(status);

		watch->message = grpc_raw_byte_buffer_create(&slice, 1);
		grpc_slice_unref(slice);
		ops[count].op = GRPC_OP_SEND_MESSAGE;
		ops[count++].data.send_message.send_message = watch->message;
	}
	if (watch->health->closed) {
		ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
		ops[count].data.send_status_from_server.status = GRPC_STATUS_UNAVAILABLE;
		ops[count++].data.send_status_from_server.status_details = &words;
	}
	if (count == 0)
		return;
	watch->opened = true;
	watch->said = (int)status;
	watch->ended = watch->health->closed;
	watch->sending = grpc_call_start_batch(watch->call->call, ops, count, &watch->sent, NULL) ==
			 GRPC_CALL_OK;
	if (!watch->sending) { /* cannot be but by our mistake: end the stream, not the process */
		grpc_byte_buffer_destroy(watch->message);
		watch->message = NULL;
		watch->ended = true;
		grpc_call_cancel(watch->call->call, NULL);
	}
}

/* Forgets a stream whose batches have both completed. Under the lock; true when it is free. */
static bool watch_retire(struct health_watch *watch)
{
	if (watch->sending || !watch->gone)
		return false;
	LIST_REMOVE(watch, link);
	watch->health->watch_count--;
	return true;
}

/* Not under the lock: gives back the call, which may bring the server's end. */
static void watch_free(struct health_watch *watch)
{
	rpc_call_release(watch->call);
	gpr_free(watch);
}

static void watch_sent(struct rpc_tag *tag, bool ok)
{
	struct health_watch *watch =
		(struct health_watch *)((char *)tag - offsetof(struct health_watch, sent));
	struct health *health = watch->health;
	bool retired;

	pthread_mutex_lock(&health->lock);
	watch->sending = false;
	grpc_byte_buffer_destroy(watch->message);
	watch->message = NULL;
	if (ok)
		watch_push(watch);
	else
		watch->ended = true; /* the call is over; `closed` says so too */
	retired = watch_retire(watch);
	pthread_mutex_unlock(&health->lock);
	if (retired)
		watch_free(watch);
}

static void watch_closed(struct rpc_tag *tag, bool ok)
{
	struct health_watch *watch =
		(struct health_watch *)((char *)tag - offsetof(struct health_watch, closed));
	struct health *health = watch->health;
	bool retired;

	(void)ok;
	pthread_mutex_lock(&health->lock);
	watch->gone = true;
	retired = watch_retire(watch);
	pthread_mutex_unlock(&health->lock);
	if (retired)
		watch_free(watch);
}

/* Opens a stream: waits for its end and says the first state. False when there are too many. */
static bool watch_open(struct health *health, struct rpc_call *call, bool known)
{
	struct health_watch *watch = gpr_zalloc(sizeof(*watch));
	grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
	bool opened = false;

	*watch = (struct health_watch){
		.health = health,
		.call = call,
		.sent = {watch_sent},
		.closed = {watch_closed},
		.known = known,
		.said = STATUS_NONE,
	};
	close.data.recv_close_on_server.cancelled = &watch->cancelled;
	pthread_mutex_lock(&health->lock);
	if (health->watch_count < HEALTH_WATCHERS_MAX &&
	    grpc_call_start_batch(call->call, &close, 1, &watch->closed, NULL) == GRPC_CALL_OK) {
		LIST_INSERT_HEAD(&health->watches, watch, link);
		health->watch_count++;
		watch_push(watch);
		opened = true;
	}
	pthread_mutex_unlock(&health->lock);
	if (!opened)
		gpr_free(watch);
	return opened;
}

void health_serve_watch(struct rpc_call *call, void *ctx)
{
	struct health *health = ctx;
	int known = read_service(call);

	if (known < 0) {
		metrics_add(health->shard, BACKEND_CALLS_WATCH_INVALID_ARGUMENT, 1);
		rpc_call_finish(call, GRPC_STATUS_INVALID_ARGUMENT,
				"not a grpc.health.v1.HealthCheckRequest", NULL);
	} else if (!watch_open(health, call, known > 0)) {
		metrics_add(health->shard, BACKEND_CALLS_WATCH_RESOURCE_EXHAUSTED, 1);
		rpc_call_finish(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "too many watchers", NULL);
		log_warning_limited("health watcher refused", "limit=%d", HEALTH_WATCHERS_MAX);
	} else {
		metrics_add(health->shard, BACKEND_CALLS_WATCH_OK, 1);
	}
}

/* --- the state -------------------------------------------------------------------------------- */

static void push_all(struct health *health)
{
	struct health_watch *watch;

	LIST_FOREACH(watch, &health->watches, link)
		watch_push(watch);
}

void health_set_serving(struct health *health, bool serving)
{
	pthread_mutex_lock(&health->lock);
	if (!health->closed) {
		health->serving = serving;
		push_all(health);
	}
	pthread_mutex_unlock(&health->lock);
}

void health_close(struct health *health)
{
	pthread_mutex_lock(&health->lock);
	health->closed = true;
	push_all(health);
	pthread_mutex_unlock(&health->lock);
}

unsigned int health_count_watchers(struct health *health)
{
	unsigned int count;

	pthread_mutex_lock(&health->lock);
	count = health->watch_count;
	pthread_mutex_unlock(&health->lock);
	return count;
}
