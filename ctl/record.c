/*
 * godwitctl record set, add and delete: one RRset changed, in one transaction with the zone's
 * serial.
 *
 * All three are the same steps: read what the name has, make the RRset as it shall be, check the
 * name as a whole, write the RRset, raise the serial. Nothing is written when nothing changes.
 */
#include "ctl/check.h"
#include "ctl/command.h"
#include "ctl/rrlist.h"
#include "ctl/serial.h"
#include "ctl/store.h"
#include "ctl/text.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_TTL 3600 /* seconds */

enum edit_kind { EDIT_SET, EDIT_ADD, EDIT_DELETE };

struct edit {
	struct storage *storage;
	const struct options *options;
	enum edit_kind kind;
	uint8_t name[DNS_NAME_MAX];
	uint16_t type;
	char type_text[DNS_TYPE_TEXT_MAX];
	char apex[DNS_NAME_TEXT_MAX]; /* as the store has it */
	uint8_t apex_name[DNS_NAME_MAX];
	struct rrlist before; /* what the name has */
	struct rrlist given;  /* what the command line says */
	struct rrlist after;  /* what the name shall have */
	size_t unreadable;    /* records of this name and type that do not parse */
	struct store_writer writer;
	uint8_t rdata[DNS_RDATA_MAX];
};

static void edit_note_unreadable(void *ctx, const struct storage_name *name,
				 const struct storage_record *record, const char *reason)
{
	struct edit *edit = ctx;
	(void)name, (void)reason;
	if (dns_type_from_text(record->type) == edit->type)
		edit->unreadable++;
}

/*
 * Outside of quotes these have a meaning in a master file, where a comment or a line ends there; in
 * an argument they can only be text that somebody forgot to quote, and must not be lost silently.
 */
static int edit_check_quoting(const struct edit *edit, const char *data)
{
	bool quoted = false;
	for (const char *p = data; *p; p++) {
		if (*p == '\\' && p[1]) {
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (!quoted && strchr(";()\n", *p)) {
			text_fail("godwitctl: %s data \"%.300s\": put text with \"%c\" in it into "
				  "double quotes, inside those of the shell",
				  edit->type_text, data, *p);
			return -1;
		}
	}
	return 0;
}

/* Reads one DATA argument into `given`. */
static int edit_read_data(struct edit *edit, const char *data)
{
	char reason[256];
	if (edit_check_quoting(edit, data))
		return -1;
	int size = dns_rdata_from_text(edit->type, data, NULL, edit->rdata, sizeof(edit->rdata),
				       reason, sizeof(reason));
	struct rr rr = {
		.owner = edit->name,
		.rdata = edit->rdata,
		.rdata_size = (uint16_t)size,
		.type = edit->type,
	};
	if (size < 0 || store_check_rdata(&edit->writer, &rr, reason, sizeof(reason))) {
		text_fail(
			"godwitctl: %s data \"%.300s\": %s (one argument is one record: quote it)",
			edit->type_text, data, reason);
		return -1;
	}
	if (rrlist_add(&edit->given, &rr)) {
		text_fail("godwitctl: out of memory");
		return -1;
	}
	return 0;
}

/* Reads NAME TYPE DATA... into `name`, `type` and `given`. */
static int edit_read_words(struct edit *edit, char **words, size_t count)
{
	int type = dns_type_from_text(words[1]);
	if (text_read_name(words[0], "name", edit->name))
		return -1;
	if (type < 0 || !dns_type_is_data((uint16_t)type)) {
		text_fail("godwitctl: %.50s is not a type of records: A, AAAA, TXT, ... or "
			  "TYPE65280",
			  words[1]);
		return -1;
	}
	edit->type = (uint16_t)type;
	dns_type_to_text(edit->type, edit->type_text);
	for (size_t i = 2; i < count; i++)
		if (edit_read_data(edit, words[i]))
			return -1;
	return 0;
}

/* Finds the zone and reads what the name has in it. Inside the transaction. */
static int edit_read_store(struct edit *edit)
{
	if (store_find_zone(edit->storage, edit->name, edit->type, edit->apex))
		return -1;
	if (text_read_name(edit->apex, "zone", edit->apex_name))
		return -1;
	if (store_read_name(edit->storage, edit->apex, edit->name, &edit->before,
			    edit_note_unreadable, edit))
		return -1;
	if (edit->unreadable > 0 && edit->kind != EDIT_SET) {
		text_fail("godwitctl: %s has %s records that do not parse: replace them all with "
			  "record set",
			  edit->apex, edit->type_text);
		return -1;
	}
	return 0;
}

static bool list_has(const struct rrlist *list, const struct rr *record)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->records[i].type == record->type &&
		    rr_compare_rdata(&list->records[i], record) == 0)
			return true;
	return false;
}

