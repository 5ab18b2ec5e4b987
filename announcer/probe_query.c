#include "announcer/probe_query.h"

#include "dns/rdata.h"

#include <stdio.h>
#include <string.h>

#define UDP_PAYLOAD 1232
#define OPT_SIZE 11

/* --- the question ----------------------------------------------------------------------------- */

/* Writes the name to ask for; returns its size. */
static size_t query_put_name(uint8_t *out, const uint8_t *name, uint64_t random)
{
	size_t size = dns_name_size(name);
	size_t letters = PROBE_LETTERS;
	if (name[0] != 1 || name[1] != '*') {
		memcpy(out, name, size);
		return size;
	}
	if (letters > DNS_NAME_MAX - size + 1)
		letters = DNS_NAME_MAX - size + 1;
	out[0] = (uint8_t)letters;
	for (size_t i = 0; i < letters; i++, random /= 16)
		out[1 + i] = (uint8_t)('a' + random % 16);
	memcpy(out + 1 + letters, name + 2, size - 2);
	return size - 1 + letters;
}

void probe_query_write(struct probe_query *query, const struct probe_expectation *expectation,
		       uint64_t random)
{
	uint8_t *at = query->octets + DNS_HEADER_SIZE;
	memset(query->octets, 0, sizeof(query->octets));
	dns_put16(query->octets, (uint16_t)random);
	dns_put16(query->octets + 2, DNS_FLAG_RD);
	dns_put16(query->octets + 4, 1);
	dns_put16(query->octets + 10, 1);
	at += query_put_name(at, expectation->name, random >> 16);
	dns_put16(at, expectation->type);
	dns_put16(at + 2, DNS_CLASS_IN);
	at += 4;
	at[0] = 0; /* OPT: the root, its type, our payload size; the rest is 0 */
	dns_put16(at + 1, DNS_TYPE_OPT);
	dns_put16(at + 3, UDP_PAYLOAD);
	query->size = (size_t)(at + OPT_SIZE - query->octets);
}

/* --- the records of an answer ----------------------------------------------------------------- */

/* One record, its data still in the message. */
struct record {
	uint16_t type;
	uint16_t class;
	uint32_t ttl;
	size_t data; /* offset */
	size_t data_size;
};

/* Reads the record at `*offset` and moves past it. */
static bool record_read(const uint8_t *message, size_t size, size_t *offset, struct record *record)
{
	uint8_t owner[DNS_NAME_MAX];
	if (dns_name_parse(message, size, offset, owner) < 0 || size - *offset < 10)
		return false;
	const uint8_t *at = message + *offset;
	*record = (struct record){
		.type = dns_get16(at),
		.class = dns_get16(at + 2),
		.ttl = dns_get32(at + 4),
		.data = *offset + 10,
		.data_size = dns_get16(at + 8),
	};
	if (size - record->data < record->data_size)
		return false;
	*offset = record->data + record->data_size;
	return true;
}

/* How many names, which may be compressed, stand together in a type's data. */
static int data_count_names(uint16_t type)
{
	enum { TYPE_RP = 17 };
	if (dns_rdata_find_name(type) < 0)
		return 0;
	return type == DNS_TYPE_SOA || type == DNS_TYPE_MINFO || type == TYPE_RP ? 2 : 1;
}

/* True when a record's data is the expected one; names without regard to case or compression. */
static bool record_is_expected(const uint8_t *message, const struct record *record,
			       const struct probe_expectation *expectation)
{
	const uint8_t *expected = expectation->answer;
	size_t end = record->data + record->data_size;
	size_t at = record->data;
	size_t used = 0;
	int names = data_count_names(record->type);

	if (names > 0) {
		used = (size_t)dns_rdata_find_name(record->type);
		if (used > record->data_size || used > expectation->answer_size ||
		    memcmp(message + at, expected, used) != 0)
			return false;
		at += used;
	}
	for (int i = 0; i < names; i++) {
		uint8_t name[DNS_NAME_MAX];
		if (used >= expectation->answer_size ||
		    dns_name_parse(message, end, &at, name) < 0 ||
		    !dns_name_equal(name, expected + used))
			return false;
		used += dns_name_size(expected + used);
	}
	return end - at == expectation->answer_size - used &&
	       memcmp(message + at, expected + used, end - at) == 0;
}

