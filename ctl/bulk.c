#include "ctl/bulk.h"

#include "ctl/check.h"
#include "ctl/text.h"
#include "dns/name.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 4096 /* of a failure or a warning: a path, a name and a sentence */

/* Small zones are written too fast for a bar of their own. */
#define PROGRESS_RECORDS_MIN 100000

void bulk_init(struct bulk *bulk, struct storage *storage, bool replace)
{
	memset(bulk, 0, sizeof(*bulk));
	bulk->storage = storage;
	bulk->replace = replace;
	progress_init(&bulk->progress);
}

void bulk_clear(struct bulk *bulk)
{
	progress_clear(&bulk->progress);
	if (bulk->in_transaction)
		storage_rollback(bulk->storage);
	for (size_t i = 0; i < bulk->warning_count && i < BULK_WARNINGS_MAX; i++)
		free(bulk->warnings[i]);
	store_writer_clear(&bulk->writer);
	memset(bulk, 0, sizeof(*bulk));
}

int bulk_fail(struct bulk *bulk, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	progress_clear(&bulk->progress);
	text_fail("%s", line);
	return -1;
}

void bulk_warn(struct bulk *bulk, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;
	if (bulk->warning_count++ >= BULK_WARNINGS_MAX)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	bulk->warnings[bulk->warning_count - 1] = strdup(line);
}

static int bulk_fail_finding(struct bulk *bulk, const char *place,
			     const struct check_finding *finding)
{
	const struct rr *record = finding->record;
	if (record && record->file)
		return bulk_fail(bulk, "%s:%u: %s", record->file, record->line, finding->text);
	return bulk_fail(bulk, "%s: %s", place, finding->text);
}

int bulk_check_zone(struct bulk *bulk, struct rrlist *list, const char *place, struct rr *soa)
{
	struct check_finding finding;
	const struct rr *found = check_find_apex(list, &finding);
	if (!found)
		return bulk_fail_finding(bulk, place, &finding);
	*soa = *found;
	if (rrlist_sort(list))
		return bulk_fail(bulk, "%s: out of memory", place);
	rrlist_drop_duplicates(list);
	if (check_names(list, &finding))
		return bulk_fail_finding(bulk, place, &finding);
	return 0;
}

/* Makes the zone in the store, or empties it. */
static int bulk_make_zone(struct bulk *bulk, const char *apex, const struct rr *soa)
{
	int status = storage_zone_add(bulk->storage, apex);
	if (status == STORAGE_EXISTS && bulk->replace)
		status = storage_zone_clear(bulk->storage, apex);
	if (status == STORAGE_OK)
		return 0;
	if (status != STORAGE_EXISTS)
		return bulk_fail(bulk, "godwitctl: %s", storage_error(bulk->storage));
	struct check_finding finding = {.record = soa};
	snprintf(finding.text, sizeof(finding.text),
		 "the zone %s is in the store already: add --replace to replace it", apex);
	return bulk_fail_finding(bulk, "godwitctl", &finding);
}

int bulk_write_zone(struct bulk *bulk, const struct rrlist *list, const struct rr *soa)
{
	char apex[DNS_NAME_TEXT_MAX];
	text_store_name(soa->owner, apex);
	if (!bulk->in_transaction && storage_begin(bulk->storage))
		return bulk_fail(bulk, "godwitctl: %s", storage_error(bulk->storage));
	bulk->in_transaction = true;
	if (bulk_make_zone(bulk, apex, soa))
		return -1;
	for (size_t i = 0; i < list->count;) {
		size_t count = rrlist_rrset_length(list, i);
		uint32_t ttl = rrlist_lowest_ttl(list, i, count);
		if (store_put_rrset(bulk->storage, &bulk->writer, apex, &list->records[i], count,
				    ttl))
			return bulk_fail(bulk, "%s", bulk->writer.error);
		i += count;
		if (list->count > PROGRESS_RECORDS_MIN)
			progress_update(&bulk->progress, "writing", i, list->count,
					bulk->record_count + i);
	}
	bulk->record_count += list->count;
	bulk->zone_count++;
	return 0;
}

static void bulk_print_warnings(const struct bulk *bulk)
{
	for (size_t i = 0; i < bulk->warning_count && i < BULK_WARNINGS_MAX; i++)
		if (bulk->warnings[i])
			text_warn("%s", bulk->warnings[i]);
	if (bulk->warning_count > BULK_WARNINGS_MAX)
		text_warn("godwitctl: %zu more warnings", bulk->warning_count - BULK_WARNINGS_MAX);
}

int bulk_commit(struct bulk *bulk)
{
	if (bulk->record_count > PROGRESS_RECORDS_MIN)
		progress_say(&bulk->progress, "committing");
	if (bulk->in_transaction && storage_commit(bulk->storage))
		return bulk_fail(bulk, "godwitctl: %s", storage_error(bulk->storage));
	bulk->in_transaction = false;
	progress_clear(&bulk->progress);
	bulk_print_warnings(bulk);
	return 0;
}

void bulk_print_sum(const struct bulk *bulk, const char *done)
{
	printf("%s %llu %s in %llu %s\n", done, (unsigned long long)bulk->record_count,
	       bulk->record_count == 1 ? "record" : "records", (unsigned long long)bulk->zone_count,
	       bulk->zone_count == 1 ? "zone" : "zones");
}
