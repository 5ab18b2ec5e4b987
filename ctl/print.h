/* Records as text, one line each. Borrows everything; one thread. */
#ifndef GODWIT_CTL_PRINT_H
#define GODWIT_CTL_PRINT_H

#include "ctl/rrlist.h"

/*
 * Prints a sorted list as a master file for `apex` (RFC 1035 section 5): $ORIGIN, $TTL with the
 * SOA's TTL, owner names relative, columns aligned, data with absolute names. 0, or -1 after a line
 * on standard error.
 */
int print_zonefile(const struct rrlist *list, const uint8_t *apex);

/* Prints a sorted list with absolute owner names and all TTLs. */
int print_records(const struct rrlist *list);

/* Prints a JSON array of objects with name, type, ttl (seconds) and data. */
int print_json(const struct rrlist *list);

#endif
