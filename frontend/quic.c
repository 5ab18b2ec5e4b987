/* A worker's QUIC server: who may come in, and which connection a datagram is for. */
#include "frontend/quic.h"

#include "common/clock.h"
#include "common/log.h"
#include "frontend/quic_connection.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A handshake older than this has to make room for others before idle connections do. */
#define QUIC_HANDSHAKE_FAIR_MS 1000
/* Resets, refusals and version negotiations in a second: nobody waits for more of them. */
#define QUIC_WORDS_MAX 1000

/* --- counting --------------------------------------------------------------------------------- */

void quic_count(const struct quic_server *server, enum connection_event event)
{
	metrics_add(server->shard, FRONTEND_CONNECTIONS_QUIC + event, 1);
}

bool quic_enter_client(struct quic_connection *connection)
{
	if (!connection->entered)
		connection->entered =
			clients_enter(connection->server->options.clients, &connection->client.sa);
	return connection->entered;
}

void quic_prove(struct quic_connection *connection)
{
	if (connection->unproved)
		connection->server->unproved--;
	connection->unproved = false;
}

void quic_leave(struct quic_connection *connection)
{
	struct quic_server *server = connection->server;
	if (!connection->counted)
		return;
	connection->counted = false;
	quic_prove(connection);
	if (connection->entered)
		clients_leave(server->options.clients, &connection->client.sa);
	atomic_fetch_sub_explicit(server->options.open, 1, memory_order_relaxed);
}

/* Makes room for one more connection, if one can be spared. */
static bool quic_evict(struct quic_server *server)
{
	struct quic_connection *connection = TAILQ_FIRST(&server->connections[QUIC_HANDSHAKING]);
	if (connection && connection->progress_ms <= clock_now_ms() - QUIC_HANDSHAKE_FAIR_MS) {
		quic_connection_end_for(connection, CONNECTION_HANDSHAKE_SLOW, DOQ_EXCESSIVE_LOAD);
		return true;
	}
	TAILQ_FOREACH(connection, &server->connections[QUIC_OPEN], link) {
		if (!quic_connection_is_idle(connection))
			continue;
		quic_connection_end_for(connection, CONNECTION_EVICTED, DOQ_NO_ERROR);
		return true;
	}
	return false;
}

/* Counts one more connection unless that would be too many. */
static bool quic_reserve(struct quic_server *server)
{
	_Atomic unsigned *open = server->options.open;
	for (;;) {
		unsigned int before = atomic_fetch_add_explicit(open, 1, memory_order_relaxed);
		if (before < server->options.limit)
			return true;
		atomic_fetch_sub_explicit(open, 1, memory_order_relaxed);
		if (!quic_evict(server))
			return false;
	}
}

/* --- what is said without a connection -------------------------------------------------------- */

static bool quic_may_speak(struct quic_server *server)
{
	int64_t now_ms = clock_now_ms();
	if (now_ms - server->words_ms >= 1000) {
		server->words_ms = now_ms;
		server->words = 0;
	}
	return server->words++ < QUIC_WORDS_MAX;
}

static void quic_say(struct quic_server *server, const ngtcp2_path *path, size_t size,
		     enum frontend_metric counter)
{
	if (size == 0)
		return;
	quic_sockets_send(server->sockets, path, size);
	metrics_add(server->shard, counter, 1);
}

static void quic_refuse(struct quic_server *server, const ngtcp2_path *path,
			const ngtcp2_pkt_hd *header, uint64_t error)
{
	if (quic_may_speak(server))
		quic_say(server, path,
			 quic_write_refusal(header, error, quic_sockets_next(server->sockets),
					    QUIC_SEND_MAX),
			 FRONTEND_QUIC_REFUSALS);
}

static void quic_retry(struct quic_server *server, const ngtcp2_path *path,
		       const ngtcp2_pkt_hd *header)
{
	log_warning_limited("many QUIC clients: new ones must prove their address", "handshakes=%u",
			    server->unproved);
	quic_say(server, path,
		 quic_write_retry(&server->secrets, header, &path->remote,
				  (ngtcp2_tstamp)clock_now_ns(), quic_sockets_next(server->sockets),
				  QUIC_SEND_MAX),
		 FRONTEND_QUIC_RETRIES);
}

/* --- accepting -------------------------------------------------------------------------------- */

