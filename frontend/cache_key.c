/* Keys of the answer cache. */
#include "frontend/cache_key.h"

#include <string.h>

#define ALL(octet) ((octet)*0x0101010101010101u)

/*
 * Lower case for eight octets at a time: the upper bit of an octet of `from_a` says that it is "A"
 * or beyond, of `past_z` that it is beyond "Z". The length octets of labels are below "A".
 */
static uint64_t key_lower(uint64_t word)
{
	uint64_t low = word & ALL(0x7fu);
	uint64_t from_a = low + ALL(0x80u - 'A');
	uint64_t past_z = low + ALL(0x80u - 'Z' - 1);
	uint64_t upper = from_a & ~past_z & ~word & ALL(0x80u);
	return word | upper >> 2; /* 0x80 >> 2 is 0x20, what tells "a" from "A" */
}

/* The folded product: every bit of the result depends on every bit of both factors. */
static uint64_t key_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

unsigned int cache_key_put_name(uint64_t *words, const uint8_t *name, size_t size)
{
	unsigned int count = (unsigned int)CACHE_KEY_NAME_WORDS(size);
	words[count - 1] = 0;
	memcpy(words, name, size);
	for (unsigned int i = 0; i < count; i++)
		words[i] = key_lower(words[i]);
	return count;
}

uint64_t cache_key_hash(const uint64_t *words, unsigned int count, uint64_t seed)
{
	uint64_t hash = seed;
	for (unsigned int i = 0; i < count; i++)
		hash = key_mix(hash ^ words[i], seed ^ 0x9e3779b97f4a7c15u);
	return hash ? hash : 1;
}

void cache_key_init(struct cache_key *key, uint64_t seed, const struct dns_query *query,
		    uint64_t route)
{
	unsigned int count = cache_key_put_name(key->words, query->qname, query->qname_size);
	key->words[count++] = (uint64_t)query->qtype << 1 | query->edns.dnssec_ok;
	key->words[count++] = route;
	key->count = count;
	key->hash = cache_key_hash(key->words, count, seed);
}
