/*
 * A Redis store's URL:
 *
 *   redis://[user@]host[:port][,host[:port]...][/database][?parameters]
 *   redis+sentinel://host[:port][,...]/master-name[/database][?parameters]
 *   redis+cluster://host[:port][,...][?parameters]
 *   redis+unix:///path/of/socket[?parameters]
 *
 * `rediss` in place of `redis` means TLS, except for the unix socket. The port is 6379, a
 * sentinel's 26379, when not given; an IPv6 address stands in brackets. Parameters are separated by
 * "&", and octets may be written as %XX in all parts:
 *
 *   prefix=dns:               what the keys begin with
 *   db=N                      the database, where the path cannot say it
 *   ca=FILE                   certificates to trust; default: the system's
 *   cert=FILE, key=FILE       the client's own, when the server asks for one
 *   server_name=NAME          the name in the server's certificate, when it is not the host's
 *   sentinel_user=USER, sentinel_password_file=FILE
 *                             for the sentinels, when they ask for it
 *
 * Passwords come from files, so that a URL can be shown. Pure but for malloc. Any thread.
 */
#ifndef GODWIT_STORAGE_REDIS_URL_H
#define GODWIT_STORAGE_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum redis_mode {
	REDIS_SINGLE,   /* one server, or replicas of one: the first that will do */
	REDIS_SENTINEL, /* the hosts are sentinels, who know the primary */
	REDIS_CLUSTER,  /* the hosts are some of the cluster's nodes */
};

struct redis_host {
	char *name;    /* host name, IP address without brackets, or a unix socket's path */
	uint16_t port; /* 0: a unix socket */
};

struct redis_url {
	enum redis_mode mode;
	bool tls;
	struct redis_host *hosts;
	size_t host_count;
	int database;
	char *prefix; /* never NULL; the others are NULL when not given */
	char *user;
	char *master;
	char *ca;
	char *certificate;
	char *key;
	char *server_name;
	char *sentinel_user;
	char *sentinel_password_file;
};

/* Reads a URL. Returns 0 and the caller clears `url`; or -1 with a reason for a person. */
int redis_url_parse(const char *text, struct redis_url *url, char *error, size_t error_size);
void redis_url_clear(struct redis_url *url);

#endif
