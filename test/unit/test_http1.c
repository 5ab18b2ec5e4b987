/* HTTP/1.1 and what it shares with HTTP/2, octet by octet. */
#include "frontend/http1.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static struct http1_request request;

/* Reads `text`, all of it there from the beginning. */
static enum http1_result read_text(const char *text)
{
	struct http1 http1 = {0};
	return http1_read(&http1, text, strlen(text), &request);
}

static bool refused(const char *text, int status)
{
	return read_text(text) == HTTP1_BAD && request.status == status && request.close;
}

static bool text_is(const char *text, size_t size, const char *expected)
{
	return size == strlen(expected) && memcmp(text, expected, size) == 0;
}

static void test_get(void)
{
	CU_ASSERT_EQUAL(read_text("GET /a/b?c=d&e HTTP/1.1\r\nHost: x\r\n\r\nGET"), HTTP1_REQUEST);
	CU_ASSERT_EQUAL(request.http.method, HTTP_GET);
	CU_ASSERT(text_is(request.http.path, request.http.path_size, "/a/b"));
	CU_ASSERT(text_is(request.http.query, request.http.query_size, "c=d&e"));
	CU_ASSERT_EQUAL(request.http.body_size, 0);
	CU_ASSERT_EQUAL(request.size, 36);
	CU_ASSERT(!request.close);
}

static void test_post(void)
{
	static const char text[] = "POST / HTTP/1.1\r\nhOST:x\r\nContent-Length: 3\r\n"
				   "content-type: application/DNS-message ; a=b\r\n\r\nabcd";
	CU_ASSERT_EQUAL(read_text(text), HTTP1_REQUEST);
	CU_ASSERT_EQUAL(request.http.method, HTTP_POST);
	CU_ASSERT_EQUAL(request.http.content, HTTP_CONTENT_DNS_MESSAGE);
	CU_ASSERT(text_is((const char *)request.http.body, request.http.body_size, "abc"));
	CU_ASSERT_EQUAL(request.size, sizeof(text) - 2);
}

/* However it comes in pieces, the same request comes out, and not before it is whole. */
static void test_pieces(void)
{
	static const char text[] =
		"\r\nPOST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde";
	struct http1 http1 = {0};
	for (size_t size = 0; size < sizeof(text) - 1; size++) {
		/* A copy of just so many octets: the sanitizer sees a look beyond them. */
		char *copy = malloc(size + 1);
		memcpy(copy, text, size);
		CU_ASSERT_EQUAL(http1_read(&http1, copy, size, &request), HTTP1_MORE);
		free(copy);
	}
	CU_ASSERT_EQUAL(http1_read(&http1, text, sizeof(text) - 1, &request), HTTP1_REQUEST);
	CU_ASSERT_EQUAL(request.size, sizeof(text) - 1);
}

