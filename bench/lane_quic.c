#include "bench/lane_quic.h"

#include "bench/questions.h"
#include "common/clock.h"
#include "dns/protocol.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define PACKET_MAX NGTCP2_MAX_UDP_PAYLOAD_SIZE
#define DATAGRAM_MAX 2048
#define LENGTH_SIZE 2
#define ID_SIZE 8
#define CONNECT_MS 5000
#define STREAM_WINDOW (LENGTH_SIZE + 65535)
#define WINDOW (UINT64_C(1) << 40) /* more than a load lasts */
#define IDLE_S 600
#define ASK_ALIVE_MS 100

static const char priorities[] =
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
	"-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE";

struct lane_quic_context {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priorities;
	gnutls_datum_t session; /* to resume; empty: none */
};

/* A query and its reply. It lasts until the server has acknowledged the one and sent the other. */
struct quic_stream {
	SLIST_ENTRY(quic_stream) every;
	STAILQ_ENTRY(quic_stream) link; /* in those to be sent, or those that can be used again */
	int64_t stream;
	uint16_t id; /* the caller's */
	uint8_t out[LENGTH_SIZE + QUESTIONS_SIZE_MAX];
	size_t out_size;
	uint8_t in[LENGTH_SIZE + LANE_QUIC_REPLY_MAX];
	size_t in_size; /* of the whole reply */
};

STAILQ_HEAD(quic_streams, quic_stream);

struct lane_quic {
	ngtcp2_crypto_conn_ref ref; /* GnuTLS has a pointer to it */
	ngtcp2_conn *conn;
	gnutls_session_t tls;
	int fd;
	ngtcp2_sockaddr_union local;
	ngtcp2_sockaddr_union remote;
	ngtcp2_path path;
	enum lane_quic_state state;
	lane_quic_reply_fn on_reply;
	void *ctx;
	SLIST_HEAD(, quic_stream) all;
	struct quic_streams waiting;
	struct quic_streams unused;
};

/* Datagrams on their way; all connections of the one thread share them. */
static struct {
	struct mmsghdr messages[LANE_QUIC_BATCH];
	struct iovec pieces[LANE_QUIC_BATCH];
	uint8_t data[LANE_QUIC_BATCH][DATAGRAM_MAX];
} batch;

static ngtcp2_tstamp now(void)
{
	return (ngtcp2_tstamp)clock_now_ns();
}

/* --- what connections have in common ---------------------------------------------------------- */

struct lane_quic_context *lane_quic_create_context(void)
{
	struct lane_quic_context *context = calloc(1, sizeof(*context));

	if (context && gnutls_certificate_allocate_credentials(&context->credentials) == 0 &&
	    gnutls_priority_init(&context->priorities, priorities, NULL) == 0)
		return context;
	lane_quic_destroy_context(context);
	return NULL;
}

void lane_quic_destroy_context(struct lane_quic_context *context)
{
	if (!context)
		return;
	if (context->credentials)
		gnutls_certificate_free_credentials(context->credentials);
	if (context->priorities)
		gnutls_priority_deinit(context->priorities);
	gnutls_free(context->session.data);
	free(context);
}

bool lane_quic_keep_session(struct lane_quic *quic, struct lane_quic_context *context)
{
	gnutls_free(context->session.data);
	context->session = (gnutls_datum_t){NULL, 0};
	return (gnutls_session_get_flags(quic->tls) & GNUTLS_SFLAGS_SESSION_TICKET) &&
	       gnutls_session_get_data2(quic->tls, &context->session) == 0;
}

/* --- callbacks -------------------------------------------------------------------------------- */

static ngtcp2_conn *on_get_conn(ngtcp2_crypto_conn_ref *ref)
{
	const struct lane_quic *quic = ref->user_data;

	return quic->conn;
}

static void on_random(uint8_t *out, size_t size, const ngtcp2_rand_ctx *ctx)
{
	(void)ctx;
	gnutls_rnd(GNUTLS_RND_NONCE, out, size);
}

static int on_new_id(ngtcp2_conn *conn, ngtcp2_cid *id, uint8_t *token, size_t size,
		     void *user_data)
{
	(void)conn, (void)user_data;
	gnutls_rnd(GNUTLS_RND_NONCE, id->data, size);
	id->datalen = size;
	gnutls_rnd(GNUTLS_RND_NONCE, token, NGTCP2_STATELESS_RESET_TOKENLEN);
	return 0;
}

static int on_handshake(ngtcp2_conn *conn, void *user_data)
{
	struct lane_quic *quic = user_data;

	(void)conn;
	quic->state = LANE_QUIC_OPEN;
	return 0;
}

