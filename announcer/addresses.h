/*
 * The configured addresses on their interfaces: put there when they are wanted, put back when
 * somebody takes them away, and taken away when they are not wanted any more.
 *
 * Only what was put there by this process is taken away. An address that was there already is
 * somebody else's - the administrator's, or that of an announcer that was killed - and stays. One
 * that somebody takes away is put back at once, but at most once a second: should another program
 * insist, the log says so, and the two do not chase each other at full speed. What cannot be done
 * is logged once for each cause, shown in the status, and tried again with each change of the
 * host's interfaces, and whenever addresses_check is called.
 *
 * On the control thread.
 */
#ifndef GODWIT_ANNOUNCER_ADDRESSES_H
#define GODWIT_ANNOUNCER_ADDRESSES_H

#include "announcer/config.h"
#include "announcer/netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics_shard;

/* One address of one service. */
struct address_entry {
	const struct announcer_address *config;
	size_t service; /* its index in the configuration */
	bool wanted;    /* on its interface, by us; never for ANNOUNCER_ASSIGN_NEVER */
	bool present;   /* it is there, and usable; always true without an interface */
	bool ours;      /* we have put it there */
	bool was_there; /* at some time: missing now means that somebody took it away */
	int64_t put_ms; /* when we last put it there; 0: never */
	char error[200];
};

struct addresses {
	struct netlink *netlink;
	struct metrics_shard *metrics;
	struct address_entry *entries;
	size_t count;
};

/* Takes the addresses of all services; borrows everything. -1: out of memory. */
int addresses_init(struct addresses *addresses, const struct announcer_config *config,
		   struct netlink *netlink, struct metrics_shard *metrics);

/*
 * Looks where the addresses are, adds those wanted and missing, and takes away ours that are not
 * wanted. Returns true when `present` of any has changed.
 */
bool addresses_check(struct addresses *addresses);

/*
 * False, with a reason, when addresses are to be assigned that are not there, and this process may
 * not do so. After addresses_check.
 */
bool addresses_are_allowed(const struct addresses *addresses, char *error, size_t error_size);

/* Takes away all that are ours. For a clean end. */
void addresses_remove(struct addresses *addresses);

/* Frees what addresses_init has made; leaves addresses where they are. */
void addresses_clear(struct addresses *addresses);

#endif
