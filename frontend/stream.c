/*
 * The life of an Exchange stream:
 *
 *     CLOSED --connected--> OPENING --taken--> OPEN --ended--> CLOSED (paused, then OPENING)
 *                              |                 \--connection goes away--> DRAINING --> CLOSED
 *                              \--UNIMPLEMENTED--> ABSENT --connected anew--> OPENING
 */
#include "frontend/stream.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "frontend/channel_stream.h"
#include "frontend/coherence.h"
#include "proto/batch.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

/* How long a stream on which nothing is asked stays without an ear. */
#define STREAM_LISTEN_MS 10
/* How long questions gather at most while messages before them have no answer. */
#define STREAM_GATHER_MS 1

enum stream_state { STREAM_CLOSED, STREAM_OPENING, STREAM_OPEN, STREAM_DRAINING, STREAM_ABSENT };

struct stream {
	struct stream_options options;
	struct channel_stream *call; /* while OPENING, OPEN or DRAINING */
	enum stream_state state;
	bool connected;
	unsigned int silent; /* questions given up since the last answer */
	struct event *reopen;
	struct event *gathered; /* what waits has done so for long enough */
	struct event *listen;   /* when nothing is asked: to hear what comes all the same */
	struct backoff backoff;
	struct window window;
};

_Static_assert(BATCH_FACTS_MAX == CACHE_FACTS_MAX, "all facts told can be kept");
_Static_assert(WINDOW_QUESTIONS <= BATCH_QUESTIONS_MAX, "a message can take all there are");

/* --- opening and ending ----------------------------------------------------------------------- */

static void stream_open(struct stream *stream);

static void stream_set_state(struct stream *stream, enum stream_state state)
{
	bool was_open = stream->state == STREAM_OPEN;
	stream->state = state;
	if (was_open != (state == STREAM_OPEN))
		stream->options.handler.state(stream->options.handler.ctx, stream->options.owner,
					      !was_open);
}

static void stream_pause(struct stream *stream)
{
	int64_t wait_ms = backoff_next(&stream->backoff);
	const struct timeval wait = clock_timeval(wait_ms);
	if (stream->connected && event_add(stream->reopen, &wait) != 0)
		log_error("a stream cannot be opened again: no timer", NULL);
}

/* Hands all questions back. `done` may ask, but this stream takes nothing: it is not open. */
static void stream_fail_questions(struct stream *stream, grpc_status_code status)
{
	const struct channel_result result = {.status = status};
	struct window_question *question;
	while ((question = window_any(&stream->window))) {
		window_remove(&stream->window, question);
		stream->options.handler.done(stream->options.handler.ctx,
					     (struct stream_question *)question, &result, NULL);
	}
}

/* The call is over, or given up: it has been closed or frees itself. */
static void stream_note_end(struct stream *stream, grpc_status_code status)
{
	bool drained = stream->state == STREAM_DRAINING && window_count(&stream->window) == 0;
	stream->call = NULL;
	if (status == GRPC_STATUS_UNIMPLEMENTED) {
		stream_set_state(stream, STREAM_ABSENT);
	} else {
		stream_set_state(stream, STREAM_CLOSED);
		if (!drained)
			metrics_add(stream->options.shard, FRONTEND_STREAMS_BROKEN, 1);
		stream_pause(stream);
	}
	stream_fail_questions(stream, status == GRPC_STATUS_OK ? GRPC_STATUS_UNAVAILABLE : status);
}

/* Ends the call from our side. */
static void stream_break(struct stream *stream, grpc_status_code status)
{
	channel_stream_close(stream->call);
	stream_note_end(stream, status);
}

static void stream_finish_if_drained(struct stream *stream)
{
	if (stream->state == STREAM_DRAINING && window_count(&stream->window) == 0)
		channel_stream_finish(stream->call);
}

/* --- asking ----------------------------------------------------------------------------------- */

bool stream_ask(struct stream *stream, struct stream_question *question, const uint8_t *message,
		size_t size)
{
	if (stream->state != STREAM_OPEN || !window_add(&stream->window, &question->window))
		return false;
	question->message = message;
	question->size = size;
	return true;
}

