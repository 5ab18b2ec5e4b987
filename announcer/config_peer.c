/* One BGP peer of announcer.yaml. */
#include "announcer/config_take.h"

#include "common/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BGP_PORT "179"

/* --- addresses -------------------------------------------------------------------------------- */

/*
 * Brings "192.0.2.254", "192.0.2.254:1179", "2001:db8::1", "[2001:db8::1]:1179" and
 * "fe80::1%eth0" into the form address_parse reads, the interface apart: a name that is not an
 * interface of this host yet is no error. False when it does not fit.
 */
static bool config_split_peer(const char *text, char *out, size_t out_size,
			      char interface[IFNAMSIZ])
{
	const char *colon = strchr(text, ':');
	const char *port = NULL;
	const char *host = text;
	size_t length = strlen(text);
	if (text[0] == '[') {
		const char *end = strchr(text, ']');
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return false;
		port = end[1] ? end + 2 : NULL;
		host = text + 1;
		length = (size_t)(end - host);
	} else if (colon && !strchr(colon + 1, ':')) {
		port = colon + 1;
		length = (size_t)(colon - text);
	}
	interface[0] = '\0';
	const char *scope = memchr(host, '%', length);
	if (scope) {
		size_t size = length - (size_t)(scope - host) - 1;
		if (size == 0 || size >= IFNAMSIZ)
			return false;
		memcpy(interface, scope + 1, size);
		interface[size] = '\0';
		length = (size_t)(scope - host);
	}
	bool v6 = memchr(host, ':', length) != NULL;
	int written = snprintf(out, out_size, v6 ? "[%.*s]:%s" : "%.*s:%s", (int)length, host,
			       port ? port : BGP_PORT);
	return written > 0 && (size_t)written < out_size;
}

/* True for what a packet cannot be sent to as to one host. */
static bool config_is_nobody(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET) {
		uint32_t ip = ntohl(((const struct sockaddr_in *)addr)->sin_addr.s_addr);
		return ip == INADDR_ANY || IN_MULTICAST(ip) || ip == INADDR_BROADCAST;
	}
	const struct in6_addr *ip = &((const struct sockaddr_in6 *)addr)->sin6_addr;
	return IN6_IS_ADDR_UNSPECIFIED(ip) || IN6_IS_ADDR_MULTICAST(ip);
}

static int config_take_peer_address(const struct config_place *place, const struct file_peer *file,
				    struct announcer_peer *peer)
{
	char text[ADDRESS_TEXT_MAX];
	if (!config_split_peer(file->address, text, sizeof(text), peer->interface))
		return config_fail(place, "address", "%s: not an IP address", file->address);
	if (config_take_address(place, "address", text, &peer->address) != 0)
		return -1;
	struct sockaddr_storage *addr = &peer->address.addr;
	if (config_is_nobody(addr))
		return config_fail(place, "address", "%s: not one host's address", file->address);
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;
	bool link_local = addr->ss_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
	if (link_local && !peer->interface[0])
		return config_fail(place, "address",
				   "%s: a link-local address needs its interface, "
				   "like %s%%eth0",
				   file->address, file->address);
	if (!link_local && peer->interface[0])
		return config_fail(place, "address",
				   "%s: only link-local addresses have an interface",
				   file->address);
	if (link_local)
		v6->sin6_scope_id = if_nametoindex(peer->interface);
	return 0;
}

/* A bare address; a NULL text leaves `out` AF_UNSPEC. */
static int config_take_ip(const struct config_place *place, const char *key, const char *text,
			  int family, struct sockaddr_storage *out)
{
	if (!text)
		return 0;
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	void *place_of_ip = family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr;
	if (inet_pton(family, text, place_of_ip) != 1)
		return config_fail(place, key, "%s: not an %s address", text,
				   family == AF_INET ? "IPv4" : "IPv6");
	out->ss_family = (sa_family_t)family;
	if (config_is_nobody(out))
		return config_fail(place, key, "%s: not one host's address", text);
	return 0;
}

/* --- the session ------------------------------------------------------------------------------ */

static int config_take_password(const struct config_place *place, const struct file_peer *file,
				struct announcer_peer *peer)
{
	char reason[400];
	if (file->password && file->password_file)
		return config_fail(place, "password", "stands beside password_file: give one");
	if (file->password && strlen(file->password) >= sizeof(peer->password))
		return config_fail(place, "password", "longer than %d octets",
				   ANNOUNCER_SECRET_MAX - 1);
	if (file->password)
		snprintf(peer->password, sizeof(peer->password), "%s", file->password);
	if (file->password_file &&
	    config_read_secret(file->password_file, peer->password, sizeof(peer->password), reason,
			       sizeof(reason)) != 0)
		return config_fail(place, "password_file", "%s", reason);
	return 0;
}

static int config_take_bfd(const struct config_place *place, const struct file_bfd *file,
			   struct announcer_bfd *bfd)
{
	int64_t tx;
	int64_t rx;
	int64_t multiplier;
	if (!file)
		return 0;
	if (config_take_number(place, "bfd.min_tx_ms", file->min_tx_ms, 100, 10, 60000, &tx) != 0 ||
	    config_take_number(place, "bfd.min_rx_ms", file->min_rx_ms, 100, 10, 60000, &rx) != 0 ||
	    config_take_number(place, "bfd.multiplier", file->multiplier, 3, 1, 255, &multiplier) !=
		    0)
		return -1;
	*bfd = (struct announcer_bfd){
		.enabled = true,
		.min_tx_ms = (uint32_t)tx,
		.min_rx_ms = (uint32_t)rx,
		.multiplier = (uint8_t)multiplier,
	};
	return 0;
}

