/* The `bgp` block of announcer.yaml: who we are to the routers. Peers are in config_peer.c. */
#include "announcer/config_take.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SHUTDOWN_MESSAGE "godwit-announcer stops"
#define SHUTDOWN_MESSAGE_MAX 128

static int config_take_router_id(const struct config_place *place, const struct file_bgp *file,
				 struct announcer_bgp *bgp)
{
	struct in_addr id = {0};
	if (!file->router_id && !file->next_hop_interface)
		return config_fail(place, "router_id",
				   "is missing: give it, or next_hop_interface to take it from");
	if (!file->router_id)
		return 0;
	if (inet_pton(AF_INET, file->router_id, &id) != 1 || id.s_addr == 0)
		return config_fail(place, "router_id", "%s: write it like an IPv4 address",
				   file->router_id);
	bgp->router_id = ntohl(id.s_addr);
	return 0;
}

static int config_take_bgp_times(const struct config_place *place, const struct file_bgp *file,
				 struct announcer_bgp *bgp)
{
	int64_t hold;
	int64_t retry;
	int64_t graceful;
	int64_t wait;
	if (config_take_number(place, "hold_time_s", file->hold_time_s, 9, 0, 65535, &hold) != 0 ||
	    config_take_number(place, "connect_retry_ms", file->connect_retry_ms, 5000, 100, 600000,
			       &retry) != 0 ||
	    config_take_number(place, "graceful_shutdown_ms", file->graceful_shutdown_ms, 2000, 0,
			       600000, &graceful) != 0 ||
	    config_take_number(place, "shutdown_wait_ms", file->shutdown_wait_ms, 500, 0, 60000,
			       &wait) != 0)
		return -1;
	if (hold == 1 || hold == 2) /* RFC 4271 section 4.2 */
		return config_fail(place, "hold_time_s", "%lld is neither 0 nor at least 3",
				   (long long)hold);
	bgp->hold_time_s = (uint16_t)hold;
	bgp->connect_retry_ms = (int)retry;
	bgp->graceful_shutdown_ms = (int)graceful;
	bgp->shutdown_wait_ms = (int)wait;
	return 0;
}

static int config_take_bgp_listen(const struct config_place *place, const struct file_bgp *file,
				  struct announcer_bgp *bgp)
{
	bgp->listen = calloc(file->listen_count ? file->listen_count : 1, sizeof(bgp->listen[0]));
	if (!bgp->listen)
		return config_fail(place, "listen", "out of memory");
	for (size_t i = 0; i < file->listen_count; i++) {
		char key[32];
		snprintf(key, sizeof(key), "listen[%zu]", i);
		if (config_take_address(place, key, file->listen[i], &bgp->listen[i]) != 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (strcmp(bgp->listen[j].host, bgp->listen[i].host) == 0 &&
			    bgp->listen[j].port == bgp->listen[i].port)
				return config_fail(place, key, "%s: listed twice", file->listen[i]);
		bgp->listen_count++;
	}
	return 0;
}

static bool config_is_same_peer(const struct announcer_peer *a, const struct announcer_peer *b)
{
	return a->address.port == b->address.port &&
	       strcmp(a->address.host, b->address.host) == 0 &&
	       strcmp(a->interface, b->interface) == 0;
}

static int config_take_peers(const struct config_place *place, const struct file_bgp *file,
			     struct announcer_bgp *bgp)
{
	bgp->peers = calloc(file->peers_count ? file->peers_count : 1, sizeof(bgp->peers[0]));
	if (!bgp->peers)
		return config_fail(place, "peers", "out of memory");
	for (size_t i = 0; i < file->peers_count; i++) {
		struct config_place inner = *place;
		snprintf(inner.around, sizeof(inner.around), "bgp.peers[%zu].", i);
		bgp->peer_count++;
		if (config_take_peer(&inner, &file->peers[i], &bgp->peers[i]) != 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (config_is_same_peer(&bgp->peers[j], &bgp->peers[i]))
				return config_fail(&inner, "address", "%s: listed twice",
						   file->peers[i].address);
		if (bgp->peers[i].passive && bgp->listen_count == 0)
			return config_fail(&inner, "passive",
					   "nobody can connect: bgp.listen is empty");
	}
	return 0;
}

int config_take_bgp(struct config_place *place, const struct file_bgp *file,
		    struct announcer_bgp *bgp)
{
	struct config_place inner = *place;
	snprintf(inner.around, sizeof(inner.around), "bgp.");
	const char *message =
		file->shutdown_message ? file->shutdown_message : DEFAULT_SHUTDOWN_MESSAGE;
	if (strlen(message) > SHUTDOWN_MESSAGE_MAX)
		return config_fail(&inner, "shutdown_message", "longer than %d octets",
				   SHUTDOWN_MESSAGE_MAX);
	if (config_take_router_id(&inner, file, bgp) != 0 ||
	    config_take_as(&inner, "as", *file->as, &bgp->as) != 0 ||
	    config_take_interface(&inner, "next_hop_interface", file->next_hop_interface,
				  bgp->next_hop_interface) != 0 ||
	    config_take_bgp_times(&inner, file, bgp) != 0 ||
	    config_take_text(&inner, "shutdown_message", message, &bgp->shutdown_message) != 0 ||
	    config_take_bgp_listen(&inner, file, bgp) != 0)
		return -1;
	return config_take_peers(&inner, file, bgp);
}
