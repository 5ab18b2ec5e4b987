/* announcer.yaml: defaults, what every key does, and the errors that name their place. */
#include "announcer/config.h"
#include "suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/godwit-test-announcer-XXXXXX";
static char secret[] = "/tmp/godwit-test-secret-XXXXXX";
static char error[1024];

#define PROBE "service: { probe: { address: \"127.0.0.1:53\", name: health.example } }\n"
#define ADDRESSES "addresses: [ { prefix: 192.0.2.53/32, interface: lo } ]\n"
#define BGP "bgp: { router_id: 192.0.2.1, as: 64512 }\n"
#define PEER(text)                                                                                 \
	PROBE ADDRESSES "bgp: { router_id: 192.0.2.1, as: 64512, peers: [ { " text " } ] }\n"

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");
	CU_ASSERT_FATAL(file != NULL);
	fputs(text, file);
	fclose(file);
}

static struct announcer_config *load(const char *text)
{
	write_file(path, text);
	error[0] = '\0';
	return announcer_config_load(path, error, sizeof(error));
}

static struct announcer_config *load_good(const char *text)
{
	struct announcer_config *config = load(text);
	if (!config)
		fprintf(stderr, "unexpected: '%s' for %s\n", error, text);
	CU_ASSERT_FATAL(config != NULL);
	return config;
}

/* The text is refused with a line that names the place, "FILE:" and `where`, and says `what`. */
static void refused(const char *text, const char *where, const char *what)
{
	struct announcer_config *config = load(text);
	size_t length = strlen(path);
	CU_ASSERT(config == NULL);
	announcer_config_free(config);
	bool good = strncmp(error, path, length) == 0 && strstr(error + length, where) &&
		    strstr(error, what);
	if (!good)
		fprintf(stderr, "unexpected: '%s' for %s\n", error, text);
	CU_ASSERT(good);
}

static uint32_t ipv4_of(const struct sockaddr_storage *addr)
{
	return ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr);
}

static void test_defaults(void)
{
	struct announcer_config *config = load_good(PROBE ADDRESSES BGP);
	CU_ASSERT_EQUAL_FATAL(config->service_count, 1);
	const struct announcer_service *service = &config->services[0];
	CU_ASSERT_STRING_EQUAL(service->name, "dns");
	CU_ASSERT_EQUAL(service->probe.protocols, ANNOUNCER_PROTOCOL_UDP | ANNOUNCER_PROTOCOL_TCP);
	CU_ASSERT_EQUAL(service->probe.type, 6);
	CU_ASSERT_EQUAL(service->probe.expect_rcode, 0);
	CU_ASSERT_PTR_NULL(service->probe.expect_answer);
	CU_ASSERT_EQUAL(service->probe.interval_ms, 200);
	CU_ASSERT_EQUAL(service->probe.fast_interval_ms, 50);
	CU_ASSERT_EQUAL(service->probe.timeout_ms, 500);
	CU_ASSERT_EQUAL(service->probe.rise, 3);
	CU_ASSERT_EQUAL(service->probe.fall, 3);
	CU_ASSERT_EQUAL(service->probe.tls_port, 853);
	CU_ASSERT_STRING_EQUAL(service->watch_socket, "");
	CU_ASSERT_PTR_NULL(service->drain_file);
	CU_ASSERT_EQUAL_FATAL(service->address_count, 1);
	CU_ASSERT_EQUAL(service->addresses[0].assign, ANNOUNCER_ASSIGN_START);
	CU_ASSERT_EQUAL(service->addresses[0].local_pref, 100);
	CU_ASSERT_FALSE(service->labels.enabled);
	CU_ASSERT_EQUAL(config->bgp.router_id, 0xc0000201);
	CU_ASSERT_EQUAL(config->bgp.as, 64512);
	CU_ASSERT_EQUAL(config->bgp.hold_time_s, 9);
	CU_ASSERT_EQUAL(config->bgp.connect_retry_ms, 5000);
	CU_ASSERT_EQUAL(config->bgp.graceful_shutdown_ms, 2000);
	CU_ASSERT_EQUAL(config->bgp.shutdown_wait_ms, 500);
	CU_ASSERT_EQUAL(config->bgp.listen_count, 0);
	CU_ASSERT_EQUAL(config->bgp.peer_count, 0);
	CU_ASSERT_STRING_EQUAL(config->admin, "127.0.0.1:9155");
	CU_ASSERT_EQUAL(config->log.level, LOG_LEVEL_INFO);
	announcer_config_free(config);
}

