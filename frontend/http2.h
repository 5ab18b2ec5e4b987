/*
 * HTTP/2 on the server's side (RFC 9113), on libnghttp2: octets in, requests out; replies in,
 * octets out. No I/O, no clock; one thread at a time per object.
 *
 * What keeps a client in bounds, beyond what libnghttp2 checks of the protocol:
 *  - HTTP2_STREAMS_MAX streams at a time; a header list within HTTP_HEAD_MAX and HTTP_FIELDS_MAX, a
 *    body within HTTP_BODY_MAX, all bodies not yet whole within HTTP2_WINDOW together.
 *  - Frames: every frame, also one that libnghttp2 ignores (http2_frames.h), costs one of
 *    HTTP2_FRAMES_SPARE, a reset stream HTTP2_RESET_COST, whoever reset it; a request replied to
 *    earns HTTP2_REQUEST_EARNS, time HTTP2_FRAMES_PER_S. A client that has used up all is told
 *    ENHANCE_YOUR_CALM and no longer listened to: floods of resets (CVE-2023-44487, CVE-2025-8671),
 *    pings, settings, priorities, continuations, empty and unknown frames, windows that open by
 *    single octets, and bodies in single octets all end there.
 *  - A stream that the client has ended, or has passed over, is over: more of a request on it ends
 *    the connection (RFC 9113 sections 5.1 and 5.1.1).
 */
#ifndef GODWIT_FRONTEND_HTTP2_H
#define GODWIT_FRONTEND_HTTP2_H

#include "frontend/http_request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP2_STREAMS_MAX 64
#define HTTP2_WINDOW (256 * 1024)

#define HTTP2_FRAMES_SPARE 1000
#define HTTP2_FRAMES_PER_S 100
#define HTTP2_RESET_COST 5
#define HTTP2_REQUEST_EARNS 8

struct http2;

struct http2_handler {
	void *ctx;
	/* A whole request, valid during the call, in which http2_reply may be called. */
	void (*request)(void *ctx, int32_t stream, const struct http_request *request);
	/* A request that cannot be taken, to be replied to with this status. */
	void (*refuse)(void *ctx, int32_t stream, int status, bool head);
};

enum http2_result {
	HTTP2_OPEN,
	HTTP2_OVER,   /* both sides have said all there is */
	HTTP2_FLOOD,  /* the client has used up its frames */
	HTTP2_BROKEN, /* what came is not HTTP/2: http2_error */
};

/* NULL when memory is short. The handler is copied. */
struct http2 *http2_create(const struct http2_handler *handler, int64_t now_ms);
void http2_destroy(struct http2 *http2);

/* Takes octets from the client, while it is HTTP2_OPEN. Not to be called by a handler. */
void http2_take(struct http2 *http2, const uint8_t *data, size_t size, int64_t now_ms);

/* How things stand once all output has been read. */
enum http2_result http2_state(const struct http2 *http2);

/* Why it is broken, for people. */
const char *http2_error(const struct http2 *http2);

/*
 * Replies on a stream, copying the reply. False when the client has cancelled the stream, or memory
 * is short and the stream is reset.
 */
bool http2_reply(struct http2 *http2, int32_t stream, const struct http_reply *reply);

/* Refuses a stream unprocessed: the client may try it again (RFC 9113 section 8.7). */
void http2_put_off(struct http2 *http2, int32_t stream);

/*
 * The next octets for the client, valid until the next call; 0 when there are none for now, -1 when
 * memory is short. `*part_of_reply` is set true when there are octets of a reply among them. Not to
 * be called by a handler.
 */
ssize_t http2_read(struct http2 *http2, const uint8_t **data, bool *part_of_reply);

/* Octets of replies' bodies that the client has not made room for yet. */
size_t http2_held(const struct http2 *http2);

/* Tells the client that no more requests are taken. */
void http2_stop(struct http2 *http2);

#endif
