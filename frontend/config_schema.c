/* The libcyaml schema of frontend.yaml. */
#include "frontend/config_schema.h"

#include "common/config.h"
#include "frontend/config.h"

#define OPTIONAL CYAML_FLAG_OPTIONAL
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, ADDRESS_TEXT_MAX),
};

static const cyaml_strval_t protocol_names[] = {
	{"udp", FRONTEND_PROTOCOL_UDP},   {"tcp", FRONTEND_PROTOCOL_TCP},
	{"tls", FRONTEND_PROTOCOL_TLS},   {"https", FRONTEND_PROTOCOL_HTTPS},
	{"quic", FRONTEND_PROTOCOL_QUIC},
};

static const cyaml_schema_field_t listen_fields[] = {
	CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER, struct file_listen, address, 1,
			       ADDRESS_TEXT_MAX),
	CYAML_FIELD_FLAGS("protocols", CYAML_FLAG_STRICT | OPTIONAL, struct file_listen, protocols,
			  protocol_names, COUNT(protocol_names)),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t listen_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_listen, listen_fields),
};

/* A string that need not be there. */
#define OPTIONAL_TEXT(name, structure)                                                             \
	CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | OPTIONAL, structure, name, 1,           \
			       CYAML_UNLIMITED)

static const cyaml_schema_field_t certificate_fields[] = {
	CYAML_FIELD_STRING_PTR("certificate", CYAML_FLAG_POINTER, struct file_certificate,
			       certificate, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct file_certificate, key, 1,
			       CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t certificate_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_certificate, certificate_fields),
};

static const cyaml_schema_field_t tls_fields[] = {
	CYAML_FIELD_STRING_PTR("certificate", CYAML_FLAG_POINTER, struct file_tls, certificate, 1,
			       CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct file_tls, key, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("more", CYAML_FLAG_POINTER | OPTIONAL, struct file_tls, more,
			     &certificate_schema, 0, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t https_fields[] = {
	OPTIONAL_TEXT(path, struct file_https),
	OPTIONAL_TEXT(json_path, struct file_https),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t route_tls_fields[] = {
	OPTIONAL_TEXT(ca, struct file_route_tls),
	OPTIONAL_TEXT(certificate, struct file_route_tls),
	OPTIONAL_TEXT(key, struct file_route_tls),
	OPTIONAL_TEXT(server_name, struct file_route_tls),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t route_fields[] = {
	CYAML_FIELD_STRING_PTR("zone", CYAML_FLAG_POINTER, struct file_route, zone, 1,
			       DNS_NAME_TEXT_MAX),
	CYAML_FIELD_BOOL("minimal_any", OPTIONAL, struct file_route, minimal_any),
	CYAML_FIELD_SEQUENCE("backends", CYAML_FLAG_POINTER, struct file_route, backends,
			     &text_schema, 1, CYAML_UNLIMITED),
	CYAML_FIELD_MAPPING_PTR("tls", CYAML_FLAG_POINTER | OPTIONAL, struct file_route, tls,
				route_tls_fields),
	CYAML_FIELD_BOOL("insecure", OPTIONAL, struct file_route, insecure),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t route_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_route, route_fields),
};

static const cyaml_schema_field_t cache_fields[] = {
	CYAML_FIELD_INT_PTR("size_mb", CYAML_FLAG_POINTER | OPTIONAL, struct file_cache, size_mb),
	CYAML_FIELD_INT_PTR("serve_stale_s", CYAML_FLAG_POINTER | OPTIONAL, struct file_cache,
			    serve_stale_s),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	CYAML_FIELD_INT_PTR("udp_payload", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    udp_payload),
	CYAML_FIELD_INT_PTR("tcp_connections", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    tcp_connections),
	CYAML_FIELD_INT_PTR("tcp_idle_s", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    tcp_idle_s),
	CYAML_FIELD_INT_PTR("tls_connections", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    tls_connections),
	CYAML_FIELD_INT_PTR("client_connections", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    client_connections),
	CYAML_FIELD_INT_PTR("tls_idle_s", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    tls_idle_s),
	CYAML_FIELD_INT_PTR("tls_handshake_s", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    tls_handshake_s),
	CYAML_FIELD_INT_PTR("query_timeout_ms", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    query_timeout_ms),
	CYAML_FIELD_INT_PTR("drain_ms", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    drain_ms),
	CYAML_FIELD_INT_PTR("linger_ms", CYAML_FLAG_POINTER | OPTIONAL, struct file_limits,
			    linger_ms),
	CYAML_FIELD_END,
};

static const cyaml_strval_t query_log_names[] = {
	{"none", FRONTEND_QUERY_LOG_NONE},
	{"errors", FRONTEND_QUERY_LOG_ERRORS},
	{"all", FRONTEND_QUERY_LOG_ALL},
};

/* As common/config.h's config_log_fields, and `queries`. */
static const cyaml_schema_field_t log_fields[] = {
	CYAML_FIELD_ENUM_PTR("level", CYAML_FLAG_POINTER | CYAML_FLAG_STRICT | OPTIONAL,
			     struct file_log, level, config_log_levels, CONFIG_LOG_LEVELS),
	CYAML_FIELD_ENUM_PTR("format", CYAML_FLAG_POINTER | CYAML_FLAG_STRICT | OPTIONAL,
			     struct file_log, format, config_log_formats, CONFIG_LOG_FORMATS),
	CYAML_FIELD_ENUM_PTR("queries", CYAML_FLAG_POINTER | CYAML_FLAG_STRICT | OPTIONAL,
			     struct file_log, queries, query_log_names, COUNT(query_log_names)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
	CYAML_FIELD_SEQUENCE("listen", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, listen,
			     &listen_schema, 1, CYAML_UNLIMITED),
	CYAML_FIELD_INT_PTR("workers", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, workers),
	CYAML_FIELD_MAPPING_PTR("tls", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, tls,
				tls_fields),
	CYAML_FIELD_MAPPING_PTR("https", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, https,
				https_fields),
	CYAML_FIELD_BOOL_PTR("discovery", CYAML_FLAG_POINTER | OPTIONAL, struct file_config,
			     discovery),
	CYAML_FIELD_SEQUENCE("routes", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, routes,
			     &route_schema, 1, CYAML_UNLIMITED),
	CYAML_FIELD_MAPPING_PTR("cache", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, cache,
				cache_fields),
	CYAML_FIELD_MAPPING_PTR("limits", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, limits,
				limits_fields),
	CYAML_FIELD_STRING_PTR("watch_socket", CYAML_FLAG_POINTER | OPTIONAL, struct file_config,
			       watch_socket, 1, CYAML_UNLIMITED),
	CYAML_FIELD_STRING_PTR("admin", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, admin, 1,
			       ADDRESS_TEXT_MAX),
	CYAML_FIELD_INT_PTR("top_zones", CYAML_FLAG_POINTER | OPTIONAL, struct file_config,
			    top_zones),
	CYAML_FIELD_MAPPING_PTR("log", CYAML_FLAG_POINTER | OPTIONAL, struct file_config, log,
				log_fields),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t frontend_config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file_config, config_fields),
};