static void test_expectation(void)
{
	static const char text[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
				   "Expect: 100-Continue\r\n\r\na";
	size_t size = sizeof(text) - 1;
	struct http1 http1 = {0};
	CU_ASSERT_EQUAL(http1_read(&http1, text, size - 1, &request), HTTP1_CONTINUE);
	CU_ASSERT_EQUAL(http1_read(&http1, text, size - 1, &request), HTTP1_MORE); /* once */
	CU_ASSERT_EQUAL(http1_read(&http1, text, size, &request), HTTP1_REQUEST);
	CU_ASSERT_EQUAL(read_text(text), HTTP1_REQUEST); /* it has not waited */
	CU_ASSERT(refused("GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417));
}

static void test_closing(void)
{
	CU_ASSERT_EQUAL(read_text("GET / HTTP/1.1\r\nHost: x\r\nConnection: a, CLOSE\r\n\r\n"),
			HTTP1_REQUEST);
	CU_ASSERT(request.close);
	CU_ASSERT_EQUAL(read_text("GET / HTTP/1.0\r\n\r\n"), HTTP1_REQUEST);
	CU_ASSERT(request.close);
	CU_ASSERT_EQUAL(read_text("GET / HTTP/1.1\r\nHost: x\r\nConnection: closed\r\n\r\n"),
			HTTP1_REQUEST);
	CU_ASSERT(!request.close);
}

static void test_ambiguity_is_refused(void)
{
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
			  "Transfer-Encoding: chunked\r\n\r\n",
			  400));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
			  "Content-Length: 1\r\n\r\n",
			  400));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n"
			  "Content-Length: 1\r\n\r\n",
			  501));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
			  "Content-Length: 1\r\n\r\n",
			  400));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\n", 400));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -0\r\n\r\n", 400));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\n", 400));
	CU_ASSERT(refused("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400));
	CU_ASSERT(refused("GET / HTTP/1.1\nHost: x\r\n\r\n", 400));
	CU_ASSERT(refused("GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n", 400));
	CU_ASSERT(refused("GET / HTTP/1.1\r\nHost: x\nY: z\r\n\r\n", 400));
	CU_ASSERT(refused("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400));
	CU_ASSERT(refused("GET / HTTP/1.1\r\n\r\n", 400));
	CU_ASSERT(refused("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400));
	CU_ASSERT(refused("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400));
	CU_ASSERT(refused("\r\n\r\n\r\n\r\n", 400));
}

static void test_other_refusals(void)
{
	CU_ASSERT(refused("GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 411));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 411));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n", 413));
	CU_ASSERT(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n"
			  "\r\n",
			  413));
	CU_ASSERT(refused("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 501));
	CU_ASSERT_EQUAL(read_text("PUT / HTTP/1.1\r\nHost: x\r\n\r\n"), HTTP1_REQUEST);
	CU_ASSERT_EQUAL(request.http.method, HTTP_METHOD_KNOWN);
}

static void test_sizes(void)
{
	static char text[HTTP_HEAD_MAX + 100];
	struct http1 http1 = {0};
	memset(text, 'x', sizeof(text));
	CU_ASSERT_EQUAL(http1_read(&http1, text, HTTP_HEAD_MAX - 1, &request), HTTP1_MORE);
	CU_ASSERT_EQUAL(http1_read(&http1, text, HTTP_HEAD_MAX, &request), HTTP1_BAD);
	CU_ASSERT_EQUAL(request.status, 414);
	memcpy(text, "GET / HTTP/1.1\r\nHost: ", 22);
	CU_ASSERT_EQUAL(http1_read(&http1, text, HTTP_HEAD_MAX, &request), HTTP1_BAD);
	CU_ASSERT_EQUAL(request.status, 431);
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4); /* the longest that is taken */
	CU_ASSERT_EQUAL(http1_read(&http1, text, HTTP_HEAD_MAX, &request), HTTP1_REQUEST);
	CU_ASSERT_EQUAL(request.size, HTTP_HEAD_MAX);
}

static void test_targets(void)
{
	struct http_request http = {0};
	CU_ASSERT(http_request_set_target(&http, "https://a.example:1/p?q", 23));
	CU_ASSERT(text_is(http.path, http.path_size, "/p"));
	CU_ASSERT(text_is(http.query, http.query_size, "q"));
	CU_ASSERT(!http_request_set_target(&http, "https://a.example", 17));
	CU_ASSERT(!http_request_set_target(&http, "ftp://a/b", 9));
	CU_ASSERT(!http_request_set_target(&http, "", 0));
	CU_ASSERT(!http_request_set_target(&http, "*", 1));
	CU_ASSERT(!http_request_set_target(&http, "/a\x80", 3));
}

static void test_queries(void)
{
	struct http_request http = {0};
	size_t size = 99;
	char out[8];
	CU_ASSERT(http_request_set_target(&http, "/?ab=1&a=2&c&d=&a=3", 19));
	const char *value = http_query_find(&http, "a", &size);
	CU_ASSERT(text_is(value, size, "2"));
	CU_ASSERT(http_query_find(&http, "c", &size) && size == 0);
	CU_ASSERT(http_query_find(&http, "d", &size) && size == 0);
	CU_ASSERT_PTR_NULL(http_query_find(&http, "b", &size));
	CU_ASSERT_EQUAL(http_decode("%41+b%2e", 8, out, sizeof(out)), 4);
	CU_ASSERT_STRING_EQUAL(out, "A b.");
	CU_ASSERT_EQUAL(http_decode("1234567", 7, out, sizeof(out)), 7);
	CU_ASSERT_EQUAL(http_decode("12345678", 8, out, sizeof(out)), -1);
	CU_ASSERT_EQUAL(http_decode("%4", 2, out, sizeof(out)), -1);
	CU_ASSERT_EQUAL(http_decode("%4g", 3, out, sizeof(out)), -1);
	CU_ASSERT_EQUAL(http_decode("%00", 3, out, sizeof(out)), -1);
}

static void test_reply(void)
{
	const struct http_reply reply = {
		.status = 405,
		.content_type = "text/plain",
		.allow = "GET",
		.max_age_s = -1,
		.body_size = 65535,
	};
	char out[HTTP1_REPLY_HEAD_MAX];
	size_t size = http1_write_head(&reply, true, 1000000000, out);
	CU_ASSERT(text_is(out, size,
			  "HTTP/1.1 405 Method Not Allowed\r\ndate: Sun, 09 Sep 2001 01:46:40 "
			  "GMT\r\ncontent-type: text/plain\r\ncontent-length: 65535\r\n"
			  "cache-control: no-store\r\nallow: GET\r\nconnection: close\r\n\r\n"));
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"GET", test_get},
		{"POST", test_post},
		{"a request in pieces is waited for", test_pieces},
		{"a client that waits is told to go on, once", test_expectation},
		{"the last request of a connection", test_closing},
		{"what could be read in two ways is refused", test_ambiguity_is_refused},
		{"what is not taken has its own status", test_other_refusals},
		{"heads are as long as they may be, and no longer", test_sizes},
		{"targets", test_targets},
		{"queries and their escapes", test_queries},
		{"a reply's head", test_reply},
	};
	return SUITE_RUN("http1", tests);
}
