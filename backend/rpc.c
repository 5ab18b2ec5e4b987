#include "backend/rpc.h"

#include "backend/counters.h"
#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LANES_MAX 4

TAILQ_HEAD(call_list, rpc_call);

struct rpc_lane {
	struct rpc_queue *queue;
	struct rpc_method method;
	struct rpc_call *calls;     /* method.slots of them */
	struct call_list free;      /* slots not in use */
	struct call_list finishing; /* replies on their way, oldest first */
	unsigned int posted;        /* slots that wait for a call now */
};

struct rpc_queue {
	struct rpc_queue_options options;
	char name[HEARTBEAT_NAME_MAX];
	grpc_server *server;
	grpc_completion_queue *queue;
	pthread_t thread;
	bool running;
	/* Slots posted or in hand: what may still post to the queue. Written by the thread. */
	_Atomic unsigned int busy;
	unsigned int lane_count;
	struct rpc_lane lanes[LANES_MAX];
};

static void call_arrived(struct rpc_tag *tag, bool ok);
static void call_finished(struct rpc_tag *tag, bool ok);

/* --- lanes ------------------------------------------------------------------------------------ */

static grpc_call_error call_request(struct rpc_call *call)
{
	struct rpc_queue *queue = call->lane->queue;
	void *handle = call->lane->method.handle;

	call->tag.fire = call_arrived;
	if (handle == NULL)
		return grpc_server_request_call(queue->server, &call->call, &call->details,
						&call->metadata, queue->queue, queue->queue,
						&call->tag);
	return grpc_server_request_registered_call(
		queue->server, handle, &call->call, &call->deadline, &call->metadata,
		call->lane->method.streams ? NULL : &call->request, queue->queue, queue->queue,
		&call->tag);
}

/* Posts free slots until as many wait as should. See the header for when this may be called. */
static void lane_post(struct rpc_lane *lane)
{
	while (lane->posted < lane->method.posted && !TAILQ_EMPTY(&lane->free)) {
		struct rpc_call *call = TAILQ_FIRST(&lane->free);
		grpc_call_error error = call_request(call);

		if (error != GRPC_CALL_OK) {
			log_warning_limited("waiting for a gRPC call failed", "reason=%s",
					    grpc_call_error_to_string(error));
			return;
		}
		TAILQ_REMOVE(&lane->free, call, link);
		lane->posted++;
		atomic_fetch_add(&lane->queue->busy, 1);
	}
}

/* A slot is at rest, and its thread has nothing more to post for it: the last step. */
static void lane_note_rest(struct rpc_lane *lane)
{
	atomic_fetch_sub(&lane->queue->busy, 1);
}

/* Cancels calls whose client has not taken the reply in time. */
static void lane_sweep(struct rpc_lane *lane, int64_t now_ms)
{
	struct rpc_call *call;

	while ((call = TAILQ_FIRST(&lane->finishing)) != NULL &&
	       now_ms - call->finished_ms > RPC_STALLED_MS) {
		TAILQ_REMOVE(&lane->finishing, call, link);
		call->finishing = false;
		metrics_add(lane->queue->options.shard, BACKEND_CALLS_STALLED, 1);
		grpc_call_cancel(call->call, NULL);
	}
}

static void lane_init(struct rpc_lane *lane, struct rpc_queue *queue,
		      const struct rpc_method *method)
{
	lane->queue = queue;
	lane->method = *method;
	lane->calls = gpr_zalloc(method->slots * sizeof(*lane->calls));
	TAILQ_INIT(&lane->free);
	TAILQ_INIT(&lane->finishing);
	for (unsigned int i = 0; i < method->slots; i++) {
		struct rpc_call *call = &lane->calls[i];

		call->lane = lane;
		grpc_metadata_array_init(&call->metadata);
		grpc_call_details_init(&call->details);
		TAILQ_INSERT_TAIL(&lane->free, call, link);
	}
}

static void lane_clear(struct rpc_lane *lane)
{
	for (unsigned int i = 0; i < lane->method.slots; i++) {
		grpc_metadata_array_destroy(&lane->calls[i].metadata);
		grpc_call_details_destroy(&lane->calls[i].details);
	}
	gpr_free(lane->calls);
}

/* --- calls ------------------------------------------------------------------------------------ */

static void call_arrived(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = (struct rpc_call *)tag;
	struct rpc_lane *lane = call->lane;

	lane->posted--;
	if (!ok) { /* the server is shutting down */
		TAILQ_INSERT_TAIL(&lane->free, call, link);
		lane_note_rest(lane);
		return;
	}
	lane_post(lane);
	lane->method.serve(call, lane->method.ctx);
}

int64_t rpc_call_read(struct rpc_call *call, uint8_t *out)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	int64_t size = 0;

	if (call->request == NULL || grpc_byte_buffer_length(call->request) > RPC_REQUEST_MAX)
		return -1;
	if (!grpc_byte_buffer_reader_init(&reader, call->request))
		return -1;
	while (grpc_byte_buffer_reader_next(&reader, &slice)) {
		memcpy(out + size, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
		size += (int64_t)GRPC_SLICE_LENGTH(slice);
		grpc_slice_unref(slice);
	}
	grpc_byte_buffer_reader_destroy(&reader);
	return size;
}

