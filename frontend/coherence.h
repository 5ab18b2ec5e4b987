/*
 * Whether a cached answer still holds: which facts have changed since its question was sent.
 *
 * One table of counters for the whole front end, indexed by fact hash, and one clock that goes up
 * with every change told. A change sets the counters of its facts to the clock; an answer remembers
 * the clock at the moment its question was sent, and is good as long as no counter of its facts is
 * newer. Two facts may share a counter: that costs a question asked again.
 *
 * Each backend connection that tells changes is a source with an epoch: when its Watch stream breaks,
 * the epoch goes up and every answer it gave before is suspect, since changes may have gone untold.
 * Answers may be kept only while their source is being watched.
 *
 * All functions may be called from any thread; none locks or waits. Hot path: coherence_holds.
 */
#ifndef GODWIT_FRONTEND_COHERENCE_H
#define GODWIT_FRONTEND_COHERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coherence;

#define COHERENCE_COUNTERS (1u << 20) /* 8 octets each */
#define COHERENCE_SOURCES 256

struct coherence *coherence_create(void);
void coherence_destroy(struct coherence *coherence);

/* The clock: to be remembered when a question is sent. */
uint64_t coherence_now(const struct coherence *coherence);

/*
 * The Watch stream of a source (0 < source < COHERENCE_SOURCES) has begun: what it answers from now
 * on can be kept. One stream per source, whatever the number of workers.
 */
void coherence_watch_begin(struct coherence *coherence, uint32_t source);
/* It has ended or is silent: everything it answered is suspect from now on. */
void coherence_watch_end(struct coherence *coherence, uint32_t source);

/* A source told changes. */
void coherence_change(struct coherence *coherence, uint32_t source, const uint64_t *facts,
		      size_t count);
/* A source told that anything may have changed. */
void coherence_change_everything(struct coherence *coherence, uint32_t source);

/* The epoch of a source to keep with its answers; 0: it is not being watched, keep nothing. */
uint64_t coherence_epoch(const struct coherence *coherence, uint32_t source);

/* True when an answer of `source` in `epoch`, asked at clock `asked`, still holds. */
bool coherence_holds(const struct coherence *coherence, uint32_t source, uint64_t epoch,
		     uint64_t asked, const uint64_t *facts, unsigned int count);

#endif
