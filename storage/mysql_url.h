/*
 * The URL of a MySQL or MariaDB store, taken apart:
 *
 *     mysql://user@host:port,host:port/database?tls=verify&ca=FILE
 *
 * User and database may be percent-encoded (RFC 3986 section 2.1); an IPv6 address stands in
 * brackets; a port left out is 3306. Parameters, all optional:
 *
 *     socket=PATH      a Unix socket instead of the hosts
 *     tls=MODE         off, required (encrypted, to whoever answers), verify (and only to the
 *                      server its certificate names); verify when `ca` is given, else off
 *     ca=FILE          the certificates that may sign the server's; the system's without it
 *     cert=FILE        a client certificate, and
 *     key=FILE         its key
 *     poll_ms=N        how often a follower looks for changes
 *
 * A password in the URL is refused: URLs show up in logs and process lists. Pure; any thread.
 */
#ifndef GODWIT_STORAGE_MYSQL_URL_H
#define GODWIT_STORAGE_MYSQL_URL_H

#include <stdbool.h>
#include <stddef.h>

#define MYSQL_URL_PORT 3306

enum mysql_tls {
	MYSQL_TLS_DEFAULT, /* only while parsing */
	MYSQL_TLS_OFF,
	MYSQL_TLS_REQUIRED,
	MYSQL_TLS_VERIFY,
};

struct mysql_host {
	char *name; /* or address, without brackets */
	unsigned int port;
};

struct mysql_url {
	char *user;
	struct mysql_host *hosts; /* in the order to be tried; none with a socket alone */
	size_t host_count;
	char *database;
	char *socket; /* NULL: none, as the files */
	char *ca;
	char *certificate;
	char *key;
	enum mysql_tls tls;
	int poll_ms; /* 0: not given */
};

/*
 * Parses what follows "mysql:". Returns false with a reason, which never repeats a password, in
 * `error`; `url` is empty then.
 */
bool mysql_url_parse(struct mysql_url *url, const char *location, char *error, size_t error_size);

/* Frees what a parsed URL owns and makes it empty. */
void mysql_url_clear(struct mysql_url *url);

#endif
