/*
 * The addresses of this host's interfaces, by rtnetlink: put there, taken away, looked up, watched.
 *
 * Requests are answered by the kernel at once, so they are made synchronously; changes by others
 * are told on a second socket through the event loop. Control thread only.
 */
#ifndef GODWIT_ANNOUNCER_NETLINK_H
#define GODWIT_ANNOUNCER_NETLINK_H

#include "announcer/prefix.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct netlink;

/* An address as the kernel has it. */
struct netlink_address {
	struct prefix prefix; /* the address itself with its length: host bits may be set */
	char interface[IFNAMSIZ];
	char label[IFNAMSIZ]; /* IPv4: "lo", "lo:dns0"; IPv6: "" */
	bool link_local;      /* scope */
	bool usable;          /* false: tentative, failed DAD, or deprecated */
};

/* `on_change` is called when addresses or links of the host have changed. NULL with a reason. */
struct netlink *netlink_create(struct event_base *base, void (*on_change)(void *ctx), void *ctx,
			       char *error, size_t error_size);
void netlink_destroy(struct netlink *netlink);

/*
 * Puts an address on an interface (IPv6 without duplicate address detection). 0; 1 when it was
 * there already; -1 with a reason ("lo: operation not permitted: needs CAP_NET_ADMIN").
 */
int netlink_add_address(struct netlink *netlink, const struct prefix *prefix, const char *interface,
			char *error, size_t error_size);

/* Takes it away. 0, also when it is not there; -1 with a reason. */
int netlink_remove_address(struct netlink *netlink, const struct prefix *prefix,
			   const char *interface, char *error, size_t error_size);

/* All addresses of an interface ("": of all): the caller frees `*out`. 0, or -1 with a reason. */
int netlink_list_addresses(struct netlink *netlink, const char *interface,
			   struct netlink_address **out, size_t *count, char *error,
			   size_t error_size);

#endif
