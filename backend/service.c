#include "backend/service.h"

#include "backend/counters.h"
#include "backend/exchange.h"
#include "backend/health.h"
#include "backend/listen.h"
#include "backend/mirror.h"
#include "backend/query_service.h"
#include "backend/rpc.h"
#include "backend/watch.h"
#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/metrics.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Slots per query queue. Waiting ones cost a little with each completion, so they are few; calls in
 * hand cost about 11 KB inside gRPC, so they are bounded.
 */
#define QUERY_POSTED 64
#define QUERY_SLOTS 1024

#define UNKNOWN_POSTED 8
#define UNKNOWN_SLOTS 256
#define CHECK_POSTED 8
#define CHECK_SLOTS 256
/* Of streams there are some slots more than may be open: who is too many is told so. */
#define HEALTH_POSTED 4
#define HEALTH_SLOTS (HEALTH_WATCHERS_MAX + 64)
#define WATCH_POSTED 4
#define WATCH_SLOTS (WATCH_STREAMS_MAX + 64)
#define EXCHANGE_POSTED 4
#define EXCHANGE_SLOTS (EXCHANGE_STREAMS_MAX + 64)

/*
 * How long we go on answering once health says NOT_SERVING, in milliseconds: who watches health has
 * gone elsewhere then, while a call that meets gRPC's own shutdown fails as CANCELLED.
 */
#define LINGER_MS 200

/*
 * How long front ends have, once they hear that we go away, to end their Exchange streams with
 * every question answered, in milliseconds.
 */
#define EXCHANGE_LINGER_MS 300

/* After a cancel calls end by themselves: how long we give gRPC for it, in milliseconds. */
#define CANCEL_GRACE_MS 1000

/* How long we wait for gRPC's own threads at the very end, in seconds. */
#define SHUTDOWN_WAIT_S 1

struct service {
	const struct mirror *mirror;
	struct metrics *metrics;
	struct heartbeats *heartbeats;
	grpc_server *server;
	grpc_completion_queue *stop_queue; /* hears that the server is down; nothing else */
	struct health *health;
	struct watch *watch;
	struct metrics_shard *control_shard;
	struct rpc_queue *control; /* watch, health and unknown methods */
	unsigned int thread_count;
	struct rpc_queue *queues[SERVICE_THREADS_MAX];
	struct query_worker *workers[SERVICE_THREADS_MAX];
	struct exchange *exchanges[SERVICE_THREADS_MAX];
	bool stopped;
};

static void serve_unknown(struct rpc_call *call, void *ctx)
{
	struct service *service = ctx;

	metrics_add(service->control_shard, BACKEND_CALLS_UNIMPLEMENTED, 1);
	rpc_call_finish(call, GRPC_STATUS_UNIMPLEMENTED, "unknown method", NULL);
}

static grpc_arg int_arg(const char *key, int value)
{
	union {
		const char *borrowed;
		char *key; /* gRPC's type; it copies the text */
	} name = {.borrowed = key};

	return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = name.key, .value.integer = value};
}

static grpc_server *make_server(void)
{
	grpc_arg args[] = {
		/* a port that is taken is an error, not half the traffic */
		int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
		int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_REQUEST_MAX),
		/* less than a queue has slots: one peer cannot take them all */
		int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, 512),
		/* identity only: a small gzip message could unpack to a hundred megabytes */
		int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
			1 << GRPC_COMPRESS_NONE),
		int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000),
		/* front ends may ping every second, with or without calls */
		int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000),
		int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		/* and we notice a peer that vanished with a stream open */
		int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 30000),
		int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000),
		int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
	};
	grpc_channel_args list = {.num_args = sizeof(args) / sizeof(*args), .args = args};

	return grpc_server_create(&list, NULL);
}

