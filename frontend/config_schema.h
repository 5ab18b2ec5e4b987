/*
 * frontend.yaml as it stands in the file, before defaults and checks: what libcyaml fills in. A
 * NULL pointer is a key that is not there. For config.c only.
 */
#ifndef GODWIT_FRONTEND_CONFIG_SCHEMA_H
#define GODWIT_FRONTEND_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdint.h>

struct file_listen {
	char *address;
	uint32_t protocols; /* enum frontend_protocol bits */
};

struct file_certificate {
	char *certificate;
	char *key;
};

struct file_tls {
	char *certificate;
	char *key;
	struct file_certificate *more;
	unsigned int more_count;
};

struct file_https {
	char *path;
	char *json_path;
};

struct file_route_tls {
	char *ca;
	char *certificate;
	char *key;
	char *server_name;
};

struct file_route {
	char *zone;
	bool minimal_any;
	char **backends;
	unsigned int backends_count;
	struct file_route_tls *tls;
	bool insecure;
};

struct file_cache {
	int64_t *size_mb;
	int64_t *serve_stale_s;
};

struct file_limits {
	int64_t *udp_payload;
	int64_t *tcp_connections;
	int64_t *tcp_idle_s;
	int64_t *tls_connections;
	int64_t *client_connections;
	int64_t *tls_idle_s;
	int64_t *tls_handshake_s;
	int64_t *query_timeout_ms;
	int64_t *drain_ms;
	int64_t *linger_ms;
};

struct file_log {
	int *level;
	int *format;
	int *queries;
};

struct file_config {
	struct file_listen *listen;
	unsigned int listen_count;
	int64_t *workers;
	struct file_tls *tls;
	struct file_https *https;
	bool *discovery;
	struct file_route *routes;
	unsigned int routes_count;
	struct file_cache *cache;
	struct file_limits *limits;
	char *watch_socket;
	char *admin;
	int64_t *top_zones;
	struct file_log *log;
};

/* The schema of the whole file: a mapping, to struct file_config *. */
extern const cyaml_schema_value_t frontend_config_schema;

#endif
