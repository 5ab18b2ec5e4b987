/* A table of leaders. */
#include "frontend/flights.h"

#include "dns/name.h"

static struct query **flights_place(struct flights *flights, uint64_t hash)
{
	return &flights->places[hash & (FLIGHTS_PLACES - 1)];
}

/* True when one answer is good for both, but for what is the client's own (cache_key.h). */
static bool flights_ask_the_same(const struct query *a, const struct query *b)
{
	return a->key_hash == b->key_hash && a->plan == b->plan && a->dns.qtype == b->dns.qtype &&
	       a->dns.edns.dnssec_ok == b->dns.edns.dnssec_ok &&
	       dns_name_equal(a->dns.qname, b->dns.qname);
}

bool flights_join(struct flights *flights, struct query *query)
{
	struct query **place = flights_place(flights, query->key_hash);
	struct query *leader = *place;
	if (!leader) {
		*place = query;
		return false;
	}
	if (!flights_ask_the_same(leader, query) || flights->joined == FLIGHTS_JOINED_TOTAL)
		return false;
	if (leader->joined_count == FLIGHTS_JOINED_MAX) {
		*place = query;
		return false;
	}
	query->joined = leader->joined;
	leader->joined = query;
	leader->joined_count++;
	flights->joined++;
	leader->denial_too |= query->denial_too;
	return true;
}

struct query *flights_land(struct flights *flights, struct query *query)
{
	struct query **place = flights_place(flights, query->key_hash);
	struct query *joined = query->joined;
	if (*place == query)
		*place = NULL;
	flights->joined -= query->joined_count;
	query->joined = NULL;
	query->joined_count = 0;
	return joined;
}
