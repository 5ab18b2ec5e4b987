/* From HTTP requests to DNS messages and back. */
#include "frontend/doh.h"

#include "dns/name.h"
#include "frontend/doh_json.h"

#include <string.h>

/* --- base64url -------------------------------------------------------------------------------- */

static int doh_sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

int doh_decode_base64url(const char *text, size_t size, uint8_t *out, size_t capacity)
{
	size_t length = 0;
	uint32_t bits = 0;
	unsigned int count = 0;
	if (size % 4 == 1 || size / 4 * 3 > capacity)
		return -1;
	for (size_t i = 0; i < size; i++) {
		int sextet = doh_sextet(text[i]);
		if (sextet < 0)
			return -1;
		bits = bits << 6 | (uint32_t)sextet;
		count += 6;
		if (count < 8)
			continue;
		count -= 8;
		if (length == capacity)
			return -1;
		out[length++] = (uint8_t)(bits >> count);
	}
	/* What is left over must say nothing (RFC 4648 section 3.5). */
	return (bits & ((1U << count) - 1)) == 0 ? (int)length : -1;
}

/* --- requests --------------------------------------------------------------------------------- */

struct http_reply doh_refuse(int status, bool head)
{
	static const struct {
		int status;
		const char *text;
	} known[] = {
		{400, "not a DNS query, or not a sound request\n"},
		{404, "nothing here\n"},
		{405, "wrong method for this path\n"},
		{411, "give a content-length\n"},
		{413, "longer than a DNS message can be\n"},
		{414, "the URL is too long\n"},
		{415, "the body must be application/dns-message\n"},
		{417, "only 100-continue can be expected\n"},
		{431, "too many or too long header fields\n"},
		{501, "not known here\n"},
		{503, "too busy, try again\n"},
		{505, "HTTP/1.1 or HTTP/2, please\n"},
	};
	const char *text = "internal error\n";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].status == status)
			text = known[i].text;
	return (struct http_reply){
		.status = status,
		.content_type = "text/plain; charset=utf-8",
		.max_age_s = -1,
		.body = (const uint8_t *)text,
		.body_size = strlen(text),
		.head = head,
	};
}

static bool doh_is_path(const struct http_request *request, const char *path)
{
	return request->path_size == strlen(path) &&
	       memcmp(request->path, path, request->path_size) == 0;
}

/* Which of the two a request is for: 0, DOH_FORM_JSON, or -1 for neither. */
static int doh_find_form(const struct frontend_https *paths, const struct http_request *request)
{
	size_t size;
	bool message = doh_is_path(request, paths->path);
	bool json = doh_is_path(request, paths->json_path);
	if (message && json)
		json = request->method != HTTP_POST && !http_query_find(request, "dns", &size) &&
		       http_query_find(request, "name", &size);
	if (json)
		return DOH_FORM_JSON;
	return message ? 0 : -1;
}

/* 0 or a status, like the next one. */
static int doh_read_post(const struct http_request *request, struct doh_question *out)
{
	if (request->content != HTTP_CONTENT_DNS_MESSAGE)
		return 415;
	if (request->body_size > sizeof(out->message))
		return 413;
	if (request->body_size > 0)
		memcpy(out->message, request->body, request->body_size);
	out->size = request->body_size;
	return 0;
}

static int doh_read_get(const struct http_request *request, struct doh_question *out)
{
	size_t size;
	const char *text = http_query_find(request, "dns", &size);
	if (!text)
		return 400;
	int length = doh_decode_base64url(text, size, out->message, sizeof(out->message));
	if (length < 0)
		return 400;
	out->size = (size_t)length;
	return 0;
}

/* What gets no reply in DNS, but has to get one here. */
static bool doh_is_query(const struct doh_question *question)
{
	return question->size >= DNS_HEADER_SIZE &&
	       (dns_get16(question->message + 2) & DNS_FLAG_QR) == 0;
}

