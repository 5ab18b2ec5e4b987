#include "ctl/http.h"

#include "ctl/text.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>

#define TIMEOUT_S 5
#define BODY_MAX (8 * 1024 * 1024) /* octets; hostile servers are cut off */

int http_read_servers(const char *const *texts, size_t count, struct http_server *servers)
{
	char error[256];
	for (size_t i = 0; i < count; i++) {
		servers[i].text = texts[i];
		if (address_parse(texts[i], &servers[i].address, error, sizeof(error))) {
			text_fail("godwitctl: --admin %s: %s", texts[i], error);
			return -1;
		}
		if (servers[i].address.kind == ADDRESS_UNIX) {
			text_fail("godwitctl: --admin %s: give HOST:PORT", texts[i]);
			return -1;
		}
	}
	return 0;
}

/* One HTTP exchange. */
struct exchange {
	struct event_base *base;
	struct evbuffer *body;
	int code; /* of the response, 0: none came */
};

static void exchange_finish(struct evhttp_request *request, void *ctx)
{
	struct exchange *exchange = ctx;
	if (request) {
		exchange->code = evhttp_request_get_response_code(request);
		evbuffer_add_buffer(exchange->body, evhttp_request_get_input_buffer(request));
	}
	event_base_loopbreak(exchange->base);
}

int http_exchange(const struct http_server *server, enum evhttp_cmd_type method, const char *path,
		  struct evbuffer *body)
{
	struct exchange exchange = {.body = body};
	struct evhttp_connection *connection = NULL;

	exchange.base = event_base_new();
	if (!exchange.base)
		goto end;
	connection = evhttp_connection_base_new(exchange.base, NULL, server->address.host,
						server->address.port);
	if (!connection)
		goto end;
	evhttp_connection_set_timeout(connection, TIMEOUT_S);
	evhttp_connection_set_max_body_size(connection, BODY_MAX);
	struct evhttp_request *request = evhttp_request_new(exchange_finish, &exchange);
	if (!request)
		goto end;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Host", server->text);
	evhttp_add_header(headers, "Connection", "close");
	/* From here on the request is the connection's. */
	if (evhttp_make_request(connection, request, method, path) == 0)
		event_base_dispatch(exchange.base);
end:
	if (connection)
		evhttp_connection_free(connection);
	if (exchange.base)
		event_base_free(exchange.base);
	return exchange.code;
}

char *http_read_line(struct evbuffer *body)
{
	char *line = evbuffer_readln(body, NULL, EVBUFFER_EOL_ANY);
	if (!line) { /* one without a line end */
		size_t size = evbuffer_get_length(body);
		line = calloc(1, size + 1);
		if (line)
			evbuffer_remove(body, line, size);
	}
	if (line)
		text_tame(line);
	return line;
}
