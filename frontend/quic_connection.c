/* One QUIC connection: ngtcp2's callbacks, reading, writing, time, and the end. */
#include "frontend/quic_connection.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "dns/protocol.h"
#include "frontend/connection.h"
#include "frontend/quic_stream.h"

#include <event2/event.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdlib.h>
#include <string.h>

/* A length and a message: the most that a stream may hold, and all streams of a connection. */
#define QUIC_WINDOW (2 + DNS_MESSAGE_MAX)
/* Connections that repeat their end at a time: with more, a stateless reset has to do. */
#define QUIC_CLOSING_MAX 4096
/* IDs that a client may give us: one for each address it goes on from, some of them at a time. */
#define QUIC_CLIENT_IDS_MAX 8
/* QUIC's own idle timeout, of which no word is said, comes so much later than ours. */
#define QUIC_IDLE_GRACE_MS 500
/* Packets in a row before other connections have their turn. */
#define QUIC_PACKETS_MAX 16

/* --- bookkeeping ------------------------------------------------------------------------------ */

void quic_connection_note_progress(struct quic_connection *connection)
{
	struct quic_connection_list *list = &connection->server->connections[connection->state];
	connection->progress_ms = clock_now_ms();
	TAILQ_REMOVE(list, connection, link);
	TAILQ_INSERT_TAIL(list, connection, link);
}

static void quic_connection_set_state(struct quic_connection *connection, enum quic_state state)
{
	struct quic_server *server = connection->server;
	TAILQ_REMOVE(&server->connections[connection->state], connection, link);
	connection->state = state;
	TAILQ_INSERT_TAIL(&server->connections[state], connection, link);
	connection->progress_ms = clock_now_ms();
}

void quic_connection_fail(struct quic_connection *connection, enum connection_event cause,
			  enum doq_error error)
{
	if (connection->failed)
		return;
	quic_count(connection->server, cause);
	connection->failed = true;
	connection->error = error;
	quic_mark(connection);
}

bool quic_connection_is_idle(const struct quic_connection *connection)
{
	return connection->query_count == 0 && connection->output_size == 0;
}

/* --- callbacks -------------------------------------------------------------------------------- */

static ngtcp2_conn *on_get_conn(ngtcp2_crypto_conn_ref *ref)
{
	struct quic_connection *connection = ref->user_data;
	return connection->conn;
}

static void on_random(uint8_t *out, size_t size, const ngtcp2_rand_ctx *ctx)
{
	(void)ctx;
	quic_random(out, size);
}

static int on_new_id(ngtcp2_conn *conn, ngtcp2_cid *id, uint8_t *token, size_t size,
		     void *user_data)
{
	(void)conn;
	struct quic_connection *connection = user_data;
	struct quic_server *server = connection->server;
	quic_random(id->data, size);
	id->datalen = size;
	if (quic_reset_token(&server->secrets, id, token) != 0 ||
	    quic_ids_add(server->ids, &connection->ids, connection, id->data, size) != 0)
		return NGTCP2_ERR_CALLBACK_FAILURE;
	return 0;
}

static int on_old_id(ngtcp2_conn *conn, const ngtcp2_cid *id, void *user_data)
{
	(void)conn;
	struct quic_connection *connection = user_data;
	quic_ids_remove(&connection->ids, id->data, id->datalen);
	return 0;
}

/* Gives the client a token, so that it need not prove its address the next time. */
static void quic_connection_give_token(struct quic_connection *connection)
{
	uint8_t token[NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN];
	const ngtcp2_path *path = ngtcp2_conn_get_path(connection->conn);
	size_t size = quic_token_write(&connection->server->secrets, &path->remote,
				       (ngtcp2_tstamp)clock_now_ns(), token);
	if (size > 0)
		ngtcp2_conn_submit_new_token(connection->conn, token, size);
}

/* The handshake is done, and the client has shown that it has its address. */
static int on_handshake(ngtcp2_conn *conn, void *user_data)
{
	(void)conn;
	struct quic_connection *connection = user_data;
	struct quic_server *server = connection->server;
	quic_prove(connection);
	quic_connection_set_state(connection, QUIC_OPEN);
	if (quic_session_is_resumed(&connection->session))
		metrics_add(server->shard, FRONTEND_TLS_RESUMED, 1);
	if (!quic_enter_client(connection)) {
		quic_connection_fail(connection, CONNECTION_CROWDED, DOQ_EXCESSIVE_LOAD);
		return 0;
	}
	quic_connection_give_token(connection);
	return 0;
}

