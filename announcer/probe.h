/*
 * Asks the DNS beside us, again and again, as a client would: one query over each configured
 * protocol per interval, a fresh socket and a random ID each time. Each protocol is a check
 * (check.h) of its own; the probe is up while all are.
 *
 * An answer is good when ID and question match, QR is set, TC is not set over TCP and TLS, and
 * rcode and, if configured, one answer record are as expected. A probe that is not answered within
 * timeout_ms is a failure; it does not hold up the next one: with timeout above interval several
 * may be under way, and `fall` failures are counted from the first question unanswered. Silence
 * counts at the latest at fall x interval + timeout; when the kernel refuses (ICMP, RST), at once.
 *
 * On the control thread's loop.
 */
#ifndef GODWIT_ANNOUNCER_PROBE_H
#define GODWIT_ANNOUNCER_PROBE_H

#include "announcer/config.h"

struct event_base;
struct metrics_shard;
struct probe;

typedef void (*probe_change_fn)(void *ctx);

/* Starts probing. Borrows everything until probe_destroy. NULL with a reason (TLS files). */
struct probe *probe_create(struct event_base *base, const struct announcer_probe *config,
			   struct metrics_shard *metrics, probe_change_fn on_change, void *ctx,
			   char *error, size_t error_size);
void probe_destroy(struct probe *probe);

/* True while every check is up. `reason`, one line: "udp and tcp answer", "udp: no answer within
   500 ms (3 in a row)". */
bool probe_is_up(const struct probe *probe, char *reason, size_t reason_size);

/* Forgets all good answers: every check begins anew, down. For when the front end was restarted. */
void probe_reset(struct probe *probe);

#endif
