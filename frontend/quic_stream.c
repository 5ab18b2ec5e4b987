/* Streams of DoQ: queries in, replies out. */
#include "frontend/quic_stream.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "dns/edns.h"
#include "dns/protocol.h"
#include "dns/query.h"
#include "frontend/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_SIZE 2

enum quic_stream_place {
	PLACE_NONE, /* being read, asked, or sent to the last octet */
	PLACE_WAITING,
	PLACE_SENDABLE,
	PLACE_BLOCKED,
};

struct quic_stream {
	TAILQ_ENTRY(quic_stream) link;  /* in its connection */
	TAILQ_ENTRY(quic_stream) place; /* in the list that `where` says */
	enum quic_stream_place where;
	struct quic_connection *connection;
	int64_t id;
	bool taken;          /* nothing more is read: the query is whole, or was refused */
	struct query *query; /* in flight */
	uint8_t *input;      /* up to a whole message; NULL before and after */
	size_t input_size;
	uint8_t *output; /* the reply until the stream is closed: ngtcp2 may send it again */
	size_t output_size;
	size_t sent;
};

/* --- bookkeeping ------------------------------------------------------------------------------ */

static struct quic_stream_list *quic_stream_list_at(struct quic_connection *connection,
						    enum quic_stream_place where)
{
	switch (where) {
	case PLACE_WAITING:
		return &connection->waiting;
	case PLACE_SENDABLE:
		return &connection->sendable;
	case PLACE_BLOCKED:
		return &connection->blocked;
	case PLACE_NONE:
		break;
	}
	return NULL;
}

static void quic_stream_put(struct quic_stream *stream, enum quic_stream_place where)
{
	if (stream->where != PLACE_NONE)
		TAILQ_REMOVE(quic_stream_list_at(stream->connection, stream->where), stream, place);
	stream->where = where;
	if (where != PLACE_NONE)
		TAILQ_INSERT_TAIL(quic_stream_list_at(stream->connection, where), stream, place);
}

/* The input is no longer needed: the client may send as much again. */
static void quic_stream_drop_input(struct quic_stream *stream)
{
	if (stream->connection->conn)
		ngtcp2_conn_extend_max_offset(stream->connection->conn, stream->input_size);
	free(stream->input);
	stream->input = NULL;
	stream->input_size = 0;
}

/* Takes no more of a stream and sends no more on it. The connection goes on. */
static void quic_stream_refuse(struct quic_stream *stream, enum doq_error error)
{
	stream->taken = true;
	quic_stream_drop_input(stream);
	quic_stream_put(stream, PLACE_NONE);
	if (ngtcp2_conn_shutdown_stream(stream->connection->conn, stream->id, error) != 0)
		quic_connection_fail(stream->connection, CONNECTION_ERROR, DOQ_INTERNAL_ERROR);
	quic_mark(stream->connection);
}

/* One stream more for the client, for one that is closed and answered. */
static void quic_stream_give_back(struct quic_connection *connection)
{
	if (!connection->conn)
		return;
	ngtcp2_conn_extend_max_streams_bidi(connection->conn, 1);
	quic_mark(connection);
}

static void quic_stream_free(struct quic_stream *stream)
{
	struct quic_connection *connection = stream->connection;
	quic_stream_put(stream, PLACE_NONE);
	TAILQ_REMOVE(&connection->streams, stream, link);
	connection->output_size -= stream->output_size;
	if (stream->query)
		stream->query->path.quic.stream = NULL;
	free(stream->input);
	free(stream->output);
	free(stream);
}

/* --- replies ---------------------------------------------------------------------------------- */

static void quic_send_reply(struct query *query, const uint8_t *reply, size_t size);
static void quic_format_client(const struct query *query, char *out, size_t size);

static const struct transport quic_transport = {
	.name = "quic",
	.queries = FRONTEND_QUERIES_QUIC,
	.datagram = false,
	.send = quic_send_reply,
	.format_client = quic_format_client,
};

