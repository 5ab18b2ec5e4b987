/* Options, ancillary data and addresses: what differs between IPv4 and IPv6 is here. */
#include "announcer/bfd_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SOCKET_TTL 255
#define SOCKET_TRAFFIC_CLASS IPTOS_CLASS_CS6 /* network control */
#define SOCKET_PRIORITY 6                    /* the highest that needs no privilege */

static bool socket_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static socklen_t socket_address_size(int family)
{
	return family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static void socket_set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)address)->sin_port = htons(port);
}

/* Closes `fd` and keeps errno. */
static int socket_fail(int fd)
{
	int reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

static bool socket_want_details(int fd, int family)
{
	if (family == AF_INET6)
		return socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) &&
		       socket_set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
		       socket_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return socket_set(fd, IPPROTO_IP, IP_RECVTTL, 1) &&
	       socket_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

int bfd_socket_open_receiver(int family, uint16_t port, char *error, size_t error_size)
{
	struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	socket_set_port(&any, port);
	if (fd >= 0 && (!socket_want_details(fd, family) ||
			bind(fd, (const struct sockaddr *)&any, socket_address_size(family)) != 0))
		fd = socket_fail(fd);
	if (fd < 0)
		snprintf(error, error_size, "cannot receive BFD on UDP port %u (%s): %s%s", port,
			 family == AF_INET6 ? "IPv6" : "IPv4", strerror(errno),
			 errno == EADDRINUSE ? "; does another BFD daemon run here?" : "");
	return fd;
}

/* Reads what came beside the octets. */
static void socket_read_details(struct msghdr *message, struct bfd_datagram *out)
{
	struct in_pktinfo ipv4;
	struct in6_pktinfo ipv6;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
			memcpy(&out->ttl, CMSG_DATA(c), sizeof(out->ttl));
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&ipv4, CMSG_DATA(c), sizeof(ipv4));
			out->interface = (unsigned int)ipv4.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&ipv6, CMSG_DATA(c), sizeof(ipv6));
			out->interface = ipv6.ipi6_ifindex;
		}
	}
}

bool bfd_socket_receive(int fd, struct bfd_datagram *out)
{
	_Alignas(struct cmsghdr) char control[256];
	struct iovec iov = {.iov_base = out->octets, .iov_len = sizeof(out->octets)};
	struct msghdr message = {
		.msg_name = &out->source,
		.msg_namelen = sizeof(out->source),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size;

	do
		size = recvmsg(fd, &message, 0);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return false;
	out->size = (size_t)size;
	out->interface = 0;
	out->ttl = -1;
	socket_read_details(&message, out);
	return true;
}

/* TTL, class and priority: the last after the class, which sets it too. */
static bool socket_mark(int fd, int family)
{
	bool done;

	if (family == AF_INET6)
		done = socket_set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, SOCKET_TTL) &&
		       socket_set(fd, IPPROTO_IPV6, IPV6_TCLASS, SOCKET_TRAFFIC_CLASS) &&
		       socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	else
		done = socket_set(fd, IPPROTO_IP, IP_TTL, SOCKET_TTL) &&
		       socket_set(fd, IPPROTO_IP, IP_TOS, SOCKET_TRAFFIC_CLASS);
	return done && socket_set(fd, SOL_SOCKET, SO_PRIORITY, SOCKET_PRIORITY);
}

/* A link-local address means nothing without its interface. */
static void socket_set_scope(struct sockaddr_storage *address, const struct bfd_options *options)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&sin6->sin6_addr))
		sin6->sin6_scope_id = bfd_socket_interface(options);
}

int bfd_socket_open_sender(const struct bfd_options *options, uint16_t source_port)
{
	int family = options->peer.ss_family;
	const char *interface = options->interface;
	struct sockaddr_storage from = {.ss_family = (sa_family_t)family};
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (options->local.ss_family == family)
		from = options->local;
	socket_set_port(&from, source_port);
	socket_set_scope(&from, options);
	/* Nothing is expected on it: what comes is not kept for long. */
	socket_set(fd, SOL_SOCKET, SO_RCVBUF, 0);
	if (!socket_mark(fd, family) ||
	    (interface[0] != '\0' && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
						(socklen_t)strlen(interface)) != 0) ||
	    bind(fd, (const struct sockaddr *)&from, socket_address_size(family)) != 0)
		return socket_fail(fd);
	return fd;
}

int bfd_socket_send(int fd, const struct bfd_options *options, uint16_t port, const uint8_t *octets,
		    size_t size)
{
	struct sockaddr_storage to = options->peer;
	ssize_t sent;

	socket_set_port(&to, port);
	socket_set_scope(&to, options);
	do
		sent = sendto(fd, octets, size, MSG_NOSIGNAL, (const struct sockaddr *)&to,
			      socket_address_size(to.ss_family));
	while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)size ? 0 : -1;
}

unsigned int bfd_socket_interface(const struct bfd_options *options)
{
	const struct sockaddr_in6 *peer = (const struct sockaddr_in6 *)&options->peer;

	if (options->interface[0] != '\0')
		return if_nametoindex(options->interface);
	return options->peer.ss_family == AF_INET6 ? peer->sin6_scope_id : 0;
}

bool bfd_socket_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6)
		return IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)a)->sin6_addr,
					  &((const struct sockaddr_in6 *)b)->sin6_addr);
	return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
	       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

void bfd_socket_format_peer(const struct bfd_options *options, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";
	const void *address = &((const struct sockaddr_in *)&options->peer)->sin_addr;

	if (options->peer.ss_family == AF_INET6)
		address = &((const struct sockaddr_in6 *)&options->peer)->sin6_addr;
	inet_ntop(options->peer.ss_family, address, host, sizeof(host));
	snprintf(out, size, "%s%s%s", host, options->interface[0] ? "%" : "", options->interface);
}
