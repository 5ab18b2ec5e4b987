#include "backend/rrsets.h"

#include "dns/protocol.h"
#include "dns/rdata.h"
#include "storage/record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One record that parsed. */
struct rrsets_item {
	uint16_t type;
	uint16_t size;
	uint32_t ttl;
	uint32_t index;      /* in the name's records: the store's order */
	size_t offset;       /* in `parsed` */
	const uint8_t *data; /* the same as a pointer, once `parsed` moves no more */
};

/* A block that grows and is kept from name to name. */
struct rrsets_pool {
	void *data;
	size_t capacity; /* octets */
};

struct rrsets {
	struct rrsets_report report;
	struct rrsets_pool items;  /* struct rrsets_item, one for each record that parsed */
	struct rrsets_pool parsed; /* their data, end to end */
	struct rrsets_pool packed; /* the same as the mirror wants it, sizes in between */
	struct rrsets_pool sets;   /* struct mirror_rrset_input */
};

struct rrsets *rrsets_create(const struct rrsets_report *report)
{
	struct rrsets *rrsets = calloc(1, sizeof(*rrsets));

	if (rrsets != NULL)
		rrsets->report = *report;
	return rrsets;
}

void rrsets_destroy(struct rrsets *rrsets)
{
	if (rrsets == NULL)
		return;
	free(rrsets->items.data);
	free(rrsets->parsed.data);
	free(rrsets->packed.data);
	free(rrsets->sets.data);
	free(rrsets);
}

/* Makes room for `size` octets; the block may move. False, and as before, without memory. */
static bool pool_reserve(struct rrsets_pool *pool, size_t size)
{
	size_t wanted = pool->capacity > 0 ? pool->capacity : 1024;
	void *moved;

	if (size <= pool->capacity)
		return true;
	while (wanted < size)
		wanted *= 2;
	moved = realloc(pool->data, wanted);
	if (moved == NULL)
		return false;
	pool->data = moved;
	pool->capacity = wanted;
	return true;
}

/* Types of which a name has one record at most. */
static bool is_singleton(uint16_t type)
{
	return type == DNS_TYPE_CNAME || type == DNS_TYPE_DNAME || type == DNS_TYPE_SOA;
}

/* RFC 2181 section 8: a TTL with the highest bit set counts as zero. */
static uint32_t clamp_ttl(uint32_t ttl)
{
	return ttl <= INT32_MAX ? ttl : 0;
}

static int compare_data(const struct rrsets_item *a, const struct rrsets_item *b)
{
	int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);

	return order != 0 ? order : (int)a->size - (int)b->size;
}

/* By type; then by data, or for singletons in the store's order, which says who is first. */
static int compare_items(const void *left, const void *right)
{
	const struct rrsets_item *a = left;
	const struct rrsets_item *b = right;
	int order = (int)a->type - (int)b->type;

	if (order == 0 && !is_singleton(a->type))
		order = compare_data(a, b);
	if (order == 0)
		order = a->index < b->index ? -1 : 1;
	return order;
}

/* Parses record `index` of the name into `item`; NULL, or why it is left out. */
static const char *parse_record(struct rrsets *rrsets, const struct storage_name *name,
				size_t index, bool at_apex, size_t offset, struct rrsets_item *item,
				char *reason, size_t reason_size)
{
	const struct storage_record *record = &name->records[index];
	uint16_t type;
	int size;

	if (!pool_reserve(&rrsets->parsed, offset + DNS_RDATA_MAX))
		return "out of memory";
	size = storage_record_parse(record, &type, (uint8_t *)rrsets->parsed.data + offset,
				    DNS_RDATA_MAX, reason, reason_size);
	if (size < 0)
		return reason;
	if (type == DNS_TYPE_SOA && !at_apex)
		return "an SOA below the zone's apex";
	*item = (struct rrsets_item){
		.type = type,
		.size = (uint16_t)size,
		.ttl = clamp_ttl(record->ttl),
		.index = (uint32_t)index,
		.offset = offset,
	};
	return NULL;
}

/* Parses all records; returns how many items there are, `*total` the octets of their data. */
static size_t parse_records(struct rrsets *rrsets, const struct storage_name *name, bool at_apex,
			    size_t *total)
{
	bool room = pool_reserve(&rrsets->items, name->count * sizeof(struct rrsets_item));
	struct rrsets_item *items = rrsets->items.data;
	char reason[256];
	size_t count = 0;

	*total = 0;
	for (size_t i = 0; i < name->count; i++) {
		struct rrsets_item item;
		const char *why = room ? parse_record(rrsets, name, i, at_apex, *total, &item,
						      reason, sizeof(reason))
				       : "out of memory";

		if (why != NULL) {
			rrsets->report.rejected(rrsets->report.ctx, name, &name->records[i], why);
			continue;
		}
		items[count++] = item;
		*total += item.size;
	}
	for (size_t i = 0; i < count; i++)
		items[i].data = (const uint8_t *)rrsets->parsed.data + items[i].offset;
	return count;
}

