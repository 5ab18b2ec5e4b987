/*
 * From what a store has under one owner name to the RRsets the mirror takes.
 *
 * Records are parsed, grouped by type, put into canonical order (RFC 4034 section 6.3) so that all
 * replicas give the same octets, and equal ones merged (RFC 2181 section 5). An RRset has one TTL:
 * the lowest (section 5.2). A record that makes no sense is left out and reported, its neighbours
 * stay:
 *
 *   - type or data that does not parse;
 *   - a second, different CNAME, DNAME or SOA: the first in the store's order is kept (RFC 2181
 *     section 10.1, RFC 6672 section 2.4);
 *   - an SOA below the zone's apex.
 *
 * A CNAME beside other data is served as stored, and reported. Not for the hot path. One thread at
 * a time per builder.
 */
#ifndef GODWIT_BACKEND_RRSETS_H
#define GODWIT_BACKEND_RRSETS_H

#include "backend/mirror.h"
#include "storage/storage.h"

#include <stdbool.h>
#include <stddef.h>

struct rrsets;

/* Where the builder says what it met. Both functions are needed. */
struct rrsets_report {
	void *ctx;
	/* A record was left out. */
	void (*rejected)(void *ctx, const struct storage_name *name,
			 const struct storage_record *record, const char *reason);
	/* The name is served, but something is odd about it. */
	void (*odd)(void *ctx, const struct storage_name *name, const char *what);
};

/* NULL when there is no memory. `report` is copied. */
struct rrsets *rrsets_create(const struct rrsets_report *report);
void rrsets_destroy(struct rrsets *rrsets);

/*
 * Builds a name's RRsets, by type in rising order, into `*out`; `at_apex` says that the name is its
 * zone's. Returns their number. They belong to the builder and live until its next call.
 */
size_t rrsets_build(struct rrsets *rrsets, const struct storage_name *name, bool at_apex,
		    const struct mirror_rrset_input **out);

#endif
