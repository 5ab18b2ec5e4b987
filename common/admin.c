/*
 * libevent's HTTP server on a thread and an event base of its own. Nothing is shared with the
 * thread that started it but the listening socket, made before the thread, an eventfd that tells
 * the loop to end, and the program's own pages, under a lock, so libevent needs no locks.
 *
 * When the process is out of file descriptors, a connection that waits to be accepted keeps the
 * listening socket readable: rather than try again at once and for ever, listening pauses a while.
 */
#include "common/admin.h"

#include "common/address.h"
#include "common/admin_connections.h"
#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/notify.h"
#include "common/status_page.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADMIN_IDLE_S 5         /* a client that says nothing for so long is dropped */
#define ADMIN_HEADERS_MAX 8192 /* octets */
#define ADMIN_BODY_MAX 1024    /* octets; no request here needs one */
#define ADMIN_BACKLOG 64
#define ADMIN_REASON_MAX 512
#define ADMIN_CONFLICT 409 /* which libevent has no name for */
#define ADMIN_PAUSE_MS 200 /* after a connection could not be accepted */

/* A page of the program's own. */
struct admin_page {
	enum admin_method method;
	const char *path;
	admin_page_fn write;
	void *ctx;
};

struct admin {
	struct event_base *base;
	struct evhttp *http;
	struct admin_connections connections;
	struct event *stop_event;
	struct event *notify_event; /* NULL: no service manager listens */
	struct event *look_event;   /* at `heartbeats`; NULL: there are none */
	struct heartbeats *heartbeats;
	int stop_fd; /* an eventfd: written by admin_stop, read by the loop */
	pthread_t thread;
	bool running;
	struct metrics *metrics;
	admin_ready_fn ready;
	void *ctx;
	pthread_mutex_t pages_lock; /* for what is below */
	admin_ready_fn live;        /* NULL: not asked */
	void *live_ctx;
	struct admin_page pages[ADMIN_PAGES_MAX];
	size_t page_count;
};

/* Sends `body`, which is emptied. */
static void admin_reply(struct evhttp_request *request, int status, const char *reason,
			const char *content_type, struct evbuffer *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Content-Type", content_type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_send_reply(request, status, reason, body);
}

static void admin_reply_text(struct evhttp_request *request, int status, const char *reason,
			     const char *text)
{
	struct evbuffer *body = evbuffer_new();
	if (!body) {
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
		return;
	}
	evbuffer_add_printf(body, "%s\n", text);
	admin_reply(request, status, reason, "text/plain; charset=utf-8", body);
	evbuffer_free(body);
}

static void admin_refuse_method(struct evhttp_request *request, const char *allowed,
				const char *text)
{
	evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", allowed);
	admin_reply_text(request, HTTP_BADMETHOD, "Method Not Allowed", text);
}

/* True for GET; anything else has been answered. */
static bool admin_is_read(struct evhttp_request *request)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(request);

	if (method == EVHTTP_REQ_GET)
		return true;
	admin_refuse_method(request, "GET", "this page is read by GET");
	return false;
}

static void admin_on_metrics(struct evhttp_request *request, void *ctx)
{
	struct admin *admin = ctx;
	if (!admin_is_read(request))
		return;
	struct evbuffer *body = evbuffer_new();
	if (!body) {
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
		return;
	}
	metrics_print(admin->metrics, body);
	admin_reply(request, HTTP_OK, "OK", "text/plain; version=0.0.4; charset=utf-8", body);
	evbuffer_free(body);
}

/* Asks one of the program's functions and replies 200 or 503 with its words. */
static void admin_reply_judgement(struct evhttp_request *request, admin_ready_fn judge, void *ctx)
{
	char reason[ADMIN_REASON_MAX] = "";

	if (judge(ctx, reason, sizeof(reason)))
		admin_reply_text(request, HTTP_OK, "OK", reason);
	else
		admin_reply_text(request, HTTP_SERVUNAVAIL, "Service Unavailable", reason);
}

