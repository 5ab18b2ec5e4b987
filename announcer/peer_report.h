/*
 * What the log says of a peer. Every line names the peer and, when something ended, its cause.
 *
 * A router that is away, or refuses us, fails again and again, and one that is hostile at any rate
 * and with words of its own choice: so of failures before a session stands a new cause is logged at
 * most once a second for a peer, the same one again once a minute, with the number of lines that
 * were held back. Sessions that stood are always logged: how often they can come is limited where
 * connections are made.
 */
#ifndef GODWIT_ANNOUNCER_PEER_REPORT_H
#define GODWIT_ANNOUNCER_PEER_REPORT_H

#include "announcer/bgp_session.h"

#include <stdbool.h>
#include <stdint.h>

#define PEER_REPORT_NEW_MS 1000
#define PEER_REPORT_SAME_MS 60000

/* What was logged last. Zero-initialise. */
struct peer_report {
	char cause[BGP_ERROR_MAX];
	int64_t last_ms;
	uint64_t suppressed;
};

/*
 * True when a failure with this cause is to be logged at `now_ms`; `*suppressed` is then how many
 * were not since the last. Pure.
 */
bool peer_report_pass(struct peer_report *report, const char *cause, int64_t now_ms,
		      uint64_t *suppressed);

/* A try to connect, or a session before it was established, has ended. */
void peer_report_failure(struct peer_report *report, const char *peer, const char *cause);

/* After an established session even the same cause is news. */
void peer_report_reset(struct peer_report *report);

#endif
