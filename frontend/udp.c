/* DNS over UDP. */
#include "frontend/udp.h"

#include "common/address.h"
#include "common/clock.h"
#include "frontend/datagram.h"
#include "frontend/listen.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longest datagram that is read; what is longer is cut and answered FORMERR. */
#define UDP_RECEIVE_MAX 4096
/* Longest datagram that is sent: the highest limits.udp_payload. */
#define UDP_SEND_MAX SERVE_REPLY_MAX
/* A line of the processor's cache between two buffers, so that their beginnings do not compete for
   the same few places in it. */
#define UDP_GAP 64
/* Messages that go through serve.h's steps together. */
#define UDP_ABREAST 16
/* A batch as large as this says that more have come meanwhile: they are read at once ... */
#define UDP_BUSY 8
/* ... but so many batches at most before other events have their turn. */
#define UDP_BATCHES_PER_EVENT 4

union udp_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct udp_receive {
	struct mmsghdr headers[UDP_BATCH];
	struct iovec vectors[UDP_BATCH];
	union udp_address clients[UDP_BATCH];
	union datagram_control controls[UDP_BATCH];
	uint8_t messages[UDP_BATCH][UDP_RECEIVE_MAX + UDP_GAP];
};

struct udp_send {
	size_t count;
	int fds[UDP_BATCH];
	struct mmsghdr headers[UDP_BATCH];
	struct iovec vectors[UDP_BATCH];
	union udp_address clients[UDP_BATCH];
	union datagram_control controls[UDP_BATCH];
	uint8_t messages[UDP_BATCH][UDP_SEND_MAX + UDP_GAP];
};

struct udp_socket {
	LIST_ENTRY(udp_socket) link;
	struct udp_server *server;
	struct event *event;
	int fd;
	bool wildcard; /* bound to no address: each reply must be told where to leave from */
};

struct udp_server {
	struct event_base *base;
	struct serve *serve;
	LIST_HEAD(, udp_socket) sockets;
	struct udp_receive receive;
	struct serve_message read[UDP_ABREAST];
	struct udp_send send;
};

/* --- sending ---------------------------------------------------------------------------------- */

void udp_flush(struct udp_server *server)
{
	struct udp_send *send = &server->send;
	size_t lost = datagram_send_batch(send->fds, send->headers, send->count);
	if (lost > 0)
		metrics_add(server->serve->shard, FRONTEND_DROPS_SEND, lost);
	send->count = 0;
}

/* Makes a reply leave from where its query arrived. */
static void udp_write_control(const struct udp_path *path, struct msghdr *header)
{
	if (path->client.any.sa_family == AF_INET) {
		datagram_leave_from_v4(header, path->local.v4.ipi_spec_dst);
		return;
	}
	const struct in6_pktinfo *local = &path->local.v6;
	datagram_leave_from_v6(header, &local->ipi6_addr,
			       IN6_IS_ADDR_LINKLOCAL(&local->ipi6_addr) ? local->ipi6_ifindex : 0);
}

/* The buffer that the next reply is to be written to. */
static uint8_t *udp_next_reply(struct udp_server *server)
{
	if (server->send.count == UDP_BATCH)
		udp_flush(server);
	return server->send.messages[server->send.count];
}

/* Lets the reply in that buffer leave with the others. */
static void udp_gather_reply(struct udp_server *server, const struct udp_path *path, size_t size)
{
	struct udp_send *send = &server->send;
	size_t at = send->count++;
	bool v4 = path->client.any.sa_family == AF_INET;
	memcpy(&send->clients[at], &path->client, sizeof(send->clients[at]));
	send->fds[at] = path->socket->fd;
	send->vectors[at] = (struct iovec){send->messages[at], size};
	send->headers[at].msg_hdr = (struct msghdr){
		.msg_name = &send->clients[at],
		.msg_namelen = v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
		.msg_iov = &send->vectors[at],
		.msg_iovlen = 1,
	};
	if (!path->socket->wildcard)
		return;
	send->headers[at].msg_hdr.msg_control = &send->controls[at];
	udp_write_control(path, &send->headers[at].msg_hdr);
}

static void udp_send_reply(struct query *query, const uint8_t *reply, size_t size)
{
	struct udp_server *server = query->path.udp.socket->server;
	memcpy(udp_next_reply(server), reply, size);
	udp_gather_reply(server, &query->path.udp, size);
}

static void udp_format_client(const struct query *query, char *out, size_t size)
{
	address_format(&query->path.udp.client.any, out, size);
}

static const struct transport udp_transport = {
	.name = "udp",
	.queries = FRONTEND_QUERIES_UDP,
	.datagram = true,
	.send = udp_send_reply,
	.format_client = udp_format_client,
};

/* --- receiving -------------------------------------------------------------------------------- */

/* Notes where a datagram was sent to. */
static void udp_read_control(struct msghdr *header, struct udp_path *path)
{
	memset(&path->local, 0, sizeof(path->local));
	for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
	     control = CMSG_NXTHDR(header, control)) {
		if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO)
			memcpy(&path->local.v4, CMSG_DATA(control), sizeof(path->local.v4));
		else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO)
			memcpy(&path->local.v6, CMSG_DATA(control), sizeof(path->local.v6));
	}
}

