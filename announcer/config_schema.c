/* The libcyaml schema of announcer.yaml. */
#include "announcer/config_schema.h"

#include "announcer/config.h"
#include "common/config.h"
#include "dns/protocol.h"

#define OPTIONAL CYAML_FLAG_OPTIONAL
#define NULLABLE (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TEXT(structure, key)                                                                       \
	CYAML_FIELD_STRING_PTR(#key, NULLABLE, struct structure, key, 1, CYAML_UNLIMITED)
#define REQUIRED_TEXT(structure, key)                                                              \
	CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER, struct structure, key, 1, CYAML_UNLIMITED)
#define NUMBER(structure, key) CYAML_FIELD_INT_PTR(#key, NULLABLE, struct structure, key)
#define WORD(structure, key, words)                                                                \
	CYAML_FIELD_ENUM_PTR(#key, NULLABLE | CYAML_FLAG_STRICT, struct structure, key, words,     \
			     COUNT(words))
#define BLOCK(structure, key, fields)                                                              \
	CYAML_FIELD_MAPPING_PTR(#key, NULLABLE, struct structure, key, fields)
#define LIST(structure, key, entry)                                                                \
	CYAML_FIELD_SEQUENCE(#key, CYAML_FLAG_POINTER | OPTIONAL, struct structure, key, entry, 0, \
			     CYAML_UNLIMITED)

static const cyaml_schema_value_t text_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CYAML_UNLIMITED),
};

static const cyaml_strval_t protocol_names[] = {
	{"udp", ANNOUNCER_PROTOCOL_UDP},
	{"tcp", ANNOUNCER_PROTOCOL_TCP},
	{"tls", ANNOUNCER_PROTOCOL_TLS},
};

static const cyaml_strval_t rcode_names[] = {
	{"NOERROR", DNS_RCODE_NOERROR},   {"FORMERR", DNS_RCODE_FORMERR},
	{"SERVFAIL", DNS_RCODE_SERVFAIL}, {"NXDOMAIN", DNS_RCODE_NXDOMAIN},
	{"NOTIMP", DNS_RCODE_NOTIMP},     {"REFUSED", DNS_RCODE_REFUSED},
};

static const cyaml_schema_field_t probe_fields[] = {
	REQUIRED_TEXT(file_probe, address),
	CYAML_FIELD_FLAGS("protocols", CYAML_FLAG_STRICT | OPTIONAL, struct file_probe, protocols,
			  protocol_names, COUNT(protocol_names)),
	NUMBER(file_probe, tls_port),
	TEXT(file_probe, tls_ca),
	TEXT(file_probe, tls_server_name),
	REQUIRED_TEXT(file_probe, name),
	TEXT(file_probe, type),
	WORD(file_probe, expect_rcode, rcode_names),
	TEXT(file_probe, expect_answer),
	NUMBER(file_probe, interval_ms),
	NUMBER(file_probe, fast_interval_ms),
	NUMBER(file_probe, timeout_ms),
	NUMBER(file_probe, rise),
	NUMBER(file_probe, fall),
	CYAML_FIELD_END,
};

static const cyaml_strval_t assign_names[] = {
	{"start", ANNOUNCER_ASSIGN_START},
	{"healthy", ANNOUNCER_ASSIGN_HEALTHY},
	{"never", ANNOUNCER_ASSIGN_NEVER},
};

static const cyaml_schema_field_t address_fields[] = {
	REQUIRED_TEXT(file_address, prefix),
	TEXT(file_address, interface),
	WORD(file_address, assign, assign_names),
	NUMBER(file_address, local_pref),
	CYAML_FIELD_BOOL("allow_wider", OPTIONAL, struct file_address, allow_wider),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t address_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_address, address_fields),
};

static const cyaml_schema_field_t labels_fields[] = {
	REQUIRED_TEXT(file_labels, interface),
	REQUIRED_TEXT(file_labels, prefix),
	NUMBER(file_labels, local_pref),
	NUMBER(file_labels, decrease),
	CYAML_FIELD_END,
};

