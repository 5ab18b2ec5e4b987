/*
 * The sockets of BFD (RFC 5881 and 5883 sections 4 and 5): one to receive on for each port and
 * address family, on the wildcard address, and one to send from for each session, with a source
 * port of its own. Everything goes out with TTL 255 and DSCP CS6; what comes in is handed over with
 * the TTL and the interface it came with, for the caller to judge.
 *
 * All descriptors are non-blocking and close-on-exec.
 */
#ifndef GODWIT_ANNOUNCER_BFD_SOCKET_H
#define GODWIT_ANNOUNCER_BFD_SOCKET_H

#include "announcer/bfd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define BFD_PORT_SINGLE_HOP 3784 /* RFC 5881 */
#define BFD_PORT_MULTIHOP 4784   /* RFC 5883 */

/* RFC 5881 section 4: the source port is one of these. */
#define BFD_SOURCE_PORT_MIN 49152
#define BFD_SOURCE_PORT_MAX 65535

/* A packet's length is told in one octet: of what is longer no more needs to be read. */
#define BFD_DATAGRAM_MAX 256

struct bfd_datagram {
	uint8_t octets[BFD_DATAGRAM_MAX];
	size_t size;
	struct sockaddr_storage source;
	unsigned int interface; /* the index of where it came in; 0: not told */
	int ttl;                /* or hop limit; -1: not told */
};

/* A socket that receives at `port`; -1 with a reason that names the port. */
int bfd_socket_open_receiver(int family, uint16_t port, char *error, size_t error_size);

/* True when there was one. Never blocks. */
bool bfd_socket_receive(int fd, struct bfd_datagram *out);

/*
 * A socket that sends to options->peer from options->local and `source_port`. -1 with errno:
 * EADDRINUSE means that another port may do.
 */
int bfd_socket_open_sender(const struct bfd_options *options, uint16_t source_port);

/* Sends to `port` of options->peer. 0, or -1 with errno. Never blocks. */
int bfd_socket_send(int fd, const struct bfd_options *options, uint16_t port, const uint8_t *octets,
		    size_t size);

/* The index of the interface that options->peer is to be reached by; 0: any, or it is not there. */
unsigned int bfd_socket_interface(const struct bfd_options *options);

/* True when both are the same IP address; ports and scopes are not looked at. */
bool bfd_socket_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* Writes the peer's address as people write it, with its interface when that is needed. */
void bfd_socket_format_peer(const struct bfd_options *options, char *out, size_t size);

#endif
