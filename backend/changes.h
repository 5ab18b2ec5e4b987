/*
 * Changes: from the one writer of the mirror to every Watch stream.
 *
 * The mirror says at each commit which facts changed (dns/hash.h). They go into a ring that all
 * subscribers read at their own pace; one who falls behind further than the ring is long is told
 * "everything". Nobody waits for a slow subscriber.
 *
 * Threads: changes_publish from the mirror's writer; the rest from any.
 */
#ifndef GODWIT_BACKEND_CHANGES_H
#define GODWIT_BACKEND_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct changes;

/* Facts the ring holds. */
#define CHANGES_RING 65536

/* `wake` is called, on the publisher's thread, after each publication; it must not block. */
struct changes *changes_create(void (*wake)(void *ctx), void *ctx);
void changes_destroy(struct changes *changes);

/* Tells facts, or with `everything` that anything may have changed. */
void changes_publish(struct changes *changes, const uint64_t *facts, size_t count, bool everything);

/* The position behind the newest fact: where a new subscriber starts. */
uint64_t changes_position(struct changes *changes);

/*
 * Copies facts behind `*position` into `out`, at most `capacity`, and moves `*position`. Returns
 * their number; `*everything` is set, with no facts, when they are not all there any more.
 */
size_t changes_read(struct changes *changes, uint64_t *position, uint64_t *out, size_t capacity,
		    bool *everything);

#endif