/* The one service, whose addresses stand beside it. */
static const cyaml_schema_field_t service_fields[] = {
	TEXT(file_service, name),
	CYAML_FIELD_MAPPING_PTR("probe", CYAML_FLAG_POINTER, struct file_service, probe,
				probe_fields),
	TEXT(file_service, watch_socket),
	TEXT(file_service, drain_file),
	CYAML_FIELD_END,
};

/* One of several. */
static const cyaml_schema_field_t listed_service_fields[] = {
	REQUIRED_TEXT(file_service, name),
	CYAML_FIELD_MAPPING_PTR("probe", CYAML_FLAG_POINTER, struct file_service, probe,
				probe_fields),
	TEXT(file_service, watch_socket),
	TEXT(file_service, drain_file),
	LIST(file_service, addresses, &address_schema),
	BLOCK(file_service, labels, labels_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t listed_service_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_service, listed_service_fields),
};

static const cyaml_schema_field_t bfd_fields[] = {
	NUMBER(file_bfd, min_tx_ms),
	NUMBER(file_bfd, min_rx_ms),
	NUMBER(file_bfd, multiplier),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t peer_fields[] = {
	REQUIRED_TEXT(file_peer, address),
	CYAML_FIELD_INT_PTR("as", CYAML_FLAG_POINTER, struct file_peer, as),
	TEXT(file_peer, source),
	TEXT(file_peer, description),
	TEXT(file_peer, password),
	TEXT(file_peer, password_file),
	CYAML_FIELD_BOOL("ttl_security", OPTIONAL, struct file_peer, ttl_security),
	NUMBER(file_peer, multihop),
	CYAML_FIELD_BOOL("passive", OPTIONAL, struct file_peer, passive),
	CYAML_FIELD_BOOL_PTR("ipv4", NULLABLE, struct file_peer, ipv4),
	CYAML_FIELD_BOOL_PTR("ipv6", NULLABLE, struct file_peer, ipv6),
	BLOCK(file_peer, bfd, bfd_fields),
	TEXT(file_peer, next_hop_ipv4),
	TEXT(file_peer, next_hop_ipv6),
	NUMBER(file_peer, med),
	NUMBER(file_peer, prepend),
	LIST(file_peer, communities, &text_schema),
	LIST(file_peer, large_communities, &text_schema),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t peer_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_peer, peer_fields),
};

static const cyaml_schema_field_t bgp_fields[] = {
	TEXT(file_bgp, router_id),
	CYAML_FIELD_INT_PTR("as", CYAML_FLAG_POINTER, struct file_bgp, as),
	TEXT(file_bgp, next_hop_interface),
	NUMBER(file_bgp, hold_time_s),
	NUMBER(file_bgp, connect_retry_ms),
	LIST(file_bgp, listen, &text_schema),
	NUMBER(file_bgp, graceful_shutdown_ms),
	NUMBER(file_bgp, shutdown_wait_ms),
	CYAML_FIELD_STRING_PTR("shutdown_message", NULLABLE, struct file_bgp, shutdown_message, 0,
			       CYAML_UNLIMITED),
	LIST(file_bgp, peers, &peer_schema),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t log_fields[] = {
	WORD(file_log, level, config_log_levels),
	WORD(file_log, format, config_log_formats),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
	BLOCK(file_config, service, service_fields),
	LIST(file_config, addresses, &address_schema),
	BLOCK(file_config, labels, labels_fields),
	LIST(file_config, services, &listed_service_schema),
	CYAML_FIELD_MAPPING_PTR("bgp", CYAML_FLAG_POINTER, struct file_config, bgp, bgp_fields),
	TEXT(file_config, admin),
	BLOCK(file_config, log, log_fields),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t announcer_config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file_config, config_fields),
};
