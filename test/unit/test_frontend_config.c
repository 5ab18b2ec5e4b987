/* frontend.yaml: defaults, what every key does, and the errors that name their place. */
#include "frontend/config.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/godwit-test-frontend-XXXXXX";
static char error[512];

static struct frontend_config *load(const char *text)
{
	FILE *file = fopen(path, "w");
	CU_ASSERT_FATAL(file != NULL);
	fputs(text, file);
	fclose(file);
	error[0] = '\0';
	return frontend_config_load(path, error, sizeof(error));
}

/* The text is refused with a line that names the place, "FILE:" and `where`, and says `what`. */
static void refused(const char *text, const char *where, const char *what)
{
	struct frontend_config *config = load(text);
	size_t length = strlen(path);
	CU_ASSERT(config == NULL);
	frontend_config_free(config);
	bool good = strncmp(error, path, length) == 0 && strstr(error + length, where) &&
		    strstr(error, what);
	if (!good)
		fprintf(stderr, "unexpected: '%s' for %s\n", error, text);
	CU_ASSERT(good);
}

static void check_defaults(const struct frontend_config *config)
{
	CU_ASSERT_FATAL(config != NULL);
	CU_ASSERT_EQUAL(config->listen_count, 1);
	CU_ASSERT_STRING_EQUAL(config->listen[0].address.host, "127.0.0.1");
	CU_ASSERT_EQUAL(config->listen[0].address.port, 5300);
	CU_ASSERT_EQUAL(config->listen[0].protocols, FRONTEND_PROTOCOL_UDP | FRONTEND_PROTOCOL_TCP);
	CU_ASSERT(config->workers > 0);
	CU_ASSERT_EQUAL(config->route_count, 1);
	CU_ASSERT_EQUAL(config->routes[0].zone[0], 0);
	CU_ASSERT_EQUAL(config->routes[0].backend_count, 1);
	CU_ASSERT_EQUAL(config->routes[0].backends[0].address.port, 8053);
	CU_ASSERT_EQUAL(config->limits.udp_payload, 1232);
	CU_ASSERT_EQUAL(config->limits.tcp_connections, 4096);
	CU_ASSERT_EQUAL(config->limits.tcp_idle_s, 10);
	CU_ASSERT_EQUAL(config->limits.query_timeout_ms, 2000);
	CU_ASSERT_EQUAL(config->limits.drain_ms, 5000);
	CU_ASSERT_EQUAL(config->limits.linger_ms, 0);
	CU_ASSERT_STRING_EQUAL(config->watch_socket, "");
	CU_ASSERT_EQUAL(config->cache_size_mb, 64);
	CU_ASSERT_STRING_EQUAL(config->admin, "127.0.0.1:9153");
	CU_ASSERT_EQUAL(config->top_zones, 20);
	CU_ASSERT_EQUAL(config->log.level, LOG_LEVEL_INFO);
	CU_ASSERT_EQUAL(config->log.queries, FRONTEND_QUERY_LOG_NONE);
}

static void test_defaults(void)
{
	struct frontend_config *config = frontend_config_load(NULL, error, sizeof(error));
	check_defaults(config);
	frontend_config_free(config);
	config = load("");
	check_defaults(config);
	frontend_config_free(config);
}