/* Lets a client begin that is not to be sent away with a Retry. */
static void quic_begin(struct quic_server *server, const ngtcp2_path *path,
		       const ngtcp2_pkt_hd *header, enum quic_token_verdict verdict,
		       const ngtcp2_cid *original, const uint8_t *data, size_t size)
{
	struct quic_connection *connection = NULL;
	enum connection_event refusal = CONNECTION_REFUSED;
	if (quic_reserve(server)) {
		connection = quic_connection_create(
			server, path, header, verdict == QUIC_TOKEN_RETRIED ? original : NULL);
		if (!connection)
			atomic_fetch_sub_explicit(server->options.open, 1, memory_order_relaxed);
	}
	if (connection) {
		connection->counted = true;
		connection->unproved = verdict == QUIC_TOKEN_NONE;
		server->unproved += connection->unproved;
		if (connection->unproved || quic_enter_client(connection)) {
			quic_count(server, CONNECTION_ACCEPTED);
			quic_connection_receive(connection, path, data, size);
			return;
		}
		refusal = CONNECTION_CROWDED;
		quic_connection_free(connection);
	}
	quic_count(server, refusal);
	quic_refuse(server, path, header, NGTCP2_CONNECTION_REFUSED);
}

/*
 * Whether a client with an unproved address has to prove it first: when many others have not, or
 * when it could only come in at the expense of somebody who has.
 */
static bool quic_wants_proof(const struct quic_server *server)
{
	unsigned int open = atomic_load_explicit(server->options.open, memory_order_relaxed);
	return server->unproved >= QUIC_UNPROVED_MAX || open >= server->options.limit;
}

