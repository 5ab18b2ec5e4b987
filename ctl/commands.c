#include "ctl/commands.h"

#include "ctl/store.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{NULL, "init", "", "make the store's tables, or what is missing of them",
	 "Safe on a store in use, and on a PowerDNS database: what is there stays as it is.\n",
	 COMMAND_CREATES, 0, 0, 0, command_init},

	{"zone", "add", "ZONE --ns NAME... [--mbox NAME] [--ttl N]",
	 "add a zone with SOA and NS records",
	 "  --ns NAME     a name server; may be repeated; the first is the SOA's primary\n"
	 "  --mbox NAME   the person in charge, hostmaster.example.com. or\n"
	 "                hostmaster@example.com; default: hostmaster.ZONE\n"
	 "  --ttl N       TTL of these records; default 3600\n"
	 "\n"
	 "The SOA gets serial YYYYMMDD01 of today (UTC), refresh 10800, retry 3600, expire\n"
	 "604800, minimum (the TTL of negative answers) 3600.\n",
	 COMMAND_WRITES, OPTION_NS | OPTION_MBOX | OPTION_TTL, 1, 1, command_zone_add},

	{"zone", "list", "", "list all zones", "One name a line, sorted.\n", COMMAND_READS, 0, 0, 0,
	 command_zone_list},

	{"zone", "import", "FILE... [--origin ZONE] [--replace]", "read zones from master files",
	 "Each file holds one zone (RFC 1035 section 5, with $ORIGIN, $TTL, $INCLUDE, BIND's\n"
	 "$GENERATE, TTL units and unknown types); its name is that of the SOA record. \"-\" is\n"
	 "standard input. All files of one call are one transaction: all are imported, or none\n"
	 "if one has an error.\n"
	 "\n"
	 "  --origin ZONE what relative names are relative to until the file says $ORIGIN.\n"
	 "                Default: the SOA's name if it came first, else the file's name if it is\n"
	 "                like example.com.zone, db.example.com or example.com\n"
	 "  --replace     zones that are in the store already are replaced\n",
	 COMMAND_WRITES, OPTION_ORIGIN | OPTION_REPLACE, 1, SIZE_MAX, command_zone_import},

	{"zone", "export", "ZONE", "print a zone as a master file",
	 "Importing it again gives the same records.\n", COMMAND_READS, 0, 1, 1,
	 command_zone_export},

	{"zone", "delete", "ZONE", "delete a zone and all its records", "", COMMAND_WRITES, 0, 1, 1,
	 command_zone_delete},

	{"record", "set", "NAME TYPE [--ttl N] DATA...", "set all records of a name and type",
	 "What the name had of this type before is gone. Each DATA is one record, written as in a\n"
	 "master file: quote it for the shell (\"10 mail.example.com.\"). Names in it are "
	 "absolute,\n"
	 "with or without the dot at the end. The zone's serial is raised.\n"
	 "\n"
	 "  --ttl N       TTL in seconds or units (1h30m); default: what the records had, or "
	 "3600\n",
	 COMMAND_WRITES, OPTION_TTL, 3, SIZE_MAX, command_record_set},

	{"record", "add", "NAME TYPE [--ttl N] DATA...", "add records to a name and type",
	 "As set, but what is there stays. A --ttl holds for all records of the name and type.\n",
	 COMMAND_WRITES, OPTION_TTL, 3, SIZE_MAX, command_record_add},

	{"record", "delete", "NAME TYPE [DATA...]",
	 "delete all records of a name and type, or some",
	 "Without DATA all records of the type go.\n", COMMAND_WRITES, 0, 2, SIZE_MAX,
	 command_record_delete},

	{"record", "list", "ZONE|NAME [--json]", "list the records of a zone or a name",
	 "  --json        as an array of objects with name, type, ttl and data\n", COMMAND_READS,
	 OPTION_JSON, 1, 1, command_record_list},

	{NULL, "copy",
	 "--from URL --to URL [--from-password-file FILE] [--to-password-file FILE] [ZONE...] "
	 "[--replace]",
	 "copy zones from one store to another, of any kinds",
	 "All zones, or those that are named. The target must be made already (godwitctl init);\n"
	 "what it has besides stays. The copy is one transaction there: all zones, or none. Each\n"
	 "zone is as it was at the moment it was read.\n"
	 "\n"
	 "  --replace     zones that the target has already are replaced\n"
	 "  --from-password-file FILE, --to-password-file FILE\n"
	 "                the stores' passwords, where they have one\n"
	 "\n"
	 "Records that no backend would serve are left out, with a warning that names them: data\n"
	 "that does not parse, names out of their zone. A zone that breaks DNS (no SOA, a CNAME\n"
	 "beside other data) ends the copy, as it would end an import; so mend it, or name the\n"
	 "zones to copy. Rows that PowerDNS has disabled are not read.\n",
	 COMMAND_NO_STORE,
	 OPTION_FROM | OPTION_TO | OPTION_FROM_PASSWORD_FILE | OPTION_TO_PASSWORD_FILE |
		 OPTION_REPLACE,
	 0, SIZE_MAX, command_copy},

	{NULL, "reload", "[--force] [--admin HOST:PORT]...", "let backends load their store anew",
	 "  --admin HOST:PORT   a backend's admin address; may be repeated; default\n"
	 "                127.0.0.1:9154\n"
	 "  --force       also when the store has lost so much that a backend would rather keep\n"
	 "                what it has\n"
	 "\n"
	 "Prints each backend's answer. Exit 0 when all have accepted, else 1.\n",
	 COMMAND_NO_STORE, OPTION_ADMIN | OPTION_FORCE, 0, 0, command_reload},

	{NULL, "external-dns",
	 "[--listen HOST:PORT] [--domain-filter DOMAIN]... [--ttl N] [--admin HOST:PORT]",
	 "let ExternalDNS write records: serve its webhook provider protocol until stopped",
	 "Runs beside ExternalDNS, which is started with --provider=webhook, and which then gives\n"
	 "Services and Ingresses of a Kubernetes cluster their records in the store's zones. The\n"
	 "zones must be there (godwitctl zone add). Whoever reaches it may change records: it\n"
	 "listens on this machine (in a pod: to that pod) only.\n"
	 "\n"
	 "  --listen HOST:PORT  a loopback address; default 127.0.0.1:8888, where ExternalDNS\n"
	 "                looks for it\n"
	 "  --domain-filter DOMAIN\n"
	 "                records at or below it only; may be repeated; default: all zones\n"
	 "  --ttl N       TTL of records that ExternalDNS gives none; default 300\n"
	 "  --admin HOST:PORT   serve /metrics, /healthz, /livez and /readyz there; default: not\n"
	 "\n"
	 "Records that the store cannot have (no zone for them, a CNAME beside other data) are\n"
	 "left out, with a line in the log; the others are written, those of a request together.\n",
	 COMMAND_CREATES, OPTION_LISTEN | OPTION_DOMAIN_FILTER | OPTION_TTL | OPTION_ADMIN, 0, 0,
	 command_external_dns},

	{"cache", "flush", "[NAME] [--admin HOST:PORT]...",
	 "let front ends forget cached answers, all or those for a name",
	 "  --admin HOST:PORT   a front end's admin address; may be repeated; default\n"
	 "                127.0.0.1:9153\n"
	 "\n"
	 "Only for answers of backends that do not tell their changes, or to measure: those of\n"
	 "godwit-backend are never old. Prints how many each front end has forgotten. Exit 0 when\n"
	 "all have, else 1.\n",
	 COMMAND_NO_STORE, OPTION_ADMIN, 0, 1, command_cache_flush},

	{"cache", "show", "NAME [--admin HOST:PORT]...",
	 "show front ends' cached answers for a name",
	 "  --admin HOST:PORT   a front end's admin address; may be repeated; default\n"
	 "                127.0.0.1:9153\n"
	 "\n"
	 "One line an answer: its type (+DO: asked for with DNSSEC data), response code, records,\n"
	 "octets, by what it is kept and since when, and what becomes of it:\n"
	 "\n"
	 "  good          it is given out\n"
	 "  suspect       changes may have gone untold since: asked anew, and given out only when\n"
	 "                no backend can be had\n"
	 "  expired       past its TTL: the same\n"
	 "  outdated      it has changed, or was suspect for too long: not given out any more\n"
	 "\n"
	 "Exit 0 when all front ends have answered, else 1.\n",
	 COMMAND_NO_STORE, OPTION_ADMIN, 1, 1, command_cache_show},

	{"announcer", "status", "[--json] [--admin HOST:PORT]...",
	 "show announcers' peers and services, and what they announce and why",
	 "  --json              as JSON; of several announcers one value after the other\n"
	 "  --admin HOST:PORT   an announcer's admin address; may be repeated; default\n"
	 "                127.0.0.1:9155\n"
	 "\n"
	 "Exit 0 when all have answered, whatever they say, else 1.\n",
	 COMMAND_NO_STORE, OPTION_ADMIN | OPTION_JSON, 0, 0, command_announcer_status},

	{"announcer", "drain", "[SERVICE] [--admin HOST:PORT]...",
	 "take a node out: withdraw its services' addresses, or those of one service",
	 "  --admin HOST:PORT   an announcer's admin address; may be repeated; default\n"
	 "                127.0.0.1:9155\n"
	 "\n"
	 "The addresses become a last resort first (RFC 8326) and are withdrawn a little later,\n"
	 "so that no query is lost; DNS goes on answering. It stays so until undrained, or until\n"
	 "the announcer is started again. Exit 0 when all have done it, else 1.\n",
	 COMMAND_NO_STORE, OPTION_ADMIN, 0, 1, command_announcer_drain},

	{"announcer", "undrain", "[SERVICE] [--admin HOST:PORT]...",
	 "bring a drained node, or one service, back",
	 "  --admin HOST:PORT   an announcer's admin address; may be repeated; default\n"
	 "                127.0.0.1:9155\n"
	 "\n"
	 "Announced as soon as DNS answers the probe. Exit 0 when all have done it, else 1.\n",
	 COMMAND_NO_STORE, OPTION_ADMIN, 0, 1, command_announcer_undrain},

	{NULL, "status", "[--admin HOST:PORT]...", "ask running servers how they are",
	 "  --admin HOST:PORT   a server's admin address; may be repeated; default\n"
	 "                127.0.0.1:9153 (godwit-frontend) and 127.0.0.1:9154 (godwit-backend),\n"
	 "                and 127.0.0.1:9155 (godwit-announcer) if one is there\n"
	 "\n"
	 "Exit 0 when all are ready, else 1.\n",
	 COMMAND_NO_STORE, OPTION_ADMIN, 0, 0, command_status},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

