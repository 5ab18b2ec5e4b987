/* Rows of two atomics. What is read between them is a message old at worst. */
#include "frontend/freshness.h"

#include "frontend/coherence.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Ages beyond it are cut: a hundred years, in milliseconds. */
#define FRESHNESS_AGE_MAX_MS (100LL * 366 * 86400 * 1000)

enum freshness_flag {
	FRESHNESS_KNOWN = 1,
	FRESHNESS_LOADED = 2,
	FRESHNESS_HEARD = 4,
	FRESHNESS_STORE_UP = 8,
};

struct freshness {
	struct {
		_Atomic int64_t as_store_ms; /* when the data was as the store */
		_Atomic unsigned int flags;
	} rows[COHERENCE_SOURCES];
};

struct freshness *freshness_create(void)
{
	return calloc(1, sizeof(struct freshness));
}

void freshness_destroy(struct freshness *freshness)
{
	free(freshness);
}

static bool freshness_has_row(uint32_t source)
{
	return source > 0 && source < COHERENCE_SOURCES;
}

void freshness_tell(struct freshness *freshness, uint32_t source, bool loaded, bool store_up,
		    uint64_t age_ms, int64_t now_ms)
{
	unsigned int flags = FRESHNESS_KNOWN | FRESHNESS_HEARD;
	if (!freshness_has_row(source))
		return;
	if (age_ms > FRESHNESS_AGE_MAX_MS)
		age_ms = FRESHNESS_AGE_MAX_MS;
	if (loaded)
		flags |= FRESHNESS_LOADED;
	if (store_up)
		flags |= FRESHNESS_STORE_UP;
	atomic_store_explicit(&freshness->rows[source].as_store_ms, now_ms - (int64_t)age_ms,
			      memory_order_relaxed);
	atomic_store_explicit(&freshness->rows[source].flags, flags, memory_order_release);
}

void freshness_end(struct freshness *freshness, uint32_t source)
{
	if (freshness_has_row(source))
		atomic_fetch_and_explicit(&freshness->rows[source].flags,
					  ~(unsigned int)FRESHNESS_HEARD, memory_order_relaxed);
}

void freshness_forget(struct freshness *freshness, uint32_t source)
{
	if (freshness_has_row(source))
		atomic_store_explicit(&freshness->rows[source].flags, 0, memory_order_relaxed);
}

void freshness_read(const struct freshness *freshness, uint32_t source, int64_t now_ms,
		    struct freshness_row *out)
{
	*out = (struct freshness_row){.known = false};
	if (!freshness || !freshness_has_row(source))
		return;
	unsigned int flags =
		atomic_load_explicit(&freshness->rows[source].flags, memory_order_acquire);
	int64_t as_store_ms =
		atomic_load_explicit(&freshness->rows[source].as_store_ms, memory_order_relaxed);
	out->known = flags & FRESHNESS_KNOWN;
	out->loaded = flags & FRESHNESS_LOADED;
	out->heard = flags & FRESHNESS_HEARD;
	out->store_up = flags & FRESHNESS_STORE_UP;
	if (out->loaded && now_ms > as_store_ms)
		out->age_ms = now_ms - as_store_ms;
}
