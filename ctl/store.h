/*
 * Between a record store, which holds text, and record lists, which hold wire format. Functions
 * that fail have printed their line (text_fail) and return -1, so that commands just go home.
 */
#ifndef GODWIT_CTL_STORE_H
#define GODWIT_CTL_STORE_H

#include "ctl/rrlist.h"
#include "storage/storage.h"

#define STORE_ERROR_MAX 1024 /* octets of an error line */

/* Prints what the store's last failed call met. Always -1. */
int store_fail(const struct storage *storage);

/* The kinds of stores there are, for help and errors. */
#define STORE_URLS "sqlite:FILE, redis://HOST:PORT/DB or mysql://USER@HOST:PORT/DATABASE"

/*
 * Makes a store (storage_create) without touching it; store_open opens it too. NULL after a line.
 */
struct storage *store_create(const char *url, const char *password_file, bool read_only);
struct storage *store_open(const char *url, const char *password_file, bool read_only);

/* Told of a stored record that does not parse and is therefore left out. */
typedef void (*store_skip_fn)(void *ctx, const struct storage_name *name,
			      const struct storage_record *record, const char *reason);

/* A store_skip_fn that prints a warning with the record's key. */
void store_warn_skipped(void *ctx, const struct storage_name *name,
			const struct storage_record *record, const char *reason);

/* Who is told what a zone is made of while it is read. */
struct store_listener {
	void *ctx;
	store_skip_fn skipped;
	void (*added)(void *ctx); /* a record; NULL: not wanted */
};

/*
 * Adds a zone's records to `list`; `apex` as the store has it. Not sorted. Prints nothing: -1 with
 * the line in `error` (STORE_ERROR_MAX octets).
 */
int store_gather_zone(struct storage *storage, const char *apex, struct rrlist *list,
		      const struct store_listener *listener, char *error);

/* The same for the records of one owner name of the zone; none at all is no failure. */
int store_gather_name(struct storage *storage, const char *apex, const uint8_t *owner,
		      struct rrlist *list, const struct store_listener *listener, char *error);

/* Both, but they print their line. */
int store_read_zone(struct storage *storage, const char *apex, struct rrlist *list,
		    store_skip_fn skip, void *ctx);
int store_read_name(struct storage *storage, const char *apex, const uint8_t *owner,
		    struct rrlist *list, store_skip_fn skip, void *ctx);

/*
 * The zone that `name` belongs to, as the store has it, into `apex` (DNS_NAME_TEXT_MAX octets).
 * What is at a zone's apex belongs to it, but for DS, which belongs to the parent (RFC 4035
 * section 2.4).
 */
int store_find_zone(struct storage *storage, const uint8_t *name, uint16_t type, char *apex);

/* Writes RRsets; keeps its buffers from one to the next. Zero-initialise. */
struct store_writer {
	char *text;
	size_t text_capacity;
	size_t *offsets;
	const char **contents;
	size_t capacity;
	uint8_t *rdata;              /* DNS_RDATA_MAX octets, for store_check_rdata */
	char error[STORE_ERROR_MAX]; /* the whole line about the last failure */
};

void store_writer_clear(struct store_writer *writer);

/*
 * Checks that a record comes out of a store as it went in: its data, written as text, must be read
 * back as the same octets. libldns takes some malformed data that it then writes in part; the
 * backend would leave out such a record. 0, or -1 with a reason without a place in `error`
 * (`error_size` octets).
 */
int store_check_rdata(struct store_writer *writer, const struct rr *record, char *error,
		      size_t error_size);

/*
 * Writes the `count` records, all of one owner name and type, as that RRset with the TTL. Inside a
 * transaction. Prints nothing: -1 with the line in `writer->error`, so that who draws on the
 * terminal can tidy it first.
 */
int store_put_rrset(struct storage *storage, struct store_writer *writer, const char *apex,
		    const struct rr *records, size_t count, uint32_t ttl);

/*
 * Writes a record's data as text into `*text`, which grows as needed (`*capacity` octets, from
 * malloc, may be NULL at first), from `offset` on. Returns its length, or -1 with the line in
 * `error`, STORE_ERROR_MAX octets.
 */
int store_format_rdata(const struct rr *record, char **text, size_t *capacity, size_t offset,
		       char *error);

#endif
