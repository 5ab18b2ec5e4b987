/*
 * coredns.dns.DnsPacket and gRPC's byte buffers: the one field `msg` in and out, by protobuf-c.
 */
#ifndef GODWIT_FRONTEND_PACKET_H
#define GODWIT_FRONTEND_PACKET_H

#include <grpc/grpc.h>
#include <stddef.h>
#include <stdint.h>

/* Largest encoded DnsPacket that is looked at: a message of 65535 octets and some framing. */
#define PACKET_ENCODED_MAX (65535 + 64)

/* Memory that packet_decode parses into, one packet at a time; large, so keep it on the heap. */
struct packet_arena {
	size_t used;
	_Alignas(max_align_t) uint8_t bytes[PACKET_ENCODED_MAX + 4096];
};

/* Encodes a DNS message. The caller destroys the buffer. NULL when memory is short. */
grpc_byte_buffer *packet_encode(const uint8_t *message, size_t size);

/*
 * Decodes `buffer` into `arena`: the message, valid until the next call, and its size. NULL when
 * the buffer is no DnsPacket or larger than any could be. Any bytes are safe.
 */
uint8_t *packet_decode(struct packet_arena *arena, grpc_byte_buffer *buffer, size_t *size);

#endif
