#include "ctl/options.h"

#include "ctl/text.h"
#include "ctl/ttl.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const struct option long_options[] = {
	{"store", required_argument, NULL, OPTION_STORE},
	{"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
	{"ns", required_argument, NULL, OPTION_NS},
	{"mbox", required_argument, NULL, OPTION_MBOX},
	{"ttl", required_argument, NULL, OPTION_TTL},
	{"origin", required_argument, NULL, OPTION_ORIGIN},
	{"replace", no_argument, NULL, OPTION_REPLACE},
	{"json", no_argument, NULL, OPTION_JSON},
	{"admin", required_argument, NULL, OPTION_ADMIN},
	{"from", required_argument, NULL, OPTION_FROM},
	{"to", required_argument, NULL, OPTION_TO},
	{"from-password-file", required_argument, NULL, OPTION_FROM_PASSWORD_FILE},
	{"to-password-file", required_argument, NULL, OPTION_TO_PASSWORD_FILE},
	{"force", no_argument, NULL, OPTION_FORCE},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"domain-filter", required_argument, NULL, OPTION_DOMAIN_FILTER},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

const char *options_name(unsigned int bits)
{
	static const char *const names[] = {"--store",
					    "--password-file",
					    "--ns",
					    "--mbox",
					    "--ttl",
					    "--origin",
					    "--replace",
					    "--json",
					    "--admin",
					    "--help",
					    "--version",
					    "--from",
					    "--to",
					    "--from-password-file",
					    "--to-password-file",
					    "--force",
					    "--listen",
					    "--domain-filter"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bits & 1U << i)
			return names[i];
	return "";
}

static int options_add(const char **list, size_t *count, const char *name)
{
	if (*count == OPTIONS_REPEAT_MAX) {
		text_fail("godwitctl: %s more than %d times", name, OPTIONS_REPEAT_MAX);
		return -1;
	}
	list[(*count)++] = optarg;
	return 0;
}

static int options_set(struct options *options, int option)
{
	options->given |= (unsigned int)option;
	switch (option) {
	case OPTION_STORE:
		options->store = optarg;
		return 0;
	case OPTION_PASSWORD_FILE:
		options->password_file = optarg;
		return 0;
	case OPTION_FROM:
		options->from = optarg;
		return 0;
	case OPTION_TO:
		options->to = optarg;
		return 0;
	case OPTION_FROM_PASSWORD_FILE:
		options->from_password_file = optarg;
		return 0;
	case OPTION_TO_PASSWORD_FILE:
		options->to_password_file = optarg;
		return 0;
	case OPTION_NS:
		return options_add(options->ns, &options->ns_count, "--ns");
	case OPTION_MBOX:
		options->mbox = optarg;
		return 0;
	case OPTION_TTL:
		if (ttl_from_text(optarg, &options->ttl))
			return 0;
		text_fail("godwitctl: --ttl %s is not a time: use seconds or units like 1h30m, "
			  "at most %u seconds",
			  optarg, TTL_MAX);
		return -1;
	case OPTION_ORIGIN:
		options->origin = optarg;
		return 0;
	case OPTION_ADMIN:
		return options_add(options->admin, &options->admin_count, "--admin");
	case OPTION_LISTEN:
		options->listen = optarg;
		return 0;
	case OPTION_DOMAIN_FILTER:
		return options_add(options->domains, &options->domain_count, "--domain-filter");
	default:
		return 0;
	}
}

int options_parse(int argc, char **argv, struct options *options)
{
	memset(options, 0, sizeof(*options));
	options->store = getenv("GODWIT_STORE");
	options->password_file = getenv("GODWIT_PASSWORD_FILE");
	opterr = 0;
	for (;;) {
		int option = getopt_long(argc, argv, ":h", long_options, NULL);
		if (option == -1)
			break;
		if (option == ':') {
			text_fail("godwitctl: %s needs a value: see godwitctl --help",
				  argv[optind - 1]);
			return -1;
		}
		if (option == '?') {
			text_fail("godwitctl: %s is not an option: see godwitctl --help; put -- "
				  "before data that begins with a dash",
				  argv[optind - 1]);
			return -1;
		}
		if (options_set(options, option == 'h' ? OPTION_HELP : option))
			return -1;
	}
	options->words = argv + optind;
	options->word_count = (size_t)(argc - optind);
	return 0;
}
