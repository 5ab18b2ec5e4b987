/* DNS messages in a stream. */
#include "frontend/tcp.h"

#include "common/clock.h"
#include "dns/edns.h"
#include "dns/protocol.h"

#include <event2/buffer.h>
#include <string.h>

#define TCP_LENGTH_SIZE 2
/* A whole message fits the input buffer; beyond it the kernel holds the client back. */
#define TCP_INPUT_MAX (TCP_LENGTH_SIZE + DNS_MESSAGE_MAX)

/* --- replies ---------------------------------------------------------------------------------- */

static const struct transport tcp_transport;
static const struct transport tcp_tls_transport;

/* Adds what the client has asked for and only a transport can give. Returns the new size. */
static size_t tcp_add_options(const struct serve *serve, const struct transport *transport,
			      const struct dns_query *dns, uint8_t *reply, size_t size)
{
	if (!dns->edns.present || dns->edns.options_size == 0)
		return size;
	bool secure = transport == &tcp_tls_transport;
	if (dns_edns_has_option(dns, DNS_OPTION_KEEPALIVE)) {
		const struct frontend_limits *limits = &serve->config->limits;
		uint8_t timeout[2]; /* in units of 100 ms */
		dns_put16(timeout,
			  (uint16_t)((secure ? limits->tls_idle_s : limits->tcp_idle_s) * 10));
		size = dns_edns_add_option(reply, size, DNS_MESSAGE_MAX, DNS_OPTION_KEEPALIVE,
					   timeout, sizeof(timeout));
	}
	if (secure && dns_edns_has_option(dns, DNS_OPTION_PADDING))
		size = dns_edns_pad(reply, size, DNS_MESSAGE_MAX);
	return size;
}

/* Length and message leave as one piece, and so in one TLS record where that is big enough. */
static void tcp_write(struct connection *connection, const struct transport *transport,
		      const struct dns_query *dns, const uint8_t *reply, size_t size)
{
	const struct serve *serve = connection_serve(connection);
	uint8_t frame[TCP_LENGTH_SIZE + DNS_MESSAGE_MAX];
	memcpy(frame + TCP_LENGTH_SIZE, reply, size);
	size = tcp_add_options(serve, transport, dns, frame + TCP_LENGTH_SIZE, size);
	dns_put16(frame, (uint16_t)size);
	connection_write(connection, frame, TCP_LENGTH_SIZE + size);
}

static void tcp_send_reply(struct query *query, const uint8_t *reply, size_t size)
{
	struct connection *connection = connection_take_query(query);
	if (connection)
		tcp_write(connection, query->transport, &query->dns, reply, size);
}

static const struct transport tcp_transport = {
	.name = "tcp",
	.queries = FRONTEND_QUERIES_TCP,
	.datagram = false,
	.send = tcp_send_reply,
	.format_client = connection_format_client,
};

static const struct transport tcp_tls_transport = {
	.name = "tls",
	.queries = FRONTEND_QUERIES_TLS,
	.datagram = false,
	.send = tcp_send_reply,
	.format_client = connection_format_client,
};

/* --- queries ---------------------------------------------------------------------------------- */

static void tcp_take_message(struct connection *connection, const struct transport *transport,
			     const uint8_t *message, size_t size)
{
	struct serve *serve = connection_serve(connection);
	uint8_t octets[SERVE_REPLY_MAX];
	struct serve_reply reply = {.octets = octets};
	int64_t now_ns = clock_now_ns();
	enum serve_outcome outcome = serve_take(serve, transport, message, size, now_ns, &reply);
	if (outcome == SERVE_REPLIED) {
		connection_note_progress(connection);
		tcp_write(connection, transport, &reply.dns, reply.octets, reply.size);
		serve_observe(serve, now_ns);
	} else if (outcome == SERVE_PENDING) {
		connection_add_query(connection, reply.query);
		connection_note_progress(connection);
		serve_query(serve, reply.query);
	}
}

/*
 * Serves the whole messages in the input. False when the framing is broken: no DNS message is
 * shorter than its header.
 */
static bool tcp_take_messages(struct connection *connection, const struct transport *transport)
{
	struct evbuffer *input = connection_input(connection);
	while (!connection_is_full(connection)) {
		uint8_t prefix[TCP_LENGTH_SIZE];
		if (evbuffer_copyout(input, prefix, sizeof(prefix)) < TCP_LENGTH_SIZE)
			return true;
		size_t size = dns_get16(prefix);
		if (size < DNS_HEADER_SIZE)
			return false;
		if (evbuffer_get_length(input) < TCP_LENGTH_SIZE + size)
			return true;
		const uint8_t *frame = evbuffer_pullup(input, (ev_ssize_t)(TCP_LENGTH_SIZE + size));
		if (!frame)
			return true;
		tcp_take_message(connection, transport, frame + TCP_LENGTH_SIZE, size);
		evbuffer_drain(input, TCP_LENGTH_SIZE + size);
	}
	return true;
}

static bool tcp_take(struct connection *connection)
{
	return tcp_take_messages(connection, &tcp_transport);
}

static bool tcp_take_tls(struct connection *connection)
{
	return tcp_take_messages(connection, &tcp_tls_transport);
}

const struct connection_protocol tcp_protocol = {
	.size = sizeof(struct connection),
	.input_max = TCP_INPUT_MAX,
	.take = tcp_take,
};

const struct connection_protocol tcp_tls_protocol = {
	.size = sizeof(struct connection),
	.input_max = TCP_INPUT_MAX,
	.take = tcp_take_tls,
};
