/* Opening listening sockets. */
#include "frontend/listen.h"

#include "common/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024
#define LISTEN_STREAM_PROTOCOLS                                                                    \
	(FRONTEND_PROTOCOL_TCP | FRONTEND_PROTOCOL_TLS | FRONTEND_PROTOCOL_HTTPS)
/* Room for bursts while a worker is busy; the kernel cuts it to net.core.rmem_max. */
#define LISTEN_UDP_BUFFER (4 * 1024 * 1024)
#define LISTEN_TCP_SEND_BUFFER (64 * 1024) /* replies that a client has not taken yet */

static int listen_fail(const struct address *address, const char *protocol, char *error,
		       size_t error_size)
{
	int cause = errno;
	char text[ADDRESS_TEXT_MAX];
	address_format((const struct sockaddr *)&address->addr, text, sizeof(text));
	const char *advice = "";
	if (cause == EADDRINUSE)
		advice = " (another program listens there)";
	else if (cause == EACCES)
		advice = " (ports below 1024 need CAP_NET_BIND_SERVICE)";
	else if (cause == EADDRNOTAVAIL)
		advice = " (no interface has this address)";
	snprintf(error, error_size, "cannot listen on %s %s: %s%s", protocol, text, strerror(cause),
		 advice);
	return -1;
}

static int listen_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/*
 * Binds, also to an address that no interface has: an anycast address may be put there later, by
 * the announcer that waits for us to answer.
 */
static int listen_bind(int fd, const struct address *address)
{
	const struct sockaddr *addr = (const struct sockaddr *)&address->addr;
	if (bind(fd, addr, address->addr_size) == 0)
		return 0;
	if (errno != EADDRNOTAVAIL)
		return -1;
	if (addr->sa_family == AF_INET)
		listen_set(fd, IPPROTO_IP, IP_FREEBIND, 1);
	else
		listen_set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
	return bind(fd, addr, address->addr_size);
}

static int listen_open(const struct address *address, int type, bool share)
{
	int family = address->addr.ss_family;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* [::] and 0.0.0.0 are two addresses here, whatever the system's default says. */
	if (family == AF_INET6 && listen_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) != 0)
		goto failed;
	if (share && listen_set(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
		goto failed;
	/* Connections of a server that ran before may still linger in TIME_WAIT. */
	if (type == SOCK_STREAM && listen_set(fd, SOL_SOCKET, SO_REUSEADDR, 1) != 0)
		goto failed;
	if (listen_bind(fd, address) != 0)
		goto failed;
	return fd;
failed:;
	int cause = errno;
	close(fd);
	errno = cause;
	return -1;
}

bool listen_is_wildcard(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} bound = {0};
	socklen_t size = sizeof(bound);
	if (getsockname(fd, &bound.any, &size) != 0)
		return true; /* the slower way is always right */
	if (bound.any.sa_family == AF_INET)
		return bound.v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&bound.v6.sin6_addr);
}

static int listen_set_udp_options(int fd, int family)
{
	/* A socket with an address of its own need not be told of each datagram's. */
	int wildcard = listen_is_wildcard(fd);
	/* Best effort: a smaller buffer serves as well until bursts come. */
	listen_set(fd, SOL_SOCKET, SO_RCVBUF, LISTEN_UDP_BUFFER);
	if (family == AF_INET) {
		if (listen_set(fd, IPPROTO_IP, IP_PKTINFO, wildcard) != 0)
			return -1;
		return listen_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
	}
	if (listen_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, wildcard) != 0)
		return -1;
	return listen_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
}

int listen_open_udp(const struct address *address, char *error, size_t error_size)
{
	int fd = listen_open(address, SOCK_DGRAM, true);
	if (fd < 0)
		return listen_fail(address, "UDP", error, error_size);
	if (listen_set_udp_options(fd, address->addr.ss_family) != 0) {
		listen_fail(address, "UDP", error, error_size);
		close(fd);
		return -1;
	}
	return fd;
}

int listen_open_tcp(const struct address *address, char *error, size_t error_size)
{
	int fd = listen_open(address, SOCK_STREAM, true);
	if (fd < 0)
		return listen_fail(address, "TCP", error, error_size);
	/* Best effort. Accepted sockets inherit both, which costs no system calls for each. */
	listen_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	listen_set(fd, SOL_SOCKET, SO_SNDBUF, LISTEN_TCP_SEND_BUFFER);
	if (listen(fd, LISTEN_BACKLOG) != 0) {
		listen_fail(address, "TCP", error, error_size);
		close(fd);
		return -1;
	}
	return fd;
}

static int listen_probe(const struct address *address, int type, const char *protocol, char *error,
			size_t error_size)
{
	int fd = listen_open(address, type, false);
	if (fd < 0)
		return listen_fail(address, protocol, error, error_size);
	close(fd);
	return 0;
}

/* Says so when no interface has an address yet: it may be meant, or a slip. */
static void listen_note_absence(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];
	int fd = socket(address->addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage any_port = address->addr;
	if (fd < 0)
		return;
	if (any_port.ss_family == AF_INET)
		((struct sockaddr_in *)&any_port)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&any_port)->sin6_port = 0;
	if (bind(fd, (const struct sockaddr *)&any_port, address->addr_size) != 0 &&
	    errno == EADDRNOTAVAIL) {
		address_format((const struct sockaddr *)&address->addr, text, sizeof(text));
		log_warning("no interface has this address yet: queries come once one has it",
			    "address=%s", text);
	}
	close(fd);
}

int listen_check_free(const struct frontend_config *config, char *error, size_t error_size)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct frontend_listen *listen = &config->listen[i];
		if ((listen->protocols & (FRONTEND_PROTOCOL_UDP | FRONTEND_PROTOCOL_QUIC)) &&
		    listen_probe(&listen->address, SOCK_DGRAM, "UDP", error, error_size) != 0)
			return -1;
		if ((listen->protocols & LISTEN_STREAM_PROTOCOLS) &&
		    listen_probe(&listen->address, SOCK_STREAM, "TCP", error, error_size) != 0)
			return -1;
		listen_note_absence(&listen->address);
	}
	return 0;
}
