/* Accepting connections, and the servers that they belong to. */
#include "common/clock.h"
#include "common/log.h"
#include "frontend/connection_internal.h"
#include "frontend/tls_stream.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTION_ACCEPT_PAUSE_MS 100

/* A handshake older than this has to make room for others before idle connections do. */
#define CONNECTION_HANDSHAKE_FAIR_MS 1000

struct connection_listener {
	LIST_ENTRY(connection_listener) link;
	struct connection_server *server;
	struct evconnlistener *listener;
	struct event *resume; /* accepts again after a pause */
};

/* --- accepting -------------------------------------------------------------------------------- */

/* Makes room for one more connection of this worker, if one can be spared. */
static bool connection_evict(struct connection_server *server)
{
	struct connection *connection = TAILQ_FIRST(&server->handshaking);
	if (connection &&
	    connection->progress_ms <= clock_now_ms() - CONNECTION_HANDSHAKE_FAIR_MS) {
		connection_close_for(connection, CONNECTION_HANDSHAKE_SLOW);
		return true;
	}
	TAILQ_FOREACH(connection, &server->connections, link) {
		if (!connection_is_idle(connection))
			continue;
		connection_close_for(connection, CONNECTION_EVICTED);
		return true;
	}
	return false;
}

/* Counts one more connection unless that would be too many. */
static bool connection_reserve(struct connection_server *server, const struct sockaddr *client)
{
	_Atomic unsigned *open = server->options.open;
	if (server->options.clients && !clients_enter(server->options.clients, client)) {
		connection_count(server, CONNECTION_CROWDED);
		return false;
	}
	for (;;) {
		unsigned int before = atomic_fetch_add_explicit(open, 1, memory_order_relaxed);
		if (before < server->options.limit)
			return true;
		atomic_fetch_sub_explicit(open, 1, memory_order_relaxed);
		if (connection_evict(server))
			continue;
		if (server->options.clients)
			clients_leave(server->options.clients, client);
		connection_count(server, CONNECTION_REFUSED);
		return false;
	}
}

/* Puts TLS on a new connection's stream. False when memory is short. */
static bool connection_open_tls(struct connection *connection)
{
	const struct connection_server *server = connection->server;
	SSL *ssl = tls_open_session(server->options.tls, server->options.purpose);
	if (!ssl)
		return false;
	connection->tls =
		tls_stream_create(ssl, bufferevent_get_input(connection->stream), server->sealed);
	if (!connection->tls)
		SSL_free(ssl);
	return connection->tls;
}

/* Takes over the socket. NULL when memory is short. */
static struct connection *connection_open(struct connection_server *server, evutil_socket_t fd,
					  const struct sockaddr *client, int client_size)
{
	struct connection *connection = calloc(1, server->options.protocol->size);
	struct bufferevent *stream =
		bufferevent_socket_new(server->options.base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!stream)
		close(fd);
	if (!connection || !stream)
		goto failed;
	connection->server = server;
	connection->stream = stream;
	if (server->options.tls ? !connection_open_tls(connection)
				: !(connection->output = evbuffer_new()))
		goto failed;
	memcpy(&connection->client, client, (size_t)client_size);
	LIST_INIT(&connection->queries);
	connection_attach(connection);
	return connection;
failed:
	if (stream)
		bufferevent_free(stream);
	free(connection);
	return NULL;
}

static void connection_on_accept(struct evconnlistener *handle, evutil_socket_t fd,
				 struct sockaddr *client, int client_size, void *ctx)
{
	(void)handle;
	struct connection_listener *listener = ctx;
	struct connection_server *server = listener->server;
	if (!connection_reserve(server, client)) {
		close(fd);
		return;
	}
	struct connection *connection = connection_open(server, fd, client, client_size);
	if (!connection) {
		connection_leave(server, client);
		connection_count(server, CONNECTION_REFUSED);
		return;
	}
	connection_count(server, CONNECTION_ACCEPTED);
	if (server->options.tls)
		connection_arm_timer(server);
	else
		connection_begin(connection);
}

