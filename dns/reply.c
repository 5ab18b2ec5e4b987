#include "dns/reply.h"

#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/writer.h"

#include <string.h>

#define MINIMAL_ANY_TTL_S 3600
#define RECORD_FIXED_SIZE 10 /* type, class, TTL, data length */

/* One record of a reply as a walk meets it; offsets into the message. */
struct reply_record {
	size_t start;
	size_t fixed; /* behind the owner name */
	size_t end;
	uint16_t type;
};

size_t dns_reply_write_error(const struct dns_query *query, int rcode, uint16_t udp_payload,
			     int ede, const char *ede_text, uint8_t *out, size_t capacity)
{
	struct dns_writer writer;

	dns_writer_init(&writer, out, capacity, query);
	/* A question is 259 octets at most: there is always room for OPT, if not for the words. */
	if (dns_writer_put_edns(&writer, query, udp_payload, rcode, ede, ede_text) < 0)
		dns_writer_put_edns(&writer, query, udp_payload, rcode, ede, NULL);
	return dns_writer_finish(&writer, 0, rcode);
}

size_t dns_reply_write_minimal_any(const struct dns_query *query, uint16_t udp_payload,
				   uint8_t *out, size_t capacity)
{
	static const uint8_t hinfo[] = "\7RFC8482"; /* and an empty string: the literal's own end */
	struct dns_writer writer;

	/* A question, 21 octets and OPT: always less than DNS_UDP_PAYLOAD_MIN. */
	dns_writer_init(&writer, out, capacity, query);
	dns_writer_put_record(&writer, DNS_SECTION_ANSWER, query->qname, DNS_TYPE_HINFO,
			      MINIMAL_ANY_TTL_S, hinfo, sizeof(hinfo));
	dns_writer_put_edns(&writer, query, udp_payload, DNS_RCODE_NOERROR, DNS_EDE_NONE, NULL);
	return dns_writer_finish(&writer, DNS_FLAG_AA, DNS_RCODE_NOERROR);
}

/* Reads the record at `offset`; false when it does not lie within the message. */
static bool reply_read_record(const uint8_t *reply, size_t size, size_t offset,
			      struct reply_record *out)
{
	out->start = offset;
	if (dns_name_skip(reply, size, &offset) < 0 || size - offset < RECORD_FIXED_SIZE)
		return false;
	out->fixed = offset;
	out->type = dns_get16(reply + offset);
	out->end = offset + RECORD_FIXED_SIZE + dns_get16(reply + offset + 8);
	return out->end <= size;
}

/* The first record's offset, behind the questions; 0 when they are cut short. */
static size_t reply_skip_questions(const uint8_t *reply, size_t size)
{
	size_t offset = DNS_HEADER_SIZE;

	for (unsigned int i = dns_get16(reply + 4); i > 0; i--) {
		if (dns_name_skip(reply, size, &offset) < 0 || size - offset < 4)
			return 0;
		offset += 4;
	}
	return offset;
}

static unsigned int reply_count_records(const uint8_t *reply)
{
	return (unsigned int)dns_get16(reply + 6) + dns_get16(reply + 8) + dns_get16(reply + 10);
}

/* Finds the OPT record, an additional one; false when there is none. */
static bool reply_find_opt(const uint8_t *reply, size_t size, struct reply_record *out)
{
	if (size < DNS_HEADER_SIZE || dns_get16(reply + 10) == 0)
		return false;

	size_t offset = reply_skip_questions(reply, size);
	for (unsigned int i = reply_count_records(reply); offset != 0 && i > 0; i--) {
		if (!reply_read_record(reply, size, offset, out))
			return false;
		if (out->type == DNS_TYPE_OPT)
			return true;
		offset = out->end;
	}
	return false;
}

/* The question comes back as it was asked, but for its case. */
static bool reply_question_matches(const struct dns_query *query, const uint8_t *reply, size_t size)
{
	const uint8_t *question = reply + DNS_HEADER_SIZE;
	size_t name_size = query->qname_size;

	if (query->question_size == 0 || size - DNS_HEADER_SIZE < query->question_size)
		return false;
	if (memcmp(question, query->qname, query->question_size) == 0)
		return true;
	for (size_t i = 0; i < name_size; i++) {
		if (dns_lower(question[i]) != dns_lower(query->qname[i]))
			return false;
	}
	return memcmp(question + name_size, query->qname + name_size, 4) == 0;
}

/*
 * All records within the message and nothing behind them; one OPT at most, of the root and among
 * the additional records (RFC 6891 section 6.1.1), for the functions below rely on it.
 */
static bool reply_records_are_sound(const uint8_t *reply, size_t size)
{
	unsigned int required = (unsigned int)dns_get16(reply + 6) + dns_get16(reply + 8);
	unsigned int total = reply_count_records(reply);
	size_t offset = reply_skip_questions(reply, size);
	bool opt_seen = false;

	for (unsigned int i = 0; offset != 0 && i < total; i++) {
		struct reply_record record;
		if (!reply_read_record(reply, size, offset, &record))
			return false;
		if (record.type == DNS_TYPE_OPT) {
			if (opt_seen || i < required || record.fixed != record.start + 1)
				return false;
			opt_seen = true;
		}
		offset = record.end;
	}
	return offset == size;
}

