/* HTTP/2: streams to requests, replies to streams. */
#include "frontend/http2.h"

#include "frontend/http2_frames.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

/* One more than a body may have, so that one too long is seen. */
#define HTTP2_STREAM_WINDOW (HTTP_BODY_MAX + 1)

struct http2_stream {
	LIST_ENTRY(http2_stream) link;
	enum http_method method;
	enum http_content content;
	char *target;
	size_t target_size;
	size_t list_size; /* of the header list, as RFC 9113 section 6.5.2 counts */
	unsigned int fields;
	int status;   /* to refuse it with; 0: none */
	bool refused; /* has been */
	bool whole;   /* the client has sent all of it */
	uint8_t *body;
	size_t body_size;
	size_t body_capacity;
	size_t window; /* octets received and not yet given back to the connection's window */
	uint8_t *reply;
	size_t reply_size;
	size_t reply_at;
};

struct http2 {
	struct http2_handler handler;
	nghttp2_session *session;
	struct http2_frames taken;
	LIST_HEAD(, http2_stream) streams;
	size_t held;
	int64_t frames;    /* that the client may still send */
	int64_t earned_ms; /* when time has last earned it some */
	int32_t newest;    /* stream that the client has begun */
	int32_t skipped;   /* the newest stream before it that was never begun; 0: none */
	int32_t cut_off;   /* the newest stream that we have reset */
	bool flooded;
	bool sent_reply;
	const char *error; /* NULL: none */
};

/* --- frames as currency ----------------------------------------------------------------------- */

static void http2_earn(struct http2 *http2, int64_t frames)
{
	http2->frames += frames;
	if (http2->frames > HTTP2_FRAMES_SPARE)
		http2->frames = HTTP2_FRAMES_SPARE;
}

static void http2_earn_time(struct http2 *http2, int64_t now_ms)
{
	int64_t earned = (now_ms - http2->earned_ms) * HTTP2_FRAMES_PER_S / 1000;
	if (earned <= 0)
		return;
	http2->earned_ms = now_ms;
	http2_earn(http2, earned);
}