/* The TTL of the RRset as it shall be: as given, or as it is, or the default. */
static uint32_t edit_ttl(const struct edit *edit)
{
	uint32_t ttl = UINT32_MAX;
	if (edit->options->given & OPTION_TTL)
		return edit->options->ttl;
	for (size_t i = 0; i < edit->before.count; i++)
		if (edit->before.records[i].type == edit->type && edit->before.records[i].ttl < ttl)
			ttl = edit->before.records[i].ttl;
	return ttl == UINT32_MAX ? DEFAULT_TTL : ttl;
}

/* True when the record as it is now stays. */
static bool edit_keeps(const struct edit *edit, const struct rr *record)
{
	if (record->type != edit->type || edit->kind == EDIT_ADD)
		return true;
	if (edit->kind == EDIT_SET || edit->given.count == 0)
		return false;
	return !list_has(&edit->given, record);
}

/* Makes `after` out of `before` and `given`, sorted. */
static int edit_make_after(struct edit *edit)
{
	uint32_t ttl = edit_ttl(edit);
	int status = 0;
	for (size_t i = 0; i < edit->before.count && !status; i++) {
		struct rr record = edit->before.records[i];
		if (!edit_keeps(edit, &record))
			continue;
		if (record.type == edit->type)
			record.ttl = ttl;
		status = rrlist_add(&edit->after, &record);
	}
	for (size_t i = 0; edit->kind != EDIT_DELETE && i < edit->given.count && !status; i++) {
		struct rr record = edit->given.records[i];
		record.ttl = ttl;
		status = rrlist_add(&edit->after, &record);
	}
	if (status == 0)
		status = rrlist_sort(&edit->after);
	if (status)
		text_fail("godwitctl: out of memory");
	else
		rrlist_drop_duplicates(&edit->after);
	return status;
}

/* Every record to be deleted must be there: a typing error should not look like success. */
static int edit_check_deletion(const struct edit *edit, char **words)
{
	bool any = edit->unreadable > 0;
	for (size_t i = 0; i < edit->before.count; i++)
		any = any || edit->before.records[i].type == edit->type;
	if (!any) {
		text_fail("godwitctl: %s has no %s records: nothing to delete", words[0],
			  edit->type_text);
		return -1;
	}
	for (size_t i = 0; i < edit->given.count; i++) {
		if (list_has(&edit->before, &edit->given.records[i]))
			continue;
		text_fail("godwitctl: %s has no %s record \"%.300s\": see godwitctl record list %s",
			  words[0], edit->type_text, words[2 + i], words[0]);
		return -1;
	}
	return 0;
}

/* Refuses what would break the zone. */
static int edit_check(const struct edit *edit)
{
	struct check_finding finding;
	bool at_apex = dns_name_equal(edit->name, edit->apex_name);
	bool has_soa = edit->after.count > 0 && edit->after.records[0].type == DNS_TYPE_SOA;
	if (edit->type == DNS_TYPE_SOA && !at_apex) {
		text_fail("godwitctl: an SOA record belongs at a zone's apex: make a zone of the "
			  "name with godwitctl zone add");
		return -1;
	}
	if (edit->type == DNS_TYPE_SOA && !has_soa) {
		text_fail("godwitctl: the SOA record must stay: replace it with record set, or "
			  "delete the zone with godwitctl zone delete");
		return -1;
	}
	if (check_name(edit->after.records, edit->after.count, &finding) == 0)
		return 0;
	text_fail("godwitctl: %s", finding.text);
	return -1;
}