/* A method whose request comes with the call. */
static void *register_method(grpc_server *server, const char *path)
{
	return grpc_server_register_method(server, path, NULL,
					   GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
}

/* A method whose client streams. */
static void *register_stream(grpc_server *server, const char *path)
{
	return grpc_server_register_method(server, path, NULL, GRPC_SRM_PAYLOAD_NONE, 0);
}

/*
 * A queue's thread serves no query while it hangs: it is vital. Without memory it is not watched.
 */
static struct heartbeat *add_heartbeat(struct service *service, const char *name)
{
	return heartbeats_add(service->heartbeats, name, HEARTBEAT_VITAL, HEARTBEAT_BOUND_MS);
}

static void add_control(struct service *service)
{
	grpc_server *server = service->server;
	const struct rpc_queue_options options = {.name = "control",
						  .polls = false,
						  .shard = service->control_shard,
						  .heartbeat = add_heartbeat(service, "control"),
						  .tick = watch_tick,
						  .ctx = service->watch};
	const struct rpc_method methods[] = {
		{register_method(server, WATCH_METHOD), false, WATCH_POSTED, WATCH_SLOTS,
		 watch_serve, service->watch},
		{register_method(server, HEALTH_CHECK_METHOD), false, CHECK_POSTED, CHECK_SLOTS,
		 health_serve_check, service->health},
		{register_method(server, HEALTH_WATCH_METHOD), false, HEALTH_POSTED, HEALTH_SLOTS,
		 health_serve_watch, service->health},
		{NULL, false, UNKNOWN_POSTED, UNKNOWN_SLOTS, serve_unknown, service},
	};

	service->control = rpc_queue_create(server, &options);
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		rpc_queue_add_method(service->control, &methods[i]);
}

static void add_query_thread(struct service *service, void *query, void *exchange)
{
	unsigned int i = service->thread_count++;
	struct metrics_shard *shard = metrics_shard_create(service->metrics);
	char name[HEARTBEAT_NAME_MAX];

	service->workers[i] = query_worker_create(service->mirror, shard);
	service->exchanges[i] = exchange_create(service->mirror, shard);
	snprintf(name, sizeof(name), "query-%u", i);
	const struct rpc_queue_options options = {.name = name,
						  .polls = true,
						  .shard = shard,
						  .heartbeat = add_heartbeat(service, name),
						  .enter = mirror_reader_register,
						  .leave = mirror_reader_unregister,
						  .tick = exchange_tick,
						  .ctx = service->exchanges[i]};
	const struct rpc_method methods[] = {
		{query, false, QUERY_POSTED, QUERY_SLOTS, query_worker_serve, service->workers[i]},
		{exchange, true, EXCHANGE_POSTED, EXCHANGE_SLOTS, exchange_serve,
		 service->exchanges[i]},
	};

	service->queues[i] = rpc_queue_create(service->server, &options);
	for (size_t j = 0; j < sizeof(methods) / sizeof(*methods); j++)
		rpc_queue_add_method(service->queues[i], &methods[j]);
}

static void add_query_threads(struct service *service, unsigned int count)
{
	void *query = register_method(service->server, QUERY_SERVICE_METHOD);
	void *exchange = register_stream(service->server, EXCHANGE_METHOD);

	while (service->thread_count < count)
		add_query_thread(service, query, exchange);
}

static unsigned int choose_threads(unsigned int asked)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (asked == 0)
		asked = cpus > 2 ? (unsigned int)cpus / 2 : 1;
	return asked < SERVICE_THREADS_MAX ? asked : SERVICE_THREADS_MAX;
}

static grpc_completion_queue *make_stop_queue(grpc_server *server)
{
	/* never holds a connection of its own, but moves things on while service_stop waits */
	grpc_completion_queue_attributes attributes = {
		.version = GRPC_CQ_CURRENT_VERSION,
		.cq_completion_type = GRPC_CQ_NEXT,
		.cq_polling_type = GRPC_CQ_NON_LISTENING,
	};
	grpc_completion_queue *queue = grpc_completion_queue_create(
		grpc_completion_queue_factory_lookup(&attributes), &attributes, NULL);

	grpc_server_register_completion_queue(server, queue, NULL);
	return queue;
}

static void collect(void *ctx, struct evbuffer *out)
{
	struct service *service = ctx;
	unsigned int exchanges = 0;

	metrics_print_gauge(out, "godwit_backend_health_watchers",
			    "grpc.health.v1.Health/Watch streams open.",
			    health_count_watchers(service->health));
	metrics_print_gauge(out, "godwit_backend_watch_streams",
			    "godwit.v1.Backend/Watch streams open.",
			    watch_count_streams(service->watch));
	for (unsigned int i = 0; i < service->thread_count; i++)
		exchanges += exchange_count_streams(service->exchanges[i]);
	metrics_print_gauge(out, "godwit_backend_exchange_streams",
			    "godwit.v1.Backend/Exchange streams open.", exchanges);
}

struct service *service_create(const struct service_options *options, const struct mirror *mirror,
			       struct metrics *metrics, char *error, size_t error_size)
{
	struct service *service;

	grpc_init();
	service = gpr_zalloc(sizeof(*service));
	service->mirror = mirror;
	service->metrics = metrics;
	service->heartbeats = options->heartbeats;
	service->control_shard = metrics_shard_create(metrics);
	service->health = health_create(service->control_shard);
	service->watch = watch_create(options->changes, options->follower, service->control_shard);
	service->server = make_server();
	service->stop_queue = make_stop_queue(service->server);
	add_control(service);
	add_query_threads(service, choose_threads(options->threads));

