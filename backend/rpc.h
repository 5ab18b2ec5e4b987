/*
 * Calls as a gRPC server sees them, on top of the C core's completion queues.
 *
 * An rpc_queue is one completion queue and the one thread that serves it. On it run lanes: a lane
 * is one method, with a fixed set of call slots. A few slots are always posted, that is, wait for
 * a call to arrive. When one does, another slot is posted in its place and the method's serve
 * function runs, which ends the call with rpc_call_finish (or, for streams, with batches of its
 * own and then rpc_call_release). Slots are never allocated while serving, and their number bounds
 * the calls a queue has in hand: more wait inside gRPC until one is free.
 *
 * A client that asks but does not take its reply would keep a slot for ever; finished calls older
 * than RPC_STALLED_MS are cancelled.
 *
 * Shutting down. Nothing may be posted to a completion queue once it is shut down: gRPC aborts the
 * process. A server is down as soon as its connections are gone, when calls may still be in hand
 * and about to end with a batch. So a queue is shut down only when it is idle: all posted slots
 * have come back and all calls have ended. Once the server is down that is a matter of moments.
 *
 * Threads: create, add lanes and start from one thread; from the start on a queue's lanes and calls
 * belong to its thread.
 */
#ifndef GODWIT_BACKEND_RPC_H
#define GODWIT_BACKEND_RPC_H

#include <grpc/grpc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct heartbeat;
struct metrics_shard;
struct rpc_lane;
struct rpc_queue;

/* Longest request we read, in octets: a DNS message of 65535 with its protobuf frame, and some. */
#define RPC_REQUEST_MAX 66560

/* How long a client may take to accept a reply, in milliseconds. */
#define RPC_STALLED_MS 5000

/* How often a queue's tick function is called, in milliseconds. */
#define RPC_TICK_MS 250

/*
 * What a completion queue hands back: the function to run, on the queue's thread. Embedded in what
 * it is about.
 */
struct rpc_tag {
	void (*fire)(struct rpc_tag *tag, bool ok);
};

/* One slot: what gRPC fills in when a call arrives, and what it needs until the reply is out. */
struct rpc_call {
	struct rpc_tag tag; /* first: the tag is the call */
	struct rpc_lane *lane;
	grpc_call *call;
	grpc_byte_buffer *request; /* NULL for streams and methods that are not registered */
	grpc_byte_buffer *reply;
	grpc_metadata_array metadata;
	grpc_call_details details;
	gpr_timespec deadline;
	int cancelled;
	bool finishing;      /* in the lane's list of calls whose reply is on its way */
	int64_t finished_ms; /* when rpc_call_finish was called */
	TAILQ_ENTRY(rpc_call) link;
};

/* A method, and how many calls of it one queue takes. */
struct rpc_method {
	void *handle;        /* of grpc_server_register_method; NULL: all methods not registered */
	bool streams;        /* the client streams: calls arrive without a request */
	unsigned int posted; /* slots that wait for a call */
	unsigned int slots;  /* all slots: calls in hand at once */
	/* Serves a call that arrived, on the queue's thread. Must end it, now or later. */
	void (*serve)(struct rpc_call *call, void *ctx);
	void *ctx;
};

struct rpc_queue_options {
	const char *name; /* of the thread, at most 15 octets; copied */
	/* False for a queue that leaves the sockets to the other queues' threads. */
	bool polls;
	struct metrics_shard *shard; /* for what the queue itself counts */
	struct heartbeat *heartbeat; /* the thread's; NULL: nobody looks */
	/* Run on the thread before its first and after its last event. May be NULL. */
	void (*enter)(void);
	void (*leave)(void);
	/* Run on the thread every RPC_TICK_MS. May be NULL. */
	void (*tick)(void *ctx);
	void *ctx;
};

/*
 * Makes a queue and registers it with a server that is not started yet. Memory ends the process,
 * as inside gRPC. `options` is copied.
 */
struct rpc_queue *rpc_queue_create(grpc_server *server, const struct rpc_queue_options *options);

/* Adds a lane for a method, before the start. `method` is copied. */
void rpc_queue_add_method(struct rpc_queue *queue, const struct rpc_method *method);

/* Posts every lane's slots and starts the thread. The server must be started. 0, or an errno. */
int rpc_queue_start(struct rpc_queue *queue);

/* True when no slot is posted and no call in hand. Any thread. */
bool rpc_queue_is_idle(const struct rpc_queue *queue);

/*
 * Ends the thread. The server must be down and the queue idle, or never have been started. Stop
 * every queue before destroying one: a thread that polls writes into the slots of all.
 */
void rpc_queue_stop(struct rpc_queue *queue);

/* Frees a queue that was stopped. */
void rpc_queue_destroy(struct rpc_queue *queue);

/*
 * Copies the request's octets into `out`, RPC_REQUEST_MAX of them at most. Returns the size, or -1
 * when there is no request or it is longer.
 */
int64_t rpc_call_read(struct rpc_call *call, uint8_t *out);

/*
 * Ends a unary call: sends `message` (NULL: none; the slice is taken over), the status and its
 * words (a constant; NULL: none). The call is gone afterwards.
 */
void rpc_call_finish(struct rpc_call *call, grpc_status_code status, const char *words,
		     const grpc_slice *message);

/* Gives up a call whose batches have all completed; its slot is free again. */
void rpc_call_release(struct rpc_call *call);

#endif
