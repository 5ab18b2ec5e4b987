/*
 * PowerDNS's way of keeping records in SQL rows, for all SQL drivers: `records(name, type, content,
 * ttl, prio)`, as its generic SQL back ends read and write them.
 *
 *  - names have no trailing dot, neither owners nor those in the content; the root is ".". Rows
 *    written by others may have one, and any case: it is taken off, the case made lower;
 *  - the preference of an MX and the priority of an SRV are in `prio`, not in the content. Rows
 *    with the whole data in the content are understood too: the number of fields decides;
 *  - a row without a TTL has 3600 seconds.
 *
 * Pure but for the memory of `struct powerdns_rows`. Any thread.
 */
#ifndef GODWIT_STORAGE_POWERDNS_H
#define GODWIT_STORAGE_POWERDNS_H

#include "storage/storage.h"

#define POWERDNS_TTL_DEFAULT 3600

/* One row as it stands in the table. Texts need no NUL at their end and may have some inside. */
struct powerdns_row {
	int64_t id;
	const char *type;
	size_t type_size;
	const char *content;
	size_t content_size;
	int64_t ttl; /* seconds; outside of what a TTL can be, the nearest that can */
	int64_t prio;
};

/* Rows of one owner name on their way to a struct storage_name. Reused from name to name. */
struct powerdns_rows {
	char *text; /* all strings, one after the other; the owner first */
	size_t text_size;
	size_t text_capacity;
	struct powerdns_rows_offsets *offsets; /* of each record's strings in `text` */
	struct storage_record *records;
	size_t count;
	size_t capacity;
};

/* Starts with zeroes; frees what the rows own. */
void powerdns_rows_clear(struct powerdns_rows *rows);

/* Begins the name written `owner` in the table. False: out of memory. */
bool powerdns_rows_start(struct powerdns_rows *rows, const char *owner, size_t owner_size);

/* True when `owner` is a spelling (case, trailing dot) of the name last begun. */
bool powerdns_rows_match(const struct powerdns_rows *rows, const char *owner, size_t owner_size);

/* Adds a row. False: out of memory. */
bool powerdns_rows_add(struct powerdns_rows *rows, const struct powerdns_row *row);

/* Fills `name` with what was added; it points into `rows` and `zone`. */
void powerdns_rows_finish(struct powerdns_rows *rows, const char *zone, struct storage_name *name);

/* A name of a table as text that crosses storage.h; malloc'ed. NULL: out of memory. */
char *powerdns_name_dup(const char *name, size_t size);

/*
 * Splits presentation form into what PowerDNS's columns hold: the data, without trailing dots of
 * names, into `content` (strlen(text) + 1 octets), and the number for `prio`, or -1 for NULL.
 */
void powerdns_content_split(const char *type, const char *text, char *content, int32_t *prio);

/*
 * True when the name is not written as Godwit would write it ("\097" for "a"): rows of one name
 * may then differ in more than case and a trailing dot, and looking up by text cannot find them
 * all.
 */
bool powerdns_name_is_odd(const char *name);

/*
 * Both ways to write a type: its mnemonic, which is what rows get, and "TYPEn" (RFC 3597); both
 * DNS_TYPE_TEXT_MAX octets. A type that is neither stays as it is.
 */
void powerdns_type_spellings(const char *type, char *mnemonic, char *generic);

#endif
