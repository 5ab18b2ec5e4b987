/*
 * Where the frames of HTTP/2 begin (RFC 9113 section 4.1): octets from a client in, frame headers
 * out. libnghttp2 tells of most frames, but not of those that it ignores - of types that it does
 * not know, or on streams that it has forgotten - and those, too, cost time. Pure; one thread at a
 * time per object.
 */
#ifndef GODWIT_FRONTEND_HTTP2_FRAMES_H
#define GODWIT_FRONTEND_HTTP2_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP2_FRAME_HEAD_SIZE 9
#define HTTP2_PREFACE_SIZE 24 /* octets that a client sends before its first frame */

struct http2_frames {
	size_t before; /* octets that come before the next header */
	uint8_t head[HTTP2_FRAME_HEAD_SIZE];
	size_t head_size; /* octets of the header that have come */
};

struct http2_frame {
	uint8_t type;
	int32_t stream;
};

/* At the beginning of a connection. */
void http2_frames_init(struct http2_frames *frames);

/*
 * Reads up to the end of the next frame header. True with `*frame` set when there is one, whose
 * octets are in `frames->head`; false when the octets end before that. `*used` says how many of
 * them have been read; the rest is to be given with the next call. The first `*before` of these
 * come before the header.
 */
bool http2_frames_read(struct http2_frames *frames, const uint8_t *octets, size_t size,
		       size_t *before, size_t *used, struct http2_frame *frame);

#endif