/* Takes the message that was received as number `at` and has been read. */
static void udp_take(struct udp_socket *socket, size_t at, struct serve_message *message,
		     int64_t now_ns)
{
	struct udp_server *server = socket->server;
	struct udp_receive *receive = &server->receive;
	struct serve_reply reply;
	struct udp_path at_once;
	reply.octets = udp_next_reply(server);
	enum serve_outcome outcome =
		serve_take_read(server->serve, &udp_transport, message, now_ns, &reply);
	if (outcome == SERVE_DROPPED)
		return;
	struct udp_path *path = outcome == SERVE_REPLIED ? &at_once : &reply.query->path.udp;
	path->socket = socket;
	memcpy(&path->client, &receive->clients[at], sizeof(receive->clients[at]));
	if (socket->wildcard)
		udp_read_control(&receive->headers[at].msg_hdr, path);
	if (outcome == SERVE_REPLIED)
		udp_gather_reply(server, path, reply.size);
	else
		serve_query(server->serve, reply.query);
}

/* Takes `count` messages, UDP_ABREAST at most, received as number `first` and following. */
static void udp_take_abreast(struct udp_socket *socket, size_t first, size_t count, int64_t now_ns)
{
	struct udp_server *server = socket->server;
	struct udp_receive *receive = &server->receive;
	for (size_t i = 0; i < count; i++)
		serve_read(server->serve, &udp_transport, receive->messages[first + i],
			   receive->headers[first + i].msg_len, &server->read[i]);
	for (size_t i = 0; i < count; i++)
		serve_expect_answer(server->serve, &server->read[i]);
	for (size_t i = 0; i < count; i++)
		serve_expect_facts(server->serve, &server->read[i]);
	for (size_t i = 0; i < count; i++)
		udp_take(socket, first + i, &server->read[i], now_ns);
}

static int udp_receive(struct udp_socket *socket)
{
	struct udp_receive *receive = &socket->server->receive;
	size_t control_size = socket->wildcard ? sizeof(receive->controls[0]) : 0;
	for (size_t i = 0; i < UDP_BATCH; i++) {
		receive->headers[i].msg_hdr.msg_namelen = sizeof(receive->clients[i]);
		receive->headers[i].msg_hdr.msg_controllen = control_size;
	}
	return recvmmsg(socket->fd, receive->headers, UDP_BATCH, MSG_DONTWAIT, NULL);
}

static void udp_on_readable(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct udp_socket *socket = ctx;
	for (int batch = 0; batch < UDP_BATCHES_PER_EVENT; batch++) {
		int received = udp_receive(socket);
		/* Nothing, or an error of one earlier reply (ICMP): gone once read. */
		size_t count = received > 0 ? (size_t)received : 0;
		int64_t now_ns = clock_now_ns();
		for (size_t i = 0; i < count; i += UDP_ABREAST)
			udp_take_abreast(socket, i,
					 count - i < UDP_ABREAST ? count - i : UDP_ABREAST, now_ns);
		serve_observe(socket->server->serve, now_ns);
		udp_flush(socket->server);
		if (count < UDP_BUSY)
			break;
	}
}

/* --- life and death --------------------------------------------------------------------------- */

struct udp_server *udp_create(struct event_base *base, struct serve *serve)
{
	struct udp_server *server = malloc(sizeof(*server));
	if (!server)
		return NULL;
	server->base = base;
	server->serve = serve;
	LIST_INIT(&server->sockets);
	server->send.count = 0;
	struct udp_receive *receive = &server->receive;
	for (size_t i = 0; i < UDP_BATCH; i++) {
		receive->vectors[i] = (struct iovec){receive->messages[i], UDP_RECEIVE_MAX};
		receive->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &receive->clients[i],
			.msg_iov = &receive->vectors[i],
			.msg_iovlen = 1,
			.msg_control = &receive->controls[i],
		};
	}
	return server;
}

void udp_destroy(struct udp_server *server)
{
	if (!server)
		return;
	struct udp_socket *socket;
	while ((socket = LIST_FIRST(&server->sockets))) {
		LIST_REMOVE(socket, link);
		event_free(socket->event);
		close(socket->fd);
		free(socket);
	}
	free(server);
}

int udp_add_socket(struct udp_server *server, int fd)
{
	struct udp_socket *socket = calloc(1, sizeof(*socket));
	if (!socket)
		goto failed;
	socket->server = server;
	socket->fd = fd;
	socket->wildcard = listen_is_wildcard(fd);
	socket->event = event_new(server->base, fd, EV_READ | EV_PERSIST, udp_on_readable, socket);
	if (!socket->event || event_add(socket->event, NULL) != 0)
		goto failed;
	LIST_INSERT_HEAD(&server->sockets, socket, link);
	return 0;
failed:
	if (socket && socket->event)
		event_free(socket->event);
	free(socket);
	close(fd);
	return -1;
}

void udp_stop_reading(struct udp_server *server)
{
	struct udp_socket *socket;
	LIST_FOREACH(socket, &server->sockets, link)
		event_del(socket->event);
}