static void test_peer_defaults(void)
{
	struct announcer_config *config = load_good(PEER("address: 192.0.2.254, as: 64513"));
	const struct announcer_peer *peer = &config->bgp.peers[0];
	CU_ASSERT_EQUAL(ipv4_of(&peer->address.addr), 0xc00002fe);
	CU_ASSERT_EQUAL(peer->address.port, 179);
	CU_ASSERT_STRING_EQUAL(peer->description, "192.0.2.254");
	CU_ASSERT_STRING_EQUAL(peer->password, "");
	CU_ASSERT_EQUAL(peer->multihop, 1);
	CU_ASSERT(peer->ipv4 && peer->ipv6);
	CU_ASSERT(!peer->passive && !peer->ttl_security && !peer->has_med && !peer->bfd.enabled);
	CU_ASSERT_EQUAL(peer->source.ss_family, AF_UNSPEC);
	CU_ASSERT_EQUAL(peer->next_hop_ipv4.ss_family, AF_UNSPEC);
	announcer_config_free(config);
}

static void test_peer_in_full(void)
{
	write_file(secret, "s3cret\n");
	char text[2048];
	snprintf(text, sizeof(text),
		 PEER("address: \"[2001:db8::1]:1179\", as: 4200000000, description: edge, "
		      "source: \"2001:db8::2\", password_file: %s, ttl_security: true, "
		      "multihop: 3, passive: false, ipv4: false, "
		      "bfd: { min_tx_ms: 50, multiplier: 5 }, next_hop_ipv6: \"2001:db8::9\", "
		      "med: 0, prepend: 2, communities: [\"64512:53\", no-export], "
		      "large_communities: [\"4200000000:1:2\"]"),
		 secret);
	struct announcer_config *config = load_good(text);
	const struct announcer_peer *peer = &config->bgp.peers[0];
	CU_ASSERT_EQUAL(peer->address.addr.ss_family, AF_INET6);
	CU_ASSERT_EQUAL(peer->address.port, 1179);
	CU_ASSERT_EQUAL(peer->as, 4200000000);
	CU_ASSERT_STRING_EQUAL(peer->description, "edge");
	CU_ASSERT_STRING_EQUAL(peer->password, "s3cret");
	CU_ASSERT_EQUAL(peer->source.ss_family, AF_INET6);
	CU_ASSERT(peer->ttl_security && peer->multihop == 3 && !peer->ipv4 && peer->ipv6);
	CU_ASSERT(peer->bfd.enabled && peer->bfd.min_tx_ms == 50 && peer->bfd.min_rx_ms == 100 &&
		  peer->bfd.multiplier == 5);
	CU_ASSERT_EQUAL(peer->next_hop_ipv6.ss_family, AF_INET6);
	CU_ASSERT(peer->has_med && peer->med == 0 && peer->prepend == 2);
	CU_ASSERT_EQUAL_FATAL(peer->community_count, 2);
	CU_ASSERT_EQUAL(peer->communities[0], 64512u << 16 | 53);
	CU_ASSERT_EQUAL(peer->communities[1], 0xffffff01);
	CU_ASSERT_EQUAL_FATAL(peer->large_count, 1);
	CU_ASSERT_EQUAL(peer->large[0].global, 4200000000);
	CU_ASSERT_EQUAL(peer->large[0].local2, 2);
	announcer_config_free(config);
}

static void test_forms_of_a_peers_address(void)
{
	static const struct {
		const char *text;
		const char *interface;
		int family;
		unsigned short port;
	} cases[] = {
		{"192.0.2.1", "", AF_INET, 179},
		{"192.0.2.1:1179", "", AF_INET, 1179},
		{"2001:db8::1", "", AF_INET6, 179},
		{"[2001:db8::1]", "", AF_INET6, 179},
		{"[2001:db8::1]:1179", "", AF_INET6, 1179},
		{"fe80::1%nosuch0", "nosuch0", AF_INET6, 179},
		{"[fe80::1%nosuch0]:1179", "nosuch0", AF_INET6, 1179},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		snprintf(text, sizeof(text), PEER("address: \"%s\", as: 1"), cases[i].text);
		struct announcer_config *config = load_good(text);
		const struct announcer_peer *peer = &config->bgp.peers[0];
		CU_ASSERT_EQUAL(peer->address.addr.ss_family, cases[i].family);
		CU_ASSERT_EQUAL(peer->address.port, cases[i].port);
		CU_ASSERT_STRING_EQUAL(peer->interface, cases[i].interface);
		announcer_config_free(config);
	}
}

