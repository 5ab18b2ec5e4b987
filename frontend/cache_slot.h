/*
 * A piece of memory that any thread may read and write without waiting: words under a sequence
 * lock.
 *
 * The sequence is even while the words are whole, odd while they are being written, and never the
 * same after a write. A reader notes it, copies what it wants, and asks whether it is still the
 * same: if not, what it copied is worth nothing. So whatever is copied must not be acted upon, not
 * even as a length, before cache_slot_is_whole has said yes.
 *
 * In C11's terms: the words are atomics, so nothing is a data race; a writer's words are released
 * and a reader's acquired, so who saw one word of a write also sees that the sequence had become
 * odd before. No fences, which the thread sanitizer does not know; on x86-64 all these are plain
 * moves.
 */
#ifndef GODWIT_FRONTEND_CACHE_SLOT_H
#define GODWIT_FRONTEND_CACHE_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cache_slot {
	_Atomic uint64_t sequence;
	_Atomic uint64_t words[];
};

/* Words that `octets` octets take. */
#define CACHE_SLOT_WORDS(octets) (((octets) + 7) / 8)

/* --- reading ---------------------------------------------------------------------------------- */

/* Begins to read; odd: being written, there is nothing to read. */
static inline uint64_t cache_slot_begin_read(const struct cache_slot *slot)
{
	return atomic_load_explicit(&slot->sequence, memory_order_acquire);
}

/* True when everything copied since cache_slot_begin_read returned `sequence` belongs together. */
static inline bool cache_slot_is_whole(const struct cache_slot *slot, uint64_t sequence)
{
	return atomic_load_explicit(&slot->sequence, memory_order_relaxed) == sequence;
}

static inline uint64_t cache_slot_get(const struct cache_slot *slot, size_t at)
{
	return atomic_load_explicit(&slot->words[at], memory_order_acquire);
}

/* Copies `octets` octets from word `at` on to anywhere. */
static inline void cache_slot_copy_out(const struct cache_slot *slot, size_t at, void *out,
				       size_t octets)
{
	uint8_t *to = out;
	for (; octets >= sizeof(uint64_t); octets -= sizeof(uint64_t)) {
		uint64_t word = cache_slot_get(slot, at++);
		memcpy(to, &word, sizeof(word));
		to += sizeof(word);
	}
	if (octets) {
		uint64_t word = cache_slot_get(slot, at);
		memcpy(to, &word, octets);
	}
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Begins to write. False when another thread is writing: leave it alone. */
static inline bool cache_slot_begin_write(struct cache_slot *slot)
{
	uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
	return !(sequence & 1) &&
	       atomic_compare_exchange_strong_explicit(&slot->sequence, &sequence, sequence + 1,
						       memory_order_acquire, memory_order_relaxed);
}

/* What was written is for everybody. */
static inline void cache_slot_end_write(struct cache_slot *slot)
{
	uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
	atomic_store_explicit(&slot->sequence, sequence + 1, memory_order_release);
}

/* Copies `octets` octets to word `at` and on, zeros after the last; returns the next word. */
static inline size_t cache_slot_copy_in(struct cache_slot *slot, size_t at, const void *from,
					size_t octets)
{
	const uint8_t *next = from;
	while (octets) {
		uint64_t word = 0;
		size_t part = octets < sizeof(word) ? octets : sizeof(word);
		memcpy(&word, next, part);
		atomic_store_explicit(&slot->words[at++], word, memory_order_release);
		next += part;
		octets -= part;
	}
	return at;
}

#endif
