/*
 * gRPC's completions, brought to a libevent loop.
 *
 * A `struct channel_queue` is a gRPC completion queue and one thread that waits on it. The thread
 * does nothing but pass what completes to the loop, on a lock-free list that the loop takes whole,
 * woken through an eventfd only when the list was empty: under load one wake-up brings many
 * completions.
 *
 * What completes is a `struct channel_event`, embedded in what it is about, given to gRPC as the
 * tag of a batch by channel_event_lend. `fire` is then called on the loop's thread.
 *
 * All functions and callbacks run on the loop's thread.
 */
#ifndef GODWIT_FRONTEND_CHANNEL_QUEUE_H
#define GODWIT_FRONTEND_CHANNEL_QUEUE_H

#include <grpc/grpc.h>
#include <stdatomic.h>
#include <stdbool.h>

struct channel_queue;
struct event_base;

/*
 * The thread gets events through gRPC, whose ordering is its own affair; `lent` says in C's memory
 * model that what the loop wrote before is seen there.
 */
struct channel_event {
	struct channel_event *next;
	_Atomic bool lent;
	bool ok; /* written by the queue's thread before it passes the event on */
	/* It has completed; `ok` as gRPC says it. It may be lent again. */
	void (*fire)(struct channel_event *event, bool ok);
	/* The same, when the queue is being destroyed: free what there is to free, call nobody. */
	void (*drop)(struct channel_event *event);
};

/*
 * Starts the queue's thread. gRPC must be initialised. `flush` is called after all that had
 * completed has been fired. NULL when memory or threads are short.
 */
struct channel_queue *channel_queue_create(struct event_base *base, void (*flush)(void *ctx),
					   void *ctx);

/*
 * Stops the thread and frees the queue. The loop must not be running, every channel must have been
 * closed and every call cancelled before; what completes from now on is dropped.
 */
void channel_queue_destroy(struct channel_queue *queue);

/* For who starts batches: the queue inside, and an event as a tag. */
grpc_completion_queue *channel_queue_inner(struct channel_queue *queue);
void *channel_event_lend(struct channel_event *event);

#endif
