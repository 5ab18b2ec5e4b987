#include "bench/lane.h"

#include "bench/lane_tls.h"
#include "common/clock.h"
#include "dns/protocol.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BUFFER (4 << 20)
#define FRAME_MAX (2 + QUESTIONS_SIZE_MAX + LANE_TLS_OVERHEAD)

/* One batch on its way; what the kernel fills in or reads. All lanes of the one thread share it. */
static struct {
	struct mmsghdr messages[LANE_BATCH];
	struct iovec pieces[LANE_BATCH];
	uint8_t data[LANE_BATCH][2048];
	uint16_t slots[LANE_BATCH];
} batch;

static void take_quic_reply(void *ctx, uint16_t id, uint8_t *reply, size_t size);

/* Does what comes before the first query. False with errno set. */
static bool shake_hands(struct lane *lane)
{
	if (lane->transport == LANE_TLS) {
		lane->ssl = lane_tls_connect(lane->tls, lane->fd);
		errno = EPROTO;
		return lane->ssl;
	}
	if (lane->transport == LANE_QUIC) {
		lane->quic = lane_quic_connect(lane->quic_context, lane->fd, take_quic_reply, lane);
		return lane->quic;
	}
	return true;
}

static bool connect_socket(struct lane *lane)
{
	const int size = SOCKET_BUFFER;
	const int on = 1;
	const bool stream = lane->transport == LANE_TCP || lane->transport == LANE_TLS;

	lane->fd = socket(AF_INET, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (lane->fd < 0)
		return false;
	if (stream)
		setsockopt(lane->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	else if (setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(lane->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (connect(lane->fd, (const struct sockaddr *)&lane->server, sizeof(lane->server)) != 0)
		return false;
	return shake_hands(lane);
}

bool lane_open(struct lane *lane, const struct lane_options *options)
{
	unsigned int slots = options->slots;

	memset(lane, 0, sizeof(*lane));
	lane->fd = -1;
	lane->transport = options->transport;
	lane->tls = options->tls;
	lane->quic_context = options->quic;
	lane->trains = options->trains;
	lane->server = options->server;
	lane->slot_count = slots;
	lane->slots = calloc(slots, sizeof(*lane->slots));
	lane->unused = calloc(slots, sizeof(*lane->unused));
	lane->out = malloc(LANE_STREAM_SIZE);
	lane->in = malloc(LANE_STREAM_SIZE + 2);
	if (!lane->slots || !lane->unused || !lane->out || !lane->in)
		return false;
	for (unsigned int i = 0; i < slots; i++) {
		lane->slots[i].id = (uint16_t)i;
		lane->unused[lane->unused_count++] = (uint16_t)i;
	}
	for (unsigned int i = 0; i < LANE_BATCH; i++) {
		batch.pieces[i].iov_base = batch.data[i];
		batch.messages[i].msg_hdr =
			(struct msghdr){.msg_iov = &batch.pieces[i], .msg_iovlen = 1};
	}
	return connect_socket(lane);
}

void lane_close(struct lane *lane)
{
	SSL_free(lane->ssl);
	lane_quic_close(lane->quic);
	if (lane->fd >= 0)
		close(lane->fd);
	free(lane->slots);
	free(lane->unused);
	free(lane->out);
	free(lane->in);
}

/* --- slots ----------------------------------------------------------------------------------- */

static uint16_t take_slot(struct lane *lane, int64_t sent_ns)
{
	uint16_t slot = lane->unused[--lane->unused_count];

	if (lane->waiting_ns == 0)
		lane->waiting_ns = sent_ns;
	lane->slots[slot].sent_ns = sent_ns;
	lane->slots[slot].id = (uint16_t)(lane->slots[slot].id + lane->slot_count);
	return slot;
}

static void free_slot(struct lane *lane, uint16_t slot)
{
	lane->slots[slot].sent_ns = 0;
	lane->unused[lane->unused_count++] = slot;
}

void lane_expire(struct lane *lane, int64_t before_ns, struct lane_counts *counts)
{
	for (unsigned int i = 0; i < lane->slot_count; i++) {
		if (lane->slots[i].sent_ns == 0 || lane->slots[i].sent_ns >= before_ns)
			continue;
		free_slot(lane, (uint16_t)i);
		counts->lost++;
	}
}

/* The server closed the connection: what waited on it is lost. */
static void reconnect(struct lane *lane, struct lane_counts *counts)
{
	SSL_free(lane->ssl);
	lane->ssl = NULL;
	lane_quic_close(lane->quic);
	lane->quic = NULL;
	close(lane->fd);
	lane->in_size = 0;
	lane->out_size = 0;
	lane_expire(lane, INT64_MAX, counts);
	lane->waiting_ns = 0;
	counts->reconnects++;
	connect_socket(lane);
}

/* --- replies --------------------------------------------------------------------------------- */

int64_t lane_note_silence(const struct lane *lane, int64_t now_ns, struct lane_counts *counts)
{
	int64_t silence_ns = lane->waiting_ns ? now_ns - lane->waiting_ns : 0;

	if (silence_ns > counts->silence_ns)
		counts->silence_ns = silence_ns;
	return silence_ns;
}

/* A reply has come, if only one that is too late: the server speaks. */
static void end_silence(struct lane *lane, int64_t now_ns, struct lane_counts *counts)
{
	lane_note_silence(lane, now_ns, counts);
	lane->waiting_ns = lane_outstanding(lane) ? now_ns : 0;
	lane->told = false;
}

static void match_reply(struct lane *lane, const uint8_t *reply, int64_t now_ns,
			struct lane_counts *counts)
{
	uint16_t id = dns_get16(reply);
	uint16_t slot = (uint16_t)(id & (lane->slot_count - 1));
	unsigned int rcode = reply[3] & 0x0f;

	if (lane->slots[slot].sent_ns == 0 || lane->slots[slot].id != id) {
		counts->unexpected++;
		return;
	}
	counts->answered++;
	counts->rcodes[rcode]++;
	counts->truncated += (reply[2] & 0x02) != 0;
	counts->empty += rcode == 0 && dns_get16(reply + 6) == 0;
	histogram_add(&counts->latency, now_ns - lane->slots[slot].sent_ns);
	free_slot(lane, slot);
}

static void take_reply(struct lane *lane, const uint8_t *reply, size_t size, int64_t now_ns,
		       struct lane_counts *counts)
{
	if (size < DNS_HEADER_SIZE || !(reply[2] & 0x80)) {
		counts->unexpected++;
		return;
	}
	match_reply(lane, reply, now_ns, counts);
	end_silence(lane, now_ns, counts);
}

static void receive_udp(struct lane *lane, struct lane_counts *counts)
{
	for (unsigned int i = 0; i < LANE_BATCH; i++)
		batch.pieces[i].iov_len = sizeof(batch.data[i]);
	int count = recvmmsg(lane->fd, batch.messages, LANE_BATCH, MSG_DONTWAIT, NULL);
	int64_t now_ns = clock_now_ns();

	for (int i = 0; i < count; i++)
		take_reply(lane, batch.data[i], batch.messages[i].msg_len, now_ns, counts);
}

/* Takes the whole messages off the front of what a stream has brought. RFC 1035 section 4.2.2. */
static void take_frames(struct lane *lane, struct lane_counts *counts)
{
	int64_t now_ns = clock_now_ns();
	size_t at = 0;

	while (lane->in_size - at >= 2) {
		size_t size = dns_get16(lane->in + at);
		if (lane->in_size - at - 2 < size)
			break;
		take_reply(lane, lane->in + at + 2, size, now_ns, counts);
		at += 2 + size;
	}
	memmove(lane->in, lane->in + at, lane->in_size - at);
	lane->in_size -= at;
}

/* Whether the stream has taken all there was to send. */
static bool flush_stream(struct lane *lane)
{
	ssize_t taken = send(lane->fd, lane->out, lane->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (taken > 0) {
		lane->out_size -= (size_t)taken;
		memmove(lane->out, lane->out + taken, lane->out_size);
	}
	return lane->out_size == 0;
}

static ssize_t read_stream(struct lane *lane)
{
	uint8_t *out = lane->in + lane->in_size;
	size_t room = LANE_STREAM_SIZE + 2 - lane->in_size;

	if (lane->transport == LANE_TCP)
		return recv(lane->fd, out, room, MSG_DONTWAIT);
	errno = ECONNRESET;
	return lane->ssl ? lane_tls_read(lane->ssl, out, room) : -1;
}

static void receive_stream(struct lane *lane, struct lane_counts *counts)
{
	if (lane->out_size > 0)
		flush_stream(lane);
	ssize_t size;

	/* A call brings a TLS record, at most; all that has come is taken at once. */
	while ((size = read_stream(lane)) > 0) {
		lane->in_size += (size_t)size;
		take_frames(lane, counts);
		if (lane->transport == LANE_TCP)
			return;
	}
	if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
		reconnect(lane, counts);
	}
}

/* By QUIC all IDs are 0 on the wire: the reply gets that of its query back. */
static void take_quic_reply(void *ctx, uint16_t id, uint8_t *reply, size_t size)
{
	struct lane *lane = ctx;

	if (size >= DNS_HEADER_SIZE)
		dns_put16(reply, id);
	take_reply(lane, reply, size, clock_now_ns(), lane->quic_counts);
}

static void receive_quic(struct lane *lane, struct lane_counts *counts)
{
	lane->quic_counts = counts;
	if (!lane->quic || lane_quic_receive(lane->quic) == LANE_QUIC_ENDED)
		reconnect(lane, counts);
}

void lane_receive(struct lane *lane, struct lane_counts *counts)
{
	uint64_t before = counts->answered;
	int64_t start_ns = clock_now_ns();

	if (lane->transport == LANE_UDP)
		receive_udp(lane, counts);
	else if (lane->transport == LANE_QUIC)
		receive_quic(lane, counts);
	else
		receive_stream(lane, counts);
	if (counts->answered == before)
		counts->idle_ns += clock_now_ns() - start_ns;
}

/* --- queries --------------------------------------------------------------------------------- */

/* Gives back the slots of the queries of the batch that did not leave. */
static unsigned int keep_sent(struct lane *lane, unsigned int count, unsigned int sent)
{
	for (unsigned int i = count; i > sent; i--)
		free_slot(lane, batch.slots[i - 1]);
	if (lane_outstanding(lane) == 0)
		lane->waiting_ns = 0;
	return sent;
}

static unsigned int send_messages(struct lane *lane, struct questions *questions,
				  unsigned int count, int64_t first_ns, int64_t gap_ns)
{
	for (unsigned int i = 0; i < count; i++) {
		uint16_t slot = take_slot(lane, first_ns + (int64_t)i * gap_ns);
		batch.slots[i] = slot;
		batch.pieces[i].iov_len =
			questions_write(questions, lane->slots[slot].id, batch.data[i]);
	}
	int left = sendmmsg(lane->fd, batch.messages, count, MSG_DONTWAIT);

	return keep_sent(lane, count, left > 0 ? (unsigned int)left : 0);
}

/* Sends `size` octets as messages of `segment` octets. */
static ssize_t send_segments(int fd, uint8_t *data, size_t size, uint16_t segment)
{
	union {
		struct cmsghdr header;
		uint8_t space[CMSG_SPACE(sizeof(uint16_t))];
	} control = {.space = {0}};
	struct iovec piece = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control.space)};

	control.header.cmsg_level = SOL_UDP;
	control.header.cmsg_type = UDP_SEGMENT;
	control.header.cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(&control.header), &segment, sizeof(segment));
	return sendmsg(fd, &message, MSG_DONTWAIT);
}

static unsigned int send_train(struct lane *lane, struct questions *questions, unsigned int count,
			       int64_t first_ns, int64_t gap_ns)
{
	size_t total = 0;
	size_t segment = 0;

	for (unsigned int i = 0; i < count; i++) {
		batch.slots[i] = take_slot(lane, first_ns + (int64_t)i * gap_ns);
		segment = questions_write(questions, lane->slots[batch.slots[i]].id,
					  lane->out + total);
		total += segment;
	}
	ssize_t left = send_segments(lane->fd, lane->out, total, (uint16_t)segment);

	if (left < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
		lane->trains = false; /* a kernel without */
	return keep_sent(lane, count, left == (ssize_t)total ? count : 0);
}

/* Appends a query, with its length before it, to what leaves next. */
static void append_query(struct lane *lane, struct questions *questions, uint16_t id)
{
	uint8_t plain[FRAME_MAX];
	uint8_t *out = lane->out + lane->out_size;
	uint8_t *frame = lane->ssl ? plain : out;
	size_t size = questions_write(questions, id, frame + 2);

	dns_put16(frame, (uint16_t)size);
	size += 2;
	if (lane->ssl)
		size = lane_tls_seal(lane->ssl, plain, size, out,
				     LANE_STREAM_SIZE - lane->out_size);
	lane->out_size += size;
}

static unsigned int send_stream(struct lane *lane, struct questions *questions, unsigned int count,
				int64_t first_ns, int64_t gap_ns)
{
	if (lane->out_size > 0 && !flush_stream(lane))
		return 0;
	if (lane->transport == LANE_TLS && !lane->ssl)
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		uint16_t slot = take_slot(lane, first_ns + (int64_t)i * gap_ns);
		append_query(lane, questions, lane->slots[slot].id);
	}
	flush_stream(lane);
	return count;
}

/* As many as the server permits streams; those that congestion control holds back leave later. */
static unsigned int send_quic(struct lane *lane, struct questions *questions, unsigned int count,
			      int64_t first_ns, int64_t gap_ns)
{
	uint8_t query[QUESTIONS_SIZE_MAX];
	unsigned int sent = 0;

	while (lane->quic && sent < count) {
		uint16_t slot = take_slot(lane, first_ns + (int64_t)sent * gap_ns);
		uint16_t id = lane->slots[slot].id;
		size_t size = questions_write(questions, id, query);
		if (!lane_quic_ask(lane->quic, id, query, size)) {
			batch.slots[0] = slot;
			keep_sent(lane, 1, 0);
			break;
		}
		sent++;
	}
	if (sent > 0)
		lane_quic_flush(lane->quic);
	return sent;
}

unsigned int lane_send(struct lane *lane, struct questions *questions, unsigned int count,
		       int64_t first_ns, int64_t gap_ns, struct lane_counts *counts)
{
	_Static_assert(LANE_BATCH * FRAME_MAX <= LANE_STREAM_SIZE, "a batch fits into the stream");
	if (count > LANE_BATCH)
		count = LANE_BATCH;
	if (count > lane->unused_count)
		count = lane->unused_count;
	if (count == 0)
		return 0;
	unsigned int sent;
	if (lane->transport == LANE_QUIC)
		sent = send_quic(lane, questions, count, first_ns, gap_ns);
	else if (lane->transport != LANE_UDP)
		sent = send_stream(lane, questions, count, first_ns, gap_ns);
	else if (lane->trains && count > 1)
		sent = send_train(lane, questions, count, first_ns, gap_ns);
	else
		sent = send_messages(lane, questions, count, first_ns, gap_ns);
	counts->sent += sent;
	return sent;
}