/* Keeps as much of a reply as there is room for. */
static void keep(struct quic_stream *stream, const uint8_t *data, size_t size)
{
	if (stream->in_size < sizeof(stream->in)) {
		size_t room = sizeof(stream->in) - stream->in_size;
		memcpy(stream->in + stream->in_size, data, size < room ? size : room);
	}
	stream->in_size += size;
}

static int on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset,
		   const uint8_t *data, size_t size, void *user_data, void *stream_user_data)
{
	struct lane_quic *quic = user_data;
	struct quic_stream *stream = stream_user_data;

	(void)conn, (void)id, (void)offset;
	if (!stream)
		return 0;
	if (size > 0)
		keep(stream, data, size);
	if (!(flags & NGTCP2_STREAM_DATA_FLAG_FIN) || stream->in_size < LENGTH_SIZE)
		return 0;
	size_t kept = stream->in_size < sizeof(stream->in) ? stream->in_size : sizeof(stream->in);
	bool whole = dns_get16(stream->in) == stream->in_size - LENGTH_SIZE;
	quic->on_reply(quic->ctx, stream->id, stream->in + LENGTH_SIZE,
		       whole ? kept - LENGTH_SIZE : 0);
	return 0;
}

static int on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t error, void *user_data,
		    void *stream_user_data)
{
	struct lane_quic *quic = user_data;
	struct quic_stream *stream = stream_user_data;

	(void)conn, (void)flags, (void)id, (void)error;
	if (!stream)
		return 0;
	if (stream->out_size > 0) /* closed before it was sent: the server wants none of it */
		STAILQ_REMOVE(&quic->waiting, stream, quic_stream, link);
	STAILQ_INSERT_HEAD(&quic->unused, stream, link);
	return 0;
}

static const ngtcp2_callbacks callbacks = {
	.client_initial = ngtcp2_crypto_client_initial_cb,
	.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
	.encrypt = ngtcp2_crypto_encrypt_cb,
	.decrypt = ngtcp2_crypto_decrypt_cb,
	.hp_mask = ngtcp2_crypto_hp_mask_cb,
	.recv_retry = ngtcp2_crypto_recv_retry_cb,
	.update_key = ngtcp2_crypto_update_key_cb,
	.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
	.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
	.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
	.version_negotiation = ngtcp2_crypto_version_negotiation_cb,
	.rand = on_random,
	.get_new_connection_id = on_new_id,
	.handshake_completed = on_handshake,
	.recv_stream_data = on_data,
	.stream_close = on_close,
};

/* --- packets ---------------------------------------------------------------------------------- */

/* Sends the first `count` packets of the batch. What the kernel does not take QUIC sends again. */
static void send_packets(const struct lane_quic *quic, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		batch.messages[i].msg_hdr =
			(struct msghdr){.msg_iov = &batch.pieces[i], .msg_iovlen = 1};
	if (count > 0)
		sendmmsg(quic->fd, batch.messages, count, MSG_DONTWAIT);
}

/* Writes the next packet: the octets, 0 when there is none, or an error of ngtcp2's. */
static ngtcp2_ssize write_packet(struct lane_quic *quic, uint8_t *out)
{
	struct quic_stream *stream = STAILQ_FIRST(&quic->waiting);
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;
	ngtcp2_ssize taken = -1;

	ngtcp2_path_storage_zero(&path);
	if (!stream || quic->state != LANE_QUIC_OPEN)
		return ngtcp2_conn_write_pkt(quic->conn, &path.path, &info, out, PACKET_MAX, now());
	const ngtcp2_vec data = {stream->out, stream->out_size};
	ngtcp2_ssize size = ngtcp2_conn_writev_stream(
		quic->conn, &path.path, &info, out, PACKET_MAX, &taken,
		NGTCP2_WRITE_STREAM_FLAG_FIN, stream->stream, &data, 1, now());
	if (taken >= 0) { /* all of it: a query fits into a packet */
		stream->out_size = 0;
		STAILQ_REMOVE_HEAD(&quic->waiting, link);
	}
	return size;
}

enum lane_quic_state lane_quic_flush(struct lane_quic *quic)
{
	unsigned int count = 0;
	ngtcp2_ssize size = 0;

	while (quic->state != LANE_QUIC_ENDED) {
		size = write_packet(quic, batch.data[count]);
		if (size <= 0)
			break;
		batch.pieces[count] = (struct iovec){batch.data[count], (size_t)size};
		if (++count == LANE_QUIC_BATCH) {
			send_packets(quic, count);
			count = 0;
		}
	}
	send_packets(quic, count);
	if (size < 0)
		quic->state = LANE_QUIC_ENDED;
	else if (quic->state == LANE_QUIC_OPEN) /* with no round trip known, pacing stands still */
		ngtcp2_conn_update_pkt_tx_time(quic->conn, now());
	return quic->state;
}

