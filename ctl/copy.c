/*
 * godwitctl copy: zones from one store to another.
 *
 * The source is read zone by zone into a record list, as the backend would read it, and goes from
 * there the way of all zones (ctl/bulk.h): text becomes wire format and text again, so that what
 * the target gets is well-formed whatever the source was filled by. Parents come before their
 * children: where a store keeps one set of records for a name, as Redis does, a zone's own apex
 * then wins over what its parent has there.
 */
#include "ctl/bulk.h"
#include "ctl/command.h"
#include "ctl/text.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdlib.h>
#include <string.h>

struct copy {
	struct storage *from;
	struct bulk bulk;
	struct rrlist zones; /* to copy: of each record only the owner, an apex, means something */
	size_t zones_done;
	struct rrlist list; /* of the zone at hand */
	bool out_of_memory;
};

static int copy_note_zone(struct copy *copy, const uint8_t *apex)
{
	const struct rr zone = {.owner = apex, .rdata = apex, .type = DNS_TYPE_SOA};
	if (rrlist_add(&copy->zones, &zone) == 0)
		return 0;
	copy->out_of_memory = true;
	return -1;
}

/* Notes a zone of the source; called by storage_zone_list. */
static int copy_note_listed(void *ctx, const char *apex)
{
	struct copy *copy = ctx;
	uint8_t name[DNS_NAME_MAX];
	int size = dns_name_from_text(apex, strlen(apex), NULL, name);
	if (size > 0)
		return copy_note_zone(copy, name);
	bulk_warn(&copy->bulk, "godwitctl: warning: left out the zone %.300s: %s", apex,
		  dns_error_text(size));
	return 0;
}

/* Notes a zone that the command line names; it must be there. */
static int copy_note_named(struct copy *copy, const char *word)
{
	uint8_t name[DNS_NAME_MAX];
	char apex[DNS_NAME_TEXT_MAX];
	if (text_read_name(word, "zone", name))
		return -1;
	text_store_name(name, apex);
	int status = storage_zone_find(copy->from, apex);
	if (status == STORAGE_NOT_FOUND) {
		text_fail("godwitctl: the store to copy from has no zone %s: see godwitctl zone "
			  "list",
			  apex);
		return -1;
	}
	return status == STORAGE_OK ? copy_note_zone(copy, name) : store_fail(copy->from);
}

/* Finds out which zones to copy and brings them into order, parents first. */
static int copy_find_zones(struct copy *copy, char **words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (copy_note_named(copy, words[i]))
			return -1;
	if (count == 0 && storage_zone_list(copy->from, copy_note_listed, copy) &&
	    !copy->out_of_memory)
		return store_fail(copy->from);
	if (copy->out_of_memory || rrlist_sort(&copy->zones)) {
		text_fail("godwitctl: out of memory");
		return -1;
	}
	rrlist_drop_duplicates(&copy->zones);
	return 0;
}

static void copy_warn_skipped(void *ctx, const struct storage_name *name,
			      const struct storage_record *record, const char *reason)
{
	struct copy *copy = ctx;
	bulk_warn(&copy->bulk, "godwitctl: warning: left out %s: %.300s %.50s: %s", record->key,
		  name->owner, record->type, reason);
}

static void copy_show_progress(void *ctx)
{
	struct copy *copy = ctx;
	/* One zone is no bar: it would stand at 0 % to the end. */
	uint64_t total = copy->zones.count > 1 ? copy->zones.count : 0;
	progress_update(&copy->bulk.progress, "reading", copy->zones_done, total,
			copy->bulk.record_count + copy->list.count);
}

static bool is_outside(const struct rr *record, const void *apex)
{
	return !dns_name_is_within(record->owner, apex);
}

