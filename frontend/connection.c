/* Stream connections from their first octet to their end, on libevent's bufferevents. */
#include "frontend/connection_internal.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "frontend/tls_stream.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- closing ---------------------------------------------------------------------------------- */

void connection_count(const struct connection_server *server, enum connection_event event)
{
	metrics_add(server->options.serve->shard, server->options.events + event, 1);
}

static struct connection_list *connection_list_of(struct connection *connection)
{
	struct connection_server *server = connection->server;
	return connection->open ? &server->connections : &server->handshaking;
}

void connection_leave(struct connection_server *server, const struct sockaddr *client)
{
	if (server->options.clients)
		clients_leave(server->options.clients, client);
	atomic_fetch_sub_explicit(server->options.open, 1, memory_order_relaxed);
}

/* What the protocol has written: plain octets. */
static struct evbuffer *connection_output(const struct connection *connection)
{
	return connection->tls ? tls_stream_output(connection->tls) : connection->output;
}

/*
 * Sends octets, all of them taken out of the buffer: by a system call of its own when nothing waits
 * before them, and only what the kernel does not take is left to libevent, which would tell the
 * kernel first that it wants to write, then that it does not. False when memory is short.
 */
static bool connection_send(struct connection *connection, struct evbuffer *octets)
{
	if (evbuffer_get_length(bufferevent_get_output(connection->stream)) == 0)
		evbuffer_write(octets, bufferevent_getfd(connection->stream));
	if (evbuffer_get_length(octets) == 0)
		return true;
	if (bufferevent_write_buffer(connection->stream, octets) == 0)
		return true;
	evbuffer_drain(octets, SIZE_MAX);
	return false;
}

/* Sends what TLS has just sealed. */
static bool connection_send_sealed(struct connection *connection)
{
	return connection_send(connection, connection->server->sealed);
}

/* Says goodbye in TLS, if the kernel takes it at once: else the client sees a plain end. */
static void connection_close_tls(struct connection *connection)
{
	if (!connection->tls)
		return;
	tls_stream_end(connection->tls);
	connection_send_sealed(connection);
	tls_stream_destroy(connection->tls);
}

void connection_close(struct connection *connection)
{
	struct connection_server *server = connection->server;
	struct query *query;
	while ((query = LIST_FIRST(&connection->queries))) {
		LIST_REMOVE(query, path.stream.link);
		query->path.stream.connection = NULL;
	}
	if (connection->open && server->options.protocol->end)
		server->options.protocol->end(connection);
	TAILQ_REMOVE(connection_list_of(connection), connection, link);
	/* First, so that who sees the end of it does not find it counted among the open ones. */
	connection_leave(server, &connection->client.any);
	if (connection->unsent)
		LIST_REMOVE(connection, unsent_link);
	connection_close_tls(connection);
	bufferevent_free(connection->stream);
	if (connection->output)
		evbuffer_free(connection->output);
	free(connection);
}

void connection_close_for(struct connection *connection, enum connection_event cause)
{
	connection_count(connection->server, cause);
	connection_close(connection);
}

static size_t connection_output_size(const struct connection *connection)
{
	return evbuffer_get_length(bufferevent_get_output(connection->stream)) +
	       evbuffer_get_length(connection_output(connection));
}

bool connection_is_idle(const struct connection *connection)
{
	return connection->query_count == 0 && connection->held == 0 &&
	       connection_output_size(connection) == 0;
}

void connection_close_if_done(struct connection *connection)
{
	if (connection_is_idle(connection) &&
	    (connection->end_of_file || connection->server->stopping))
		connection_close(connection);
}

/* --- time ------------------------------------------------------------------------------------- */

/* The earliest time at which one of the oldest connections may have to go. */
static int64_t connection_next_deadline(const struct connection_server *server)
{
	const struct connection *open = TAILQ_FIRST(&server->connections);
	const struct connection *handshaking = TAILQ_FIRST(&server->handshaking);
	int64_t deadline_ms = INT64_MAX;
	if (open)
		deadline_ms = open->progress_ms + server->idle_ms;
	if (handshaking && handshaking->progress_ms + server->handshake_ms < deadline_ms)
		deadline_ms = handshaking->progress_ms + server->handshake_ms;
	return deadline_ms;
}

void connection_arm_timer(struct connection_server *server)
{
	int64_t deadline_ms = connection_next_deadline(server);
	if (deadline_ms >= server->timer_ms)
		return;
	server->timer_ms = deadline_ms;
	int64_t wait_ms = deadline_ms - clock_now_ms();
	if (wait_ms < 10)
		wait_ms = 10;
	const struct timeval wait = clock_timeval(wait_ms);
	evtimer_add(server->timer, &wait);
}

void connection_note_progress(struct connection *connection)
{
	struct connection_list *list = connection_list_of(connection);
	connection->progress_ms = clock_now_ms();
	TAILQ_REMOVE(list, connection, link);
	TAILQ_INSERT_TAIL(list, connection, link);
}