static int doh_read_question(const struct http_request *request, struct doh_question *out)
{
	int status;
	bool post = request->method == HTTP_POST;
	if (request->method == HTTP_METHOD_UNKNOWN)
		return 501;
	if (request->method == HTTP_METHOD_KNOWN || (post && (out->form & DOH_FORM_JSON)))
		return 405;
	if (out->form & DOH_FORM_JSON)
		status = doh_json_read(request, out->message, &out->size);
	else
		status = post ? doh_read_post(request, out) : doh_read_get(request, out);
	if (status == 0 && !doh_is_query(out))
		status = 400;
	return status;
}

bool doh_read(const struct frontend_https *paths, const struct http_request *request,
	      struct doh_question *out, struct http_reply *refusal)
{
	bool head = request->method == HTTP_HEAD;
	int form = doh_find_form(paths, request);
	if (form < 0) {
		*refusal = doh_refuse(request->method == HTTP_METHOD_UNKNOWN ? 501 : 404, head);
		return false;
	}
	out->form = (uint8_t)(form | (head ? DOH_FORM_HEAD : 0));
	int status = doh_read_question(request, out);
	if (status == 0)
		return true;
	*refusal = doh_refuse(status, head);
	if (status == 405)
		refusal->allow = form == DOH_FORM_JSON ? "GET, HEAD" : "GET, HEAD, POST";
	return false;
}

/* --- replies ---------------------------------------------------------------------------------- */

/* One record as far as caching goes. */
struct doh_record {
	uint16_t type;
	uint32_t ttl;
	const uint8_t *rdata;
	uint16_t size;
};

static bool doh_read_record(const uint8_t *reply, size_t size, size_t *at, struct doh_record *out)
{
	if (dns_name_skip(reply, size, at) < 0 || size - *at < 10)
		return false;
	out->type = dns_get16(reply + *at);
	out->ttl = dns_get32(reply + *at + 4);
	out->size = dns_get16(reply + *at + 8);
	out->rdata = reply + *at + 10;
	*at += 10;
	if (size - *at < out->size)
		return false;
	*at += out->size;
	if (out->ttl > INT32_MAX) /* RFC 2181 section 8 */
		out->ttl = 0;
	return true;
}

/* A denial may be kept for the lesser of the SOA record's TTL and its MINIMUM (RFC 2308). */
static int64_t doh_denial_age(const uint8_t *reply, size_t size, size_t at, unsigned int count)
{
	struct doh_record record;
	for (; count > 0 && doh_read_record(reply, size, &at, &record); count--) {
		if (record.type != DNS_TYPE_SOA || record.size < 20)
			continue;
		uint32_t minimum = dns_get32(record.rdata + record.size - 4);
		return minimum < record.ttl ? minimum : record.ttl;
	}
	return -1;
}

int64_t doh_max_age(const uint8_t *reply, size_t size)
{
	struct doh_record record;
	size_t at = DNS_HEADER_SIZE;
	int64_t age = -1;
	if (size < DNS_HEADER_SIZE)
		return -1;
	uint16_t flags = dns_get16(reply + 2);
	int rcode = flags & 0xf;
	if ((flags & DNS_FLAG_TC) || (rcode != DNS_RCODE_NOERROR && rcode != DNS_RCODE_NXDOMAIN))
		return -1;
	for (unsigned int i = dns_get16(reply + 4); i > 0; i--) {
		if (dns_name_skip(reply, size, &at) < 0 || size - at < 4)
			return -1;
		at += 4;
	}
	for (unsigned int i = dns_get16(reply + 6); i > 0; i--) {
		if (!doh_read_record(reply, size, &at, &record))
			return -1;
		if (age < 0 || record.ttl < age)
			age = record.ttl;
	}
	int64_t denial = doh_denial_age(reply, size, at, dns_get16(reply + 8));
	/* A chain of CNAMEs may end in a denial, and is good for no longer than that. */
	if (denial >= 0)
		return age >= 0 && age < denial ? age : denial;
	return rcode == DNS_RCODE_NXDOMAIN ? -1 : age;
}

struct http_reply doh_answer(const uint8_t *message, size_t size, uint8_t form)
{
	return (struct http_reply){
		.status = 200,
		.content_type = DOH_MESSAGE_TYPE,
		.max_age_s = doh_max_age(message, size),
		.body = message,
		.body_size = size,
		.head = (form & DOH_FORM_HEAD) != 0,
	};
}
