/*
 * DNS over HTTPS both ways: the input is a target, a request body, and a DNS reply to be told in
 * HTTP and JSON.
 */
#include "dns/query.h"
#include "frontend/doh.h"
#include "frontend/doh_json.h"
#include "fuzz.h"

#include <string.h>

static const struct frontend_https paths = {(char *)(uintptr_t) "/d", (char *)(uintptr_t) "/j"};

/* What a request asks for, if anything, is a query; the same comes out of what it is made of. */
static void fuzz_request(const struct http_request *request)
{
	static struct doh_question question;
	struct http_reply refusal = {0};
	struct dns_query query;
	if (doh_read(&paths, request, &question, &refusal)) {
		FUZZ_CHECK(question.size >= DNS_HEADER_SIZE);
		FUZZ_CHECK(dns_query_parse(question.message, question.size, &query) !=
			   DNS_QUERY_DROP);
		if (question.form & DOH_FORM_JSON)
			FUZZ_CHECK(query.qname && query.edns.present && query.id == 0);
	} else {
		FUZZ_CHECK(refusal.status >= 400 && refusal.body_size > 0);
	}
}

static void fuzz_reply(const uint8_t *data, size_t size)
{
	size_t json_size = 0;
	char *json = doh_json_write(data, size, &json_size);
	FUZZ_CHECK(!json || (json_size <= DOH_JSON_MAX && json[0] == '{'));
	for (size_t i = 0; json && i < json_size; i++)
		FUZZ_CHECK((json[i] >= ' ' && json[i] < 0x7f) || i == json_size - 1);
	free(json);
	int64_t age = doh_max_age(data, size);
	FUZZ_CHECK(age >= -1 && age <= INT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request request = {.body = data, .body_size = size};
	if (size > DNS_MESSAGE_MAX)
		return 0;
	uint8_t *copy = malloc(size + 1); /* of just this size: a look beyond it is seen */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	for (int method = HTTP_GET; method <= HTTP_METHOD_UNKNOWN; method++) {
		request.method = (enum http_method)method;
		request.content = HTTP_CONTENT_DNS_MESSAGE;
		if (http_request_set_target(&request, (const char *)copy, size))
			fuzz_request(&request);
		if (http_request_set_target(&request, "/d", 2))
			fuzz_request(&request);
		request.query = (const char *)copy; /* whatever octets stand in it */
		request.query_size = size;
		fuzz_request(&request);
		request.path = "/j";
		fuzz_request(&request);
	}
	fuzz_reply(copy, size);
	free(copy);
	return 0;
}
