/*
 * godwitctl's command line. Options and the words of the command come in any order; "--" ends the
 * options, for data that begins with a dash.
 */
#ifndef GODWIT_CTL_OPTIONS_H
#define GODWIT_CTL_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#define OPTIONS_REPEAT_MAX 64 /* how often --ns, --admin or --domain-filter may stand */

/* One bit per option, to say which were given and which a command takes. */
enum option_bit {
	OPTION_STORE = 1 << 0,
	OPTION_PASSWORD_FILE = 1 << 1,
	OPTION_NS = 1 << 2,
	OPTION_MBOX = 1 << 3,
	OPTION_TTL = 1 << 4,
	OPTION_ORIGIN = 1 << 5,
	OPTION_REPLACE = 1 << 6,
	OPTION_JSON = 1 << 7,
	OPTION_ADMIN = 1 << 8,
	OPTION_HELP = 1 << 9,
	OPTION_VERSION = 1 << 10,
	OPTION_FROM = 1 << 11,
	OPTION_TO = 1 << 12,
	OPTION_FROM_PASSWORD_FILE = 1 << 13,
	OPTION_TO_PASSWORD_FILE = 1 << 14,
	OPTION_FORCE = 1 << 15,
	OPTION_LISTEN = 1 << 16,
	OPTION_DOMAIN_FILTER = 1 << 17,
};

/* Strings belong to argv or the environment. */
struct options {
	unsigned int given;
	const char *store;         /* or $GODWIT_STORE, or NULL */
	const char *password_file; /* or $GODWIT_PASSWORD_FILE, or NULL */
	const char *from;
	const char *to;
	const char *from_password_file;
	const char *to_password_file;
	const char *mbox;
	const char *origin;
	uint32_t ttl; /* seconds */
	const char *ns[OPTIONS_REPEAT_MAX];
	size_t ns_count;
	const char *admin[OPTIONS_REPEAT_MAX];
	size_t admin_count;
	const char *listen;
	const char *domains[OPTIONS_REPEAT_MAX];
	size_t domain_count;
	char **words; /* what is not an option */
	size_t word_count;
};

/* Reads the command line; argv is put into order. 0, or -1 after a line on standard error. */
int options_parse(int argc, char **argv, struct options *options);

/* The name of the lowest option in `bits`, "--ns". */
const char *options_name(unsigned int bits);

#endif
