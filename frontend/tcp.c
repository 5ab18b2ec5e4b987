/* DNS over TCP, on libevent's bufferevents. */
#include "frontend/tcp.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "dns/protocol.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LENGTH_SIZE 2
/* A whole message fits the input buffer; beyond it the kernel holds the client back. */
#define TCP_INPUT_MAX (TCP_LENGTH_SIZE + DNS_MESSAGE_MAX)

#define TCP_ACCEPT_PAUSE_MS 100

struct tcp_connection {
	TAILQ_ENTRY(tcp_connection) link; /* by time of progress, longest ago first */
	struct tcp_server *server;
	struct bufferevent *stream;
	LIST_HEAD(, query) queries; /* in flight */
	unsigned int query_count;
	int64_t progress_ms;
	bool paused;      /* not read from: too much in flight */
	bool end_of_file; /* the client sends no more */
	bool reading;     /* inside tcp_read_messages, which must not be entered again */
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	} client;
};

TAILQ_HEAD(tcp_connection_list, tcp_connection);

struct tcp_listener {
	LIST_ENTRY(tcp_listener) link;
	struct tcp_server *server;
	struct evconnlistener *listener;
	struct event *resume; /* accepts again after a pause */
};

struct tcp_server {
	struct event_base *base;
	struct serve *serve;
	_Atomic unsigned *open;
	unsigned int limit;
	int64_t idle_ms;
	bool stopping;
	LIST_HEAD(, tcp_listener) listeners;
	struct tcp_connection_list connections;
	struct event *idle_timer;
	uint8_t reply[SERVE_REPLY_MAX]; /* where replies made at once are written */
};

/* --- connections ------------------------------------------------------------------------------ */

/* tcp_close's cause when all has been said: nothing to count. */
#define TCP_CLOSE_NORMAL FRONTEND_METRIC_COUNT

/* Closes at once and counts why. Replies to queries in flight go nowhere. */
static void tcp_close(struct tcp_connection *connection, enum frontend_metric cause)
{
	struct tcp_server *server = connection->server;
	struct query *query;
	if (cause != TCP_CLOSE_NORMAL)
		metrics_add(server->serve->shard, cause, 1);
	while ((query = LIST_FIRST(&connection->queries))) {
		LIST_REMOVE(query, path.tcp.link);
		query->path.tcp.connection = NULL;
	}
	TAILQ_REMOVE(&server->connections, connection, link);
	bufferevent_free(connection->stream);
	atomic_fetch_sub_explicit(server->open, 1, memory_order_relaxed);
	free(connection);
}

static void tcp_arm_idle_timer(struct tcp_server *server)
{
	const struct tcp_connection *oldest = TAILQ_FIRST(&server->connections);
	if (!oldest || evtimer_pending(server->idle_timer, NULL))
		return;
	int64_t wait_ms = oldest->progress_ms + server->idle_ms - clock_now_ms();
	if (wait_ms < 10)
		wait_ms = 10;
	const struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
	evtimer_add(server->idle_timer, &wait);
}

static void tcp_note_progress(struct tcp_connection *connection)
{
	struct tcp_connection_list *list = &connection->server->connections;
	connection->progress_ms = clock_now_ms();
	TAILQ_REMOVE(list, connection, link);
	TAILQ_INSERT_TAIL(list, connection, link);
}

static void tcp_on_idle_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct tcp_server *server = ctx;
	int64_t limit_ms = clock_now_ms() - server->idle_ms;
	struct tcp_connection *next;
	for (struct tcp_connection *connection = TAILQ_FIRST(&server->connections);
	     connection && connection->progress_ms <= limit_ms; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (connection->query_count == 0)
			tcp_close(connection, FRONTEND_TCP_IDLE);
		else
			tcp_note_progress(connection); /* it is our turn, not the client's */
	}
	tcp_arm_idle_timer(server);
}

static size_t tcp_output_size(const struct tcp_connection *connection)
{
	return evbuffer_get_length(bufferevent_get_output(connection->stream));
}