static void test_services_in_a_list(void)
{
	struct announcer_config *config = load_good(
		"services:\n"
		"  - name: a\n"
		"    probe: { address: \"127.0.0.1:53\", name: \"*.a.example\", type: a,\n"
		"             protocols: [tls], tls_port: 8853, tls_ca: ca.crt,\n"
		"             expect_rcode: NXDOMAIN, interval_ms: 1000, rise: 1 }\n"
		"    watch_socket: /run/a.sock\n"
		"    drain_file: /run/a.drain\n"
		"    addresses:\n"
		"      - { prefix: 192.0.2.1/32, interface: lo, assign: healthy, local_pref: 0 }\n"
		"      - { prefix: 198.51.100.0/24, allow_wider: true }\n"
		"  - name: b\n"
		"    probe: { address: \"[::1]:53\", name: b.example, type: A,\n"
		"             expect_answer: 192.0.2.80 }\n"
		"    labels: { interface: lo, prefix: dns, local_pref: 200, decrease: 20 }\n" BGP);
	CU_ASSERT_EQUAL_FATAL(config->service_count, 2);
	const struct announcer_service *a = &config->services[0];
	const struct announcer_service *b = &config->services[1];
	CU_ASSERT_EQUAL(a->probe.protocols, ANNOUNCER_PROTOCOL_TLS);
	CU_ASSERT_EQUAL(a->probe.tls_port, 8853);
	CU_ASSERT_EQUAL(a->probe.type, 1);
	CU_ASSERT_EQUAL(a->probe.expect_rcode, 3);
	CU_ASSERT_EQUAL(a->probe.fast_interval_ms, 250);
	CU_ASSERT_STRING_EQUAL(a->watch_socket, "/run/a.sock");
	CU_ASSERT_STRING_EQUAL(a->drain_file, "/run/a.drain");
	CU_ASSERT_EQUAL(a->addresses[0].assign, ANNOUNCER_ASSIGN_HEALTHY);
	CU_ASSERT_EQUAL(a->addresses[0].local_pref, 0);
	CU_ASSERT_EQUAL(a->addresses[1].assign, ANNOUNCER_ASSIGN_NEVER);
	CU_ASSERT_STRING_EQUAL(b->probe.expect_answer, "192.0.2.80");
	CU_ASSERT(b->labels.enabled && b->labels.local_pref == 200 && b->labels.decrease == 20);
	announcer_config_free(config);
}

static void test_what_is_wrong_with_services(void)
{
	refused(BGP, "", "service: is missing");
	refused(PROBE BGP, ":1: service: ", "nothing to announce");
	refused(PROBE ADDRESSES, "", "bgp");
	refused(PROBE ADDRESSES BGP "services: [ { name: a, probe: { address: \"127.0.0.1:1\", "
				    "name: a } } ]\n",
		":1: service: ", "beside `services`");
	refused("service: { probe: { address: localhost, name: a } }\n" ADDRESSES BGP,
		":1: service.probe.address: ", "no port");
	refused("service: { probe: { address: \"localhost:53\", name: a } }\n" ADDRESSES BGP,
		":1: service.probe.address: ", "give an IP address");
	refused("service: { probe: { address: \"127.0.0.1:53\", name: a..b } }\n" ADDRESSES BGP,
		":1: service.probe.name: ", "a..b");
	refused("service: { probe: { address: \"127.0.0.1:53\", name: a, type: AXFR } }\n" ADDRESSES
			BGP,
		":1: service.probe.type: ", "AXFR");
	refused("service: { probe: { address: \"127.0.0.1:53\", name: a, fall: 0 } }\n" ADDRESSES
			BGP,
		":1: service.probe.fall: ", "between 1 and 100");
	refused("service: { probe: { address: \"127.0.0.1:53\", name: a, type: A, "
		"expect_answer: www } }\n" ADDRESSES BGP,
		":1: service.probe.expect_answer: ", "www");
	refused("service: { probe: { address: \"127.0.0.1:53\", name: a, tls_ca: x } }\n" ADDRESSES
			BGP,
		":1: service.probe.tls_ca: ", "no tls in protocols");
	refused("service: { name: \"a b\", probe: { address: \"127.0.0.1:53\", name: a } "
		"}\n" ADDRESSES BGP,
		":1: service.name: ", "a b");
}

