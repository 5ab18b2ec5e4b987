#include "ctl/store.h"

#include "ctl/text.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"
#include "storage/record.h"

#include <stdlib.h>
#include <string.h>

/* Beyond any data's presentation form: 65535 octets of type bitmap are the longest of all. */
#define RDATA_TEXT_MAX (8 * 1024 * 1024)

struct reader {
	struct rrlist *list;
	const struct store_listener *listener;
	bool out_of_memory;
	uint8_t rdata[DNS_RDATA_MAX];
};

struct storage *store_create(const char *url, const char *password_file, bool read_only)
{
	const struct storage_options options = {
		.password_file = password_file,
		.read_only = read_only,
	};
	char error[512] = "";
	struct storage *storage = storage_create(url, &options, error, sizeof(error));
	if (!storage)
		text_fail("godwitctl: %s", error);
	return storage;
}

struct storage *store_open(const char *url, const char *password_file, bool read_only)
{
	struct storage *storage = store_create(url, password_file, read_only);
	if (storage && storage_open(storage)) {
		store_fail(storage);
		storage_destroy(storage);
		return NULL;
	}
	return storage;
}

int store_fail(const struct storage *storage)
{
	text_fail("godwitctl: %s", storage_error(storage));
	return -1;
}

void store_warn_skipped(void *ctx, const struct storage_name *name,
			const struct storage_record *record, const char *reason)
{
	(void)ctx;
	text_warn("godwitctl: warning: left out %s: %.300s %.50s: %s", record->key, name->owner,
		  record->type, reason);
}

/* Adds one record; -1 ends the read. */
static int reader_add_record(struct reader *reader, const struct storage_name *name,
			     const uint8_t *owner, const struct storage_record *record)
{
	const struct store_listener *listener = reader->listener;
	char reason[256];
	uint16_t type = 0;
	int size = storage_record_parse(record, &type, reader->rdata, DNS_RDATA_MAX, reason,
					sizeof(reason));
	if (size < 0) {
		listener->skipped(listener->ctx, name, record, reason);
		return 0;
	}
	struct rr rr = {
		.owner = owner,
		.rdata = reader->rdata,
		.rdata_size = (uint16_t)size,
		.type = type,
		.ttl = record->ttl,
	};
	if (rrlist_add(reader->list, &rr)) {
		reader->out_of_memory = true;
		return -1;
	}
	if (listener->added)
		listener->added(listener->ctx);
	return 0;
}

static int reader_add_name(void *ctx, const struct storage_name *name)
{
	struct reader *reader = ctx;
	const struct store_listener *listener = reader->listener;
	uint8_t owner[DNS_NAME_MAX];
	int error = dns_name_from_text(name->owner, strlen(name->owner), NULL, owner);

	for (size_t i = 0; i < name->count; i++) {
		const struct storage_record *record = &name->records[i];
		if (error < 0)
			listener->skipped(listener->ctx, name, record, dns_error_text(error));
		else if (reader_add_record(reader, name, owner, record))
			return -1;
	}
	return 0;
}

/* Reads a zone, or with `owner` one name of it. -1 with the line in `error`. */
static int store_read(struct storage *storage, const char *apex, const uint8_t *owner,
		      struct rrlist *list, const struct store_listener *listener, char *error)
{
	int status;
	struct reader *reader = calloc(1, sizeof(*reader));
	if (!reader) {
		snprintf(error, STORE_ERROR_MAX, "godwitctl: out of memory");
		return -1;
	}
	reader->list = list;
	reader->listener = listener;
	if (owner) {
		char name[DNS_NAME_TEXT_MAX];
		text_store_name(owner, name);
		status = storage_name_read(storage, apex, name, reader_add_name, reader);
	} else {
		status = storage_zone_read(storage, apex, reader_add_name, reader);
	}
	bool failed = reader->out_of_memory || status != STORAGE_OK;
	if (reader->out_of_memory)
		snprintf(error, STORE_ERROR_MAX, "godwitctl: out of memory");
	else if (status == STORAGE_NOT_FOUND && !owner)
		snprintf(error, STORE_ERROR_MAX,
			 "godwitctl: the store has no zone %.800s: see godwitctl zone list", apex);
	else if (failed)
		snprintf(error, STORE_ERROR_MAX, "godwitctl: %s", storage_error(storage));
	free(reader);
	return failed ? -1 : 0;
}

int store_gather_zone(struct storage *storage, const char *apex, struct rrlist *list,
		      const struct store_listener *listener, char *error)
{
	return store_read(storage, apex, NULL, list, listener, error);
}

int store_gather_name(struct storage *storage, const char *apex, const uint8_t *owner,
		      struct rrlist *list, const struct store_listener *listener, char *error)
{
	return store_read(storage, apex, owner, list, listener, error);
}

int store_read_zone(struct storage *storage, const char *apex, struct rrlist *list,
		    store_skip_fn skip, void *ctx)
{
	const struct store_listener listener = {.ctx = ctx, .skipped = skip};
	char error[STORE_ERROR_MAX];
	if (store_gather_zone(storage, apex, list, &listener, error) == 0)
		return 0;
	text_fail("%s", error);
	return -1;
}

int store_read_name(struct storage *storage, const char *apex, const uint8_t *owner,
		    struct rrlist *list, store_skip_fn skip, void *ctx)
{
	const struct store_listener listener = {.ctx = ctx, .skipped = skip};
	char error[STORE_ERROR_MAX];
	if (store_gather_name(storage, apex, owner, list, &listener, error) == 0)
		return 0;
	text_fail("%s", error);
	return -1;
}