/* A program that says nothing of it is alive whenever this thread is. */
static bool admin_is_alive(void *ctx, char *reason, size_t reason_size)
{
	struct admin *admin = ctx;

	pthread_mutex_lock(&admin->pages_lock);
	admin_ready_fn live = admin->live;
	void *live_ctx = admin->live_ctx;
	pthread_mutex_unlock(&admin->pages_lock);
	if (live)
		return live(live_ctx, reason, reason_size);
	snprintf(reason, reason_size, "alive");
	return true;
}

static void admin_on_live(struct evhttp_request *request, void *ctx)
{
	if (admin_is_read(request))
		admin_reply_judgement(request, admin_is_alive, ctx);
}

static void admin_on_ready(struct evhttp_request *request, void *ctx)
{
	struct admin *admin = ctx;

	if (admin_is_read(request))
		admin_reply_judgement(request, admin->ready, admin->ctx);
}

/* "/": the status page, for people. It asks for the rest by itself. */
static void admin_on_status_page(struct evhttp_request *request, void *ctx)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	char policy[STATUS_PAGE_POLICY_MAX];
	(void)ctx;

	if (!admin_is_read(request))
		return;
	struct evbuffer *body = evbuffer_new();
	if (!body || status_page_policy(policy, sizeof(policy)) != 0 ||
	    evbuffer_add_reference(body, status_page_html, status_page_size, NULL, NULL) != 0) {
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
	} else {
		evhttp_add_header(headers, "Content-Security-Policy", policy);
		evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
		admin_reply(request, HTTP_OK, "OK", "text/html; charset=utf-8", body);
	}
	if (body)
		evbuffer_free(body);
}

/* What the program has at a path: a page of some method, and which methods there are. */
struct admin_match {
	struct admin_page page;
	bool has[2]; /* by enum admin_method */
};

/* Copies the page out: it is written without the lock. */
static struct admin_match admin_find_page(struct admin *admin, const char *path,
					  enum admin_method method)
{
	struct admin_match match = {.has = {false, false}};

	pthread_mutex_lock(&admin->pages_lock);
	for (size_t i = 0; i < admin->page_count; i++) {
		const struct admin_page *page = &admin->pages[i];
		if (strcmp(page->path, path) != 0)
			continue;
		match.has[page->method] = true;
		if (page->method == method)
			match.page = *page;
	}
	pthread_mutex_unlock(&admin->pages_lock);
	return match;
}

/* One of the program's own pages. False: the request is for another. */
static bool admin_on_page(struct evhttp_request *request, struct admin *admin)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = evhttp_uri_get_path(uri);
	bool is_post = evhttp_request_get_command(request) == EVHTTP_REQ_POST;
	enum admin_method method = is_post ? ADMIN_POST : ADMIN_GET;

	if (!path)
		return false;
	struct admin_match match = admin_find_page(admin, path, method);
	if (!match.has[ADMIN_GET] && !match.has[ADMIN_POST])
		return false;
	if (!match.has[method]) {
		admin_refuse_method(request, is_post ? "GET" : "POST",
				    is_post ? "this page is read by GET" : "POST does it");
		return true;
	}
	char *reply = malloc(ADMIN_REPLY_MAX);
	if (!reply) {
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
		return true;
	}
	reply[0] = '\0';
	bool done =
		match.page.write(match.page.ctx, evhttp_uri_get_query(uri), reply, ADMIN_REPLY_MAX);
	admin_reply_text(request, done ? HTTP_OK : ADMIN_CONFLICT, done ? "OK" : "Conflict", reply);
	free(reply);
	return true;
}

static void admin_on_other(struct evhttp_request *request, void *ctx)
{
	if (admin_on_page(request, ctx))
		return;
	admin_reply_text(request, HTTP_NOTFOUND, "Not Found", "try /, /metrics, /livez or /readyz");
}

static void admin_on_stop(evutil_socket_t fd, short what, void *ctx)
{
	struct admin *admin = ctx;
	(void)fd;
	(void)what;
	event_base_loopbreak(admin->base);
}

