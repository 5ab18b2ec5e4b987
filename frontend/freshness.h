/*
 * How fresh the data of the backends is: a row for each backend address that is watched, by its
 * number (sources.h), with what its Watch stream said last.
 *
 * A backend says how long ago its data was known to be as its store is. From then on the age grows
 * by itself, so that a backend that is cut off, dead or silent ages here as the answers that were
 * kept from it do. Backends that do not say - other programs, older versions - are not known.
 *
 * The watcher's thread tells, any thread reads; nobody waits.
 */
#ifndef GODWIT_FRONTEND_FRESHNESS_H
#define GODWIT_FRONTEND_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

struct freshness;

/* What is known of a backend's data. */
struct freshness_row {
	bool known;     /* it has said; else nothing below means anything */
	bool loaded;    /* it had any data */
	bool heard;     /* its stream lives: what is said of the store is so now */
	bool store_up;  /* it follows its store */
	int64_t age_ms; /* since its data was as the store, if loaded */
};

/* NULL when memory is short. */
struct freshness *freshness_create(void);
void freshness_destroy(struct freshness *freshness);

/*
 * A message said how the data stands; `age_ms` as it came, which may be anything. `now_ms`, here
 * and below, is clock_now_ms; sources are from 1 to COHERENCE_SOURCES - 1, and 0 is ignored.
 */
void freshness_tell(struct freshness *freshness, uint32_t source, bool loaded, bool store_up,
		    uint64_t age_ms, int64_t now_ms);

/* The stream has ended: what it said last ages on. */
void freshness_end(struct freshness *freshness, uint32_t source);

/* Nothing is known of it any more: it does not say, or is no longer watched. */
void freshness_forget(struct freshness *freshness, uint32_t source);

/* Reads a row. `freshness` may be NULL: nothing is known of anybody. */
void freshness_read(const struct freshness *freshness, uint32_t source, int64_t now_ms,
		    struct freshness_row *out);

#endif
