/*
 * HTTP/1.1 on the server's side (RFC 9112), as little of it as DNS over HTTPS needs: octets in,
 * requests out; replies in, octets out. Pure; one thread at a time per object; no allocation.
 *
 * One request at a time: the next one is read when this one has been replied to, so a client may
 * send ahead and gets its replies in order. The connection stays open unless the client says
 * otherwise, speaks HTTP/1.0, or has sent what cannot be taken.
 *
 * Strict where leniency lets two programs read the same octets differently (request smuggling):
 * lines end in CRLF, no folded lines, no space before a colon, one Host, one Content-Length of
 * digits, never both it and Transfer-Encoding. Bodies have a Content-Length: a chunked one gets 411
 * (RFC 9110 section 15.5.12), for no DNS message's size is unknown. "Expect: 100-continue" is kept.
 */
#ifndef GODWIT_FRONTEND_HTTP1_H
#define GODWIT_FRONTEND_HTTP1_H

#include "frontend/http_request.h"

/* Octets of a whole request; also what has to be held of the input. */
#define HTTP1_REQUEST_MAX (HTTP_HEAD_MAX + HTTP_BODY_MAX)

/* What is remembered from one look at the input to the next. All zero to begin with. */
struct http1 {
	size_t need;    /* octets of the input below which nothing new can be said */
	bool continued; /* the client has been told to go on */
};

enum http1_result {
	HTTP1_MORE,     /* the request is not whole yet */
	HTTP1_CONTINUE, /* the same, and HTTP1_GO_ON is to be sent before more comes */
	HTTP1_REQUEST,  /* whole */
	HTTP1_BAD,      /* cannot be taken: `status` says why; nothing after it can be read */
};

struct http1_request {
	struct http_request http; /* leads into the input */
	size_t size;              /* octets of the input to drop when it has been dealt with */
	int status;               /* of HTTP1_BAD */
	bool close;               /* no request follows this one */
};

#define HTTP1_GO_ON "HTTP/1.1 100 Continue\r\n\r\n"

/* Looks at the input from the first octet of a request on. */
enum http1_result http1_read(struct http1 *http1, const char *input, size_t size,
			     struct http1_request *out);

/* Octets of http1_write_head's output at most. */
#define HTTP1_REPLY_HEAD_MAX 512

/*
 * Writes a reply's status line and fields, the empty line included; the body follows unless
 * `reply->head`. Returns the size.
 */
size_t http1_write_head(const struct http_reply *reply, bool close, time_t now,
			char out[HTTP1_REPLY_HEAD_MAX]);

#endif
