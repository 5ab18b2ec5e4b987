/*
 * Addresses between text and struct. Numeric literals go through the C library's own parsers, so
 * that scopes ("[fe80::1%eth0]:53") work; names are only checked for their characters, looking them
 * up is for whoever connects.
 */
#include "common/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

static int address_fail(char *error, size_t error_size, const char *text, const char *problem)
{
	snprintf(error, error_size, "\"%s\" %s", text, problem);
	return -1;
}

/* A decimal port from 1 to 65535, or 0. */
static unsigned short address_parse_port(const char *text)
{
	size_t length = strlen(text);
	if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
		return 0;
	unsigned long port = strtoul(text, NULL, 10);
	return port <= 65535 ? (unsigned short)port : 0;
}

/*
 * Letters, digits, hyphens, underscores and dots, and a last label that is not all digits: what
 * looks like an IPv4 address but is none is a slip, not a name.
 */
static bool address_is_host_name(const char *host)
{
	size_t length = strlen(host);
	if (length == 0 || length > 253 || host[0] == '.' || strstr(host, ".."))
		return false;
	bool digits_only = true;
	for (const char *p = host; *p; p++) {
		if (*p == '.' && p[1])
			digits_only = true;
		else if (*p != '.' && !isdigit((unsigned char)*p))
			digits_only = false;
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			return false;
	}
	return !digits_only;
}

static int address_parse_unix(const char *text, struct address *out, char *error, size_t error_size)
{
	const char *path = text + strlen("unix:");
	struct sockaddr_un *sun = (struct sockaddr_un *)&out->addr;
	size_t length = strlen(path);
	if (length == 0)
		return address_fail(error, error_size, text, "names no path after \"unix:\"");
	if (length >= sizeof(sun->sun_path) || length >= sizeof(out->host))
		return address_fail(error, error_size, text,
				    "is too long: a socket's path has at most 107 octets");
	out->kind = ADDRESS_UNIX;
	memcpy(out->host, path, length + 1);
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, length + 1);
	out->addr_size = sizeof(*sun);
	return 0;
}

/* Fills `addr` from out->host and out->port when the host is a literal of `family`. */
static bool address_fill_literal(struct address *out, int family)
{
	const struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct in_addr strict;
	char port[8];
	struct addrinfo *found = NULL;

	/* getaddrinfo takes "127.1" and "010.0.0.1" for IPv4 too; inet_pton does not. */
	if (family == AF_INET && inet_pton(AF_INET, out->host, &strict) != 1)
		return false;
	snprintf(port, sizeof(port), "%hu", out->port);
	if (getaddrinfo(out->host, port, &hints, &found) != 0)
		return false;
	memcpy(&out->addr, found->ai_addr, found->ai_addrlen);
	out->addr_size = found->ai_addrlen;
	out->kind = ADDRESS_IP;
	freeaddrinfo(found);
	return true;
}

int address_parse(const char *text, struct address *out, char *error, size_t error_size)
{
	memset(out, 0, sizeof(*out));
	if (strncmp(text, "unix:", 5) == 0)
		return address_parse_unix(text, out, error, error_size);

	bool bracketed = text[0] == '[';
	const char *host = bracketed ? text + 1 : text;
	const char *end = bracketed ? strchr(host, ']') : strrchr(host, ':');
	if (!end || (bracketed && end[1] != ':'))
		return address_fail(error, error_size, text, "has no port: write HOST:PORT");
	size_t length = (size_t)(end - host);
	if (!bracketed && memchr(host, ':', length))
		return address_fail(error, error_size, text,
				    "is ambiguous: write an IPv6 address as [ADDRESS]:PORT");
	if (length == 0)
		return address_fail(error, error_size, text,
				    "has no host: write 0.0.0.0 or [::] for all addresses");
	if (length >= sizeof(out->host))
		return address_fail(error, error_size, text, "is too long");
	memcpy(out->host, host, length);

	out->port = address_parse_port(end + (bracketed ? 2 : 1));
	if (out->port == 0)
		return address_fail(error, error_size, text, "needs a port from 1 to 65535");
	if (address_fill_literal(out, bracketed ? AF_INET6 : AF_INET))
		return 0;
	if (bracketed)
		return address_fail(error, error_size, text, "has no IPv6 address in its brackets");
	if (!address_is_host_name(out->host))
		return address_fail(error, error_size, text, "names no IP address or host");
	out->kind = ADDRESS_HOST;
	return 0;
}

void address_format(const struct sockaddr *addr, char *out, size_t size)
{
	char host[NI_MAXHOST];
	char port[NI_MAXSERV];

	if (addr->sa_family == AF_UNIX) {
		snprintf(out, size, "unix:%s", ((const struct sockaddr_un *)addr)->sun_path);
		return;
	}
	socklen_t length = addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						       : sizeof(struct sockaddr_in);
	if (getnameinfo(addr, length, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(out, size, "address family %d", addr->sa_family);
	else
		snprintf(out, size, addr->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

bool address_is_loopback(const struct address *address)
{
	if (address->kind == ADDRESS_UNIX)
		return true;
	if (address->kind != ADDRESS_IP)
		return strcasecmp(address->host, "localhost") == 0;
	if (address->addr.ss_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)&address->addr;
		return ntohl(sin->sin_addr.s_addr) >> 24 == 127;
	}
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&address->addr)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(v6))
		return v6->s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(v6);
}