/* A packet that may begin a connection. */
static void quic_accept(struct quic_server *server, const ngtcp2_path *path, const uint8_t *data,
			size_t size)
{
	ngtcp2_pkt_hd header;
	ngtcp2_cid original;
	int result = ngtcp2_accept(&header, data, size);
	if ((result != 0 && result != NGTCP2_ERR_RETRY) || server->stopping) {
		metrics_add(server->shard, FRONTEND_QUIC_IGNORED, 1);
		return;
	}
	enum quic_token_verdict verdict = quic_token_check(
		&server->secrets, &header, &path->remote, (ngtcp2_tstamp)clock_now_ns(), &original);
	if (verdict == QUIC_TOKEN_BAD)
		quic_refuse(server, path, &header, NGTCP2_INVALID_TOKEN);
	else if (verdict == QUIC_TOKEN_NONE &&
		 (result == NGTCP2_ERR_RETRY || quic_wants_proof(server)))
		quic_retry(server, path, &header);
	else
		quic_begin(server, path, &header, verdict, &original, data, size);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void quic_on_stranger(struct quic_server *server, const ngtcp2_path *path,
			     const ngtcp2_version_cid *ids, const uint8_t *data, size_t size)
{
	bool is_long = (data[0] & 0x80) != 0;
	if (is_long && ids->version != NGTCP2_PROTO_VER_V1) {
		/* Version 0 is itself a negotiation. Small ones could be for reflection. */
		if (ids->version != 0 && size >= NGTCP2_MAX_UDP_PAYLOAD_SIZE &&
		    quic_may_speak(server))
			quic_say(server, path,
				 quic_write_versions(ids, quic_sockets_next(server->sockets),
						     QUIC_SEND_MAX),
				 FRONTEND_QUIC_NEGOTIATIONS);
		else
			metrics_add(server->shard, FRONTEND_QUIC_IGNORED, 1);
	} else if (is_long) {
		quic_accept(server, path, data, size);
	} else if (quic_may_speak(server)) {
		quic_say(server, path,
			 quic_write_reset(&server->secrets, ids->dcid, ids->dcidlen, size,
					  quic_sockets_next(server->sockets), QUIC_SEND_MAX),
			 FRONTEND_QUIC_RESETS);
	}
}

static void quic_on_datagram(void *ctx, const ngtcp2_path *path, const uint8_t *data, size_t size)
{
	struct quic_server *server = ctx;
	ngtcp2_version_cid ids;
	int result = ngtcp2_pkt_decode_version_cid(&ids, data, size, QUIC_ID_SIZE);
	if (result != 0 && result != NGTCP2_ERR_VERSION_NEGOTIATION) {
		metrics_add(server->shard, FRONTEND_QUIC_IGNORED, 1);
		return;
	}
	struct quic_connection *connection = quic_ids_find(server->ids, ids.dcid, ids.dcidlen);
	if (connection)
		quic_connection_receive(connection, path, data, size);
	else
		quic_on_stranger(server, path, &ids, data, size);
}

/* --- the loop --------------------------------------------------------------------------------- */

void quic_mark(struct quic_connection *connection)
{
	struct quic_server *server = connection->server;
	if (connection->marked)
		return;
	connection->marked = true;
	TAILQ_INSERT_TAIL(&server->marked, connection, mark);
	event_active(server->flush, EV_TIMEOUT, 0);
}

/* Deals with all connections that are marked, and sends what that makes. */
static void quic_server_flush(void *ctx)
{
	struct quic_server *server = ctx;
	struct quic_connection *connection;
	while ((connection = TAILQ_FIRST(&server->marked))) {
		TAILQ_REMOVE(&server->marked, connection, mark);
		connection->marked = false;
		quic_connection_flush(connection);
	}
	quic_sockets_flush(server->sockets);
}

static void quic_on_flush(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	quic_server_flush(ctx);
}

/* --- life and death --------------------------------------------------------------------------- */

static int quic_server_open(struct quic_server *server, char *error, size_t error_size)
{
	const struct quic_socket_handler handler = {
		.ctx = server,
		.receive = quic_on_datagram,
		.done = quic_server_flush,
	};
	const struct quic_options *options = &server->options;
	snprintf(error, error_size, "out of memory or random numbers for QUIC");
	server->ids = quic_ids_create();
	server->sockets = quic_sockets_create(options->base, server->shard, &handler);
	server->flush = event_new(options->base, -1, 0, quic_on_flush, server);
	if (!server->ids || !server->sockets || !server->flush ||
	    quic_secrets_make(&server->secrets) != 0)
		return -1;
	server->tls = quic_tls_create(options->tls, error, error_size);
	return server->tls ? 0 : -1;
}

struct quic_server *quic_server_create(const struct quic_options *options, char *error,
				       size_t error_size)
{
	struct quic_server *server = calloc(1, sizeof(*server));
	if (!server) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	server->options = *options;
	server->shard = options->serve->shard;
	server->idle_ms = (int64_t)options->idle_s * 1000;
	for (int i = QUIC_HANDSHAKING; i <= QUIC_CLOSING; i++)
		TAILQ_INIT(&server->connections[i]);
	TAILQ_INIT(&server->marked);
	if (quic_server_open(server, error, error_size) == 0)
		return server;
	quic_server_destroy(server);
	return NULL;
}

void quic_server_destroy(struct quic_server *server)
{
	struct quic_connection *connection;
	if (!server)
		return;
	server->stopping = true; /* nothing is kept to repeat its end */
	for (int i = QUIC_HANDSHAKING; i <= QUIC_OPEN; i++)
		while ((connection = TAILQ_FIRST(&server->connections[i])))
			quic_connection_end(connection, DOQ_NO_ERROR);
	while ((connection = TAILQ_FIRST(&server->connections[QUIC_CLOSING])))
		quic_connection_free(connection);
	if (server->sockets)
		quic_sockets_flush(server->sockets);
	quic_sockets_destroy(server->sockets);
	quic_tls_destroy(server->tls);
	quic_ids_destroy(server->ids);
	if (server->flush)
		event_free(server->flush);
	explicit_bzero(&server->secrets, sizeof(server->secrets));
	free(server);
}

int quic_server_listen(struct quic_server *server, int fd)
{
	return quic_sockets_add(server->sockets, fd);
}

void quic_server_stop(struct quic_server *server)
{
	struct quic_connection *connection;
	server->stopping = true;
	while ((connection = TAILQ_FIRST(&server->connections[QUIC_HANDSHAKING])))
		quic_connection_end(connection, DOQ_NO_ERROR);
	TAILQ_FOREACH(connection, &server->connections[QUIC_OPEN], link)
		quic_mark(connection); /* those that are idle end when flushed */
	quic_server_flush(server);
}

bool quic_server_is_empty(const struct quic_server *server)
{
	return TAILQ_EMPTY(&server->connections[QUIC_HANDSHAKING]) &&
	       TAILQ_EMPTY(&server->connections[QUIC_OPEN]);
}
