/*
 * Many zones into a store at once: what zone import and copy have in common.
 *
 * Zones come one after the other as record lists; each is checked and written before the next is
 * read, so memory is that of the largest zone. One transaction holds them all: it begins with the
 * first write and ends with bulk_commit; bulk_clear takes back what was not committed. What is odd
 * but no error is kept until then: a command that fails says one line, the error.
 *
 * One thread. Functions that fail have printed their line and return -1.
 */
#ifndef GODWIT_CTL_BULK_H
#define GODWIT_CTL_BULK_H

#include "ctl/progress.h"
#include "ctl/rrlist.h"
#include "ctl/store.h"

#define BULK_WARNINGS_MAX 20 /* that are shown; the rest is counted */

struct bulk {
	struct storage *storage; /* to write to: the caller's */
	bool replace;            /* zones that are there already; else they are an error */
	bool in_transaction;
	struct store_writer writer;
	struct progress progress;
	uint64_t record_count; /* written so far */
	uint64_t zone_count;
	char *warnings[BULK_WARNINGS_MAX];
	size_t warning_count;
};

void bulk_init(struct bulk *bulk, struct storage *storage, bool replace);
/* Rolls back what was not committed and frees. */
void bulk_clear(struct bulk *bulk);

/* Prints a failure after what may be left of the progress bar. Always -1. */
int bulk_fail(struct bulk *bulk, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps a line to be printed after the commit. */
void bulk_warn(struct bulk *bulk, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Brings a zone's records into order, without duplicates, and checks them (ctl/check.h). `place` is
 * named where the record to blame has no file. `*soa` receives the SOA record, which lives as long
 * as the list.
 */
int bulk_check_zone(struct bulk *bulk, struct rrlist *list, const char *place, struct rr *soa);

/* Writes a checked zone, whose name is the SOA's owner; every RRset with its lowest TTL. */
int bulk_write_zone(struct bulk *bulk, const struct rrlist *list, const struct rr *soa);

/* Makes it all last; then prints the warnings. */
int bulk_commit(struct bulk *bulk);

/* Prints what came of it: "imported 6 records in 1 zone". */
void bulk_print_sum(const struct bulk *bulk, const char *done);

#endif
