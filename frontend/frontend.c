/* The front end as a whole. */
#include "frontend/frontend.h"

#include "common/admin.h"
#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"
#include "common/metrics.h"
#include "frontend/cache.h"
#include "frontend/channel_queue.h"
#include "frontend/clients.h"
#include "frontend/coherence.h"
#include "frontend/freshness.h"
#include "frontend/life_line.h"
#include "frontend/listen.h"
#include "frontend/metrics.h"
#include "frontend/plan.h"
#include "frontend/sources.h"
#include "frontend/status.h"
#include "frontend/tls.h"
#include "frontend/watcher.h"
#include "frontend/worker.h"
#include "frontend/zone_ledger.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* How long a reload waits for names of new backends before it goes on without their addresses. */
#define FRONTEND_RESOLVE_MS 2000

/* A worker that has not ended so long after its own time for it (WORKER_STOP_MS) never will. */
#define FRONTEND_STOP_PATIENCE_MS 1000

struct frontend {
	struct frontend_config *config; /* what the workers run with */
	struct frontend_config *routes; /* what `plan` was made of: `config`, or a later one */
	struct metrics *metrics;
	struct heartbeats *heartbeats;
	struct tls *tls; /* NULL, and the next one: nothing encrypted is listened for */
	struct clients *clients;
	struct coherence *coherence; /* NULL, and the next one: no cache */
	struct sources *sources;
	struct metrics_shard *shard; /* the main thread's */
	struct plan *plan;
	pthread_mutex_t plan_lock; /* held when `plan` changes, and when others look at it */
	struct status status;      /* has the workers, the cache and the life line */
	int64_t drain_ms;          /* CLOCK_MONOTONIC, when draining began; 0: it has not */
	int64_t stop_ms;           /* the same of stopping */
	struct admin *admin;
};

/* The resolver has found other addresses. On its thread. */
static void frontend_on_addresses(void *ctx)
{
	struct frontend *frontend = ctx;
	if (frontend->status.watcher)
		watcher_refresh(frontend->status.watcher);
	for (size_t i = 0; i < frontend->status.worker_count; i++)
		worker_refresh(frontend->status.workers[i]);
}

/* Makes what keeps the cache's answers good: the watcher, and what it shares with the workers. */
static int frontend_create_watcher(struct frontend *frontend)
{
	frontend->coherence = coherence_create();
	frontend->sources = sources_create();
	frontend->status.freshness = freshness_create();
	if (!frontend->coherence || !frontend->sources || !frontend->status.freshness)
		return -1;
	const struct watcher_options options = {
		.coherence = frontend->coherence,
		.sources = frontend->sources,
		.freshness = frontend->status.freshness,
		.metrics = frontend->metrics,
		.heartbeats = frontend->heartbeats,
	};
	frontend->status.watcher = watcher_create(&options);
	return frontend->status.watcher ? 0 : -1;
}

/* Makes the cache, unless the configuration wants none. */
static int frontend_create_cache(struct frontend *frontend, char *error, size_t error_size)
{
	const struct frontend_config *config = frontend->config;
	if (config->cache_size_mb == 0)
		return 0;
	int watched = frontend_create_watcher(frontend);
	const struct cache_options options = {
		.size = (size_t)config->cache_size_mb << 20,
		.udp_payload = config->limits.udp_payload,
		.stale_s = config->cache_serve_stale_s,
		.coherence = frontend->coherence,
	};
	if (watched == 0)
		frontend->status.cache = cache_create(&options);
	if (frontend->status.cache)
		return 0;
	snprintf(error, error_size, "cache.size_mb: no memory for a cache of %u MB",
		 config->cache_size_mb);
	return -1;
}

/* True when any of these protocols is listened for. */
static bool frontend_speaks(const struct frontend_config *config, unsigned int protocols)
{
	for (size_t i = 0; i < config->listen_count; i++)
		if (config->listen[i].protocols & protocols)
			return true;
	return false;
}

/* Makes what encrypted listeners share, if there are any. */
static int frontend_create_tls(struct frontend *frontend, char *error, size_t error_size)
{
	const struct frontend_config *config = frontend->config;
	if (!frontend_speaks(config, FRONTEND_PROTOCOLS_SECURE))
		return 0;
	snprintf(error, error_size, "out of memory");
	frontend->clients = clients_create(config->limits.client_connections);
	if (!frontend->clients)
		return -1;
	frontend->tls = tls_create(&config->tls, error, error_size);
	if (!frontend->tls)
		return -1;
	metrics_add_collector(frontend->metrics, tls_collect, frontend->tls);
	return 0;
}

