/* HTTP on connections. */
#include "frontend/https.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "dns/edns.h"
#include "frontend/doh.h"
#include "frontend/doh_json.h"
#include "frontend/http1.h"
#include "frontend/http2.h"
#include "frontend/tls_stream.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Octets given to HTTP/2 before its replies are sent and the bounds looked at. */
#define HTTPS_PIECE 4096

/* Octets of replies that may wait for the client's window before more is asked for. */
#define HTTPS_HELD_MAX (256 * 1024)

/* Octets of HTTP/2 frames that are sent together: what a TLS record takes. */
#define HTTPS_GATHER 16384

struct https_connection {
	struct connection base;
	struct http2 *http2; /* NULL: HTTP/1.1 */
	bool broken;         /* HTTP/2 has come to a bad end: replies go nowhere */
	struct http1 http1;
	bool busy;    /* the request has not been replied to yet */
	bool closing; /* no more is taken; in HTTP/1.1, the request is the last one */
	bool deaf;    /* the client may go on sending, and is not heard */
};

static const struct transport https_transport;

static struct https_connection *https_of(struct connection *connection)
{
	return (struct https_connection *)connection; /* `base` is its first member */
}

/* --- replies ---------------------------------------------------------------------------------- */

static enum frontend_metric https_metric_of_status(int status)
{
	switch (status) {
	case 200:
		return FRONTEND_HTTP_200;
	case 400:
		return FRONTEND_HTTP_400;
	case 404:
		return FRONTEND_HTTP_404;
	case 405:
		return FRONTEND_HTTP_405;
	case 413:
		return FRONTEND_HTTP_413;
	case 415:
		return FRONTEND_HTTP_415;
	case 503:
		return FRONTEND_HTTP_503;
	default:
		return FRONTEND_HTTP_OTHER;
	}
}

/* Replies that wait for the client's window are worth it while the client can still open it. */
static void https_note_held(struct https_connection *https)
{
	struct connection *connection = &https->base;
	bool deaf = https->broken ||
		    (connection->end_of_file &&
		     (https->closing || evbuffer_get_length(connection_input(connection)) == 0));
	connection->held = deaf ? 0 : http2_held(https->http2);
}

/*
 * Sends what HTTP/2 has to say, as far as the client's windows allow. Its frames are gathered: each
 * write is a TLS record and a system call.
 */
static void https_flush(struct https_connection *https)
{
	uint8_t octets[HTTPS_GATHER];
	size_t gathered = 0;
	const uint8_t *data;
	ssize_t size;
	bool part_of_reply = false;
	while ((size = http2_read(https->http2, &data, &part_of_reply)) > 0) {
		if (gathered + (size_t)size > sizeof(octets)) {
			connection_write_aside(&https->base, octets, gathered);
			gathered = 0;
		}
		if ((size_t)size > sizeof(octets)) {
			connection_write_aside(&https->base, data, (size_t)size);
			continue;
		}
		memcpy(octets + gathered, data, (size_t)size);
		gathered += (size_t)size;
	}
	if (gathered > 0)
		connection_write_aside(&https->base, octets, gathered);
	https_note_held(https);
	if (part_of_reply)
		https->base.replying = true;
	if (size < 0)
		connection_give_up(&https->base);
}

/* Head and body leave as one piece where they are small, and so in one TLS record. */
static void https_write_http1(struct https_connection *https, const struct http_reply *reply)
{
	char octets[HTTP1_REPLY_HEAD_MAX + 4096];
	size_t size = http1_write_head(reply, https->closing, time(NULL), octets);
	size_t body_size = reply->head ? 0 : reply->body_size;
	bool small = size + body_size <= sizeof(octets);
	if (small && body_size > 0) {
		memcpy(octets + size, reply->body, body_size);
		size += body_size;
	}
	connection_write(&https->base, octets, size);
	if (!small)
		connection_write(&https->base, reply->body, body_size);
	https->busy = false;
}

static void https_reply(struct https_connection *https, int32_t stream,
			const struct http_reply *reply)
{
	struct metrics_shard *shard = connection_serve(&https->base)->shard;
	if (https->http2 && (https->broken || !http2_reply(https->http2, stream, reply))) {
		metrics_add(shard, FRONTEND_DROPS_CLIENT_GONE, 1);
		return;
	}
	metrics_add(shard, https_metric_of_status(reply->status), 1);
	if (!https->http2)
		https_write_http1(https, reply);
}

static void https_reply_json(struct https_connection *https, int32_t stream, uint8_t form,
			     const uint8_t *message, size_t size)
{
	size_t json_size;
	char *json = doh_json_write(message, size, &json_size);
	struct http_reply reply = doh_refuse(500, form & DOH_FORM_HEAD);
	if (json) {
		reply = doh_answer(message, size, form);
		reply.content_type = DOH_JSON_TYPE;
		reply.body = (const uint8_t *)json;
		reply.body_size = json_size;
	}
	https_reply(https, stream, &reply);
	free(json);
}

