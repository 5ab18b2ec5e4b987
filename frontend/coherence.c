/*
 * Counters of facts, and the moments since when sources are watched.
 *
 * The order of memory: who tells a change moves the clock first and the counters after it. A reader
 * of the clock who gets the new value asks its question after the change was told, so the answer
 * knows of it; one who gets the old value sees the counters pass it. A lookup may miss a counter
 * that is being written at the same time: the change is then seen some nanoseconds later.
 */
#include "frontend/coherence.h"

#include "common/clock.h"
#include "frontend/pages.h"

#include <stdatomic.h>

struct coherence_source {
	_Atomic uint64_t watched_since; /* of the clock; 0: not watched */
	_Atomic int64_t suspect_ms;
};

struct coherence {
	_Atomic uint64_t clock;
	struct coherence_source sources[COHERENCE_SOURCES];
	_Atomic uint64_t counters[COHERENCE_COUNTERS];
};

struct coherence *coherence_create(void)
{
	return pages_map(sizeof(struct coherence));
}

void coherence_destroy(struct coherence *coherence)
{
	pages_unmap(coherence, sizeof(*coherence));
}

uint64_t coherence_now(const struct coherence *coherence)
{
	return atomic_load_explicit(&coherence->clock, memory_order_acquire);
}

static uint64_t coherence_tick(struct coherence *coherence)
{
	return atomic_fetch_add_explicit(&coherence->clock, 1, memory_order_acq_rel) + 1;
}

void coherence_watch_begin(struct coherence *coherence, uint32_t source)
{
	atomic_store_explicit(&coherence->sources[source].watched_since, coherence_tick(coherence),
			      memory_order_release);
}

static void coherence_suspect(struct coherence *coherence, uint32_t source, uint64_t since)
{
	struct coherence_source *entry = &coherence->sources[source];
	atomic_store_explicit(&entry->suspect_ms, clock_now_ms(), memory_order_relaxed);
	atomic_store_explicit(&entry->watched_since, since, memory_order_release);
}

void coherence_watch_end(struct coherence *coherence, uint32_t source)
{
	coherence_suspect(coherence, source, 0);
}

void coherence_change_everything(struct coherence *coherence, uint32_t source)
{
	coherence_suspect(coherence, source, coherence_tick(coherence));
}

static size_t coherence_index(uint64_t fact)
{
	return fact % COHERENCE_COUNTERS;
}

void coherence_change(struct coherence *coherence, const uint64_t *facts, size_t count)
{
	uint64_t now = coherence_tick(coherence);
	for (size_t i = 0; i < count; i++) {
		_Atomic uint64_t *counter = &coherence->counters[coherence_index(facts[i])];
		/* Several watchers may write at a time: a counter never goes back. */
		uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
		while (before < now && !atomic_compare_exchange_weak_explicit(counter, &before, now,
									      memory_order_release,
									      memory_order_relaxed))
			;
	}
}

void coherence_prefetch(const struct coherence *coherence, uint64_t fact)
{
	__builtin_prefetch(&coherence->counters[coherence_index(fact)]);
}

enum coherence_word coherence_check(const struct coherence *coherence, uint32_t source,
				    uint64_t asked, const uint64_t *facts, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const _Atomic uint64_t *counter = &coherence->counters[coherence_index(facts[i])];
		if (atomic_load_explicit(counter, memory_order_acquire) > asked)
			return COHERENCE_OUTDATED;
	}
	uint64_t since = atomic_load_explicit(&coherence->sources[source].watched_since,
					      memory_order_acquire);
	return since && since <= asked ? COHERENCE_GOOD : COHERENCE_SUSPECT;
}

int64_t coherence_suspect_since_ms(const struct coherence *coherence, uint32_t source)
{
	return atomic_load_explicit(&coherence->sources[source].suspect_ms, memory_order_relaxed);
}
