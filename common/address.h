/*
 * Addresses as people write them in configuration: "192.0.2.1:53", "[2001:db8::1]:53",
 * "host.example:8053", "unix:/run/godwit/backend.sock".
 */
#ifndef GODWIT_COMMON_ADDRESS_H
#define GODWIT_COMMON_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum address_kind { ADDRESS_IP, ADDRESS_HOST, ADDRESS_UNIX };

/* One address, split. `host` holds the host name, IP literal or the path of a unix socket. */
struct address {
	enum address_kind kind;
	char host[256];
	unsigned short port;          /* host byte order; 0 for unix */
	struct sockaddr_storage addr; /* filled for ADDRESS_IP, port included */
	socklen_t addr_size;
};

/* Longest text address_format writes, its NUL included. */
#define ADDRESS_TEXT_MAX 300

/* Splits `text`. Returns 0, or -1 with a reason for a person in `error`. Does no look-ups. */
int address_parse(const char *text, struct address *out, char *error, size_t error_size);

/* Writes a socket address the way address_parse reads it: "192.0.2.1:53", "[::1]:53". */
void address_format(const struct sockaddr *addr, char *out, size_t size);

/* True for 127.0.0.0/8, ::1, the name localhost (RFC 6761) and unix sockets. */
bool address_is_loopback(const struct address *address);

#endif
