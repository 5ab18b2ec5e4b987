/*
 * godwitctl external-dns: ExternalDNS's webhook provider over HTTP, until SIGTERM or SIGINT.
 *
 * One thread does it all, one request after the other, the store's calls included; ExternalDNS asks
 * one at a time. The admin server, if there is one, has its own, so that probes are answered while
 * a store is slow. What is written here and read there is atomic.
 *
 * A store that cannot be used is told as 500, after which ExternalDNS tries again in its own time;
 * the store is opened anew with each request then. Requests that are no such JSON get 400, and end
 * ExternalDNS: only one of another version could send them.
 *
 * A web page that somebody opens on this machine must not be able to write records: POST wants the
 * protocol's media type, which browsers send to nobody without asking first.
 */
#include "common/address.h"
#include "common/admin.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "ctl/command.h"
#include "ctl/text.h"
#include "ctl/webhook.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_LISTEN "127.0.0.1:8888"
#define DEFAULT_TTL 300 /* seconds */
#define MEDIA_TYPE "application/external.dns.webhook+json;version=1"
#define IDLE_S 30                  /* a client that says nothing for so long is dropped */
#define HEADERS_MAX 16384          /* octets */
#define BODY_MAX (8 * 1024 * 1024) /* octets: some 20000 endpoints; 370 MB of empty arrays */
#define PAUSE_MS 200               /* after a connection could not be accepted */
#define UNSUPPORTED_MEDIA_TYPE 415 /* which libevent has no name for */
#define NOT_ACCEPTABLE 406

enum counter {
	COUNTER_READS,
	COUNTER_WRITES,
	COUNTER_ADJUSTMENTS,
	COUNTER_REFUSED,
	COUNTER_FAILED,
	COUNTER_WRITTEN,
	COUNTER_LEFT_OUT,
	COUNTER_COUNT,
};

#define REQUESTS_HELP "Requests of ExternalDNS"

static const struct metric_def counter_defs[COUNTER_COUNT] = {
	[COUNTER_READS] = {"godwit_external_dns_requests_total", "request=\"records\"",
			   REQUESTS_HELP, METRIC_COUNTER},
	[COUNTER_WRITES] = {"godwit_external_dns_requests_total", "request=\"changes\"",
			    REQUESTS_HELP, METRIC_COUNTER},
	[COUNTER_ADJUSTMENTS] = {"godwit_external_dns_requests_total",
				 "request=\"adjustendpoints\"", REQUESTS_HELP, METRIC_COUNTER},
	[COUNTER_REFUSED] = {"godwit_external_dns_requests_refused_total", NULL,
			     "Requests that were not of the protocol", METRIC_COUNTER},
	[COUNTER_FAILED] = {"godwit_external_dns_requests_failed_total", NULL,
			    "Requests that failed because of the store or memory", METRIC_COUNTER},
	[COUNTER_WRITTEN] = {"godwit_external_dns_records_written_total", NULL,
			     "Records added, changed and removed", METRIC_COUNTER},
	[COUNTER_LEFT_OUT] = {"godwit_external_dns_records_left_out_total", NULL,
			      "Endpoints and records that the store cannot have", METRIC_COUNTER},
};

struct server {
	struct webhook webhook;
	bool open;            /* the store is */
	atomic_bool store_up; /* for the admin thread: its last use went well */
	struct event_base *base;
	struct evhttp *http;
	struct event *ends[2];
	struct metrics *metrics;
	struct metrics_shard *shard;
	struct admin *admin;
	uint8_t domains[OPTIONS_REPEAT_MAX][DNS_NAME_MAX];
};

/* --- replies ---------------------------------------------------------------------------------- */

