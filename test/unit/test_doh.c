/* Requests to DNS messages, and how long replies may be cached. */
#include "frontend/doh.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static const struct frontend_https paths = {(char *)(uintptr_t) "/dns-query",
					    (char *)(uintptr_t) "/resolve"};
static const struct frontend_https one_path = {(char *)(uintptr_t) "/q", (char *)(uintptr_t) "/q"};

static struct doh_question question;
static struct http_reply refusal;

static bool read_request(const struct frontend_https *where, enum http_method method,
			 const char *target)
{
	struct http_request request = {.method = method};
	CU_ASSERT_FATAL(http_request_set_target(&request, target, strlen(target)));
	return doh_read(where, &request, &question, &refusal);
}

static bool decodes_to(const char *text, const char *expected, int size)
{
	uint8_t out[64];
	return doh_decode_base64url(text, strlen(text), out, sizeof(out)) == size &&
	       (size < 0 || memcmp(out, expected, (size_t)size) == 0);
}

static void test_base64url(void)
{
	CU_ASSERT(decodes_to("", "", 0));
	CU_ASSERT(decodes_to("Zg", "f", 1));
	CU_ASSERT(decodes_to("Zm8", "fo", 2));
	CU_ASSERT(decodes_to("Zm9v", "foo", 3));
	CU_ASSERT(decodes_to("-_8", "\xfb\xff", 2));
	CU_ASSERT(decodes_to("Z", NULL, -1));
	CU_ASSERT(decodes_to("Zh", NULL, -1)); /* bits beyond the octet */
	CU_ASSERT(decodes_to("Zg==", NULL, -1));
	CU_ASSERT(decodes_to("+/8", NULL, -1));
	CU_ASSERT(decodes_to("Zm9 v", NULL, -1));
}

/* Every message comes back as it was, and none is longer than there is room. */
static void test_base64url_round_trip(void)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	srandom(1);
	for (size_t size = 0; size < 200; size++) {
		uint8_t octets[200], out[200];
		char text[300] = "";
		size_t length = 0;
		uint32_t bits = 0;
		for (size_t i = 0; i < size; i++)
			octets[i] = (uint8_t)random();
		for (size_t i = 0; i < size; i++) {
			bits = bits << 8 | octets[i];
			if (i % 3 == 0)
				text[length++] = digits[bits >> 2 & 63];
			if (i % 3 == 1)
				text[length++] = digits[bits >> 4 & 63];
			if (i % 3 == 2) {
				text[length++] = digits[bits >> 6 & 63];
				text[length++] = digits[bits & 63];
			}
		}
		if (size % 3 == 1)
			text[length++] = digits[bits << 4 & 63];
		if (size % 3 == 2)
			text[length++] = digits[bits << 2 & 63];
		CU_ASSERT_EQUAL(doh_decode_base64url(text, length, out, sizeof(out)), (int)size);
		CU_ASSERT_EQUAL(memcmp(out, octets, size), 0);
		if (size > 0)
			CU_ASSERT_EQUAL(doh_decode_base64url(text, length, out, size - 1), -1);
	}
}

static void test_forms(void)
{
	static const char get[] = "?dns=AAABAAABAAAAAAAAA3d3dwAAAQAB";
	char target[80];
	snprintf(target, sizeof(target), "/dns-query%s", get);
	CU_ASSERT(read_request(&paths, HTTP_GET, target));
	CU_ASSERT_EQUAL(question.form, 0);
	CU_ASSERT_EQUAL(question.size, 21);
	CU_ASSERT(read_request(&paths, HTTP_HEAD, target));
	CU_ASSERT_EQUAL(question.form, DOH_FORM_HEAD);
	CU_ASSERT(read_request(&paths, HTTP_GET, "/resolve?name=www"));
	CU_ASSERT_EQUAL(question.form, DOH_FORM_JSON);
	CU_ASSERT(!read_request(&paths, HTTP_GET, "/dns-query?name=www"));
	CU_ASSERT_EQUAL(refusal.status, 400);
	CU_ASSERT(read_request(&one_path, HTTP_GET, "/q?name=www"));
	CU_ASSERT_EQUAL(question.form, DOH_FORM_JSON);
	snprintf(target, sizeof(target), "/q%s", get);
	CU_ASSERT(read_request(&one_path, HTTP_GET, target));
	CU_ASSERT_EQUAL(question.form, 0);
	CU_ASSERT(!read_request(&paths, HTTP_METHOD_KNOWN, "/dns-query"));
	CU_ASSERT_EQUAL(refusal.status, 405);
	CU_ASSERT_STRING_EQUAL(refusal.allow, "GET, HEAD, POST");
	CU_ASSERT(!read_request(&paths, HTTP_POST, "/resolve?name=www"));
	CU_ASSERT_STRING_EQUAL(refusal.allow, "GET, HEAD");
	CU_ASSERT(!read_request(&paths, HTTP_GET, "/dns-quer"));
	CU_ASSERT_EQUAL(refusal.status, 404);
}