static void http2_pay(struct http2 *http2, int64_t frames)
{
	http2->frames -= frames;
	if (http2->frames >= 0 || http2->flooded)
		return;
	http2->flooded = true;
	nghttp2_session_terminate_session(http2->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* --- streams ---------------------------------------------------------------------------------- */

static struct http2_stream *http2_find(const struct http2 *http2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(http2->session, id);
}

/* What was received of its body no longer takes room. */
static void http2_give_back(struct http2 *http2, struct http2_stream *stream)
{
	if (stream->window > 0)
		nghttp2_session_consume_connection(http2->session, stream->window);
	stream->window = 0;
}

static void http2_free_request(struct http2_stream *stream)
{
	free(stream->target);
	free(stream->body);
	stream->target = NULL;
	stream->body = NULL;
}

static void http2_free_stream(struct http2 *http2, struct http2_stream *stream)
{
	http2->held -= stream->reply_size - stream->reply_at;
	LIST_REMOVE(stream, link);
	http2_free_request(stream);
	free(stream->reply);
	free(stream);
}

static void http2_refuse(struct http2 *http2, int32_t id, struct http2_stream *stream)
{
	bool head = stream->method == HTTP_HEAD;
	int status = stream->status;
	stream->refused = true;
	http2_free_request(stream);
	http2->handler.refuse(http2->handler.ctx, id, status, head);
}

/* The client has sent all of a request. */
static void http2_finish_request(struct http2 *http2, int32_t id, struct http2_stream *stream)
{
	struct http_request request = {.method = stream->method, .content = stream->content};
	stream->whole = true;
	http2_give_back(http2, stream);
	if (stream->refused)
		return;
	if (stream->status == 0 &&
	    (!stream->target ||
	     !http_request_set_target(&request, stream->target, stream->target_size)))
		stream->status = stream->method >= HTTP_METHOD_KNOWN ? 501 : 400;
	if (stream->status != 0) {
		http2_refuse(http2, id, stream);
		return;
	}
	request.body = stream->body;
	request.body_size = stream->body_size;
	http2->handler.request(http2->handler.ctx, id, &request);
	http2_free_request(stream);
}

/* Makes room for `size` more octets of a body. False when memory is short. */
static bool http2_extend_body(struct http2_stream *stream, size_t size)
{
	size_t capacity = stream->body_capacity ? stream->body_capacity : 512;
	while (capacity < stream->body_size + size)
		capacity *= 2;
	if (capacity == stream->body_capacity)
		return true;
	uint8_t *body = realloc(stream->body, capacity);
	if (!body)
		return false;
	stream->body = body;
	stream->body_capacity = capacity;
	return true;
}

/* --- streams that are over -------------------------------------------------------------------- */

static void http2_note_begun(struct http2 *http2, int32_t id)
{
	if (id > http2->newest + 2)
		http2->skipped = id - 2;
	http2->newest = id;
}

/*
 * A client that sends more of a request on a stream which it has ended itself, or has passed over,
 * is not to be followed any further (RFC 9113 sections 5.1 and 5.1.1). libnghttp2 ignores such
 * frames, as it must where the client cannot know yet that we have reset the stream.
 */
static void http2_check_stream(struct http2 *http2, const struct http2_frame *frame)
{
	int32_t id = frame->stream;
	if (frame->type != NGHTTP2_HEADERS && frame->type != NGHTTP2_DATA)
		return;
	if (id % 2 == 0 || id > http2->newest || id <= http2->cut_off ||
	    nghttp2_session_find_stream(http2->session, id))
		return;
	nghttp2_session_terminate_session(http2->session, id == http2->skipped
								  ? NGHTTP2_PROTOCOL_ERROR
								  : NGHTTP2_STREAM_CLOSED);
}

/* --- what libnghttp2 tells -------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http2 *http2 = ctx;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	http2_note_begun(http2, frame->hd.stream_id);
	struct http2_stream *stream = calloc(1, sizeof(*stream));
	if (!stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* the stream is reset */
	stream->method = HTTP_METHOD_UNKNOWN;
	LIST_INSERT_HEAD(&http2->streams, stream, link);
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
	return 0;
}

static void http2_take_field(struct http2_stream *stream, const char *name, size_t name_size,
			     const char *value, size_t size)
{
	if (name_size == 7 && memcmp(name, ":method", 7) == 0) {
		stream->method = http_method_of(value, size);
	} else if (name_size == 5 && memcmp(name, ":path", 5) == 0 && !stream->target) {
		stream->target = malloc(size + 1);
		if (!stream->target)
			stream->status = 503;
		else
			memcpy(stream->target, value, size);
		stream->target_size = size;
	} else if (name_size == 12 && memcmp(name, "content-type", 12) == 0) {
		stream->content = http_content_of(value, size);
	} else if (name_size == 14 && memcmp(name, "content-length", 14) == 0) {
		if (http_number_of(value, size, HTTP_BODY_MAX) == -2)
			stream->status = 413;
	}
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
		     void *ctx)
{
	(void)flags;
	struct http2 *http2 = ctx;
	struct http2_stream *stream = http2_find(http2, frame->hd.stream_id);
	(void)session;
	if (!stream || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0; /* trailers mean nothing to us */
	stream->list_size += name_size + value_size + 32;
	stream->fields++;
	if (stream->list_size > HTTP_HEAD_MAX || stream->fields > HTTP_FIELDS_MAX)
		stream->status = 431;
	else
		http2_take_field(stream, (const char *)name, name_size, (const char *)value,
				 value_size);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t size, void *ctx)
{
	(void)flags;
	struct http2 *http2 = ctx;
	struct http2_stream *stream = http2_find(http2, id);
	if (!stream || stream->refused) {
		nghttp2_session_consume_connection(session, size);
		return 0;
	}
	stream->window += size;
	if (stream->status == 0 && stream->body_size + size > HTTP_BODY_MAX)
		stream->status = 413;
	else if (stream->status == 0 && !http2_extend_body(stream, size))
		stream->status = 503;
	if (stream->status != 0) {
		http2_give_back(http2, stream);
		http2_refuse(http2, id, stream);
		return 0;
	}
	memcpy(stream->body + stream->body_size, data, size);
	stream->body_size += size;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http2 *http2 = ctx;
	int32_t id = frame->hd.stream_id;
	(void)session;
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		http2_pay(http2, HTTP2_RESET_COST);
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	struct http2_stream *stream = http2_find(http2, id);
	if (!stream)
		return 0;
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		http2_finish_request(http2, id, stream);
	else if (stream->status != 0 && !stream->refused)
		http2_refuse(http2, id, stream); /* there is no need to wait for its body */
	return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http2 *http2 = ctx;
	int32_t id = frame->hd.stream_id;
	uint8_t type = frame->hd.type;
	if (type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		http2->error = nghttp2_http2_strerror(frame->goaway.error_code);
	if (type == NGHTTP2_RST_STREAM) {
		http2_pay(http2, HTTP2_RESET_COST);
		if (id > http2->cut_off)
			http2->cut_off = id;
	}
	if (type != NGHTTP2_HEADERS && type != NGHTTP2_DATA)
		return 0;
	http2->sent_reply = true;
	const struct http2_stream *stream = http2_find(http2, id);
	/* The rest of a request that has its reply is not wanted (RFC 9113 section 8.1). */
	if (stream && !stream->whole && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
	struct http2 *http2 = ctx;
	struct http2_stream *stream = http2_find(http2, id);
	if (!stream)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	if (error == NGHTTP2_NO_ERROR && stream->whole)
		http2_earn(http2, HTTP2_REQUEST_EARNS);
	http2_give_back(http2, stream);
	http2_free_stream(http2, stream);
	return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t capacity,
			 uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	(void)session, (void)id;
	struct http2 *http2 = ctx;
	struct http2_stream *stream = source->ptr;
	size_t size = stream->reply_size - stream->reply_at;
	if (size > capacity)
		size = capacity;
	memcpy(out, stream->reply + stream->reply_at, size);
	stream->reply_at += size;
	http2->held -= size;
	if (stream->reply_at == stream->reply_size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)size;
}

/* --- life and death --------------------------------------------------------------------------- */

static int http2_open_session(struct http2 *http2)
{
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	int result = -1;
	if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
		goto done;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_outbound_ack(option, 100);
	result = nghttp2_session_server_new2(&http2->session, callbacks, http2, option);
done:
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return result;
}

struct http2 *http2_create(const struct http2_handler *handler, int64_t now_ms)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX},
	};
	struct http2 *http2 = calloc(1, sizeof(*http2));
	if (!http2)
		return NULL;
	http2->handler = *handler;
	http2->frames = HTTP2_FRAMES_SPARE;
	http2->earned_ms = now_ms;
	http2_frames_init(&http2->taken);
	if (http2_open_session(http2) != 0 ||
	    nghttp2_submit_settings(http2->session, NGHTTP2_FLAG_NONE, settings,
				    sizeof(settings) / sizeof(settings[0])) != 0 ||
	    nghttp2_session_set_local_window_size(http2->session, NGHTTP2_FLAG_NONE, 0,
						  HTTP2_WINDOW) != 0) {
		http2_destroy(http2);
		return NULL;
	}
	return http2;
}

void http2_destroy(struct http2 *http2)
{
	struct http2_stream *stream;
	if (!http2)
		return;
	while ((stream = LIST_FIRST(&http2->streams))) /* nghttp2_session_del tells of none */
		http2_free_stream(http2, stream);
	nghttp2_session_del(http2->session);
	free(http2);
}

/* --- octets ----------------------------------------------------------------------------------- */

static void http2_pass_on(struct http2 *http2, const uint8_t *data, size_t size)
{
	if (size == 0 || http2->flooded || http2->error)
		return;
	ssize_t taken = nghttp2_session_mem_recv(http2->session, data, size);
	if (taken == NGHTTP2_ERR_FLOODED)
		http2->flooded = true;
	else if (taken < 0 && !http2->error)
		http2->error = nghttp2_strerror((int)taken);
}

/*
 * libnghttp2 gets frame headers in one piece: it counts those of CONTINUATION once for each piece
 * they come in, and takes a few of these for a flood.
 */
void http2_take(struct http2 *http2, const uint8_t *data, size_t size, int64_t now_ms)
{
	http2_earn_time(http2, now_ms);
	while (size > 0 && !http2->flooded && !http2->error) {
		struct http2_frame frame;
		size_t before;
		size_t used;
		bool begun = http2_frames_read(&http2->taken, data, size, &before, &used, &frame);
		http2_pass_on(http2, data, before);
		data += used;
		size -= used;
		if (!begun)
			return;
		http2_pass_on(http2, http2->taken.head, HTTP2_FRAME_HEAD_SIZE);
		if (http2->error)
			return;
		http2_pay(http2, 1);
		http2_check_stream(http2, &frame);
	}
}

enum http2_result http2_state(const struct http2 *http2)
{
	if (http2->flooded)
		return HTTP2_FLOOD;
	if (http2->error)
		return HTTP2_BROKEN;
	if (!nghttp2_session_want_read(http2->session) &&
	    !nghttp2_session_want_write(http2->session))
		return HTTP2_OVER;
	return HTTP2_OPEN;
}

const char *http2_error(const struct http2 *http2)
{
	return http2->error ? http2->error : "none";
}

ssize_t http2_read(struct http2 *http2, const uint8_t **data, bool *part_of_reply)
{
	http2->sent_reply = false;
	ssize_t size = nghttp2_session_mem_send(http2->session, data);
	*part_of_reply |= http2->sent_reply;
	return size < 0 ? -1 : size;
}

size_t http2_held(const struct http2 *http2)
{
	return http2->held;
}

void http2_stop(struct http2 *http2)
{
	nghttp2_submit_goaway(http2->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(http2->session),
			      NGHTTP2_NO_ERROR, NULL, 0);
}

/* --- replies ---------------------------------------------------------------------------------- */

static nghttp2_nv http2_field(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
	};
}