/* Moves waiting questions into a message, as many as fit; returns how many. */
static uint64_t stream_pack(struct stream *stream, struct batch_writer *writer)
{
	const struct coherence *coherence = stream->options.coherence;
	uint64_t asked = coherence ? coherence_now(coherence) : 0;
	struct window_question *first;
	uint64_t count = 0;
	while ((first = window_first(&stream->window))) {
		struct stream_question *question = (struct stream_question *)first;
		if (!batch_write_question(writer, first->id, question->message, question->size))
			break;
		question->asked = asked;
		window_send(&stream->window, first);
		count++;
	}
	return count;
}

/* Sends one message of what waits. False when there can be no other now. */
static bool stream_send(struct stream *stream)
{
	uint8_t octets[BATCH_QUESTIONS_SIZE];
	struct batch_writer writer;
	batch_writer_init(&writer, octets, sizeof(octets));
	uint64_t count = stream_pack(stream, &writer);
	metrics_add(stream->options.shard, FRONTEND_STREAM_MESSAGES, 1);
	metrics_add(stream->options.shard, FRONTEND_STREAM_QUESTIONS, count);
	/* When it is refused the call is ending, and hands them back. */
	return channel_stream_write(stream->call, writer.octets, writer.size) &&
	       !channel_stream_is_writing(stream->call);
}

static bool stream_can_send(const struct stream *stream)
{
	return (stream->state == STREAM_OPEN || stream->state == STREAM_DRAINING) &&
	       !channel_stream_is_writing(stream->call);
}

static void stream_send_all(struct stream *stream)
{
	while (window_begin_message(&stream->window) && stream_send(stream))
		;
	if (window_count(&stream->window) > 0)
		channel_stream_read(stream->call);
}

void stream_flush(struct stream *stream)
{
	const struct timeval soon = clock_timeval(STREAM_GATHER_MS);
	if (!stream_can_send(stream))
		return;
	if (!window_may_gather(&stream->window))
		stream_send_all(stream);
	else if (!evtimer_pending(stream->gathered, NULL))
		evtimer_add(stream->gathered, &soon);
}

static void stream_on_gathered(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct stream *stream = ctx;
	if (stream_can_send(stream))
		stream_send_all(stream);
}

void stream_forget(struct stream *stream, struct stream_question *question)
{
	bool sent = question->window.sent;
	window_remove(&stream->window, &question->window);
	if (sent)
		stream->silent++;
	if (stream->silent >= STREAM_SILENT_MAX && stream->call)
		stream_break(stream, GRPC_STATUS_DEADLINE_EXCEEDED);
	else
		stream_finish_if_drained(stream);
}

/* --- the call's events ------------------------------------------------------------------------ */

static void stream_on_opened(void *ctx)
{
	struct stream *stream = ctx;
	stream->silent = 0;
	if (stream->state != STREAM_OPENING)
		return;
	if (stream->connected)
		stream_set_state(stream, STREAM_OPEN);
	else
		stream_break(stream, GRPC_STATUS_UNAVAILABLE);
}

/* Where an answer came from, for the cache. NULL when it must be used once only. */
static const struct cache_origin *stream_origin(const struct stream *stream,
						const struct stream_question *question,
						const struct batch_answer *answer,
						struct cache_origin *out)
{
	if (answer->is_volatile || stream->options.source == 0)
		return NULL;
	out->source = stream->options.source;
	out->asked = question->asked;
	out->fact_count = answer->fact_count;
	memcpy(out->facts, answer->facts, answer->fact_count * sizeof(out->facts[0]));
	return out;
}

/*
 * The size of the zone's name that an answer tells; 0 when no label of the question begins there.
 */
static uint8_t stream_zone_size(const struct stream_question *question,
				const struct batch_answer *answer)
{
	const uint8_t *name = question->message + DNS_HEADER_SIZE;
	size_t left = dns_name_size(name);
	for (; left > answer->zone_size; name += 1 + *name)
		left -= 1u + *name;
	return left == answer->zone_size ? answer->zone_size : 0;
}

static void stream_take_answer(struct stream *stream, const struct batch_answer *answer)
{
	struct window_question *found = window_find(&stream->window, answer->id);
	if (!found) {
		metrics_add(stream->options.shard, FRONTEND_STREAM_STRAYS, 1);
		return;
	}
	struct stream_question *question = (struct stream_question *)found;
	struct channel_result result = {.status = GRPC_STATUS_UNAVAILABLE};
	const struct cache_origin *origin = NULL;
	struct cache_origin made;
	window_remove(&stream->window, found);
	if (answer->size > 0) {
		result = (struct channel_result){
			.status = GRPC_STATUS_OK,
			.reply = answer->msg,
			.size = answer->size,
			.zone_size = stream_zone_size(question, answer),
		};
		origin = stream_origin(stream, question, answer, &made);
		made.zone_size = result.zone_size;
	}
	stream->options.handler.done(stream->options.handler.ctx, question, &result, origin);
}

