/* Questions from parameters, replies as JSON. */
#include "frontend/doh_json.h"

#include "dns/protocol.h"
#include "dns/query.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static uint8_t message[DNS_MESSAGE_MAX];
static struct dns_query query;

/* Makes the query of "name=..."; 0 when it is one that dns/query.h takes. */
static int ask(const char *parameters)
{
	char target[2048];
	size_t size;
	struct http_request request = {.method = HTTP_GET};
	snprintf(target, sizeof(target), "/resolve?%s", parameters);
	CU_ASSERT_FATAL(http_request_set_target(&request, target, strlen(target)));
	int status = doh_json_read(&request, message, &size);
	return status ? status : dns_query_parse(message, size, &query);
}

static void test_questions(void)
{
	CU_ASSERT_EQUAL(ask("name=www.example"), 0);
	CU_ASSERT_EQUAL(query.qtype, DNS_TYPE_A);
	CU_ASSERT_EQUAL(query.id, 0);
	CU_ASSERT_EQUAL(query.flags, DNS_FLAG_RD);
	CU_ASSERT(!query.edns.dnssec_ok && query.edns.options_size == 0);
	CU_ASSERT_EQUAL(memcmp(query.qname, "\3www\7example", 13), 0);
	CU_ASSERT_EQUAL(ask("name=x&type=AaAa&do=1&cd=TRUE"), 0);
	CU_ASSERT_EQUAL(query.qtype, DNS_TYPE_AAAA);
	CU_ASSERT_EQUAL(query.flags, DNS_FLAG_RD | DNS_FLAG_CD);
	CU_ASSERT(query.edns.dnssec_ok);
	CU_ASSERT_EQUAL(ask("name=a%5c.b&type=65280&do=0"), 0);
	CU_ASSERT_EQUAL(query.qtype, 65280);
	CU_ASSERT_EQUAL(memcmp(query.qname, "\3a.b", 5), 0);
	CU_ASSERT_EQUAL(ask("name=@"), 400);
	CU_ASSERT_EQUAL(ask("name=x&type=12345678901234567890"), 400);
	CU_ASSERT_EQUAL(ask("name=x&do=2"), 400);
}

static bool has_subnet(const char *parameters, const char *octets, size_t size)
{
	return ask(parameters) == 0 && query.edns.options_size == size &&
	       memcmp(query.edns.options, octets, size) == 0;
}