/* Keeps the body until it can be sent. 0, or -1 when memory is short. */
static int http2_keep_body(struct http2 *http2, struct http2_stream *stream,
			   const struct http_reply *reply)
{
	if (reply->head || reply->body_size == 0)
		return 0;
	stream->reply = malloc(reply->body_size);
	if (!stream->reply)
		return -1;
	memcpy(stream->reply, reply->body, reply->body_size);
	stream->reply_size = reply->body_size;
	http2->held += reply->body_size;
	return 0;
}

bool http2_reply(struct http2 *http2, int32_t id, const struct http_reply *reply)
{
	struct http2_stream *stream = http2_find(http2, id);
	struct http_fields fields;
	char status[12];
	nghttp2_nv list[1 + HTTP_REPLY_FIELDS_MAX];
	if (!stream || stream->reply)
		return false;
	snprintf(status, sizeof(status), "%d", reply->status);
	http_reply_list_fields(reply, time(NULL), &fields);
	list[0] = http2_field(":status", status);
	for (size_t i = 0; i < fields.count; i++)
		list[1 + i] = http2_field(fields.list[i].name, fields.list[i].value);
	if (http2_keep_body(http2, stream, reply) == 0) {
		nghttp2_data_provider body = {.source.ptr = stream, .read_callback = read_body};
		if (nghttp2_submit_response(http2->session, id, list, 1 + fields.count,
					    stream->reply ? &body : NULL) == 0)
			return true;
	}
	nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
	return false;
}

void http2_put_off(struct http2 *http2, int32_t id)
{
	nghttp2_submit_rst_stream(http2->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
}
