/* Protobuf's wire format (protobuf.dev/programming-guides/encoding) for two messages. */
#include "proto/batch.h"

#include <endian.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_OCTETS = 2, WIRE_FIXED32 = 5 };

#define TAG(field, type) ((field) << 3 | (type))

/* Questions and Answers: the one repeated field. Question and Answer: their fields. */
#define TAG_ENTRY TAG(1, WIRE_OCTETS)
#define TAG_ID TAG(1, WIRE_VARINT)
#define TAG_MSG TAG(2, WIRE_OCTETS)
#define TAG_FACTS TAG(3, WIRE_OCTETS)
#define TAG_FACT TAG(3, WIRE_FIXED64)
#define TAG_VOLATILE TAG(4, WIRE_VARINT)
#define TAG_ZONE TAG(5, WIRE_VARINT)

/* --- reading ---------------------------------------------------------------------------------- */

/* A field's tag and value: a number, or octets. */
struct field {
	uint64_t tag;
	uint64_t number;
	uint8_t *octets;
	size_t size;
};

static bool read_varint(struct batch_reader *reader, uint64_t *out)
{
	uint64_t value = 0;
	for (unsigned int shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
		uint8_t octet = *reader->at++;
		value |= (uint64_t)(octet & 127) << shift;
		if (octet < 128) {
			*out = value;
			return true;
		}
	}
	return false;
}

static uint64_t get_fixed64(const uint8_t *octets)
{
	uint64_t value;
	memcpy(&value, octets, sizeof(value));
	return le64toh(value);
}

static bool read_octets(struct batch_reader *reader, uint64_t size, struct field *out)
{
	if (size > (size_t)(reader->end - reader->at))
		return false;
	out->octets = reader->at;
	out->size = (size_t)size;
	reader->at += size;
	return true;
}

/* The next field, known or not. Groups (wire types 3 and 4) are not of proto3. */
static enum batch_read read_field(struct batch_reader *reader, struct field *out)
{
	uint64_t size;
	bool ok = false;
	if (reader->at == reader->end)
		return BATCH_END;
	if (!read_varint(reader, &out->tag))
		return BATCH_MALFORMED;
	switch (out->tag & 7) {
	case WIRE_VARINT:
		ok = read_varint(reader, &out->number);
		break;
	case WIRE_FIXED64:
		ok = read_octets(reader, 8, out);
		break;
	case WIRE_OCTETS:
		ok = read_varint(reader, &size) && read_octets(reader, size, out);
		break;
	case WIRE_FIXED32:
		ok = read_octets(reader, 4, out);
		break;
	}
	return ok && out->tag >> 3 != 0 ? BATCH_READ : BATCH_MALFORMED;
}

/* The octets of the next entry of Questions or Answers, as a reader of its own. */
static enum batch_read read_entry(struct batch_reader *reader, struct batch_reader *entry)
{
	struct field field = {0};
	enum batch_read result;
	while ((result = read_field(reader, &field)) == BATCH_READ) {
		if (field.tag != TAG_ENTRY)
			continue;
		batch_reader_init(entry, field.octets, field.size);
		return BATCH_READ;
	}
	return result;
}

enum batch_read batch_read_question(struct batch_reader *reader, struct batch_question *out)
{
	struct batch_reader entry;
	struct field field = {0};
	enum batch_read result = read_entry(reader, &entry);
	if (result != BATCH_READ)
		return result;
	*out = (struct batch_question){.msg = entry.end};
	while ((result = read_field(&entry, &field)) == BATCH_READ) {
		if (field.tag == TAG_ID) {
			out->id = (uint32_t)field.number;
		} else if (field.tag == TAG_MSG) {
			out->msg = field.octets;
			out->size = field.size;
		}
	}
	return result == BATCH_END ? BATCH_READ : BATCH_MALFORMED;
}

/* Facts, packed or one by one; more than there is room for make the answer volatile. */
static bool read_facts(struct batch_answer *answer, const struct field *field)
{
	if (field->size % 8 != 0)
		return false;
	for (size_t i = 0; i < field->size; i += 8) {
		if (answer->fact_count == BATCH_FACTS_MAX) {
			answer->is_volatile = true;
			break;
		}
		answer->facts[answer->fact_count++] = get_fixed64(field->octets + i);
	}
	return true;
}