static void test_client_subnets(void)
{
	CU_ASSERT(has_subnet("name=x&edns_client_subnet=192.0.2.255/25",
			     "\0\10\0\10\0\1\31\0\300\0\2\200", 12));
	CU_ASSERT(has_subnet("name=x&edns_client_subnet=192.0.2.255", "\0\10\0\7\0\1\30\0\300\0\2",
			     11));
	CU_ASSERT(has_subnet("name=x&edns_client_subnet=0.0.0.0/0", "\0\10\0\4\0\1\0\0", 8));
	CU_ASSERT(has_subnet("name=x&edns_client_subnet=2001:db8::1/33",
			     "\0\10\0\11\0\2\41\0\40\1\15\270\0", 13));
	CU_ASSERT(has_subnet("name=x&edns_client_subnet=::1/128",
			     "\0\10\0\24\0\2\200\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 24));
	CU_ASSERT_EQUAL(ask("name=x&edns_client_subnet=192.0.2.0/"), 400);
	CU_ASSERT_EQUAL(ask("name=x&edns_client_subnet=192.0.2.0/x"), 400);
}

static bool is_json(const void *reply, size_t size, const char *expected)
{
	size_t length = 0;
	char *json = doh_json_write(reply, size, &length);
	bool same = json && length == strlen(expected) && memcmp(json, expected, length) == 0;
	if (!same)
		printf("%.*s", (int)length, json ? json : "");
	free(json);
	return same;
}

#define QUESTION "\1x\0\0\1\0\1"

static void test_replies(void)
{
	static const char mx[] = "\0\0\201\200\0\1\0\1\0\0\0\0" QUESTION
				 "\300\14\0\17\0\1\0\0\1\54\0\6\0\12\1m\300\14";
	CU_ASSERT(is_json(mx, sizeof(mx) - 1,
			  "{\"Status\":0,\"TC\":false,\"RD\":true,\"RA\":true,\"AD\":false,"
			  "\"CD\":false,\"Question\":[{\"name\":\"x.\",\"type\":1}],"
			  "\"Answer\":[{\"name\":\"x.\",\"type\":15,\"TTL\":300,"
			  "\"data\":\"10 m.x.\"}]}\n"));
	static const char denial[] = "\0\0\206\3\0\1\0\0\0\0\0\0" QUESTION;
	CU_ASSERT(is_json(denial, sizeof(denial) - 1,
			  "{\"Status\":3,\"TC\":true,\"RD\":false,\"RA\":false,\"AD\":false,"
			  "\"CD\":false,\"Question\":[{\"name\":\"x.\",\"type\":1}]}\n"));
}

static void test_escapes(void)
{
	/* A name with a quote, a backslash, a dot in a label, and an octet that is no ASCII. */
	static const char odd[] = "\0\0\200\0\0\1\0\1\0\0\0\0\5\"\\.\1\377\0\0\20\0\1"
				  "\300\14\0\20\0\1\0\0\0\1\0\4\3\"\\\t";
	CU_ASSERT(is_json(
		odd, sizeof(odd) - 1,
		"{\"Status\":0,\"TC\":false,\"RD\":false,\"RA\":false,\"AD\":false,"
		"\"CD\":false,\"Question\":[{\"name\":\"\\\\\\\"\\\\\\\\\\\\.\\\\001\\\\255."
		"\",\"type\":16}],\"Answer\":[{\"name\":\"\\\\\\\"\\\\\\\\\\\\.\\\\001\\\\255."
		"\",\"type\":16,\"TTL\":1,\"data\":\"\\\"\\\\\\\"\\\\\\\\\\u0009\\\"\"}]}\n"));
}

static void test_data_that_is_none(void)
{
	/* An A record of three octets, and an MX whose name leads nowhere. */
	static const char bad[] =
		"\0\0\200\0\0\1\0\2\0\0\0\0" QUESTION "\300\14\0\1\0\1\0\0\0\1\0\3abc"
		"\300\14\0\17\0\1\0\0\0\1\0\4\0\1\377\377";
	size_t size;
	char *json = doh_json_write((const uint8_t *)bad, sizeof(bad) - 1, &size);
	CU_ASSERT_FATAL(json != NULL);
	json[size - 1] = '\0';
	CU_ASSERT_PTR_NOT_NULL(strstr(json, "\"data\":\"\\\\# 3 616263\"}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(json, "\"data\":\"\\\\# 4 0001ffff\"}"));
	free(json);
}

/* As many records as fit a message, each of a long name that has to be escaped. */
static void test_the_longest_reply_is_bounded(void)
{
	size_t size = DNS_HEADER_SIZE;
	uint16_t count = 0;
	memset(message, 0, sizeof(message));
	dns_put16(message + 2, DNS_FLAG_QR);
	dns_put16(message + 4, 1);
	for (int label = 0; label < 3; label++) {
		message[size] = 63;
		memset(message + size + 1, 0xff, 63);
		size += 64;
	}
	size += 1;
	dns_put16(message + size + 2, 1);
	size += 4;
	for (; size + 12 <= sizeof(message); size += 12, count++) {
		dns_put16(message + size, 0xc00c);
		dns_put16(message + size + 2, DNS_TYPE_TXT);
		dns_put16(message + size + 4, 1);
	}
	dns_put16(message + 6, count);
	size_t json_size = 0;
	char *json = doh_json_write(message, size, &json_size);
	CU_ASSERT_FATAL(json != NULL);
	CU_ASSERT(json_size < DOH_JSON_MAX);
	json[json_size - 1] = '\0';
	CU_ASSERT_PTR_NOT_NULL(strstr(json, "\"TC\":true"));
	CU_ASSERT_PTR_NULL(strstr(json, "Answer"));
	free(json);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"questions", test_questions},
		{"clients' networks", test_client_subnets},
		{"replies", test_replies},
		{"names and texts are escaped", test_escapes},
		{"data that is none is shown as octets", test_data_that_is_none},
		{"the longest reply is bounded", test_the_longest_reply_is_bounded},
	};
	return SUITE_RUN("doh_json", tests);
}
