/* A worker thread and everything it owns. */
#include "frontend/worker.h"

#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"
#include "frontend/connection.h"
#include "frontend/discovery.h"
#include "frontend/https.h"
#include "frontend/listen.h"
#include "frontend/quic.h"
#include "frontend/serve.h"
#include "frontend/tcp.h"
#include "frontend/udp.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the kernel thinks of a secure worker, as nice(2) counts. */
#define WORKER_SECURE_NICE 5

/* How often a stopping worker looks whether it is done. */
#define WORKER_DRAIN_MS 10

enum worker_request { WORKER_REFRESH = 1, WORKER_SET_PLAN = 2, WORKER_STOP = 4 };

struct worker {
	struct worker_options options;
	struct event_base *base;
	struct metrics_shard *shard;
	struct serve serve;
	struct upstream *upstream;
	struct udp_server *udp;
	struct connection_server *tcp;
	struct connection_server *tls;
	struct connection_server *https;
	struct quic_server *quic; /* NULL: another worker's, or nobody's */
	struct heartbeat *heartbeat;
	struct event *beat;
	pthread_t thread;
	bool started;
	_Atomic bool ended;
	/* Requests: bits of worker_request, and an eventfd that says there are some. */
	_Atomic unsigned int requests;
	int wake_fd;
	struct event *wake;
	/* The plan of a WORKER_SET_PLAN request; NULL once it has been taken. */
	pthread_mutex_t lock;
	pthread_cond_t plan_taken;
	const struct plan *next_plan;
	int plan_result;
	/* While stopping. */
	struct event *drain;
	int64_t stop_ms;
};

/* --- requests --------------------------------------------------------------------------------- */

