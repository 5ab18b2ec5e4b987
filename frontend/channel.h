/*
 * A connection to one backend address on gRPC's C core, and unary coredns.dns.DnsService/Query
 * calls on it. For streams see channel_stream.h.
 *
 * A `struct channel` is one connection to one address. gRPC connects and reconnects by itself
 * (100 ms to 2 s between attempts); the `state` callback tells how it goes.
 *
 * A `struct channel_call` is one call, embedded in the caller's own object. From channel_call_start
 * until `done` it belongs to the queue.
 *
 * The channels use gRPC's minimal stack, which saves a fifth of the instructions of a call and
 * leaves out retries and deadline timers, so that the caller keeps time and cancels.
 *
 * All functions here, and all callbacks, run on the thread of the queue's loop.
 */
#ifndef GODWIT_FRONTEND_CHANNEL_H
#define GODWIT_FRONTEND_CHANNEL_H

#include "frontend/channel_queue.h"
#include "frontend/plan.h"

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <stddef.h>
#include <stdint.h>

struct channel;

enum channel_method { CHANNEL_QUERY, CHANNEL_EXCHANGE, CHANNEL_WATCH, CHANNEL_METHODS };

enum channel_state {
	CHANNEL_PENDING, /* connecting, or about to */
	CHANNEL_READY,
	CHANNEL_BROKEN, /* the last attempt failed; the next follows by itself */
};

struct channel_call {
	struct channel_event event; /* first */
	struct channel *channel;
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
	uint8_t zone_size; /* of the zone's name, the end of the question's; 0: unknown */
};

struct channel_handler {
	void *ctx;
	/*
	 * A call has ended, by a reply, a failure or channel_call_cancel. It is the caller's again.
	 * NULL for who makes no unary calls.
	 */
	void (*done)(void *ctx, struct channel_call *call, const struct channel_result *result);
	void (*state)(void *ctx, void *owner, enum channel_state state);
};

/*
 * Opens a channel to a gRPC target that needs no resolving ("ipv4:192.0.2.1:8053") and starts to
 * connect. `backend` says how: its `text` is the HTTP/2 authority to send, "host:port", and with
 * its credentials decides which certificate is expected. It is not needed afterwards. `handler` is
 * copied, `owner` is passed to `state`. NULL when memory is short.
 */
struct channel *channel_open(struct channel_queue *queue, const char *target,
			     const struct plan_backend *backend,
			     const struct channel_handler *handler, void *owner);

/* Closes it. Calls in flight go on to their end; no `state` callback comes any more. */
void channel_close(struct channel *channel);

/* For who makes calls of its own: its queue, and an empty call on it. */
struct channel_queue *channel_queue_of(const struct channel *channel);
grpc_call *channel_create_call(struct channel *channel, enum channel_method method,
			       gpr_timespec deadline);

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
