/*
 * announcer.yaml as it stands in the file, before defaults and checks: what libcyaml fills in. A
 * NULL pointer is a key that is not there, or null. For config*.c only.
 */
#ifndef GODWIT_ANNOUNCER_CONFIG_SCHEMA_H
#define GODWIT_ANNOUNCER_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdint.h>

struct file_probe {
	char *address;
	uint32_t protocols; /* enum announcer_protocol bits; 0: not given */
	int64_t *tls_port;
	char *tls_ca;
	char *tls_server_name;
	char *name;
	char *type;
	int *expect_rcode;
	char *expect_answer;
	int64_t *interval_ms;
	int64_t *fast_interval_ms;
	int64_t *timeout_ms;
	int64_t *rise;
	int64_t *fall;
};

struct file_address {
	char *prefix;
	char *interface;
	int *assign;
	int64_t *local_pref;
	bool allow_wider;
};

struct file_labels {
	char *interface;
	char *prefix;
	int64_t *local_pref;
	int64_t *decrease;
};

/*
 * One service. In the list all its keys stand in it; when there is only one, its addresses and
 * labels stand beside it, and are in file_config.
 */
struct file_service {
	char *name;
	struct file_probe *probe;
	char *watch_socket;
	char *drain_file;
	struct file_address *addresses;
	unsigned int addresses_count;
	struct file_labels *labels;
};

struct file_bfd {
	int64_t *min_tx_ms;
	int64_t *min_rx_ms;
	int64_t *multiplier;
};

struct file_peer {
	char *address;
	int64_t *as;
	char *source;
	char *description;
	char *password;
	char *password_file;
	bool ttl_security;
	int64_t *multihop;
	bool passive;
	bool *ipv4;
	bool *ipv6;
	struct file_bfd *bfd;
	char *next_hop_ipv4;
	char *next_hop_ipv6;
	int64_t *med;
	int64_t *prepend;
	char **communities;
	unsigned int communities_count;
	char **large_communities;
	unsigned int large_communities_count;
};

struct file_bgp {
	char *router_id;
	int64_t *as;
	char *next_hop_interface;
	int64_t *hold_time_s;
	int64_t *connect_retry_ms;
	char **listen;
	unsigned int listen_count;
	int64_t *graceful_shutdown_ms;
	int64_t *shutdown_wait_ms;
	char *shutdown_message;
	struct file_peer *peers;
	unsigned int peers_count;
};

struct file_log {
	int *level;
	int *format;
};

struct file_config {
	struct file_service *service;
	struct file_address *addresses;
	unsigned int addresses_count;
	struct file_labels *labels;
	struct file_service *services;
	unsigned int services_count;
	struct file_bgp *bgp;
	char *admin;
	struct file_log *log;
};

/* The schema of the whole file: a mapping, to struct file_config *. */
extern const cyaml_schema_value_t announcer_config_schema;

#endif
