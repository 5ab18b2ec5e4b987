#include "dns/hash.h"

#include "dns/name.h"

#include <string.h>

uint64_t dns_fact_hash(enum dns_fact fact, const uint8_t *name)
{
	uint8_t lower[DNS_NAME_MAX + sizeof(uint64_t)];
	size_t size = dns_name_copy_lower(name, lower);
	uint64_t hash = (uint64_t)fact << 32 ^ size;

	memset(lower + size, 0, sizeof(uint64_t));
	for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
		uint64_t word = 0;
		for (unsigned int i = 0; i < sizeof(word); i++) /* little endian on any machine */
			word |= (uint64_t)lower[at + i] << (8 * i);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	hash *= 0xbf58476d1ce4e5b9u;
	return hash ^ hash >> 32;
}