/* --- the verdict ------------------------------------------------------------------------------ */

static const char *rcode_to_text(unsigned int rcode, char *out, size_t size)
{
	static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
					    "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
					    "NXRRSET", "NOTAUTH", "NOTZONE"};
	if (rcode < sizeof(names) / sizeof(names[0]))
		return names[rcode];
	snprintf(out, size, "response code %u", rcode);
	return out;
}

static enum probe_verdict say(char *cause, const char *text, enum probe_verdict verdict)
{
	snprintf(cause, PROBE_CAUSE_MAX, "%s", text);
	return verdict;
}

/* Checks that the message answers our question; `*offset` is then behind the question. */
static enum probe_verdict judge_question(const struct probe_query *query, const uint8_t *message,
					 size_t size, size_t *offset, char *cause)
{
	uint8_t name[DNS_NAME_MAX];
	const uint8_t *asked = query->octets + DNS_HEADER_SIZE;
	if (size < DNS_HEADER_SIZE)
		return say(cause, "what came is no DNS message", PROBE_UNRELATED);
	if (dns_get16(message) != dns_get16(query->octets))
		return say(cause, "the ID is another one", PROBE_UNRELATED);
	if (!(dns_get16(message + 2) & DNS_FLAG_QR) ||
	    (dns_get16(message + 2) >> DNS_OPCODE_SHIFT & 15) != DNS_OPCODE_QUERY)
		return say(cause, "what came is no response to a query", PROBE_UNRELATED);
	*offset = DNS_HEADER_SIZE;
	if (dns_get16(message + 4) != 1 || dns_name_parse(message, size, offset, name) < 0 ||
	    size - *offset < 4 || !dns_name_equal(name, asked) ||
	    memcmp(message + *offset, asked + dns_name_size(asked), 4) != 0)
		return say(cause, "the question is another one", PROBE_UNRELATED);
	*offset += 4;
	return PROBE_GOOD;
}

/* Reads all records: whether the expected one is there, and the upper bits of the rcode. */
static bool read_records(const struct probe_expectation *expectation, const uint8_t *message,
			 size_t size, size_t offset, bool *found, unsigned int *rcode)
{
	size_t answers = dns_get16(message + 6);
	size_t count = answers + dns_get16(message + 8) + dns_get16(message + 10);
	struct record record;
	*found = !expectation->answer;
	for (size_t i = 0; i < count; i++) {
		if (!record_read(message, size, &offset, &record))
			return false;
		if (record.type == DNS_TYPE_OPT && i >= answers)
			*rcode |= record.ttl >> 24 << 4; /* RFC 6891 section 6.1.3 */
		else if (!*found && i < answers && record.type == expectation->type &&
			 record.class == DNS_CLASS_IN)
			*found = record_is_expected(message, &record, expectation);
	}
	return true;
}

enum probe_verdict probe_query_judge(const struct probe_query *query,
				     const struct probe_expectation *expectation, bool stream,
				     const uint8_t *message, size_t size, char *cause)
{
	char text[32];
	char expected[32];
	size_t offset = 0;
	bool found = false;
	enum probe_verdict verdict = judge_question(query, message, size, &offset, cause);
	if (verdict != PROBE_GOOD)
		return verdict;
	unsigned int rcode = message[3] & 15;
	bool truncated = dns_get16(message + 2) & DNS_FLAG_TC;
	if (truncated && stream)
		return say(cause, "the answer is truncated", PROBE_BAD);
	if (!read_records(expectation, message, size, offset, &found, &rcode) && !truncated)
		return say(cause, "the answer is malformed", PROBE_BAD);
	if (rcode != expectation->rcode) {
		snprintf(cause, PROBE_CAUSE_MAX, "%s instead of %s",
			 rcode_to_text(rcode, text, sizeof(text)),
			 rcode_to_text(expectation->rcode, expected, sizeof(expected)));
		return PROBE_BAD;
	}
	if (!found)
		return say(cause,
			   truncated ? "the answer is truncated, the expected record not in it"
				     : "the expected record is not in the answer",
			   PROBE_BAD);
	return PROBE_GOOD;
}