/* A DNS message goes back the way its question came. */
static void https_reply_message(struct https_connection *https, const struct dns_query *dns,
				int32_t stream, uint8_t form, const uint8_t *message, size_t size)
{
	uint8_t padded[DNS_MESSAGE_MAX];
	if (form & DOH_FORM_JSON) {
		https_reply_json(https, stream, form, message, size);
		return;
	}
	if (dns->edns.options_size > 0 && dns_edns_has_option(dns, DNS_OPTION_PADDING)) {
		memcpy(padded, message, size);
		size = dns_edns_pad(padded, size, sizeof(padded));
		message = padded;
	}
	struct http_reply reply = doh_answer(message, size, form);
	https_reply(https, stream, &reply);
}

static void https_send_reply(struct query *query, const uint8_t *message, size_t size)
{
	struct connection *connection = connection_take_query(query);
	if (!connection)
		return;
	struct https_connection *https = https_of(connection);
	https_reply_message(https, &query->dns, query->path.stream.stream, query->path.stream.form,
			    message, size);
	if (connection->reading) /* inside https_take, which goes on by itself */
		return;
	if (https->http2 && !https->broken)
		https_flush(https);
	/* There may be nothing to send, and then nothing that tells of its end. */
	if (!https->http2 || https->broken || connection->end_of_file)
		connection_resume(connection);
}

static const struct transport https_transport = {
	.name = "https",
	.queries = FRONTEND_QUERIES_HTTPS,
	.datagram = false,
	.send = https_send_reply,
	.format_client = connection_format_client,
};

/* --- requests --------------------------------------------------------------------------------- */

static void https_refuse(struct https_connection *https, int32_t stream, int status, bool head)
{
	struct http_reply reply = doh_refuse(status, head);
	https_reply(https, stream, &reply);
}

/* Asks a DNS question. */
static void https_serve(struct https_connection *https, int32_t stream,
			const struct doh_question *question)
{
	struct connection *connection = &https->base;
	struct serve *serve = connection_serve(connection);
	uint8_t octets[SERVE_REPLY_MAX];
	struct serve_reply reply = {.octets = octets};
	int64_t now_ns = clock_now_ns();
	switch (serve_take(serve, &https_transport, question->message, question->size, now_ns,
			   &reply)) {
	case SERVE_REPLIED:
		https_reply_message(https, &reply.dns, stream, question->form, reply.octets,
				    reply.size);
		serve_observe(serve, now_ns);
		break;
	case SERVE_PENDING:
		connection_add_query(connection, reply.query);
		reply.query->path.stream.stream = stream;
		reply.query->path.stream.form = question->form;
		serve_query(serve, reply.query);
		break;
	case SERVE_DROPPED:
		https_refuse(https, stream, 503, question->form & DOH_FORM_HEAD);
		break;
	}
}

static void https_take_request(struct https_connection *https, int32_t stream,
			       const struct http_request *request)
{
	struct doh_question question;
	struct http_reply refusal;
	const struct frontend_config *config = connection_serve(&https->base)->config;
	connection_note_progress(&https->base);
	if (doh_read(&config->https, request, &question, &refusal))
		https_serve(https, stream, &question);
	else
		https_reply(https, stream, &refusal);
}

/* --- HTTP/1.1 --------------------------------------------------------------------------------- */

/*
 * Refuses what cannot be read on from. A client that may still be sending is listened to, in vain,
 * until it ends or idles: closed at once, it would lose the reply.
 */
static void https_refuse_http1(struct https_connection *https, int status, bool head)
{
	bool more_may_come = status != 400 && status < 500;
	https->busy = true;
	https->closing = true;
	https->deaf = more_may_come;
	https_refuse(https, 0, status, head);
}

/* Takes the request at the front of the input. False when no more can be done for now. */
static bool https_take_one(struct https_connection *https, struct evbuffer *input)
{
	struct http1_request request;
	size_t size = evbuffer_get_length(input);
	const char *octets = (const char *)evbuffer_pullup(input, -1);
	if (size == 0 || !octets)
		return false;
	switch (http1_read(&https->http1, octets, size, &request)) {
	case HTTP1_REQUEST:
		https->busy = true;
		https->closing = request.close;
		https_take_request(https, 0, &request.http);
		evbuffer_drain(input, request.size);
		return true;
	case HTTP1_BAD:
		https_refuse_http1(https, request.status, request.http.method == HTTP_HEAD);
		return false;
	case HTTP1_CONTINUE:
		connection_write_aside(&https->base, HTTP1_GO_ON, sizeof(HTTP1_GO_ON) - 1);
		return false;
	default:
		return false;
	}
}

