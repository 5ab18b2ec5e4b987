#include "dns/writer.h"

#include "dns/error.h"
#include "dns/name.h"

#include <string.h>

#define POINTER_BITS 0xc000
#define POINTER_MAX 0x3fff   /* a pointer has 14 bits */
#define QUESTION_REST_SIZE 5 /* behind the labels of its name: root, type, class */
#define OPT_FIXED_SIZE 11    /* root owner, type, class, TTL, data length */

/* A name about to be written: where its labels start, and a tag for each suffix. */
struct name_parts {
	unsigned int count;
	uint8_t offsets[DNS_LABELS_MAX];
	uint16_t tags[DNS_LABELS_MAX];
};

/*
 * A tag is a small hash of a suffix, case ignored, so that most comparisons end at two octets. Of
 * each label it knows the length and the octets at both ends: names whose labels differ in between
 * alone are rare, and cost a comparison each.
 */
static void name_find_parts(const uint8_t *name, struct name_parts *parts)
{
	uint32_t hash = 0;

	parts->count = dns_name_find_labels(name, parts->offsets);
	for (unsigned int i = parts->count; i-- > 0;) {
		const uint8_t *label = name + parts->offsets[i];
		uint32_t ends = (uint32_t)dns_lower(label[1]) << 8 | dns_lower(label[*label]) << 16;
		hash = (hash ^ ends ^ *label) * 0x9e3779b1u;
		parts->tags[i] = (uint16_t)(hash >> 16);
	}
}

/* Both of the same length. */
static bool label_is_equal(const uint8_t *a, const uint8_t *b)
{
	if (memcmp(a, b, 1u + *a) == 0)
		return true;
	for (unsigned int i = 1; i <= *a; i++) {
		if (dns_lower(a[i]) != dns_lower(b[i]))
			return false;
	}
	return true;
}

/* True when the name at `offset` of the message, which we wrote, is `name`. */
static bool name_is_at(const struct dns_writer *writer, uint16_t offset, const uint8_t *name)
{
	const uint8_t *p = writer->buffer + offset;

	for (;;) {
		while ((*p & 0xc0) == 0xc0)
			p = writer->buffer + (dns_get16(p) & POINTER_MAX);
		if (*p != *name)
			return false;
		if (*p == 0)
			return true;
		if (!label_is_equal(p, name))
			return false;
		p += 1 + *p;
		name += 1 + *name;
	}
}

/* The offset where `suffix` was written before, or 0. */
static uint16_t writer_find_name(const struct dns_writer *writer, const uint8_t *suffix,
				 uint16_t tag)
{
	for (unsigned int i = 0; i < writer->known_count; i++) {
		if (writer->known_tags[i] == tag && name_is_at(writer, writer->known[i], suffix))
			return writer->known[i];
	}
	return 0;
}

static void writer_remember_name(struct dns_writer *writer, size_t offset, uint16_t tag)
{
	if (writer->known_count == DNS_WRITER_NAMES || offset > POINTER_MAX)
		return;
	writer->known[writer->known_count] = (uint16_t)offset;
	writer->known_tags[writer->known_count++] = tag;
}

static bool writer_has_room(const struct dns_writer *writer, size_t size)
{
	return writer->capacity - writer->size >= size;
}

static int writer_put_bytes(struct dns_writer *writer, const uint8_t *bytes, size_t size)
{
	if (!writer_has_room(writer, size))
		return DNS_ERROR_NO_SPACE;
	memcpy(writer->buffer + writer->size, bytes, size);
	writer->size += size;
	return 0;
}

static void writer_put_pointer(struct dns_writer *writer, uint16_t target)
{
	dns_put16(writer->buffer + writer->size, POINTER_BITS | target);
	writer->size += 2;
}

/*
 * Where `name` stands in the message if it is the question's name or the end of it, that very
 * memory, as the owners of most records are; else 0, and for the root, which needs no pointer.
 */
