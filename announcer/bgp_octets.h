/*
 * Numbers in network order, as BGP's messages have them. The put functions return what follows, so
 * that a message's layout reads from top to bottom.
 */
#ifndef GODWIT_ANNOUNCER_BGP_OCTETS_H
#define GODWIT_ANNOUNCER_BGP_OCTETS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bgp_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t bgp_get32(const uint8_t *p)
{
	return (uint32_t)bgp_get16(p) << 16 | bgp_get16(p + 2);
}

static inline uint8_t *bgp_put8(uint8_t *p, uint8_t value)
{
	*p = value;
	return p + 1;
}

static inline uint8_t *bgp_put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
	return p + 2;
}

static inline uint8_t *bgp_put32(uint8_t *p, uint32_t value)
{
	return bgp_put16(bgp_put16(p, (uint16_t)(value >> 16)), (uint16_t)value);
}

static inline uint8_t *bgp_put_octets(uint8_t *p, const void *octets, size_t size)
{
	if (size > 0)
		memcpy(p, octets, size);
	return p + size;
}

#endif