/* True when the item is one more of the set, whose last record is `kept`; equal ones merge here. */
static bool item_belongs(struct rrsets *rrsets, const struct storage_name *name,
			 const struct rrsets_item *item, const struct rrsets_item *kept,
			 struct mirror_rrset_input *set)
{
	const char *why;

	if (compare_data(kept, item) == 0) {
		set->ttl = item->ttl < set->ttl ? item->ttl : set->ttl;
		return false;
	}
	if (is_singleton(item->type))
		why = "a name has one record of this type only; another came first";
	else if (set->count == UINT16_MAX)
		why = "more than 65535 records in the RRset";
	else
		return true;
	rrsets->report.rejected(rrsets->report.ctx, name, &name->records[item->index], why);
	return false;
}

/* Groups the sorted items into RRsets. There is room for one set an item. */
static size_t group_items(struct rrsets *rrsets, const struct storage_name *name, size_t count)
{
	const struct rrsets_item *items = rrsets->items.data;
	const struct rrsets_item *kept = NULL;
	struct mirror_rrset_input *sets = rrsets->sets.data;
	struct mirror_rrset_input *set = NULL;
	uint8_t *out = rrsets->packed.data;
	size_t set_count = 0;

	for (size_t i = 0; i < count; i++) {
		const struct rrsets_item *item = &items[i];

		if (set == NULL || set->type != item->type) {
			set = &sets[set_count++];
			*set = (struct mirror_rrset_input){
				.ttl = item->ttl, .type = item->type, .data = out};
		} else if (!item_belongs(rrsets, name, item, kept, set)) {
			continue;
		}
		memcpy(out, &item->size, sizeof(item->size));
		memcpy(out + sizeof(item->size), item->data, item->size);
		out += sizeof(item->size) + item->size;
		set->size += (uint32_t)(sizeof(item->size) + item->size);
		set->count++;
		set->ttl = item->ttl < set->ttl ? item->ttl : set->ttl;
		kept = item;
	}
	return set_count;
}

/*
 * RFC 1034 section 3.6.2: a CNAME stands alone, but for what DNSSEC adds (RFC 2181 section
 * 10.1).
 */
static void report_cname_beside_data(struct rrsets *rrsets, const struct storage_name *name,
				     size_t count)
{
	const struct mirror_rrset_input *sets = rrsets->sets.data;
	bool has_cname = false, has_data = false;

	for (size_t i = 0; i < count; i++) {
		uint16_t type = sets[i].type;

		if (type == DNS_TYPE_CNAME)
			has_cname = true;
		else if (type != DNS_TYPE_RRSIG && type != DNS_TYPE_NSEC)
			has_data = true;
	}
	if (has_cname && has_data)
		rrsets->report.odd(rrsets->report.ctx, name, "a CNAME beside other data");
}

/*
 * An RRset that no message can hold is answered with SERVFAIL; who wrote it should hear of it. A
 * record takes an owner's pointer of two octets, for which its size stands here, and ten more.
 */
static void report_too_long(struct rrsets *rrsets, const struct storage_name *name, size_t count)
{
	const struct mirror_rrset_input *sets = rrsets->sets.data;

	for (size_t i = 0; i < count; i++) {
		size_t octets = sets[i].size + (size_t)10 * sets[i].count;

		if (octets > DNS_MESSAGE_MAX - DNS_HEADER_SIZE)
			rrsets->report.odd(rrsets->report.ctx, name,
					   "an RRset longer than a DNS message");
	}
}

size_t rrsets_build(struct rrsets *rrsets, const struct storage_name *name, bool at_apex,
		    const struct mirror_rrset_input **out)
{
	size_t total;
	size_t count = parse_records(rrsets, name, at_apex, &total);

	*out = NULL;
	if (count == 0)
		return 0;
	if (!pool_reserve(&rrsets->sets, count * sizeof(struct mirror_rrset_input)) ||
	    !pool_reserve(&rrsets->packed, total + count * sizeof(uint16_t))) {
		rrsets->report.odd(rrsets->report.ctx, name, "out of memory: not served");
		return 0;
	}
	qsort(rrsets->items.data, count, sizeof(struct rrsets_item), compare_items);
	count = group_items(rrsets, name, count);
	report_cname_beside_data(rrsets, name, count);
	report_too_long(rrsets, name, count);
	*out = rrsets->sets.data;
	return count;
}
