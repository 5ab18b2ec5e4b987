/* gRPC's channels and unary calls behind a small asynchronous interface. */
#include "frontend/channel.h"

#include "common/log.h"
#include "frontend/packet.h"

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const channel_methods[CHANNEL_METHODS] = {
	[CHANNEL_QUERY] = "/coredns.dns.DnsService/Query",
	[CHANNEL_EXCHANGE] = "/godwit.v1.Backend/Exchange",
	[CHANNEL_WATCH] = "/godwit.v1.Backend/Watch",
};

struct channel {
	struct channel_event watch; /* first; one is always out, until the channel is closed */
	struct channel_queue *queue;
	struct channel_handler handler;
	grpc_channel *channel; /* NULL once closed */
	void *methods[CHANNEL_METHODS];
	void *owner;
	grpc_connectivity_state watched;
	enum channel_state state;
	struct packet_arena arena;
};

/* --- the connection's state ------------------------------------------------------------------- */

static void channel_watch(struct channel *channel)
{
	grpc_channel_watch_connectivity_state(channel->channel, channel->watched,
					      gpr_inf_future(GPR_CLOCK_REALTIME),
					      channel_queue_inner(channel->queue),
					      channel_event_lend(channel->queue, &channel->watch));
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

static void channel_drop(struct channel_event *event)
{
	free((struct channel *)event);
}

static void channel_follow(struct channel_event *event, bool ok)
{
	(void)ok;
	struct channel *channel = (struct channel *)event;
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
		channel->handler.state(channel->handler.ctx, channel->owner, state);
	}
}

/* --- life and death --------------------------------------------------------------------------- */

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

static grpc_channel *channel_connect(const char *target, const struct plan_backend *backend)
{
	char server_name[256];
	credentials_server_name(backend->credentials, backend->text, server_name);
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
		channel_arg_string(GRPC_ARG_DEFAULT_AUTHORITY, backend->text),
		channel_arg_string(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, server_name),
	};
	grpc_channel_args list = {sizeof(args) / sizeof(args[0]), args};
	grpc_channel_credentials *credentials =
		credentials_open(backend->credentials, backend->address.kind);
	grpc_channel *channel = grpc_channel_create(target, credentials, &list);
	grpc_channel_credentials_release(credentials);
	return channel;
}

struct channel *channel_open(struct channel_queue *queue, const char *target,
			     const struct plan_backend *backend,
			     const struct channel_handler *handler, void *owner)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	if (!channel)
		return NULL;
	channel->watch.fire = channel_follow;
	channel->watch.drop = channel_drop;
	channel->queue = queue;
	channel->handler = *handler;
	channel->owner = owner;
	channel->channel = channel_connect(target, backend);
	for (int i = 0; i < CHANNEL_METHODS; i++)
		channel->methods[i] = grpc_channel_register_call(channel->channel,
								 channel_methods[i], NULL, NULL);
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

struct channel_queue *channel_queue_of(const struct channel *channel)
{
	return channel->queue;
}

grpc_call *channel_create_call(struct channel *channel, enum channel_method method,
			       gpr_timespec deadline)
{
	return grpc_channel_create_registered_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
						   channel_queue_inner(channel->queue),
						   channel->methods[method], deadline, NULL);
}

/* --- calls ------------------------------------------------------------------------------------ */

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

static void channel_call_drop(struct channel_event *event)
{
	channel_call_release((struct channel_call *)event);
}

static void channel_call_finish(struct channel_event *event, bool ok)
{
	(void)ok; /* the status says all */
	struct channel_call *call = (struct channel_call *)event;
	struct channel *channel = call->channel;
	struct channel_result result = {.status = call->status};
	if (result.status == GRPC_STATUS_OK) {
		if (call->response)
			result.reply = packet_decode(&channel->arena, call->response, &result.size);
		if (!result.reply)
			result.status = GRPC_STATUS_DATA_LOSS;
	}
	channel_call_release(call);
	channel->handler.done(channel->handler.ctx, call, &result);
}

void channel_call_init(struct channel_call *call)
{
	*call = (struct channel_call){
		.event = {.fire = channel_call_finish, .drop = channel_call_drop}};
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
	return grpc_call_start_batch(call->call, ops, 6,
				     channel_event_lend(call->channel->queue, &call->event), NULL);
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
	call->channel = channel;
	call->call = channel_create_call(channel, CHANNEL_QUERY, deadline);
	grpc_call_error error = channel_call_begin(call);
	if (error == GRPC_CALL_OK)
		return 0;
	channel_event_take_back(&call->event);
	log_warning_limited("gRPC refused a call", "reason=%s", grpc_call_error_to_string(error));
	channel_call_release(call);
	return -1;
}

void channel_call_cancel(struct channel_call *call)
{
	grpc_call_cancel(call->call, NULL);
}
