/*
 * The batches of a streaming call. From the beginning two are under way, for the initial metadata
 * and the status, and others while a message is awaited or written. The status comes last or before
 * what others bring; when all of them have come back the call is over.
 */
#include "frontend/channel_stream.h"

#include "common/log.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct channel_stream {
	const struct channel_stream_handler *handler;
	void *ctx;
	struct channel_queue *queue;
	grpc_call *call;
	struct channel_event opened;
	struct channel_event ended;
	struct channel_event read;
	struct channel_event written;
	unsigned int pending; /* batches under way */
	bool reading;
	bool writing;
	bool finishing; /* no more messages after the write under way */
	bool finished;
	bool over;   /* no new batches: the other side has ended the call, or we have */
	bool closed; /* nobody listens any more */
	bool too_long;
	grpc_byte_buffer *outgoing;
	grpc_byte_buffer *incoming;
	grpc_metadata_array headers;
	grpc_metadata_array trailers;
	grpc_status_code status;
	grpc_slice details;
	size_t message_max;
	uint8_t *message; /* message_max octets */
};

static void channel_stream_free(struct channel_stream *stream)
{
	grpc_byte_buffer_destroy(stream->outgoing);
	grpc_byte_buffer_destroy(stream->incoming);
	grpc_metadata_array_destroy(&stream->headers);
	grpc_metadata_array_destroy(&stream->trailers);
	grpc_slice_unref(stream->details);
	grpc_call_unref(stream->call);
	free(stream->message);
	free(stream);
}

static bool channel_stream_start(struct channel_stream *stream, const grpc_op *op,
				 struct channel_event *event)
{
	grpc_call_error error = grpc_call_start_batch(
		stream->call, op, 1, channel_event_lend(stream->queue, event), NULL);
	if (error == GRPC_CALL_OK) {
		stream->pending++;
		return true;
	}
	channel_event_take_back(event);
	log_warning_limited("gRPC refused a batch", "reason=%s", grpc_call_error_to_string(error));
	stream->over = true;
	grpc_call_cancel(stream->call, NULL);
	return false;
}

/* A batch has come back: the last one is the call's end. */
static void channel_stream_return(struct channel_stream *stream)
{
	if (--stream->pending > 0)
		return;
	grpc_status_code status = stream->status;
	if (stream->too_long && status == GRPC_STATUS_OK)
		status = GRPC_STATUS_RESOURCE_EXHAUSTED;
	if (!stream->closed)
		stream->handler->ended(stream->ctx, status);
	channel_stream_free(stream);
}

static void channel_stream_drop(struct channel_stream *stream)
{
	if (--stream->pending == 0)
		channel_stream_free(stream);
}

#define STREAM_OF(event, member)                                                                   \
	((struct channel_stream *)((char *)(event)-offsetof(struct channel_stream, member)))

/* --- opened and ended ------------------------------------------------------------------------- */

static void channel_stream_on_opened(struct channel_event *event, bool ok)
{
	struct channel_stream *stream = STREAM_OF(event, opened);
	if (ok && !stream->closed && !stream->over)
		stream->handler->opened(stream->ctx);
	channel_stream_return(stream);
}

static void channel_stream_drop_opened(struct channel_event *event)
{
	channel_stream_drop(STREAM_OF(event, opened));
}

static void channel_stream_on_ended(struct channel_event *event, bool ok)
{
	(void)ok; /* a status always comes */
	struct channel_stream *stream = STREAM_OF(event, ended);
	stream->over = true;
	channel_stream_return(stream);
}

static void channel_stream_drop_ended(struct channel_event *event)
{
	channel_stream_drop(STREAM_OF(event, ended));
}

/* --- reading ---------------------------------------------------------------------------------- */

void channel_stream_read(struct channel_stream *stream)
{
	if (stream->reading || stream->over)
		return;
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
	op.data.recv_message.recv_message = &stream->incoming;
	stream->reading = channel_stream_start(stream, &op, &stream->read);
}

/* Copies the message read to where it may be changed; -1 when it is too long. */
static int64_t channel_stream_take_message(struct channel_stream *stream)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	size_t size = 0;
	if (grpc_byte_buffer_length(stream->incoming) > stream->message_max ||
	    !grpc_byte_buffer_reader_init(&reader, stream->incoming))
		return -1;
	while (grpc_byte_buffer_reader_next(&reader, &slice)) {
		memcpy(stream->message + size, GRPC_SLICE_START_PTR(slice),
		       GRPC_SLICE_LENGTH(slice));
		size += GRPC_SLICE_LENGTH(slice);
		grpc_slice_unref(slice);
	}
	grpc_byte_buffer_reader_destroy(&reader);
	return (int64_t)size;
}

