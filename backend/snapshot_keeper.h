/*
 * The snapshot keeper: a thread that writes a snapshot some time after the mirror changed, so that
 * the follower never waits for a disk.
 *
 * A change is saved within SNAPSHOT_DELAY_MS, or, when saving takes long, after a pause of
 * SNAPSHOT_DUTY times as long as that: many changes share one snapshot, and saving costs a few
 * percent of a CPU at most. A failure is told once, counted, and tried again.
 */
#ifndef GODWIT_BACKEND_SNAPSHOT_KEEPER_H
#define GODWIT_BACKEND_SNAPSHOT_KEEPER_H

#define SNAPSHOT_DELAY_MS 1000
#define SNAPSHOT_DUTY 20
/* After a failure. */
#define SNAPSHOT_RETRY_MS 10000

struct metrics;
struct mirror;
struct snapshot_keeper;

/*
 * Starts the thread; nothing is saved before the first change is noted. Borrows everything until it
 * is stopped. NULL when there is no memory or no thread.
 */
struct snapshot_keeper *snapshot_keeper_start(struct mirror *mirror, const char *path,
					      struct metrics *metrics);

/* The mirror has changed. Any thread. */
void snapshot_keeper_note_change(struct snapshot_keeper *keeper);

/* Saves what has changed since the last snapshot, ends the thread and frees. NULL is allowed. */
void snapshot_keeper_stop(struct snapshot_keeper *keeper);

#endif
