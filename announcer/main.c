/* godwit-announcer: options, signals, and the order of starting and stopping. */
#include "announcer/announcer.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/privileges.h"
#include "common/program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME "godwit-announcer"

/* How often we look whether all has stopped, in milliseconds. */
#define STOP_LOOK_MS 10

static const char help[] =
	"Usage: godwit-announcer --config FILE [--check]\n"
	"\n"
	"Announces a DNS service's addresses to routers over BGP for as long as DNS really\n"
	"answers there, and takes them back the moment it does not.\n"
	"\n"
	"  --config FILE  read the configuration from FILE; docs/announcer.yaml has every key\n"
	"  --check        check the configuration and exit: 0 when it is good\n"
	"  --help         print this text and exit\n"
	"  --version      print the version and exit\n"
	"\n"
	"SIGTERM stops: routes are announced as a last resort (RFC 8326), then withdrawn, and\n"
	"routers get the time to act on it; a second SIGTERM ends at once. SIGHUP reads\n"
	"log.level and log.format again.\n";

static void main_reload(struct announcer *announcer, const char *path)
{
	char error[1024];
	notify_reloading();
	struct announcer_config *config = announcer_config_load(path, error, sizeof(error));
	if (config)
		announcer_reload(announcer, config);
	else
		log_error("configuration not read anew", "reason=%s", error);
	notify_ready();
}

/*
 * Waits until the announcer has stopped. A second signal to end ends the process at once, and so
 * does a thread that hangs: the sessions' ends are closed with the process.
 */
static void main_wait_stopped(const struct announcer *announcer)
{
	char reason[256];
	while (!announcer_has_stopped(announcer)) {
		program_heed_second_signal(STOP_LOOK_MS);
		if (!announcer_moves(announcer, reason, sizeof(reason))) {
			log_error("ending without waiting for threads", "reason=%s", reason);
			_exit(EXIT_FAILURE);
		}
	}
}

static int main_run(struct announcer_config *config, const char *path)
{
	char error[1024];
	struct announcer *announcer = announcer_start(config, error, sizeof(error));
	if (!announcer) {
		log_error("cannot start", "reason=%s", error);
		return EXIT_FAILURE;
	}
	log_info("started", "version=" GODWIT_VERSION);
	notify_ready();
	int signal_number;
	while ((signal_number = program_wait_signal()) == SIGHUP)
		main_reload(announcer, path);
	notify_stopping();
	log_info("stopping", "signal=%s", signal_number == SIGINT ? "SIGINT" : "SIGTERM");
	announcer_begin_stop(announcer);
	main_wait_stopped(announcer);
	announcer_destroy(announcer);
	log_info("stopped", NULL);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct program_options options;
	char error[1024] = "";
	program_prepare();
	privileges_raise();
	program_parse_options(argc, argv, NAME, help, &options);
	struct announcer_config *config =
		announcer_config_load(options.config_path, error, sizeof(error));
	if (!config) {
		fprintf(stderr, NAME ": %s\n", error);
		return EXIT_FAILURE;
	}
	if (options.check) {
		announcer_config_free(config);
		return EXIT_SUCCESS;
	}
	log_setup(config->log.level, config->log.format);
	return main_run(config, options.config_path);
}