static void test_everything_given(void)
{
	struct frontend_config *config = load(
		"listen:\n"
		"  - { address: \"0.0.0.0:53\", protocols: [udp] }\n"
		"  - { address: \"[2001:db8::1]:53\", protocols: [tcp] }\n"
		"workers: 3\n"
		"routes:\n"
		"  - { zone: \"Example.com\", backends: [\"127.0.0.1:1\", \"host.example:2\"],\n"
		"      insecure: true }\n"
		"  - { zone: \".\", backends: [\"unix:/run/godwit.sock\"] }\n"
		"cache: { size_mb: 0, serve_stale_s: 0 }\n"
		"limits: { udp_payload: 4096, tcp_connections: 7, tcp_idle_s: 3,\n"
		"          query_timeout_ms: 500, drain_ms: 0, linger_ms: 8000 }\n"
		"watch_socket: /run/godwit/frontend.sock\n"
		"admin: \"[::1]:9999\"\n"
		"top_zones: 0\n"
		"log: { level: debug, format: json, queries: errors }\n");
	CU_ASSERT_FATAL(config != NULL);
	CU_ASSERT_EQUAL(config->listen_count, 2);
	CU_ASSERT_EQUAL(config->listen[0].protocols, FRONTEND_PROTOCOL_UDP);
	CU_ASSERT_EQUAL(config->listen[1].protocols, FRONTEND_PROTOCOL_TCP);
	CU_ASSERT_EQUAL(config->listen[1].address.addr.ss_family, AF_INET6);
	CU_ASSERT_EQUAL(config->workers, 3);
	CU_ASSERT_EQUAL(config->route_count, 2);
	CU_ASSERT_EQUAL(config->routes[0].backend_count, 2);
	CU_ASSERT_EQUAL(config->routes[0].backends[1].address.kind, ADDRESS_HOST);
	CU_ASSERT_EQUAL(config->routes[1].backends[0].address.kind, ADDRESS_UNIX);
	CU_ASSERT_EQUAL(config->cache_size_mb, 0);
	CU_ASSERT_EQUAL(config->cache_serve_stale_s, 0);
	CU_ASSERT_EQUAL(config->limits.udp_payload, 4096);
	CU_ASSERT_EQUAL(config->limits.tcp_connections, 7);
	CU_ASSERT_EQUAL(config->limits.tcp_idle_s, 3);
	CU_ASSERT_EQUAL(config->limits.query_timeout_ms, 500);
	CU_ASSERT_EQUAL(config->limits.drain_ms, 0);
	CU_ASSERT_EQUAL(config->limits.linger_ms, 8000);
	CU_ASSERT_STRING_EQUAL(config->watch_socket, "/run/godwit/frontend.sock");
	CU_ASSERT_STRING_EQUAL(config->admin, "[::1]:9999");
	CU_ASSERT_EQUAL(config->top_zones, 0);
	CU_ASSERT_EQUAL(config->log.level, LOG_LEVEL_DEBUG);
	CU_ASSERT_EQUAL(config->log.format, LOG_FORMAT_JSON);
	CU_ASSERT_EQUAL(config->log.queries, FRONTEND_QUERY_LOG_ERRORS);
	frontend_config_free(config);
}

static void test_tls_needs_good_files(void)
{
	refused("listen:\n  - { address: \"127.0.0.1:853\", protocols: [tls] }\n",
		":2: listen[0].protocols", "give `tls`");
	refused("listen:\n  - { address: \"127.0.0.1:443\", protocols: [https] }\n",
		":2: listen[0].protocols", "give `tls`");
	refused("workers: 1\ntls: { certificate: none.crt, key: none.key }\n",
		":2: tls.certificate", "none.crt: No such file");
	refused("tls: { certificate: none.crt }\n", ":1", "key");
	refused("routes:\n  - zone: .\n    backends: [\"127.0.0.1:1\"]\n    tls: { ca: none.crt "
		"}\n",
		":4: routes[0].tls", "none.crt: No such file");
	refused("https: { path: dns-query }\n", ":1: https.path", "dns-query");
}

static void test_plaintext_stays_on_this_machine(void)
{
	refused("routes:\n  - zone: .\n    backends: [\"192.0.2.1:8053\"]\n",
		":3: routes[0].backends[0]", "insecure");
	refused("routes:\n  - zone: .\n    backends: [\"127.0.0.1:1\", \"b.example:8053\"]\n",
		":3: routes[0].backends[1]", "insecure");
	struct frontend_config *config = load(
		"routes:\n  - zone: .\n    backends: [\"b.example:8053\"]\n    insecure: true\n");
	CU_ASSERT_FATAL(config != NULL);
	CU_ASSERT(config->routes[0].insecure);
	frontend_config_free(config);
	config = load("routes:\n  - zone: .\n    backends: [\"b.example:8053\"]\n    tls: {}\n");
	CU_ASSERT_FATAL(config != NULL);
	CU_ASSERT(config->routes[0].tls.enabled);
	frontend_config_free(config);
}

static void test_addresses(void)
{
	refused("listen:\n  - { address: \"127.0.0.1:0\", protocols: [udp] }\n",
		":2: listen[0].address", "port");
	refused("listen:\n  - { address: \"localhost:53\", protocols: [udp] }\n",
		":2: listen[0].address", "IP address");
	refused("listen:\n  - { address: \"unix:/x\", protocols: [udp] }\n",
		":2: listen[0].address", "IP address");
	refused("listen:\n  - { address: \"300.1.1.1:x\", protocols: [udp] }\n",
		":2: listen[0].address", "300.1.1.1:x");
	refused("listen:\n"
		"  - { address: \"127.0.0.1:53\", protocols: [udp] }\n"
		"  - { address: \"127.0.0.1:53\", protocols: [tcp, udp] }\n",
		":3: listen[1].address", "twice");
	refused("admin: \"unix:/x\"\n", ":1: admin", "IP address");
	struct frontend_config *config =
		load("listen:\n"
		     "  - { address: \"127.0.0.1:53\", protocols: [udp] }\n"
		     "  - { address: \"127.0.0.1:53\", protocols: [tcp] }\n");
	CU_ASSERT(config != NULL);
	frontend_config_free(config);
}

