/*
 * What HTTP/1.1 (http1.h) and HTTP/2 (http2.h) have in common (RFC 9110): a request as far as DNS
 * over HTTPS needs to know it, the reply to it, and the small grammar of targets, queries and media
 * types. Pure; any thread; no allocation.
 */
#ifndef GODWIT_FRONTEND_HTTP_REQUEST_H
#define GODWIT_FRONTEND_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Octets of the request line and header fields, or of HTTP/2's header list. */
#define HTTP_HEAD_MAX (16 * 1024)
/* Header fields of a request. */
#define HTTP_FIELDS_MAX 100
/* Octets of a body: the longest DNS message. */
#define HTTP_BODY_MAX 65535

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_METHOD_KNOWN,   /* one of RFC 9110's that nothing here has */
	HTTP_METHOD_UNKNOWN, /* any other token */
};

/* What the content-type says. */
enum http_content { HTTP_CONTENT_NONE, HTTP_CONTENT_DNS_MESSAGE, HTTP_CONTENT_OTHER };

/* A whole request. Pointers are borrowed and lead to what has not been decoded. */
struct http_request {
	enum http_method method;
	const char *path;
	size_t path_size;
	const char *query; /* behind '?' */
	size_t query_size;
	enum http_content content;
	const uint8_t *body;
	size_t body_size;
};

/* A reply. Pointers are borrowed. */
struct http_reply {
	int status;
	const char *content_type;
	const char *allow; /* with 405; else NULL */
	int64_t max_age_s; /* how long caches may keep it; -1: not at all */
	const uint8_t *body;
	size_t body_size;
	bool head; /* it answers HEAD: the body is not sent, its size is told */
};

struct http_field {
	const char *name;
	const char *value;
};

#define HTTP_REPLY_FIELDS_MAX 5

/* A reply's header fields, names in lower case, with room for their values. */
struct http_fields {
	struct http_field list[HTTP_REPLY_FIELDS_MAX];
	size_t count;
	char date[32];
	char length[24];
	char cache[40];
};

enum http_method http_method_of(const char *text, size_t size);
enum http_content http_content_of(const char *text, size_t size);

/* A status code's phrase: "Not Found". */
const char *http_status_text(int status);

/*
 * Takes a request's target apart: "/path?query", or an absolute URL of that (RFC 9112 section
 * 3.2.2). False when it is neither, or has octets that do not belong into one.
 */
bool http_request_set_target(struct http_request *request, const char *text, size_t size);

/* A decimal number up to `max`, digits only; -1 when it is none, -2 when it is more. */
int64_t http_number_of(const char *text, size_t size, int64_t max);

/*
 * Finds the parameter `name` of a query "a=b&c=d". Its value, not decoded; NULL when it is not
 * there. One without a value has an empty one.
 */
const char *http_query_find(const struct http_request *request, const char *name, size_t *size);

/*
 * Decodes %XX and '+' into `out`, which has room for `capacity` octets, a NUL included. The size
 * without that; -1 for a broken escape, an octet of zero or too long a value.
 */
int http_decode(const char *text, size_t size, char *out, size_t capacity);

/* Makes a reply's header fields at Unix time `now`. `fields` must outlive what is made of it. */
void http_reply_list_fields(const struct http_reply *reply, time_t now, struct http_fields *fields);

#endif
