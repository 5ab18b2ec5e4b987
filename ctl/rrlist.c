/*
 * A million records are nothing unusual, so a record costs little: 40 octets and its data, in
 * chunks that are only ever appended to; the owner name that is the same as in the record before is
 * shared with it.
 */
#include "ctl/rrlist.h"

#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE (256 * 1024)

struct rrlist_chunk {
	struct rrlist_chunk *next;
	size_t used;
	size_t size;
	uint8_t octets[];
};

void rrlist_init(struct rrlist *list)
{
	memset(list, 0, sizeof(*list));
}

void rrlist_clear(struct rrlist *list)
{
	while (list->chunks) {
		struct rrlist_chunk *next = list->chunks->next;
		free(list->chunks);
		list->chunks = next;
	}
	free(list->records);
	rrlist_init(list);
}

static void *rrlist_copy(struct rrlist *list, const void *octets, size_t size)
{
	struct rrlist_chunk *chunk = list->chunks;
	if (!chunk || chunk->size - chunk->used < size) {
		/* Small lists are the most frequent: the first chunk is small. */
		size_t wanted = chunk ? CHUNK_SIZE : CHUNK_SIZE / 64;
		if (wanted < size)
			wanted = size;
		chunk = malloc(sizeof(*chunk) + wanted);
		if (!chunk)
			return NULL;
		chunk->next = list->chunks;
		chunk->used = 0;
		chunk->size = wanted;
		list->chunks = chunk;
	}
	uint8_t *copy = chunk->octets + chunk->used;
	if (size > 0)
		memcpy(copy, octets, size);
	chunk->used += size;
	return copy;
}

static int rrlist_grow(struct rrlist *list)
{
	size_t capacity = list->capacity ? list->capacity * 2 : 16;
	struct rr *records = realloc(list->records, capacity * sizeof(*records));
	if (!records)
		return -1;
	list->records = records;
	list->capacity = capacity;
	return 0;
}

int rrlist_add(struct rrlist *list, const struct rr *record)
{
	struct rr copy = *record;
	uint8_t owner[DNS_NAME_MAX];

	if (list->count == list->capacity && rrlist_grow(list))
		return -1;
	size_t size = dns_name_copy_lower(record->owner, owner);
	const struct rr *last = list->count ? &list->records[list->count - 1] : NULL;
	if (last && dns_name_equal(last->owner, owner))
		copy.owner = last->owner;
	else
		copy.owner = rrlist_copy(list, owner, size);
	copy.rdata = rrlist_copy(list, record->rdata, record->rdata_size);
	if (record->file && (!list->last_file || strcmp(list->last_file, record->file) != 0))
		list->last_file = rrlist_copy(list, record->file, strlen(record->file) + 1);
	copy.file = record->file ? list->last_file : NULL;
	if (!copy.owner || !copy.rdata || (record->file && !copy.file))
		return -1;
	list->records[list->count++] = copy;
	return 0;
}

void rrlist_remove(struct rrlist *list, bool (*match)(const struct rr *record, const void *ctx),
		   const void *ctx)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++)
		if (!match(&list->records[i], ctx))
			list->records[kept++] = list->records[i];
	list->count = kept;
}

/* Order of two labels in lower case: by octets, a prefix first. */
static int compare_labels(const uint8_t *a, const uint8_t *b)
{
	size_t size = *a < *b ? *a : *b;
	int order = memcmp(a + 1, b + 1, size);
	return order ? order : (int)*a - (int)*b;
}

int rr_compare_owner(const uint8_t *a, const uint8_t *b)
{
	uint8_t a_labels[DNS_LABELS_MAX], b_labels[DNS_LABELS_MAX];
	if (a == b)
		return 0;
	unsigned int a_count = dns_name_find_labels(a, a_labels);
	unsigned int b_count = dns_name_find_labels(b, b_labels);
	while (a_count > 0 && b_count > 0) {
		int order = compare_labels(a + a_labels[--a_count], b + b_labels[--b_count]);
		if (order)
			return order;
	}
	return (int)a_count - (int)b_count;
}

/*
 * Octets in order, those of the first name in it without case. A name's length octets are below 64
 * and no letters, so the whole name can be lowered.
 */