static void test_what_is_wrong_with_addresses(void)
{
	refused(PROBE "addresses:\n  - { prefix: 192.0.2.0/24 }\n" BGP,
		":3: addresses[0]: ", "allow_wider");
	refused(PROBE "addresses:\n  - { prefix: 192.0.2.1/24, allow_wider: true }\n" BGP,
		":3: addresses[0]: ", "192.0.2.1/24");
	refused(PROBE "addresses:\n"
		      "  - { prefix: 192.0.2.0/24, allow_wider: true, interface: lo }\n" BGP,
		":3: addresses[0]: ", "leave out `interface`");
	refused(PROBE "addresses:\n  - { prefix: 192.0.2.1, assign: healthy }\n" BGP,
		":3: addresses[0]: ", "name its interface");
	refused(PROBE "addresses:\n  - { prefix: 192.0.2.1, assign: always }\n" BGP,
		":3: ", "assign");
	refused(PROBE "addresses:\n  - { prefix: 192.0.2.1 }\n  - { prefix: 192.0.2.1/32 }\n" BGP,
		":4: addresses[1]: ", "twice (service dns)");
	refused(PROBE
		"addresses:\n  - { prefix: 192.0.2.1, interface: averylonginterfacename }\n" BGP,
		":3: addresses[0].interface: ", "interface's name");
	refused(PROBE "labels: { interface: eth0, prefix: averylonglabel }\n" BGP,
		":2: labels.prefix: ", "longer than a label");
	refused(PROBE "labels: { interface: lo, prefix: dns1 }\n" BGP,
		":2: labels.prefix: ", "digit");
}

#define SERVICE(name, rest)                                                                        \
	"  - { name: " name ", probe: { address: \"127.0.0.1:53\", name: a }, " rest " }\n"

static void test_what_two_services_cannot_share(void)
{
	refused("services:\n" SERVICE("a", "addresses: [ { prefix: 192.0.2.1 } ]")
			SERVICE("b", "addresses: [ { prefix: 192.0.2.1/32 } ]") BGP,
		":3: services[1].addresses[0]: ", "192.0.2.1/32 is there twice (service a)");
	refused("services:\n" SERVICE("a", "addresses: [ { prefix: 192.0.2.1 } ]")
			SERVICE("a", "addresses: [ { prefix: 192.0.2.2 } ]") BGP,
		":3: services[1].name: ", "a is there twice");
	refused("services:\n" SERVICE("a", "labels: { interface: lo, prefix: dns }")
			SERVICE("b", "labels: { interface: lo, prefix: dns }") BGP,
		":3: services[1].labels: ", "service a has the same");
}

