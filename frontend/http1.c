/* HTTP/1.1: the request line, the fields, the body's size. */
#include "frontend/http1.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A target longer than this is told so by its own status. */
#define HTTP1_TARGET_MAX (HTTP_HEAD_MAX - 1024)

/* A line or a part of one. */
struct http1_text {
	const char *text;
	size_t size;
};

/* What a request's head says, beyond struct http_request. */
struct http1_head {
	bool old; /* HTTP/1.0 */
	bool close;
	bool expects_continue;
	bool chunked;
	unsigned int hosts;
	unsigned int lengths;
	int64_t length;
};

static bool text_is(struct http1_text text, const char *other)
{
	return text.size == strlen(other) && strncasecmp(text.text, other, text.size) == 0;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(struct http1_text text)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < text.size; i++) {
		char c = text.text[i];
		bool alphanumeric =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!alphanumeric && (c == '\0' || !strchr(marks, c)))
			return false;
	}
	return text.size > 0;
}

/* Field values: no control characters but tabs (RFC 9110 section 5.5). */
static bool is_value(struct http1_text text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.text[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static struct http1_text trimmed(struct http1_text text)
{
	while (text.size > 0 && (*text.text == ' ' || *text.text == '\t'))
		text.text++, text.size--;
	while (text.size > 0 &&
	       (text.text[text.size - 1] == ' ' || text.text[text.size - 1] == '\t'))
		text.size--;
	return text;
}

/* Takes a part of `rest` up to `mark`, which it skips. All of it when there is none. */
static struct http1_text take_part(struct http1_text *rest, char mark)
{
	const char *end = memchr(rest->text, mark, rest->size);
	struct http1_text part = {rest->text, end ? (size_t)(end - rest->text) : rest->size};
	size_t skipped = part.size + (end ? 1 : 0);
	rest->text += skipped;
	rest->size -= skipped;
	return part;
}

/* The line at the front of `rest`, which stands before a CRLF; a lone CR or LF is not one. */
static bool take_line(struct http1_text *rest, struct http1_text *line)
{
	*line = take_part(rest, '\n');
	if (line->size == 0 || line->text[line->size - 1] != '\r')
		return false;
	line->size--;
	return !memchr(line->text, '\r', line->size);
}

/* --- the head --------------------------------------------------------------------------------- */

static int read_version(struct http1_text version, struct http1_head *head)
{
	if (version.size != 8 || memcmp(version.text, "HTTP/", 5) != 0 || version.text[6] != '.')
		return 400;
	head->old = memcmp(version.text + 5, "1.0", 3) == 0;
	head->close = head->old;
	return head->old || memcmp(version.text + 5, "1.1", 3) == 0 ? 0 : 505;
}

/* 0 or the status to refuse it with, like the next functions. */
static int read_request_line(struct http1_text line, struct http_request *http,
			     struct http1_head *head)
{
	struct http1_text method = take_part(&line, ' ');
	struct http1_text target = take_part(&line, ' ');
	if (!is_token(method))
		return 400;
	int status = read_version(line, head);
	if (status != 0)
		return status;
	http->method = http_method_of(method.text, method.size);
	if (http_request_set_target(http, target.text, target.size))
		return 0;
	/* Some methods have targets of their own: OPTIONS *, CONNECT host:port. */
	return http->method >= HTTP_METHOD_KNOWN ? 501 : 400;
}

static void read_connection(struct http1_text value, struct http1_head *head)
{
	while (value.size > 0)
		if (text_is(trimmed(take_part(&value, ',')), "close"))
			head->close = true;
}

static int read_length(struct http1_text value, struct http1_head *head)
{
	head->length = http_number_of(value.text, value.size, HTTP_BODY_MAX);
	if (head->length == -1 || ++head->lengths > 1)
		return 400;
	return head->length < 0 ? 413 : 0;
}

static int read_field(struct http1_text line, struct http_request *http, struct http1_head *head)
{
	struct http1_text value = line;
	struct http1_text name = take_part(&value, ':');
	if (name.size == line.size || !is_token(name) || !is_value(value))
		return 400;
	value = trimmed(value);
	if (text_is(name, "host")) {
		if (++head->hosts > 1)
			return 400;
	} else if (text_is(name, "content-length")) {
		return read_length(value, head);
	} else if (text_is(name, "transfer-encoding")) {
		if (head->chunked || !text_is(value, "chunked"))
			return head->chunked ? 400 : 501;
		head->chunked = true;
	} else if (text_is(name, "content-type")) {
		http->content = http_content_of(value.text, value.size);
	} else if (text_is(name, "connection")) {
		read_connection(value, head);
	} else if (text_is(name, "expect")) {
		if (!text_is(value, "100-continue"))
			return 417;
		head->expects_continue = !head->old;
	}
	return 0;
}

static int check_head(const struct http_request *http, const struct http1_head *head)
{
	if (!head->old && head->hosts == 0)
		return 400;
	if (head->chunked)
		return head->lengths > 0 || head->old ? 400 : 411;
	return http->method == HTTP_POST && head->lengths == 0 ? 411 : 0;
}

/* Reads the lines up to and with the empty one. */
static int read_head(struct http1_text rest, struct http_request *http, struct http1_head *head)
{
	struct http1_text line;
	if (!take_line(&rest, &line))
		return 400;
	int status = read_request_line(line, http, head);
	int failed = 0;
	for (unsigned int fields = 0; status == 0; fields++) {
		if (!take_line(&rest, &line))
			return 400;
		if (line.size == 0)
			break;
		if (fields == HTTP_FIELDS_MAX)
			return 431;
		/* What cannot be read safely outweighs what is merely too large or unknown. */
		int result = read_field(line, http, head);
		if (result == 400)
			return 400;
		failed = failed ? failed : result;
	}
	if (status == 0 && head->chunked && head->lengths > 0)
		return 400;
	if (status != 0 || failed != 0)
		return status != 0 ? status : failed;
	return check_head(http, head);
}

/* --- requests --------------------------------------------------------------------------------- */

static enum http1_result refuse(struct http1_request *out, int status)
{
	out->status = status;
	out->close = true;
	return HTTP1_BAD;
}

/* No head within HTTP_HEAD_MAX octets: which part of it is too long? */
static int too_long(const char *input)
{
	return memchr(input, '\n', HTTP1_TARGET_MAX) ? 431 : 414;
}

static enum http1_result need(struct http1 *http1, size_t size)
{
	http1->need = size;
	return HTTP1_MORE;
}

enum http1_result http1_read(struct http1 *http1, const char *input, size_t size,
			     struct http1_request *out)
{
	struct http1_head head = {0};
	/* One empty line before a request is let pass (RFC 9112 section 2.2). */
	size_t skipped = size >= 2 && memcmp(input, "\r\n", 2) == 0 ? 2 : 0;
	*out = (struct http1_request){0};
	if (size < http1->need)
		return HTTP1_MORE;
	size_t limit = size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX;
	const char *end = memmem(input + skipped, limit - skipped, "\r\n\r\n", 4);
	if (!end && size >= HTTP_HEAD_MAX)
		return refuse(out, too_long(input));
	if (!end)
		return need(http1, size + 1);
	struct http1_text text = {input + skipped, (size_t)(end + 4 - input) - skipped};
	int status = read_head(text, &out->http, &head);
	if (status != 0)
		return refuse(out, status);
	size_t head_size = skipped + text.size;
	out->size = head_size + (size_t)head.length;
	out->close = head.close;
	if (size < out->size) {
		bool tell = head.expects_continue && size == head_size && !http1->continued;
		http1->continued |= tell;
		need(http1, out->size);
		return tell ? HTTP1_CONTINUE : HTTP1_MORE;
	}
	out->http.body = (const uint8_t *)input + head_size;
	out->http.body_size = (size_t)head.length;
	*http1 = (struct http1){0};
	return HTTP1_REQUEST;
}

/* --- replies ---------------------------------------------------------------------------------- */

size_t http1_write_head(const struct http_reply *reply, bool close, time_t now,
			char out[HTTP1_REPLY_HEAD_MAX])
{
	struct http_fields fields;
	http_reply_list_fields(reply, now, &fields);
	/* Our own texts, all of them short: it fits. */
	int size = snprintf(out, HTTP1_REPLY_HEAD_MAX, "HTTP/1.1 %d %s\r\n", reply->status,
			    http_status_text(reply->status));
	for (size_t i = 0; i < fields.count; i++)
		size += snprintf(out + size, HTTP1_REPLY_HEAD_MAX - (size_t)size, "%s: %s\r\n",
				 fields.list[i].name, fields.list[i].value);
	size += snprintf(out + size, HTTP1_REPLY_HEAD_MAX - (size_t)size, "%s\r\n",
			 close ? "connection: close\r\n" : "");
	return (size_t)size;
}
