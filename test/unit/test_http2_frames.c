/* Frame headers of HTTP/2, found however the octets are cut. */
#include "frontend/http2_frames.h"
#include "suite.h"

#include <string.h>

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#define FRAMES_MAX 8

struct found {
	struct http2_frame frames[FRAMES_MAX];
	size_t count;
};

/* Reads `size` octets, `step` at a time. */
static void read_all(struct http2_frames *frames, const uint8_t *octets, size_t size, size_t step,
		     struct found *found)
{
	while (size > 0) {
		size_t piece = size < step ? size : step;
		struct http2_frame frame;
		size_t before, used;
		if (http2_frames_read(frames, octets, piece, &before, &used, &frame)) {
			CU_ASSERT_FATAL(found->count < FRAMES_MAX);
			CU_ASSERT_EQUAL(frames->head[3], frame.type);
			found->frames[found->count++] = frame;
		} else {
			CU_ASSERT_EQUAL(used, piece);
		}
		CU_ASSERT_FATAL(used > 0 && used <= piece && before <= used);
		octets += used;
		size -= used;
	}
}

static size_t put(uint8_t *out, const void *octets, size_t size)
{
	memcpy(out, octets, size);
	return size;
}

static void test_frames(void)
{
	static const uint8_t settings[] = {0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 9};
	static const uint8_t ping[] = {0, 0, 8, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9};
	static const uint8_t empty[] = {0, 0, 0, 0, 1, 0x80, 1, 2, 3};
	static const uint8_t unknown[] = {0, 1, 4, 0xf0, 0, 0x7f, 0xff, 0xff, 0xff};
	uint8_t octets[400] = {0};
	size_t size = put(octets, preface, HTTP2_PREFACE_SIZE);
	size += put(octets + size, settings, sizeof(settings));
	size += put(octets + size, empty, sizeof(empty));
	size += put(octets + size, unknown, sizeof(unknown)) + 260;
	size += put(octets + size, ping, sizeof(ping));
	for (size_t step = 1; step <= size; step++) {
		struct http2_frames frames;
		struct found found = {.count = 0};
		http2_frames_init(&frames);
		read_all(&frames, octets, size, step, &found);
		CU_ASSERT_EQUAL_FATAL(found.count, 4);
		CU_ASSERT(found.frames[0].type == 4 && found.frames[0].stream == 0);
		CU_ASSERT(found.frames[1].type == 0 && found.frames[1].stream == 0x10203);
		CU_ASSERT(found.frames[2].type == 0xf0 && found.frames[2].stream == 0x7fffffff);
		CU_ASSERT(found.frames[3].type == 6 && found.frames[3].stream == 0);
	}
}

/* The header of the longest frame there can be: nothing is found in its 16 MiB. */
static void test_longest_frame(void)
{
	static const uint8_t head[] = {0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1};
	static const uint8_t next[] = {0, 0, 0, 9, 0, 0, 0, 0, 3};
	static const uint8_t payload[65536];
	struct http2_frames frames;
	struct found found = {.count = 0};
	http2_frames_init(&frames);
	read_all(&frames, (const uint8_t *)preface, HTTP2_PREFACE_SIZE, 100, &found);
	read_all(&frames, head, sizeof(head), 100, &found);
	for (size_t left = 0xffffff; left > 0;) {
		size_t piece = left < sizeof(payload) ? left : sizeof(payload);
		read_all(&frames, payload, piece, piece, &found);
		left -= piece;
	}
	CU_ASSERT_EQUAL(found.count, 1);
	read_all(&frames, next, sizeof(next), 100, &found);
	CU_ASSERT_EQUAL(found.count, 2);
	CU_ASSERT(found.frames[1].type == 9 && found.frames[1].stream == 3);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"headers are found in pieces of any size", test_frames},
		{"the longest payload is passed over", test_longest_frame},
	};
	return SUITE_RUN("http2_frames", tests);
}