	for (size_t i = 0; i < options->listen_count; i++) {
		if (listen_add(service->server, options->listen[i], options->credentials, error,
			       error_size) < 0) {
			service_destroy(service);
			return NULL;
		}
	}
	metrics_add_collector(metrics, collect, service);
	return service;
}

int service_start(struct service *service, char *error, size_t error_size)
{
	int failed;

	grpc_server_start(service->server);
	failed = rpc_queue_start(service->control);
	for (unsigned int i = 0; i < service->thread_count && failed == 0; i++)
		failed = rpc_queue_start(service->queues[i]);
	if (failed == 0)
		return 0;
	snprintf(error, error_size, "cannot start a thread: %s", strerror(failed));
	return -1;
}

void service_set_serving(struct service *service, bool serving)
{
	health_set_serving(service->health, serving);
}

void service_tell_changes(struct service *service)
{
	watch_wake(service->watch);
}

static gpr_timespec deadline_after(int wait_ms)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
			    gpr_time_from_millis(wait_ms, GPR_TIMESPAN));
}

/* Waits for the server to be down; false when it was not within the time. */
static bool wait_down(struct service *service, int wait_ms)
{
	grpc_event event =
		grpc_completion_queue_next(service->stop_queue, deadline_after(wait_ms), NULL);

	return event.type == GRPC_OP_COMPLETE;
}

static bool queues_are_idle(const struct service *service)
{
	bool idle = rpc_queue_is_idle(service->control);

	for (unsigned int i = 0; i < service->thread_count; i++)
		idle = idle && rpc_queue_is_idle(service->queues[i]);
	return idle;
}

/* The server is down: what was in hand ends by itself, within moments. */
static bool wait_idle(const struct service *service, int wait_ms)
{
	int64_t deadline_ms = clock_now_ms() + wait_ms;

	while (!queues_are_idle(service)) {
		if (clock_now_ms() > deadline_ms)
			return false;
		gpr_sleep_until(deadline_after(1));
	}
	return true;
}

bool service_stop(struct service *service, int grace_ms)
{
	bool watched;

	if (service->stopped)
		return true;
	watched = health_count_watchers(service->health) > 0;
	health_close(service->health);
	watch_close(service->watch);
	if (watched)
		gpr_sleep_until(deadline_after(LINGER_MS));
	grpc_server_shutdown_and_notify(service->server, service->stop_queue, NULL);
	service->stopped = wait_down(service, EXCHANGE_LINGER_MS);
	for (unsigned int i = 0; i < service->thread_count; i++)
		exchange_close(service->exchanges[i]);
	if (!service->stopped)
		service->stopped = wait_down(service, grace_ms);
	if (!service->stopped) {
		grpc_server_cancel_all_calls(service->server);
		service->stopped = wait_down(service, CANCEL_GRACE_MS);
	}
	service->stopped = service->stopped && wait_idle(service, CANCEL_GRACE_MS);
	return service->stopped;
}

static void *shut_grpc_down(void *ctx)
{
	(void)ctx;
	grpc_shutdown();
	return NULL;
}

/*
 * Lets gRPC end its threads. Where a write had to wait for its peer lately, one of them polls for
 * up to 10 s more, with nothing left to poll for; we are about to exit, and leave it at that.
 */
static void leave_grpc(void)
{
	struct timespec until;
	pthread_t thread;

	if (pthread_create(&thread, NULL, shut_grpc_down, NULL) != 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SHUTDOWN_WAIT_S;
	if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		pthread_detach(thread);
}

void service_destroy(struct service *service)
{
	if (service == NULL)
		return;
	service_stop(service, 0);
	rpc_queue_stop(service->control);
	for (unsigned int i = 0; i < service->thread_count; i++)
		rpc_queue_stop(service->queues[i]);
	grpc_completion_queue_shutdown(service->stop_queue);
	grpc_server_destroy(service->server);
	grpc_completion_queue_destroy(service->stop_queue);
	rpc_queue_destroy(service->control);
	for (unsigned int i = 0; i < service->thread_count; i++) {
		rpc_queue_destroy(service->queues[i]);
		query_worker_destroy(service->workers[i]);
		exchange_destroy(service->exchanges[i]);
	}
	watch_destroy(service->watch);
	health_destroy(service->health);
	gpr_free(service);
	leave_grpc();
}
