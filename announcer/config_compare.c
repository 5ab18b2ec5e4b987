/* Whether two configurations differ in more than a running program can take over. */
#include "announcer/config.h"

#include <netinet/in.h>
#include <string.h>

static bool config_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool config_same_address(const struct address *a, const struct address *b)
{
	return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Addresses without port or scope, or none. */
static bool config_same_ip(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return a->ss_family != AF_INET6 ||
	       memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		      &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static bool config_same_probe(const struct announcer_probe *a, const struct announcer_probe *b)
{
	return config_same_address(&a->address, &b->address) && a->protocols == b->protocols &&
	       a->tls_port == b->tls_port && config_same_text(a->tls_ca, b->tls_ca) &&
	       config_same_text(a->tls_server_name, b->tls_server_name) &&
	       dns_name_equal(a->name, b->name) && a->type == b->type &&
	       a->expect_rcode == b->expect_rcode &&
	       config_same_text(a->expect_answer, b->expect_answer) &&
	       a->interval_ms == b->interval_ms && a->fast_interval_ms == b->fast_interval_ms &&
	       a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

static bool config_same_labels(const struct announcer_labels *a, const struct announcer_labels *b)
{
	return a->enabled == b->enabled && strcmp(a->interface, b->interface) == 0 &&
	       strcmp(a->prefix, b->prefix) == 0 && a->local_pref == b->local_pref &&
	       a->decrease == b->decrease;
}

static bool config_same_service(const struct announcer_service *a,
				const struct announcer_service *b)
{
	if (strcmp(a->name, b->name) != 0 || !config_same_probe(&a->probe, &b->probe) ||
	    strcmp(a->watch_socket, b->watch_socket) != 0 ||
	    !config_same_text(a->drain_file, b->drain_file) ||
	    !config_same_labels(&a->labels, &b->labels) || a->address_count != b->address_count)
		return false;
	for (size_t i = 0; i < a->address_count; i++) {
		const struct announcer_address *x = &a->addresses[i];
		const struct announcer_address *y = &b->addresses[i];
		if (!prefix_equal(&x->prefix, &y->prefix) || x->assign != y->assign ||
		    strcmp(x->interface, y->interface) != 0 || x->local_pref != y->local_pref ||
		    x->allow_wider != y->allow_wider)
			return false;
	}
	return true;
}

static bool config_same_attributes(const struct announcer_peer *a, const struct announcer_peer *b)
{
	return config_same_ip(&a->next_hop_ipv4, &b->next_hop_ipv4) &&
	       config_same_ip(&a->next_hop_ipv6, &b->next_hop_ipv6) && a->has_med == b->has_med &&
	       a->med == b->med && a->prepend == b->prepend &&
	       a->community_count == b->community_count && a->large_count == b->large_count &&
	       memcmp(a->communities, b->communities,
		      a->community_count * sizeof(a->communities[0])) == 0 &&
	       memcmp(a->large, b->large, a->large_count * sizeof(a->large[0])) == 0;
}

static bool config_same_peer(const struct announcer_peer *a, const struct announcer_peer *b)
{
	return config_same_address(&a->address, &b->address) &&
	       strcmp(a->interface, b->interface) == 0 && config_same_ip(&a->source, &b->source) &&
	       a->as == b->as && config_same_text(a->description, b->description) &&
	       strcmp(a->password, b->password) == 0 && a->ttl_security == b->ttl_security &&
	       a->multihop == b->multihop && a->passive == b->passive && a->ipv4 == b->ipv4 &&
	       a->ipv6 == b->ipv6 && a->bfd.enabled == b->bfd.enabled &&
	       a->bfd.min_tx_ms == b->bfd.min_tx_ms && a->bfd.min_rx_ms == b->bfd.min_rx_ms &&
	       a->bfd.multiplier == b->bfd.multiplier && config_same_attributes(a, b);
}

static bool config_same_bgp(const struct announcer_bgp *a, const struct announcer_bgp *b)
{
	if (a->router_id != b->router_id || a->as != b->as ||
	    strcmp(a->next_hop_interface, b->next_hop_interface) != 0 ||
	    a->hold_time_s != b->hold_time_s || a->connect_retry_ms != b->connect_retry_ms ||
	    a->graceful_shutdown_ms != b->graceful_shutdown_ms ||
	    a->shutdown_wait_ms != b->shutdown_wait_ms ||
	    !config_same_text(a->shutdown_message, b->shutdown_message) ||
	    a->listen_count != b->listen_count || a->peer_count != b->peer_count)
		return false;
	for (size_t i = 0; i < a->listen_count; i++)
		if (!config_same_address(&a->listen[i], &b->listen[i]))
			return false;
	for (size_t i = 0; i < a->peer_count; i++)
		if (!config_same_peer(&a->peers[i], &b->peers[i]))
			return false;
	return true;
}

bool announcer_config_is_reloadable(const struct announcer_config *a,
				    const struct announcer_config *b)
{
	if (a->service_count != b->service_count || strcmp(a->admin, b->admin) != 0 ||
	    !config_same_bgp(&a->bgp, &b->bgp))
		return false;
	for (size_t i = 0; i < a->service_count; i++)
		if (!config_same_service(&a->services[i], &b->services[i]))
			return false;
	return true;
}
