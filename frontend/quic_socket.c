/* Sockets of QUIC. */
#include "frontend/quic_socket.h"

#include "frontend/datagram.h"
#include "frontend/listen.h"
#include "frontend/metrics.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIC_BATCH 64
/* So many batches at most before other events have their turn. */
#define QUIC_BATCHES_PER_EVENT 4

struct quic_socket {
	LIST_ENTRY(quic_socket) link;
	struct quic_sockets *sockets;
	struct event *event;
	int fd;
	bool wildcard;
	ngtcp2_sockaddr_union bound;
};

struct quic_batch {
	size_t count; /* of sending */
	int fds[QUIC_BATCH];
	struct mmsghdr headers[QUIC_BATCH];
	struct iovec vectors[QUIC_BATCH];
	ngtcp2_sockaddr_union clients[QUIC_BATCH];
	union datagram_control controls[QUIC_BATCH];
};

struct quic_sockets {
	struct event_base *base;
	struct metrics_shard *shard;
	struct quic_socket_handler handler;
	LIST_HEAD(, quic_socket) list;
	struct quic_batch receive;
	struct quic_batch send;
	uint8_t received[QUIC_BATCH][QUIC_RECEIVE_MAX];
	uint8_t sent[QUIC_BATCH][QUIC_SEND_MAX];
};

static ngtcp2_socklen quic_address_size(const ngtcp2_sockaddr_union *address)
{
	return address->sa.sa_family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
}

/* --- sending ---------------------------------------------------------------------------------- */

uint8_t *quic_sockets_next(struct quic_sockets *sockets)
{
	if (sockets->send.count == QUIC_BATCH)
		quic_sockets_flush(sockets);
	return sockets->sent[sockets->send.count];
}

/* Makes a datagram leave from an address. */
static void quic_write_control(const struct sockaddr *from, struct msghdr *header)
{
	ngtcp2_sockaddr_union local;
	if (from->sa_family == AF_INET) {
		memcpy(&local.in, from, sizeof(local.in));
		datagram_leave_from_v4(header, local.in.sin_addr);
	} else {
		memcpy(&local.in6, from, sizeof(local.in6));
		datagram_leave_from_v6(header, &local.in6.sin6_addr, local.in6.sin6_scope_id);
	}
}

void quic_sockets_send(struct quic_sockets *sockets, const ngtcp2_path *path, size_t size)
{
	const struct quic_socket *socket = path->user_data;
	struct quic_batch *send = &sockets->send;
	size_t at = send->count++;
	memcpy(&send->clients[at], path->remote.addr, path->remote.addrlen);
	send->fds[at] = socket->fd;
	send->vectors[at] = (struct iovec){sockets->sent[at], size};
	send->headers[at].msg_hdr = (struct msghdr){
		.msg_name = &send->clients[at],
		.msg_namelen = path->remote.addrlen,
		.msg_iov = &send->vectors[at],
		.msg_iovlen = 1,
	};
	if (!socket->wildcard)
		return;
	send->headers[at].msg_hdr.msg_control = &send->controls[at];
	quic_write_control(path->local.addr, &send->headers[at].msg_hdr);
}

void quic_sockets_flush(struct quic_sockets *sockets)
{
	struct quic_batch *send = &sockets->send;
	size_t lost = datagram_send_batch(send->fds, send->headers, send->count);
	if (lost > 0)
		metrics_add(sockets->shard, FRONTEND_QUIC_UNSENT, lost);
	send->count = 0;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Where a datagram was sent to: the address that the socket is bound to, or was told. */
static ngtcp2_sockaddr_union quic_read_control(const struct quic_socket *socket,
					       struct msghdr *header)
{
	ngtcp2_sockaddr_union local = socket->bound;
	for (struct cmsghdr *control = socket->wildcard ? CMSG_FIRSTHDR(header) : NULL; control;
	     control = CMSG_NXTHDR(header, control)) {
		if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(control), sizeof(info));
			local.in.sin_addr = info.ipi_spec_dst;
		} else if (control->cmsg_level == IPPROTO_IPV6 &&
			   control->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(control), sizeof(info));
			local.in6.sin6_addr = info.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				local.in6.sin6_scope_id = info.ipi6_ifindex;
		}
	}
	return local;
}

