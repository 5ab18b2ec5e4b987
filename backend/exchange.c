/*
 * A stream has up to three batches under way: one that reads, one that writes (answers, or the
 * final status), and one that waits for the end of the call. It moves on in exchange_advance, which
 * does what can be done next whenever one of them has completed:
 *
 *     questions in hand, nothing being written   answer, write
 *     no questions in hand, nothing being read   read
 *     told to end, nothing being written         write the status
 *     call over, nothing under way               release
 *
 * Answers that do not fit one message are written in several: the reader of the questions stays
 * where it is until the write has completed.
 */
#include "backend/exchange.h"

#include "backend/answer.h"
#include "backend/counters.h"
#include "backend/mirror.h"
#include "backend/query_service.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "proto/batch.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

struct exchange_stream {
	struct exchange *exchange;
	struct rpc_call *call;
	struct rpc_tag read;
	struct rpc_tag written;
	struct rpc_tag closed;
	grpc_byte_buffer *message; /* where the next message of questions is put */
	grpc_byte_buffer *answers; /* being written */
	grpc_slice questions;      /* in hand */
	struct batch_reader rest;  /* of them, not answered yet */
	unsigned int count;        /* of them, answered */
	bool answering;            /* there are questions in hand */
	bool opened;               /* initial metadata is sent */
	bool reading;
	bool writing;
	bool ending; /* the status is to be sent next */
	bool ended;  /* it is sent, or never will be */
	bool gone;   /* the call is over */
	grpc_status_code status;
	const char *words;
	int cancelled;
	int64_t write_ms; /* when the write began */
	LIST_ENTRY(exchange_stream) link;
};

struct exchange {
	const struct mirror *mirror;
	struct metrics_shard *shard;
	_Atomic bool closing;
	_Atomic unsigned int stream_count;
	LIST_HEAD(, exchange_stream) streams;
	uint8_t answers[BATCH_ANSWERS_SIZE]; /* the message being made */
};

struct exchange *exchange_create(const struct mirror *mirror, struct metrics_shard *shard)
{
	struct exchange *exchange = gpr_zalloc(sizeof(*exchange));

	exchange->mirror = mirror;
	exchange->shard = shard;
	LIST_INIT(&exchange->streams);
	return exchange;
}

void exchange_destroy(struct exchange *exchange)
{
	gpr_free(exchange);
}

void exchange_close(struct exchange *exchange)
{
	atomic_store(&exchange->closing, true);
}

unsigned int exchange_count_streams(const struct exchange *exchange)
{
	return atomic_load_explicit(&exchange->stream_count, memory_order_relaxed);
}

/* --- answering -------------------------------------------------------------------------------- */

static void answer_question(struct exchange *exchange, const struct batch_question *question,
			    bool loaded, uint8_t *reply, struct batch_writer *writer)
{
	struct metrics_shard *shard = exchange->shard;
	struct answer_info info;
	size_t size = 0;

	info.wants_facts = true;
	info.fact_count = 0;
	info.is_volatile = false;
	if (loaded)
		size = answer_query(exchange->mirror, question->msg, question->size,
				    QUERY_SERVICE_UDP_PAYLOAD, reply, &info);
	if (size == 0) {
		metrics_add(shard, BACKEND_EXCHANGE_UNANSWERED, 1);
		batch_end_answer(writer, 0, NULL, 0, false, 0);
		return;
	}
	batch_end_answer(writer, size, info.facts, info.fact_count, info.is_volatile,
			 info.zone_size);
	metrics_add(shard, backend_counter_of_rcode(info.rcode), 1);
	metrics_add(shard, backend_counter_of_qtype(info.qtype), 1);
}

/*
 * Answers questions in hand until there are no more (BATCH_END), the message of answers is full
 * (BATCH_READ), or something is no question. In one read section of the mirror.
 */
static enum batch_read answer_questions(struct exchange_stream *stream, struct batch_writer *writer)
{
	struct exchange *exchange = stream->exchange;
	bool loaded = mirror_is_loaded(exchange->mirror);
	unsigned int count = 0;
	enum batch_read result;

	mirror_read_begin();
	for (;;) {
		struct batch_reader rest = stream->rest;
		struct batch_question question;
		uint8_t *reply;

		result = batch_read_question(&rest, &question);
		if (result != BATCH_READ)
			break;
		if (stream->count + count == BATCH_QUESTIONS_MAX ||
		    question.size > ANSWER_SIZE_MAX) {
			result = BATCH_MALFORMED;
			break;
		}
		reply = batch_begin_answer(writer, question.id, ANSWER_SIZE_MAX);
		if (reply == NULL)
			break;
		answer_question(exchange, &question, loaded, reply, writer);
		stream->rest = rest;
		count++;
	}
	mirror_read_end();
	stream->count += count;
	metrics_add(exchange->shard, BACKEND_EXCHANGE_QUESTIONS, count);
	return result;
}

/* --- batches ---------------------------------------------------------------------------------- */

