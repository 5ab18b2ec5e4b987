/*
 * The intake: the sink through which a store's batches reach the mirror. Turns text into wire
 * format and leaves out what makes no sense:
 *
 *   - records as backend/rrsets.h says;
 *   - names outside their zone, and names and zones that are no domain names.
 *
 * A guard may be set against stores that come back with less than they had: a full batch that would
 * take away too many records is not committed, and what was there stays.
 *
 * What is left out is counted, and logged with its key in the store; a hundred lines a minute at
 * most, so that a few bad records are all named and a store full of them floods no log.
 *
 * Threads: the one that writes the mirror; intake_changed_ms from any.
 */
#ifndef GODWIT_BACKEND_INTAKE_H
#define GODWIT_BACKEND_INTAKE_H

#include "storage/storage.h"

#include <stdbool.h>
#include <stdint.h>

struct heartbeat;
struct intake;
struct metrics_shard;
struct mirror;

/*
 * Borrows all; the shard and the heartbeat (which may be NULL) must be the writing thread's, which
 * moves as long as anything is handed over. NULL when there is no memory.
 */
struct intake *intake_create(struct mirror *mirror, struct metrics_shard *shard,
			     struct heartbeat *heartbeat);
void intake_destroy(struct intake *intake);

/* The sink to hand to the store; its `ctx` is the intake. */
struct storage_sink intake_sink(struct intake *intake);

/*
 * From now on, a full batch that would remove more than `percent` of the records is not committed;
 * 100: any may.
 */
void intake_set_guard(struct intake *intake, unsigned int percent);

/*
 * True when the guard stopped the last batch; `*lost` and `*of` are then how many records it would
 * have removed of how many. May be NULL.
 */
bool intake_was_stopped(const struct intake *intake, uint64_t *lost, uint64_t *of);

/* Records left out of the batch that was taken in last. */
uint64_t intake_rejected(const struct intake *intake);

/* When a batch was last taken in, by clock_now_ms; 0: never. Any thread. */
int64_t intake_changed_ms(const struct intake *intake);

#endif
