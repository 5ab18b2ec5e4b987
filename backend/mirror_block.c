#include "backend/mirror_internal.h"

#include "dns/protocol.h"

#include <stdlib.h>
#include <string.h>

/* One record on its way into a block. */
struct block_record {
	uint32_t ttl;
	uint16_t type;
	uint16_t size;
	const uint8_t *data;
};

static size_t rrset_span(uint32_t size)
{
	return (sizeof(struct mirror_rrset) + size + 3u) & ~(size_t)3;
}

static const struct mirror_rrset *rrset_first(const struct mirror_block *block)
{
	return (const struct mirror_rrset *)(const void *)block->rrsets;
}

static const struct mirror_rrset *rrset_next(const struct mirror_rrset *rrset)
{
	return (const struct mirror_rrset *)(const void *)((const uint8_t *)rrset +
							   rrset_span(rrset->size));
}

/* By type, then in canonical order of the data: octet by octet, the shorter first. */
static int record_compare(const void *left, const void *right)
{
	const struct block_record *a = left;
	const struct block_record *b = right;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	size_t common = a->size < b->size ? a->size : b->size;
	int order = common ? memcmp(a->data, b->data, common) : 0;
	return order ? order : (int)a->size - (int)b->size;
}

static bool record_same_data(const struct block_record *a, const struct block_record *b)
{
	return a->type == b->type && a->size == b->size &&
	       (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* Lists the records of one RRset; returns how many. */
static size_t records_add(struct block_record *records, uint16_t type, uint32_t ttl, uint16_t count,
			  const uint8_t *data)
{
	for (uint16_t i = 0; i < count; i++) {
		uint16_t size;
		memcpy(&size, data, sizeof(size));
		records[i] = (struct block_record){ttl, type, size, data + sizeof(size)};
		data += sizeof(size) + size;
	}
	return count;
}

/* Sorts, drops doubles and gives the records of a type their lowest TTL; returns how many stay. */
static size_t records_settle(struct block_record *records, size_t count)
{
	size_t kept = 0;
	size_t first = 0; /* of the type at hand */

	qsort(records, count, sizeof(*records), record_compare);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || records[kept - 1].type != records[i].type)
			first = kept;
		uint32_t ttl = records[i].ttl;
		if (kept > first && ttl > records[first].ttl)
			ttl = records[first].ttl;
		if (kept == first || !record_same_data(&records[kept - 1], &records[i])) {
			if (kept - first == UINT16_MAX)
				continue; /* no message could carry them */
			records[kept++] = records[i];
		}
		records[first].ttl = ttl;
	}
	return kept;
}

static uint16_t type_flags(uint16_t type)
{
	switch (type) {
	case DNS_TYPE_NS:
		return MIRROR_NODE_HAS_NS;
	case DNS_TYPE_CNAME:
		return MIRROR_NODE_HAS_CNAME;
	case DNS_TYPE_DNAME:
		return MIRROR_NODE_HAS_DNAME;
	default:
		return 0;
	}
}

/* Where the records of the type that starts at `start` end. */
static size_t records_find_end(const struct block_record *records, size_t count, size_t start)
{
	size_t end = start;

	while (end < count && records[end].type == records[start].type)
		end++;
	return end;
}

static uint32_t records_data_size(const struct block_record *records, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += sizeof(uint16_t) + records[i].size;
	return (uint32_t)size;
}

static void rrset_write(struct mirror_rrset *rrset, const struct block_record *records,
			size_t count)
{
	uint8_t *data = rrset->data;

	rrset->ttl = records[0].ttl;
	rrset->type = records[0].type;
	rrset->count = (uint16_t)count;
	rrset->size = records_data_size(records, count);
	for (size_t i = 0; i < count; i++) {
		memcpy(data, &records[i].size, sizeof(uint16_t));
		data += sizeof(uint16_t);
		if (records[i].size > 0)
			memcpy(data, records[i].data, records[i].size);
		data += records[i].size;
	}
	/* Padding is compared by block_equal, so it has a value. */
	size_t used = sizeof(*rrset) + rrset->size;
	memset(data, 0, rrset_span(rrset->size) - used);
}