static void worker_post(struct worker *worker, enum worker_request request)
{
	const uint64_t one = 1;
	atomic_fetch_or(&worker->requests, request);
	if (write(worker->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking a worker failed", "reason=%s", strerror(errno));
}

static void worker_take_plan(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	serve_set_plan(&worker->serve, worker->next_plan);
	worker->plan_result = upstream_set_plan(worker->upstream, worker->next_plan);
	worker->next_plan = NULL;
	pthread_cond_signal(&worker->plan_taken);
	pthread_mutex_unlock(&worker->lock);
}

static bool worker_is_drained(const struct worker *worker)
{
	return serve_in_flight(&worker->serve) == 0 && connection_server_is_empty(worker->tcp) &&
	       (!worker->tls || connection_server_is_empty(worker->tls)) &&
	       (!worker->https || connection_server_is_empty(worker->https)) &&
	       (!worker->quic || quic_server_is_empty(worker->quic));
}

static void worker_on_drain(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct worker *worker = ctx;
	if (worker_is_drained(worker) || clock_now_ms() >= worker->stop_ms)
		event_base_loopbreak(worker->base);
}

static void worker_begin_stop(struct worker *worker)
{
	const struct timeval interval = clock_timeval(WORKER_DRAIN_MS);
	worker->stop_ms = clock_now_ms() + WORKER_STOP_MS;
	udp_stop_reading(worker->udp);
	connection_server_stop(worker->tcp);
	if (worker->tls)
		connection_server_stop(worker->tls);
	if (worker->https)
		connection_server_stop(worker->https);
	if (worker->quic)
		quic_server_stop(worker->quic);
	if (worker_is_drained(worker) || event_add(worker->drain, &interval) != 0)
		event_base_loopbreak(worker->base);
}

static void worker_on_wake(evutil_socket_t fd, short what, void *ctx)
{
	(void)what;
	struct worker *worker = ctx;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading an eventfd failed", "reason=%s", strerror(errno));
	unsigned int requests = atomic_exchange(&worker->requests, 0);
	if (requests & WORKER_SET_PLAN)
		worker_take_plan(worker);
	if (requests & WORKER_REFRESH)
		upstream_refresh(worker->upstream);
	if (requests & WORKER_STOP)
		worker_begin_stop(worker);
	udp_flush(worker->udp);
}

/* A batch of backend replies has been written to the transports. */
static void worker_on_flush(void *ctx)
{
	struct worker *worker = ctx;
	udp_flush(worker->udp);
}

static void *worker_run(void *ctx)
{
	struct worker *worker = ctx;
	if (worker->options.secure)
		setpriority(PRIO_PROCESS, 0, WORKER_SECURE_NICE); /* of this thread alone */
	if (event_base_dispatch(worker->base) != 0)
		log_error("event loop failed", "worker=%u", worker->options.index);
	/* One that ends by itself is missed. */
	if (worker->stop_ms != 0)
		heartbeat_end(worker->heartbeat);
	atomic_store(&worker->ended, true);
	return NULL;
}

/* --- life and death --------------------------------------------------------------------------- */

static int worker_listen_udp(struct worker *worker, const struct address *address, char *error,
			     size_t error_size)
{
	int fd = listen_open_udp(address, error, error_size);
	return fd < 0 ? -1 : udp_add_socket(worker->udp, fd);
}

static int worker_listen_stream(struct connection_server *server, const struct address *address,
				char *error, size_t error_size)
{
	int fd = listen_open_tcp(address, error, error_size);
	return fd < 0 ? -1 : connection_server_listen(server, fd);
}

static int worker_listen_quic(struct worker *worker, const struct address *address, char *error,
			      size_t error_size)
{
	int fd = listen_open_udp(address, error, error_size);
	return fd < 0 ? -1 : quic_server_listen(worker->quic, fd);
}

static int worker_open_sockets(struct worker *worker, char *error, size_t error_size)
{
	const struct frontend_config *config = worker->options.config;
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct address *address = &config->listen[i].address;
		unsigned int protocols = config->listen[i].protocols;
		if (worker->options.secure)
			protocols &= FRONTEND_PROTOCOLS_SECURE;
		else
			protocols &= ~(unsigned int)FRONTEND_PROTOCOLS_SECURE;
		if ((protocols & FRONTEND_PROTOCOL_UDP) &&
		    worker_listen_udp(worker, address, error, error_size) != 0)
			return -1;
		if ((protocols & FRONTEND_PROTOCOL_TCP) &&
		    worker_listen_stream(worker->tcp, address, error, error_size) != 0)
			return -1;
		if ((protocols & FRONTEND_PROTOCOL_TLS) &&
		    worker_listen_stream(worker->tls, address, error, error_size) != 0)
			return -1;
		if ((protocols & FRONTEND_PROTOCOL_HTTPS) &&
		    worker_listen_stream(worker->https, address, error, error_size) != 0)
			return -1;
		if ((protocols & FRONTEND_PROTOCOL_QUIC) && worker->quic &&
		    worker_listen_quic(worker, address, error, error_size) != 0)
			return -1;
	}
	return 0;
}

static struct connection_server *worker_create_tcp(struct worker *worker)
{
	const struct frontend_limits *limits = &worker->options.config->limits;
	const struct connection_options options = {
		.base = worker->base,
		.serve = &worker->serve,
		.protocol = &tcp_protocol,
		.events = FRONTEND_CONNECTIONS_TCP,
		.open = worker->options.tcp_open,
		.limit = limits->tcp_connections,
		.idle_s = limits->tcp_idle_s,
	};
	return connection_server_create(&options);
}

/* For one of the protocols inside TLS. */
static struct connection_server *worker_create_tls(struct worker *worker,
						   const struct connection_protocol *protocol,
						   enum tls_purpose purpose, unsigned int events)
{
	const struct frontend_limits *limits = &worker->options.config->limits;
	const struct connection_options options = {
		.base = worker->base,
		.serve = &worker->serve,
		.protocol = protocol,
		.events = events,
		.open = worker->options.tls_open,
		.limit = limits->tls_connections,
		.idle_s = limits->tls_idle_s,
		.tls = worker->options.tls,
		.purpose = purpose,
		.handshake_s = limits->tls_handshake_s,
		.clients = worker->options.clients,
	};
	return connection_server_create(&options);
}

static int worker_open_secure_servers(struct worker *worker)
{
	worker->tls = worker_create_tls(worker, &tcp_tls_protocol, TLS_PURPOSE_DNS,
					FRONTEND_CONNECTIONS_TLS);
	worker->https = worker_create_tls(worker, &https_protocol, TLS_PURPOSE_HTTPS,
					  FRONTEND_CONNECTIONS_HTTPS);
	return worker->tls && worker->https ? 0 : -1;
}

static int worker_open_quic(struct worker *worker, char *error, size_t error_size)
{
	const struct frontend_limits *limits = &worker->options.config->limits;
	const struct quic_options options = {
		.base = worker->base,
		.serve = &worker->serve,
		.tls = worker->options.tls,
		.open = worker->options.tls_open,
		.limit = limits->tls_connections,
		.idle_s = limits->tls_idle_s,
		.handshake_s = limits->tls_handshake_s,
		.clients = worker->options.clients,
	};
	if (!worker->options.quic)
		return 0;
	worker->quic = quic_server_create(&options, error, error_size);
	return worker->quic ? 0 : -1;
}

static int worker_open_requests(struct worker *worker)
{
	worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->wake_fd < 0)
		return -1;
	worker->wake = event_new(worker->base, worker->wake_fd, EV_READ | EV_PERSIST,
				 worker_on_wake, worker);
	worker->drain = event_new(worker->base, -1, EV_PERSIST, worker_on_drain, worker);
	if (!worker->wake || !worker->drain)
		return -1;
	return event_add(worker->wake, NULL);
}