static void https_take_http1(struct https_connection *https)
{
	struct evbuffer *input = connection_input(&https->base);
	while (!https->busy && !https->closing && !connection_is_full(&https->base))
		if (!https_take_one(https, input))
			break;
	if (!https->closing)
		return;
	evbuffer_drain(input, evbuffer_get_length(input));
	if (!https->busy && !https->deaf)
		connection_finish(&https->base);
}

/* --- HTTP/2 ----------------------------------------------------------------------------------- */

static void https_on_request(void *ctx, int32_t stream, const struct http_request *request)
{
	struct https_connection *https = ctx;
	/* Only one that cancels streams comes here with so many queries still in flight, and only
	   one that asks for long replies and does not take them has so much held for it. */
	if (https->base.query_count >= CONNECTION_QUERIES_MAX ||
	    http2_held(https->http2) >= HTTPS_HELD_MAX)
		http2_put_off(https->http2, stream);
	else
		https_take_request(https, stream, request);
}

static void https_on_refusal(void *ctx, int32_t stream, int status, bool head)
{
	https_refuse(ctx, stream, status, head);
}

static void https_log_end(const struct https_connection *https, const char *reason)
{
	char client[ADDRESS_TEXT_MAX];
	address_format(&https->base.client.any, client, sizeof(client));
	log_warning_limited("HTTP/2 connection closed", "client=%s reason=%s", client, reason);
}

/* False when no more is to be taken; `*sound` is then whether that is as it should be. */
static bool https_goes_on(struct https_connection *https, bool *sound)
{
	*sound = true;
	switch (http2_state(https->http2)) {
	case HTTP2_OPEN:
		return true;
	case HTTP2_OVER:
		connection_finish(&https->base);
		break;
	case HTTP2_FLOOD:
		metrics_add(connection_serve(&https->base)->shard, FRONTEND_HTTP2_FLOODS, 1);
		https_log_end(https, "flood of frames or resets");
		*sound = false;
		break;
	case HTTP2_BROKEN:
		https_log_end(https, http2_error(https->http2));
		*sound = false;
		break;
	}
	https->closing = true;
	https->broken = !*sound;
	return false;
}

static bool https_take_http2(struct https_connection *https)
{
	struct connection *connection = &https->base;
	struct evbuffer *input = connection_input(connection);
	int64_t now_ms = clock_now_ms();
	bool sound = true;
	while (!https->closing && https_goes_on(https, &sound) && !connection_is_full(connection)) {
		size_t size = evbuffer_get_length(input);
		if (size > HTTPS_PIECE)
			size = HTTPS_PIECE;
		const uint8_t *piece = evbuffer_pullup(input, (ev_ssize_t)size);
		if (size == 0 || !piece)
			break;
		http2_take(https->http2, piece, size, now_ms);
		evbuffer_drain(input, size);
		https_flush(https);
	}
	https_note_held(https);
	return sound;
}

/* --- the protocol ----------------------------------------------------------------------------- */

static bool https_take(struct connection *connection)
{
	struct https_connection *https = https_of(connection);
	if (https->http2)
		return https_take_http2(https);
	https_take_http1(https);
	return true;
}

static bool https_speaks_http2(const struct connection *connection)
{
	const unsigned char *protocol;
	unsigned int size;
	SSL_get0_alpn_selected(tls_stream_session(connection->tls), &protocol, &size);
	return size == 2 && memcmp(protocol, "h2", 2) == 0;
}

static int https_begin(struct connection *connection)
{
	struct https_connection *https = https_of(connection);
	const struct http2_handler handler = {
		.ctx = https,
		.request = https_on_request,
		.refuse = https_on_refusal,
	};
	if (!https_speaks_http2(connection))
		return 0;
	https->http2 = http2_create(&handler, clock_now_ms());
	if (!https->http2)
		return -1;
	https_flush(https); /* our settings */
	return 0;
}

static void https_stop(struct connection *connection)
{
	struct https_connection *https = https_of(connection);
	if (https->http2) {
		http2_stop(https->http2);
		https_flush(https);
	} else {
		https->closing = true;
	}
}

static void https_end(struct connection *connection)
{
	struct https_connection *https = https_of(connection);
	http2_destroy(https->http2);
	https->http2 = NULL;
}

const struct connection_protocol https_protocol = {
	.size = sizeof(struct https_connection),
	.input_max = HTTP1_REQUEST_MAX,
	.begin = https_begin,
	.take = https_take,
	.stop = https_stop,
	.end = https_end,
};
