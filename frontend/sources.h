/*
 * Numbers for backend addresses: what coherence.h calls a source. An address has one number for as
 * long as anybody holds it, the same for the workers that ask it and for the watcher that hears its
 * changes; afterwards the number is given to others. Any thread; takes a lock, so not for every
 * query.
 */
#ifndef GODWIT_FRONTEND_SOURCES_H
#define GODWIT_FRONTEND_SOURCES_H

#include <stdint.h>

struct sources;

/* NULL when memory is short. */
struct sources *sources_create(void);
void sources_destroy(struct sources *sources);

/*
 * The number of an address (plan_address.key), held until it is released. 0, which need not be
 * released, when there are COHERENCE_SOURCES - 1 others: what it answers is not kept.
 */
uint32_t sources_hold(struct sources *sources, const char *key);
void sources_release(struct sources *sources, uint32_t source);

#endif