static uint16_t writer_find_in_question(const struct dns_writer *writer, const uint8_t *name)
{
	uintptr_t offset = (uintptr_t)name - (uintptr_t)writer->question;

	return offset < writer->question_size ? (uint16_t)(DNS_HEADER_SIZE + offset) : 0;
}

/* Makes the question's name one to point to: before any other, and only when there is another. */
static void writer_remember_question(struct dns_writer *writer)
{
	struct name_parts parts;

	if (writer->question_size == 0)
		return;
	name_find_parts(writer->question, &parts);
	for (unsigned int i = 0; i < parts.count; i++)
		writer_remember_name(writer, DNS_HEADER_SIZE + parts.offsets[i], parts.tags[i]);
}

/* Writes labels until one whose suffix stands in the message already, then a pointer to it. */
static int writer_put_name(struct dns_writer *writer, const uint8_t *name)
{
	struct name_parts parts;
	size_t kept;
	uint16_t target = writer_find_in_question(writer, name);
	unsigned int i;

	if (target != 0) {
		if (!writer_has_room(writer, 2))
			return DNS_ERROR_NO_SPACE;
		writer_put_pointer(writer, target);
		return 0;
	}
	if (writer->known_count == 0)
		writer_remember_question(writer);
	name_find_parts(name, &parts);
	for (i = 0; i < parts.count; i++) {
		target = writer_find_name(writer, name + parts.offsets[i], parts.tags[i]);
		if (target != 0)
			break;
	}
	kept = i < parts.count ? parts.offsets[i] : dns_name_size(name) - 1;
	if (!writer_has_room(writer, kept + 2))
		return DNS_ERROR_NO_SPACE;
	for (unsigned int k = 0; k < i; k++)
		writer_remember_name(writer, writer->size + parts.offsets[k], parts.tags[k]);
	memcpy(writer->buffer + writer->size, name, kept);
	writer->size += kept;
	if (target == 0) {
		writer->buffer[writer->size++] = 0;
		return 0;
	}
	writer_put_pointer(writer, target);
	return 0;
}

/*
 * How the data of the types whose names may be compressed begins (RFC 3597 section 4): octets
 * before the first name, and the number of names; what follows is copied. False for the others.
 */
static bool type_is_compressible(uint16_t type, size_t *before, unsigned int *names)
{
	*before = 0;
	*names = 1;
	switch (type) {
	case DNS_TYPE_NS:
	case DNS_TYPE_MD:
	case DNS_TYPE_MF:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_MB:
	case DNS_TYPE_MG:
	case DNS_TYPE_MR:
	case DNS_TYPE_PTR:
		return true;
	case DNS_TYPE_MX:
		*before = 2;
		return true;
	case DNS_TYPE_SOA:
	case DNS_TYPE_MINFO:
		*names = 2;
		return true;
	default:
		return false;
	}
}

static int writer_put_rdata(struct dns_writer *writer, uint16_t type, const uint8_t *rdata,
			    uint16_t size)
{
	const uint8_t *end = rdata + size;
	size_t before;
	unsigned int names;

	if (type_is_compressible(type, &before, &names)) {
		int status = writer_put_bytes(writer, rdata, before);
		rdata += before;
		for (; names > 0 && status == 0; names--) {
			status = writer_put_name(writer, rdata);
			rdata += dns_name_size(rdata);
		}
		if (status < 0)
			return status;
	}
	return writer_put_bytes(writer, rdata, (size_t)(end - rdata));
}