/* Adds a worker; `secure` as in worker.h. */
static int frontend_create_worker(struct frontend *frontend, unsigned int index, bool secure,
				  char *error, size_t error_size)
{
	struct status *status = &frontend->status;
	const struct worker_options options = {
		.index = index,
		.secure = secure,
		.quic = secure && index == frontend->config->workers &&
			frontend_speaks(frontend->config, FRONTEND_PROTOCOL_QUIC),
		.config = frontend->config,
		.metrics = frontend->metrics,
		.heartbeats = frontend->heartbeats,
		.cache = status->cache,
		.coherence = frontend->coherence,
		.sources = frontend->sources,
		.tcp_open = &status->tcp_open,
		.tls_open = &status->tls_open,
		.tls = frontend->tls,
		.clients = frontend->clients,
	};
	status->workers[status->worker_count] = worker_create(&options, error, error_size);
	if (!status->workers[status->worker_count])
		return -1;
	status->worker_count++;
	return 0;
}

static int frontend_create_workers(struct frontend *frontend, char *error, size_t error_size)
{
	struct status *status = &frontend->status;
	unsigned int count = frontend->config->workers;
	status->workers = calloc(2 * (size_t)count, sizeof(status->workers[0]));
	status->top_zones = frontend->config->top_zones;
	if (status->top_zones > 0)
		status->zones = zone_ledger_create(2 * (size_t)count);
	if (!status->workers || (status->top_zones > 0 && !status->zones)) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	for (unsigned int i = 0; i < count; i++)
		if (frontend_create_worker(frontend, i, false, error, error_size) != 0)
			return -1;
	for (unsigned int i = 0; frontend->tls && i < count; i++)
		if (frontend_create_worker(frontend, count + i, true, error, error_size) != 0)
			return -1;
	return 0;
}

/* Puts a plan in place and returns the one before. */
static struct plan *frontend_swap_plan(struct frontend *frontend, struct plan *plan)
{
	pthread_mutex_lock(&frontend->plan_lock);
	struct plan *old = frontend->plan;
	frontend->plan = plan;
	pthread_mutex_unlock(&frontend->plan_lock);
	return old;
}

/* A collector (metrics.h). */
static void frontend_collect_plan(void *ctx, struct evbuffer *out)
{
	struct frontend *frontend = ctx;
	pthread_mutex_lock(&frontend->plan_lock);
	plan_print_certificates(frontend->plan, out);
	pthread_mutex_unlock(&frontend->plan_lock);
}

static int frontend_start_workers(struct frontend *frontend, char *error, size_t error_size)
{
	struct plan *plan =
		plan_create(frontend->config, frontend_on_addresses, frontend, error, error_size);
	if (!plan)
		return -1;
	frontend_swap_plan(frontend, plan);
	snprintf(error, error_size, "out of memory or threads");
	if (frontend->status.watcher)
		watcher_set_plan(frontend->status.watcher, plan);
	for (size_t i = 0; i < frontend->status.worker_count; i++)
		if (worker_start(frontend->status.workers[i], plan) != 0)
			return -1;
	return 0;
}

/* Once all else runs, for it says whether it does. */
static int frontend_start_life_line(struct frontend *frontend, char *error, size_t error_size)
{
	const char *path = frontend->config->watch_socket;
	struct status *status = &frontend->status;
	char reason[256] = "out of memory";
	struct life_line *line = NULL;
	if (path[0] == '\0')
		return 0;
	struct heartbeat *heartbeat = heartbeats_add(frontend->heartbeats, "life-line",
						     HEARTBEAT_VITAL, HEARTBEAT_BOUND_MS);
	if (heartbeat)
		line = life_line_start(path, status_is_ready, status, heartbeat, reason,
				       sizeof(reason));
	if (!line)
		snprintf(error, error_size, "watch_socket: %s", reason);
	atomic_store(&status->life_line, line);
	return line ? 0 : -1;
}

/* Readies the admin server; it looks at the heartbeats of all threads to come. */
static int frontend_start_admin(struct frontend *frontend, char *error, size_t error_size)
{
	frontend->admin = admin_create(frontend->config->admin, frontend->metrics, status_is_ready,
				       &frontend->status, error, error_size);
	if (!frontend->admin)
		return -1;
	status_add_pages(&frontend->status, frontend->admin);
	if (admin_watch(frontend->admin, frontend->heartbeats) == 0)
		return admin_serve(frontend->admin, error, error_size);
	snprintf(error, error_size, "out of memory");
	return -1;
}

