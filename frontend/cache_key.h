/*
 * What a cached reply is found by, in a form that is quick to compare: the name in lower case, the
 * query type, the DO bit and the route, as 64-bit words, and a hash over them.
 *
 * The hash takes a secret seed, so that nobody outside can choose names that fall into one set.
 * Pure; any thread; no allocation. Hot path.
 */
#ifndef GODWIT_FRONTEND_CACHE_KEY_H
#define GODWIT_FRONTEND_CACHE_KEY_H

#include "dns/name.h"
#include "dns/query.h"

#include <stddef.h>
#include <stdint.h>

/* Words of a name, its end filled up with zeros. */
#define CACHE_KEY_NAME_WORDS(octets) (((octets) + 7) / 8)
/* And behind it: type and DO bit, and the route. */
#define CACHE_KEY_MORE_WORDS 2
#define CACHE_KEY_WORDS_MAX (CACHE_KEY_NAME_WORDS(DNS_NAME_MAX) + CACHE_KEY_MORE_WORDS)

struct cache_key {
	uint64_t hash; /* never 0 */
	unsigned int count;
	uint64_t words[CACHE_KEY_WORDS_MAX];
};

/*
 * The key of a query that dns_query_parse found no fault with (so its class is IN). `route` is the
 * plan_route's id.
 */
void cache_key_init(struct cache_key *key, uint64_t seed, const struct dns_query *query,
		    uint64_t route);

/* Writes `name` in lower case into `words`, filled up with zeros; returns how many. */
unsigned int cache_key_put_name(uint64_t *words, const uint8_t *name, size_t size);

/* The hash of some words, which nobody knows without the seed. Never 0. */
uint64_t cache_key_hash(const uint64_t *words, unsigned int count, uint64_t seed);

#endif
