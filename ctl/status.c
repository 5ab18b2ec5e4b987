/*
 * godwitctl status: asks servers' admin addresses, one after the other, whether they are ready, and
 * shows a few of their figures.
 */
#include "common/address.h"
#include "ctl/command.h"
#include "ctl/text.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 5
#define BODY_MAX (8 * 1024 * 1024) /* octets; hostile servers are cut off */

static const char *const default_admins[] = {"127.0.0.1:9153", "127.0.0.1:9154"};

/* The metrics that are shown, and what they are called; samples with labels are added up. */
static const struct figure {
	const char *metric;
	const char *label;
} figures[] = {
	{"godwit_frontend_queries_total", "queries"},
	{"godwit_frontend_unanswered_total", "unanswered"},
	{"godwit_frontend_drops_total", "dropped"},
	{"godwit_frontend_retries_total", "retries"},
	{"godwit_backend_queries_total", "queries"},
	{"godwit_backend_zones", "zones"},
	{"godwit_backend_zones_without_soa", "zones without SOA"},
	{"godwit_backend_names", "names"},
	{"godwit_backend_records", "records"},
	{"godwit_backend_records_rejected_total", "records rejected"},
	{"godwit_backend_store_outages_total", "store outages"},
	{"godwit_backend_mirror_bytes", "mirror bytes"},
};

#define FIGURE_COUNT (sizeof(figures) / sizeof(figures[0]))

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

/* Fetches `path`; the body goes into `body`. Returns the response's code, 0 when none came. */
static int fetch(const struct address *address, const char *text, const char *path,
		 struct evbuffer *body)
{
	struct exchange exchange = {.body = body};
	struct evhttp_connection *connection = NULL;

	exchange.base = event_base_new();
	if (!exchange.base)
		goto end;
	connection = evhttp_connection_base_new(exchange.base, NULL, address->host, address->port);
	if (!connection)
		goto end;
	evhttp_connection_set_timeout(connection, TIMEOUT_S);
	evhttp_connection_set_max_body_size(connection, BODY_MAX);
	struct evhttp_request *request = evhttp_request_new(exchange_finish, &exchange);
	if (!request)
		goto end;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Host", text);
	evhttp_add_header(headers, "Connection", "close");
	/* From here on the request is the connection's. */
	if (evhttp_make_request(connection, request, EVHTTP_REQ_GET, path) == 0)
		event_base_dispatch(exchange.base);
end:
	if (connection)
		evhttp_connection_free(connection);
	if (exchange.base)
		event_base_free(exchange.base);
	return exchange.code;
}

/* Adds one line of Prometheus text to the figures: `name{labels} value`. */
static void add_sample(const char *line, double *sums, bool *found)
{
	size_t length = strcspn(line, "{ ");
	const char *value = strrchr(line, ' ');
	for (size_t i = 0; value && i < FIGURE_COUNT; i++) {
		if (strlen(figures[i].metric) != length ||
		    strncmp(figures[i].metric, line, length) != 0)
			continue;
		sums[i] += strtod(value, NULL);
		found[i] = true;
	}
}

static void print_figures(struct evbuffer *metrics)
{
	double sums[FIGURE_COUNT] = {0};
	bool found[FIGURE_COUNT] = {false};
	char *line;
	while ((line = evbuffer_readln(metrics, NULL, EVBUFFER_EOL_LF))) {
		add_sample(line, sums, found);
		free(line);
	}
	for (size_t i = 0; i < FIGURE_COUNT; i++)
		if (found[i])
			printf("    %-20s %.0f\n", figures[i].label, sums[i]);
}

/* Prints a server's state. Returns true when it is ready. */
static bool show_server(const char *text, const struct address *address)
{
	struct evbuffer *body = evbuffer_new();
	if (!body)
		return false;
	int code = fetch(address, text, "/readyz", body);
	char *reason = evbuffer_readln(body, NULL, EVBUFFER_EOL_ANY);
	if (!reason) { /* one without a line end */
		size_t size = evbuffer_get_length(body);
		reason = calloc(1, size + 1);
		if (reason)
			evbuffer_remove(body, reason, size);
	}
	const char *state = code == 200 ? "ready" : code == 0 ? "no answer" : "not ready";
	printf("%s  %s%s%s\n", text, state, reason && *reason ? ": " : "", reason ? reason : "");
	free(reason);
	evbuffer_drain(body, evbuffer_get_length(body));
	if (code != 0 && fetch(address, text, "/metrics", body) == 200)
		print_figures(body);
	evbuffer_free(body);
	return code == 200;
}

int command_status(struct storage *storage, const struct options *options, char **words,
		   size_t count)
{
	const char *const *admins = options->admin_count ? options->admin : default_admins;
	size_t admin_count = options->admin_count ? options->admin_count : 2;
	struct address address;
	size_t failed = 0;
	char error[256];

	(void)storage, (void)words, (void)count;
	for (size_t i = 0; i < admin_count; i++) {
		if (address_parse(admins[i], &address, error, sizeof(error)))
			return text_fail("godwitctl: --admin %s: %s", admins[i], error);
		if (address.kind == ADDRESS_UNIX)
			return text_fail("godwitctl: --admin %s: give HOST:PORT", admins[i]);
	}
	for (size_t i = 0; i < admin_count; i++) {
		if (address_parse(admins[i], &address, error, sizeof(error)) == 0 &&
		    !show_server(admins[i], &address))
			failed++;
	}
	if (failed > 0)
		return text_fail("godwitctl: %zu of %zu servers not ready: look at what is printed "
				 "above and at their logs",
				 failed, admin_count);
	return EXIT_SUCCESS;
}
