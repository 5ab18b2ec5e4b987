/* Options and addresses of BGP's connections; see the header. */
#include "announcer/peer_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SOCKET_BACKLOG 64
#define SOCKET_TRAFFIC_CLASS IPTOS_CLASS_CS6 /* network control */
#define SOCKET_PRIORITY 6                    /* the highest that needs no privilege */
#define SOCKET_TTL_MAX 255
#define SOCKET_TTL_INTERNAL 64

/* A SYN as the kernel keeps it: headers of IP, with all their options, and TCP. */
#define SOCKET_SYN_MAX 1024
#define SOCKET_SYN_MIN 40
#define SOCKET_SYN_TTL_IPV4 8
#define SOCKET_SYN_HOPS_IPV6 7

/* TCP keepalives begin after half of the silence that is allowed, and are so many. */
#define SOCKET_KEEPALIVE_COUNT 3

static bool socket_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static socklen_t socket_address_size(int family)
{
	return family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* Closes `fd`; `what` and errno become the reason. */
static int socket_fail(int fd, const char *what, char *error, size_t error_size)
{
	int cause = errno;
	if (fd >= 0)
		close(fd);
	snprintf(error, error_size, "%s: %s", what, strerror(cause));
	return -1;
}

/* --- options ---------------------------------------------------------------------------------- */

static bool socket_set_ttl(int fd, int family, int ttl)
{
	if (family == AF_INET6)
		return socket_set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
	return socket_set(fd, IPPROTO_IP, IP_TTL, ttl);
}

static bool socket_set_min_ttl(int fd, int family, int ttl)
{
	if (family == AF_INET6)
		return socket_set(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl);
	return socket_set(fd, IPPROTO_IP, IP_MINTTL, ttl);
}

static int socket_count_hops(const struct announcer_peer *peer)
{
	int hops = peer->multihop > 1 ? (int)peer->multihop : 1;
	return hops < SOCKET_TTL_MAX ? hops : SOCKET_TTL_MAX;
}

/* Who is over the network's hops: RFC 5082 section 3, and eBGP's custom without it. */
static bool socket_set_hops(int fd, const struct announcer_bgp *bgp,
			    const struct announcer_peer *peer)
{
	int family = peer->address.addr.ss_family;
	int hops = socket_count_hops(peer);
	if (peer->ttl_security)
		return socket_set_ttl(fd, family, SOCKET_TTL_MAX) &&
		       socket_set_min_ttl(fd, family, SOCKET_TTL_MAX - hops + 1);
	if (peer->as == bgp->as && hops == 1)
		hops = SOCKET_TTL_INTERNAL;
	return socket_set_ttl(fd, family, hops);
}

/* The other machine is gone when it has not answered for so long. */
static bool socket_set_silence(int fd, const struct announcer_bgp *bgp)
{
	int limit_s = bgp->hold_time_s > 0 ? bgp->hold_time_s : PEER_SOCKET_SILENCE_DEFAULT_S;
	if (limit_s < PEER_SOCKET_SILENCE_MIN_S)
		limit_s = PEER_SOCKET_SILENCE_MIN_S;
	int interval_s = limit_s / 2 / SOCKET_KEEPALIVE_COUNT;
	return socket_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, limit_s * 1000) &&
	       socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, limit_s / 2) &&
	       socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s) &&
	       socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, SOCKET_KEEPALIVE_COUNT) &&
	       socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/*
 * What every socket has. DSCP and priority are the network's business: one that does not let us set
 * them still carries BGP.
 */
static bool socket_set_common(int fd, int family, const struct announcer_bgp *bgp)
{
	if (family == AF_INET6)
		socket_set(fd, IPPROTO_IPV6, IPV6_TCLASS, SOCKET_TRAFFIC_CLASS);
	else
		socket_set(fd, IPPROTO_IP, IP_TOS, SOCKET_TRAFFIC_CLASS);
	socket_set(fd, SOL_SOCKET, SO_PRIORITY, SOCKET_PRIORITY);
	return socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1) && socket_set_silence(fd, bgp);
}