/* The inside of one Answer. */
static bool read_answer(struct batch_reader *entry, struct batch_answer *out)
{
	struct field field = {0};
	enum batch_read result;
	while ((result = read_field(entry, &field)) == BATCH_READ) {
		switch (field.tag) {
		case TAG_ID:
			out->id = (uint32_t)field.number;
			break;
		case TAG_MSG:
			out->msg = field.octets;
			out->size = field.size;
			break;
		case TAG_FACTS:
		case TAG_FACT:
			if (!read_facts(out, &field))
				return false;
			break;
		case TAG_VOLATILE:
			out->is_volatile = out->is_volatile || field.number != 0;
			break;
		case TAG_ZONE: /* no name is longer than an octet can say */
			out->zone_size = field.number <= UINT8_MAX ? (uint8_t)field.number : 0;
			break;
		}
	}
	return result == BATCH_END;
}

enum batch_read batch_read_answer(struct batch_reader *reader, struct batch_answer *out)
{
	struct batch_reader entry;
	enum batch_read result = read_entry(reader, &entry);
	if (result != BATCH_READ)
		return result;
	out->id = 0;
	out->msg = NULL;
	out->size = 0;
	out->is_volatile = false;
	out->zone_size = 0;
	out->fact_count = 0;
	if (!read_answer(&entry, out))
		return BATCH_MALFORMED;
	if (out->is_volatile)
		out->fact_count = 0;
	return BATCH_READ;
}

/* --- writing ---------------------------------------------------------------------------------- */

#define PADDED_SIZE 3 /* octets of a padded varint; it holds up to 2^21 - 1 */

static size_t varint_size(uint64_t value)
{
	size_t size = 1;
	while (value >>= 7)
		size++;
	return size;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		*at++ = (uint8_t)(value | 128);
	*at++ = (uint8_t)value;
	return at;
}

static void put_padded(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value | 128);
	at[1] = (uint8_t)(value >> 7 | 128);
	at[2] = (uint8_t)(value >> 14 & 127);
}

bool batch_write_question(struct batch_writer *writer, uint32_t id, const uint8_t *msg, size_t size)
{
	size_t inside = 1 + varint_size(id) + 1 + varint_size(size) + size;
	size_t whole = 1 + varint_size(inside) + inside;
	if (whole > writer->capacity - writer->size)
		return false;
	uint8_t *at = writer->octets + writer->size;
	*at++ = TAG_ENTRY;
	at = put_varint(at, inside);
	*at++ = TAG_ID;
	at = put_varint(at, id);
	*at++ = TAG_MSG;
	at = put_varint(at, size);
	memcpy(at, msg, size);
	writer->size += whole;
	return true;
}

uint8_t *batch_begin_answer(struct batch_writer *writer, uint32_t id, size_t size_max)
{
	if (size_max + BATCH_ANSWER_OVERHEAD > writer->capacity - writer->size)
		return NULL;
	uint8_t *at = writer->octets + writer->size;
	writer->start = writer->size;
	*at++ = TAG_ENTRY;
	at += PADDED_SIZE;
	*at++ = TAG_ID;
	at = put_varint(at, id);
	*at++ = TAG_MSG;
	at += PADDED_SIZE;
	writer->msg = (size_t)(at - writer->octets);
	return at;
}

static uint8_t *put_facts(uint8_t *at, const uint64_t *facts, unsigned int count)
{
	*at++ = TAG_FACTS;
	*at++ = (uint8_t)(8 * count);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t fact = htole64(facts[i]);
		memcpy(at, &fact, sizeof(fact));
		at += sizeof(fact);
	}
	return at;
}

void batch_end_answer(struct batch_writer *writer, size_t size, const uint64_t *facts,
		      unsigned int fact_count, bool is_volatile, uint8_t zone_size)
{
	uint8_t *msg = writer->octets + writer->msg;
	uint8_t *at = msg + size;
	put_padded(msg - PADDED_SIZE, size);
	if (is_volatile) {
		*at++ = TAG_VOLATILE;
		*at++ = 1;
	} else if (fact_count > 0) {
		at = put_facts(at, facts, fact_count);
	}
	if (zone_size > 0) {
		*at++ = TAG_ZONE;
		at = put_varint(at, zone_size);
	}
	writer->size = (size_t)(at - writer->octets);
	put_padded(writer->octets + writer->start + 1,
		   writer->size - writer->start - 1 - PADDED_SIZE);
}