static void quic_take_datagram(struct quic_socket *socket, size_t at)
{
	struct quic_sockets *sockets = socket->sockets;
	struct mmsghdr *received = &sockets->receive.headers[at];
	ngtcp2_sockaddr_union *client = &sockets->receive.clients[at];
	if (received->msg_len == 0 || (received->msg_hdr.msg_flags & MSG_TRUNC)) {
		metrics_add(sockets->shard, FRONTEND_QUIC_IGNORED, 1);
		return;
	}
	ngtcp2_sockaddr_union local = quic_read_control(socket, &received->msg_hdr);
	const ngtcp2_path path = {
		.local = {&local.sa, quic_address_size(&local)},
		.remote = {&client->sa, quic_address_size(client)},
		.user_data = socket,
	};
	sockets->handler.receive(sockets->handler.ctx, &path, sockets->received[at],
				 received->msg_len);
}

static int quic_receive(struct quic_socket *socket)
{
	struct quic_batch *receive = &socket->sockets->receive;
	for (size_t i = 0; i < QUIC_BATCH; i++) {
		receive->headers[i].msg_hdr.msg_namelen = sizeof(receive->clients[i]);
		receive->headers[i].msg_hdr.msg_controllen = sizeof(receive->controls[i]);
	}
	return recvmmsg(socket->fd, receive->headers, QUIC_BATCH, MSG_DONTWAIT, NULL);
}

static void quic_on_readable(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct quic_socket *socket = ctx;
	struct quic_sockets *sockets = socket->sockets;
	for (int batch = 0; batch < QUIC_BATCHES_PER_EVENT; batch++) {
		int received = quic_receive(socket);
		/* Nothing, or an error of an earlier datagram (ICMP): gone once read. */
		size_t count = received > 0 ? (size_t)received : 0;
		for (size_t i = 0; i < count; i++)
			quic_take_datagram(socket, i);
		sockets->handler.done(sockets->handler.ctx);
		if (count < QUIC_BATCH)
			break;
	}
}

/* --- life and death --------------------------------------------------------------------------- */

struct quic_sockets *quic_sockets_create(struct event_base *base, struct metrics_shard *shard,
					 const struct quic_socket_handler *handler)
{
	struct quic_sockets *sockets = calloc(1, sizeof(*sockets));
	if (!sockets)
		return NULL;
	sockets->base = base;
	sockets->shard = shard;
	sockets->handler = *handler;
	LIST_INIT(&sockets->list);
	struct quic_batch *receive = &sockets->receive;
	for (size_t i = 0; i < QUIC_BATCH; i++) {
		receive->vectors[i] = (struct iovec){sockets->received[i], QUIC_RECEIVE_MAX};
		receive->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &receive->clients[i],
			.msg_iov = &receive->vectors[i],
			.msg_iovlen = 1,
			.msg_control = &receive->controls[i],
		};
	}
	return sockets;
}

void quic_sockets_destroy(struct quic_sockets *sockets)
{
	struct quic_socket *socket;
	if (!sockets)
		return;
	while ((socket = LIST_FIRST(&sockets->list))) {
		LIST_REMOVE(socket, link);
		event_free(socket->event);
		close(socket->fd);
		free(socket);
	}
	free(sockets);
}

/* Best effort: where it cannot be had, datagrams of 1200 octets hardly ever meet a smaller MTU. */
static void quic_forbid_fragments(int fd, int family)
{
	const int v4 = IP_PMTUDISC_PROBE;
	const int v6 = IPV6_PMTUDISC_PROBE;
	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof(v4));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof(v6));
}

int quic_sockets_add(struct quic_sockets *sockets, int fd)
{
	struct quic_socket *socket = calloc(1, sizeof(*socket));
	if (!socket)
		goto failed;
	socket->sockets = sockets;
	socket->fd = fd;
	socket->wildcard = listen_is_wildcard(fd);
	socklen_t size = sizeof(socket->bound);
	if (getsockname(fd, &socket->bound.sa, &size) != 0)
		goto failed;
	quic_forbid_fragments(fd, socket->bound.sa.sa_family);
	socket->event =
		event_new(sockets->base, fd, EV_READ | EV_PERSIST, quic_on_readable, socket);
	if (!socket->event || event_add(socket->event, NULL) != 0)
		goto failed;
	LIST_INSERT_HEAD(&sockets->list, socket, link);
	return 0;
failed:
	if (socket && socket->event)
		event_free(socket->event);
	free(socket);
	close(fd);
	return -1;
}