static void stream_end(struct exchange_stream *stream, grpc_status_code status, const char *words)
{
	if (stream->ending)
		return;
	stream->ending = true;
	stream->status = status;
	stream->words = words;
}

/* A batch that gRPC does not take can only be our mistake: end the stream, not the process. */
static bool stream_start(struct exchange_stream *stream, const grpc_op *ops, size_t count,
			 struct rpc_tag *tag)
{
	grpc_call_error error = grpc_call_start_batch(stream->call->call, ops, count, tag, NULL);

	if (error == GRPC_CALL_OK)
		return true;
	log_error("gRPC refused a batch of an Exchange stream", "reason=%s",
		  grpc_call_error_to_string(error));
	stream->ended = true;
	grpc_call_cancel(stream->call->call, NULL);
	return false;
}

static void stream_read(struct exchange_stream *stream)
{
	grpc_op ops[2] = {{.op = GRPC_OP_RECV_MESSAGE}, {.op = GRPC_OP_SEND_INITIAL_METADATA}};

	ops[0].data.recv_message.recv_message = &stream->message;
	/* The metadata leaves at once: it tells the front end that it may ask here. */
	stream->reading = stream_start(stream, ops, stream->opened ? 1 : 2, &stream->read);
	stream->opened = true;
}

static void stream_write(struct exchange_stream *stream, const struct batch_writer *writer)
{
	grpc_slice slice =
		grpc_slice_from_copied_buffer((const char *)writer->octets, writer->size);
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

	stream->answers = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	op.data.send_message.send_message = stream->answers;
	stream->write_ms = clock_now_ms();
	stream->writing = stream_start(stream, &op, 1, &stream->written);
}

static void stream_write_status(struct exchange_stream *stream)
{
	grpc_slice words = grpc_slice_from_static_string(stream->words);
	grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};

	op.data.send_status_from_server.status = stream->status;
	op.data.send_status_from_server.status_details = &words;
	stream->write_ms = clock_now_ms();
	stream->ended = true;
	stream->writing = stream_start(stream, &op, 1, &stream->written);
}

/* --- moving on -------------------------------------------------------------------------------- */

static void stream_drop_questions(struct exchange_stream *stream)
{
	if (!stream->answering)
		return;
	grpc_slice_unref(stream->questions);
	stream->answering = false;
}

/* Takes the message read in hand. False when it is longer than any may be. */
static bool stream_take_questions(struct exchange_stream *stream)
{
	grpc_byte_buffer_reader reader;
	size_t size = grpc_byte_buffer_length(stream->message);

	if (size > BATCH_QUESTIONS_SIZE || !grpc_byte_buffer_reader_init(&reader, stream->message))
		return false;
	/* one piece, as a rule; then this is no copy */
	if (!grpc_byte_buffer_reader_next(&reader, &stream->questions))
		stream->questions = grpc_empty_slice();
	if (GRPC_SLICE_LENGTH(stream->questions) < size) {
		grpc_slice_unref(stream->questions);
		grpc_byte_buffer_reader_destroy(&reader);
		grpc_byte_buffer_reader_init(&reader, stream->message);
		stream->questions = grpc_byte_buffer_reader_readall(&reader);
	}
	grpc_byte_buffer_reader_destroy(&reader);
	batch_reader_init(&stream->rest, GRPC_SLICE_START_PTR(stream->questions), size);
	stream->count = 0;
	stream->answering = true;
	metrics_add(stream->exchange->shard, BACKEND_EXCHANGE_MESSAGES, 1);
	return true;
}

/* Answers what is in hand, as far as it fits one message, and writes that. */
static void stream_answer(struct exchange_stream *stream)
{
	struct exchange *exchange = stream->exchange;
	int64_t started_ns = clock_now_ns();
	struct batch_writer writer;
	enum batch_read result;

	batch_writer_init(&writer, exchange->answers, sizeof(exchange->answers));
	result = answer_questions(stream, &writer);
	if (result == BATCH_MALFORMED)
		stream_end(stream, GRPC_STATUS_INVALID_ARGUMENT,
			   "not a godwit.v1.Questions, or too many of them");
	if (result != BATCH_READ)
		stream_drop_questions(stream);
	if (writer.size > 0) {
		stream_write(stream, &writer);
		metrics_observe(exchange->shard, BACKEND_ANSWER_SECONDS,
				(uint64_t)(clock_now_ns() - started_ns));
	}
}

static enum backend_counter counter_of_end(const struct exchange_stream *stream)
{
	if (stream->cancelled || !stream->ending)
		return BACKEND_CALLS_CANCELLED;
	if (stream->status == GRPC_STATUS_OK)
		return BACKEND_CALLS_EXCHANGE_OK;
	if (stream->status == GRPC_STATUS_UNAVAILABLE)
		return BACKEND_CALLS_EXCHANGE_UNAVAILABLE;
	return BACKEND_CALLS_EXCHANGE_INVALID_ARGUMENT;
}

