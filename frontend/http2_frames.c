/* Frame headers among octets. */
#include "frontend/http2_frames.h"

#include <string.h>

void http2_frames_init(struct http2_frames *frames)
{
	*frames = (struct http2_frames){.before = HTTP2_PREFACE_SIZE};
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

bool http2_frames_read(struct http2_frames *frames, const uint8_t *octets, size_t size,
		       size_t *before, size_t *used, struct http2_frame *frame)
{
	const uint8_t *head = frames->head;
	size_t skipped = least(size, frames->before);
	size_t part = least(size - skipped, HTTP2_FRAME_HEAD_SIZE - frames->head_size);
	frames->before -= skipped;
	memcpy(frames->head + frames->head_size, octets + skipped, part);
	frames->head_size += part;
	*before = skipped;
	*used = skipped + part;
	if (frames->head_size < HTTP2_FRAME_HEAD_SIZE)
		return false;
	frames->head_size = 0;
	frames->before = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
	frame->type = head[3];
	frame->stream = (int32_t)((uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
				  (uint32_t)head[7] << 8 | head[8]);
	return true;
}