static void channel_stream_on_read(struct channel_event *event, bool ok)
{
	struct channel_stream *stream = STREAM_OF(event, read);
	stream->reading = false;
	if (ok && stream->incoming && !stream->closed) {
		int64_t size = channel_stream_take_message(stream);
		grpc_byte_buffer_destroy(stream->incoming);
		stream->incoming = NULL;
		if (size < 0) {
			stream->too_long = true;
			grpc_call_cancel(stream->call, NULL);
		} else {
			stream->handler->message(stream->ctx, stream->message, (size_t)size);
		}
	}
	channel_stream_return(stream);
}

static void channel_stream_drop_read(struct channel_event *event)
{
	channel_stream_drop(STREAM_OF(event, read));
}

/* --- writing ---------------------------------------------------------------------------------- */

static void channel_stream_send_close(struct channel_stream *stream)
{
	const grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
	stream->finished = true;
	stream->writing = channel_stream_start(stream, &op, &stream->written);
}

static void channel_stream_note_written(struct channel_stream *stream, bool ok)
{
	stream->writing = false;
	grpc_byte_buffer_destroy(stream->outgoing);
	stream->outgoing = NULL;
	if (!ok)
		stream->over = true; /* the status follows */
}

bool channel_stream_write(struct channel_stream *stream, const uint8_t *octets, size_t size)
{
	if (stream->writing || stream->finishing || stream->over)
		return false;
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *)octets, size);
	stream->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
	op.data.send_message.send_message = stream->outgoing;
	channel_queue_hold(stream->queue);
	stream->writing = channel_stream_start(stream, &op, &stream->written);
	bool started = stream->writing;
	bool ok;
	if (channel_queue_release(stream->queue, &stream->written, &ok)) {
		stream->pending--; /* never the last one: the end of the call is to come */
		channel_stream_note_written(stream, ok);
	}
	return started;
}

bool channel_stream_is_writing(const struct channel_stream *stream)
{
	return stream->writing;
}

static void channel_stream_on_written(struct channel_event *event, bool ok)
{
	struct channel_stream *stream = STREAM_OF(event, written);
	channel_stream_note_written(stream, ok);
	if (ok && stream->finishing && !stream->finished && !stream->over)
		channel_stream_send_close(stream);
	else if (ok && !stream->finishing && !stream->closed)
		stream->handler->written(stream->ctx);
	channel_stream_return(stream);
}

static void channel_stream_drop_written(struct channel_event *event)
{
	channel_stream_drop(STREAM_OF(event, written));
}

void channel_stream_finish(struct channel_stream *stream)
{
	if (stream->finishing || stream->over)
		return;
	stream->finishing = true;
	if (!stream->writing)
		channel_stream_send_close(stream);
}

/* --- life and death --------------------------------------------------------------------------- */

/* Starts the batches of a new call, which come back whatever happens. */
static void channel_stream_begin(struct channel_stream *stream)
{
	grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
	end.data.recv_status_on_client.trailing_metadata = &stream->trailers;
	end.data.recv_status_on_client.status = &stream->status;
	end.data.recv_status_on_client.status_details = &stream->details;
	channel_stream_start(stream, &end, &stream->ended);

	grpc_op open[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
			   {.op = GRPC_OP_RECV_INITIAL_METADATA}};
	open[1].data.recv_initial_metadata.recv_initial_metadata = &stream->headers;
	if (grpc_call_start_batch(stream->call, open, 2,
				  channel_event_lend(stream->queue, &stream->opened),
				  NULL) == GRPC_CALL_OK)
		stream->pending++;
	else
		channel_event_take_back(&stream->opened);
	channel_stream_read(stream);
}

struct channel_stream *channel_stream_open(struct channel *channel, enum channel_method method,
					   size_t message_max,
					   const struct channel_stream_handler *handler, void *ctx)
{
	struct channel_stream *stream = calloc(1, sizeof(*stream));
	uint8_t *message = malloc(message_max);
	if (!stream || !message) {
		free(message);
		free(stream);
		return NULL;
	}
	*stream = (struct channel_stream){
		.handler = handler,
		.ctx = ctx,
		.queue = channel_queue_of(channel),
		.opened = {.fire = channel_stream_on_opened, .drop = channel_stream_drop_opened},
		.ended = {.fire = channel_stream_on_ended, .drop = channel_stream_drop_ended},
		.read = {.fire = channel_stream_on_read, .drop = channel_stream_drop_read},
		.written = {.fire = channel_stream_on_written, .drop = channel_stream_drop_written},
		.details = grpc_empty_slice(),
		.message_max = message_max,
		.message = message,
	};
	grpc_metadata_array_init(&stream->headers);
	grpc_metadata_array_init(&stream->trailers);
	stream->call = channel_create_call(channel, method, gpr_inf_future(GPR_CLOCK_MONOTONIC));
	channel_stream_begin(stream);
	return stream;
}

void channel_stream_close(struct channel_stream *stream)
{
	if (!stream)
		return;
	stream->closed = true;
	stream->over = true;
	grpc_call_cancel(stream->call, NULL);
}