static void stream_release(struct exchange_stream *stream)
{
	struct exchange *exchange = stream->exchange;

	LIST_REMOVE(stream, link);
	atomic_fetch_sub_explicit(&exchange->stream_count, 1, memory_order_relaxed);
	stream_drop_questions(stream);
	grpc_byte_buffer_destroy(stream->answers); /* that gRPC refused to write, else NULL */
	metrics_add(exchange->shard, counter_of_end(stream), 1);
	rpc_call_release(stream->call);
	gpr_free(stream);
}

/* Does what can be done next; see the top. The stream may be gone afterwards. */
static void exchange_advance(struct exchange_stream *stream)
{
	if (stream->answering && !stream->writing && !stream->ending && !stream->gone)
		stream_answer(stream);
	if (!stream->answering && !stream->reading && !stream->ending && !stream->ended &&
	    !stream->gone)
		stream_read(stream);
	if (stream->ending && !stream->writing && !stream->ended && !stream->gone)
		stream_write_status(stream);
	if (stream->gone && !stream->reading && !stream->writing)
		stream_release(stream);
}

#define STREAM_OF(tag, member)                                                                     \
	((struct exchange_stream *)((char *)(tag)-offsetof(struct exchange_stream, member)))

static void stream_on_read(struct rpc_tag *tag, bool ok)
{
	struct exchange_stream *stream = STREAM_OF(tag, read);

	stream->reading = false;
	if (!ok || stream->message == NULL)
		stream_end(stream, GRPC_STATUS_OK, ""); /* the client asks no more, or is gone */
	else if (!stream->ending && !stream_take_questions(stream))
		stream_end(stream, GRPC_STATUS_INVALID_ARGUMENT, "message too long");
	grpc_byte_buffer_destroy(stream->message);
	stream->message = NULL;
	exchange_advance(stream);
}

static void stream_on_written(struct rpc_tag *tag, bool ok)
{
	struct exchange_stream *stream = STREAM_OF(tag, written);

	stream->writing = false;
	grpc_byte_buffer_destroy(stream->answers);
	stream->answers = NULL;
	if (!ok) {
		stream->ended = true; /* the call is over; stream_on_closed says so too */
		stream_drop_questions(stream);
	}
	exchange_advance(stream);
}

static void stream_on_closed(struct rpc_tag *tag, bool ok)
{
	struct exchange_stream *stream = STREAM_OF(tag, closed);

	(void)ok;
	stream->gone = true;
	exchange_advance(stream);
}

/* --- streams ---------------------------------------------------------------------------------- */

static bool stream_open(struct exchange *exchange, struct rpc_call *call)
{
	struct exchange_stream *stream = gpr_zalloc(sizeof(*stream));
	grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};

	stream->exchange = exchange;
	stream->call = call;
	stream->read.fire = stream_on_read;
	stream->written.fire = stream_on_written;
	stream->closed.fire = stream_on_closed;
	close.data.recv_close_on_server.cancelled = &stream->cancelled;
	if (grpc_call_start_batch(call->call, &close, 1, &stream->closed, NULL) != GRPC_CALL_OK) {
		gpr_free(stream);
		return false;
	}
	LIST_INSERT_HEAD(&exchange->streams, stream, link);
	atomic_fetch_add_explicit(&exchange->stream_count, 1, memory_order_relaxed);
	exchange_advance(stream);
	return true;
}

void exchange_serve(struct rpc_call *call, void *ctx)
{
	struct exchange *exchange = ctx;

	if (atomic_load(&exchange->closing)) {
		metrics_add(exchange->shard, BACKEND_CALLS_EXCHANGE_UNAVAILABLE, 1);
		rpc_call_finish(call, GRPC_STATUS_UNAVAILABLE, "shutting down", NULL);
	} else if (exchange_count_streams(exchange) >= EXCHANGE_STREAMS_MAX ||
		   !stream_open(exchange, call)) {
		metrics_add(exchange->shard, BACKEND_CALLS_EXCHANGE_RESOURCE_EXHAUSTED, 1);
		rpc_call_finish(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "too many streams", NULL);
		log_warning_limited("Exchange stream refused", "limit=%d", EXCHANGE_STREAMS_MAX);
	}
}

void exchange_tick(void *ctx)
{
	struct exchange *exchange = ctx;
	bool closing = atomic_load(&exchange->closing);
	int64_t now_ms = clock_now_ms();
	struct exchange_stream *stream;
	struct exchange_stream *next;

	for (stream = LIST_FIRST(&exchange->streams); stream != NULL; stream = next) {
		next = LIST_NEXT(stream, link);
		if (stream->writing && !stream->gone &&
		    now_ms - stream->write_ms > RPC_STALLED_MS) {
			metrics_add(exchange->shard, BACKEND_CALLS_STALLED, 1);
			stream->write_ms = now_ms; /* once */
			grpc_call_cancel(stream->call->call, NULL);
		}
		if (closing) {
			stream_end(stream, GRPC_STATUS_UNAVAILABLE, "shutting down");
			exchange_advance(stream);
		}
	}
}