/* Sets a copy of the reply going, padded if the client asks for it (RFC 9250 section 5.4). */
static void quic_stream_reply(struct quic_stream *stream, const struct dns_query *dns,
			      const uint8_t *reply, size_t size)
{
	struct quic_connection *connection = stream->connection;
	uint8_t frame[LENGTH_SIZE + DNS_MESSAGE_MAX];
	memcpy(frame + LENGTH_SIZE, reply, size);
	if (dns->edns.present && dns->edns.options_size > 0 &&
	    dns_edns_has_option(dns, DNS_OPTION_PADDING))
		size = dns_edns_pad(frame + LENGTH_SIZE, size, DNS_MESSAGE_MAX);
	dns_put16(frame, (uint16_t)size);
	stream->output = malloc(LENGTH_SIZE + size);
	if (!stream->output) {
		log_warning_limited("reply lost", "reason=%s", "out of memory");
		quic_stream_refuse(stream, DOQ_INTERNAL_ERROR);
		return;
	}
	memcpy(stream->output, frame, LENGTH_SIZE + size);
	stream->output_size = LENGTH_SIZE + size;
	connection->output_size += stream->output_size;
	quic_stream_put(stream, PLACE_SENDABLE);
	quic_mark(connection);
}

static void quic_send_reply(struct query *query, const uint8_t *reply, size_t size)
{
	struct quic_connection *connection = query->path.quic.connection;
	struct quic_stream *stream = query->path.quic.stream;
	if (connection) {
		LIST_REMOVE(query, path.quic.link);
		connection->query_count--;
	}
	if (!stream) {
		metrics_add(query->path.quic.server->shard, FRONTEND_DROPS_CLIENT_GONE, 1);
		if (connection)
			quic_stream_give_back(connection);
		return;
	}
	stream->query = NULL;
	quic_connection_note_progress(connection);
	quic_stream_reply(stream, &query->dns, reply, size);
}

static void quic_format_client(const struct query *query, char *out, size_t size)
{
	const struct quic_connection *connection = query->path.quic.connection;
	if (connection)
		address_format(&connection->client.sa, out, size);
	else
		snprintf(out, size, "gone");
}

/* --- queries ---------------------------------------------------------------------------------- */

enum quic_message quic_message_check(const uint8_t *octets, size_t size, bool end)
{
	if (size < LENGTH_SIZE)
		return end ? QUIC_MESSAGE_BROKEN : QUIC_MESSAGE_PART;
	size_t wanted = LENGTH_SIZE + (size_t)dns_get16(octets);
	if (wanted < LENGTH_SIZE + DNS_HEADER_SIZE || size > wanted)
		return QUIC_MESSAGE_BROKEN;
	if (!end)
		return QUIC_MESSAGE_PART;
	return size == wanted ? QUIC_MESSAGE_WHOLE : QUIC_MESSAGE_BROKEN;
}

/* What DoQ forbids: an ID (section 4.2.1), edns-tcp-keepalive (section 5.5.2), responses. */
static bool quic_message_is_allowed(const uint8_t *message, size_t size)
{
	struct dns_query dns;
	if (dns_query_parse(message, size, &dns) == DNS_QUERY_DROP)
		return false;
	return dns.id == 0 &&
	       !(dns.edns.present && dns_edns_has_option(&dns, DNS_OPTION_KEEPALIVE));
}

static void quic_stream_ask(struct quic_stream *stream, struct query *query)
{
	struct quic_connection *connection = stream->connection;
	query->path.quic = (struct quic_path){
		.server = connection->server,
		.connection = connection,
		.stream = stream,
	};
	LIST_INSERT_HEAD(&connection->queries, query, path.quic.link);
	connection->query_count++;
	stream->query = query;
	quic_stream_drop_input(stream);
	serve_query(connection->server->options.serve, query);
}

