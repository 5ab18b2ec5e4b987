/*
 * What was asked for lately: a short memory for hashes of questions, so that a denial - NXDOMAIN,
 * or a name without records of the type - is kept only when somebody asks for it a second time.
 *
 * Most denials are for names that nobody asks for twice: a flood of random names, a worm, a typing
 * error. To keep one costs more than to ask the backend, and throws out something else. A positive
 * answer is for a name that exists; there are only so many of those, and they are kept at once.
 *
 * A table of words, each with four tags of 16 bits, the last four that fell into it: a 128th of the
 * cache's memory, one read and one write per miss. It forgets with use, not with time: at 200,000
 * misses a second beside a cache of 64 MB, what was asked for more than a second ago. Forgetting
 * costs the backend a question more, and a tag that two questions share (about one in ten thousand)
 * keeps a denial at its first asking: both are harmless, so threads write without minding each
 * other.
 *
 * Any thread; no allocation, no lock. Hot path.
 */
#ifndef GODWIT_FRONTEND_CACHE_ASKED_H
#define GODWIT_FRONTEND_CACHE_ASKED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_asked {
	_Atomic uint64_t *words;
	size_t count;
};

/* Makes a table of about `size` octets. 0, or -1 when memory is short. */
int cache_asked_init(struct cache_asked *asked, size_t size);
void cache_asked_clear(struct cache_asked *asked);

/* Has the word of a hash fetched, without waiting for it. */
void cache_asked_prefetch(const struct cache_asked *asked, uint64_t hash);

/* Notes a hash (cache_key.hash). True when it was noted lately. */
bool cache_asked_before(struct cache_asked *asked, uint64_t hash);

#endif
