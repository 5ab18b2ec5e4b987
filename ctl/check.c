#include "ctl/check.h"

#include "dns/name.h"
#include "dns/protocol.h"

#include <stdio.h>
#include <string.h>

#define TYPE_KEY 25 /* of RFC 2535 */

/* Writes "NAME has ...: do ..." about `record`. Always -1. */
static int check_fail(struct check_finding *finding, const struct rr *record, const char *problem,
		      const struct rr *other)
{
	char name[DNS_NAME_TEXT_MAX], place[64] = "";
	dns_name_to_text(record->owner, name);
	if (other && other->file && record->file && strcmp(other->file, record->file) == 0)
		snprintf(place, sizeof(place), " (the other is on line %u)", other->line);
	finding->record = record;
	snprintf(finding->text, sizeof(finding->text), "%s has %s%s", name, problem, place);
	return -1;
}

const struct rr *check_find_apex(const struct rrlist *list, struct check_finding *finding)
{
	const struct rr *soa = NULL;
	for (size_t i = 0; i < list->count && !soa; i++)
		if (list->records[i].type == DNS_TYPE_SOA)
			soa = &list->records[i];
	if (!soa) {
		finding->record = NULL;
		snprintf(finding->text, sizeof(finding->text),
			 "no SOA record: a zone needs one, at its apex");
		return NULL;
	}
	for (size_t i = 0; i < list->count; i++) {
		const struct rr *record = &list->records[i];
		char name[DNS_NAME_TEXT_MAX], apex[DNS_NAME_TEXT_MAX];
		bool within = dns_name_is_within(record->owner, soa->owner);
		bool second =
			record->type == DNS_TYPE_SOA && !dns_name_equal(record->owner, soa->owner);
		if (within && !second)
			continue;
		finding->record = record;
		dns_name_to_text(record->owner, name);
		dns_name_to_text(soa->owner, apex);
		snprintf(finding->text, sizeof(finding->text),
			 second ? "%s has an SOA record, but the zone is %s: one file holds one "
				  "zone"
				: "%s is not within the zone %s: take it out, or look for a "
				  "missing or superfluous dot at its end",
			 name, apex);
		return NULL;
	}
	return soa;
}

/* Types that may stand beside a CNAME: all that RFC 4035 section 2.5 allows. */
static bool check_may_join_cname(uint16_t type)
{
	return type == DNS_TYPE_CNAME || type == DNS_TYPE_RRSIG || type == DNS_TYPE_NSEC ||
	       type == TYPE_KEY;
}

/* Of two records that cannot both stay, the one that came later is to blame. */
static int check_fail_pair(struct check_finding *finding, const struct rr *a, const struct rr *b,
			   const char *problem)
{
	bool a_later = a->line > b->line;
	return check_fail(finding, a_later ? a : b, problem, a_later ? b : a);
}

int check_name(const struct rr *records, size_t count, struct check_finding *finding)
{
	static const struct {
		uint16_t type;
		const char *problem;
	} singletons[] = {
		{DNS_TYPE_SOA, "two different SOA records: keep one"},
		{DNS_TYPE_CNAME, "two different CNAME records: keep one"},
		{DNS_TYPE_DNAME, "two different DNAME records: keep one"},
	};
	const struct rr *cname = NULL, *other = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct rr *record = &records[i];
		if (record->type == DNS_TYPE_CNAME)
			cname = record;
		else if (!check_may_join_cname(record->type) && !other)
			other = record;
		if (i == 0 || records[i - 1].type != record->type)
			continue;
		for (size_t s = 0; s < sizeof(singletons) / sizeof(singletons[0]); s++)
			if (singletons[s].type == record->type)
				return check_fail_pair(finding, &records[i - 1], record,
						       singletons[s].problem);
	}
	if (cname && other)
		return check_fail_pair(finding, cname, other,
				       "a CNAME beside other records: keep one or the others");
	return 0;
}

int check_names(const struct rrlist *list, struct check_finding *finding)
{
	for (size_t i = 0; i < list->count;) {
		size_t length = rrlist_name_length(list, i);
		if (check_name(&list->records[i], length, finding))
			return -1;
		i += length;
	}
	return 0;
}
