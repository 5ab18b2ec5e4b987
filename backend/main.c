/*
 * godwit-backend: puts the parts together, and takes them apart in the opposite order.
 *
 *     store --> follower (one thread) --> mirror --> service (query threads) --> front ends
 *                                            \--> admin server (one thread): metrics, readiness
 *
 * The main thread sets up, then waits for signals: SIGHUP reads the log level anew, SIGTERM and
 * SIGINT end the program.
 */
#include "backend/accept_guard.h"
#include "backend/changes.h"
#include "backend/config.h"
#include "backend/counters.h"
#include "backend/credentials.h"
#include "backend/follower.h"
#include "backend/mirror.h"
#include "backend/service.h"
#include "common/admin.h"
#include "common/heartbeat.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/notify.h"
#include "common/program.h"

#include <grpc/support/log.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "godwit-backend"

/* How long calls in hand may take once we were asked to end, in milliseconds. */
#define STOP_GRACE_MS 3000

/*
 * How long a service manager, and what it starts after us, waits for the records, in milliseconds.
 * After that we are as ready as can be: a store that is away must not hold up a machine's start.
 */
#define LOAD_PATIENCE_MS 10000

static const char help[] =
	"Usage: godwit-backend [--config FILE] [--check]\n"
	"\n"
	"Answers DNS queries, as gRPC calls (coredns.dns.DnsService), from the records of a "
	"store.\n"
	"\n"
	"  --config FILE   configuration in YAML; without it: gRPC on 127.0.0.1:8053, records\n"
	"                  from sqlite:godwit.db, /metrics and /readyz on 127.0.0.1:9154\n"
	"  --check         validate the configuration and exit\n"
	"  --help          this text\n"
	"  --version       the version\n"
	"\n"
	"SIGHUP reads the log level anew; SIGTERM answers what is in hand and ends.\n";

/* All there is; what is NULL has not been made. */
struct backend {
	struct backend_config *config;
	struct metrics *metrics;
	struct heartbeats *heartbeats;
	struct mirror *mirror;
	struct changes *changes;
	struct credentials *credentials; /* NULL: plaintext */
	struct service *service;
	struct follower *follower;
	struct admin *admin;
};

/* What gRPC has to say goes where our own lines go; its errors are mostly a peer's doing. */
static void log_grpc(gpr_log_func_args *args)
{
	if (args->severity == GPR_LOG_SEVERITY_ERROR)
		log_warning_limited("gRPC reports", "message=%s", args->message);
	else
		log_debug("gRPC reports", "message=%s", args->message);
}

/* The mirror shows changes: tell who keeps answers. On the follower's thread. */
static void on_commit(void *ctx, const uint64_t *facts, size_t count, bool everything)
{
	struct backend *backend = ctx;

	changes_publish(backend->changes, facts, count, everything);
}

static void on_published(void *ctx)
{
	struct backend *backend = ctx;

	service_tell_changes(backend->service);
}

static void on_loaded(void *ctx)
{
	struct backend *backend = ctx;

	service_set_serving(backend->service, true);
	notify_ready();
}

static bool is_ready(void *ctx, char *reason, size_t reason_size)
{
	struct backend *backend = ctx;

	return follower_describe(backend->follower, reason, reason_size);
}

/* POST /reload[?force=1] */
static bool on_reload(void *ctx, const char *query, char *reply, size_t reply_size)
{
	struct backend *backend = ctx;
	bool force = query != NULL && strcmp(query, "force=1") == 0;

	return follower_reload(backend->follower, force, reply, reply_size);
}

static int start_admin(struct backend *backend, char *error, size_t error_size)
{
	backend->admin = admin_create(backend->config->admin, backend->metrics, is_ready, backend,
				      error, error_size);
	if (backend->admin == NULL)
		return -1;
	admin_add_page(backend->admin, ADMIN_POST, "/reload", on_reload, backend);
	if (admin_watch(backend->admin, backend->heartbeats) == 0)
		return admin_serve(backend->admin, error, error_size);
	snprintf(error, error_size, "out of memory");
	return -1;
}

static int create_follower(struct backend *backend, char *error, size_t error_size)
{
	const struct backend_config *config = backend->config;
	const struct follower_options options = {
		.store = config->storage,
		.password_file = config->password_file,
		.snapshot = config->snapshot,
		.max_loss_percent = config->max_loss_percent,
		.heartbeat = heartbeats_add(backend->heartbeats, "follower", HEARTBEAT_REPORTED,
					    FOLLOWER_SILENT_MS),
		.loaded = on_loaded,
		.ctx = backend,
	};

	backend->follower =
		follower_create(&options, backend->mirror, backend->metrics, error, error_size);
	if (backend->follower == NULL)
		return -1;
	metrics_add_collector(backend->metrics, follower_collect, backend->follower);
	return 0;
}

