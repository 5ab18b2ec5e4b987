/* godwit-frontend: options, signals, and the order of starting and stopping. */
#include "common/log.h"
#include "common/notify.h"
#include "common/privileges.h"
#include "common/program.h"
#include "common/tls_files.h"
#include "frontend/config.h"
#include "frontend/frontend.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* How often we look whether all has stopped, in milliseconds. */
#define STOP_LOOK_MS 5

static const char help[] =
	"Usage: godwit-frontend [--config FILE] [--check]\n"
	"\n"
	"Listens for DNS queries over UDP and TCP and answers them with the help of backends,\n"
	"any programs that serve coredns.dns.DnsService over gRPC.\n"
	"\n"
	"  --config FILE  read the configuration from FILE; without it, listen on\n"
	"                 127.0.0.1:5300, ask a backend at 127.0.0.1:8053, and serve\n"
	"                 /metrics, /livez and /readyz at 127.0.0.1:9153\n"
	"  --check        check the configuration and exit: 0 when it is good\n"
	"  --help         print this text and exit\n"
	"  --version      print the version and exit\n"
	"\n"
	"SIGTERM stops: first, if announcers are connected to watch_socket, until they have\n"
	"withdrawn or limits.drain_ms has passed, queries are answered as before; then those in\n"
	"flight, for up to 4 s. A second SIGTERM ends at once.\n"
	"SIGHUP reads routes, log.level and log.format again.\n";

/* What gRPC has to say, in our own log: the level is low, because replicas are watched anyway. */
static void main_log_grpc(gpr_log_func_args *args)
{
	log_debug("grpc", "message=%s", args->message);
}

static void main_reload(struct frontend *frontend, const char *path)
{
	char error[512];
	if (!path) {
		log_info("nothing to reload: running without a configuration file", NULL);
		return;
	}
	struct frontend_config *config = frontend_config_load(path, error, sizeof(error));
	if (config)
		frontend_reload(frontend, config);
	else
		log_error("configuration not reloaded", "reason=%s", error);
}

/* Waits until `has_come` is true. A second signal to end ends the process at once. */
static void main_wait(const struct frontend *frontend,
		      bool (*has_come)(const struct frontend *frontend))
{
	while (!has_come(frontend))
		program_heed_second_signal(STOP_LOOK_MS);
}

/*
 * Connections, and besides them the sockets, backend channels and event descriptors of each worker.
 */
static void main_raise_descriptor_limit(const struct frontend_config *config)
{
	rlim_t wanted = config->limits.tcp_connections + 256 + 64 * (rlim_t)config->workers;
	if (config->tls.count > 0)
		wanted += config->limits.tls_connections + 64 * (rlim_t)config->workers;
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_warning("fewer file descriptors than limits may need",
			    "wanted=%llu allowed=%llu", (unsigned long long)wanted,
			    (unsigned long long)limit.rlim_cur);
}

static int main_run(struct frontend_config *config, const char *path)
{
	char error[512];
	struct frontend *frontend = frontend_start(config, error, sizeof(error));
	if (!frontend) {
		log_error("not started", "reason=%s", error);
		return EXIT_FAILURE;
	}
	notify_ready();
	int signal_number;
	for (;;) {
		signal_number = program_wait_signal_for(TLS_FILES_INTERVAL_MS);
		if (signal_number == 0) {
			frontend_look_at_files(frontend);
			continue;
		}
		if (signal_number != SIGHUP)
			break;
		notify_reloading();
		main_reload(frontend, path);
		notify_ready();
	}
	notify_stopping();
	log_info("stopping", "signal=%s", signal_number == SIGINT ? "SIGINT" : "SIGTERM");
	frontend_begin_drain(frontend);
	main_wait(frontend, frontend_has_drained);
	frontend_begin_stop(frontend);
	main_wait(frontend, frontend_has_stopped);
	frontend_destroy(frontend);
	log_info("stopped", NULL);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct program_options options;
	char error[512];
	program_prepare();
	privileges_raise();
	program_parse_options(argc, argv, "godwit-frontend", help, &options);
	struct frontend_config *config =
		frontend_config_load(options.config_path, error, sizeof(error));
	if (!config) {
		fprintf(stderr, "godwit-frontend: %s\n", error);
		return EXIT_FAILURE;
	}
	if (options.check) {
		frontend_config_free(config);
		return EXIT_SUCCESS;
	}
	log_setup(config->log.level, config->log.format);
	main_raise_descriptor_limit(config);
	gpr_set_log_function(main_log_grpc);
	grpc_init();
	int result = main_run(config, options.config_path);
	grpc_shutdown();
	return result;
}