/* Serves the whole query that the stream holds. */
static void quic_stream_serve(struct quic_stream *stream)
{
	struct serve *serve = stream->connection->server->options.serve;
	const uint8_t *message = stream->input + LENGTH_SIZE;
	size_t size = stream->input_size - LENGTH_SIZE;
	uint8_t octets[SERVE_REPLY_MAX];
	struct serve_reply reply = {.octets = octets};
	quic_stream_put(stream, PLACE_NONE);
	if (!quic_message_is_allowed(message, size)) {
		quic_connection_fail(stream->connection, CONNECTION_ERROR, DOQ_PROTOCOL_ERROR);
		return;
	}
	quic_connection_note_progress(stream->connection);
	int64_t now_ns = clock_now_ns();
	switch (serve_take(serve, &quic_transport, message, size, now_ns, &reply)) {
	case SERVE_REPLIED:
		quic_stream_reply(stream, &reply.dns, reply.octets, reply.size);
		if (stream->input)
			quic_stream_drop_input(stream);
		serve_observe(serve, now_ns);
		break;
	case SERVE_PENDING:
		quic_stream_ask(stream, reply.query);
		break;
	case SERVE_DROPPED:
		quic_stream_refuse(stream, DOQ_EXCESSIVE_LOAD);
		break;
	}
}

static bool quic_connection_is_full(const struct quic_connection *connection)
{
	return connection->query_count >= CONNECTION_QUERIES_MAX ||
	       connection->output_size >= CONNECTION_OUTPUT_MAX;
}

/* Serves the streams that have waited, as far as there is room. */
static void quic_streams_serve(struct quic_connection *connection)
{
	while (!TAILQ_EMPTY(&connection->waiting) && !quic_connection_is_full(connection) &&
	       !connection->failed && !connection->server->stopping)
		quic_stream_serve(TAILQ_FIRST(&connection->waiting));
}

/* Keeps what has come; false: out of memory. */
static bool quic_stream_append(struct quic_stream *stream, const uint8_t *data, size_t size)
{
	if (size == 0)
		return true;
	uint8_t *input = realloc(stream->input, stream->input_size + size);
	if (!input)
		return false;
	memcpy(input + stream->input_size, data, size);
	stream->input = input;
	stream->input_size += size;
	return true;
}

/* --- callbacks -------------------------------------------------------------------------------- */

int quic_stream_on_open(ngtcp2_conn *conn, int64_t id, void *user_data)
{
	struct quic_connection *connection = user_data;
	struct quic_stream *stream = calloc(1, sizeof(*stream));
	if (!stream || ngtcp2_conn_set_stream_user_data(conn, id, stream) != 0) {
		free(stream);
		return NGTCP2_ERR_CALLBACK_FAILURE;
	}
	stream->connection = connection;
	stream->id = id;
	TAILQ_INSERT_TAIL(&connection->streams, stream, link);
	return 0;
}

