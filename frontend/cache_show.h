/*
 * What the answer cache holds for a name, as text for people.
 */
#ifndef GODWIT_FRONTEND_CACHE_SHOW_H
#define GODWIT_FRONTEND_CACHE_SHOW_H

#include <stddef.h>
#include <stdint.h>

struct cache;

/* Room for what cache_show_name writes at least, in octets. */
#define CACHE_SHOW_MIN 2048

/*
 * Writes how many replies are held for `name` (a wire name), and a line for each into `out`
 * (CACHE_SHOW_MIN octets or more), the last without its end:
 *
 *     2 answers for www.example.com.
 *     A  NOERROR  1 record  49 octets  by facts of source 1  12 s old  good
 *     AAAA +DO  NXDOMAIN  1 record  90 octets  by TTL, 288 s left  12 s old  good
 *
 * When there is not enough room for all, the last line says how many are left out. `now_ms` as
 * clock_now_ms. Any thread; walks all of the cache.
 */
void cache_show_name(const struct cache *cache, const uint8_t *name, int64_t now_ms, char *out,
		     size_t size);

#endif
