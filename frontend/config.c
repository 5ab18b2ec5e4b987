/*
 * From frontend.yaml to struct frontend_config: defaults for what is absent, and the checks that a
 * schema cannot make. libcyaml reads the file into struct file_config (config_schema.h); the
 * functions here carry one block each over and say what is wrong with it.
 */
#include "frontend/config.h"

#include "dns/protocol.h"
#include "frontend/config_internal.h"
#include "frontend/zone_ledger.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LISTEN "127.0.0.1:5300"
#define DEFAULT_BACKEND "127.0.0.1:8053"
#define DEFAULT_ADMIN "127.0.0.1:9153"
#define WORKERS_MAX 1024

/* One CPU, one worker: those this process may run on. */
static unsigned int config_count_cpus(void)
{
	cpu_set_t cpus;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
		return 1;
	return (unsigned int)CPU_COUNT(&cpus);
}

/* A number of the file, or `fallback` when it is not there, if it is within bounds. */
static int config_number(struct check *check, const char *key, const int64_t *value,
			 int64_t fallback, int64_t low, int64_t high, int64_t *out)
{
	*out = value ? *value : fallback;
	if (*out < low || *out > high)
		return FAIL(check, key, "%lld is not between %lld and %lld", (long long)*out,
			    (long long)low, (long long)high);
	return 0;
}

static int config_address(struct check *check, const char *key, const char *text,
			  struct address *out)
{
	char reason[200];
	if (address_parse(text, out, reason, sizeof(reason)) != 0)
		return FAIL(check, key, "%s", reason);
	return 0;
}