/* Leaves out what does not lie in the zone, as a backend does. */
static void copy_drop_outsiders(struct copy *copy, const uint8_t *apex)
{
	for (size_t i = 0; i < copy->list.count; i++) {
		const struct rr *record = &copy->list.records[i];
		char name[DNS_NAME_TEXT_MAX], type[DNS_TYPE_TEXT_MAX], zone[DNS_NAME_TEXT_MAX];
		if (!is_outside(record, apex))
			continue;
		dns_name_to_text(record->owner, name);
		dns_type_to_text(record->type, type);
		dns_name_to_text(apex, zone);
		bulk_warn(&copy->bulk, "godwitctl: warning: left out %s %s: not within its zone %s",
			  name, type, zone);
	}
	rrlist_remove(&copy->list, is_outside, apex);
}

static bool has_soa(const struct rrlist *list, const uint8_t *apex)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->records[i].type == DNS_TYPE_SOA &&
		    dns_name_equal(list->records[i].owner, apex))
			return true;
	return false;
}

static int copy_zone(struct copy *copy, const uint8_t *name)
{
	const struct store_listener listener = {
		.ctx = copy,
		.skipped = copy_warn_skipped,
		.added = copy_show_progress,
	};
	char apex[DNS_NAME_TEXT_MAX], place[DNS_NAME_TEXT_MAX + 32], error[STORE_ERROR_MAX];
	struct rr soa;

	text_store_name(name, apex);
	if (store_gather_zone(copy->from, apex, &copy->list, &listener, error))
		return bulk_fail(&copy->bulk, "%s", error);
	copy_drop_outsiders(copy, name);
	if (!has_soa(&copy->list, name))
		return bulk_fail(&copy->bulk,
				 "godwitctl: the zone %s has no SOA record at its apex, so nobody "
				 "serves it: give it one, or name the zones to copy",
				 apex);
	snprintf(place, sizeof(place), "godwitctl: zone %s", apex);
	if (bulk_check_zone(&copy->bulk, &copy->list, place, &soa) ||
	    bulk_write_zone(&copy->bulk, &copy->list, &soa))
		return -1;
	copy->zones_done++;
	rrlist_clear(&copy->list);
	return 0;
}

/* Copies between open stores. */
static int copy_all(struct copy *copy, char **words, size_t count)
{
	if (copy_find_zones(copy, words, count))
		return -1;
	for (size_t i = 0; i < copy->zones.count; i++)
		if (copy_zone(copy, copy->zones.records[i].owner))
			return -1;
	return bulk_commit(&copy->bulk);
}

/* Refuses what cannot be meant. */
static int copy_check_options(const struct options *options)
{
	if (!options->from || !options->to)
		return text_fail("godwitctl: copy needs both stores: --from URL --to URL");
	if (options->given & (OPTION_STORE | OPTION_PASSWORD_FILE))
		return text_fail("godwitctl: copy takes --from, --to and their password files "
				 "instead of --store and --password-file");
	if (strcmp(options->from, options->to) == 0)
		return text_fail("godwitctl: --from and --to are the same store");
	return 0;
}

int command_copy(struct storage *storage, const struct options *options, char **words, size_t count)
{
	struct copy copy = {0};
	struct storage *to = NULL;
	int code = EXIT_FAILURE;

	(void)storage;
	if (copy_check_options(options))
		return EXIT_FAILURE;
	copy.from = store_open(options->from, options->from_password_file, true);
	if (copy.from)
		to = store_open(options->to, options->to_password_file, false);
	if (!to)
		goto end;
	rrlist_init(&copy.zones);
	rrlist_init(&copy.list);
	bulk_init(&copy.bulk, to, options->given & OPTION_REPLACE);
	if (copy_all(&copy, words, count) == 0) {
		bulk_print_sum(&copy.bulk, "copied");
		code = EXIT_SUCCESS;
	}
	bulk_clear(&copy.bulk);
	rrlist_clear(&copy.list);
	rrlist_clear(&copy.zones);
end:
	storage_destroy(to);
	storage_destroy(copy.from);
	return code;
}
