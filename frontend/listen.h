/* Listening sockets and their options: all platform noise of opening them in one place. */
#ifndef GODWIT_FRONTEND_LISTEN_H
#define GODWIT_FRONTEND_LISTEN_H

#include "frontend/config.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Opens a bound, non-blocking UDP socket. Bound to a wildcard address, it tells each packet's
 * destination address (IP_PKTINFO, IPV6_RECVPKTINFO). It shares its port with the sockets of the
 * other workers, and sends datagrams without path MTU discovery, which a spoofed ICMP message could
 * turn against replies (RFC 9715). Returns the descriptor, or -1 with a line that names the address
 * in `error`.
 */
int listen_open_udp(const struct address *address, char *error, size_t error_size);

/*
 * The same for TCP: bound and listening. What is written to the sockets that it accepts leaves at
 * once, and the kernel keeps little of it for clients that do not read. Either may be bound to an
 * address no interface has yet.
 */
int listen_open_tcp(const struct address *address, char *error, size_t error_size);

/*
 * Warns of addresses that no interface has. Fails, with a line in `error`, when any other socket is
 * bound to an address of `config`. Needed because SO_REUSEPORT would let a second front end of the
 * same user take half of the queries without a word. 0 or -1.
 */
int listen_check_free(const struct frontend_config *config, char *error, size_t error_size);

/* True when a socket is bound to 0.0.0.0 or [::], or cannot be asked. */
bool listen_is_wildcard(int fd);

#endif