static bool config_same_address(const struct address *a, const struct address *b)
{
	return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* True when two protocols of a set need the same port of one address for themselves. */
static bool config_protocols_clash(unsigned int protocols)
{
	unsigned int datagrams = protocols & (FRONTEND_PROTOCOL_UDP | FRONTEND_PROTOCOL_QUIC);
	unsigned int streams = protocols & (FRONTEND_PROTOCOL_TCP | FRONTEND_PROTOCOL_TLS |
					    FRONTEND_PROTOCOL_HTTPS);
	return (datagrams & (datagrams - 1)) != 0 || (streams & (streams - 1)) != 0;
}

static int config_check_listen(struct check *check, const struct frontend_config *config, size_t at,
			       const char *text)
{
	const struct frontend_listen *listen = &config->listen[at];
	char key[64];
	snprintf(key, sizeof(key), "listen[%zu].address", at);
	if (listen->address.kind != ADDRESS_IP)
		return FAIL(check, key, "%s: give an IP address and a port", text);
	unsigned int protocols = listen->protocols;
	for (size_t i = 0; i < at; i++) {
		if (!config_same_address(&config->listen[i].address, &listen->address))
			continue;
		if (config->listen[i].protocols & listen->protocols)
			return FAIL(check, key, "%s: listed twice", text);
		protocols |= config->listen[i].protocols;
	}
	if (config_protocols_clash(protocols))
		return FAIL(
			check, key,
			"%s: tcp, tls and https need ports of their own, and so do udp and quic",
			text);
	return 0;
}

static int config_take_listen(struct check *check, const struct file_config *file,
			      struct frontend_config *config)
{
	enum { both = FRONTEND_PROTOCOL_UDP | FRONTEND_PROTOCOL_TCP };
	static const struct file_listen fallback = {(char *)(uintptr_t)DEFAULT_LISTEN, both};
	const struct file_listen *source = file->listen_count ? file->listen : &fallback;
	size_t count = file->listen_count ? file->listen_count : 1;
	config->listen = calloc(count, sizeof(config->listen[0]));
	if (!config->listen)
		return FAIL(check, "listen", "out of memory");
	for (size_t i = 0; i < count; i++) {
		char key[64];
		snprintf(key, sizeof(key), "listen[%zu].address", i);
		struct frontend_listen *listen = &config->listen[i];
		listen->protocols = source[i].protocols ? source[i].protocols : both;
		if (config_address(check, key, source[i].address, &listen->address) != 0 ||
		    config_check_listen(check, config, i, source[i].address) != 0)
			return -1;
		config->listen_count++;
	}
	return 0;
}

static int config_take_backends(struct check *check, const struct file_route *source, size_t at,
				struct frontend_route *route)
{
	route->backends = calloc(source->backends_count, sizeof(route->backends[0]));
	if (!route->backends)
		return FAIL(check, "routes", "out of memory");
	for (size_t i = 0; i < source->backends_count; i++) {
		char key[64];
		snprintf(key, sizeof(key), "routes[%zu].backends[%zu]", at, i);
		struct frontend_backend *backend = &route->backends[i];
		const char *text = source->backends[i];
		if (config_address(check, key, text, &backend->address) != 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (config_same_address(&route->backends[j].address, &backend->address))
				return FAIL(check, key, "%s: listed twice", text);
		snprintf(backend->text, sizeof(backend->text), "%s", text);
		route->backend_count++;
	}
	return 0;
}

static int config_take_route(struct check *check, const struct file_route *source, size_t at,
			     struct frontend_config *config)
{
	struct frontend_route *route = &config->routes[at];
	route->minimal_any = source->minimal_any;
	char key[64];
	snprintf(key, sizeof(key), "routes[%zu].zone", at);
	int size = dns_name_from_text(source->zone, strlen(source->zone), NULL, route->zone);
	if (size < 0)
		return FAIL(check, key, "%s: %s", source->zone, dns_error_text(size));
	for (size_t i = 0; i < at; i++)
		if (dns_name_equal(config->routes[i].zone, route->zone))
			return FAIL(check, key, "%s: listed twice", source->zone);
	if (config_take_backends(check, source, at, route) != 0)
		return -1;
	return config_take_route_tls(check, source, at, route);
}

static int config_take_routes(struct check *check, const struct file_config *file,
			      struct frontend_config *config)
{
	static char *const backends[] = {(char *)(uintptr_t)DEFAULT_BACKEND};
	struct file_route fallback = {
		.zone = (char *)(uintptr_t) ".",
		.backends = (char **)(uintptr_t)backends,
		.backends_count = 1,
	};
	const struct file_route *source = file->routes_count ? file->routes : &fallback;
	size_t count = file->routes_count ? file->routes_count : 1;
	config->routes = calloc(count, sizeof(config->routes[0]));
	if (!config->routes)
		return FAIL(check, "routes", "out of memory");
	config->route_count = count;
	for (size_t i = 0; i < count; i++)
		if (config_take_route(check, &source[i], i, config) != 0)
			return -1;
	return 0;
}

static int config_take_cache(struct check *check, const struct file_config *file,
			     struct frontend_config *config)
{
	static const struct file_cache nothing;
	const struct file_cache *source = file->cache ? file->cache : &nothing;
	int64_t size_mb;
	int64_t stale_s;
	if (config_number(check, "cache.size_mb", source->size_mb, 64, 0, 1 << 20, &size_mb) != 0 ||
	    config_number(check, "cache.serve_stale_s", source->serve_stale_s, 86400, 0, 31536000,
			  &stale_s) != 0)
		return -1;
	config->cache_size_mb = (unsigned int)size_mb;
	config->cache_serve_stale_s = (unsigned int)stale_s;
	return 0;
}

static int config_take_limits(struct check *check, const struct file_config *file,
			      struct frontend_config *config)
{
	static const struct file_limits nothing;
	const struct file_limits *source = file->limits ? file->limits : &nothing;
	struct limit {
		const char *key;
		const int64_t *value;
		int64_t fallback, low, high;
		int64_t out;
	} limits[] = {
		{"limits.udp_payload", source->udp_payload, 1232, DNS_UDP_PAYLOAD_MIN, 4096, 0},
		{"limits.tcp_connections", source->tcp_connections, 4096, 1, 1000000, 0},
		{"limits.tcp_idle_s", source->tcp_idle_s, 10, 1, 3600, 0},
		{"limits.tls_connections", source->tls_connections, 16384, 1, 1000000, 0},
		{"limits.client_connections", source->client_connections, 256, 1, 1000000, 0},
		{"limits.tls_idle_s", source->tls_idle_s, 30, 1, 3600, 0},
		{"limits.tls_handshake_s", source->tls_handshake_s, 5, 1, 60, 0},
		{"limits.query_timeout_ms", source->query_timeout_ms, 2000, 50, 60000, 0},
		{"limits.drain_ms", source->drain_ms, 5000, 0, 600000, 0},
		{"limits.linger_ms", source->linger_ms, 0, 0, 600000, 0},
	};
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (config_number(check, limits[i].key, limits[i].value, limits[i].fallback,
				  limits[i].low, limits[i].high, &limits[i].out) != 0)
			return -1;
	config->limits = (struct frontend_limits){
		.udp_payload = (uint16_t)limits[0].out,
		.tcp_connections = (unsigned int)limits[1].out,
		.tcp_idle_s = (int)limits[2].out,
		.tls_connections = (unsigned int)limits[3].out,
		.client_connections = (unsigned int)limits[4].out,
		.tls_idle_s = (int)limits[5].out,
		.tls_handshake_s = (int)limits[6].out,
		.query_timeout_ms = (int)limits[7].out,
		.drain_ms = (int)limits[8].out,
		.linger_ms = (int)limits[9].out,
	};
	return 0;
}

static int config_take_rest(struct check *check, const struct file_config *file,
			    struct frontend_config *config)
{
	int64_t workers;
	int64_t top_zones;
	if (config_number(check, "workers", file->workers, 0, 0, WORKERS_MAX, &workers) != 0 ||
	    config_number(check, "top_zones", file->top_zones, 20, 0, ZONE_LEDGER_TOP_MAX,
			  &top_zones) != 0)
		return -1;
	config->workers = workers ? (unsigned int)workers : config_count_cpus();
	config->top_zones = (unsigned int)top_zones;
	const char *admin = file->admin ? file->admin : DEFAULT_ADMIN;
	struct address parsed;
	if (config_address(check, "admin", admin, &parsed) != 0)
		return -1;
	if (parsed.kind != ADDRESS_IP)
		return FAIL(check, "admin", "%s: give an IP address and a port", admin);
	snprintf(config->admin, sizeof(config->admin), "%s", admin);
	if (file->watch_socket && strlen(file->watch_socket) >= sizeof(config->watch_socket))
		return FAIL(check, "watch_socket", "%s: longer than the %d octets of a unix socket",
			    file->watch_socket, LIFE_LINE_PATH_MAX - 1);
	if (file->watch_socket)
		snprintf(config->watch_socket, sizeof(config->watch_socket), "%s",
			 file->watch_socket);
	static const struct file_log nothing;
	const struct file_log *log = file->log ? file->log : &nothing;
	config->log = (struct frontend_log){
		.level = log->level ? (enum log_level) * log->level : LOG_LEVEL_INFO,
		.format = log->format ? (enum log_format) * log->format : LOG_FORMAT_LOGFMT,
		.queries = log->queries ? (enum frontend_query_log) * log->queries
					: FRONTEND_QUERY_LOG_NONE,
	};
	return 0;
}

struct frontend_config *frontend_config_load(const char *path, char *error, size_t error_size)
{
	static const struct file_config nothing;
	struct check check = {path, error, error_size};
	void *loaded = NULL;
	struct frontend_config *config = NULL;
	int result = -1;
	if (path && config_load(path, &frontend_config_schema, &loaded, error, error_size) != 0)
		return NULL;
	const struct file_config *file = loaded ? loaded : &nothing;
	config = calloc(1, sizeof(*config));
	if (!config) {
		snprintf(error, error_size, "out of memory");
		goto done;
	}
	if (config_take_listen(&check, file, config) == 0 &&
	    config_take_tls(&check, file, config) == 0 &&
	    config_take_routes(&check, file, config) == 0 &&
	    config_take_cache(&check, file, config) == 0 &&
	    config_take_limits(&check, file, config) == 0)
		result = config_take_rest(&check, file, config);
done:
	if (loaded)
		config_free(&frontend_config_schema, loaded);
	if (result != 0) {
		frontend_config_free(config);
		config = NULL;
	}
	return config;
}

void frontend_config_free(struct frontend_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->route_count; i++) {
		free(config->routes[i].backends);
		config_free_route_tls(&config->routes[i]);
	}
	config_free_tls(config);
	free(config->routes);
	free(config->listen);
	free(config);
}

bool frontend_config_is_reloadable(const struct frontend_config *a, const struct frontend_config *b)
{
	if (a->listen_count != b->listen_count || a->workers != b->workers ||
	    strcmp(a->admin, b->admin) != 0 || a->top_zones != b->top_zones ||
	    a->log.queries != b->log.queries || a->cache_size_mb != b->cache_size_mb ||
	    a->cache_serve_stale_s != b->cache_serve_stale_s ||
	    a->limits.udp_payload != b->limits.udp_payload ||
	    a->limits.tcp_connections != b->limits.tcp_connections ||
	    a->limits.tcp_idle_s != b->limits.tcp_idle_s ||
	    a->limits.tls_connections != b->limits.tls_connections ||
	    a->limits.client_connections != b->limits.client_connections ||
	    a->limits.tls_idle_s != b->limits.tls_idle_s ||
	    a->limits.tls_handshake_s != b->limits.tls_handshake_s ||
	    a->limits.query_timeout_ms != b->limits.query_timeout_ms ||
	    a->limits.drain_ms != b->limits.drain_ms ||
	    a->limits.linger_ms != b->limits.linger_ms ||
	    strcmp(a->watch_socket, b->watch_socket) != 0 || !config_same_tls(a, b))
		return false;
	for (size_t i = 0; i < a->listen_count; i++)
		if (!config_same_address(&a->listen[i].address, &b->listen[i].address) ||
		    a->listen[i].protocols != b->listen[i].protocols)
			return false;
	return true;
}
