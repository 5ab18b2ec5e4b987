/*
 * What the daemons' main functions share: the options --config FILE, --check, --help and
 * --version, and waiting for the signals that end or change a program.
 */
#ifndef GODWIT_COMMON_PROGRAM_H
#define GODWIT_COMMON_PROGRAM_H

#include <stdbool.h>

struct program_options {
	const char *config_path; /* NULL: defaults only */
	bool check;              /* validate the configuration and exit */
};

/*
 * Parses argv. --help (prints `help`) and --version end the process with 0, a wrong option with 2
 * and one line on standard error.
 */
void program_parse_options(int argc, char **argv, const char *name, const char *help,
			   struct program_options *out);

/*
 * Blocks SIGTERM, SIGINT and SIGHUP in this and all threads made later, and ignores SIGPIPE. Has
 * OpenSSL's memory left to the kernel in the end: gRPC may have threads then that still use it.
 * Call first in main.
 */
void program_prepare(void);

/* Waits for one of the blocked signals and returns its number. Main thread. */
int program_wait_signal(void);

/* The same for `timeout_ms` milliseconds at most; 0 when none has come. */
int program_wait_signal_for(int timeout_ms);

/*
 * Waits for `timeout_ms` milliseconds at most, while a program is ending: a second signal to end
 * (SIGTERM, SIGINT) ends the process at once, as if it had never been caught. Main thread.
 */
void program_heed_second_signal(int timeout_ms);

#endif
