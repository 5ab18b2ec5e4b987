/*
 * gRPC's completions, brought to a libevent loop.
 *
 * A `struct channel_queue` belongs to one loop. Behind all of them is one completion queue of gRPC
 * and one thread that waits on it, for as long as there are any: gRPC has one set of descriptors
 * for the whole process, and several threads would only pass it on to each other. The thread does
 * nothing but hand what completes to its loop, on a lock-free list that the loop takes whole, woken
 * through an eventfd only when the list was empty: under load one wake-up brings many completions.
 *
 * What completes is a `struct channel_event`, embedded in what it is about, given to gRPC as the
 * tag of a batch by channel_event_lend. `fire` is then called on the loop's thread.
 *
 * Loops may come and go on different threads; all other functions, and the callbacks, run on the
 * loop's thread.
 */
#ifndef GODWIT_FRONTEND_CHANNEL_QUEUE_H
#define GODWIT_FRONTEND_CHANNEL_QUEUE_H

#include <grpc/grpc.h>
#include <stdatomic.h>
#include <stdbool.h>

struct channel_queue;
struct event_base;
struct heartbeat;

/*
 * The thread gets events through gRPC, whose ordering is its own affair; `is_lent` says in C's
 * memory model that what the loop wrote before is seen there.
 */
struct channel_event {
	struct channel_event *next;
	struct channel_queue *queue; /* while lent: whose loop it is for */
	_Atomic bool is_lent;
	bool ok; /* written by the thread before it passes the event on */
	/* It has completed; `ok` as gRPC says it. It may be lent again. */
	void (*fire)(struct channel_event *event, bool ok);
	/* The same, when the queue is being destroyed: free what there is to free, call nobody. */
	void (*drop)(struct channel_event *event);
};

/*
 * The heartbeat of the thread, of whatever loop; before the first queue is made. NULL: nobody
 * looks.
 */
void channel_queue_set_heartbeat(struct heartbeat *heartbeat);

/*
 * gRPC must be initialised. `flush` is called after all that had completed has been fired. NULL
 * when memory, descriptors or threads are short.
 */
struct channel_queue *channel_queue_create(struct event_base *base, void (*flush)(void *ctx),
					   void *ctx);

/*
 * Waits for all that is lent, drops it and frees the queue. The loop must not be running, every
 * channel must have been closed and every call cancelled before.
 */
void channel_queue_destroy(struct channel_queue *queue);

/* For who starts batches: the queue inside, and an event as a tag. */
grpc_completion_queue *channel_queue_inner(struct channel_queue *queue);
void *channel_event_lend(struct channel_queue *queue, struct channel_event *event);

/* When gRPC has refused the batch: the event does not come. */
void channel_event_take_back(struct channel_event *event);

/*
 * What gRPC completes within the call that starts it, as it does with most writes, would wake the
 * thread, and that one the loop, to say what the loop could know at once. Between these two
 * the first such completion is kept back. Returns true when it is `awaited`, which is not fired
 * then, with what `fire` would be told in `ok`; others go the usual way.
 */
void channel_queue_hold(struct channel_queue *queue);
bool channel_queue_release(struct channel_queue *queue, const struct channel_event *awaited,
			   bool *ok);

#endif
