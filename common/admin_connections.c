/*
 * libevent's HTTP server says when it opens a connection, before the socket is known, and not when
 * it closes one. So a new one is noted in two steps, the second when the server has given it its
 * socket; and whether one is still open is asked of the kernel: a descriptor that is closed, or
 * used again, has not the socket's cookie any more.
 */
#include "common/admin_connections.h"

#include "common/log.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

struct admin_connection {
	TAILQ_ENTRY(admin_connection) entry;
	struct bufferevent *fresh; /* until its socket is known; a reference of ours */
	evutil_socket_t fd;
	uint64_t cookie;
};

static bool admin_connection_read_cookie(evutil_socket_t fd, uint64_t *cookie)
{
	socklen_t size = sizeof(*cookie);
	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &size) == 0;
}

static bool admin_connection_is_open(const struct admin_connection *connection)
{
	uint64_t cookie;
	return admin_connection_read_cookie(connection->fd, &cookie) &&
	       cookie == connection->cookie;
}

static void admin_connections_remove(struct admin_connections *connections,
				     struct admin_connection *connection)
{
	TAILQ_REMOVE(&connections->open, connection, entry);
	connections->count--;
	if (connection->fresh)
		bufferevent_decref(connection->fresh);
	free(connection);
}

/* Learns the sockets of those that were accepted in this turn. */
static void admin_connections_meet(struct admin_connections *connections)
{
	struct admin_connection *connection;
	struct admin_connection *following;
	for (connection = TAILQ_FIRST(&connections->open); connection; connection = following) {
		following = TAILQ_NEXT(connection, entry);
		if (!connection->fresh)
			continue;
		connection->fd = bufferevent_getfd(connection->fresh);
		bool known = admin_connection_read_cookie(connection->fd, &connection->cookie);
		bufferevent_decref(connection->fresh);
		connection->fresh = NULL;
		if (!known)
			admin_connections_remove(connections, connection);
	}
}

static void admin_connections_forget_closed(struct admin_connections *connections)
{
	struct admin_connection *connection;
	struct admin_connection *following;
	for (connection = TAILQ_FIRST(&connections->open); connection; connection = following) {
		following = TAILQ_NEXT(connection, entry);
		if (!admin_connection_is_open(connection))
			admin_connections_remove(connections, connection);
	}
}

static void admin_connections_on_fresh(evutil_socket_t fd, short what, void *ctx)
{
	struct admin_connections *connections = ctx;
	(void)fd;
	(void)what;
	admin_connections_meet(connections);
	if (connections->count <= ADMIN_CONNECTIONS_MAX)
		return;
	admin_connections_forget_closed(connections);
	while (connections->count > ADMIN_CONNECTIONS_MAX) {
		struct admin_connection *oldest = TAILQ_FIRST(&connections->open);
		/* The server, which owns it, meets the end of file and closes it. */
		shutdown(oldest->fd, SHUT_RDWR);
		admin_connections_remove(connections, oldest);
		log_warning_limited("admin connection closed for another", "open=%d",
				    ADMIN_CONNECTIONS_MAX);
	}
}

int admin_connections_init(struct admin_connections *connections, struct event_base *base)
{
	TAILQ_INIT(&connections->open);
	connections->count = 0;
	connections->fresh = event_new(base, -1, 0, admin_connections_on_fresh, connections);
	return connections->fresh ? 0 : -1;
}

void admin_connections_clear(struct admin_connections *connections)
{
	if (!connections->fresh)
		return;
	while (!TAILQ_EMPTY(&connections->open))
		admin_connections_remove(connections, TAILQ_FIRST(&connections->open));
	event_free(connections->fresh);
	connections->fresh = NULL;
}

struct bufferevent *admin_connections_add(struct event_base *base, void *ctx)
{
	struct admin_connections *connections = ctx;
	struct bufferevent *made = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct admin_connection *connection = calloc(1, sizeof(*connection));
	if (!made || !connection) {
		free(connection);
		return made;
	}
	bufferevent_incref(made);
	connection->fresh = made;
	TAILQ_INSERT_TAIL(&connections->open, connection, entry);
	connections->count++;
	event_active(connections->fresh, 0, 0);
	return made;
}
