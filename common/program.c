/* The command line, the signals and the end of a daemon. */
#include "common/program.h"

#include "common/clock.h"
#include "common/log.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option program_long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check", no_argument, NULL, 'k'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

/* One line that names the argument getopt_long stumbled over, then the end. */
static _Noreturn void program_fail(const char *name, const char *problem, const char *argument)
{
	fprintf(stderr, "%s: %s %s; see %s --help\n", name, problem, argument, name);
	exit(2);
}

/* Prints to standard output and ends; 1 when that cannot be written. */
static _Noreturn void program_print_and_exit(const char *text)
{
	bool written = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
	exit(written ? 0 : 1);
}

void program_parse_options(int argc, char **argv, const char *name, const char *help,
			   struct program_options *out)
{
	char version[64];
	int option;

	memset(out, 0, sizeof(*out));
	snprintf(version, sizeof(version), "%s " GODWIT_VERSION "\n", name);
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", program_long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			out->config_path = optarg;
			break;
		case 'k':
			out->check = true;
			break;
		case 'h':
			program_print_and_exit(help);
		case 'v':
			program_print_and_exit(version);
		case ':':
			program_fail(name, "no value for", argv[optind - 1]);
		default:
			program_fail(name, "unknown option", argv[optind - 1]);
		}
	}
	if (optind < argc)
		program_fail(name, "unexpected argument", argv[optind]);
}

static void program_fill_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void program_prepare(void)
{
	sigset_t set;
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	program_fill_signals(&set);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0)
		abort(); /* only wrong arguments can make these fail */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
		abort(); /* out of memory */
}

int program_wait_signal(void)
{
	sigset_t set;
	int number;

	program_fill_signals(&set);
	while (sigwait(&set, &number) != 0)
		continue;
	return number;
}

/* The first of `set` that comes within `timeout_ms`; 0 when none has come. */
static int program_take_signal(const sigset_t *set, int timeout_ms)
{
	const struct timespec wait = clock_timespec(timeout_ms);
	int number = sigtimedwait(set, NULL, &wait);

	return number > 0 ? number : 0;
}

int program_wait_signal_for(int timeout_ms)
{
	sigset_t set;

	program_fill_signals(&set);
	return program_take_signal(&set, timeout_ms);
}

void program_heed_second_signal(int timeout_ms)
{
	sigset_t set;

	program_fill_signals(&set);
	sigdelset(&set, SIGHUP);
	int number = program_take_signal(&set, timeout_ms);
	if (number == 0)
		return;
	log_warning("second signal: ending at once", NULL);
	sigemptyset(&set);
	sigaddset(&set, number);
	signal(number, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
}
