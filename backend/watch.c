/*
 * A stream keeps its call slot and has two batches of its own under way: one that waits for the end
 * of the call, and at most one that sends. Both complete on the queue's thread; sends are also
 * started by the publisher. One lock covers the list of streams and every batch a stream starts.
 * The counters of this file are counted under it, too, and so by one thread at a time.
 *
 * Note the order that makes caching safe: the mirror shows a change before it is published, a
 * stream's position is taken before its first message is sent, and a front end takes the time of a
 * question before it sends it. An answer without the change was asked for before the change is
 * told; one asked for later has it.
 */
#include "backend/watch.h"

#include "backend/changes.h"
#include "backend/counters.h"
#include "backend/follower.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "proto/godwit.pb-c.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <pthread.h>
#include <stddef.h>

struct watch_stream {
	struct watch *watch;
	struct rpc_call *call;
	struct rpc_tag sent;
	struct rpc_tag closed;
	grpc_byte_buffer *message; /* of the send under way */
	uint64_t position;         /* behind the newest fact told */
	bool opened;               /* initial metadata is sent, with the first message */
	bool sending;
	bool ended; /* the final status is sent, or never will be */
	bool gone;  /* the call is over */
	int cancelled;
	int64_t send_ms; /* when the last send began */
	LIST_ENTRY(watch_stream) link;
};

struct watch {
	struct changes *changes;
	const struct follower *follower;
	struct metrics_shard *shard;
	pthread_mutex_t lock; /* guards everything below */
	bool closed;
	unsigned int stream_count;
	LIST_HEAD(, watch_stream) streams;
};

struct watch *watch_create(struct changes *changes, const struct follower *follower,
			   struct metrics_shard *shard)
{
	struct watch *watch = gpr_zalloc(sizeof(*watch));

	watch->changes = changes;
	watch->follower = follower;
	watch->shard = shard;
	pthread_mutex_init(&watch->lock, NULL);
	LIST_INIT(&watch->streams);
	return watch;
}

void watch_destroy(struct watch *watch)
{
	if (watch == NULL)
		return;
	pthread_mutex_destroy(&watch->lock);
	gpr_free(watch);
}

/* --- sending: all of it under the lock -------------------------------------------------------- */

static grpc_byte_buffer *pack_changes(const struct follower *follower, uint64_t *facts,
				      size_t count, bool everything)
{
	Godwit__V1__Changes changes = GODWIT__V1__CHANGES__INIT;
	Godwit__V1__Standing standing = GODWIT__V1__STANDING__INIT;
	struct follower_standing now;
	grpc_byte_buffer *message;
	grpc_slice slice;

	changes.fact = facts;
	changes.n_fact = count;
	changes.everything = everything;
	follower_read_standing(follower, &now);
	standing.loaded = now.loaded;
	standing.age_ms = (uint64_t)now.age_ms;
	standing.store_up = now.store_up;
	changes.standing = &standing;
	slice = grpc_slice_malloc(godwit__v1__changes__get_packed_size(&changes));
	godwit__v1__changes__pack(&changes, GRPC_SLICE_START_PTR(slice));
	message = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return message;
}

/*
 * Makes the next message: what has been published since the last one; nothing else when `heartbeat`
 * asks for a message anyhow. False when there is nothing to send.
 */
static bool stream_prepare(struct watch_stream *stream, bool heartbeat)
{
	struct watch *watch = stream->watch;
	uint64_t facts[WATCH_FACTS_MAX];
	bool everything;
	size_t count = changes_read(watch->changes, &stream->position, facts, WATCH_FACTS_MAX,
				    &everything);

	if (count == 0 && !everything && !heartbeat)
		return false;
	stream->message = pack_changes(watch->follower, facts, count, everything);
	metrics_add(watch->shard, BACKEND_WATCH_MESSAGES, 1);
	metrics_add(watch->shard, BACKEND_WATCH_FACTS, count);
	metrics_add(watch->shard, BACKEND_WATCH_EVERYTHING, everything);
	return true;
}

static void stream_start(struct watch_stream *stream, const grpc_op *ops, size_t count)
{
	stream->send_ms = clock_now_ms();
	stream->sending = grpc_call_start_batch(stream->call->call, ops, count, &stream->sent,
						NULL) == GRPC_CALL_OK;
	if (stream->sending)
		return;
	/* cannot be but by our mistake: end the stream, not the process */
	grpc_byte_buffer_destroy(stream->message);
	stream->message = NULL;
	stream->ended = true;
	grpc_call_cancel(stream->call->call, NULL);
}

/* Sends what there is to tell; does nothing while a send is under way: its end comes back here. */
static void stream_push(struct watch_stream *stream, bool heartbeat)
{
	grpc_slice words = grpc_slice_from_static_string("shutting down");
	grpc_op ops[3] = {0};
	size_t count = 0;

	if (stream->sending || stream->ended || stream->gone)
		return;
	if (!stream->opened)
		ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
	if (stream_prepare(stream, heartbeat)) {
		ops[count].op = GRPC_OP_SEND_MESSAGE;
		ops[count++].data.send_message.send_message = stream->message;
	}
	if (stream->watch->closed) {
		ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
		ops[count].data.send_status_from_server.status = GRPC_STATUS_UNAVAILABLE;
		ops[count++].data.send_status_from_server.status_details = &words;
	}
	if (count == 0)
		return;
	stream->opened = true;
	stream->ended = stream->watch->closed;
	stream_start(stream, ops, count);
}