static int worker_open_parts(struct worker *worker)
{
	const struct worker_options *options = &worker->options;
	const struct upstream_options upstream_options = {
		.query_timeout_ms = options->config->limits.query_timeout_ms,
		.coherence = options->coherence,
		.sources = options->sources,
		.talkative = options->index == 0,
	};
	const struct upstream_handler handler = {
		.ctx = &worker->serve,
		.done = serve_finish,
		.flush_ctx = worker,
		.flush = worker_on_flush,
	};
	worker->base = heartbeat_new_loop();
	if (!worker->base)
		return -1;
	worker->upstream =
		upstream_create(worker->base, &upstream_options, &handler, worker->shard);
	if (!worker->upstream || serve_init(&worker->serve, options->config, worker->shard,
					    worker->upstream, options->cache) != 0)
		return -1;
	if (options->config->top_zones > 0 && zone_counter_init(&worker->serve.zones) != 0)
		return -1;
	if (options->tls && options->config->discovery) {
		worker->serve.discovery = discovery_create(options->config, options->tls);
		if (!worker->serve.discovery)
			return -1;
	}
	worker->udp = udp_create(worker->base, &worker->serve);
	worker->tcp = worker_create_tcp(worker);
	if (!worker->udp || !worker->tcp ||
	    (options->secure && worker_open_secure_servers(worker) != 0))
		return -1;
	return worker_open_requests(worker);
}

struct worker *worker_create(const struct worker_options *options, char *error, size_t error_size)
{
	snprintf(error, error_size, "out of memory or file descriptors for worker %u",
		 options->index);
	struct worker *worker = calloc(1, sizeof(*worker));
	if (!worker)
		return NULL;
	worker->options = *options;
	worker->wake_fd = -1;
	worker->shard = metrics_shard_create(options->metrics);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->plan_taken, NULL);
	if (worker_open_parts(worker) != 0 || worker_open_quic(worker, error, error_size) != 0 ||
	    worker_open_sockets(worker, error, error_size) != 0) {
		worker_destroy(worker);
		return NULL;
	}
	return worker;
}

static int worker_start_beating(struct worker *worker, const char *name)
{
	worker->heartbeat = heartbeats_add(worker->options.heartbeats, name, HEARTBEAT_VITAL,
					   HEARTBEAT_BOUND_MS);
	if (!worker->heartbeat)
		return -1;
	worker->beat = heartbeat_add_timer(worker->base, worker->heartbeat);
	return worker->beat ? 0 : -1;
}

int worker_start(struct worker *worker, const struct plan *plan)
{
	char name[HEARTBEAT_NAME_MAX];
	serve_set_plan(&worker->serve, plan);
	snprintf(name, sizeof(name), "%s-%u", worker->options.secure ? "secure" : "worker",
		 worker->options.index);
	if (upstream_set_plan(worker->upstream, plan) != 0 ||
	    worker_start_beating(worker, name) != 0)
		return -1;
	if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0) {
		heartbeat_end(worker->heartbeat);
		return -1;
	}
	worker->started = true;
	pthread_setname_np(worker->thread, name);
	return 0;
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->started)
		pthread_join(worker->thread, NULL);
	size_t unanswered = serve_in_flight(&worker->serve);
	if (unanswered > 0)
		metrics_add(worker->shard, FRONTEND_DROPS_SHUTDOWN, unanswered);
	upstream_destroy(worker->upstream);
	connection_server_destroy(worker->tcp);
	connection_server_destroy(worker->tls);
	connection_server_destroy(worker->https);
	quic_server_destroy(worker->quic);
	udp_destroy(worker->udp);
	discovery_destroy(worker->serve.discovery);
	zone_counter_clear(&worker->serve.zones);
	serve_clear(&worker->serve);
	if (worker->wake)
		event_free(worker->wake);
	if (worker->drain)
		event_free(worker->drain);
	if (worker->beat)
		event_free(worker->beat);
	if (worker->wake_fd >= 0)
		close(worker->wake_fd);
	if (worker->base)
		event_base_free(worker->base);
	pthread_cond_destroy(&worker->plan_taken);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

/* --- for other threads ------------------------------------------------------------------------ */

void worker_refresh(struct worker *worker)
{
	worker_post(worker, WORKER_REFRESH);
}

int worker_set_plan(struct worker *worker, const struct plan *plan)
{
	pthread_mutex_lock(&worker->lock);
	worker->next_plan = plan;
	worker_post(worker, WORKER_SET_PLAN);
	while (worker->next_plan)
		pthread_cond_wait(&worker->plan_taken, &worker->lock);
	int result = worker->plan_result;
	pthread_mutex_unlock(&worker->lock);
	return result;
}

void worker_stop(struct worker *worker)
{
	worker_post(worker, WORKER_STOP);
}

bool worker_has_ended(const struct worker *worker)
{
	return atomic_load(&worker->ended);
}

bool worker_is_ready(struct worker *worker, char *reason, size_t reason_size)
{
	return upstream_is_ready(worker->upstream, reason, reason_size);
}

void worker_visit_replicas(struct worker *worker, void (*visit)(void *, const struct replica *),
			   void *ctx)
{
	upstream_visit(worker->upstream, visit, ctx);
}

size_t worker_in_flight(const struct worker *worker)
{
	return serve_in_flight(&worker->serve);
}

const struct zone_table *worker_zones(const struct worker *worker)
{
	return worker->serve.zones.table;
}
