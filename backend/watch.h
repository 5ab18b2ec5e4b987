/*
 * godwit.v1.Backend/Watch: what changes, told to every front end that keeps our answers.
 *
 * The first message goes out at once and is empty: from there on nothing is missed. Then each
 * change is told as it is published (changes.h), on the publisher's thread, so that it is on the
 * wire before the writer goes on; a stream whose last message is still under way hears it with the
 * next one, and one that is too far behind hears "everything". When nothing changes an empty
 * message goes out with every tick (RPC_TICK_MS), so that the front end notices when we, or the
 * connection, are gone. With each message goes how the data stands beside the store.
 *
 * WATCH_STREAMS_MAX streams can be open; more get RESOURCE_EXHAUSTED. A client that does not take
 * its messages for RPC_STALLED_MS is cut off.
 *
 * Threads: watch_serve and watch_tick belong on one queue's thread; the rest may be called from
 * any.
 */
#ifndef GODWIT_BACKEND_WATCH_H
#define GODWIT_BACKEND_WATCH_H

#include "backend/rpc.h"

struct changes;
struct follower;
struct metrics_shard;
struct watch;

#define WATCH_METHOD "/godwit.v1.Backend/Watch"

#define WATCH_STREAMS_MAX 1024

/* Facts a message tells at most. */
#define WATCH_FACTS_MAX 1024

/* Borrows all. The shard must be the serving thread's. */
struct watch *watch_create(struct changes *changes, const struct follower *follower,
			   struct metrics_shard *shard);
/* No stream may be open any more. */
void watch_destroy(struct watch *watch);

/* Something has been published: every stream tells it. */
void watch_wake(struct watch *watch);

/*
 * Ends every stream, and new ones at once. From its return on nothing here touches a call but from
 * the queue's thread. Call before the server is shut down.
 */
void watch_close(struct watch *watch);

/* Streams open now. */
unsigned int watch_count_streams(struct watch *watch);

/* The method's serve function and the queue's tick; `ctx` is the struct watch. */
void watch_serve(struct rpc_call *call, void *ctx);
void watch_tick(void *ctx);

#endif
