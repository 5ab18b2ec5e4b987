/* The snapshot file's layout, shared by who writes it and who reads it. See snapshot.h. */
#ifndef GODWIT_BACKEND_SNAPSHOT_FORMAT_H
#define GODWIT_BACKEND_SNAPSHOT_FORMAT_H

#include <stdint.h>

#define SNAPSHOT_MAGIC "godwit snapshot 1\n"
#define SNAPSHOT_BYTE_ORDER 0x01020304u
#define SNAPSHOT_DIGEST_SIZE 32

struct snapshot_header {
	char magic[sizeof(SNAPSHOT_MAGIC) - 1];
	uint32_t byte_order;
	int64_t saved_s;
} __attribute__((packed));

enum snapshot_entry { SNAPSHOT_ZONE = 'Z', SNAPSHOT_RRSET = 'R', SNAPSHOT_END = 'E' };

/* What follows the owner name of an RRset; `size` octets of data come behind it. */
struct snapshot_rrset {
	uint8_t apex_offset; /* octets of the owner before the apex */
	uint16_t type;
	uint16_t count;
	uint32_t ttl;
	uint32_t size;
} __attribute__((packed));

#endif
