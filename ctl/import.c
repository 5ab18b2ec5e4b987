/*
 * godwitctl zone import: files into zones, all or nothing.
 *
 * One file after the other is read into a record list, checked, and written; the transaction around
 * all of them begins with the first write and ends when the last file was good. So memory is that
 * of the largest zone, and thousands of files are one commit. What is odd but no error is kept
 * until then: a failed import says one line, the error.
 */
#include "ctl/check.h"
#include "ctl/command.h"
#include "ctl/progress.h"
#include "ctl/rrlist.h"
#include "ctl/store.h"
#include "ctl/text.h"
#include "ctl/zonefile.h"
#include "dns/name.h"
#include "dns/protocol.h"

#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WARNINGS_MAX 20 /* that are shown; the rest is counted */

/* A zone that this call has imported, and from where: a node of a search(3) tree. */
struct imported_zone {
	const char *path; /* of argv */
	char apex[];
};

struct import {
	struct storage *storage;
	const struct options *options;
	uint8_t origin_octets[DNS_NAME_MAX];
	const uint8_t *origin; /* of --origin, or NULL */
	bool in_transaction;
	void *zones; /* tree of struct imported_zone */
	struct store_writer writer;
	struct progress progress;
	uint64_t bytes_total; /* of all files */
	uint64_t bytes_done;  /* of the files before this one */
	uint64_t bytes_file;  /* of this one */
	uint64_t record_count;
	uint64_t zone_count;
	char *warnings[WARNINGS_MAX];
	size_t warning_count;
	struct rrlist list; /* of the file at hand */
};

static void import_warn(struct import *import, const char *line)
{
	if (import->warning_count < WARNINGS_MAX)
		import->warnings[import->warning_count] = strdup(line);
	import->warning_count++;
}

static void import_warn_about(struct import *import, const struct rr *record, const char *message)
{
	char line[ZONEFILE_ERROR_MAX + DNS_NAME_TEXT_MAX], name[DNS_NAME_TEXT_MAX];
	dns_name_to_text(record->owner, name);
	snprintf(line, sizeof(line), "%s:%u: warning: %s %s", record->file, record->line, name,
		 message);
	import_warn(import, line);
}

static void import_print_warnings(const struct import *import)
{
	for (size_t i = 0; i < import->warning_count && i < WARNINGS_MAX; i++)
		if (import->warnings[i])
			text_warn("%s", import->warnings[i]);
	if (import->warning_count > WARNINGS_MAX)
		text_warn("godwitctl: %zu more warnings", import->warning_count - WARNINGS_MAX);
}