/* Closes a connection that has nothing left to wait for. True when it did. */
static bool tcp_close_if_done(struct tcp_connection *connection)
{
	if (connection->query_count > 0 || tcp_output_size(connection) > 0)
		return false;
	if (!connection->end_of_file && !connection->server->stopping)
		return false;
	tcp_close(connection, TCP_CLOSE_NORMAL);
	return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool tcp_is_full(const struct tcp_connection *connection)
{
	return connection->query_count >= TCP_QUERIES_MAX ||
	       tcp_output_size(connection) >= TCP_OUTPUT_MAX;
}

static void tcp_set_paused(struct tcp_connection *connection, bool paused)
{
	if (connection->paused == paused)
		return;
	connection->paused = paused;
	if (paused)
		bufferevent_disable(connection->stream, EV_READ);
	else if (!connection->end_of_file && !connection->server->stopping)
		bufferevent_enable(connection->stream, EV_READ);
}

static const struct transport tcp_transport;

static void tcp_write(struct tcp_connection *connection, const uint8_t *reply, size_t size)
{
	uint8_t prefix[TCP_LENGTH_SIZE];
	dns_put16(prefix, (uint16_t)size);
	if (bufferevent_write(connection->stream, prefix, sizeof(prefix)) != 0 ||
	    bufferevent_write(connection->stream, reply, size) != 0) {
		/* Out of memory: half a reply must not be followed by another one. */
		log_warning_limited("TCP reply lost", "reason=%s", "out of memory");
		connection->end_of_file = true;
		bufferevent_disable(connection->stream, EV_READ);
	}
}

static void tcp_take(struct tcp_connection *connection, const uint8_t *message, size_t size)
{
	struct serve *serve = connection->server->serve;
	struct serve_reply reply = {.octets = connection->server->reply};
	int64_t now_ns = clock_now_ns();
	enum serve_outcome outcome =
		serve_take(serve, &tcp_transport, message, size, now_ns, &reply);
	if (outcome == SERVE_REPLIED) {
		tcp_note_progress(connection);
		tcp_write(connection, reply.octets, reply.size);
		serve_observe(serve, now_ns);
	}
	if (outcome != SERVE_PENDING)
		return;
	struct query *query = reply.query;
	query->path.tcp.server = connection->server;
	query->path.tcp.connection = connection;
	LIST_INSERT_HEAD(&connection->queries, query, path.tcp.link);
	connection->query_count++;
	tcp_note_progress(connection);
	serve_query(serve, query);
}

/*
 * Serves the whole messages in the input buffer as long as the connection may have more in flight.
 * False when the framing is broken: no DNS message is shorter than its header.
 */
static bool tcp_read_messages(struct tcp_connection *connection)
{
	struct evbuffer *input = bufferevent_get_input(connection->stream);
	connection->reading = true;
	bool sound = true;
	while (!tcp_is_full(connection)) {
		uint8_t prefix[TCP_LENGTH_SIZE];
		if (evbuffer_copyout(input, prefix, sizeof(prefix)) < TCP_LENGTH_SIZE)
			break;
		size_t size = dns_get16(prefix);
		sound = size >= DNS_HEADER_SIZE;
		if (!sound || evbuffer_get_length(input) < TCP_LENGTH_SIZE + size)
			break;
		const uint8_t *frame = evbuffer_pullup(input, (ev_ssize_t)(TCP_LENGTH_SIZE + size));
		if (!frame)
			break;
		tcp_take(connection, frame + TCP_LENGTH_SIZE, size);
		evbuffer_drain(input, TCP_LENGTH_SIZE + size);
	}
	connection->reading = false;
	return sound;
}

/* Reads on as far as it may, then pauses or closes as things stand. The connection may be gone. */
static void tcp_proceed(struct tcp_connection *connection)
{
	if (!connection->server->stopping && !tcp_read_messages(connection)) {
		tcp_close(connection, FRONTEND_TCP_ERROR);
		return;
	}
	tcp_set_paused(connection, tcp_is_full(connection));
	tcp_close_if_done(connection);
}

static void tcp_on_input(struct bufferevent *stream, void *ctx)
{
	(void)stream;
	tcp_proceed(ctx);
}

/* All output has been taken by the kernel, or enough of it to go on. */
static void tcp_on_output(struct bufferevent *stream, void *ctx)
{
	(void)stream;
	struct tcp_connection *connection = ctx;
	tcp_note_progress(connection);
	tcp_proceed(connection);
}

static void tcp_on_event(struct bufferevent *stream, short what, void *ctx)
{
	(void)stream;
	struct tcp_connection *connection = ctx;
	if (what & BEV_EVENT_EOF) {
		connection->end_of_file = true;
		tcp_proceed(connection);
	} else {
		tcp_close(connection, FRONTEND_TCP_ERROR);
	}
}

/* --- replies ---------------------------------------------------------------------------------- */

static void tcp_send_reply(struct query *query, const uint8_t *reply, size_t size)
{
	struct tcp_connection *connection = query->path.tcp.connection;
	if (!connection) {
		metrics_add(query->path.tcp.server->serve->shard, FRONTEND_DROPS_CLIENT_GONE, 1);
		return;
	}
	LIST_REMOVE(query, path.tcp.link);
	connection->query_count--;
	tcp_write(connection, reply, size);
	/* Room for another query: go on with those that wait in the input. */
	if (connection->paused && !connection->reading)
		bufferevent_trigger(connection->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

static void tcp_format_client(const struct query *query, char *out, size_t size)
{
	const struct tcp_connection *connection = query->path.tcp.connection;
	if (connection)
		address_format(&connection->client.any, out, size);
	else
		snprintf(out, size, "gone");
}

static const struct transport tcp_transport = {
	.name = "tcp",
	.queries = FRONTEND_QUERIES_TCP,
	.datagram = false,
	.send = tcp_send_reply,
	.format_client = tcp_format_client,
};

/* --- accepting -------------------------------------------------------------------------------- */

/* Makes room for one more connection of this worker, if there is an idle one. */
static bool tcp_evict_idle(struct tcp_server *server)
{
	struct tcp_connection *connection;
	TAILQ_FOREACH(connection, &server->connections, link)
	{
		if (connection->query_count > 0 || tcp_output_size(connection) > 0)
			continue;
		tcp_close(connection, FRONTEND_TCP_EVICTED);
		return true;
	}
	return false;
}

/* Counts one more connection unless that would be too many. */
static bool tcp_reserve(struct tcp_server *server)
{
	for (;;) {
		unsigned int before =
			atomic_fetch_add_explicit(server->open, 1, memory_order_relaxed);
		if (before < server->limit)
			return true;
		atomic_fetch_sub_explicit(server->open, 1, memory_order_relaxed);
		if (!tcp_evict_idle(server))
			return false;
	}
}

static struct tcp_connection *tcp_open(struct tcp_server *server, evutil_socket_t fd)
{
	struct tcp_connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	connection->stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!connection->stream) {
		free(connection);
		return NULL;
	}
	connection->server = server;
	LIST_INIT(&connection->queries);
	connection->progress_ms = clock_now_ms();
	TAILQ_INSERT_TAIL(&server->connections, connection, link);
	bufferevent_setcb(connection->stream, tcp_on_input, tcp_on_output, tcp_on_event,
			  connection);
	bufferevent_setwatermark(connection->stream, EV_READ, 0, TCP_INPUT_MAX);
	bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
	return connection;
}

static void tcp_on_accept(struct evconnlistener *handle, evutil_socket_t fd,
			  struct sockaddr *client, int client_size, void *ctx)
{
	(void)handle;
	struct tcp_listener *listener = ctx;
	struct tcp_server *server = listener->server;
	struct tcp_connection *connection = NULL;
	if (!tcp_reserve(server)) {
		metrics_add(server->serve->shard, FRONTEND_TCP_REFUSED, 1);
		close(fd);
		return;
	}
	/*
	 * Best effort: replies leave at once, and the kernel keeps few for those who do not
	 * read.
	 */
	const int on = 1;
	const int buffer_size = TCP_OUTPUT_MAX;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_size, sizeof(buffer_size));
	connection = tcp_open(server, fd);
	if (!connection) {
		atomic_fetch_sub_explicit(server->open, 1, memory_order_relaxed);
		metrics_add(server->serve->shard, FRONTEND_TCP_REFUSED, 1);
		close(fd);
		return;
	}
	memcpy(&connection->client, client, (size_t)client_size);
	metrics_add(server->serve->shard, FRONTEND_TCP_ACCEPTED, 1);
	tcp_arm_idle_timer(server);
}

/*
 * Out of descriptors, most likely: give one back, if any connection is idle, and pause: the loop
 * would be told of the waiting client again and again.
 */
static void tcp_on_accept_error(struct evconnlistener *handle, void *ctx)
{
	int cause = errno;
	const struct timeval pause = {.tv_usec = TCP_ACCEPT_PAUSE_MS * 1000};
	struct tcp_listener *listener = ctx;
	metrics_add(listener->server->serve->shard, FRONTEND_TCP_REFUSED, 1);
	tcp_evict_idle(listener->server);
	evconnlistener_disable(handle);
	evtimer_add(listener->resume, &pause);
	log_warning_limited("accepting a TCP connection failed", "error=%s", strerror(cause));
}

static void tcp_on_resume(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct tcp_listener *listener = ctx;
	evconnlistener_enable(listener->listener);
}

/* --- life and death --------------------------------------------------------------------------- */

struct tcp_server *tcp_create(struct event_base *base, struct serve *serve, _Atomic unsigned *open)
{
	struct tcp_server *server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	server->base = base;
	server->serve = serve;
	server->open = open;
	server->limit = serve->config->limits.tcp_connections;
	server->idle_ms = (int64_t)serve->config->limits.tcp_idle_s * 1000;
	LIST_INIT(&server->listeners);
	TAILQ_INIT(&server->connections);
	server->idle_timer = evtimer_new(base, tcp_on_idle_timer, server);
	if (!server->idle_timer) {
		free(server);
		return NULL;
	}
	return server;
}

static void tcp_free_listener(struct tcp_listener *listener)
{
	if (listener->listener)
		evconnlistener_free(listener->listener);
	if (listener->resume)
		event_free(listener->resume);
	free(listener);
}

static void tcp_close_listeners(struct tcp_server *server)
{
	struct tcp_listener *listener;
	while ((listener = LIST_FIRST(&server->listeners))) {
		LIST_REMOVE(listener, link);
		tcp_free_listener(listener);
	}
}

void tcp_destroy(struct tcp_server *server)
{
	if (!server)
		return;
	struct tcp_connection *connection;
	tcp_close_listeners(server);
	while ((connection = TAILQ_FIRST(&server->connections)))
		tcp_close(connection, TCP_CLOSE_NORMAL);
	event_free(server->idle_timer);
	free(server);
}

int tcp_add_listener(struct tcp_server *server, int fd)
{
	struct tcp_listener *listener = calloc(1, sizeof(*listener));
	if (!listener)
		goto failed;
	listener->server = server;
	listener->resume = evtimer_new(server->base, tcp_on_resume, listener);
	if (!listener->resume)
		goto failed;
	listener->listener =
		evconnlistener_new(server->base, tcp_on_accept, listener,
				   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener->listener)
		goto failed;
	evconnlistener_set_error_cb(listener->listener, tcp_on_accept_error);
	LIST_INSERT_HEAD(&server->listeners, listener, link);
	return 0;
failed:
	if (listener)
		tcp_free_listener(listener);
	close(fd);
	return -1;
}

void tcp_stop(struct tcp_server *server)
{
	server->stopping = true;
	tcp_close_listeners(server);
	struct tcp_connection *next;
	for (struct tcp_connection *connection = TAILQ_FIRST(&server->connections); connection;
	     connection = next) {
		next = TAILQ_NEXT(connection, link);
		bufferevent_disable(connection->stream, EV_READ);
		tcp_close_if_done(connection);
	}
}

bool tcp_is_empty(const struct tcp_server *server)
{
	return TAILQ_EMPTY(&server->connections);
}