static const ngtcp2_callbacks quic_callbacks = {
	.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.rand = on_random,
	.get_new_connection_id = on_new_id,
	.remove_connection_id = on_old_id,
	.handshake_completed = on_handshake,
	.stream_open = quic_stream_on_open,
	.recv_stream_data = quic_stream_on_data,
	.stream_reset = quic_stream_on_reset,
	.stream_close = quic_stream_on_close,
};

/* --- the end ---------------------------------------------------------------------------------- */

/* Gives back all that only a living connection needs. */
static void quic_connection_strip(struct quic_connection *connection)
{
	quic_streams_free(connection);
	if (connection->conn)
		ngtcp2_conn_del(connection->conn);
	connection->conn = NULL;
	quic_session_close(&connection->session);
	quic_leave(connection);
}

void quic_connection_free(struct quic_connection *connection)
{
	struct quic_server *server = connection->server;
	if (connection->state == QUIC_CLOSING)
		server->closing--;
	else
		quic_connection_strip(connection);
	if (connection->marked)
		TAILQ_REMOVE(&server->marked, connection, mark);
	TAILQ_REMOVE(&server->connections[connection->state], connection, link);
	quic_ids_remove_all(&connection->ids);
	if (connection->timer)
		event_free(connection->timer);
	free(connection->goodbye);
	free(connection);
}

/* From now on it only remembers that it has ended. Freed when there are too many of those. */
static void quic_connection_close(struct quic_connection *connection, const uint8_t *goodbye,
				  size_t size)
{
	struct quic_server *server = connection->server;
	const struct timeval wait = {.tv_sec = QUIC_CLOSING_MS / 1000,
				     .tv_usec = QUIC_CLOSING_MS % 1000 * 1000};
	if (server->closing >= QUIC_CLOSING_MAX || server->stopping ||
	    event_add(connection->timer, &wait) != 0) {
		quic_connection_free(connection);
		return;
	}
	quic_connection_strip(connection);
	quic_connection_set_state(connection, QUIC_CLOSING);
	server->closing++;
	connection->goodbye = size > 0 ? malloc(size) : NULL;
	if (!connection->goodbye)
		return;
	memcpy(connection->goodbye, goodbye, size);
	connection->goodbye_size = size;
}

/* Ends it, and tells the client why. */
static void quic_connection_say_end(struct quic_connection *connection,
				    const ngtcp2_connection_close_error *error)
{
	struct quic_sockets *sockets = connection->server->sockets;
	uint8_t *out = quic_sockets_next(sockets);
	uint8_t copy[QUIC_SEND_MAX];
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_path_storage_zero(&path);
	ngtcp2_ssize size = ngtcp2_conn_write_connection_close(connection->conn, &path.path, &info,
							       out, QUIC_SEND_MAX, error,
							       (ngtcp2_tstamp)clock_now_ns());
	if (size <= 0) {
		quic_connection_close(connection, NULL, 0);
		return;
	}
	memcpy(copy, out, (size_t)size);
	quic_sockets_send(sockets, &path.path, (size_t)size);
	quic_connection_close(connection, copy, (size_t)size);
}

void quic_connection_end(struct quic_connection *connection, enum doq_error doq_error)
{
	ngtcp2_connection_close_error error;
	ngtcp2_connection_close_error_default(&error);
	ngtcp2_connection_close_error_set_application_error(&error, doq_error, NULL, 0);
	quic_connection_say_end(connection, &error);
}

void quic_connection_end_for(struct quic_connection *connection, enum connection_event cause,
			     enum doq_error error)
{
	quic_count(connection->server, cause);
	quic_connection_end(connection, error);
}

