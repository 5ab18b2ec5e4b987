/*
 * The connections of the admin server, counted: at most ADMIN_CONNECTIONS_MAX are open, so that
 * nobody who can reach it uses up the descriptors that the program needs for its work. For one more
 * the oldest is closed: whoever opens many and says nothing, or little, loses them first, and a
 * liveness probe that comes in the middle of it is answered.
 *
 * For the admin thread alone.
 */
#ifndef GODWIT_COMMON_ADMIN_CONNECTIONS_H
#define GODWIT_COMMON_ADMIN_CONNECTIONS_H

#include <stddef.h>
#include <sys/queue.h>

#define ADMIN_CONNECTIONS_MAX 64

struct bufferevent;
struct event;
struct event_base;

struct admin_connections {
	TAILQ_HEAD(admin_connection_list, admin_connection) open; /* the oldest first */
	size_t count;
	struct event *fresh; /* runs when connections have been accepted */
};

/* For the connections of a server on `base`. -1: out of memory. */
int admin_connections_init(struct admin_connections *connections, struct event_base *base);

/* Closes nothing: that is the server's. Before the base is freed; what is all zero is allowed. */
void admin_connections_clear(struct admin_connections *connections);

/*
 * Makes the bufferevent for a connection that has just been accepted: for evhttp_set_bevcb, with
 * the connections as `ctx`.
 */
struct bufferevent *admin_connections_add(struct event_base *base, void *ctx);

#endif
