/* Times to live as people write them. Pure; any thread. */
#ifndef GODWIT_CTL_TTL_H
#define GODWIT_CTL_TTL_H

#include <stdbool.h>
#include <stdint.h>

#define TTL_MAX 2147483647U /* RFC 2181 section 8 */

/*
 * Reads seconds, "3600", or BIND's units, "1w2d3h4m5s" in any order and case, into `*ttl`. False
 * for anything else and for more than TTL_MAX.
 */
bool ttl_from_text(const char *text, uint32_t *ttl);

#endif
