/* DnsPacket messages in gRPC byte buffers, good ones and any others. */
#include "frontend/packet.h"
#include "suite.h"

#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct packet_arena *arena;

/* A buffer of `size` octets in slices of at most `piece`. */
static grpc_byte_buffer *buffer_of(const uint8_t *bytes, size_t size, size_t piece)
{
	grpc_slice slices[64];
	size_t count = 0;
	for (size_t at = 0; at < size; at += piece) {
		size_t part = size - at < piece ? size - at : piece;
		CU_ASSERT_FATAL(count < 64);
		slices[count++] = grpc_slice_from_copied_buffer((const char *)bytes + at, part);
	}
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, count);
	for (size_t i = 0; i < count; i++)
		grpc_slice_unref(slices[i]);
	return buffer;
}

static bool decodes_to(const uint8_t *bytes, size_t size, size_t piece, const uint8_t *expected,
		       size_t expected_size)
{
	grpc_byte_buffer *buffer = buffer_of(bytes, size, piece);
	size_t found_size = 0;
	const uint8_t *found = packet_decode(arena, buffer, &found_size);
	bool same = expected ? found && found_size == expected_size &&
				       memcmp(found, expected, expected_size) == 0
			     : !found;
	grpc_byte_buffer_destroy(buffer);
	return same;
}

static void test_round_trip(void)
{
	static uint8_t message[65535];
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(i * 7);
	static const size_t sizes[] = {1, 12, 127, 128, 300, 16384, 65535};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		grpc_byte_buffer *buffer = packet_encode(message, sizes[i]);
		size_t size = 0;
		const uint8_t *found = packet_decode(arena, buffer, &size);
		CU_ASSERT_FATAL(found != NULL);
		CU_ASSERT_EQUAL(size, sizes[i]);
		CU_ASSERT_EQUAL(memcmp(found, message, size), 0);
		grpc_byte_buffer_destroy(buffer);
	}
}

static void test_encoding_is_protobuf(void)
{
	static const uint8_t wire[] = {0x0a, 3, 'a', 'b', 'c'};
	grpc_byte_buffer *buffer = packet_encode((const uint8_t *)"abc", 3);
	CU_ASSERT_EQUAL(grpc_byte_buffer_length(buffer), sizeof(wire));
	grpc_byte_buffer_destroy(buffer);
	CU_ASSERT(decodes_to(wire, sizeof(wire), 64, (const uint8_t *)"abc", 3));
}

static void test_slices_are_joined(void)
{
	static const uint8_t wire[] = {0x0a, 6, 'a', 'b', 'c', 'd', 'e', 'f'};
	CU_ASSERT(decodes_to(wire, sizeof(wire), 1, (const uint8_t *)"abcdef", 6));
	CU_ASSERT(decodes_to(wire, sizeof(wire), 3, (const uint8_t *)"abcdef", 6));
}

static void test_unknown_fields_are_ignored(void)
{
	static const uint8_t wire[] = {0x10, 5, 0x0a, 1, 'x', 0x1a, 2, 'y', 'z'};
	CU_ASSERT(decodes_to(wire, sizeof(wire), 64, (const uint8_t *)"x", 1));
}

static void test_garbage_is_refused(void)
{
	static const uint8_t too_long[] = {0x0a, 200, 1, 'a'};
	static const uint8_t endless[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t wrong_type[] = {0x08, 1};
	CU_ASSERT(decodes_to(too_long, sizeof(too_long), 64, NULL, 0));
	CU_ASSERT(decodes_to(endless, sizeof(endless), 64, NULL, 0));
	CU_ASSERT(decodes_to(wrong_type, sizeof(wrong_type), 64, NULL, 0));
	CU_ASSERT(decodes_to(NULL, 0, 64, NULL, 0));
}

static void test_random_octets_do_no_harm(void)
{
	uint8_t bytes[300];
	srandom(1);
	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)random() % sizeof(bytes);
		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)random();
		if (size > 0 && round % 2)
			bytes[0] = 0x0a;
		grpc_byte_buffer *buffer = buffer_of(bytes, size, 64);
		size_t found_size = 0;
		const uint8_t *found = packet_decode(arena, buffer, &found_size);
		CU_ASSERT(!found || (found_size > 0 && found_size < size));
		grpc_byte_buffer_destroy(buffer);
	}
}

static void test_oversized_is_refused(void)
{
	size_t size = 1 << 20;
	uint8_t *bytes = calloc(1, size);
	bytes[0] = 0x0a;
	CU_ASSERT(decodes_to(bytes, size, size / 8, NULL, 0));
	/* Many small fields: more than the arena can take. */
	for (size_t i = 0; i + 3 <= 60000; i += 3)
		memcpy(bytes + i, "\x1a\x01x", 3);
	CU_ASSERT(decodes_to(bytes, 60000, 60000, NULL, 0));
	free(bytes);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"what is encoded is decoded", test_round_trip},
		{"the encoding is protobuf's", test_encoding_is_protobuf},
		{"slices are joined", test_slices_are_joined},
		{"unknown fields are ignored", test_unknown_fields_are_ignored},
		{"garbage is refused", test_garbage_is_refused},
		{"random octets do no harm", test_random_octets_do_no_harm},
		{"oversized packets are refused", test_oversized_is_refused},
	};
	grpc_init();
	arena = malloc(sizeof(*arena));
	int result = SUITE_RUN("packet", tests);
	free(arena);
	grpc_shutdown();
	return result;
}
