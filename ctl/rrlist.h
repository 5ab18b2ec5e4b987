/*
 * Records in memory, as zone import, zone export and record set hold them: gathered one by one,
 * then sorted so that names stand in canonical order (RFC 4034 section 6.1), the records of a name
 * by type, and those of an RRset together. One thread at a time per list.
 */
#ifndef GODWIT_CTL_RRLIST_H
#define GODWIT_CTL_RRLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One record. What it points to lives as long as the list. */
struct rr {
	const uint8_t *owner; /* wire format, lower case */
	const uint8_t *rdata; /* wire format */
	const char *file;     /* where it was read, NULL for a record of the store */
	uint32_t line;
	uint32_t ttl; /* seconds */
	uint16_t rdata_size;
	uint16_t type;
};

struct rrlist_chunk;

struct rrlist {
	struct rr *records;
	size_t count;
	size_t capacity;
	struct rrlist_chunk *chunks; /* what records point to */
	const char *last_file;
};

void rrlist_init(struct rrlist *list);
/* Frees all; the list may be used again. */
void rrlist_clear(struct rrlist *list);

/*
 * Adds a copy of `record`, owner in any case: all that it points to is copied too. Returns 0, or -1
 * when there is no memory.
 */
int rrlist_add(struct rrlist *list, const struct rr *record);

/* Takes away the records for which `match` is true; the others keep their order. */
void rrlist_remove(struct rrlist *list, bool (*match)(const struct rr *record, const void *ctx),
		   const void *ctx);

/*
 * Sorts, stable: equal records stay in the order they were added. SOA comes before other types.
 * Without memory for it the order stays as it was and -1 comes back.
 */
int rrlist_sort(struct rrlist *list);

/* Drops all but the first of equal records of a sorted list; returns how many were dropped. */
size_t rrlist_drop_duplicates(struct rrlist *list);

/*
 * Number of records from `first` on with its owner name, and with its owner name and type: sorted.
 */
size_t rrlist_name_length(const struct rrlist *list, size_t first);
size_t rrlist_rrset_length(const struct rrlist *list, size_t first);

/* The lowest TTL of `count` records from `first` on: the RRset's (RFC 2181 section 5.2). */
uint32_t rrlist_lowest_ttl(const struct rrlist *list, size_t first, size_t count);

/* Order of two names in the canonical sense; 0 for the same name. Both in lower case. */
int rr_compare_owner(const uint8_t *a, const uint8_t *b);

/* Order of the data of two records of one type; 0 for the same, names compared without case. */
int rr_compare_rdata(const struct rr *a, const struct rr *b);

#endif
