/*
 * A streaming call on a channel: messages out, messages in, until one side ends it.
 *
 * One message at a time is written; the next one when `written` has come. A message is read when
 * channel_stream_read asks for it, the first one without. The object frees itself: after `ended`,
 * or after channel_stream_close once gRPC has let go of it. For the thread of the channel's loop,
 * like all of channel.h.
 */
#ifndef GODWIT_FRONTEND_CHANNEL_STREAM_H
#define GODWIT_FRONTEND_CHANNEL_STREAM_H

#include "frontend/channel.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel_stream;

/* Callbacks may call any function on their stream. */
struct channel_stream_handler {
	/* The other side has taken the call. */
	void (*opened)(void *ctx);
	/* A message; the octets live until the callback returns and may be changed in place. */
	void (*message)(void *ctx, uint8_t *octets, size_t size);
	/* A write that was under way is out: there may be another. */
	void (*written)(void *ctx);
	/* The call is over, and nothing comes after this. Never OK if a message was too long. */
	void (*ended)(void *ctx, grpc_status_code status);
};

/*
 * Begins a call whose messages from the other side may have up to `message_max` octets. `handler`
 * is borrowed. NULL when memory is short.
 */
struct channel_stream *channel_stream_open(struct channel *channel, enum channel_method method,
					   size_t message_max,
					   const struct channel_stream_handler *handler, void *ctx);

/*
 * Writes a message, copying it. False when one is under way, or the call is ending. As a rule the
 * message is out at once, and there may be another; if channel_stream_is_writing, `written` comes.
 */
bool channel_stream_write(struct channel_stream *stream, const uint8_t *octets, size_t size);

/*
 * Lets the next message come, unless it may already. It tells the other side at once that it may
 * send more, which wakes it: best done when there is something to wait for, after it has been asked
 * for.
 */
void channel_stream_read(struct channel_stream *stream);

/* True while a write is under way. */
bool channel_stream_is_writing(const struct channel_stream *stream);

/* Says that no more messages follow, now or after the write under way. */
void channel_stream_finish(struct channel_stream *stream);

/* Ends the call; no callback comes any more. NULL is allowed. */
void channel_stream_close(struct channel_stream *stream);

#endif