/*
 * Out of descriptors, most likely: give one back, if any connection is idle, and pause: the loop
 * would be told of the waiting client again and again.
 */
static void connection_on_accept_error(struct evconnlistener *handle, void *ctx)
{
	int cause = errno;
	const struct timeval pause = clock_timeval(CONNECTION_ACCEPT_PAUSE_MS);
	struct connection_listener *listener = ctx;
	connection_count(listener->server, CONNECTION_REFUSED);
	connection_evict(listener->server);
	evconnlistener_disable(handle);
	evtimer_add(listener->resume, &pause);
	log_warning_limited("accepting a TCP connection failed", "reason=%s", strerror(cause));
}

static void connection_on_resume(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct connection_listener *listener = ctx;
	evconnlistener_enable(listener->listener);
}

/* --- life and death --------------------------------------------------------------------------- */

struct connection_server *connection_server_create(const struct connection_options *options)
{
	struct connection_server *server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	server->options = *options;
	server->idle_ms = (int64_t)options->idle_s * 1000;
	server->handshake_ms = (int64_t)options->handshake_s * 1000;
	LIST_INIT(&server->listeners);
	TAILQ_INIT(&server->handshaking);
	TAILQ_INIT(&server->connections);
	server->timer_ms = INT64_MAX;
	LIST_INIT(&server->unsent);
	server->timer = evtimer_new(options->base, connection_on_timer, server);
	server->send = evtimer_new(options->base, connection_on_send, server);
	server->sealed = evbuffer_new();
	if (server->timer && server->send && server->sealed)
		return server;
	connection_server_destroy(server);
	return NULL;
}

static void connection_free_listener(struct connection_listener *listener)
{
	if (listener->listener)
		evconnlistener_free(listener->listener);
	if (listener->resume)
		event_free(listener->resume);
	free(listener);
}

static void connection_close_listeners(struct connection_server *server)
{
	struct connection_listener *listener;
	while ((listener = LIST_FIRST(&server->listeners))) {
		LIST_REMOVE(listener, link);
		connection_free_listener(listener);
	}
}

static void connection_close_all(struct connection_list *list)
{
	struct connection *connection;
	while ((connection = TAILQ_FIRST(list)))
		connection_close(connection);
}

void connection_server_destroy(struct connection_server *server)
{
	if (!server)
		return;
	connection_close_listeners(server);
	connection_close_all(&server->handshaking);
	connection_close_all(&server->connections);
	if (server->timer)
		event_free(server->timer);
	if (server->send)
		event_free(server->send);
	if (server->sealed)
		evbuffer_free(server->sealed);
	free(server);
}

int connection_server_listen(struct connection_server *server, int fd)
{
	struct connection_listener *listener = calloc(1, sizeof(*listener));
	if (!listener)
		goto failed;
	listener->server = server;
	listener->resume = evtimer_new(server->options.base, connection_on_resume, listener);
	if (!listener->resume)
		goto failed;
	listener->listener =
		evconnlistener_new(server->options.base, connection_on_accept, listener,
				   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener->listener)
		goto failed;
	evconnlistener_set_error_cb(listener->listener, connection_on_accept_error);
	LIST_INSERT_HEAD(&server->listeners, listener, link);
	return 0;
failed:
	if (listener)
		connection_free_listener(listener);
	close(fd);
	return -1;
}

void connection_server_stop(struct connection_server *server)
{
	struct connection *next;
	server->stopping = true;
	connection_close_listeners(server);
	connection_close_all(&server->handshaking);
	for (struct connection *connection = TAILQ_FIRST(&server->connections); connection;
	     connection = next) {
		next = TAILQ_NEXT(connection, link);
		bufferevent_disable(connection->stream, EV_READ);
		if (server->options.protocol->stop)
			server->options.protocol->stop(connection);
		connection_close_if_done(connection);
	}
}

bool connection_server_is_empty(const struct connection_server *server)
{
	return TAILQ_EMPTY(&server->connections) && TAILQ_EMPTY(&server->handshaking);
}
