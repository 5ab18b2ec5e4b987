/* Encoding straight into a gRPC slice, decoding into a fixed arena: one copy each, no malloc. */
#include "frontend/packet.h"

#include "proto/dns.pb-c.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

grpc_byte_buffer *packet_encode(const uint8_t *message, size_t size)
{
	Coredns__Dns__DnsPacket packet = COREDNS__DNS__DNS_PACKET__INIT;
	packet.msg.data = (uint8_t *)(uintptr_t)message; /* protobuf-c only reads it */
	packet.msg.len = size;
	grpc_slice slice = grpc_slice_malloc(coredns__dns__dns_packet__get_packed_size(&packet));
	coredns__dns__dns_packet__pack(&packet, GRPC_SLICE_START_PTR(slice));
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return buffer;
}

static void *packet_arena_alloc(void *ctx, size_t size)
{
	struct packet_arena *arena = ctx;
	size_t step = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (step < size || step > sizeof(arena->bytes) - arena->used)
		return NULL;
	void *memory = arena->bytes + arena->used;
	arena->used += step;
	return memory;
}

/* The arena is emptied as a whole, before the next packet. */
static void packet_arena_free(void *ctx, void *memory)
{
	(void)ctx;
	(void)memory;
}

/* The buffer's content in one piece: nearly always it is one slice already. */
static grpc_slice packet_flatten(grpc_byte_buffer *buffer)
{
	size_t size = grpc_byte_buffer_length(buffer);
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	if (size > PACKET_ENCODED_MAX || !grpc_byte_buffer_reader_init(&reader, buffer))
		return grpc_empty_slice();
	if (!grpc_byte_buffer_reader_next(&reader, &slice)) {
		slice = grpc_empty_slice();
	} else if (GRPC_SLICE_LENGTH(slice) < size) {
		grpc_slice_unref(slice);
		grpc_byte_buffer_reader_destroy(&reader);
		grpc_byte_buffer_reader_init(&reader, buffer);
		slice = grpc_byte_buffer_reader_readall(&reader);
	}
	grpc_byte_buffer_reader_destroy(&reader);
	return slice;
}

uint8_t *packet_decode(struct packet_arena *arena, grpc_byte_buffer *buffer, size_t *size)
{
	ProtobufCAllocator allocator = {packet_arena_alloc, packet_arena_free, arena};
	grpc_slice slice = packet_flatten(buffer);
	arena->used = 0;
	Coredns__Dns__DnsPacket *packet = coredns__dns__dns_packet__unpack(
		&allocator, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
	grpc_slice_unref(slice);
	if (!packet || packet->msg.len == 0)
		return NULL;
	*size = packet->msg.len;
	return packet->msg.data;
}
