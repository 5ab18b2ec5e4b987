/*
 * One owner name in Redis: the key `dns:<name>` and the hash behind it.
 *
 *   dns:app1.example.com   A         192.0.2.7\n192.0.2.8      a field per type, one record a line
 *                          MX        10 mail.example.com.
 *                          ttl       60                        for all types of the name
 *                          ttl.MX    3600                      for one
 *
 * Field names in any case, "TYPE15" for "MX" as well; without a TTL it is 3600 seconds. Keys are in
 * one spelling only, the one that the driver writes: lower case, no trailing dot, the root ".", no
 * escape that is not needed; so that a name is one key. Others are reported with the right one.
 *
 * Octets come as they are: values may hold anything, NULs included. Pure but for memory. Any
 * thread.
 */
#ifndef GODWIT_STORAGE_REDIS_HASH_H
#define GODWIT_STORAGE_REDIS_HASH_H

#include "dns/name.h"
#include "storage/redis_table.h"
#include "storage/storage.h"

#define REDIS_TTL_DEFAULT 3600

/* A field of a hash. Neither text needs a NUL at its end. */
struct redis_field {
	const char *name;
	const char *value;
	size_t name_size;
	size_t value_size;
};

/* A key that was read. In an arena. */
struct redis_entry {
	struct redis_entry *next;
	const char *name; /* owner, as it crosses storage.h */
	size_t count;     /* of fields; 0: there is no such key, or it is no hash */
	bool stale;       /* it was read once more: another entry of the name counts */
	struct redis_field fields[];
};

/* What a key of the store is. */
enum redis_key {
	REDIS_KEY_NAME,    /* a name in the right spelling */
	REDIS_KEY_FOREIGN, /* does not begin with the prefix */
	REDIS_KEY_ODD,     /* a name that is written in another way */
	REDIS_KEY_BAD,     /* no domain name */
};

/*
 * Reads a key. `name` (DNS_NAME_TEXT_MAX octets) receives the owner name of a NAME, the right
 * spelling of an ODD one.
 */
enum redis_key redis_key_parse(const char *prefix, const char *key, size_t size, char *name);

/* Types are compared by number: 0 for what is none. */
uint16_t redis_field_type(const struct redis_field *field);
/* True for "ttl" and "ttl.TYPE". */
bool redis_field_is_ttl(const struct redis_field *field);
/* The type that a "ttl.TYPE" field is about; 0 for "ttl" itself and for what is none. */
uint16_t redis_field_ttl_type(const struct redis_field *field);
/* Seconds; false when the value is no number. What is too large is the largest TTL there is. */
bool redis_field_read_ttl(const struct redis_field *field, uint32_t *ttl);

/* True when the hash has an SOA: its name is the apex of a zone. */
bool redis_entry_is_apex(const struct redis_entry *entry);

/* Which of a hash's types belong to a zone. */
enum redis_part {
	REDIS_PART_ALL,
	REDIS_PART_APEX,       /* all but DS, which is the parent's (RFC 4035 section 2.4) */
	REDIS_PART_DELEGATION, /* NS and DS: what a zone has of a child zone's apex */
	REDIS_PART_NONE,       /* the name has nothing here any more */
};

/* Hashes on their way to a struct storage_name. Reused from name to name. Start with zeroes. */
struct redis_records {
	struct redis_arena arena; /* their strings */
	struct storage_record *list;
	size_t count;
	size_t capacity;
};

/*
 * Fills `name` with what the hash says about a zone; it points into `records`, `zone` and `entry`.
 * `prefix` is for the records' keys in log lines. False: out of memory.
 */
bool redis_records_make(struct redis_records *records, const char *prefix, const char *zone,
			const struct redis_entry *entry, enum redis_part part,
			struct storage_name *name);
void redis_records_clear(struct redis_records *records);

#endif