static void frontend_log_start(const struct frontend_config *config)
{
	char text[ADDRESS_TEXT_MAX];
	for (size_t i = 0; i < config->listen_count; i++) {
		unsigned int protocols = config->listen[i].protocols;
		address_format((const struct sockaddr *)&config->listen[i].address.addr, text,
			       sizeof(text));
		log_info("listening", "address=%s udp=%d tcp=%d tls=%d https=%d quic=%d", text,
			 (protocols & FRONTEND_PROTOCOL_UDP) != 0,
			 (protocols & FRONTEND_PROTOCOL_TCP) != 0,
			 (protocols & FRONTEND_PROTOCOL_TLS) != 0,
			 (protocols & FRONTEND_PROTOCOL_HTTPS) != 0,
			 (protocols & FRONTEND_PROTOCOL_QUIC) != 0);
	}
	log_info("started", "version=%s workers=%u routes=%zu cache_mb=%u admin=%s", GODWIT_VERSION,
		 config->workers, config->route_count, config->cache_size_mb, config->admin);
}

struct frontend *frontend_start(struct frontend_config *config, char *error, size_t error_size)
{
	struct frontend *frontend = calloc(1, sizeof(*frontend));
	if (!frontend) {
		snprintf(error, error_size, "out of memory");
		frontend_config_free(config);
		return NULL;
	}
	frontend->config = config;
	frontend->routes = config;
	frontend->metrics = metrics_create(frontend_metric_defs, FRONTEND_METRIC_COUNT);
	frontend->shard = metrics_shard_create(frontend->metrics);
	pthread_mutex_init(&frontend->plan_lock, NULL);
	frontend->heartbeats = heartbeats_create("frontend");
	frontend->status.heartbeats = frontend->heartbeats;
	if (!frontend->heartbeats) {
		snprintf(error, error_size, "out of memory");
		goto failed;
	}
	channel_queue_set_heartbeat(heartbeats_add(frontend->heartbeats, "grpc-queue",
						   HEARTBEAT_VITAL, HEARTBEAT_BOUND_MS));
	if (listen_check_free(config, error, error_size) != 0 ||
	    frontend_create_cache(frontend, error, error_size) != 0 ||
	    frontend_create_tls(frontend, error, error_size) != 0 ||
	    frontend_create_workers(frontend, error, error_size) != 0)
		goto failed;
	metrics_add_collector(frontend->metrics, status_collect, &frontend->status);
	metrics_add_collector(frontend->metrics, frontend_collect_plan, frontend);
	if (frontend_start_admin(frontend, error, error_size) != 0 ||
	    frontend_start_workers(frontend, error, error_size) != 0 ||
	    frontend_start_life_line(frontend, error, error_size) != 0)
		goto failed;
	frontend_log_start(config);
	return frontend;
failed:
	frontend_begin_stop(frontend);
	frontend_destroy(frontend);
	return NULL;
}

/* Goes over to the routes of `config`, or stays with those it has. */
static void frontend_change_plan(struct frontend *frontend, const struct frontend_config *config)
{
	char error[512];
	struct plan *plan =
		plan_create(config, frontend_on_addresses, frontend, error, sizeof(error));
	if (!plan) {
		log_error("routes not reloaded", "reason=%s", error);
		return;
	}
	/* Routes must not lose their backends while names are looked up again. */
	resolver_inherit(plan->resolver, frontend->plan->resolver);
	resolver_wait(plan->resolver, FRONTEND_RESOLVE_MS);
	int result = 0;
	if (frontend->status.watcher)
		watcher_set_plan(frontend->status.watcher, plan);
	for (size_t i = 0; i < frontend->status.worker_count; i++)
		result |= worker_set_plan(frontend->status.workers[i], plan);
	plan_destroy(frontend_swap_plan(frontend, plan));
	if (result != 0)
		log_error("routes reloaded in part: out of memory", NULL);
	else
		log_info("routes reloaded", "routes=%zu", plan->route_count);
}

void frontend_reload(struct frontend *frontend, struct frontend_config *config)
{
	if (!frontend_config_is_reloadable(frontend->config, config))
		log_warning("configuration has changes that need a restart", "applied=%s",
			    "routes, log.level, log.format");
	log_setup(config->log.level, config->log.format);
	frontend_change_plan(frontend, config);
	if (frontend->routes != frontend->config)
		frontend_config_free(frontend->routes);
	frontend->routes = config;
}