void connection_on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct connection_server *server = ctx;
	struct connection *connection;
	struct connection *next;
	int64_t now_ms = clock_now_ms();
	server->timer_ms = INT64_MAX;
	while ((connection = TAILQ_FIRST(&server->handshaking)) &&
	       connection->progress_ms <= now_ms - server->handshake_ms)
		connection_close_for(connection, CONNECTION_HANDSHAKE_SLOW);
	for (connection = TAILQ_FIRST(&server->connections);
	     connection && connection->progress_ms <= now_ms - server->idle_ms; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (connection->query_count == 0)
			connection_close_for(connection, CONNECTION_IDLE);
		else
			connection_note_progress(connection); /* it is our turn, not the client's */
	}
	connection_arm_timer(server);
}

/* --- reading ---------------------------------------------------------------------------------- */

bool connection_is_full(const struct connection *connection)
{
	return connection->query_count >= CONNECTION_QUERIES_MAX ||
	       connection_output_size(connection) >= CONNECTION_OUTPUT_MAX;
}

/* libevent holds a plain client back by itself: what it has read is the input. */
static bool connection_is_ahead(const struct connection *connection)
{
	return connection->tls && evbuffer_get_length(connection_input(connection)) >=
					  connection->server->options.protocol->input_max;
}

static void connection_set_paused(struct connection *connection, bool paused)
{
	if (connection->paused == paused)
		return;
	connection->paused = paused;
	if (paused)
		bufferevent_disable(connection->stream, EV_READ);
	else if (!connection->end_of_file && !connection->server->stopping)
		bufferevent_enable(connection->stream, EV_READ);
}

void connection_finish(struct connection *connection)
{
	connection->end_of_file = true;
	bufferevent_disable(connection->stream, EV_READ);
}

/* Reads on as far as it may, then pauses or closes as things stand. The connection may be gone. */
static void connection_proceed(struct connection *connection)
{
	const struct connection_protocol *protocol = connection->server->options.protocol;
	if (connection->reading)
		return;
	if (!connection->server->stopping) {
		connection->reading = true;
		bool sound = protocol->take(connection);
		connection->reading = false;
		if (!sound) {
			connection_count(connection->server, CONNECTION_ERROR);
			connection_finish(connection);
			evbuffer_drain(connection_input(connection), SIZE_MAX);
		}
	}
	connection_set_paused(connection,
			      connection_is_full(connection) || connection_is_ahead(connection));
	connection_close_if_done(connection);
}

/* All output has been taken by the kernel, or enough of it to go on. It may be gone afterwards. */
static void connection_note_sent(struct connection *connection)
{
	if (!connection->open)
		return;
	if (connection->replying && connection->held == 0) {
		connection->replying = false;
		connection_note_progress(connection);
	}
	connection_proceed(connection);
}

static void connection_on_output(struct bufferevent *stream, void *ctx)
{
	(void)stream;
	struct connection *connection = ctx;
	if (evbuffer_get_length(connection_output(connection)) == 0)
		connection_note_sent(connection);
}

bool connection_begin(struct connection *connection)
{
	struct connection_server *server = connection->server;
	TAILQ_REMOVE(&server->handshaking, connection, link);
	connection->open = true;
	connection->progress_ms = clock_now_ms();
	TAILQ_INSERT_TAIL(&server->connections, connection, link);
	connection_arm_timer(server);
	const struct connection_protocol *protocol = server->options.protocol;
	if (!protocol->begin || protocol->begin(connection) == 0)
		return true;
	connection_close_for(connection, CONNECTION_ERROR);
	return false;
}

static bool connection_on_handshake(struct connection *connection)
{
	if (SSL_session_reused(tls_stream_session(connection->tls)))
		metrics_add(connection->server->options.serve->shard, FRONTEND_TLS_RESUMED, 1);
	return connection_begin(connection);
}

/* Sends what the protocol has written, sealed with TLS. It may be gone afterwards. */
static void connection_send_output(struct connection *connection)
{
	if (connection->unsent)
		LIST_REMOVE(connection, unsent_link);
	connection->unsent = false;
	bool sent = connection->tls
			    ? tls_stream_seal(connection->tls) && connection_send_sealed(connection)
			    : connection_send(connection, connection->output);
	if (!sent) {
		log_warning_limited("reply lost", "reason=%s", "out of memory");
		connection_close_for(connection, CONNECTION_ERROR);
	} else if (evbuffer_get_length(bufferevent_get_output(connection->stream)) == 0) {
		connection_note_sent(connection);
	}
}

/*
 * Opens what the client has sent in TLS: the handshake, or octets for the protocol. What TLS has to
 * say to it is sent at once, for the client's next step takes time, too. Only the session ticket,
 * which ends a handshake, waits for the replies to what has come with the client's last step.
 */