int rr_compare_rdata(const struct rr *a, const struct rr *b)
{
	size_t size = a->rdata_size < b->rdata_size ? a->rdata_size : b->rdata_size;
	int name = dns_rdata_find_name(a->type);
	size_t begin = size, end = size;
	if (name >= 0 && (size_t)name < size) {
		begin = (size_t)name;
		end = begin + dns_name_size(a->rdata + begin);
	}
	for (size_t i = 0; i < size; i++) {
		bool in_name = i >= begin && i < end;
		int order = in_name ? (int)dns_lower(a->rdata[i]) - (int)dns_lower(b->rdata[i])
				    : (int)a->rdata[i] - (int)b->rdata[i];
		if (order)
			return order;
	}
	return (int)a->rdata_size - (int)b->rdata_size;
}

static int compare_types(uint16_t a, uint16_t b)
{
	int a_rank = a == DNS_TYPE_SOA ? 0 : a;
	int b_rank = b == DNS_TYPE_SOA ? 0 : b;
	return a_rank - b_rank;
}

static int compare_records(const void *a, const void *b)
{
	const struct rr *left = a, *right = b;
	int order = rr_compare_owner(left->owner, right->owner);
	if (order == 0)
		order = compare_types(left->type, right->type);
	return order ? order : rr_compare_rdata(left, right);
}

/* Merges two sorted neighbours, `middle` and `end` counted from the start of both. */
static void merge(const struct rr *from, size_t middle, size_t end, struct rr *to)
{
	size_t left = 0, right = middle;
	for (size_t i = 0; i < end; i++) {
		bool take_left = left < middle &&
				 (right == end || compare_records(&from[left], &from[right]) <= 0);
		to[i] = take_left ? from[left++] : from[right++];
	}
}

/*
 * A merge sort from below: stable, which qsort does not promise, and no worse for input that
 * somebody made to be bad for it. Files that are sorted already, as many are, end at the first
 * look.
 */
int rrlist_sort(struct rrlist *list)
{
	size_t count = list->count;
	size_t sorted = 1;
	while (sorted < count &&
	       compare_records(&list->records[sorted - 1], &list->records[sorted]) <= 0)
		sorted++;
	if (sorted >= count)
		return 0;
	struct rr *spare = malloc(list->capacity * sizeof(*spare));
	if (!spare)
		return -1;
	for (size_t width = 1; width < count; width *= 2) {
		for (size_t start = 0; start < count; start += 2 * width) {
			size_t rest = count - start;
			size_t middle = width < rest ? width : rest;
			size_t end = 2 * width < rest ? 2 * width : rest;
			merge(list->records + start, middle, end, spare + start);
		}
		struct rr *swap = list->records;
		list->records = spare;
		spare = swap;
	}
	free(spare);
	return 0;
}

size_t rrlist_drop_duplicates(struct rrlist *list)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->count; i++) {
		struct rr *last = kept ? &list->records[kept - 1] : NULL;
		if (last && compare_records(last, &list->records[i]) == 0) {
			if (list->records[i].ttl < last->ttl)
				last->ttl = list->records[i].ttl;
			continue;
		}
		list->records[kept++] = list->records[i];
	}
	size_t dropped = list->count - kept;
	list->count = kept;
	return dropped;
}

size_t rrlist_name_length(const struct rrlist *list, size_t first)
{
	size_t i = first + 1;
	while (i < list->count &&
	       rr_compare_owner(list->records[first].owner, list->records[i].owner) == 0)
		i++;
	return i - first;
}

size_t rrlist_rrset_length(const struct rrlist *list, size_t first)
{
	size_t i = first + 1;
	while (i < list->count && list->records[i].type == list->records[first].type &&
	       rr_compare_owner(list->records[first].owner, list->records[i].owner) == 0)
		i++;
	return i - first;
}

uint32_t rrlist_lowest_ttl(const struct rrlist *list, size_t first, size_t count)
{
	uint32_t ttl = list->records[first].ttl;
	for (size_t i = first + 1; i < first + count; i++)
		if (list->records[i].ttl < ttl)
			ttl = list->records[i].ttl;
	return ttl;
}