int store_find_zone(struct storage *storage, const uint8_t *name, uint16_t type, char *apex)
{
	char text[DNS_NAME_TEXT_MAX];
	text_store_name(name, text);
	int status = STORAGE_NOT_FOUND;
	if (type == DNS_TYPE_DS && *name != 0)
		status = storage_zone_find_enclosing(storage, text, true, apex);
	else
		status = storage_zone_find_enclosing(storage, text, false, apex);
	if (status == STORAGE_OK)
		return 0;
	if (status != STORAGE_NOT_FOUND)
		return store_fail(storage);
	text_fail("godwitctl: no zone in the store for %s%s: add it with godwitctl zone add", text,
		  type == DNS_TYPE_DS ? " DS, which belongs to the parent zone" : "");
	return -1;
}

void store_writer_clear(struct store_writer *writer)
{
	free(writer->text);
	free(writer->offsets);
	free(writer->contents);
	free(writer->rdata);
	memset(writer, 0, sizeof(*writer));
}

/* Says which record cannot be written, by where it was read. */
static void store_note_unwritable(const struct rr *record, int reason, char *error)
{
	char place[STORE_ERROR_MAX / 2] = "godwitctl", type[DNS_TYPE_TEXT_MAX];
	if (record->file)
		snprintf(place, sizeof(place), "%s:%u", record->file, record->line);
	dns_type_to_text(record->type, type);
	snprintf(error, STORE_ERROR_MAX, "%s: %s data that cannot be written as text: %s", place,
		 type, dns_error_text(reason));
}

int store_format_rdata(const struct rr *record, char **text, size_t *capacity, size_t offset,
		       char *error)
{
	for (;;) {
		int length = DNS_ERROR_NO_SPACE;
		if (*capacity > offset)
			length = dns_rdata_to_text(record->type, record->rdata, record->rdata_size,
						   *text + offset, *capacity - offset);
		if (length >= 0)
			return length;
		if (length != DNS_ERROR_NO_SPACE || *capacity > offset + RDATA_TEXT_MAX) {
			store_note_unwritable(record, length, error);
			return -1;
		}
		size_t larger = *capacity ? *capacity * 2 : 4096;
		char *moved = realloc(*text, larger);
		if (!moved) {
			snprintf(error, STORE_ERROR_MAX, "godwitctl: out of memory");
			return -1;
		}
		*text = moved;
		*capacity = larger;
	}
}

/* Types whose data is read and written by dns/ itself, which cannot go wrong. */
static bool store_type_is_simple(uint16_t type)
{
	return type == DNS_TYPE_A || type == DNS_TYPE_AAAA || type == DNS_TYPE_NS ||
	       type == DNS_TYPE_CNAME || type == DNS_TYPE_PTR;
}

int store_check_rdata(struct store_writer *writer, const struct rr *record, char *error,
		      size_t error_size)
{
	char reason[256];
	if (store_type_is_simple(record->type))
		return 0;
	if (!writer->rdata)
		writer->rdata = malloc(DNS_RDATA_MAX);
	if (!writer->rdata) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	int length =
		store_format_rdata(record, &writer->text, &writer->text_capacity, 0, writer->error);
	if (length >= 0) {
		int size = dns_rdata_from_text(record->type, writer->text, NULL, writer->rdata,
					       DNS_RDATA_MAX, reason, sizeof(reason));
		if (size == record->rdata_size &&
		    memcmp(writer->rdata, record->rdata, record->rdata_size) == 0)
			return 0;
	}
	snprintf(error, error_size,
		 "data that would not come out of the store as it went in: "
		 "look for a field that is missing or wrong");
	return -1;
}

static int store_writer_reserve(struct store_writer *writer, size_t count)
{
	if (count <= writer->capacity)
		return 0;
	size_t *offsets = realloc(writer->offsets, count * sizeof(*offsets));
	if (offsets)
		writer->offsets = offsets;
	const char **contents = realloc(writer->contents, count * sizeof(*contents));
	if (contents)
		writer->contents = contents;
	if (!offsets || !contents) {
		snprintf(writer->error, sizeof(writer->error), "godwitctl: out of memory");
		return -1;
	}
	writer->capacity = count;
	return 0;
}

int store_put_rrset(struct storage *storage, struct store_writer *writer, const char *apex,
		    const struct rr *records, size_t count, uint32_t ttl)
{
	char owner[DNS_NAME_TEXT_MAX], type[DNS_TYPE_TEXT_MAX];
	size_t used = 0;

	if (store_writer_reserve(writer, count))
		return -1;
	for (size_t i = 0; i < count; i++) {
		int length = store_format_rdata(&records[i], &writer->text, &writer->text_capacity,
						used, writer->error);
		if (length < 0)
			return -1;
		writer->offsets[i] = used;
		used += (size_t)length + 1;
	}
	/* Only now does the text stay where it is. */
	for (size_t i = 0; i < count; i++)
		writer->contents[i] = writer->text + writer->offsets[i];
	text_store_name(records->owner, owner);
	dns_type_to_text(records->type, type);
	if (storage_rrset_put(storage, apex, owner, type, ttl, writer->contents, count) ==
	    STORAGE_OK)
		return 0;
	snprintf(writer->error, sizeof(writer->error), "godwitctl: %s", storage_error(storage));
	return -1;
}