static int create_service(struct backend *backend, char *error, size_t error_size)
{
	const struct backend_config *config = backend->config;

	if (config->tls != NULL) {
		const struct tls_files files = {config->tls->certificate, config->tls->key,
						config->tls->client_ca};
		backend->credentials = credentials_create(&files, error, error_size);
		if (backend->credentials == NULL)
			return -1;
		metrics_add_collector(backend->metrics, credentials_collect, backend->credentials);
	}
	const struct service_options options = {
		.listen = (const char *const *)config->listen,
		.listen_count = config->listen_count,
		.threads = config->threads,
		.credentials = backend->credentials,
		.changes = backend->changes,
		.follower = backend->follower,
		.heartbeats = backend->heartbeats,
	};
	backend->service =
		service_create(&options, backend->mirror, backend->metrics, error, error_size);
	return backend->service != NULL ? 0 : -1;
}

/* Makes and starts everything. 0, or -1 with a line in `error`. */
static int backend_start(struct backend *backend, char *error, size_t error_size)
{
	backend->metrics = metrics_create(backend_counter_defs, BACKEND_COUNTER_COUNT);
	backend->mirror = mirror_create();
	backend->changes = changes_create(on_published, backend);
	backend->heartbeats = heartbeats_create("backend");
	if (backend->changes == NULL || backend->heartbeats == NULL) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	mirror_set_observer(backend->mirror, on_commit, backend);
	if (create_follower(backend, error, error_size) != 0 ||
	    create_service(backend, error, error_size) != 0 ||
	    start_admin(backend, error, error_size) != 0 ||
	    service_start(backend->service, error, error_size) < 0)
		return -1;
	int failed = follower_start(backend->follower);
	if (failed != 0)
		snprintf(error, error_size, "cannot start a thread: %s", strerror(failed));
	return failed == 0 ? 0 : -1;
}

/* Never comes back when a thread hangs: it could not be waited for. */
static void leave_hung_threads(struct backend *backend)
{
	char reason[256] = "";

	if (backend->heartbeats == NULL ||
	    heartbeats_describe(backend->heartbeats, reason, sizeof(reason)))
		return;
	log_error("ending without waiting for threads", "reason=%s", reason);
	_exit(EXIT_FAILURE);
}

/* Takes everything apart: who uses something goes before it. */
static void backend_clear(struct backend *backend)
{
	if (backend->service != NULL && !service_stop(backend->service, STOP_GRACE_MS)) {
		/* nothing is lost, but nothing can be freed either */
		log_error("gRPC calls did not end in time; leaving them", NULL);
		_exit(EXIT_FAILURE);
	}
	leave_hung_threads(backend);
	if (backend->follower != NULL)
		follower_stop(backend->follower);
	admin_stop(backend->admin);
	service_destroy(backend->service);
	credentials_destroy(backend->credentials);
	follower_destroy(backend->follower);
	changes_destroy(backend->changes);
	if (backend->mirror != NULL)
		mirror_destroy(backend->mirror);
	heartbeats_destroy(backend->heartbeats);
	if (backend->metrics != NULL)
		metrics_destroy(backend->metrics);
	backend_config_free(backend->config);
}

/* SIGHUP: takes over what can change while running, and says what cannot. */
static void reload_config(struct backend_config *config, const char *path)
{
	char error[512] = "started without --config";
	struct backend_config *fresh = NULL;

	if (path != NULL)
		fresh = backend_config_load(path, error, sizeof(error));
	if (fresh == NULL) {
		log_error("configuration not read anew", "reason=%s", error);
		return;
	}
	config->log = fresh->log;
	log_setup(config->log.level, config->log.format);
	log_info("configuration read anew", "log=applied other_changes=%s",
		 backend_config_needs_restart(config, fresh) ? "need restart" : "none");
	backend_config_free(fresh);
}

static void run(struct backend *backend, const char *config_path)
{
	int number = program_wait_signal_for(LOAD_PATIENCE_MS);

	if (number == 0) {
		notify_ready();
		number = program_wait_signal();
	}
	for (; number == SIGHUP; number = program_wait_signal()) {
		notify_reloading();
		reload_config(backend->config, config_path);
		notify_ready();
	}
	notify_stopping();
	log_info("stopping", "signal=%s", number == SIGINT ? "SIGINT" : "SIGTERM");
}

int main(int argc, char **argv)
{
	struct program_options options;
	struct backend backend = {0};
	char error[1024] = "";
	int status = EXIT_FAILURE;

	program_prepare();
	program_parse_options(argc, argv, NAME, help, &options);
	backend.config = backend_config_load(options.config_path, error, sizeof(error));
	if (backend.config == NULL) {
		fprintf(stderr, NAME ": %s\n", error);
		return EXIT_FAILURE;
	}
	if (options.check) {
		backend_config_free(backend.config);
		return EXIT_SUCCESS;
	}
	log_setup(backend.config->log.level, backend.config->log.format);
	accept_guard_init();
	gpr_set_log_function(log_grpc);
	if (backend_start(&backend, error, sizeof(error)) == 0) {
		log_info("started", "version=" GODWIT_VERSION);
		run(&backend, options.config_path);
		status = EXIT_SUCCESS;
	} else {
		log_error("cannot start", "reason=%s", error);
	}
	backend_clear(&backend);
	if (status == EXIT_SUCCESS)
		log_info("stopped", NULL);
	return status;
}
