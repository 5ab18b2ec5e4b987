/*
 * godwitctl zone import: files into zones, all or nothing.
 *
 * One file after the other is read into a record list, and from there goes the way of all zones
 * (ctl/bulk.h). Thousands of files are one commit.
 */
#include "ctl/bulk.h"
#include "ctl/command.h"
#include "ctl/text.h"
#include "ctl/zonefile.h"
#include "dns/name.h"
#include "dns/protocol.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STDIN_NAME "<stdin>" /* what "-" is called in messages */

/* A zone that this call has imported, and from where: a node of a search(3) tree. */
struct imported_zone {
	const char *path; /* of argv */
	char apex[];
};

struct import {
	struct bulk bulk;
	uint8_t origin_octets[DNS_NAME_MAX];
	const uint8_t *origin; /* of --origin, or NULL */
	void *zones;           /* tree of struct imported_zone */
	uint64_t bytes_total;  /* of all files; 0 when one has no size that can be known */
	uint64_t bytes_done;   /* of the files before this one */
	uint64_t bytes_file;   /* of this one */
	struct rrlist list;    /* of the file at hand */
};

static bool is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

static int import_add_record(void *ctx, const struct zonefile_record *record, char *error,
			     size_t error_size)
{
	struct import *import = ctx;
	const struct rr rr = {
		.owner = record->owner,
		.rdata = record->rdata,
		.file = record->file,
		.line = record->line,
		.ttl = record->ttl,
		.rdata_size = record->rdata_size,
		.type = record->type,
	};
	if (store_check_rdata(&import->bulk.writer, &rr, error, error_size))
		return -1;
	if (rrlist_add(&import->list, &rr)) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	import->bytes_file = record->bytes_read;
	progress_update(&import->bulk.progress, "reading", import->bytes_done + import->bytes_file,
			import->bytes_total, import->bulk.record_count + import->list.count);
	return 0;
}

static void import_warn_about(struct import *import, const struct rr *record, const char *message)
{
	char name[DNS_NAME_TEXT_MAX];
	dns_name_to_text(record->owner, name);
	bulk_warn(&import->bulk, "%s:%u: warning: %s %s", record->file, record->line, name,
		  message);
}

/* Says what works but is seldom meant. */
static void import_look_for_oddities(struct import *import, const struct rr *soa)
{
	const struct rrlist *list = &import->list;
	bool has_ns = false, differs = false;
	for (size_t i = 0; i < list->count;) {
		size_t count = rrlist_rrset_length(list, i);
		const struct rr *first = &list->records[i];
		if (first->type == DNS_TYPE_NS && rr_compare_owner(first->owner, soa->owner) == 0)
			has_ns = true;
		for (size_t n = 1; n < count && !differs; n++) {
			if (first[n].ttl == first->ttl)
				continue;
			differs = true;
			import_warn_about(import, &first[n],
					  "has records of one type with different TTLs: the lowest "
					  "holds, here and where else the zone has it");
		}
		i += count;
	}
	if (!has_ns)
		import_warn_about(import, soa, "has no NS records: resolvers may not like it");
}

static int compare_zones(const void *a, const void *b)
{
	const struct imported_zone *left = a, *right = b;
	return strcmp(left->apex, right->apex);
}

/* Notes that the zone comes from `path`; refuses a second file for it. */
static int import_note_zone(struct import *import, const char *path, const struct rr *soa)
{
	char apex[DNS_NAME_TEXT_MAX];
	text_store_name(soa->owner, apex);
	size_t size = strlen(apex) + 1;
	struct imported_zone *zone = malloc(sizeof(*zone) + size);
	if (!zone)
		return bulk_fail(&import->bulk, "%s: out of memory", path);
	zone->path = path;
	memcpy(zone->apex, apex, size);
	struct imported_zone **node = tsearch(zone, &import->zones, compare_zones);
	if (!node) {
		free(zone);
		return bulk_fail(&import->bulk, "%s: out of memory", path);
	}
	if (*node == zone)
		return 0;
	free(zone);
	return bulk_fail(&import->bulk,
			 "%s:%u: the zone %s was read from %s already: leave one out", soa->file,
			 soa->line, apex, (*node)->path);
}

/* Reads a file, or standard input, into the list. */
static int import_read(struct import *import, const char *path)
{
	const struct zonefile_sink sink = {
		.ctx = import,
		.record = import_add_record,
	};
	char error[ZONEFILE_ERROR_MAX + 512];
	int status;
	if (is_stdin(path))
		status = zonefile_read_stream(stdin, STDIN_NAME, import->origin, &sink, error,
					      sizeof(error));
	else
		status = zonefile_read(path, import->origin, &sink, error, sizeof(error));
	return status ? bulk_fail(&import->bulk, "%s", error) : 0;
}

static int import_file(struct import *import, const char *path)
{
	const char *place = is_stdin(path) ? STDIN_NAME : path;
	struct rr soa = {0};

	if (import_read(import, path) || bulk_check_zone(&import->bulk, &import->list, place, &soa))
		return -1;
	import_look_for_oddities(import, &soa);
	if (import_note_zone(import, place, &soa) ||
	    bulk_write_zone(&import->bulk, &import->list, &soa))
		return -1;
	import->bytes_done += import->bytes_file;
	import->bytes_file = 0;
	rrlist_clear(&import->list);
	return 0;
}

/* Adds up the sizes of the files, for the progress bar, and refuses a second "-". */
static int import_look_at_files(struct import *import, char **paths, size_t count)
{
	bool has_stdin = false, knows_sizes = true;
	for (size_t i = 0; i < count; i++) {
		bool standard = is_stdin(paths[i]);
		struct stat status;
		if (standard && has_stdin)
			return bulk_fail(&import->bulk,
					 "godwitctl: \"-\", standard input, can be read only once");
		has_stdin = has_stdin || standard;
		if ((standard ? fstat(STDIN_FILENO, &status) : stat(paths[i], &status)) == 0 &&
		    S_ISREG(status.st_mode))
			import->bytes_total += (uint64_t)status.st_size;
		else
			knows_sizes = false;
	}
	if (!knows_sizes)
		import->bytes_total = 0;
	return 0;
}

int command_zone_import(struct storage *storage, const struct options *options, char **words,
			size_t count)
{
	struct import import = {0};
	int code = EXIT_FAILURE;

	if (options->origin) {
		if (text_read_name(options->origin, "--origin", import.origin_octets))
			return EXIT_FAILURE;
		import.origin = import.origin_octets;
	}
	rrlist_init(&import.list);
	bulk_init(&import.bulk, storage, options->given & OPTION_REPLACE);
	if (import_look_at_files(&import, words, count))
		goto end;
	for (size_t i = 0; i < count; i++)
		if (import_file(&import, words[i]))
			goto end;
	if (bulk_commit(&import.bulk))
		goto end;
	bulk_print_sum(&import.bulk, "imported");
	code = EXIT_SUCCESS;
end:
	tdestroy(import.zones, free);
	rrlist_clear(&import.list);
	bulk_clear(&import.bulk);
	return code;
}