void rpc_call_finish(struct rpc_call *call, grpc_status_code status, const char *words,
		     const grpc_slice *message)
{
	grpc_slice details = grpc_slice_from_static_string(words != NULL ? words : "");
	grpc_op ops[4] = {0};
	grpc_call_error error;
	size_t count = 0;

	ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
	if (message != NULL) {
		grpc_slice slice = *message;

		call->reply = grpc_raw_byte_buffer_create(&slice, 1);
		grpc_slice_unref(slice);
		ops[count].op = GRPC_OP_SEND_MESSAGE;
		ops[count++].data.send_message.send_message = call->reply;
	}
	ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
	ops[count].data.send_status_from_server.status = status;
	ops[count++].data.send_status_from_server.status_details = words != NULL ? &details : NULL;
	ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
	ops[count++].data.recv_close_on_server.cancelled = &call->cancelled;

	call->tag.fire = call_finished;
	call->finishing = true;
	call->finished_ms = clock_now_ms();
	TAILQ_INSERT_TAIL(&call->lane->finishing, call, link);
	error = grpc_call_start_batch(call->call, ops, count, &call->tag, NULL);
	if (error != GRPC_CALL_OK) {
		log_warning_limited("sending a gRPC reply failed", "reason=%s",
				    grpc_call_error_to_string(error));
		call_finished(&call->tag, false);
	}
}

static void call_finished(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = (struct rpc_call *)tag;

	if (!ok || call->cancelled)
		metrics_add(call->lane->queue->options.shard, BACKEND_CALLS_CANCELLED, 1);
	if (call->finishing)
		TAILQ_REMOVE(&call->lane->finishing, call, link);
	call->finishing = false;
	rpc_call_release(call);
}

void rpc_call_release(struct rpc_call *call)
{
	struct rpc_lane *lane = call->lane;
	grpc_call *gone = call->call;

	grpc_byte_buffer_destroy(call->request);
	grpc_byte_buffer_destroy(call->reply);
	if (lane->method.handle == NULL) { /* the details' slices are ours, unlike the metadata's */
		grpc_call_details_destroy(&call->details);
		grpc_call_details_init(&call->details);
	}
	call->request = NULL;
	call->reply = NULL;
	call->call = NULL;
	call->metadata.count = 0;
	TAILQ_INSERT_HEAD(&lane->free, call, link);
	lane_post(lane);
	grpc_call_unref(gone);
	lane_note_rest(lane);
}

/* --- the queue and its thread ----------------------------------------------------------------- */

static gpr_timespec next_tick(void)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
			    gpr_time_from_millis(RPC_TICK_MS, GPR_TIMESPAN));
}

static void queue_tick(struct rpc_queue *queue, int64_t now_ms)
{
	heartbeat_beat(queue->options.heartbeat);
	for (unsigned int i = 0; i < queue->lane_count; i++)
		lane_sweep(&queue->lanes[i], now_ms);
	if (queue->options.tick != NULL)
		queue->options.tick(queue->options.ctx);
}

static void *queue_run(void *arg)
{
	struct rpc_queue *queue = arg;
	gpr_timespec wake = next_tick();
	int64_t tick_ms = clock_now_ms() + RPC_TICK_MS;

	pthread_setname_np(pthread_self(), queue->name);
	if (queue->options.enter != NULL)
		queue->options.enter();
	for (;;) {
		grpc_event event = grpc_completion_queue_next(queue->queue, wake, NULL);

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			break;
		if (event.type == GRPC_OP_COMPLETE) {
			struct rpc_tag *tag = event.tag;

			tag->fire(tag, event.success);
		}
		if (clock_now_ms() < tick_ms)
			continue;
		queue_tick(queue, clock_now_ms());
		tick_ms = clock_now_ms() + RPC_TICK_MS;
		wake = next_tick();
	}
	if (queue->options.leave != NULL)
		queue->options.leave();
	heartbeat_end(queue->options.heartbeat);
	return NULL;
}

struct rpc_queue *rpc_queue_create(grpc_server *server, const struct rpc_queue_options *options)
{
	grpc_completion_queue_attributes attributes = {
		.version = GRPC_CQ_CURRENT_VERSION,
		.cq_completion_type = GRPC_CQ_NEXT,
		.cq_polling_type = options->polls ? GRPC_CQ_DEFAULT_POLLING : GRPC_CQ_NON_POLLING,
	};
	struct rpc_queue *queue = gpr_zalloc(sizeof(*queue));

	queue->options = *options;
	snprintf(queue->name, sizeof(queue->name), "%s", options->name);
	queue->server = server;
	queue->queue = grpc_completion_queue_create(
		grpc_completion_queue_factory_lookup(&attributes), &attributes, NULL);
	grpc_server_register_completion_queue(server, queue->queue, NULL);
	return queue;
}

void rpc_queue_add_method(struct rpc_queue *queue, const struct rpc_method *method)
{
	GPR_ASSERT(queue->lane_count < LANES_MAX);
	lane_init(&queue->lanes[queue->lane_count++], queue, method);
}

int rpc_queue_start(struct rpc_queue *queue)
{
	int error;

	for (unsigned int i = 0; i < queue->lane_count; i++)
		lane_post(&queue->lanes[i]);
	error = pthread_create(&queue->thread, NULL, queue_run, queue);
	queue->running = error == 0;
	return error;
}

/* Drains a queue that has no thread: what was posted comes back as failed. */
static void queue_drain(struct rpc_queue *queue)
{
	for (;;) {
		grpc_event event = grpc_completion_queue_next(
			queue->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return;
	}
}

bool rpc_queue_is_idle(const struct rpc_queue *queue)
{
	return atomic_load(&queue->busy) == 0;
}

void rpc_queue_stop(struct rpc_queue *queue)
{
	grpc_completion_queue_shutdown(queue->queue);
	if (queue->running)
		pthread_join(queue->thread, NULL);
	else
		queue_drain(queue);
}

void rpc_queue_destroy(struct rpc_queue *queue)
{
	for (unsigned int i = 0; i < queue->lane_count; i++)
		lane_clear(&queue->lanes[i]);
	grpc_completion_queue_destroy(queue->queue);
	gpr_free(queue);
}