/* Ends it for an error of ngtcp2's, or of the handshake within. */
static void quic_connection_end_broken(struct quic_connection *connection, int cause)
{
	ngtcp2_connection_close_error error;
	ngtcp2_connection_close_error_default(&error);
	uint8_t alert = ngtcp2_conn_get_tls_alert(connection->conn);
	if (cause == NGTCP2_ERR_CRYPTO && alert != 0)
		ngtcp2_connection_close_error_set_transport_error_tls_alert(&error, alert, NULL, 0);
	else
		ngtcp2_connection_close_error_set_transport_error_liberr(&error, cause, NULL, 0);
	if (cause == NGTCP2_ERR_NOMEM)
		log_warning_limited("QUIC connection lost", "reason=%s", "out of memory");
	quic_count(connection->server, connection->state == QUIC_HANDSHAKING
					       ? CONNECTION_HANDSHAKE_FAILED
					       : CONNECTION_ERROR);
	quic_connection_say_end(connection, &error);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A packet for one that has ended: now and then it is told again, ever less often. */
static void quic_connection_repeat_end(struct quic_connection *connection, const ngtcp2_path *path)
{
	struct quic_sockets *sockets = connection->server->sockets;
	connection->strays++;
	if (!connection->goodbye || (connection->strays & (connection->strays - 1)) != 0)
		return;
	memcpy(quic_sockets_next(sockets), connection->goodbye, connection->goodbye_size);
	quic_sockets_send(sockets, path, connection->goodbye_size);
}

void quic_connection_receive(struct quic_connection *connection, const ngtcp2_path *path,
			     const uint8_t *data, size_t size)
{
	if (connection->state == QUIC_CLOSING) {
		quic_connection_repeat_end(connection, path);
		return;
	}
	const ngtcp2_pkt_info info = {0};
	int result = ngtcp2_conn_read_pkt(connection->conn, path, &info, data, size,
					  (ngtcp2_tstamp)clock_now_ns());
	quic_mark(connection);
	if (result == 0 || connection->failed)
		return;
	switch (result) {
	case NGTCP2_ERR_DRAINING: /* the client has ended it */
		if (connection->state == QUIC_HANDSHAKING)
			quic_count(connection->server, CONNECTION_HANDSHAKE_FAILED);
		quic_connection_close(connection, NULL, 0);
		break;
	case NGTCP2_ERR_DROP_CONN:
	case NGTCP2_ERR_RETRY:
		quic_count(connection->server, CONNECTION_HANDSHAKE_FAILED);
		quic_connection_free(connection);
		break;
	default:
		quic_connection_end_broken(connection, result);
		break;
	}
}

/* --- writing and time ------------------------------------------------------------------------- */

/* When something is due that no packet brings about: ngtcp2's timers, or idleness. */
static void quic_connection_set_timer(struct quic_connection *connection)
{
	int64_t now_ns = clock_now_ns();
	int64_t due_ns = INT64_MAX;
	ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(connection->conn);
	if (expiry < INT64_MAX)
		due_ns = (int64_t)expiry;
	int64_t idle_ns = (connection->progress_ms + connection->server->idle_ms) * 1000000;
	if (connection->state == QUIC_OPEN && idle_ns < due_ns)
		due_ns = idle_ns;
	int64_t wait_us = (due_ns - now_ns) / 1000 + 1;
	if (wait_us < 1)
		wait_us = 1;
	const struct timeval wait = {.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
	event_add(connection->timer, &wait);
}

/* Writes as much as may be sent at once. False: the connection has ended. */
static bool quic_connection_write(struct quic_connection *connection)
{
	struct quic_sockets *sockets = connection->server->sockets;
	ngtcp2_tstamp now = (ngtcp2_tstamp)clock_now_ns();
	size_t most = ngtcp2_conn_get_send_quantum(connection->conn) / QUIC_SEND_MAX;
	size_t count = 0;
	if (most < 1 || most > QUIC_PACKETS_MAX)
		most = most < 1 ? 1 : QUIC_PACKETS_MAX;
	quic_streams_unblock(connection);
	while (count < most) {
		ngtcp2_path_storage path;
		ngtcp2_path_storage_zero(&path);
		ngtcp2_ssize size = quic_streams_write(
			connection, &path.path, quic_sockets_next(sockets), QUIC_SEND_MAX, now);
		if (size < 0) {
			quic_connection_end_broken(connection, (int)size);
			return false;
		}
		if (size == 0)
			break;
		quic_sockets_send(sockets, &path.path, (size_t)size);
		count++;
	}
	/*
	 * What comes next is paced. Not so in a handshake, when all there is to say has been said:
	 * nobody knows the round trip yet, and by the third of a second that stands for it
	 * (RFC 9002 section 6.2.2) the first reply would wait for 40 ms. Congestion control's
	 * first window bounds what may be under way.
	 */
	if (count == most || ngtcp2_conn_get_handshake_completed(connection->conn))
		ngtcp2_conn_update_pkt_tx_time(connection->conn, now);
	return true;
}

void quic_connection_flush(struct quic_connection *connection)
{
	if (connection->state == QUIC_CLOSING)
		return;
	if (connection->failed) {
		quic_connection_end(connection, connection->error);
		return;
	}
	if (!quic_connection_write(connection))
		return;
	if (connection->server->stopping && quic_connection_is_idle(connection)) {
		quic_connection_end(connection, DOQ_NO_ERROR);
		return;
	}
	quic_connection_set_timer(connection);
}

/* True when idleness has ended the connection. */
static bool quic_connection_end_idle(struct quic_connection *connection)
{
	if (connection->state != QUIC_OPEN ||
	    connection->progress_ms > clock_now_ms() - connection->server->idle_ms)
		return false;
	if (connection->query_count > 0) {
		quic_connection_note_progress(connection); /* it is our turn, not the client's */
		return false;
	}
	quic_connection_end_for(connection, CONNECTION_IDLE, DOQ_NO_ERROR);
	return true;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct quic_connection *connection = ctx;
	if (connection->state == QUIC_CLOSING) {
		quic_connection_free(connection);
		return;
	}
	quic_mark(connection);
	if (quic_connection_end_idle(connection))
		return;
	int result = ngtcp2_conn_handle_expiry(connection->conn, (ngtcp2_tstamp)clock_now_ns());
	if (result == 0)
		return;
	if (result == NGTCP2_ERR_IDLE_CLOSE || result == NGTCP2_ERR_HANDSHAKE_TIMEOUT) {
		quic_count(connection->server, connection->state == QUIC_HANDSHAKING
						       ? CONNECTION_HANDSHAKE_SLOW
						       : CONNECTION_IDLE);
		quic_connection_free(connection);
		return;
	}
	quic_connection_end_broken(connection, result);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void quic_connection_set_up(const struct quic_server *server, const ngtcp2_pkt_hd *header,
				   const ngtcp2_cid *original, ngtcp2_settings *settings,
				   ngtcp2_transport_params *params)
{
	ngtcp2_settings_default(settings);
	settings->initial_ts = (ngtcp2_tstamp)clock_now_ns();
	settings->token = header->token;
	settings->handshake_timeout = (ngtcp2_duration)server->options.handshake_s * NGTCP2_SECONDS;
	settings->max_tx_udp_payload_size = QUIC_SEND_MAX;
	settings->no_pmtud = 1;
	ngtcp2_transport_params_default(params);
	params->initial_max_data = QUIC_WINDOW;
	params->initial_max_stream_data_bidi_remote = QUIC_WINDOW;
	params->initial_max_streams_bidi = CONNECTION_QUERIES_MAX;
	params->max_idle_timeout = (ngtcp2_duration)server->options.idle_s * NGTCP2_SECONDS +
				   QUIC_IDLE_GRACE_MS * NGTCP2_MILLISECONDS;
	params->max_udp_payload_size = QUIC_RECEIVE_MAX;
	params->active_connection_id_limit = QUIC_CLIENT_IDS_MAX;
	params->stateless_reset_token_present = 1;
	params->original_dcid = original ? *original : header->dcid;
	if (original) {
		params->retry_scid = header->dcid;
		params->retry_scid_present = 1;
	}
}

/* Makes the parts of a connection that is all zeros but for its server and client. 0 or -1. */
static int quic_connection_open(struct quic_connection *connection, const ngtcp2_path *path,
				const ngtcp2_pkt_hd *header, const ngtcp2_cid *original)
{
	struct quic_server *server = connection->server;
	ngtcp2_settings settings;
	ngtcp2_transport_params params;
	ngtcp2_cid id = {.datalen = QUIC_ID_SIZE};
	quic_random(id.data, id.datalen);
	quic_connection_set_up(server, header, original, &settings, &params);
	connection->timer = evtimer_new(server->options.base, on_timer, connection);
	if (!connection->timer ||
	    quic_reset_token(&server->secrets, &id, params.stateless_reset_token) != 0 ||
	    quic_ids_add(server->ids, &connection->ids, connection, id.data, id.datalen) != 0 ||
	    quic_ids_add(server->ids, &connection->ids, connection, header->dcid.data,
			 header->dcid.datalen) != 0)
		return -1;
	if (ngtcp2_conn_server_new(&connection->conn, &header->scid, &id, path, header->version,
				   &quic_callbacks, &settings, &params, NULL, connection) != 0) {
		connection->conn = NULL;
		return -1;
	}
	connection->session.ref.get_conn = on_get_conn;
	connection->session.ref.user_data = connection;
	if (quic_session_open(server->tls, &connection->session) != 0)
		return -1;
	ngtcp2_conn_set_tls_native_handle(connection->conn, connection->session.tls);
	return 0;
}

struct quic_connection *quic_connection_create(struct quic_server *server, const ngtcp2_path *path,
					       const ngtcp2_pkt_hd *header,
					       const ngtcp2_cid *original)
{
	struct quic_connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	connection->server = server;
	memcpy(&connection->client, path->remote.addr, path->remote.addrlen);
	LIST_INIT(&connection->ids);
	LIST_INIT(&connection->queries);
	TAILQ_INIT(&connection->streams);
	TAILQ_INIT(&connection->waiting);
	TAILQ_INIT(&connection->sendable);
	TAILQ_INIT(&connection->blocked);
	connection->progress_ms = clock_now_ms();
	TAILQ_INSERT_TAIL(&server->connections[QUIC_HANDSHAKING], connection, link);
	if (quic_connection_open(connection, path, header, original) == 0)
		return connection;
	quic_connection_free(connection);
	return NULL;
}