int quic_stream_on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
			const uint8_t *data, size_t size, void *user_data, void *stream_user_data)
{
	(void)id;
	(void)offset;
	struct quic_connection *connection = user_data;
	struct quic_stream *stream = stream_user_data;
	bool end = (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0;
	if (!stream || stream->taken) {
		ngtcp2_conn_extend_max_offset(conn, size);
		return 0;
	}
	if (!quic_stream_append(stream, data, size)) {
		ngtcp2_conn_extend_max_offset(conn, size);
		quic_stream_refuse(stream, DOQ_INTERNAL_ERROR);
		return connection->failed ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
	}
	switch (quic_message_check(stream->input, stream->input_size, end)) {
	case QUIC_MESSAGE_PART:
		break;
	case QUIC_MESSAGE_BROKEN:
		quic_connection_fail(connection, CONNECTION_ERROR, DOQ_PROTOCOL_ERROR);
		break;
	case QUIC_MESSAGE_WHOLE:
		stream->taken = true;
		quic_stream_put(stream, PLACE_WAITING);
		quic_streams_serve(connection);
		break;
	}
	return connection->failed ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

/* The client has given its query up before it was whole, or after. */
int quic_stream_on_reset(ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t error,
			 void *user_data, void *stream_user_data)
{
	(void)conn;
	(void)id;
	(void)final_size;
	(void)error;
	(void)user_data;
	struct quic_stream *stream = stream_user_data;
	if (stream)
		quic_stream_refuse(stream, DOQ_REQUEST_CANCELLED);
	return 0;
}

int quic_stream_on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t error,
			 void *user_data, void *stream_user_data)
{
	(void)conn;
	(void)flags;
	(void)id;
	(void)error;
	struct quic_connection *connection = user_data;
	struct quic_stream *stream = stream_user_data;
	if (!stream)
		return 0;
	quic_stream_drop_input(stream);
	if (!stream->query)
		quic_stream_give_back(connection);
	if (stream->output)
		quic_connection_note_progress(connection);
	quic_stream_free(stream);
	quic_streams_serve(connection);
	return connection->failed ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

void quic_streams_unblock(struct quic_connection *connection)
{
	struct quic_stream *next;
	if (ngtcp2_conn_get_max_data_left(connection->conn) == 0)
		return;
	for (struct quic_stream *stream = TAILQ_FIRST(&connection->blocked); stream;
	     stream = next) {
		next = TAILQ_NEXT(stream, place);
		if (ngtcp2_conn_get_max_stream_data_left(connection->conn, stream->id) > 0)
			quic_stream_put(stream, PLACE_SENDABLE);
	}
}

/* What ngtcp2 said of a stream's data: whether it goes on with the same packet. */
static bool quic_stream_note(struct quic_stream *stream, ngtcp2_ssize result, ngtcp2_ssize taken)
{
	if (taken >= 0) {
		stream->sent += (size_t)taken;
		quic_stream_put(stream,
				stream->sent == stream->output_size ? PLACE_NONE : PLACE_SENDABLE);
	}
	switch (result) {
	case NGTCP2_ERR_WRITE_MORE:
		return true;
	case NGTCP2_ERR_STREAM_DATA_BLOCKED:
		quic_stream_put(stream, PLACE_BLOCKED);
		return true;
	case NGTCP2_ERR_STREAM_SHUT_WR:
	case NGTCP2_ERR_STREAM_NOT_FOUND:
		quic_stream_put(stream, PLACE_NONE);
		return true;
	default:
		return false;
	}
}

ngtcp2_ssize quic_streams_write(struct quic_connection *connection, ngtcp2_path *path, uint8_t *out,
				size_t size, ngtcp2_tstamp now)
{
	ngtcp2_pkt_info info;
	for (;;) {
		struct quic_stream *stream = TAILQ_FIRST(&connection->sendable);
		ngtcp2_ssize taken = -1;
		if (!stream)
			return ngtcp2_conn_writev_stream(connection->conn, path, &info, out, size,
							 &taken, NGTCP2_WRITE_STREAM_FLAG_NONE, -1,
							 NULL, 0, now);
		const ngtcp2_vec rest = {stream->output + stream->sent,
					 stream->output_size - stream->sent};
		ngtcp2_ssize result = ngtcp2_conn_writev_stream(
			connection->conn, path, &info, out, size, &taken,
			NGTCP2_WRITE_STREAM_FLAG_MORE | NGTCP2_WRITE_STREAM_FLAG_FIN, stream->id,
			&rest, 1, now);
		if (!quic_stream_note(stream, result, taken))
			return result;
	}
}

void quic_streams_free(struct quic_connection *connection)
{
	struct query *query;
	while ((query = LIST_FIRST(&connection->queries))) {
		LIST_REMOVE(query, path.quic.link);
		query->path.quic.connection = NULL;
		query->path.quic.stream = NULL;
	}
	connection->query_count = 0;
	while (!TAILQ_EMPTY(&connection->streams)) {
		struct quic_stream *stream = TAILQ_FIRST(&connection->streams);
		stream->query = NULL;
		quic_stream_free(stream);
	}
}
