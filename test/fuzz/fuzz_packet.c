/* What the other end of a gRPC call sends, as a DnsPacket: a backend's reply in the front end. */
#include "frontend/packet.h"
#include "fuzz.h"

#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packet_arena arena;
	size_t half = size / 2;
	size_t length = 0;

	/* In two slices, as gRPC may well have received it. */
	grpc_slice slices[2] = {
		grpc_slice_from_copied_buffer((const char *)data, half),
		grpc_slice_from_copied_buffer((const char *)data + half, size - half)};
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, 2);
	uint8_t *message = packet_decode(&arena, buffer, &length);
	grpc_byte_buffer_destroy(buffer);
	grpc_slice_unref(slices[0]);
	grpc_slice_unref(slices[1]);
	if (!message)
		return 0;
	FUZZ_CHECK(length > 0 && length <= size);

	/* A packet of ours is read back as it was. */
	uint8_t *copy = malloc(length);
	if (!copy)
		return 0;
	memcpy(copy, message, length);
	buffer = packet_encode(copy, length);
	size_t again = 0;
	message = packet_decode(&arena, buffer, &again);
	grpc_byte_buffer_destroy(buffer);
	FUZZ_CHECK(message && again == length && memcmp(message, copy, length) == 0);
	free(copy);
	return 0;
}