const struct command *commands_find(char **words, size_t count, size_t *used)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = &commands[i];
		size_t words_of_name = command->group ? 2 : 1;
		if (count < words_of_name ||
		    (command->group && strcmp(words[0], command->group) != 0) ||
		    strcmp(words[words_of_name - 1], command->name) != 0)
			continue;
		*used = words_of_name;
		return command;
	}
	return NULL;
}

static void commands_print_usage(const struct command *command)
{
	printf("godwitctl%s%s%s %s%s%s", command->store == COMMAND_NO_STORE ? "" : " --store URL",
	       command->group ? " " : "", command->group ? command->group : "", command->name,
	       *command->operands ? " " : "", command->operands);
}

void commands_print_help(void)
{
	printf("godwitctl: zones and records in a Godwit store, and the state of its servers\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		printf("  ");
		commands_print_usage(&commands[i]);
		printf("\n      %s\n", commands[i].summary);
	}
	printf("\n"
	       "  --store URL           the store; default $GODWIT_STORE:\n"
	       "                        " STORE_URLS "\n"
	       "  --password-file FILE  its password, where it has one; default "
	       "$GODWIT_PASSWORD_FILE\n"
	       "  --help                this text; after a command, more about it\n"
	       "  --version             the version\n"
	       "\n"
	       "Options may stand before or after the command; -- ends them. Exit 0, or 1 with "
	       "one\n"
	       "line on standard error that says what to do.\n");
}

void commands_print_command_help(const struct command *command)
{
	commands_print_usage(command);
	printf("\n\n%c%s.\n", command->summary[0] - ('a' - 'A'), command->summary + 1);
	if (*command->help)
		printf("\n%s", command->help);
}
