#include "backend/changes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct changes {
	void (*wake)(void *ctx);
	void *ctx;
	pthread_mutex_t lock; /* held only to copy facts in or out */
	uint64_t head;        /* facts told since the start: the next one's position */
	uint64_t floor;       /* who is behind this has missed something */
	uint64_t ring[CHANGES_RING];
};

struct changes *changes_create(void (*wake)(void *ctx), void *ctx)
{
	struct changes *changes = calloc(1, sizeof(*changes));

	if (changes == NULL)
		return NULL;
	changes->wake = wake;
	changes->ctx = ctx;
	pthread_mutex_init(&changes->lock, NULL);
	return changes;
}

void changes_destroy(struct changes *changes)
{
	if (changes == NULL)
		return;
	pthread_mutex_destroy(&changes->lock);
	free(changes);
}

/* Copies `count` facts, at most the ring's length, to the ring's head. */
static void ring_append(struct changes *changes, const uint64_t *facts, size_t count)
{
	size_t start = changes->head % CHANGES_RING;
	size_t first = count < CHANGES_RING - start ? count : CHANGES_RING - start;

	memcpy(changes->ring + start, facts, first * sizeof(*facts));
	memcpy(changes->ring, facts + first, (count - first) * sizeof(*facts));
	changes->head += count;
	if (changes->head - changes->floor > CHANGES_RING)
		changes->floor = changes->head - CHANGES_RING;
}

static void ring_copy(const struct changes *changes, uint64_t position, uint64_t *out, size_t count)
{
	size_t start = position % CHANGES_RING;
	size_t first = count < CHANGES_RING - start ? count : CHANGES_RING - start;

	memcpy(out, changes->ring + start, first * sizeof(*out));
	memcpy(out + first, changes->ring, (count - first) * sizeof(*out));
}

void changes_publish(struct changes *changes, const uint64_t *facts, size_t count, bool everything)
{
	if (count == 0 && !everything)
		return;
	pthread_mutex_lock(&changes->lock);
	if (everything || count > CHANGES_RING) {
		changes->head++;
		changes->floor = changes->head;
	} else {
		ring_append(changes, facts, count);
	}
	pthread_mutex_unlock(&changes->lock);
	changes->wake(changes->ctx);
}

uint64_t changes_position(struct changes *changes)
{
	uint64_t position;

	pthread_mutex_lock(&changes->lock);
	position = changes->head;
	pthread_mutex_unlock(&changes->lock);
	return position;
}

size_t changes_read(struct changes *changes, uint64_t *position, uint64_t *out, size_t capacity,
		    bool *everything)
{
	uint64_t count = 0;

	pthread_mutex_lock(&changes->lock);
	*everything = *position < changes->floor;
	if (*everything) {
		*position = changes->head;
	} else {
		count = changes->head - *position;
		if (count > capacity)
			count = capacity;
		ring_copy(changes, *position, out, count);
		*position += count;
	}
	pthread_mutex_unlock(&changes->lock);
	return count;
}