/* The service manager's turn: how the program is, in its own words. */
static void admin_on_notify(evutil_socket_t fd, short what, void *ctx)
{
	struct admin *admin = ctx;
	char reason[ADMIN_REASON_MAX] = "";
	(void)fd;
	(void)what;

	bool alive = admin_is_alive(admin, reason, sizeof(reason));
	if (alive)
		admin->ready(admin->ctx, reason, sizeof(reason));
	notify_status(reason, alive);
}

static void admin_on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct admin *admin = ctx;
	(void)fd;
	(void)what;

	heartbeats_look(admin->heartbeats, clock_now_ms());
}

static void admin_on_resume(evutil_socket_t fd, short what, void *listener)
{
	(void)fd;
	(void)what;
	evconnlistener_enable(listener);
}

static void admin_on_accept_error(struct evconnlistener *listener, void *http)
{
	struct event_base *base = evconnlistener_get_base(listener);
	const struct timeval pause = clock_timeval(ADMIN_PAUSE_MS);
	(void)http;

	log_warning_limited("admin connection not accepted", "reason=%s", strerror(errno));
	if (event_base_once(base, -1, EV_TIMEOUT, admin_on_resume, listener, &pause) == 0)
		evconnlistener_disable(listener);
}

static void *admin_run(void *arg)
{
	struct admin *admin = arg;
	if (event_base_dispatch(admin->base) < 0)
		log_error("admin server ended by itself", "reason=%s", strerror(errno));
	return NULL;
}