void dns_writer_init(struct dns_writer *writer, uint8_t *buffer, size_t capacity,
		     const struct dns_query *query)
{
	writer->buffer = buffer;
	writer->capacity = capacity;
	writer->size = DNS_HEADER_SIZE;
	writer->known_count = 0;
	memset(writer->counts, 0, sizeof(writer->counts));
	memset(buffer, 0, DNS_HEADER_SIZE);
	dns_put16(buffer, query->id);
	dns_put16(buffer + 2, (uint16_t)(DNS_FLAG_QR | query->opcode << DNS_OPCODE_SHIFT |
					 (query->flags & DNS_FLAG_RD)));
	writer->question = query->qname;
	writer->question_size = 0;
	if (query->question_size == 0)
		return;

	writer->question_size = query->question_size - QUESTION_REST_SIZE;
	memcpy(buffer + writer->size, query->qname, query->question_size);
	writer->size += query->question_size;
	writer->counts[0] = 1;
}

int dns_writer_put_record(struct dns_writer *writer, enum dns_section section, const uint8_t *owner,
			  uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t rdata_size)
{
	size_t size = writer->size;
	uint16_t known_count = writer->known_count;
	int status = writer_put_name(writer, owner);

	if (status < 0)
		goto undo;
	if (!writer_has_room(writer, 10)) {
		status = DNS_ERROR_NO_SPACE;
		goto undo;
	}
	uint8_t *fixed = writer->buffer + writer->size;
	dns_put16(fixed, type);
	dns_put16(fixed + 2, DNS_CLASS_IN);
	dns_put32(fixed + 4, ttl);
	writer->size += 10;
	size_t start = writer->size;
	status = writer_put_rdata(writer, type, rdata, rdata_size);
	if (status < 0)
		goto undo;
	dns_put16(fixed + 8, (uint16_t)(writer->size - start));
	writer->counts[section]++;
	return 0;
undo:
	writer->size = size;
	writer->known_count = known_count;
	return status;
}

struct dns_writer_mark dns_writer_mark(const struct dns_writer *writer)
{
	struct dns_writer_mark mark = {.size = writer->size, .known_count = writer->known_count};

	memcpy(mark.counts, writer->counts, sizeof(mark.counts));
	return mark;
}

void dns_writer_rewind(struct dns_writer *writer, const struct dns_writer_mark *mark)
{
	writer->size = mark->size;
	writer->known_count = mark->known_count;
	memcpy(writer->counts, mark->counts, sizeof(mark->counts));
}

int dns_writer_put_edns(struct dns_writer *writer, const struct dns_query *query,
			uint16_t udp_payload, int rcode, int ede, const char *ede_text)
{
	if (!query->edns.present)
		return 0;

	size_t text = ede != DNS_EDE_NONE && ede_text ? strlen(ede_text) : 0;
	size_t options = ede != DNS_EDE_NONE ? 6 + text : 0;
	if (!writer_has_room(writer, OPT_FIXED_SIZE + options))
		return DNS_ERROR_NO_SPACE;

	uint8_t *p = writer->buffer + writer->size;
	*p = 0;
	dns_put16(p + 1, DNS_TYPE_OPT);
	dns_put16(p + 3, udp_payload);
	dns_put32(p + 5, (uint32_t)(rcode >> 4) << 24 | (query->edns.dnssec_ok ? 0x8000u : 0));
	dns_put16(p + 9, (uint16_t)options);
	if (options != 0) {
		dns_put16(p + 11, DNS_OPTION_EDE);
		dns_put16(p + 13, (uint16_t)(2 + text));
		dns_put16(p + 15, (uint16_t)ede);
		if (text != 0)
			memcpy(p + 17, ede_text, text);
	}
	writer->size += OPT_FIXED_SIZE + options;
	writer->counts[DNS_SECTION_ADDITIONAL]++;
	return 0;
}

size_t dns_writer_finish(struct dns_writer *writer, uint16_t flags, int rcode)
{
	uint8_t *header = writer->buffer;

	dns_put16(header + 2, (uint16_t)(dns_get16(header + 2) | flags | (rcode & 0xf)));
	for (unsigned int i = 0; i < 4; i++)
		dns_put16(header + 4 + 2 * i, writer->counts[i]);
	return writer->size;
}
