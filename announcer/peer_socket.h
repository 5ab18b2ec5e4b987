/*
 * The TCP sockets of BGP: what is set on them before and after they stand, and the differences
 * between IPv4 and IPv6.
 *
 * Each is non-blocking and close-on-exec, sends at once (TCP_NODELAY) and with DSCP CS6, notices
 * when the other machine is gone, and where the peer's configuration says so signs its segments
 * (TCP MD5, RFC 2385) and takes only packets that came directly (GTSM, RFC 5082). Without GTSM
 * packets to an external peer live for as many hops as `multihop` allows; an internal peer may be
 * anywhere.
 *
 * All functions are for the control thread.
 */
#ifndef GODWIT_ANNOUNCER_PEER_SOCKET_H
#define GODWIT_ANNOUNCER_PEER_SOCKET_H

#include "announcer/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * A machine that answers neither data nor TCP keepalives for the hold time, or this long if that is
 * longer, has lost its connections: so a router that was switched off before it said OPEN, or while
 * no hold time is in use, is noticed too. Without a hold time RFC 4271's own 90 s count.
 */
#define PEER_SOCKET_SILENCE_MIN_S 10
#define PEER_SOCKET_SILENCE_DEFAULT_S 90

#define PEER_SOCKET_PORT 179
#define PEER_SOCKET_NO_PORT 0

/* Room for an address as peer_socket_format writes it, its NUL included. */
#define PEER_SOCKET_TEXT_MAX 80

/*
 * Begins to connect to the peer; the socket becomes writable when that has ended, and
 * peer_socket_error says how. -1 with a reason.
 */
int peer_socket_connect(const struct announcer_bgp *bgp, const struct announcer_peer *peer,
			char *error, size_t error_size);

/* 0 when a connection stands, else the errno it failed with. */
int peer_socket_error(int fd);

/*
 * Listens on `address` for all peers of its family, with the keys of those that have a password.
 * -1 with a reason that names the address, or the peer.
 */
int peer_socket_listen(const struct announcer_bgp *bgp, const struct address *address, char *error,
		       size_t error_size);

/* Sets on an accepted connection what this peer's need. 0, or -1 with a reason. */
int peer_socket_adopt(int fd, const struct announcer_bgp *bgp, const struct announcer_peer *peer,
		      char *error, size_t error_size);

/* True when `from`, as accept(2) gave it, is the peer's address (and interface); not the port. */
bool peer_socket_is_from(const struct announcer_peer *peer, const struct sockaddr_storage *from);

/* Our address of a connection; family AF_UNSPEC when it is not known. */
void peer_socket_local(int fd, struct sockaddr_storage *out);

/* True when all that was written has been acknowledged. */
bool peer_socket_is_flushed(int fd);

/*
 * Writes an address for people: "192.0.2.254", "fe80::1%eth0", with the port behind it when that is
 * not `usual_port`: "192.0.2.254:1179"; PEER_SOCKET_NO_PORT: without it. Returns `out`.
 */
char *peer_socket_format(const struct sockaddr_storage *address, uint16_t usual_port,
			 char out[PEER_SOCKET_TEXT_MAX]);

#endif