static struct mirror_block *block_write(struct mirror *mirror, const struct block_record *records,
					size_t count)
{
	size_t size = 0;
	size_t end;

	for (size_t i = 0; i < count; i = end) {
		end = records_find_end(records, count, i);
		size += rrset_span(records_data_size(records + i, end - i));
	}

	struct mirror_block *block = mirror_allocate(mirror, sizeof(*block) + size);
	block->size = (uint32_t)size;
	block->count = 0;
	block->flags = MIRROR_NODE_HAS_DATA;
	uint8_t *at = block->rrsets;
	for (size_t i = 0; i < count; i = end) {
		end = records_find_end(records, count, i);
		struct mirror_rrset *rrset = (struct mirror_rrset *)(void *)at;
		rrset_write(rrset, records + i, end - i);
		at += rrset_span(rrset->size);
		block->count++;
		block->flags |= type_flags(rrset->type);
	}
	return block;
}

struct mirror_block *block_create(struct mirror *mirror, const struct mirror_block *base,
				  const struct mirror_rrset_input *rrsets, size_t count)
{
	struct block_record few[16];
	struct block_record *records = few;
	size_t total = base ? block_count_records(base) : 0;
	size_t filled = 0;

	for (size_t i = 0; i < count; i++)
		total += rrsets[i].count;
	if (total == 0)
		return NULL;
	if (total > sizeof(few) / sizeof(few[0]))
		records = mirror_allocate(mirror, total * sizeof(*records));
	const struct mirror_rrset *rrset = base ? rrset_first(base) : NULL;
	for (uint16_t i = 0; base && i < base->count; i++, rrset = rrset_next(rrset))
		filled += records_add(records + filled, rrset->type, rrset->ttl, rrset->count,
				      rrset->data);
	for (size_t i = 0; i < count; i++)
		filled += records_add(records + filled, rrsets[i].type, rrsets[i].ttl,
				      rrsets[i].count, rrsets[i].data);

	struct mirror_block *block = block_write(mirror, records, records_settle(records, filled));
	if (records != few)
		mirror_free(mirror, records);
	return block;
}

bool block_equal(const struct mirror_block *a, const struct mirror_block *b)
{
	return a->size == b->size && a->count == b->count &&
	       memcmp(a->rrsets, b->rrsets, a->size) == 0;
}

uint64_t block_count_records(const struct mirror_block *block)
{
	const struct mirror_rrset *rrset = rrset_first(block);
	uint64_t count = 0;

	for (uint16_t i = 0; i < block->count; i++, rrset = rrset_next(rrset))
		count += rrset->count;
	return count;
}

static const struct mirror_rrset *block_find_rrset(const struct mirror_block *block, uint16_t type)
{
	const struct mirror_rrset *rrset = rrset_first(block);

	for (uint16_t i = 0; i < block->count; i++, rrset = rrset_next(rrset)) {
		if (rrset->type >= type)
			return rrset->type == type ? rrset : NULL;
	}
	return NULL;
}

const struct mirror_rrset *block_next_rrset(const struct mirror_block *block,
					    const struct mirror_rrset *rrset)
{
	const struct mirror_rrset *next = rrset ? rrset_next(rrset) : rrset_first(block);

	return (const uint8_t *)next < block->rrsets + block->size ? next : NULL;
}

/* --- reading (mirror.h) ----------------------------------------------------------------------- */

const struct mirror_rrset *mirror_find_rrset(const struct mirror_node *node, uint16_t type)
{
	const struct mirror_block *block = atomic_load_explicit(&node->block, memory_order_acquire);

	return block ? block_find_rrset(block, type) : NULL;
}

const struct mirror_rrset *mirror_first_rrset(const struct mirror_node *node)
{
	const struct mirror_block *block = atomic_load_explicit(&node->block, memory_order_acquire);

	return block ? rrset_first(block) : NULL;
}

unsigned int mirror_node_flags(const struct mirror_node *node)
{
	const struct mirror_block *block = atomic_load_explicit(&node->block, memory_order_acquire);
	unsigned int flags = block ? block->flags : 0;

	if (atomic_load_explicit(&node->has_wildcard, memory_order_acquire))
		flags |= MIRROR_NODE_HAS_WILDCARD;
	return flags;
}
