/*
 * What all services together announce: one row for each configured address and each labelled one,
 * announced or not, and why.
 */
#ifndef GODWIT_ANNOUNCER_ROUTES_H
#define GODWIT_ANNOUNCER_ROUTES_H

#include "announcer/addresses.h"
#include "announcer/service_state.h"
#include "announcer/speaker.h"

#include <stdbool.h>
#include <stddef.h>

#define ROUTE_WHY_MAX (SERVICE_CAUSE_MAX + 64)

struct route {
	struct announcement announcement;
	size_t service;        /* its index */
	const char *interface; /* "": none; the configuration's */
	bool labelled;         /* found by its label, not configured */
	bool present;          /* on the interface, where there is one */
	bool ours;             /* put there by us */
	bool announced;
	char why[ROUTE_WHY_MAX];
};

struct routes {
	struct route *rows;
	size_t count;
};

/* What routes are made of: borrowed for the call, but for `config`, which must outlive the rows. */
struct routes_input {
	const struct announcer_config *config;
	const struct service_state *const *states; /* one for each service */
	const struct addresses *addresses;
	const struct netlink_address *hosts; /* of this host, for the labels */
	size_t host_count;
};

/*
 * Makes the rows. An address that two services come to claim by labels is the first's. Logs
 * nothing. -1: out of memory.
 */
int routes_build(struct routes *routes, const struct routes_input *input);
void routes_clear(struct routes *routes);

/* Those that are announced, for speaker_set_announcements; the caller frees. NULL: no memory. */
struct announcement *routes_list(const struct routes *routes, size_t *count);

/* Logs what `now` announces and `old` did not, and the other way round. */
void routes_report(const struct routes *old, const struct routes *now,
		   const struct announcer_config *config);

#endif