static bool edit_changes(const struct edit *edit)
{
	if (edit->unreadable > 0 || edit->before.count != edit->after.count)
		return true;
	for (size_t i = 0; i < edit->before.count; i++) {
		const struct rr *a = &edit->before.records[i], *b = &edit->after.records[i];
		if (a->type != b->type || a->ttl != b->ttl || rr_compare_rdata(a, b) != 0)
			return true;
	}
	return false;
}

/* Writes `count` records of one name and type. */
static int edit_put(struct edit *edit, const struct rr *records, size_t count)
{
	if (store_put_rrset(edit->storage, &edit->writer, edit->apex, records, count,
			    records->ttl) == 0)
		return 0;
	text_fail("%s", edit->writer.error);
	return -1;
}

/* Writes the RRset as it shall be, or deletes it when nothing of it is left. */
static int edit_write(struct edit *edit)
{
	const struct rrlist *after = &edit->after;
	for (size_t i = 0; i < after->count;) {
		size_t count = rrlist_rrset_length(after, i);
		if (after->records[i].type == edit->type)
			return edit_put(edit, &after->records[i], count);
		i += count;
	}
	char owner[DNS_NAME_TEXT_MAX];
	text_store_name(edit->name, owner);
	if (storage_rrset_delete(edit->storage, edit->apex, owner, edit->type_text))
		return store_fail(edit->storage);
	return 0;
}

static int edit_raise_serial(struct edit *edit)
{
	enum serial_result result = serial_raise(edit->storage, &edit->writer, edit->apex);
	if (result == SERIAL_FAILED) {
		text_fail("%s", edit->writer.error);
		return -1;
	}
	if (result == SERIAL_NO_SOA)
		text_warn("godwitctl: warning: the zone %s has no SOA record and is not served: "
			  "add one with record set",
			  edit->apex);
	return 0;
}

/* All that happens inside the transaction. */
static int edit_apply(struct edit *edit, char **words)
{
	if (edit_read_store(edit))
		return -1;
	if (edit->kind == EDIT_DELETE && edit_check_deletion(edit, words))
		return -1;
	if (rrlist_sort(&edit->before)) {
		text_fail("godwitctl: out of memory");
		return -1;
	}
	if (edit_make_after(edit) || edit_check(edit))
		return -1;
	if (!edit_changes(edit))
		return 0;
	if (edit_write(edit))
		return -1;
	return edit->type == DNS_TYPE_SOA ? 0 : edit_raise_serial(edit);
}

static int edit_run(enum edit_kind kind, struct storage *storage, const struct options *options,
		    char **words, size_t count)
{
	int code = EXIT_FAILURE;
	struct edit *edit = calloc(1, sizeof(*edit));
	if (!edit)
		return text_fail("godwitctl: out of memory");
	edit->storage = storage;
	edit->options = options;
	edit->kind = kind;
	if (edit_read_words(edit, words, count))
		goto end;
	if (storage_begin(storage)) {
		store_fail(storage);
		goto end;
	}
	if (edit_apply(edit, words) == 0) {
		if (storage_commit(storage) == STORAGE_OK)
			code = EXIT_SUCCESS;
		else
			store_fail(storage);
	}
	if (code)
		storage_rollback(storage);
end:
	rrlist_clear(&edit->before);
	rrlist_clear(&edit->given);
	rrlist_clear(&edit->after);
	store_writer_clear(&edit->writer);
	free(edit);
	return code;
}

int command_record_set(struct storage *storage, const struct options *options, char **words,
		       size_t count)
{
	return edit_run(EDIT_SET, storage, options, words, count);
}

int command_record_add(struct storage *storage, const struct options *options, char **words,
		       size_t count)
{
	return edit_run(EDIT_ADD, storage, options, words, count);
}

int command_record_delete(struct storage *storage, const struct options *options, char **words,
			  size_t count)
{
	return edit_run(EDIT_DELETE, storage, options, words, count);
}
