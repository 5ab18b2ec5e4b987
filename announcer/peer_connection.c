/*
 * Every event ends in connection_settle: write, arm the timer, tell the owner of a new state. The
 * owner may free the connection then, so nothing comes after it.
 */
#include "announcer/peer_connection.h"

#include "announcer/peer_linger.h"
#include "announcer/peer_socket.h"
#include "announcer/peer_write.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTION_READ_SIZE 16384
/* Reads per event: a peer that never stops sending must not keep the loop from the others. */
#define CONNECTION_READS_MAX 16

struct peer_connection {
	struct peer_connection_options options;
	int fd;
	bool outgoing;
	bool over;                /* failed without a session */
	enum peer_state told;     /* the state the owner knows */
	uint64_t malformed;       /* UPDATEs the log knows of */
	int64_t connect_until_ms; /* while there is no session */
	char error[BGP_ERROR_MAX];
	struct bgp_session *session;
	struct sockaddr_storage local;
	struct event *readable;
	struct event *writable; /* pending while connecting, or while output waits */
	struct event *timer;
};

/* --- state ------------------------------------------------------------------------------------ */

bool peer_connection_is_outgoing(const struct peer_connection *connection)
{
	return connection->outgoing;
}

enum peer_state peer_connection_state(const struct peer_connection *connection)
{
	if (!connection->session)
		return connection->over ? PEER_IDLE : PEER_CONNECT;
	switch (bgp_session_state(connection->session)) {
	case BGP_OPEN_SENT:
		return PEER_OPEN_SENT;
	case BGP_OPEN_CONFIRM:
		return PEER_OPEN_CONFIRM;
	case BGP_ESTABLISHED:
		return PEER_ESTABLISHED;
	case BGP_CLOSED:
		break;
	}
	return PEER_IDLE;
}

const char *peer_connection_error(const struct peer_connection *connection)
{
	return connection->session ? bgp_session_error(connection->session) : connection->error;
}

const struct bgp_session *peer_connection_session(const struct peer_connection *connection)
{
	return connection->session;
}

const struct sockaddr_storage *peer_connection_local(const struct peer_connection *connection)
{
	return &connection->local;
}

/* The connection is broken, or never stood. */
static void connection_fail(struct peer_connection *connection, const char *what, int cause)
{
	char reason[BGP_ERROR_MAX];
	snprintf(reason, sizeof(reason), "%s: %s", what, strerror(cause));
	if (connection->session) {
		bgp_session_lost(connection->session, reason);
		return;
	}
	connection->over = true;
	snprintf(connection->error, sizeof(connection->error), "%s", reason);
}

/* --- reading, writing and waiting ------------------------------------------------------------- */

static void connection_read(struct peer_connection *connection)
{
	for (int i = 0; i < CONNECTION_READS_MAX; i++) {
		uint8_t data[CONNECTION_READ_SIZE];
		ssize_t size = read(connection->fd, data, sizeof(data));
		if (size > 0) {
			bgp_session_receive(connection->session, data, (size_t)size,
					    clock_now_ms());
		} else if (size == 0) {
			bgp_session_lost(connection->session, "the peer closed the connection");
			return;
		} else if (errno != EINTR) {
			if (errno != EAGAIN)
				connection_fail(connection, "connection lost", errno);
			return;
		}
	}
}

static void connection_flush(struct peer_connection *connection)
{
	if (!connection->session)
		return;
	struct evbuffer *output = bgp_session_output(connection->session);
	int cause = peer_write(connection->fd, output);
	if (cause != 0) {
		/* The peer may have said why before it closed. */
		connection_read(connection);
		connection_fail(connection, "connection lost", cause);
	} else if (evbuffer_get_length(output) > 0 && event_add(connection->writable, NULL) != 0) {
		connection_fail(connection, "cannot wait for the socket", ENOMEM);
	}
}

/* The timer for what is due next; at once when the owner has still to hear of an end. */
static void connection_arm(struct peer_connection *connection)
{
	int64_t due = connection->connect_until_ms;
	if (peer_connection_state(connection) == PEER_IDLE)
		due = 0;
	else if (connection->session)
		due = bgp_session_deadline(connection->session);
	if (due == INT64_MAX) {
		event_del(connection->timer);
		return;
	}
	int64_t wait_ms = due - clock_now_ms();
	if (wait_ms < 0)
		wait_ms = 0;
	const struct timeval wait = clock_timeval(wait_ms);
	if (event_add(connection->timer, &wait) != 0)
		connection_fail(connection, "cannot set a timer", ENOMEM);
}

/* The last call of every event: the owner may free the connection. */
static void connection_settle(struct peer_connection *connection)
{
	enum peer_state before = connection->told;
	connection_flush(connection);
	connection_arm(connection);
	connection->told = peer_connection_state(connection);
	if (connection->told != before)
		connection->options.on_change(connection->options.ctx, connection, before);
}