static void test_what_is_wrong_with_bgp(void)
{
	refused(PROBE ADDRESSES "bgp: { as: 64512 }\n", ":3: bgp.router_id: ", "is missing");
	refused(PROBE ADDRESSES "bgp: { router_id: 0.0.0.0, as: 64512 }\n",
		":3: bgp.router_id: ", "0.0.0.0");
	refused(PROBE ADDRESSES "bgp: { router_id: 1.2.3.4, as: 0 }\n",
		":3: bgp.as: ", "no AS number");
	refused(PROBE ADDRESSES "bgp: { router_id: 1.2.3.4, as: 1, hold_time_s: 2 }\n",
		":3: bgp.hold_time_s: ", "at least 3");
	refused(PEER("address: 192.0.2.254"), ":3: ", "as");
	refused(PEER("address: edge.example, as: 1"),
		":3: bgp.peers[0].address: ", "give an IP address");
	refused(PEER("address: \"fe80::1\", as: 1"),
		":3: bgp.peers[0].address: ", "needs its interface");
	refused(PEER("address: \"2001:db8::1%lo\", as: 1"),
		":3: bgp.peers[0].address: ", "only link-local");
	refused(PEER("address: 224.0.0.5, as: 1"), ":3: bgp.peers[0].address: ", "one host's");
	refused(PEER("address: 192.0.2.254, as: 1, passive: true"),
		":3: bgp.peers[0].passive: ", "listen is empty");
	refused(PEER("address: 192.0.2.254, as: 1, password: x, password_file: y"),
		":3: bgp.peers[0].password: ", "give one");
	refused(PEER("address: 192.0.2.254, as: 1, password_file: /nonexistent"),
		":3: bgp.peers[0].password_file: ", "/nonexistent");
	refused(PEER("address: 192.0.2.254, as: 1, source: \"2001:db8::1\""),
		":3: bgp.peers[0].source: ", "IPv4");
	refused(PEER("address: 192.0.2.254, as: 1, ipv4: false, ipv6: false"),
		":3: bgp.peers[0].ipv4: ", "neither");
	refused(PEER("address: 192.0.2.254, as: 1, communities: [\"70000:1\"]"),
		":3: bgp.peers[0].communities[0]: ", "70000:1");
	refused(PEER("address: 192.0.2.254, as: 1, large_communities: [\"1:2\"]"),
		":3: bgp.peers[0].large_communities[0]: ", "1:2");
	refused(PEER("address: 192.0.2.254, as: 1 }, { address: 192.0.2.254, as: 2"),
		":3: bgp.peers[1].address: ", "twice");
	refused(PEER("address: 192.0.2.254, as: 1, bfd: { min_tx_ms: 5 }"),
		":3: bgp.peers[0].bfd.min_tx_ms: ", "between 10");
	refused(PEER("address: 192.0.2.254, as: 1, speed: 5"), ":3: bgp.peers[0].speed: ", "");
}

static void test_a_file_is_needed(void)
{
	CU_ASSERT_PTR_NULL(announcer_config_load(NULL, error, sizeof(error)));
	CU_ASSERT(strstr(error, "--config") != NULL);
}

/* What changes in `b` against `a` is, or is not, for SIGHUP. */
static void reloadable(const char *a, const char *b, bool expected)
{
	struct announcer_config *one = load_good(a);
	struct announcer_config *other = load_good(b);
	CU_ASSERT_EQUAL(announcer_config_is_reloadable(one, other), expected);
	announcer_config_free(one);
	announcer_config_free(other);
}

static void test_only_the_log_is_reloadable(void)
{
	static const char base[] = PEER("address: 192.0.2.254, as: 1, communities: [\"1:2\"]");
	reloadable(base, base, true);
	reloadable(
		base,
		PEER("address: 192.0.2.254, as: 1, communities: [\"1:2\"]") "log: { level: debug, "
									    "format: json }\n",
		true);
	reloadable(base, PEER("address: 192.0.2.254, as: 1, communities: [\"1:3\"]"), false);
	reloadable(base, PEER("address: 192.0.2.253, as: 1, communities: [\"1:2\"]"), false);
	reloadable(base, PEER("address: 192.0.2.254, as: 1, communities: [\"1:2\"], bfd: {}"),
		   false);
	reloadable(base, PEER("address: 192.0.2.254, as: 1, communities: [\"1:2\"], password: x"),
		   false);
	reloadable(PROBE ADDRESSES BGP, PROBE "addresses: [ { prefix: 192.0.2.53/32 } ]\n" BGP,
		   false);
	reloadable(PROBE ADDRESSES BGP, PROBE ADDRESSES BGP "admin: \"127.0.0.1:1\"\n", false);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"defaults", test_defaults},
		{"a peer's defaults", test_peer_defaults},
		{"a peer with every key", test_peer_in_full},
		{"the forms of a peer's address", test_forms_of_a_peers_address},
		{"services in a list", test_services_in_a_list},
		{"what is wrong with services", test_what_is_wrong_with_services},
		{"what is wrong with addresses and labels", test_what_is_wrong_with_addresses},
		{"what two services cannot share", test_what_two_services_cannot_share},
		{"what is wrong with bgp", test_what_is_wrong_with_bgp},
		{"there is no default configuration", test_a_file_is_needed},
		{"only the log can change while running", test_only_the_log_is_reloadable},
	};
	close(mkstemp(path));
	close(mkstemp(secret));
	int result = SUITE_RUN("announcer config", tests);
	unlink(path);
	unlink(secret);
	return result;
}