static int config_take_session(const struct config_place *place, const struct file_peer *file,
			       struct announcer_peer *peer)
{
	int64_t multihop;
	const char *description = file->description ? file->description : file->address;
	if (strlen(description) >= ANNOUNCER_NAME_MAX && file->description)
		return config_fail(place, "description", "longer than %d octets",
				   ANNOUNCER_NAME_MAX - 1);
	if (config_take_as(place, "as", *file->as, &peer->as) != 0 ||
	    config_take_text(place, "description", description, &peer->description) != 0 ||
	    config_take_ip(place, "source", file->source, peer->address.addr.ss_family,
			   &peer->source) != 0 ||
	    config_take_password(place, file, peer) != 0 ||
	    config_take_number(place, "multihop", file->multihop, 1, 1, 255, &multihop) != 0 ||
	    config_take_bfd(place, file->bfd, &peer->bfd) != 0)
		return -1;
	peer->ttl_security = file->ttl_security;
	peer->multihop = (unsigned int)multihop;
	peer->passive = file->passive;
	peer->ipv4 = file->ipv4 ? *file->ipv4 : true;
	peer->ipv6 = file->ipv6 ? *file->ipv6 : true;
	if (!peer->ipv4 && !peer->ipv6)
		return config_fail(place, "ipv4", "neither IPv4 nor IPv6 is left to announce");
	return 0;
}

/* --- attributes ------------------------------------------------------------------------------- */

/* Reads `count` decimal numbers with colons between, each up to `max`. */
static bool config_read_numbers(const char *text, size_t count, uint32_t max, uint32_t *out)
{
	for (size_t i = 0; i < count; i++) {
		size_t digits = strspn(text, "0123456789");
		if (digits == 0 || digits > 10)
			return false;
		unsigned long long value = strtoull(text, NULL, 10);
		if (value > max)
			return false;
		out[i] = (uint32_t)value;
		text += digits;
		if (*text != (i + 1 < count ? ':' : '\0'))
			return false;
		text++;
	}
	return true;
}

/* A community as AS:NUMBER or by the name IANA has it under. */
static bool config_read_community(const char *text, uint32_t *out)
{
	static const struct {
		const char *name;
		uint32_t value;
	} names[] = {
		{"no-export", 0xffffff01}, {"no-advertise", 0xffffff02},
		{"no-peer", 0xffffff04},   {"no-export-subconfed", 0xffffff03},
		{"blackhole", 0xffff029a}, {"accept-own", 0xffff0001},
	};
	uint32_t halves[2];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*out = names[i].value;
		if (strcmp(text, names[i].name) == 0)
			return true;
	}
	if (!config_read_numbers(text, 2, UINT16_MAX, halves))
		return false;
	*out = halves[0] << 16 | halves[1];
	return true;
}

static int config_take_communities(const struct config_place *place, const struct file_peer *file,
				   struct announcer_peer *peer)
{
	char key[48];
	if (file->communities_count > BGP_COMMUNITIES_MAX)
		return config_fail(place, "communities", "more than %d", BGP_COMMUNITIES_MAX);
	if (file->large_communities_count > BGP_LARGE_COMMUNITIES_MAX)
		return config_fail(place, "large_communities", "more than %d",
				   BGP_LARGE_COMMUNITIES_MAX);
	for (size_t i = 0; i < file->communities_count; i++) {
		const char *text = file->communities[i];
		snprintf(key, sizeof(key), "communities[%zu]", i);
		if (!config_read_community(text, &peer->communities[i]))
			return config_fail(place, key,
					   "%s: write AS:NUMBER, both at most 65535, or no-export",
					   text);
		peer->community_count++;
	}
	for (size_t i = 0; i < file->large_communities_count; i++) {
		const char *text = file->large_communities[i];
		uint32_t parts[3];
		snprintf(key, sizeof(key), "large_communities[%zu]", i);
		if (!config_read_numbers(text, 3, UINT32_MAX, parts))
			return config_fail(place, key, "%s: write AS:NUMBER:NUMBER", text);
		peer->large[i] = (struct bgp_large_community){parts[0], parts[1], parts[2]};
		peer->large_count++;
	}
	return 0;
}

static int config_take_attributes(const struct config_place *place, const struct file_peer *file,
				  struct announcer_peer *peer)
{
	int64_t prepend;
	if (config_take_ip(place, "next_hop_ipv4", file->next_hop_ipv4, AF_INET,
			   &peer->next_hop_ipv4) != 0 ||
	    config_take_ip(place, "next_hop_ipv6", file->next_hop_ipv6, AF_INET6,
			   &peer->next_hop_ipv6) != 0 ||
	    config_take_u32(place, "med", file->med, 0, &peer->med) != 0 ||
	    config_take_number(place, "prepend", file->prepend, 0, 0, BGP_PREPEND_MAX, &prepend) !=
		    0)
		return -1;
	peer->has_med = file->med != NULL;
	peer->prepend = (unsigned int)prepend;
	return config_take_communities(place, file, peer);
}

int config_take_peer(struct config_place *place, const struct file_peer *file,
		     struct announcer_peer *peer)
{
	if (config_take_peer_address(place, file, peer) != 0 ||
	    config_take_session(place, file, peer) != 0)
		return -1;
	return config_take_attributes(place, file, peer);
}