/* Takes a batch of datagrams; how many there were. */
static int receive_packets(struct lane_quic *quic)
{
	const ngtcp2_pkt_info info = {0};

	for (unsigned int i = 0; i < LANE_QUIC_BATCH; i++) {
		batch.pieces[i] = (struct iovec){batch.data[i], sizeof(batch.data[i])};
		batch.messages[i].msg_hdr =
			(struct msghdr){.msg_iov = &batch.pieces[i], .msg_iovlen = 1};
	}
	int count = recvmmsg(quic->fd, batch.messages, LANE_QUIC_BATCH, MSG_DONTWAIT, NULL);
	if (count < 0 && errno == ECONNREFUSED)
		quic->state = LANE_QUIC_ENDED; /* nobody is there */
	for (int i = 0; i < count && quic->state != LANE_QUIC_ENDED; i++) {
		if (ngtcp2_conn_read_pkt(quic->conn, &quic->path, &info, batch.data[i],
					 batch.messages[i].msg_len, now()) != 0)
			quic->state = LANE_QUIC_ENDED;
	}
	return count;
}

enum lane_quic_state lane_quic_receive(struct lane_quic *quic)
{
	int count;
	bool any = false;

	if (quic->state == LANE_QUIC_ENDED)
		return quic->state;
	do {
		count = receive_packets(quic);
		any |= count > 0;
	} while (count == LANE_QUIC_BATCH && quic->state != LANE_QUIC_ENDED);
	if (quic->state != LANE_QUIC_ENDED && ngtcp2_conn_get_expiry(quic->conn) <= now()) {
		any = true;
		if (ngtcp2_conn_handle_expiry(quic->conn, now()) != 0)
			quic->state = LANE_QUIC_ENDED;
	}
	return any ? lane_quic_flush(quic) : quic->state;
}

/* --- queries ---------------------------------------------------------------------------------- */

static struct quic_stream *take_stream(struct lane_quic *quic)
{
	struct quic_stream *stream = STAILQ_FIRST(&quic->unused);

	if (stream) {
		STAILQ_REMOVE_HEAD(&quic->unused, link);
		return stream;
	}
	stream = malloc(sizeof(*stream));
	if (stream)
		SLIST_INSERT_HEAD(&quic->all, stream, every);
	return stream;
}

bool lane_quic_ask(struct lane_quic *quic, uint16_t id, const uint8_t *query, size_t size)
{
	if (quic->state != LANE_QUIC_OPEN || ngtcp2_conn_get_streams_bidi_left(quic->conn) == 0)
		return false;
	struct quic_stream *stream = take_stream(quic);
	if (!stream)
		return false;
	stream->id = id;
	stream->in_size = 0;
	stream->out_size = LENGTH_SIZE + size;
	dns_put16(stream->out, (uint16_t)size);
	memcpy(stream->out + LENGTH_SIZE, query, size);
	dns_put16(stream->out + LENGTH_SIZE, 0); /* RFC 9250 section 4.2.1 */
	if (ngtcp2_conn_open_bidi_stream(quic->conn, &stream->stream, stream) != 0) {
		STAILQ_INSERT_HEAD(&quic->unused, stream, link);
		return false;
	}
	STAILQ_INSERT_TAIL(&quic->waiting, stream, link);
	return true;
}

bool lane_quic_is_resumed(const struct lane_quic *quic)
{
	return gnutls_session_is_resumed(quic->tls) != 0;
}

/* --- life and death --------------------------------------------------------------------------- */

static bool open_tls(struct lane_quic *quic, const struct lane_quic_context *context)
{
	static unsigned char doq[] = "doq";
	const gnutls_datum_t protocol = {doq, sizeof(doq) - 1};

	if (gnutls_init(&quic->tls, GNUTLS_CLIENT) != 0)
		return false;
	quic->ref = (ngtcp2_crypto_conn_ref){.get_conn = on_get_conn, .user_data = quic};
	gnutls_session_set_ptr(quic->tls, &quic->ref);
	return gnutls_priority_set(quic->tls, context->priorities) == 0 &&
	       ngtcp2_crypto_gnutls_configure_client_session(quic->tls) == 0 &&
	       gnutls_alpn_set_protocols(quic->tls, &protocol, 1, GNUTLS_ALPN_MANDATORY) == 0 &&
	       gnutls_credentials_set(quic->tls, GNUTLS_CRD_CERTIFICATE, context->credentials) ==
		       0 &&
	       (!context->session.data || gnutls_session_set_data(quic->tls, context->session.data,
								  context->session.size) == 0);
}