bool dns_reply_matches(const struct dns_query *query, const uint8_t *reply, size_t size)
{
	if (size < DNS_HEADER_SIZE || size > DNS_MESSAGE_MAX || dns_get16(reply) != query->id)
		return false;

	uint16_t flags = dns_get16(reply + 2);
	unsigned int questions = dns_get16(reply + 4);
	if (!(flags & DNS_FLAG_QR) || (flags >> DNS_OPCODE_SHIFT & 0xf) != query->opcode)
		return false;
	if (questions > 1 || (questions == 0 && (flags & 0xf) == DNS_RCODE_NOERROR))
		return false;
	if (questions == 1 && !reply_question_matches(query, reply, size))
		return false;

	return reply_records_are_sound(reply, size);
}

/* Two neighbouring records are of one RRset when owner and type agree, as written. */
static bool records_share_rrset(const uint8_t *reply, size_t size, const struct reply_record *a,
				const struct reply_record *b)
{
	uint8_t name_a[DNS_NAME_MAX];
	uint8_t name_b[DNS_NAME_MAX];
	size_t at_a = a->start;
	size_t at_b = b->start;

	return a->type == b->type && dns_name_parse(reply, size, &at_a, name_a) >= 0 &&
	       dns_name_parse(reply, size, &at_b, name_b) >= 0 && dns_name_equal(name_a, name_b);
}

/* What of a too long reply fits: records kept, and where they end. */
struct reply_cut {
	size_t end;              /* octets up to the last whole RRset that fits */
	unsigned int additional; /* additional records before that, OPT not counted */
	bool all_required;       /* answer and authority are within */
};

/* Walks the reply for the last RRset border in the additional section within `limit` octets. */
static struct reply_cut reply_find_cut(const uint8_t *reply, size_t size, size_t limit)
{
	unsigned int required = (unsigned int)dns_get16(reply + 6) + dns_get16(reply + 8);
	unsigned int total = reply_count_records(reply);
	struct reply_cut cut = {0};
	struct reply_record previous = {0};
	size_t offset = reply_skip_questions(reply, size);

	if (required == 0) {
		cut.all_required = true;
		cut.end = offset;
	}
	for (unsigned int i = 0; i < total; i++) {
		struct reply_record record;
		if (!reply_read_record(reply, size, offset, &record) || record.type == DNS_TYPE_OPT)
			break;
		bool starts_rrset =
			i <= required || !records_share_rrset(reply, size, &previous, &record);
		if (i > required && starts_rrset && offset <= limit) {
			cut.end = offset;
			cut.additional = i - required;
		}
		if (record.end > limit)
			break;
		offset = record.end;
		previous = record;
		if (i + 1 == required) {
			cut.all_required = true;
			cut.end = offset;
		}
	}
	return cut;
}

/* A referral: no answer, no authority of ours, NS records that need their glue. */
static bool reply_is_referral(const uint8_t *reply)
{
	uint16_t flags = dns_get16(reply + 2);

	return !(flags & DNS_FLAG_AA) && (flags & 0xf) == DNS_RCODE_NOERROR &&
	       dns_get16(reply + 6) == 0 && dns_get16(reply + 8) != 0;
}

size_t dns_reply_truncate(uint8_t *reply, size_t size, size_t limit)
{
	struct reply_record opt;
	uint8_t *opt_bytes = NULL;
	size_t opt_size = 0;

	if (size <= limit)
		return size;
	if (reply_find_opt(reply, size, &opt)) {
		opt_bytes = reply + opt.start;
		opt_size = opt.end - opt.start;
	}

	struct reply_cut cut = {0};
	if (opt_size < limit)
		cut = reply_find_cut(reply, size, limit - opt_size);
	bool drop_additional = cut.all_required && !reply_is_referral(reply);
	if (!drop_additional) {
		cut.end = reply_skip_questions(reply, size);
		cut.additional = 0;
		dns_put16(reply + 2, dns_get16(reply + 2) | DNS_FLAG_TC);
		dns_put16(reply + 6, 0);
		dns_put16(reply + 8, 0);
	}
	/* Padding or a long option list may be all that is too long: then OPT goes without them. */
	if (cut.end + opt_size > limit && opt_size > 11) {
		opt_size = 11;
		dns_put16(opt_bytes + 9, 0);
	}
	if (opt_size != 0)
		memmove(reply + cut.end, opt_bytes, opt_size);
	dns_put16(reply + 10, (uint16_t)(cut.additional + (opt_size != 0)));
	return cut.end + opt_size;
}

void dns_reply_set_payload(uint8_t *reply, size_t size, uint16_t udp_payload)
{
	struct reply_record opt;

	if (reply_find_opt(reply, size, &opt))
		dns_put16(reply + opt.fixed + 2, udp_payload);
}

bool dns_reply_find_opt(const uint8_t *reply, size_t size, size_t *start, size_t *end)
{
	struct reply_record opt;

	if (!reply_find_opt(reply, size, &opt))
		return false;
	*start = opt.start;
	*end = opt.end;
	return true;
}

int dns_reply_rcode(const uint8_t *reply, size_t size)
{
	struct reply_record opt;
	int rcode = dns_get16(reply + 2) & 0xf;

	if (reply_find_opt(reply, size, &opt))
		rcode |= reply[opt.fixed + 4] << 4;
	return rcode;
}
