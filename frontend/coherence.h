/*
 * Whether a cached answer still holds: which facts have changed since its question was sent.
 *
 * One table of counters for the whole front end, indexed by fact hash, and one clock that goes up
 * with every change told. A change sets the counters of its facts to the clock; an answer remembers
 * the clock at the moment its question was sent, and is good as long as no counter of its facts is
 * newer. Two facts may share a counter: that costs a question asked again.
 *
 * Each backend that tells changes is a source, and is either being watched since some moment of the
 * clock or not at all. What was asked before that moment is suspect: changes may have gone untold.
 * So a Watch stream that breaks, and one that says "anything may have changed", need no scan of the
 * cache: they move that moment.
 *
 * All functions may be called from any thread; none locks or waits. Hot path: coherence_check.
 */
#ifndef GODWIT_FRONTEND_COHERENCE_H
#define GODWIT_FRONTEND_COHERENCE_H

#include <stddef.h>
#include <stdint.h>

struct coherence;

#define COHERENCE_COUNTERS (1u << 20) /* 8 octets each */
#define COHERENCE_SOURCES 256

/* NULL when memory is short. */
struct coherence *coherence_create(void);
void coherence_destroy(struct coherence *coherence);

/* The clock: to be remembered when a question is sent. */
uint64_t coherence_now(const struct coherence *coherence);

/*
 * The Watch stream of a source (0 < source < COHERENCE_SOURCES) has begun: what it is asked from
 * now on can be kept. One stream per source, whatever the number of workers.
 */
void coherence_watch_begin(struct coherence *coherence, uint32_t source);
/* It has ended or is silent: everything it answered is suspect from now on. */
void coherence_watch_end(struct coherence *coherence, uint32_t source);

/* A source told changes: answers that rest on these facts are outdated, whoever gave them. */
void coherence_change(struct coherence *coherence, const uint64_t *facts, size_t count);
/* A watched source told that anything may have changed: what it answered before is suspect. */
void coherence_change_everything(struct coherence *coherence, uint32_t source);

enum coherence_word {
	COHERENCE_GOOD,
	COHERENCE_SUSPECT,  /* nothing is known against it, but something may have gone untold */
	COHERENCE_OUTDATED, /* one of its facts has changed */
};

/* Has the counter of a fact fetched, without waiting, for a coherence_check to come. Hot path. */
void coherence_prefetch(const struct coherence *coherence, uint64_t fact);

/* What is known of an answer of `source`, asked at clock `asked`, that rests on `facts`. */
enum coherence_word coherence_check(const struct coherence *coherence, uint32_t source,
				    uint64_t asked, const uint64_t *facts, unsigned int count);

/* When the answers of a source last became suspect, as clock_now_ms; 0: never. */
int64_t coherence_suspect_since_ms(const struct coherence *coherence, uint32_t source);

#endif