void frontend_look_at_files(struct frontend *frontend)
{
	if (!plan_look_at_files(frontend->plan, frontend->shard))
		return;
	log_info("certificates for backends have changed", NULL);
	frontend_change_plan(frontend, frontend->routes);
}

void frontend_begin_drain(struct frontend *frontend)
{
	struct status *status = &frontend->status;
	atomic_store(&status->draining, true);
	frontend->drain_ms = clock_now_ms();
	if (frontend->config->limits.linger_ms > 0)
		log_info("lingering", "linger_ms=%d", frontend->config->limits.linger_ms);
	if (!status->life_line)
		return;
	log_info("draining", "announcers=%u drain_ms=%d", life_line_count(status->life_line),
		 frontend->config->limits.drain_ms);
	life_line_drain(status->life_line);
}

bool frontend_has_drained(const struct frontend *frontend)
{
	const struct life_line *line = frontend->status.life_line;
	int64_t took_ms = clock_now_ms() - frontend->drain_ms;
	if (took_ms < frontend->config->limits.linger_ms)
		return false;
	return !line || life_line_is_drained(line) || took_ms >= frontend->config->limits.drain_ms;
}

static void frontend_log_drain(const struct frontend *frontend)
{
	unsigned int waiting = life_line_waiting(frontend->status.life_line);
	long long took_ms = (long long)(clock_now_ms() - frontend->drain_ms);
	if (waiting > 0)
		log_warning("announcers have not withdrawn in time: ending without them",
			    "announcers=%u took_ms=%lld", waiting, took_ms);
	else
		log_info("drained", "took_ms=%lld", took_ms);
}

void frontend_begin_stop(struct frontend *frontend)
{
	if (frontend->drain_ms != 0 && frontend->status.life_line)
		frontend_log_drain(frontend);
	frontend->stop_ms = clock_now_ms();
	atomic_store(&frontend->status.stopping, true);
	for (size_t i = 0; i < frontend->status.worker_count; i++)
		worker_stop(frontend->status.workers[i]);
}

static bool frontend_workers_have_ended(const struct frontend *frontend)
{
	for (size_t i = 0; i < frontend->status.worker_count; i++)
		if (!worker_has_ended(frontend->status.workers[i]))
			return false;
	return true;
}

/* True when the workers' own time to stop has passed, and some more. */
static bool frontend_is_out_of_time(const struct frontend *frontend)
{
	return clock_now_ms() - frontend->stop_ms > WORKER_STOP_MS + FRONTEND_STOP_PATIENCE_MS;
}

bool frontend_has_stopped(const struct frontend *frontend)
{
	return frontend_workers_have_ended(frontend) || frontend_is_out_of_time(frontend);
}

/* Never comes back when a thread would have to be waited for that hangs. */
static void frontend_leave_hung_threads(struct frontend *frontend)
{
	char reason[256];
	bool late = frontend_is_out_of_time(frontend) && !frontend_workers_have_ended(frontend);
	bool hung = frontend->heartbeats &&
		    !heartbeats_describe(frontend->heartbeats, reason, sizeof(reason));
	if (!hung && !late)
		return;
	log_error("ending without waiting for threads", "reason=%s",
		  hung ? reason : "a worker does not end");
	_exit(EXIT_FAILURE);
}

void frontend_destroy(struct frontend *frontend)
{
	frontend_leave_hung_threads(frontend);
	/* The threads of admin, life line and resolver look at workers: they go first. */
	admin_stop(frontend->admin);
	life_line_stop(frontend->status.life_line);
	if (frontend->plan)
		plan_stop(frontend->plan);
	for (size_t i = 0; i < frontend->status.worker_count; i++)
		worker_destroy(frontend->status.workers[i]);
	free(frontend->status.workers);
	zone_ledger_destroy(frontend->status.zones);
	watcher_destroy(frontend->status.watcher);
	plan_destroy(frontend->plan);
	cache_destroy(frontend->status.cache);
	tls_destroy(frontend->tls);
	clients_destroy(frontend->clients);
	freshness_destroy(frontend->status.freshness);
	sources_destroy(frontend->sources);
	coherence_destroy(frontend->coherence);
	heartbeats_destroy(frontend->heartbeats);
	metrics_destroy(frontend->metrics);
	if (frontend->routes != frontend->config)
		frontend_config_free(frontend->routes);
	frontend_config_free(frontend->config);
	pthread_mutex_destroy(&frontend->plan_lock);
	free(frontend);
}
