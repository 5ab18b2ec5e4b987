/*
 * One TCP connection with a peer and the BGP session on it: carries octets and time between the
 * socket, the event loop and bgp_session.h, which decides.
 *
 * What the session has to say is written to the socket at once, in the same call or event, so that
 * a withdrawal waits for nothing; only what does not fit waits for the socket. When time is up,
 * what has arrived is read before the session is told the time: a process that was stopped for a
 * while hears its peer's keepalives before it calls the peer dead.
 *
 * All functions are for the control thread.
 */
#ifndef GODWIT_ANNOUNCER_PEER_CONNECTION_H
#define GODWIT_ANNOUNCER_PEER_CONNECTION_H

#include "announcer/bgp_session.h"
#include "announcer/speaker.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* A machine that does not answer SYN for so long is tried anew. */
#define PEER_CONNECT_TIMEOUT_MS 3000

struct event_base;
struct peer_connection;
struct peer_lingers;

struct peer_connection_options {
	struct event_base *base; /* borrowed */
	const char *peer;        /* its name in log lines; borrowed */
	struct bgp_session_options session;
	/*
	 * Called from the event loop when the state is another one than `before`; may end the
	 * connection. Not called for what peer_connection's own functions do.
	 */
	void (*on_change)(void *ctx, struct peer_connection *connection, enum peer_state before);
	void *ctx;
};

/*
 * Takes over `fd`: a connection that is being made (`outgoing`), or one that was accepted. NULL
 * when out of memory; the descriptor is closed then.
 */
struct peer_connection *peer_connection_create(const struct peer_connection_options *options,
					       int fd, bool outgoing);

/* Closes the socket at once, with no words. NULL is allowed. */
void peer_connection_destroy(struct peer_connection *connection);

/* Frees the connection; the last words of its session go out by `lingers`. */
void peer_connection_end(struct peer_connection *connection, struct peer_lingers *lingers);

/* Ends the session with a NOTIFICATION, as bgp_session_close, if there is one: PEER_IDLE. */
void peer_connection_close(struct peer_connection *connection, uint8_t code, uint8_t subcode,
			   const char *message, const char *words);

bool peer_connection_is_outgoing(const struct peer_connection *connection);

/* PEER_CONNECT, PEER_OPEN_SENT, PEER_OPEN_CONFIRM, PEER_ESTABLISHED; PEER_IDLE: it is over. */
enum peer_state peer_connection_state(const struct peer_connection *connection);

/* Why it is over. */
const char *peer_connection_error(const struct peer_connection *connection);

/* NULL in PEER_CONNECT and where no connection came about. */
const struct bgp_session *peer_connection_session(const struct peer_connection *connection);

/* Our own address; AF_UNSPEC in PEER_CONNECT. */
const struct sockaddr_storage *peer_connection_local(const struct peer_connection *connection);

/* As bgp_session_set_routes, and sends at once. Only with a session. */
int peer_connection_set_routes(struct peer_connection *connection, const struct bgp_route *routes,
			       size_t count);

/* Sends a KEEPALIVE now: a peer that is there acknowledges it, one that has forgotten us resets. */
void peer_connection_test(struct peer_connection *connection);

/* True when the peer has acknowledged all that was said. */
bool peer_connection_is_flushed(const struct peer_connection *connection);

#endif