static void connection_unseal(struct connection *connection)
{
	struct connection_server *server = connection->server;
	enum tls_stream_state state = tls_stream_receive(connection->tls);
	bool opens = !connection->open && tls_stream_is_open(connection->tls) &&
		     state != TLS_STREAM_FAILED;
	if (!opens && !connection_send_sealed(connection))
		state = TLS_STREAM_FAILED;
	if (opens && !connection_on_handshake(connection))
		return;
	if (!connection->open && state != TLS_STREAM_OPEN) {
		connection_close_for(connection, CONNECTION_HANDSHAKE_FAILED);
		return;
	}
	if (state == TLS_STREAM_FAILED) {
		connection_close_for(connection, CONNECTION_ERROR);
		return;
	}
	if (state == TLS_STREAM_ENDED)
		connection_finish(connection);
	if (connection->open)
		connection_proceed(connection);
	/* A connection that is closed leaves nothing there. */
	if (evbuffer_get_length(server->sealed) > 0)
		connection_send_output(connection);
}

static void connection_on_input(struct bufferevent *stream, void *ctx)
{
	(void)stream;
	struct connection *connection = ctx;
	if (connection->tls && !connection->end_of_file)
		connection_unseal(connection);
	else if (connection->open)
		connection_proceed(connection);
}

/* At the end of the loop's round. */
void connection_on_send(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct connection_server *server = ctx;
	struct connection *connection;
	while ((connection = LIST_FIRST(&server->unsent)))
		connection_send_output(connection);
}

/*
 * The client sends no more. With TLS it has said so and can still be sent to (RFC 8446
 * section 6.1); or it has not, and TLS has come to an end.
 */
static void connection_on_end_of_file(struct connection *connection)
{
	if (connection->tls && !connection->end_of_file) {
		connection_close(connection);
		return;
	}
	connection->end_of_file = true;
	connection_proceed(connection);
}

static void connection_on_event(struct bufferevent *stream, short what, void *ctx)
{
	(void)stream;
	struct connection *connection = ctx;
	if (!connection->open) {
		connection_close_for(connection, CONNECTION_HANDSHAKE_FAILED);
	} else if (what & BEV_EVENT_EOF) {
		connection_on_end_of_file(connection);
	} else {
		connection_close_for(connection, CONNECTION_ERROR);
	}
}

void connection_attach(struct connection *connection)
{
	struct connection_server *server = connection->server;
	connection->progress_ms = clock_now_ms();
	TAILQ_INSERT_TAIL(&server->handshaking, connection, link);
	bufferevent_setcb(connection->stream, connection_on_input, connection_on_output,
			  connection_on_event, connection);
	bufferevent_setwatermark(connection->stream, EV_READ, 0,
				 server->options.protocol->input_max);
	/* It is enabled to write from its beginning. Saying so again would ask the kernel when it
	   may, while there is nothing to write. */
	bufferevent_enable(connection->stream, EV_READ);
}

/* --- queries and replies ---------------------------------------------------------------------- */

struct serve *connection_serve(const struct connection *connection)
{
	return connection->server->options.serve;
}

struct evbuffer *connection_input(const struct connection *connection)
{
	return connection->tls ? tls_stream_input(connection->tls)
			       : bufferevent_get_input(connection->stream);
}

void connection_add_query(struct connection *connection, struct query *query)
{
	query->path.stream.server = connection->server;
	query->path.stream.connection = connection;
	LIST_INSERT_HEAD(&connection->queries, query, path.stream.link);
	connection->query_count++;
}

struct connection *connection_take_query(struct query *query)
{
	struct connection *connection = query->path.stream.connection;
	if (!connection) {
		metrics_add(query->path.stream.server->options.serve->shard,
			    FRONTEND_DROPS_CLIENT_GONE, 1);
		return NULL;
	}
	LIST_REMOVE(query, path.stream.link);
	connection->query_count--;
	/* Room for another query: go on with those that wait in the input. */
	if (connection->paused && !connection->reading)
		connection_resume(connection);
	return connection;
}

void connection_resume(struct connection *connection)
{
	bufferevent_trigger(connection->stream, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

void connection_give_up(struct connection *connection)
{
	log_warning_limited("reply lost", "reason=%s", "out of memory");
	connection_finish(connection);
}

void connection_write_aside(struct connection *connection, const void *data, size_t size)
{
	struct connection_server *server = connection->server;
	if (evbuffer_add(connection_output(connection), data, size) != 0) {
		connection_give_up(connection);
		return;
	}
	if (connection->unsent)
		return;
	if (LIST_EMPTY(&server->unsent))
		event_active(server->send, EV_TIMEOUT, 0);
	LIST_INSERT_HEAD(&server->unsent, connection, unsent_link);
	connection->unsent = true;
}

void connection_write(struct connection *connection, const void *data, size_t size)
{
	connection->replying = true;
	connection_write_aside(connection, data, size);
}

void connection_format_client(const struct query *query, char *out, size_t size)
{
	const struct connection *connection = query->path.stream.connection;
	if (connection)
		address_format(&connection->client.any, out, size);
	else
		snprintf(out, size, "gone");
}