/* --- the ends of batches ---------------------------------------------------------------------- */

/* Forgets a stream whose batches have both completed. Under the lock; true when it is free. */
static bool stream_retire(struct watch_stream *stream)
{
	if (stream->sending || !stream->gone)
		return false;
	LIST_REMOVE(stream, link);
	stream->watch->stream_count--;
	return true;
}

/* Not under the lock: gives back the call, which may bring the server's end. */
static void stream_free(struct watch_stream *stream)
{
	rpc_call_release(stream->call);
	gpr_free(stream);
}

static void stream_on_sent(struct rpc_tag *tag, bool ok)
{
	struct watch_stream *stream =
		(struct watch_stream *)((char *)tag - offsetof(struct watch_stream, sent));
	struct watch *watch = stream->watch;
	bool retired;

	pthread_mutex_lock(&watch->lock);
	stream->sending = false;
	grpc_byte_buffer_destroy(stream->message);
	stream->message = NULL;
	if (ok)
		stream_push(stream, false);
	else
		stream->ended = true; /* the call is over; stream_on_closed says so too */
	retired = stream_retire(stream);
	pthread_mutex_unlock(&watch->lock);
	if (retired)
		stream_free(stream);
}

static void stream_on_closed(struct rpc_tag *tag, bool ok)
{
	struct watch_stream *stream =
		(struct watch_stream *)((char *)tag - offsetof(struct watch_stream, closed));
	struct watch *watch = stream->watch;
	bool retired;

	(void)ok;
	pthread_mutex_lock(&watch->lock);
	stream->gone = true;
	retired = stream_retire(stream);
	pthread_mutex_unlock(&watch->lock);
	if (retired)
		stream_free(stream);
}

/* --- streams ---------------------------------------------------------------------------------- */

static bool is_request(struct rpc_call *call)
{
	uint8_t octets[RPC_REQUEST_MAX];
	Godwit__V1__WatchRequest *request;
	int64_t size = rpc_call_read(call, octets);

	if (size < 0)
		return false;
	request = godwit__v1__watch_request__unpack(NULL, (size_t)size, octets);
	if (request == NULL)
		return false;
	godwit__v1__watch_request__free_unpacked(request, NULL);
	return true;
}

/* Opens a stream: waits for its end and sends the first message. False when there are too many. */
static bool stream_open(struct watch *watch, struct rpc_call *call)
{
	struct watch_stream *stream = gpr_zalloc(sizeof(*stream));
	grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
	bool opened = false;

	stream->watch = watch;
	stream->call = call;
	stream->sent.fire = stream_on_sent;
	stream->closed.fire = stream_on_closed;
	stream->position = changes_position(watch->changes);
	close.data.recv_close_on_server.cancelled = &stream->cancelled;
	pthread_mutex_lock(&watch->lock);
	if (watch->stream_count < WATCH_STREAMS_MAX &&
	    grpc_call_start_batch(call->call, &close, 1, &stream->closed, NULL) == GRPC_CALL_OK) {
		LIST_INSERT_HEAD(&watch->streams, stream, link);
		watch->stream_count++;
		stream_push(stream, true);
		opened = true;
	}
	pthread_mutex_unlock(&watch->lock);
	if (!opened)
		gpr_free(stream);
	return opened;
}

void watch_serve(struct rpc_call *call, void *ctx)
{
	struct watch *watch = ctx;

	if (!is_request(call)) {
		metrics_add(watch->shard, BACKEND_CALLS_CHANGES_INVALID_ARGUMENT, 1);
		rpc_call_finish(call, GRPC_STATUS_INVALID_ARGUMENT, "not a godwit.v1.WatchRequest",
				NULL);
	} else if (!stream_open(watch, call)) {
		metrics_add(watch->shard, BACKEND_CALLS_CHANGES_RESOURCE_EXHAUSTED, 1);
		rpc_call_finish(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "too many watchers", NULL);
		log_warning_limited("watcher refused", "limit=%d", WATCH_STREAMS_MAX);
	} else {
		metrics_add(watch->shard, BACKEND_CALLS_CHANGES_OK, 1);
	}
}

void watch_tick(void *ctx)
{
	struct watch *watch = ctx;
	struct watch_stream *stream;
	int64_t now_ms = clock_now_ms();

	pthread_mutex_lock(&watch->lock);
	LIST_FOREACH(stream, &watch->streams, link) {
		if (stream->sending && !stream->gone && now_ms - stream->send_ms > RPC_STALLED_MS) {
			metrics_add(watch->shard, BACKEND_CALLS_STALLED, 1);
			stream->send_ms = now_ms; /* once */
			grpc_call_cancel(stream->call->call, NULL);
		}
		stream_push(stream, true);
	}
	pthread_mutex_unlock(&watch->lock);
}

static void push_all(struct watch *watch)
{
	struct watch_stream *stream;

	LIST_FOREACH(stream, &watch->streams, link)
		stream_push(stream, false);
}

void watch_wake(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	push_all(watch);
	pthread_mutex_unlock(&watch->lock);
}

void watch_close(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	watch->closed = true;
	push_all(watch);
	pthread_mutex_unlock(&watch->lock);
}

unsigned int watch_count_streams(struct watch *watch)
{
	unsigned int count;

	pthread_mutex_lock(&watch->lock);
	count = watch->stream_count;
	pthread_mutex_unlock(&watch->lock);
	return count;
}