/* The key for all segments to and from the peer: on a listener it is one of several. */
static bool socket_set_password(int fd, const struct announcer_peer *peer)
{
	struct tcp_md5sig key = {.tcpm_keylen = (uint16_t)strlen(peer->password)};
	if (key.tcpm_keylen == 0)
		return true;
	memcpy(&key.tcpm_addr, &peer->address.addr, sizeof(key.tcpm_addr));
	memcpy(key.tcpm_key, peer->password, key.tcpm_keylen);
	bool set = setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) == 0;
	explicit_bzero(&key, sizeof(key));
	return set;
}

/* --- connecting ------------------------------------------------------------------------------- */

/* The peer's address with its interface's index as it is now: interfaces come and go. */
static bool socket_find_peer(const struct announcer_peer *peer, struct sockaddr_storage *out)
{
	memcpy(out, &peer->address.addr, sizeof(*out));
	if (!peer->interface[0] || out->ss_family != AF_INET6)
		return true;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	v6->sin6_scope_id = if_nametoindex(peer->interface);
	return v6->sin6_scope_id != 0;
}

static bool socket_bind_source(int fd, const struct announcer_peer *peer,
			       const struct sockaddr_storage *to)
{
	struct sockaddr_storage source = peer->source;
	if (source.ss_family == AF_UNSPEC)
		return true;
	if (source.ss_family == AF_INET6 && peer->interface[0])
		((struct sockaddr_in6 *)&source)->sin6_scope_id =
			((const struct sockaddr_in6 *)to)->sin6_scope_id;
	socket_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	return bind(fd, (const struct sockaddr *)&source, socket_address_size(source.ss_family)) ==
	       0;
}

int peer_socket_connect(const struct announcer_bgp *bgp, const struct announcer_peer *peer,
			char *error, size_t error_size)
{
	struct sockaddr_storage to;
	if (!socket_find_peer(peer, &to)) {
		snprintf(error, error_size, "there is no interface %s", peer->interface);
		return -1;
	}
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return socket_fail(-1, "no socket", error, error_size);
	if (!socket_set_common(fd, to.ss_family, bgp) || !socket_set_hops(fd, bgp, peer))
		return socket_fail(fd, "a socket's options", error, error_size);
	if (!socket_set_password(fd, peer))
		return socket_fail(fd, "TCP MD5", error, error_size);
	if (!socket_bind_source(fd, peer, &to))
		return socket_fail(fd, "cannot send from the configured source", error, error_size);
	if (connect(fd, (const struct sockaddr *)&to, socket_address_size(to.ss_family)) != 0 &&
	    errno != EINPROGRESS)
		return socket_fail(fd, "cannot connect", error, error_size);
	return fd;
}

int peer_socket_error(int fd)
{
	int cause = 0;
	socklen_t size = sizeof(cause);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &cause, &size) != 0)
		return errno;
	return cause;
}

/* --- being connected to ----------------------------------------------------------------------- */

int peer_socket_listen(const struct announcer_bgp *bgp, const struct address *address, char *error,
		       size_t error_size)
{
	int family = address->addr.ss_family;
	char text[ADDRESS_TEXT_MAX];
	char what[ADDRESS_TEXT_MAX + 80];
	address_format((const struct sockaddr *)&address->addr, text, sizeof(text));
	snprintf(what, sizeof(what), "cannot listen on %s", text);

	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return socket_fail(-1, what, error, error_size);
	/* TTL 255: a peer with GTSM must not drop our SYN-ACK, sent before we know who it is. */
	if (!socket_set_common(fd, family, bgp) || !socket_set_ttl(fd, family, SOCKET_TTL_MAX) ||
	    !socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    !socket_set(fd, IPPROTO_TCP, TCP_SAVE_SYN, 1) || /* see socket_is_near */
	    (family == AF_INET6 && !socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)))
		return socket_fail(fd, what, error, error_size);
	for (size_t i = 0; i < bgp->peer_count; i++) {
		const struct announcer_peer *peer = &bgp->peers[i];
		if (peer->address.addr.ss_family == family && !socket_set_password(fd, peer)) {
			snprintf(what, sizeof(what), "%s: TCP MD5 for peer %s", text,
				 peer->description);
			return socket_fail(fd, what, error, error_size);
		}
	}
	if (bind(fd, (const struct sockaddr *)&address->addr, address->addr_size) != 0) {
		if (errno == EACCES)
			snprintf(what, sizeof(what),
				 "cannot listen on %s (needs CAP_NET_BIND_SERVICE)", text);
		return socket_fail(fd, what, error, error_size);
	}
	if (listen(fd, SOCKET_BACKLOG) != 0)
		return socket_fail(fd, what, error, error_size);
	return fd;
}

