/*
 * A client of HTTP/2. The first octet of the input says into pieces of which size the rest is cut,
 * which comes after the client's preface. Requests are replied to at once or later.
 */
#include "frontend/http2.h"
#include "frontend/http2_frames.h"
#include "fuzz.h"

#include <string.h>

#define LATER_MAX 64
#define REPLY_SIZE 300

struct client {
	struct http2 *http2;
	bool replies;
	unsigned int requests;
	unsigned int refusals;
	int32_t later[LATER_MAX]; /* streams of requests to be replied to after the next piece */
	unsigned int later_count;
};

static void reply(struct client *client, int32_t stream, int status, bool head)
{
	static const uint8_t body[REPLY_SIZE];
	const struct http_reply reply = {
		.status = status,
		.content_type = "application/dns-message",
		.max_age_s = 60,
		.body = body,
		.body_size = sizeof(body),
		.head = head,
	};
	http2_reply(client->http2, stream, &reply);
}

static void on_request(void *ctx, int32_t stream, const struct http_request *request)
{
	struct client *client = ctx;
	FUZZ_CHECK(stream > 0 && stream % 2 == 1);
	FUZZ_CHECK(request->path_size > 0 && request->path[0] == '/');
	FUZZ_CHECK(request->body_size <= HTTP_BODY_MAX);
	client->requests++;
	if (!client->replies)
		return;
	if (request->method == HTTP_POST && client->later_count < LATER_MAX)
		client->later[client->later_count++] = stream;
	else if (request->method == HTTP_POST)
		http2_put_off(client->http2, stream);
	else
		reply(client, stream, 200, request->method == HTTP_HEAD);
}

static void on_refuse(void *ctx, int32_t stream, int status, bool head)
{
	struct client *client = ctx;
	FUZZ_CHECK(stream > 0 && status >= 400 && status < 600);
	client->refusals++;
	if (client->replies)
		reply(client, stream, status, head);
}

/* Reads all output, and says what has been put off until now. */
static void flush(struct client *client)
{
	const uint8_t *data;
	bool part_of_reply = false;
	for (unsigned int i = 0; i < client->later_count; i++)
		reply(client, client->later[i], 200, false);
	client->later_count = 0;
	while (http2_read(client->http2, &data, &part_of_reply) > 0)
		continue;
	FUZZ_CHECK(http2_held(client->http2) <= (size_t)HTTP2_STREAMS_MAX * REPLY_SIZE);
}

/* Gives the octets in pieces; with `replies`, says something after each, and time passes. */
static void run(struct client *client, const uint8_t *data, size_t size, size_t piece, bool replies)
{
	const struct http2_handler handler = {client, on_request, on_refuse};
	int64_t now_ms = 1000;
	*client = (struct client){.http2 = http2_create(&handler, now_ms), .replies = replies};
	if (!client->http2)
		return;
	while (size > 0 && http2_state(client->http2) == HTTP2_OPEN) {
		size_t part = size < piece ? size : piece;
		/* A copy of just this size: a look beyond it is seen. */
		uint8_t *copy = malloc(part);
		FUZZ_CHECK(copy);
		memcpy(copy, data, part);
		http2_take(client->http2, copy, part, now_ms);
		free(copy);
		data += part;
		size -= part;
		if (replies) {
			flush(client);
			now_ms += 10;
		}
	}
	if (replies)
		http2_stop(client->http2);
	if (replies)
		flush(client);
	http2_destroy(client->http2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct client whole, pieces;
	if (size < 1)
		return 0;
	size_t piece = (size_t)data[0] + 1;
	size_t total = HTTP2_PREFACE_SIZE + size - 1;
	uint8_t *input = malloc(total);
	if (!input)
		return 0;
	memcpy(input, preface, HTTP2_PREFACE_SIZE);
	memcpy(input + HTTP2_PREFACE_SIZE, data + 1, size - 1);
	run(&pieces, input, total, piece, true);
	/* As long as nothing is said in between, no cut makes other requests of it. */
	run(&whole, input, total, total, false);
	run(&pieces, input, total, piece, false);
	FUZZ_CHECK(whole.requests == pieces.requests && whole.refusals == pieces.refusals);
	free(input);
	return 0;
}