/*
 * Lets the next message come. When no answer is due, and until more is asked, that can wait: the
 * word that the backend may go on sending then leaves with the questions.
 */
static void stream_await_message(struct stream *stream)
{
	const struct timeval soon = clock_timeval(STREAM_LISTEN_MS);
	if (window_count(&stream->window) > 0)
		channel_stream_read(stream->call);
	else if (!evtimer_pending(stream->listen, NULL))
		evtimer_add(stream->listen, &soon);
}

static void stream_on_listen(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct stream *stream = ctx;
	if (stream->call)
		channel_stream_read(stream->call);
}

static void stream_on_message(void *ctx, uint8_t *octets, size_t size)
{
	struct stream *stream = ctx;
	struct batch_reader reader;
	struct batch_answer answer;
	enum batch_read result;
	stream->silent = 0;
	batch_reader_init(&reader, octets, size);
	while ((result = batch_read_answer(&reader, &answer)) == BATCH_READ)
		stream_take_answer(stream, &answer);
	if (result == BATCH_MALFORMED) {
		log_warning_limited("a backend's stream makes no sense, ending it", "size=%zu",
				    size);
		stream_break(stream, GRPC_STATUS_DATA_LOSS);
		return;
	}
	backoff_reset(&stream->backoff);
	/* There may be room for a message again. */
	stream_flush(stream);
	stream_await_message(stream);
	stream_finish_if_drained(stream);
}

static void stream_on_written(void *ctx)
{
	stream_flush(ctx);
}

static void stream_on_ended(void *ctx, grpc_status_code status)
{
	stream_note_end(ctx, status);
}

static const struct channel_stream_handler stream_call_handler = {
	.opened = stream_on_opened,
	.message = stream_on_message,
	.written = stream_on_written,
	.ended = stream_on_ended,
};

static void stream_open(struct stream *stream)
{
	stream->silent = 0;
	stream->call = channel_stream_open(stream->options.channel, CHANNEL_EXCHANGE,
					   BATCH_ANSWERS_SIZE, &stream_call_handler, stream);
	if (stream->call)
		stream_set_state(stream, STREAM_OPENING);
	else
		stream_pause(stream);
}

static void stream_on_reopen(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct stream *stream = ctx;
	if (stream->state == STREAM_CLOSED && stream->connected)
		stream_open(stream);
}

void stream_note_connection(struct stream *stream, bool ready)
{
	stream->connected = ready;
	if (ready) {
		if (stream->state == STREAM_CLOSED || stream->state == STREAM_ABSENT) {
			evtimer_del(stream->reopen);
			stream_open(stream);
		}
	} else if (stream->state == STREAM_OPEN) {
		/* What is on the way may still be answered, if only this connection goes away. */
		stream_set_state(stream, STREAM_DRAINING);
		stream_finish_if_drained(stream);
	}
}

bool stream_is_open(const struct stream *stream)
{
	return stream->state == STREAM_OPEN;
}

bool stream_is_absent(const struct stream *stream)
{
	return stream->state == STREAM_ABSENT;
}

/* --- life and death --------------------------------------------------------------------------- */

struct stream *stream_create(const struct stream_options *options)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return NULL;
	stream->options = *options;
	stream->backoff =
		(struct backoff){.min_ms = STREAM_PAUSE_MIN_MS, .max_ms = STREAM_PAUSE_MAX_MS};
	stream->reopen = evtimer_new(options->base, stream_on_reopen, stream);
	stream->listen = evtimer_new(options->base, stream_on_listen, stream);
	stream->gathered = evtimer_new(options->base, stream_on_gathered, stream);
	if (!stream->reopen || !stream->listen || !stream->gathered) {
		stream_destroy(stream);
		return NULL;
	}
	window_init(&stream->window);
	return stream;
}

void stream_destroy(struct stream *stream)
{
	if (!stream)
		return;
	channel_stream_close(stream->call);
	if (stream->reopen)
		event_free(stream->reopen);
	if (stream->listen)
		event_free(stream->listen);
	if (stream->gathered)
		event_free(stream->gathered);
	free(stream);
}