/* Sends `body`, NULL for none. */
static void reply(struct evhttp_request *request, int status, const char *reason,
		  const char *content_type, struct evbuffer *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	if (content_type)
		evhttp_add_header(headers, "Content-Type", content_type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	/* ExternalDNS asks once a minute: a connection kept would be gone when it is wanted. */
	evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply(request, status, reason, body);
}

static void reply_text(struct evhttp_request *request, int status, const char *reason,
		       const char *text)
{
	struct evbuffer *body = evbuffer_new();
	if (body)
		evbuffer_add_printf(body, "%s\n", text);
	reply(request, status, reason, "text/plain; charset=utf-8", body);
	if (body)
		evbuffer_free(body);
}

static void refuse(struct server *server, struct evhttp_request *request, int status,
		   const char *reason, const char *text)
{
	metrics_add(server->shard, COUNTER_REFUSED, 1);
	log_warning_limited("request refused", "status=%d reason=%s", status, text);
	reply_text(request, status, reason, text);
}

static void reply_error(struct server *server, struct evhttp_request *request,
			enum webhook_result result)
{
	if (result == WEBHOOK_BAD_REQUEST) {
		refuse(server, request, HTTP_BADREQUEST, "Bad Request", server->webhook.error);
		return;
	}
	metrics_add(server->shard, COUNTER_FAILED, 1);
	log_warning_limited("request failed", "reason=%s", server->webhook.error);
	reply_text(request, HTTP_INTERNAL, "Internal Server Error", server->webhook.error);
}

/* Sends JSON, which is released. */
static void reply_json(struct server *server, struct evhttp_request *request, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	struct evbuffer *body = evbuffer_new();
	if (text && body && evbuffer_add(body, text, strlen(text)) == 0)
		reply(request, HTTP_OK, "OK", MEDIA_TYPE, body);
	else
		reply_error(server, request, webhook_fail_memory(&server->webhook));
	if (body)
		evbuffer_free(body);
	free(text);
	json_decref(json);
}

/* --- requests --------------------------------------------------------------------------------- */

/*
 * True when a header names the protocol's media type in its version 1: "a/b;version=1", spaces or
 * not.
 */
static bool names_media_type(const char *header)
{
	const char *found = strcasestr(header, "application/external.dns.webhook+json");
	const char *version = found ? strcasestr(found, "version=") : NULL;
	return version && version[8] == '1' && !(version[9] >= '0' && version[9] <= '9');
}

/* True when the client takes our answers; else it has been told. */
static bool accepts_reply(struct server *server, struct evhttp_request *request)
{
	const char *accept =
		evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
	if (!accept || strstr(accept, "*/*") || names_media_type(accept))
		return true;
	refuse(server, request, NOT_ACCEPTABLE, "Not Acceptable", "this speaks " MEDIA_TYPE);
	return false;
}

/* The body of a POST, or NULL: it has been answered. */
static json_t *read_body(struct server *server, struct evhttp_request *request)
{
	const char *type =
		evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
	struct evbuffer *body = evhttp_request_get_input_buffer(request);
	size_t size = evbuffer_get_length(body);
	json_error_t error;

	if (!type || !names_media_type(type)) {
		refuse(server, request, UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type",
		       "a body of Content-Type " MEDIA_TYPE " is wanted");
		return NULL;
	}
	const char *text = (const char *)evbuffer_pullup(body, -1);
	json_t *json = json_loadb(text ? text : "", text ? size : 0,
				  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	evbuffer_drain(body, size);
	if (!json) {
		char line[256];
		snprintf(line, sizeof(line), "the body is not JSON: line %d: %s", error.line,
			 error.text);
		text_tame(line);
		refuse(server, request, HTTP_BADREQUEST, "Bad Request", line);
	}
	return json;
}

/* Opens the store unless it is open. */
static enum webhook_result open_store(struct server *server)
{
	struct webhook *webhook = &server->webhook;
	if (server->open)
		return WEBHOOK_OK;
	if (storage_open(webhook->storage)) {
		snprintf(webhook->error, sizeof(webhook->error), "%s",
			 storage_error(webhook->storage));
		atomic_store(&server->store_up, false);
		return WEBHOOK_FAILED;
	}
	server->open = true;
	return WEBHOOK_OK;
}

/*
 * Reads the store into `out`, or applies `changes` to it. A connection may have died since its last
 * use: what fails on an old one is tried once more on a new one, which does no harm, since changes
 * that were made already change nothing.
 */
static enum webhook_result use_store(struct server *server, const json_t *changes,
				     struct evbuffer *out)
{
	for (;;) {
		bool fresh = !server->open;
		enum webhook_result result = open_store(server);
		if (result == WEBHOOK_OK)
			result = changes ? webhook_apply(&server->webhook, changes)
					 : webhook_read(&server->webhook, out);
		atomic_store(&server->store_up, result != WEBHOOK_FAILED);
		if (result != WEBHOOK_FAILED)
			return result;
		server->open = false;
		if (fresh)
			return result;
		if (out)
			evbuffer_drain(out, evbuffer_get_length(out));
	}
}

static void get_records(struct server *server, struct evhttp_request *request)
{
	struct evbuffer *body = evbuffer_new();
	enum webhook_result result =
		body ? use_store(server, NULL, body) : webhook_fail_memory(&server->webhook);
	metrics_add(server->shard, COUNTER_READS, 1);
	if (result == WEBHOOK_OK)
		reply(request, HTTP_OK, "OK", MEDIA_TYPE, body);
	else
		reply_error(server, request, result);
	if (body)
		evbuffer_free(body);
}

static void post_records(struct server *server, struct evhttp_request *request)
{
	uint64_t written = server->webhook.written, left_out = server->webhook.left_out;
	json_t *changes = read_body(server, request);
	if (!changes)
		return;
	enum webhook_result result = use_store(server, changes, NULL);
	json_decref(changes);
	metrics_add(server->shard, COUNTER_WRITES, 1);
	metrics_add(server->shard, COUNTER_WRITTEN, server->webhook.written - written);
	metrics_add(server->shard, COUNTER_LEFT_OUT, server->webhook.left_out - left_out);
	if (result == WEBHOOK_OK)
		reply(request, HTTP_NOCONTENT, "No Content", MEDIA_TYPE, NULL);
	else
		reply_error(server, request, result);
}

static void on_records(struct evhttp_request *request, void *ctx)
{
	struct server *server = ctx;
	if (evhttp_request_get_command(request) == EVHTTP_REQ_POST)
		post_records(server, request);
	else if (accepts_reply(server, request))
		get_records(server, request);
}

static void on_adjust(struct evhttp_request *request, void *ctx)
{
	struct server *server = ctx;
	if (evhttp_request_get_command(request) != EVHTTP_REQ_POST) {
		refuse(server, request, HTTP_BADMETHOD, "Method Not Allowed", "POST does it");
		return;
	}
	json_t *endpoints = accepts_reply(server, request) ? read_body(server, request) : NULL;
	if (!endpoints)
		return;
	metrics_add(server->shard, COUNTER_ADJUSTMENTS, 1);
	enum webhook_result result = webhook_adjust(&server->webhook, endpoints);
	if (result == WEBHOOK_OK) {
		reply_json(server, request, endpoints);
		return;
	}
	json_decref(endpoints);
	reply_error(server, request, result);
}

/* What ExternalDNS asks first. */
static void on_negotiate(struct evhttp_request *request, void *ctx)
{
	struct server *server = ctx;
	if (evhttp_request_get_command(request) != EVHTTP_REQ_GET)
		refuse(server, request, HTTP_BADMETHOD, "Method Not Allowed", "it is read by GET");
	else if (accepts_reply(server, request))
		reply_json(server, request, webhook_domain_filter(&server->webhook));
}

static void on_health(struct evhttp_request *request, void *ctx)
{
	(void)ctx;
	reply_text(request, HTTP_OK, "OK", "alive");
}

static void on_other(struct evhttp_request *request, void *ctx)
{
	refuse(ctx, request, HTTP_NOTFOUND, "Not Found",
	       "try /, /records, /adjustendpoints or /healthz");
}

/* --- the admin server's view ------------------------------------------------------------------ */

static bool is_ready(void *ctx, char *reason, size_t reason_size)
{
	struct server *server = ctx;
	bool up = atomic_load(&server->store_up);
	snprintf(reason, reason_size, "%s",
		 up ? "the store answers" : "the store cannot be used: see the log");
	return up;
}

static bool write_health(void *ctx, const char *query, char *text, size_t text_size)
{
	(void)ctx, (void)query;
	snprintf(text, text_size, "alive");
	return true;
}

static void collect(void *ctx, struct evbuffer *out)
{
	struct server *server = ctx;
	metrics_print_gauge(out, "godwit_external_dns_store_up",
			    "1 when the store's last use went well",
			    atomic_load(&server->store_up));
}

/* --- start and end ---------------------------------------------------------------------------- */

static void on_resume(evutil_socket_t fd, short what, void *listener)
{
	(void)fd, (void)what;
	evconnlistener_enable(listener);
}

/* Out of descriptors: pause instead of trying again at once and for ever. */
static void on_accept_error(struct evconnlistener *listener, void *http)
{
	struct event_base *base = evconnlistener_get_base(listener);
	const struct timeval pause = clock_timeval(PAUSE_MS);
	(void)http;
	log_warning_limited("connection not accepted", "reason=%s", strerror(errno));
	if (event_base_once(base, -1, EV_TIMEOUT, on_resume, listener, &pause) == 0)
		evconnlistener_disable(listener);
}

static void on_end(evutil_socket_t fd, short what, void *base)
{
	(void)fd, (void)what;
	event_base_loopbreak(base);
}

/* Reads --domain-filter; ".example.com" is example.com. */
static int read_domains(struct server *server, const struct options *options)
{
	for (size_t i = 0; i < options->domain_count; i++) {
		const char *text = options->domains[i];
		if (text_read_name(text + (text[0] == '.' && text[1]), "--domain-filter",
				   server->domains[i]))
			return -1;
	}
	server->webhook.domains = server->domains;
	server->webhook.domain_count = options->domain_count;
	return 0;
}

/* A listening socket on a loopback address, or -1 after a line. */
static int open_socket(const char *text)
{
	struct address address;
	const int on = 1;
	char error[256];

	if (address_parse(text, &address, error, sizeof(error))) {
		text_fail("godwitctl: --listen %s: %s", text, error);
		return -1;
	}
	if (address.kind != ADDRESS_IP || !address_is_loopback(&address)) {
		text_fail(
			"godwitctl: --listen %s: give a loopback address and port, 127.0.0.1:8888: "
			"whoever reaches it may change records",
			text);
		return -1;
	}
	int fd = socket(address.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&address.addr, address.addr_size) == 0 &&
		    listen(fd, SOMAXCONN) == 0)
			return fd;
	}
	text_fail("godwitctl: --listen %s: %m", text);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Makes the HTTP server on `fd`, which it takes over when it succeeds. */
static int start_http(struct server *server, int fd)
{
	static const int signals[2] = {SIGTERM, SIGINT};
	server->base = event_base_new();
	server->http = server->base ? evhttp_new(server->base) : NULL;
	if (!server->http)
		return -1;
	evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_timeout(server->http, IDLE_S);
	evhttp_set_max_headers_size(server->http, HEADERS_MAX);
	evhttp_set_max_body_size(server->http, BODY_MAX);
	evhttp_set_gencb(server->http, on_other, server);
	if (evhttp_set_cb(server->http, "/", on_negotiate, server) ||
	    evhttp_set_cb(server->http, "/records", on_records, server) ||
	    evhttp_set_cb(server->http, "/adjustendpoints", on_adjust, server) ||
	    evhttp_set_cb(server->http, "/healthz", on_health, server))
		return -1;
	for (size_t i = 0; i < 2; i++) {
		server->ends[i] = evsignal_new(server->base, signals[i], on_end, server->base);
		if (!server->ends[i] || event_add(server->ends[i], NULL))
			return -1;
	}
	struct evhttp_bound_socket *bound = evhttp_accept_socket_with_handle(server->http, fd);
	if (!bound)
		return -1;
	evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound), on_accept_error);
	return 0;
}

