/*
 * Addresses that are announced because of their labels: `ip address add 192.0.2.54/32 dev lo label
 * lo:dns1` is all an administrator has to do. Pure.
 */
#ifndef GODWIT_ANNOUNCER_LABELS_H
#define GODWIT_ANNOUNCER_LABELS_H

#include "announcer/config.h"
#include "announcer/netlink.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * True when `label` is one of those that `labels` speaks of: "lo:dns" and "lo:dns0" have index 0,
 * "lo:dns1" 1 and so on; "lo:dnsx" and "lo:dns01" are none.
 */
bool labels_match(const struct announcer_labels *labels, const char *label, uint32_t *index);

/* Local preference of an index: `decrease` less for each, never below 0. */
uint32_t labels_local_pref(const struct announcer_labels *labels, uint32_t index);

/*
 * True when an address of a host is to be announced by its label: IPv4, a /32, usable, on the
 * right interface. `local_pref` is then its preference. Of an address with the right label that is
 * not a single host's, `*wider` is set: it is left out, and that should be said.
 */
bool labels_take(const struct announcer_labels *labels, const struct netlink_address *address,
		 uint32_t *local_pref, bool *wider);

#endif