/* A listening TCP socket on `text`, or -1. */
static int admin_listen(const char *text, char *error, size_t error_size)
{
	struct address address;
	const int on = 1;

	if (address_parse(text, &address, error, error_size) != 0)
		return -1;
	if (address.kind != ADDRESS_IP) {
		snprintf(error, error_size, "\"%s\" is not an IP address and port", text);
		return -1;
	}
	int fd = socket(address.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, (const struct sockaddr *)&address.addr, address.addr_size) == 0 &&
		    listen(fd, ADMIN_BACKLOG) == 0)
			return fd;
	}
	snprintf(error, error_size, "cannot listen on %s: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Makes the base and the event that ends its loop. */
static int admin_setup_loop(struct admin *admin)
{
	admin->base = event_base_new();
	if (!admin->base)
		return -1;
	admin->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (admin->stop_fd < 0)
		return -1;
	admin->stop_event =
		event_new(admin->base, admin->stop_fd, EV_READ | EV_PERSIST, admin_on_stop, admin);
	return admin->stop_event ? event_add(admin->stop_event, NULL) : -1;
}

/* Makes the timer on which the service manager is told, if there is one. */
static int admin_setup_notify(struct admin *admin)
{
	int interval_ms = notify_interval_ms();
	const struct timeval interval = clock_timeval(interval_ms);

	if (interval_ms == 0)
		return 0;
	admin->notify_event = event_new(admin->base, -1, EV_PERSIST, admin_on_notify, admin);
	return admin->notify_event ? event_add(admin->notify_event, &interval) : -1;
}

/* Makes the server; takes over `fd` when it succeeds. */
static int admin_setup_http(struct admin *admin, int fd)
{
	admin->http = evhttp_new(admin->base);
	if (!admin->http || admin_connections_init(&admin->connections, admin->base) != 0)
		return -1;
	evhttp_set_allowed_methods(admin->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_timeout(admin->http, ADMIN_IDLE_S);
	evhttp_set_max_headers_size(admin->http, ADMIN_HEADERS_MAX);
	evhttp_set_max_body_size(admin->http, ADMIN_BODY_MAX);
	evhttp_set_gencb(admin->http, admin_on_other, admin);
	evhttp_set_bevcb(admin->http, admin_connections_add, &admin->connections);
	if (evhttp_set_cb(admin->http, "/", admin_on_status_page, admin) != 0 ||
	    evhttp_set_cb(admin->http, "/metrics", admin_on_metrics, admin) != 0 ||
	    evhttp_set_cb(admin->http, "/livez", admin_on_live, admin) != 0 ||
	    evhttp_set_cb(admin->http, "/readyz", admin_on_ready, admin) != 0)
		return -1;
	struct evhttp_bound_socket *bound = evhttp_accept_socket_with_handle(admin->http, fd);
	if (!bound)
		return -1;
	evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(bound), admin_on_accept_error);
	return 0;
}

struct admin *admin_create(const char *address, struct metrics *metrics, admin_ready_fn ready,
			   void *ctx, char *error, size_t error_size)
{
	struct admin *admin = NULL;
	int fd = admin_listen(address, error, error_size);

	if (fd < 0)
		return NULL;
	admin = calloc(1, sizeof(*admin));
	if (!admin)
		goto fail;
	admin->stop_fd = -1;
	pthread_mutex_init(&admin->pages_lock, NULL);
	admin->metrics = metrics;
	admin->ready = ready;
	admin->ctx = ctx;
	if (admin_setup_loop(admin) != 0 || admin_setup_notify(admin) != 0 ||
	    admin_setup_http(admin, fd) != 0)
		goto fail;
	return admin;

fail:
	snprintf(error, error_size, "cannot start the admin server on %s: out of memory", address);
	close(fd);
	admin_stop(admin);
	return NULL;
}

int admin_serve(struct admin *admin, char *error, size_t error_size)
{
	if (pthread_create(&admin->thread, NULL, admin_run, admin) != 0) {
		snprintf(error, error_size, "cannot start the admin server: out of threads");
		return -1;
	}
	admin->running = true;
	pthread_setname_np(admin->thread, "admin");
	return 0;
}

struct admin *admin_start(const char *address, struct metrics *metrics, admin_ready_fn ready,
			  void *ctx, char *error, size_t error_size)
{
	struct admin *admin = admin_create(address, metrics, ready, ctx, error, error_size);
	if (!admin || admin_serve(admin, error, error_size) == 0)
		return admin;
	admin_stop(admin);
	return NULL;
}

void admin_set_live(struct admin *admin, admin_ready_fn live, void *ctx)
{
	pthread_mutex_lock(&admin->pages_lock);
	admin->live = live;
	admin->live_ctx = ctx;
	pthread_mutex_unlock(&admin->pages_lock);
}

int admin_watch(struct admin *admin, struct heartbeats *heartbeats)
{
	const struct timeval interval = {.tv_sec = HEARTBEAT_MS / 1000};

	admin->heartbeats = heartbeats;
	admin->look_event = event_new(admin->base, -1, EV_PERSIST, admin_on_look, admin);
	if (!admin->look_event || event_add(admin->look_event, &interval) != 0)
		return -1;
	metrics_add_collector(admin->metrics, heartbeats_collect, heartbeats);
	admin_set_live(admin, heartbeats_describe, heartbeats);
	return 0;
}

void admin_add_page(struct admin *admin, enum admin_method method, const char *path,
		    admin_page_fn page, void *ctx)
{
	const struct admin_page added = {method, path, page, ctx};

	pthread_mutex_lock(&admin->pages_lock);
	bool fits = admin->page_count < ADMIN_PAGES_MAX;
	if (fits)
		admin->pages[admin->page_count++] = added;
	pthread_mutex_unlock(&admin->pages_lock);
	if (!fits)
		log_error("admin page not added", "path=%s pages=%d", path, ADMIN_PAGES_MAX);
}

void admin_stop(struct admin *admin)
{
	const uint64_t one = 1;

	if (!admin)
		return;
	if (admin->running) {
		/* An eventfd takes eight octets whole; only a full counter could refuse them. */
		if (write(admin->stop_fd, &one, sizeof(one)) != sizeof(one))
			log_error("admin server not told to stop", "reason=%s", strerror(errno));
		pthread_join(admin->thread, NULL);
	}
	if (admin->http)
		evhttp_free(admin->http);
	admin_connections_clear(&admin->connections);
	if (admin->notify_event)
		event_free(admin->notify_event);
	if (admin->look_event)
		event_free(admin->look_event);
	if (admin->stop_event)
		event_free(admin->stop_event);
	if (admin->stop_fd >= 0)
		close(admin->stop_fd);
	if (admin->base)
		event_base_free(admin->base);
	pthread_mutex_destroy(&admin->pages_lock);
	free(admin);
}
