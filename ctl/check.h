/*
 * What breaks DNS: the checks of records that make a zone, the same for a file and for a change of
 * one name. Only what no server could answer from sensibly is refused; what is merely unusual
 * (data below a delegation or a DNAME, no NS at the apex, targets without address) is not.
 *
 * Pure; any thread.
 */
#ifndef GODWIT_CTL_CHECK_H
#define GODWIT_CTL_CHECK_H

#include "ctl/rrlist.h"

#define CHECK_TEXT_MAX 1400 /* octets of a finding: a name and a sentence */

/* What is wrong, for a person, and where. */
struct check_finding {
	const struct rr *record; /* that should not be there; NULL: none in particular */
	char text[CHECK_TEXT_MAX];
};

/*
 * Checks that all records lie within a zone and finds the zone: the owner of the first SOA. The
 * list is in the order of the file, so the first record that is wrong is found. Returns the SOA, or
 * NULL with the finding: no SOA, an SOA at another name, an owner out of the zone.
 */
const struct rr *check_find_apex(const struct rrlist *list, struct check_finding *finding);

/*
 * Checks the `count` records of one owner name, sorted and without duplicates: no CNAME beside
 * other data (RFC 1034 section 3.6.2; but for what RFC 4035 section 2.5 allows), one CNAME,
 * one DNAME (RFC 6672 section 2.4), one SOA. 0, or -1 with the finding.
 */
int check_name(const struct rr *records, size_t count, struct check_finding *finding);

/* check_name for all names of a sorted list. */
int check_names(const struct rrlist *list, struct check_finding *finding);

#endif
