/* The grammar that both versions of HTTP share. */
#include "frontend/http_request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool http_text_is(const char *text, size_t size, const char *other)
{
	return size == strlen(other) && memcmp(text, other, size) == 0;
}

enum http_method http_method_of(const char *text, size_t size)
{
	static const char *const others[] = {"PUT",     "DELETE", "CONNECT",
					     "OPTIONS", "TRACE",  "PATCH"};
	if (http_text_is(text, size, "GET"))
		return HTTP_GET;
	if (http_text_is(text, size, "HEAD"))
		return HTTP_HEAD;
	if (http_text_is(text, size, "POST"))
		return HTTP_POST;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (http_text_is(text, size, others[i]))
			return HTTP_METHOD_KNOWN;
	return HTTP_METHOD_UNKNOWN;
}

enum http_content http_content_of(const char *text, size_t size)
{
	static const char message[] = "application/dns-message";
	const char *end = memchr(text, ';', size); /* parameters mean nothing to us */
	if (end)
		size = (size_t)(end - text);
	while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
		size--;
	if (size == sizeof(message) - 1 && strncasecmp(text, message, size) == 0)
		return HTTP_CONTENT_DNS_MESSAGE;
	return size > 0 ? HTTP_CONTENT_OTHER : HTTP_CONTENT_NONE;
}

const char *http_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} known[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{503, "Service Unavailable"},
		{505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].status == status)
			return known[i].text;
	return "Unknown";
}

/* Skips "http://host" or "https://host". The path behind it, NULL when there is none. */
static const char *http_skip_origin(const char *text, const char *end)
{
	size_t size = (size_t)(end - text);
	if (size >= 8 && strncasecmp(text, "https://", 8) == 0)
		text += 8;
	else if (size >= 7 && strncasecmp(text, "http://", 7) == 0)
		text += 7;
	else
		return NULL;
	return memchr(text, '/', (size_t)(end - text));
}

bool http_request_set_target(struct http_request *request, const char *text, size_t size)
{
	const char *end = text + size;
	for (const char *at = text; at < end; at++)
		if (*at <= ' ' || *at >= 0x7f || *at == '#')
			return false;
	if (size == 0)
		return false;
	if (*text != '/')
		text = http_skip_origin(text, end);
	if (!text)
		return false;
	const char *mark = memchr(text, '?', (size_t)(end - text));
	request->path = text;
	request->path_size = (size_t)((mark ? mark : end) - text);
	request->query = mark ? mark + 1 : end;
	request->query_size = (size_t)(end - request->query);
	return true;
}

int64_t http_number_of(const char *text, size_t size, int64_t max)
{
	int64_t number = 0;
	if (size == 0)
		return -1;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		if (number <= max)
			number = number * 10 + (text[i] - '0');
	}
	return number > max ? -2 : number;
}

const char *http_query_find(const struct http_request *request, const char *name, size_t *size)
{
	const char *at = request->query;
	const char *end = at + request->query_size;
	size_t name_size = strlen(name);
	while (at < end) {
		const char *next = memchr(at, '&', (size_t)(end - at));
		if (!next)
			next = end;
		if ((size_t)(next - at) >= name_size && memcmp(at, name, name_size) == 0 &&
		    (at + name_size == next || at[name_size] == '=')) {
			at += name_size + (at + name_size < next);
			*size = (size_t)(next - at);
			return at;
		}
		at = next + 1;
	}
	return NULL;
}

static int http_hex(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int http_decode(const char *text, size_t size, char *out, size_t capacity)
{
	size_t length = 0;
	for (size_t i = 0; i < size; i++) {
		int octet = text[i] == '+' ? ' ' : (unsigned char)text[i];
		if (text[i] == '%') {
			if (size - i < 3 || http_hex(text[i + 1]) < 0 || http_hex(text[i + 2]) < 0)
				return -1;
			octet = http_hex(text[i + 1]) << 4 | http_hex(text[i + 2]);
			i += 2;
		}
		if (octet == 0 || length + 1 >= capacity)
			return -1;
		out[length++] = (char)octet;
	}
	out[length] = '\0';
	return (int)length;
}

static void http_add_field(struct http_fields *fields, const char *name, const char *value)
{
	fields->list[fields->count++] = (struct http_field){name, value};
}

void http_reply_list_fields(const struct http_reply *reply, time_t now, struct http_fields *fields)
{
	struct tm tm;
	fields->count = 0;
	gmtime_r(&now, &tm);
	strftime(fields->date, sizeof(fields->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(fields->length, sizeof(fields->length), "%zu", reply->body_size);
	if (reply->max_age_s < 0)
		snprintf(fields->cache, sizeof(fields->cache), "no-store");
	else
		snprintf(fields->cache, sizeof(fields->cache), "max-age=%" PRId64,
			 reply->max_age_s);
	http_add_field(fields, "date", fields->date);
	http_add_field(fields, "content-type", reply->content_type);
	http_add_field(fields, "content-length", fields->length);
	http_add_field(fields, "cache-control", fields->cache);
	if (reply->allow)
		http_add_field(fields, "allow", reply->allow);
}
