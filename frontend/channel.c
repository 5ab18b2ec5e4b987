/* gRPC's C core behind a small asynchronous interface. */
#include "frontend/channel.h"

#include "common/log.h"
#include "frontend/packet.h"

#include <errno.h>
#include <event2/event.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHANNEL_METHOD "/coredns.dns.DnsService/Query"

struct channel_queue {
	grpc_completion_queue *queue;
	pthread_t thread;
	struct channel_handler handler;
	_Atomic(struct channel_event *) completed; /* newest first */
	int wake_fd;
	struct event *wake;
	struct packet_arena arena;
};

struct channel {
	struct channel_queue *queue;
	grpc_channel *channel; /* NULL once closed */
	void *method;
	void *owner;
	struct channel_event watch; /* one is always out, until the channel is closed */
	grpc_connectivity_state watched;
	enum channel_state state;
};

/* --- the completion-queue thread -------------------------------------------------------------- */

static void channel_queue_push(struct channel_queue *queue, struct channel_event *event)
{
	atomic_load_explicit(&event->lent, memory_order_acquire);
	struct channel_event *head = atomic_load_explicit(&queue->completed, memory_order_relaxed);
	do
		event->next = head;
	while (!atomic_compare_exchange_weak_explicit(&queue->completed, &head, event,
						      memory_order_release, memory_order_relaxed));
	/* Who finds the list empty rings; the loop takes everything at once. */
	const uint64_t one = 1;
	if (!head && write(queue->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking a worker failed", "error=%s", strerror(errno));
}

static void *channel_queue_run(void *ctx)
{
	struct channel_queue *queue = ctx;
	for (;;) {
		grpc_event event = grpc_completion_queue_next(
			queue->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (event.type == GRPC_OP_COMPLETE)
			channel_queue_push(queue, event.tag);
	}
}

/* --- the loop's side -------------------------------------------------------------------------- */

/* Everything completed so far, oldest first. */
static struct channel_event *channel_queue_take(struct channel_queue *queue)
{
	struct channel_event *event =
		atomic_exchange_explicit(&queue->completed, NULL, memory_order_acquire);
	struct channel_event *oldest = NULL;
	while (event) {
		struct channel_event *next = event->next;
		event->next = oldest;
		oldest = event;
		event = next;
	}
	return oldest;
}

/* Gives back what gRPC lent for one call. */
static void channel_call_release(struct channel_call *call)
{
	grpc_byte_buffer_destroy(call->request);
	grpc_byte_buffer_destroy(call->response);
	grpc_slice_unref(call->details);
	grpc_call_unref(call->call);
	call->request = NULL;
	call->response = NULL;
	call->call = NULL;
}

static void channel_call_finish(struct channel_queue *queue, struct channel_call *call)
{
	struct channel_result result = {.status = call->status};
	if (result.status == GRPC_STATUS_OK) {
		if (call->response)
			result.reply = packet_decode(&queue->arena, call->response, &result.size);
		if (!result.reply)
			result.status = GRPC_STATUS_DATA_LOSS;
	}
	channel_call_release(call);
	queue->handler.done(queue->handler.ctx, call, &result);
}

/* To be called before an event is given to gRPC as a tag. */
static void channel_event_lend(struct channel_event *event)
{
	atomic_store_explicit(&event->lent, true, memory_order_release);
}

static void channel_watch(struct channel *channel)
{
	channel->watch.channel = channel;
	channel_event_lend(&channel->watch);
	grpc_channel_watch_connectivity_state(channel->channel, channel->watched,
					      gpr_inf_future(GPR_CLOCK_REALTIME),
					      channel->queue->queue, &channel->watch);
}

static enum channel_state channel_state_of(grpc_connectivity_state state, enum channel_state last)
{
	switch (state) {
	case GRPC_CHANNEL_READY:
		return CHANNEL_READY;
	case GRPC_CHANNEL_TRANSIENT_FAILURE:
	case GRPC_CHANNEL_SHUTDOWN:
		return CHANNEL_BROKEN;
	case GRPC_CHANNEL_CONNECTING:
		/* A new attempt after a failed one is no better than that until it succeeds. */
		return last == CHANNEL_BROKEN ? CHANNEL_BROKEN : CHANNEL_PENDING;
	default:
		return CHANNEL_PENDING;
	}
}

static void channel_follow(struct channel *channel)
{
	if (!channel->channel) {
		free(channel);
		return;
	}
	/* Asking also makes an idle channel connect. */
	channel->watched = grpc_channel_check_connectivity_state(channel->channel, 1);
	enum channel_state state = channel_state_of(channel->watched, channel->state);
	channel_watch(channel);
	if (state != channel->state) {
		channel->state = state;
		struct channel_handler *handler = &channel->queue->handler;
		handler->state(handler->ctx, channel->owner, state);
	}
}

static void channel_queue_on_wake(evutil_socket_t fd, short what, void *ctx)
{
	(void)what;
	struct channel_queue *queue = ctx;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading an eventfd failed", "error=%s", strerror(errno));
	struct channel_event *event = channel_queue_take(queue);
	while (event) {
		struct channel_event *next = event->next; /* the callbacks may use it again */
		if (event->call)
			channel_call_finish(queue, event->call);
		else
			channel_follow(event->channel);
		event = next;
	}
	queue->handler.flush(queue->handler.ctx);
}

/* --- life and death --------------------------------------------------------------------------- */

struct channel_queue *channel_queue_create(struct event_base *base,
					   const struct channel_handler *handler)
{
	struct channel_queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return NULL;
	queue->handler = *handler;
	queue->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queue->wake_fd < 0)
		goto failed;
	queue->wake =
		event_new(base, queue->wake_fd, EV_READ | EV_PERSIST, channel_queue_on_wake, queue);
	if (!queue->wake || event_add(queue->wake, NULL) != 0)
		goto failed;
	queue->queue = grpc_completion_queue_create_for_next(NULL);
	if (pthread_create(&queue->thread, NULL, channel_queue_run, queue) != 0)
		goto failed;
	pthread_setname_np(queue->thread, "grpc-queue");
	return queue;
failed:
	if (queue->queue) {
		grpc_completion_queue_shutdown(queue->queue);
		channel_queue_run(queue);
		grpc_completion_queue_destroy(queue->queue);
	}
	if (queue->wake)
		event_free(queue->wake);
	if (queue->wake_fd >= 0)
		close(queue->wake_fd);
	free(queue);
	return NULL;
}

void channel_queue_destroy(struct channel_queue *queue)
{
	if (!queue)
		return;
	grpc_completion_queue_shutdown(queue->queue);
	pthread_join(queue->thread, NULL);
	struct channel_event *event = channel_queue_take(queue);
	while (event) {
		struct channel_event *next = event->next;
		if (event->call)
			channel_call_release(event->call);
		else
			free(event->channel);
		event = next;
	}
	grpc_completion_queue_destroy(queue->queue);
	event_free(queue->wake);
	close(queue->wake_fd);
	free(queue);
}

static grpc_arg channel_arg_integer(const char *key, int value)
{
	return (grpc_arg){
		.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static grpc_arg channel_arg_string(const char *key, const char *value)
{
	return (grpc_arg){.type = GRPC_ARG_STRING,
			  .key = (char *)(uintptr_t)key,
			  .value.string = (char *)(uintptr_t)value};
}

static grpc_channel *channel_connect(const char *target, const char *authority)
{
	grpc_arg args[] = {
		channel_arg_integer(GRPC_ARG_MINIMAL_STACK, 1),
		channel_arg_integer(GRPC_ARG_ENABLE_RETRIES, 0),
		/* Each worker its own connection, rather than one shared through gRPC's pool. */
		channel_arg_integer(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
		channel_arg_integer(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100),
		channel_arg_integer(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000),
		channel_arg_integer(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000),
		/* A host that vanished without a word is noticed after 15 s at the latest. */
		channel_arg_integer(GRPC_ARG_KEEPALIVE_TIME_MS, 10000),
		channel_arg_integer(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000),
		/* The environment's http_proxy is not meant for us. */
		channel_arg_integer(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
		channel_arg_integer(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
		channel_arg_string(GRPC_ARG_DEFAULT_AUTHORITY, authority),
	};
	grpc_channel_args list = {sizeof(args) / sizeof(args[0]), args};
	grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
	grpc_channel *channel = grpc_channel_create(target, credentials, &list);
	grpc_channel_credentials_release(credentials);
	return channel;
}

struct channel *channel_open(struct channel_queue *queue, const char *target, const char *authority,
			     void *owner)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	if (!channel)
		return NULL;
	channel->queue = queue;
	channel->owner = owner;
	channel->channel = channel_connect(target, authority);
	channel->method = grpc_channel_register_call(channel->channel, CHANNEL_METHOD, NULL, NULL);
	channel->state = CHANNEL_PENDING;
	channel->watched = grpc_channel_check_connectivity_state(channel->channel, 1);
	channel_watch(channel);
	return channel;
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	/* The watch comes back as SHUTDOWN; channel_follow or channel_queue_destroy then frees. */
	grpc_channel *closing = channel->channel;
	channel->channel = NULL;
	grpc_channel_destroy(closing);
}

/* --- calls ------------------------------------------------------------------------------------ */

void channel_call_init(struct channel_call *call)
{
	*call = (struct channel_call){.event.call = call};
	grpc_metadata_array_init(&call->headers);
	grpc_metadata_array_init(&call->trailers);
}

void channel_call_clear(struct channel_call *call)
{
	grpc_metadata_array_destroy(&call->headers);
	grpc_metadata_array_destroy(&call->trailers);
}

/* All six operations of a unary call in one batch: one completion, and the cheapest way. */
static grpc_call_error channel_call_begin(struct channel_call *call)
{
	grpc_op ops[6] = {
		{.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
		{.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
		{.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
	};
	ops[1].data.send_message.send_message = call->request;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->headers;
	ops[4].data.recv_message.recv_message = &call->response;
	ops[5].data.recv_status_on_client.trailing_metadata = &call->trailers;
	ops[5].data.recv_status_on_client.status = &call->status;
	ops[5].data.recv_status_on_client.status_details = &call->details;
	channel_event_lend(&call->event);
	return grpc_call_start_batch(call->call, ops, 6, &call->event, NULL);
}

int channel_call_start(struct channel *channel, struct channel_call *call, const uint8_t *message,
		       size_t size, int timeout_ms)
{
	gpr_timespec deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					     gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
	call->headers.count = 0;
	call->trailers.count = 0;
	call->details = grpc_empty_slice();
	call->response = NULL;
	call->request = packet_encode(message, size);
	call->call = grpc_channel_create_registered_call(
		channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS, channel->queue->queue,
		channel->method, deadline, NULL);
	grpc_call_error error = channel_call_begin(call);
	if (error == GRPC_CALL_OK)
		return 0;
	log_warning_limited("gRPC refused a call", "error=%s", grpc_call_error_to_string(error));
	channel_call_release(call);
	return -1;
}

void channel_call_cancel(struct channel_call *call)
{
	grpc_call_cancel(call->call, NULL);
}