/* The admin server, if it is wanted. Its thread must not be the one that takes the signals. */
static int start_admin(struct server *server, const struct options *options)
{
	char error[256];
	sigset_t all, before;

	metrics_add_collector(server->metrics, collect, server);
	if (options->admin_count == 0)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	server->admin = admin_start(options->admin[0], server->metrics, is_ready, server, error,
				    sizeof(error));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!server->admin) {
		text_fail("godwitctl: --admin: %s", error);
		return -1;
	}
	admin_add_page(server->admin, ADMIN_GET, "/healthz", write_health, server);
	return 0;
}

static void server_destroy(struct server *server)
{
	admin_stop(server->admin);
	if (server->http)
		evhttp_free(server->http);
	for (size_t i = 0; i < 2; i++)
		if (server->ends[i])
			event_free(server->ends[i]);
	if (server->base)
		event_base_free(server->base);
	if (server->metrics)
		metrics_destroy(server->metrics);
	webhook_clear(&server->webhook);
	free(server);
}

/* Listens, looks for the store, and serves until a signal. 0, or -1 after a line. */
static int serve(struct server *server, const struct options *options)
{
	const char *listen_at = options->listen ? options->listen : DEFAULT_LISTEN;
	int fd = open_socket(listen_at);
	if (fd < 0)
		return -1;
	if (start_http(server, fd)) {
		close(fd);
		text_fail("godwitctl: out of memory");
		return -1;
	}
	if (start_admin(server, options))
		return -1;
	if (open_store(server) == WEBHOOK_OK)
		atomic_store(&server->store_up, true);
	else
		log_warning("store not open yet", "reason=%s", server->webhook.error);
	log_info("webhook provider ready", "listen=%s store=%s", listen_at, options->store);
	event_base_dispatch(server->base);
	log_info("webhook provider ends", NULL);
	return 0;
}

int command_external_dns(struct storage *storage, const struct options *options, char **words,
			 size_t count)
{
	(void)words, (void)count;
	if (options->admin_count > 1)
		return text_fail("godwitctl: external-dns has one --admin address");
	struct server *server = calloc(1, sizeof(*server));
	if (!server)
		return text_fail("godwitctl: out of memory");
	signal(SIGPIPE, SIG_IGN);
	server->webhook.storage = storage;
	server->webhook.ttl = options->given & OPTION_TTL ? options->ttl : DEFAULT_TTL;
	server->metrics = metrics_create(counter_defs, COUNTER_COUNT);
	server->shard = metrics_shard_create(server->metrics);
	int status = read_domains(server, options);
	if (status == 0)
		status = serve(server, options);
	server_destroy(server);
	return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
