/*
 * announcer.yaml, checked and with defaults filled in.
 *
 * One service stands at the top level (`service`, `addresses`, `labels`); several stand in a list,
 * `services`, each with a name and its own of these. A running program changes log.level and
 * log.format on SIGHUP; the rest needs a restart.
 */
#ifndef GODWIT_ANNOUNCER_CONFIG_H
#define GODWIT_ANNOUNCER_CONFIG_H

#include "announcer/bgp_route.h"
#include "announcer/prefix.h"
#include "common/address.h"
#include "common/log.h"
#include "dns/name.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANNOUNCER_NAME_MAX 64
#define ANNOUNCER_PATH_MAX 108  /* a unix socket's, its NUL included */
#define ANNOUNCER_SECRET_MAX 81 /* TCP MD5 takes 80 octets (RFC 2385 as Linux has it) */

/* Bits of announcer_probe.protocols: each is a check of its own, and all must be good. */
enum announcer_protocol {
	ANNOUNCER_PROTOCOL_UDP = 1,
	ANNOUNCER_PROTOCOL_TCP = 2,
	ANNOUNCER_PROTOCOL_TLS = 4,
};

struct announcer_probe {
	struct address address; /* ADDRESS_IP; UDP and TCP */
	unsigned int protocols;
	unsigned short tls_port;    /* at the same host; 853 */
	char *tls_ca;               /* file; NULL: the certificate is not checked */
	char *tls_server_name;      /* SNI, and checked when tls_ca is set; NULL: none */
	uint8_t name[DNS_NAME_MAX]; /* uncompressed wire name */
	uint16_t type;
	uint16_t expect_rcode; /* 0: NOERROR */
	char *expect_answer;   /* NULL, or rdata in presentation form that must be in the answer
				  section */
	int interval_ms;       /* 200 */
	int fast_interval_ms;  /* while the state is in doubt; a quarter of interval_ms, at least 10
				*/
	int timeout_ms;        /* 500 */
	unsigned int rise;     /* good answers in a row until it counts as good; 3 */
	unsigned int fall;     /* failures in a row until it counts as bad; 3 */
};

/* When an address stands on its interface. */
enum announcer_assign {
	ANNOUNCER_ASSIGN_START,   /* from the announcer's start to its clean end; the default */
	ANNOUNCER_ASSIGN_HEALTHY, /* while it is announced */
	ANNOUNCER_ASSIGN_NEVER,   /* somebody else puts it there */
};

struct announcer_address {
	struct prefix prefix;
	char interface[IFNAMSIZ]; /* "": assign is ANNOUNCER_ASSIGN_NEVER */
	enum announcer_assign assign;
	uint32_t local_pref; /* 100 */
	bool allow_wider;    /* than /32, /128; else refused */
};

/*
 * IPv4 addresses of an interface whose labels begin with `prefix` behind "IFACE:" are announced
 * too: `lo:dns` or `lo:dns0` with local_pref, `lo:dns1` with `decrease` less, and so on, never
 * below 0.
 */
struct announcer_labels {
	bool enabled;
	char interface[IFNAMSIZ];
	char prefix[IFNAMSIZ];
	uint32_t local_pref;
	uint32_t decrease;
};

struct announcer_service {
	char name[ANNOUNCER_NAME_MAX]; /* "dns" when there is one without a name */
	struct announcer_probe probe;
	char watch_socket[ANNOUNCER_PATH_MAX]; /* the front end's life line; "": none */
	char *drain_file; /* while it exists, the service is drained; NULL: none */
	struct announcer_address *addresses;
	size_t address_count;
	struct announcer_labels labels;
};

struct announcer_bfd {
	bool enabled;
	uint32_t min_tx_ms; /* 100; at least 10 */
	uint32_t min_rx_ms; /* 100 */
	uint8_t multiplier; /* 3 */
};

struct announcer_peer {
	struct address address;         /* ADDRESS_IP with the port, 179 by default; no scope */
	char interface[IFNAMSIZ];       /* for a link-local address ("fe80::1%eth0"); else "" */
	struct sockaddr_storage source; /* to connect from; AF_UNSPEC: what the system takes */
	uint32_t as;
	char *description;                   /* never NULL; the address when none is given */
	char password[ANNOUNCER_SECRET_MAX]; /* TCP MD5; "": none */
	bool ttl_security;     /* RFC 5082: TTL 255 out, only 255 (less hops - 1) in */
	unsigned int multihop; /* hops allowed; 1: directly connected */
	bool passive;          /* never connect, wait for it */
	bool ipv4, ipv6;       /* families offered; both by default */
	struct announcer_bfd bfd;
	/* Next hops given; family AF_UNSPEC: the session's own address, or next_hop_interface's. */
	struct sockaddr_storage next_hop_ipv4;
	struct sockaddr_storage next_hop_ipv6;
	bool has_med;
	uint32_t med;
	unsigned int prepend;
	uint32_t communities[BGP_COMMUNITIES_MAX];
	size_t community_count;
	struct bgp_large_community large[BGP_LARGE_COMMUNITIES_MAX];
	size_t large_count;
};

struct announcer_bgp {
	uint32_t router_id; /* host order; 0: the first IPv4 address of next_hop_interface */
	uint32_t as;
	char next_hop_interface[IFNAMSIZ]; /* "": none */
	uint16_t hold_time_s;              /* 9 */
	int connect_retry_ms;              /* the longest wait between tries; 5000 */
	struct address *listen;            /* where peers may connect to; none by default */
	size_t listen_count;
	int graceful_shutdown_ms; /* announced as a last resort (RFC 8326) for so long, then
				     withdrawn; 2000 */
	int shutdown_wait_ms;     /* after that, for routers to act on the withdrawal; 500 */
	char *shutdown_message;   /* RFC 9003, at most 128 octets; never NULL */
	struct announcer_peer *peers;
	size_t peer_count;
};

struct announcer_config {
	struct announcer_service *services;
	size_t service_count;
	struct announcer_bgp bgp;
	char admin[ADDRESS_TEXT_MAX]; /* 127.0.0.1:9155 */
	struct {
		enum log_level level;
		enum log_format format;
	} log;
};

/*
 * Reads and checks the file at `path`, which must not be NULL: there is no sensible default for a
 * router. NULL on failure, with one line that names file, line and key in `error`.
 */
struct announcer_config *announcer_config_load(const char *path, char *error, size_t error_size);
void announcer_config_free(struct announcer_config *config);

/* True when `a` and `b` differ in nothing but what SIGHUP can change. */
bool announcer_config_is_reloadable(const struct announcer_config *a,
				    const struct announcer_config *b);

#endif