/* Prints a failure after what may be left of the progress bar. Always -1. */
static int import_fail(struct import *import, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int import_fail(struct import *import, const char *format, ...)
{
	char line[ZONEFILE_ERROR_MAX + CHECK_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	progress_clear(&import->progress);
	text_fail("%s", line);
	return -1;
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
	if (store_check_rdata(&import->writer, &rr, error, error_size))
		return -1;
	if (rrlist_add(&import->list, &rr)) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	import->bytes_file = record->bytes_read;
	progress_update(&import->progress, "reading", import->bytes_done + import->bytes_file,
			import->bytes_total, import->record_count + import->list.count);
	return 0;
}

static int import_fail_finding(struct import *import, const char *path,
			       const struct check_finding *finding)
{
	if (finding->record)
		return import_fail(import, "%s:%u: %s", finding->record->file,
				   finding->record->line, finding->text);
	return import_fail(import, "%s: %s", path, finding->text);
}

/* Sorts and checks the list. `*soa` receives a copy of the SOA record. 0, or -1 after a line. */
static int import_check(struct import *import, const char *path, struct rr *soa)
{
	struct check_finding finding;
	const struct rr *found = check_find_apex(&import->list, &finding);
	if (!found)
		return import_fail_finding(import, path, &finding);
	*soa = *found;
	if (rrlist_sort(&import->list))
		return import_fail(import, "%s: out of memory", path);
	rrlist_drop_duplicates(&import->list);
	if (check_names(&import->list, &finding))
		return import_fail_finding(import, path, &finding);
	return 0;
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
static int import_note_zone(struct import *import, const char *path, const char *apex,
			    const struct rr *soa)
{
	size_t size = strlen(apex) + 1;
	struct imported_zone *zone = malloc(sizeof(*zone) + size);
	if (!zone)
		return import_fail(import, "%s: out of memory", path);
	zone->path = path;
	memcpy(zone->apex, apex, size);
	struct imported_zone **node = tsearch(zone, &import->zones, compare_zones);
	if (!node) {
		free(zone);
		return import_fail(import, "%s: out of memory", path);
	}
	if (*node == zone)
		return 0;
	free(zone);
	return import_fail(import, "%s:%u: the zone %s was read from %s already: leave one out",
			   soa->file, soa->line, apex, (*node)->path);
}

/* Makes the zone in the store, or empties it. */
static int import_make_zone(struct import *import, const char *apex, const struct rr *soa)
{
	struct storage *storage = import->storage;
	int status = storage_zone_add(storage, apex);
	if (status == STORAGE_EXISTS && !(import->options->given & OPTION_REPLACE))
		return import_fail(import,
				   "%s:%u: the zone %s is in the store already: add --replace to "
				   "replace it",
				   soa->file, soa->line, apex);
	if (status == STORAGE_EXISTS)
		status = storage_zone_clear(storage, apex);
	if (status == STORAGE_OK)
		return 0;
	return import_fail(import, "godwitctl: %s", storage_error(storage));
}

static int import_write(struct import *import, const char *path, const struct rr *soa)
{
	const struct rrlist *list = &import->list;
	char apex[DNS_NAME_TEXT_MAX];
	text_store_name(soa->owner, apex);
	if (import_note_zone(import, path, apex, soa))
		return -1;
	if (!import->in_transaction && storage_begin(import->storage))
		return import_fail(import, "godwitctl: %s", storage_error(import->storage));
	import->in_transaction = true;
	if (import_make_zone(import, apex, soa))
		return -1;
	for (size_t i = 0; i < list->count;) {
		size_t count = rrlist_rrset_length(list, i);
		uint32_t ttl = rrlist_lowest_ttl(list, i, count);
		if (store_put_rrset(import->storage, &import->writer, apex, &list->records[i],
				    count, ttl))
			return import_fail(import, "%s", import->writer.error);
		i += count;
		/* Small zones are read and written too fast for a change of words. */
		if (list->count > 100000)
			progress_update(&import->progress, "writing", i, list->count, i);
	}
	return 0;
}

static int import_file(struct import *import, const char *path)
{
	const struct zonefile_sink sink = {
		.ctx = import,
		.record = import_add_record,
	};
	char error[ZONEFILE_ERROR_MAX + 512];
	struct rr soa = {0};

	if (zonefile_read(path, import->origin, &sink, error, sizeof(error)))
		return import_fail(import, "%s", error);
	if (import_check(import, path, &soa))
		return -1;
	import_look_for_oddities(import, &soa);
	if (import_write(import, path, &soa))
		return -1;
	import->record_count += import->list.count;
	import->zone_count++;
	import->bytes_done += import->bytes_file;
	import->bytes_file = 0;
	rrlist_clear(&import->list);
	return 0;
}

static void import_add_sizes(struct import *import, char **paths, size_t count)
{
	struct stat status;
	for (size_t i = 0; i < count; i++)
		if (stat(paths[i], &status) == 0)
			import->bytes_total += (uint64_t)status.st_size;
}

static void import_clear(struct import *import)
{
	for (size_t i = 0; i < import->warning_count && i < WARNINGS_MAX; i++)
		free(import->warnings[i]);
	tdestroy(import->zones, free);
	store_writer_clear(&import->writer);
	rrlist_clear(&import->list);
}

int command_zone_import(struct storage *storage, const struct options *options, char **words,
			size_t count)
{
	struct import import = {.storage = storage, .options = options};
	int code = EXIT_FAILURE;

	if (options->origin) {
		if (text_read_name(options->origin, "--origin", import.origin_octets))
			return EXIT_FAILURE;
		import.origin = import.origin_octets;
	}
	rrlist_init(&import.list);
	progress_init(&import.progress);
	import_add_sizes(&import, words, count);
	for (size_t i = 0; i < count; i++)
		if (import_file(&import, words[i]))
			goto end;
	progress_clear(&import.progress);
	if (storage_commit(storage)) {
		store_fail(storage);
		goto end;
	}
	import.in_transaction = false;
	import_print_warnings(&import);
	printf("imported %llu records in %llu zones\n", (unsigned long long)import.record_count,
	       (unsigned long long)import.zone_count);
	code = EXIT_SUCCESS;
end:
	if (import.in_transaction)
		storage_rollback(storage);
	import_clear(&import);
	return code;
}
