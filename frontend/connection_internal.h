/*
 * What the two halves of the connections know of each other, and nobody else: connection.c, what
 * becomes of a connection; connection_server.c, where they come from.
 */
#ifndef GODWIT_FRONTEND_CONNECTION_INTERNAL_H
#define GODWIT_FRONTEND_CONNECTION_INTERNAL_H

#include "frontend/connection.h"

#include <event2/util.h>

struct connection_listener;
struct event;

TAILQ_HEAD(connection_list, connection);

struct connection_server {
	struct connection_options options;
	int64_t idle_ms;
	int64_t handshake_ms;
	bool stopping;
	LIST_HEAD(, connection_listener) listeners;
	struct connection_list handshaking; /* not open yet */
	struct connection_list connections; /* open */
	struct evbuffer *sealed; /* from a call of TLS until it is sent, in the same breath */
	LIST_HEAD(, connection) unsent; /* that have output to be sent */
	struct event *send;
	struct event *timer;
	int64_t timer_ms; /* when it is due; INT64_MAX: it is not set */
};

void connection_count(const struct connection_server *server, enum connection_event event);

/* Begins to serve a new connection: its stream's callbacks, and its place among the handshakes. */
void connection_attach(struct connection *connection);

/* The connection can be used. False: it is gone. */
bool connection_begin(struct connection *connection);

/* Gives back what accepting took. */
void connection_leave(struct connection_server *server, const struct sockaddr *client);

/* Closes at once. Replies to queries in flight go nowhere. */
void connection_close(struct connection *connection);
void connection_close_for(struct connection *connection, enum connection_event cause);

/* Closes a connection that has nothing left to wait for. */
void connection_close_if_done(struct connection *connection);

bool connection_is_idle(const struct connection *connection);

/* Sets the server's timer for the first connection that may have to go. */
void connection_arm_timer(struct connection_server *server);

/* The server's events. */
void connection_on_timer(evutil_socket_t fd, short what, void *ctx);
void connection_on_send(evutil_socket_t fd, short what, void *ctx);

#endif
