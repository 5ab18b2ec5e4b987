/* A table of tags, the oldest of a word first to go. */
#include "frontend/cache_asked.h"

#include "frontend/pages.h"

#define ASKED_TAG_BITS 16
#define ASKED_TAG_MASK 0xffffu

int cache_asked_init(struct cache_asked *asked, size_t size)
{
	asked->count = size / sizeof(asked->words[0]);
	/* The hash picks words by 32 bits. */
	if (asked->count > UINT32_MAX)
		asked->count = UINT32_MAX;
	if (asked->count == 0)
		asked->count = 1;
	asked->words = pages_map(asked->count * sizeof(asked->words[0]));
	return asked->words ? 0 : -1;
}

void cache_asked_clear(struct cache_asked *asked)
{
	pages_unmap(asked->words, asked->count * sizeof(asked->words[0]));
	*asked = (struct cache_asked){0};
}

static _Atomic uint64_t *asked_find(const struct cache_asked *asked, uint64_t hash)
{
	return &asked->words[(hash >> 32) * asked->count >> 32];
}

void cache_asked_prefetch(const struct cache_asked *asked, uint64_t hash)
{
	__builtin_prefetch(asked_find(asked, hash));
}

bool cache_asked_before(struct cache_asked *asked, uint64_t hash)
{
	/* The upper half picks the word, so the tag is of the lower one; 0 is a free place. */
	uint64_t tag = (hash & ASKED_TAG_MASK) ? hash & ASKED_TAG_MASK : 1;
	_Atomic uint64_t *word = asked_find(asked, hash);
	uint64_t tags = atomic_load_explicit(word, memory_order_relaxed);
	for (uint64_t left = tags; left; left >>= ASKED_TAG_BITS)
		if ((left & ASKED_TAG_MASK) == tag)
			return true;
	atomic_store_explicit(word, tags << ASKED_TAG_BITS | tag, memory_order_relaxed);
	return false;
}