static bool open_connection(struct lane_quic *quic)
{
	ngtcp2_settings settings;
	ngtcp2_transport_params params;
	ngtcp2_cid theirs = {.datalen = ID_SIZE};
	ngtcp2_cid ours = {.datalen = ID_SIZE};

	ngtcp2_settings_default(&settings);
	settings.initial_ts = now();
	settings.max_tx_udp_payload_size = PACKET_MAX;
	settings.no_pmtud = 1;
	ngtcp2_transport_params_default(&params);
	params.initial_max_stream_data_bidi_local = STREAM_WINDOW;
	params.initial_max_data = WINDOW;
	params.max_idle_timeout = IDLE_S * NGTCP2_SECONDS;
	params.max_udp_payload_size = DATAGRAM_MAX;
	gnutls_rnd(GNUTLS_RND_NONCE, theirs.data, theirs.datalen);
	gnutls_rnd(GNUTLS_RND_NONCE, ours.data, ours.datalen);
	if (ngtcp2_conn_client_new(&quic->conn, &theirs, &ours, &quic->path, NGTCP2_PROTO_VER_V1,
				   &callbacks, &settings, &params, NULL, quic) != 0) {
		quic->conn = NULL;
		return false;
	}
	ngtcp2_conn_set_tls_native_handle(quic->conn, quic->tls);
	/* With all answered and no stream permitted, nothing else would tell that the server is
	 * gone. */
	ngtcp2_conn_set_keep_alive_timeout(quic->conn, ASK_ALIVE_MS * NGTCP2_MILLISECONDS);
	return true;
}

static bool find_path(struct lane_quic *quic)
{
	socklen_t local_size = sizeof(quic->local);
	socklen_t remote_size = sizeof(quic->remote);

	if (getsockname(quic->fd, &quic->local.sa, &local_size) != 0 ||
	    getpeername(quic->fd, &quic->remote.sa, &remote_size) != 0)
		return false;
	quic->path.local = (ngtcp2_addr){&quic->local.sa, local_size};
	quic->path.remote = (ngtcp2_addr){&quic->remote.sa, remote_size};
	return true;
}

struct lane_quic *lane_quic_open(struct lane_quic_context *context, int fd,
				 lane_quic_reply_fn on_reply, void *ctx)
{
	struct lane_quic *quic = calloc(1, sizeof(*quic));

	if (!quic)
		return NULL;
	quic->fd = fd;
	quic->on_reply = on_reply;
	quic->ctx = ctx;
	SLIST_INIT(&quic->all);
	STAILQ_INIT(&quic->waiting);
	STAILQ_INIT(&quic->unused);
	errno = ENOMEM;
	if (find_path(quic) && open_tls(quic, context) && open_connection(quic) &&
	    lane_quic_flush(quic) != LANE_QUIC_ENDED)
		return quic;
	lane_quic_close(quic);
	return NULL;
}

/* Says that it was a good end, once the handshake is done. */
static void say_end(struct lane_quic *quic)
{
	ngtcp2_connection_close_error error;
	ngtcp2_path_storage path;
	ngtcp2_pkt_info info;

	ngtcp2_path_storage_zero(&path);
	ngtcp2_connection_close_error_default(&error);
	ngtcp2_connection_close_error_set_application_error(&error, 0, NULL, 0);
	ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
		quic->conn, &path.path, &info, batch.data[0], PACKET_MAX, &error, now());
	if (size <= 0)
		return;
	batch.pieces[0] = (struct iovec){batch.data[0], (size_t)size};
	send_packets(quic, 1);
}

void lane_quic_close(struct lane_quic *quic)
{
	struct quic_stream *stream;

	if (!quic)
		return;
	if (quic->state == LANE_QUIC_OPEN)
		say_end(quic);
	if (quic->conn)
		ngtcp2_conn_del(quic->conn);
	if (quic->tls)
		gnutls_deinit(quic->tls);
	while ((stream = SLIST_FIRST(&quic->all))) {
		SLIST_REMOVE_HEAD(&quic->all, every);
		free(stream);
	}
	free(quic);
}

struct lane_quic *lane_quic_connect(struct lane_quic_context *context, int fd,
				    lane_quic_reply_fn on_reply, void *ctx)
{
	struct lane_quic *quic = lane_quic_open(context, fd, on_reply, ctx);
	struct pollfd wait = {fd, POLLIN, 0};
	int64_t begun_ns = clock_now_ns();

	while (quic && lane_quic_receive(quic) == LANE_QUIC_HANDSHAKING &&
	       clock_now_ns() - begun_ns < CONNECT_MS * INT64_C(1000000))
		poll(&wait, 1, 10);
	if (quic && quic->state == LANE_QUIC_OPEN)
		return quic;
	lane_quic_close(quic);
	errno = EPROTO;
	return NULL;
}