/* A reply in wire format: what its answer and authority sections say of caching. */
struct reply {
	uint8_t octets[512];
	size_t size;
};

static void begin(struct reply *reply, uint16_t flags)
{
	memset(reply->octets, 0, DNS_HEADER_SIZE);
	dns_put16(reply->octets + 2, (uint16_t)(DNS_FLAG_QR | flags));
	dns_put16(reply->octets + 4, 1);
	memcpy(reply->octets + DNS_HEADER_SIZE, "\1x\0\0\1\0\1", 7);
	reply->size = DNS_HEADER_SIZE + 7;
}

/* A record whose rdata is `size` octets, the last four of which are `last`. */
static void add(struct reply *reply, size_t section, uint16_t type, uint32_t ttl, uint16_t size,
		uint32_t last)
{
	uint8_t *at = reply->octets + reply->size;
	memset(at, 0, 12U + size);
	dns_put16(at, 0xc00c);
	dns_put16(at + 2, type);
	dns_put16(at + 4, 1);
	dns_put32(at + 6, ttl);
	dns_put16(at + 10, size);
	dns_put32(at + 8 + size, last);
	reply->size += 12U + size;
	uint8_t *count = reply->octets + 6 + 2 * section;
	dns_put16(count, (uint16_t)(dns_get16(count) + 1));
}

static int64_t age_of(const struct reply *reply)
{
	return doh_max_age(reply->octets, reply->size);
}

static void test_answers_are_kept_for_their_least_ttl(void)
{
	struct reply reply;
	begin(&reply, 0);
	add(&reply, 0, DNS_TYPE_A, 300, 4, 1);
	add(&reply, 0, DNS_TYPE_A, 20, 4, 2);
	add(&reply, 1, DNS_TYPE_NS, 5, 4, 0); /* other sections do not count */
	CU_ASSERT_EQUAL(age_of(&reply), 20);
	add(&reply, 1, DNS_TYPE_OPT, 0, 4, 0);
	CU_ASSERT_EQUAL(age_of(&reply), 20);
	begin(&reply, 0);
	add(&reply, 0, DNS_TYPE_A, 0x80000000, 4, 1); /* RFC 2181 section 8: zero */
	CU_ASSERT_EQUAL(age_of(&reply), 0);
}

static void test_denials_are_kept_as_their_soa_says(void)
{
	struct reply reply;
	begin(&reply, DNS_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(age_of(&reply), -1);
	add(&reply, 1, DNS_TYPE_SOA, 60, 22, 300);
	CU_ASSERT_EQUAL(age_of(&reply), 60);
	begin(&reply, 0);
	add(&reply, 1, DNS_TYPE_SOA, 600, 22, 300);
	CU_ASSERT_EQUAL(age_of(&reply), 300);
	begin(&reply, DNS_RCODE_NXDOMAIN); /* behind a CNAME */
	add(&reply, 0, DNS_TYPE_CNAME, 1000, 4, 0);
	CU_ASSERT_EQUAL(age_of(&reply), -1);
	add(&reply, 1, DNS_TYPE_SOA, 600, 22, 300);
	CU_ASSERT_EQUAL(age_of(&reply), 300);
}

static void test_failures_are_not_kept(void)
{
	struct reply reply;
	begin(&reply, DNS_RCODE_SERVFAIL);
	add(&reply, 0, DNS_TYPE_A, 300, 4, 1);
	CU_ASSERT_EQUAL(age_of(&reply), -1);
	begin(&reply, DNS_FLAG_TC);
	add(&reply, 0, DNS_TYPE_A, 300, 4, 1);
	CU_ASSERT_EQUAL(age_of(&reply), -1);
	begin(&reply, DNS_RCODE_REFUSED);
	CU_ASSERT_EQUAL(age_of(&reply), -1);
}

/* A reply that ends anywhere says nothing, and is not read beyond its end. */
static void test_cut_replies(void)
{
	struct reply reply;
	begin(&reply, 0);
	add(&reply, 0, DNS_TYPE_A, 300, 4, 1);
	size_t whole = reply.size;
	for (size_t size = 0; size < whole; size++) {
		uint8_t *copy = malloc(size + 1);
		memcpy(copy, reply.octets, size);
		CU_ASSERT_EQUAL(doh_max_age(copy, size), -1);
		free(copy);
	}
	CU_ASSERT_EQUAL(age_of(&reply), 300);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"base64url", test_base64url},
		{"base64url brings back every message", test_base64url_round_trip},
		{"paths, methods and forms", test_forms},
		{"answers are kept for their least TTL", test_answers_are_kept_for_their_least_ttl},
		{"denials are kept as their SOA says", test_denials_are_kept_as_their_soa_says},
		{"failures are not kept", test_failures_are_not_kept},
		{"cut replies say nothing", test_cut_replies},
	};
	return SUITE_RUN("doh", tests);
}