/* --- events ----------------------------------------------------------------------------------- */

/* The connection stands: BGP begins. False when out of memory. */
static bool connection_begin(struct peer_connection *connection)
{
	peer_socket_local(connection->fd, &connection->local);
	connection->session = bgp_session_create(&connection->options.session, clock_now_ms());
	return connection->session && event_add(connection->readable, NULL) == 0;
}

/* A bad UPDATE that did not end the session (RFC 7606): the peer has a defect. */
static void connection_note_malformed(struct peer_connection *connection)
{
	struct bgp_session_counts counts;
	bgp_session_read_counts(connection->session, &counts);
	if (counts.malformed_received == connection->malformed)
		return;
	connection->malformed = counts.malformed_received;
	log_warning_limited("malformed UPDATE from a BGP peer", "peer=%s reason=%s",
			    connection->options.peer, bgp_session_warning(connection->session));
}

static void connection_on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct peer_connection *connection = ctx;
	(void)fd;
	(void)what;
	connection_read(connection);
	connection_note_malformed(connection);
	connection_settle(connection);
}

static void connection_on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct peer_connection *connection = ctx;
	(void)what;
	if (!connection->session && !connection->over) {
		int cause = peer_socket_error(fd);
		if (cause != 0)
			connection_fail(connection, "cannot connect", cause);
		else if (!connection_begin(connection))
			connection_fail(connection, "cannot begin a session", ENOMEM);
	}
	connection_settle(connection);
}

static void connection_on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct peer_connection *connection = ctx;
	(void)fd;
	(void)what;
	if (connection->session) {
		connection_read(connection);
		bgp_session_tick(connection->session, clock_now_ms());
	} else if (clock_now_ms() >= connection->connect_until_ms) {
		connection_fail(connection, "cannot connect", ETIMEDOUT);
	}
	connection_settle(connection);
}

/* --- life ------------------------------------------------------------------------------------- */

static void connection_free_events(struct peer_connection *connection)
{
	struct event **events[] = {&connection->readable, &connection->writable,
				   &connection->timer};
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i])
			event_free(*events[i]);
		*events[i] = NULL;
	}
}

void peer_connection_destroy(struct peer_connection *connection)
{
	if (!connection)
		return;
	connection_free_events(connection);
	if (connection->session)
		bgp_session_destroy(connection->session);
	if (connection->fd >= 0)
		close(connection->fd);
	free(connection);
}

void peer_connection_end(struct peer_connection *connection, struct peer_lingers *lingers)
{
	connection_free_events(connection);
	if (connection->session) {
		peer_linger_start(lingers, connection->fd, bgp_session_output(connection->session));
		connection->fd = -1;
	}
	peer_connection_destroy(connection);
}

struct peer_connection *peer_connection_create(const struct peer_connection_options *options,
					       int fd, bool outgoing)
{
	struct peer_connection *connection = calloc(1, sizeof(*connection));
	if (!connection) {
		close(fd);
		return NULL;
	}
	connection->options = *options;
	connection->fd = fd;
	connection->outgoing = outgoing;
	connection->told = PEER_CONNECT;
	connection->connect_until_ms = clock_now_ms() + PEER_CONNECT_TIMEOUT_MS;
	connection->readable = event_new(options->base, fd, EV_READ | EV_PERSIST,
					 connection_on_readable, connection);
	connection->writable =
		event_new(options->base, fd, EV_WRITE, connection_on_writable, connection);
	connection->timer = evtimer_new(options->base, connection_on_timer, connection);
	/*
	 * An accepted socket is writable at once: both ways BGP begins in connection_on_writable.
	 */
	if (!connection->readable || !connection->writable || !connection->timer ||
	    event_add(connection->writable, NULL) != 0) {
		peer_connection_destroy(connection);
		return NULL;
	}
	connection_arm(connection);
	return connection;
}

void peer_connection_close(struct peer_connection *connection, uint8_t code, uint8_t subcode,
			   const char *message, const char *words)
{
	if (connection->session) {
		bgp_session_close(connection->session, code, subcode, message, words);
		return;
	}
	connection->over = true;
	snprintf(connection->error, sizeof(connection->error), "%s", words);
}

int peer_connection_set_routes(struct peer_connection *connection, const struct bgp_route *routes,
			       size_t count)
{
	if (bgp_session_set_routes(connection->session, routes, count) != 0)
		return -1;
	connection_flush(connection);
	connection_arm(connection);
	return 0;
}

void peer_connection_test(struct peer_connection *connection)
{
	bgp_session_test(connection->session, clock_now_ms());
	connection_flush(connection);
	connection_arm(connection);
}

bool peer_connection_is_flushed(const struct peer_connection *connection)
{
	return !connection->session ||
	       (evbuffer_get_length(bgp_session_output(connection->session)) == 0 &&
		peer_socket_is_flushed(connection->fd));
}
