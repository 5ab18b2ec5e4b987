/*
 * The front end's configuration file, checked and with defaults filled in.
 *
 * What a running program can change on SIGHUP: `routes`, `log.level` and `log.format`. The rest
 * needs a restart; frontend_config_is_reloadable tells.
 */
#ifndef GODWIT_FRONTEND_CONFIG_H
#define GODWIT_FRONTEND_CONFIG_H

#include "common/address.h"
#include "common/log.h"
#include "dns/name.h"
#include "frontend/life_line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of frontend_listen.protocols. */
enum frontend_protocol {
	FRONTEND_PROTOCOL_UDP = 1,
	FRONTEND_PROTOCOL_TCP = 2,
	FRONTEND_PROTOCOL_TLS = 4,
	FRONTEND_PROTOCOL_HTTPS = 8,
	FRONTEND_PROTOCOL_QUIC = 16,
	/* Those that need `tls`, and are served by threads of their own (worker.h). */
	FRONTEND_PROTOCOLS_SECURE =
		FRONTEND_PROTOCOL_TLS | FRONTEND_PROTOCOL_HTTPS | FRONTEND_PROTOCOL_QUIC,
};

/* Which queries get a log line of their own (query_log.h). */
enum frontend_query_log {
	FRONTEND_QUERY_LOG_NONE,
	FRONTEND_QUERY_LOG_ERRORS,
	FRONTEND_QUERY_LOG_ALL,
};

struct frontend_listen {
	struct address address; /* ADDRESS_IP */
	unsigned int protocols;
};

struct frontend_backend {
	char text[ADDRESS_TEXT_MAX]; /* as configured */
	struct address address;
};

/* One certificate for clients: paths of PEM files. */
struct frontend_certificate {
	char *certificate;
	char *key;
};

/* For listeners with tls, https, quic. The first one is shown to clients that ask for no name, or
   for one that no certificate has. */
struct frontend_tls {
	struct frontend_certificate *certificates;
	size_t count;
};

/* DNS over HTTPS (RFC 8484). */
struct frontend_https {
	char *path;      /* of application/dns-message: "/dns-query" */
	char *json_path; /* of application/dns-json: "/resolve"; may be the same as `path` */
};

/* How backends of a route are reached: plaintext unless `enabled`. Paths of PEM files, or NULL. */
struct frontend_route_tls {
	bool enabled;
	char *ca;          /* NULL: the system's */
	char *certificate; /* our own, for mutual TLS; goes with `key` */
	char *key;
	char *server_name; /* the name their certificates must have; NULL: the host as configured */
};

struct frontend_route {
	uint8_t zone[DNS_NAME_MAX]; /* uncompressed wire name */
	bool minimal_any;           /* ANY is answered in place (RFC 8482) */
	struct frontend_backend *backends;
	size_t backend_count;
	struct frontend_route_tls tls;
	bool insecure; /* plaintext to backends beyond this machine is wanted */
};

struct frontend_limits {
	uint16_t udp_payload; /* octets of the largest UDP reply, whatever the client takes */
	unsigned int tcp_connections; /* open at a time, all workers together */
	int tcp_idle_s;
	unsigned int tls_connections;    /* TLS, HTTPS and QUIC together, all workers together */
	unsigned int client_connections; /* of those, from one client address (IPv6: one /64) */
	int tls_idle_s;                  /* without a query */
	int tls_handshake_s;             /* from accepting to a finished handshake */
	int query_timeout_ms;            /* from a query's arrival to SERVFAIL */
	int drain_ms;  /* at the end, to wait for announcers to withdraw; 0: not at all */
	int linger_ms; /* at the end, to go on answering in any case */
};

struct frontend_log {
	enum log_level level;
	enum log_format format;
	enum frontend_query_log queries;
};

struct frontend_config {
	struct frontend_listen *listen;
	size_t listen_count;
	unsigned int workers; /* threads; never 0 */
	struct frontend_tls tls;
	struct frontend_https https;
	bool discovery; /* answer _dns.resolver.arpa with our encrypted endpoints (RFC 9462) */
	struct frontend_route *routes;
	size_t route_count;
	unsigned int cache_size_mb;
	unsigned int cache_serve_stale_s;
	struct frontend_limits limits;
	char watch_socket[LIFE_LINE_PATH_MAX]; /* the life line's (life_line.h); "": none */
	char admin[ADDRESS_TEXT_MAX];
	unsigned int top_zones; /* that /metrics tells of; 0: none are counted */
	struct frontend_log log;
};

/*
 * Reads and checks the file at `path`; NULL means defaults only: UDP and TCP on 127.0.0.1:5300,
 * everything to a backend at 127.0.0.1:8053, admin on 127.0.0.1:9153. NULL on failure, with one
 * line that names file, line and key in `error`.
 */
struct frontend_config *frontend_config_load(const char *path, char *error, size_t error_size);
void frontend_config_free(struct frontend_config *config);

/* True when `a` and `b` differ in nothing but what SIGHUP can change. */
bool frontend_config_is_reloadable(const struct frontend_config *a,
				   const struct frontend_config *b);

#endif