/*
 * Whether an accepted connection began near enough for GTSM. What the kernel took before it knew
 * whose the connection is, an OPEN already among it, is as near as the SYN was. Where the SYN is
 * not known (a SYN cookie), only what comes from now on is checked, by the kernel.
 */
static bool socket_is_near(int fd, const struct announcer_peer *peer)
{
	uint8_t syn[SOCKET_SYN_MAX];
	socklen_t size = sizeof(syn);
	bool v6 = peer->address.addr.ss_family == AF_INET6;
	if (!peer->ttl_security)
		return true;
	if (getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, syn, &size) != 0)
		return false;
	return size < SOCKET_SYN_MIN || syn[v6 ? SOCKET_SYN_HOPS_IPV6 : SOCKET_SYN_TTL_IPV4] >
						SOCKET_TTL_MAX - socket_count_hops(peer);
}

int peer_socket_adopt(int fd, const struct announcer_bgp *bgp, const struct announcer_peer *peer,
		      char *error, size_t error_size)
{
	if (!socket_set_common(fd, peer->address.addr.ss_family, bgp) ||
	    !socket_set_hops(fd, bgp, peer))
		return socket_fail(-1, "a socket's options", error, error_size);
	if (!socket_is_near(fd, peer)) {
		snprintf(error, error_size, "it connected from too far away (RFC 5082)");
		return -1;
	}
	return 0;
}

bool peer_socket_is_from(const struct announcer_peer *peer, const struct sockaddr_storage *from)
{
	const struct sockaddr_storage *own = &peer->address.addr;
	if (own->ss_family != from->ss_family)
		return false;
	if (own->ss_family == AF_INET)
		return ((const struct sockaddr_in *)own)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)from)->sin_addr.s_addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
	if (!IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)own)->sin6_addr, &v6->sin6_addr))
		return false;
	return !peer->interface[0] || v6->sin6_scope_id == if_nametoindex(peer->interface);
}

/* --- a connection that stands ----------------------------------------------------------------- */

void peer_socket_local(int fd, struct sockaddr_storage *out)
{
	socklen_t size = sizeof(*out);
	memset(out, 0, sizeof(*out));
	if (getsockname(fd, (struct sockaddr *)out, &size) != 0)
		out->ss_family = AF_UNSPEC;
}

bool peer_socket_is_flushed(int fd)
{
	int waiting = 0;
	return ioctl(fd, SIOCOUTQ, &waiting) == 0 && waiting == 0;
}

char *peer_socket_format(const struct sockaddr_storage *address, uint16_t usual_port,
			 char out[PEER_SOCKET_TEXT_MAX])
{
	bool v6 = address->ss_family == AF_INET6;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)address;
	char host[INET6_ADDRSTRLEN] = "";
	char scope[1 + IF_NAMESIZE] = "";
	out[0] = '\0';
	if (!v6 && address->ss_family != AF_INET)
		return out;
	inet_ntop(address->ss_family,
		  v6 ? (const void *)&in6->sin6_addr : (const void *)&in4->sin_addr, host,
		  sizeof(host));
	if (v6 && in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, scope + 1))
		scope[0] = '%';
	uint16_t port = ntohs(v6 ? in6->sin6_port : in4->sin_port);
	if (port == usual_port || usual_port == PEER_SOCKET_NO_PORT)
		snprintf(out, PEER_SOCKET_TEXT_MAX, "%s%s", host, scope);
	else
		snprintf(out, PEER_SOCKET_TEXT_MAX, v6 ? "[%s%s]:%u" : "%s%s:%u", host, scope,
			 port);
	return out;
}