static void test_routes(void)
{
	refused("routes:\n  - { zone: \"a..b\", backends: [\"127.0.0.1:1\"] }\n",
		":2: routes[0].zone", "a..b");
	refused("routes:\n"
		"  - { zone: \"a.example\", backends: [\"127.0.0.1:1\"] }\n"
		"  - { zone: \"A.Example.\", backends: [\"127.0.0.1:2\"] }\n",
		":3: routes[1].zone", "twice");
	refused("routes:\n  - { zone: \".\", backends: [\"127.0.0.1:1\", \"127.0.0.1:1\"] }\n",
		":2: routes[0].backends[1]", "twice");
	refused("routes:\n  - { zone: \".\", backends: [\"127.0.0.1\"] }\n",
		":2: routes[0].backends[0]", "127.0.0.1");
	refused("routes:\n  - { zone: \".\", backends: [] }\n", "routes", "backends");
	refused("routes:\n  - { zone: \".\" }\n", ":2", "backends");
}

static void test_ranges(void)
{
	refused("limits:\n  udp_payload: 511\n", ":2: limits.udp_payload", "512");
	refused("limits:\n  udp_payload: 4097\n", ":2: limits.udp_payload", "4096");
	refused("limits:\n  tcp_connections: 0\n", ":2: limits.tcp_connections", "1");
	refused("limits:\n  tcp_idle_s: -1\n", ":2: limits.tcp_idle_s", "-1");
	refused("limits:\n  query_timeout_ms: 1\n", ":2: limits.query_timeout_ms", "50");
	refused("limits:\n  drain_ms: -1\n", ":2: limits.drain_ms", "600000");
	refused("limits:\n  linger_ms: 600001\n", ":2: limits.linger_ms", "600000");
	refused("cache:\n  size_mb: -3\n", ":2: cache.size_mb", "-3");
	refused("top_zones: 101\n", ":1: top_zones", "100");
	refused("workers: -1\n", ":1: workers", "-1");
	refused("workers: many\n", ":1", "workers");
}

static void test_a_watch_socket_fits_its_address(void)
{
	char text[200];
	char longest[120];

	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[107] = '\0';
	snprintf(text, sizeof(text), "watch_socket: %s\n", longest);
	struct frontend_config *config = load(text);
	CU_ASSERT_FATAL(config != NULL);
	CU_ASSERT_STRING_EQUAL(config->watch_socket, longest);
	frontend_config_free(config);
	longest[107] = 'x';
	longest[108] = '\0';
	snprintf(text, sizeof(text), "watch_socket: %s\n", longest);
	refused(text, ":1: watch_socket", "107");
}

static void test_unknown_keys(void)
{
	refused("workers: 1\nworkerz: 2\n", ":2", "workerz");
	refused("limits:\n  udp_payload: 1232\n  udp_paylod: 1\n", ":3", "udp_paylod");
	refused("log: { queries: some }\n", ":1", "queries");
	refused("listen:\n  - { address: \"127.0.0.1:53\", protocols: [sctp] }\n", ":2",
		"protocols");
}

static void test_what_a_reload_can_change(void)
{
	struct frontend_config *a = load("workers: 2\nlog: { level: info }\n");
	struct frontend_config *b = load("workers: 2\nlog: { level: debug }\nroutes:\n"
					 "  - { zone: example, backends: [\"127.0.0.1:1\"] }\n");
	struct frontend_config *c = load("workers: 3\n");
	struct frontend_config *d = load("workers: 2\nlimits: { udp_payload: 512 }\n");
	struct frontend_config *e = load("workers: 2\ntop_zones: 5\n");
	CU_ASSERT_FATAL(a && b && c && d && e);
	CU_ASSERT(frontend_config_is_reloadable(a, b));
	CU_ASSERT_FALSE(frontend_config_is_reloadable(a, c));
	CU_ASSERT_FALSE(frontend_config_is_reloadable(a, d));
	CU_ASSERT_FALSE(frontend_config_is_reloadable(a, e));
	frontend_config_free(a);
	frontend_config_free(b);
	frontend_config_free(c);
	frontend_config_free(d);
	frontend_config_free(e);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"defaults suit a first run", test_defaults},
		{"every key is taken", test_everything_given},
		{"TLS needs good files", test_tls_needs_good_files},
		{"plaintext stays on this machine", test_plaintext_stays_on_this_machine},
		{"addresses are checked", test_addresses},
		{"routes are checked", test_routes},
		{"numbers have their ranges", test_ranges},
		{"a watch socket fits its address", test_a_watch_socket_fits_its_address},
		{"unknown keys are errors", test_unknown_keys},
		{"what a reload can change", test_what_a_reload_can_change},
	};
	int fd = mkstemp(path);
	if (fd < 0)
		return EXIT_FAILURE;
	close(fd);
	int result = SUITE_RUN("frontend_config", tests);
	unlink(path);
	return result;
}
