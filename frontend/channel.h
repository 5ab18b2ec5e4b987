/*
 * Unary coredns.dns.DnsService/Query calls on gRPC's C core, brought to a libevent loop.
 *
 * A `struct channel_queue` belongs to one worker: a gRPC completion queue and one thread that waits
 * on it. The thread does nothing but pass what completes to the worker's loop, on a lock-free list
 * that the loop takes whole, woken through an eventfd only when the list was empty: under load one
 * wake-up brings many replies. All functions here, and all callbacks, run on the loop's thread.
 *
 * A `struct channel` is one connection to one address. gRPC connects and reconnects by itself
 * (100 ms to 2 s between attempts); the `state` callback tells how it goes.
 *
 * A `struct channel_call` is one call, embedded in the caller's own object. From channel_call_start
 * until `done` it belongs to the queue.
 *
 * The channels use gRPC's minimal stack, which saves a fifth of the instructions of a call and
 * leaves out retries and deadline timers, so that the caller keeps time and cancels.
 */
#ifndef GODWIT_FRONTEND_CHANNEL_H
#define GODWIT_FRONTEND_CHANNEL_H

#include <grpc/grpc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel;
struct channel_queue;
struct event_base;

enum channel_state {
	CHANNEL_PENDING, /* connecting, or about to */
	CHANNEL_READY,
	CHANNEL_BROKEN, /* the last attempt failed; the next follows by itself */
};

/*
 * What the completion-queue thread passes on. It gets it through gRPC, whose ordering is its own
 * affair; `lent` says in C's memory model that what the loop wrote before is seen there.
 */
struct channel_event {
	struct channel_event *next;
	_Atomic bool lent;
	struct channel_call *call; /* NULL: `channel` has changed its state */
	struct channel *channel;
};

struct channel_call {
	struct channel_event event;
	grpc_call *call;
	grpc_byte_buffer *request;
	grpc_byte_buffer *response;
	grpc_metadata_array headers;
	grpc_metadata_array trailers;
	grpc_status_code status;
	grpc_slice details;
};

/* How a call ended. Pointers live until the callback returns; `reply` may be changed in place. */
struct channel_result {
	grpc_status_code status; /* DATA_LOSS also for a message that is not a DnsPacket */
	uint8_t *reply;          /* NULL unless status is GRPC_STATUS_OK */
	size_t size;
};

struct channel_handler {
	void *ctx;
	/*
	 * A call has ended, by a reply, a failure or channel_call_cancel. It is the caller's
	 * again.
	 */
	void (*done)(void *ctx, struct channel_call *call, const struct channel_result *result);
	void (*state)(void *ctx, void *owner, enum channel_state state);
	/* All that had completed has been handed over: a good time to send replies. */
	void (*flush)(void *ctx);
};

/* Starts the queue's thread. gRPC must be initialised. NULL when memory or threads are short. */
struct channel_queue *channel_queue_create(struct event_base *base,
					   const struct channel_handler *handler);

/*
 * Stops the thread and frees the queue. The loop must not be running, every channel must have been
 * closed and every call cancelled before; what completes from now on is forgotten: no callbacks.
 */
void channel_queue_destroy(struct channel_queue *queue);

/*
 * Opens a channel to a gRPC target that needs no resolving ("ipv4:192.0.2.1:8053") and starts to
 * connect. `authority` is the HTTP/2 authority to send, "host:port". `owner` is passed to `state`.
 * NULL when memory is short.
 */
struct channel *channel_open(struct channel_queue *queue, const char *target, const char *authority,
			     void *owner);

/* Closes it. Calls in flight go on to their end; no `state` callback comes any more. */
void channel_close(struct channel *channel);

/* Prepares the memory of a call that is to be used again and again, and takes it down. */
void channel_call_init(struct channel_call *call);
void channel_call_clear(struct channel_call *call);

/*
 * Starts a call with the `size` octets of a DNS message, which are copied; the backend is told that
 * `timeout_ms` is all it has. Returns 0, or -1 when gRPC refuses: then `done` does not come.
 */
int channel_call_start(struct channel *channel, struct channel_call *call, const uint8_t *message,
		       size_t size, int timeout_ms);

/* Ends a call early: `done` comes soon, with status CANCELLED unless the reply was faster. */
void channel_call_cancel(struct channel_call *call);

#endif
