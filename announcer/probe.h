/*
 * Asks the DNS beside us, again and again, as a client would: one query over each configured
 * protocol per interval, a fresh socket with a random port and a random ID each time. Each protocol
 * is a check (check.h) of its own; the probe is up while all are.
 *
 * An answer is good when ID and question match, QR is set, TC is not set over TCP and TLS, and
 * rcode and, if configured, one answer record are as expected (probe_query.h). Over UDP a datagram
 * that does not match the question is not an answer and is passed over: who can send one must not
 * be able to take the service down. A name that begins with the label "*" is asked with random
 * letters in its place, a new name each time, which no cache has an answer to: so the backends are
 * probed too, through a wildcard or a name error.
 *
 * A probe that is not answered within timeout_ms is a failure; it does not hold up the next one.
 * Silence counts within interval_ms + timeout_ms, as soon as `fall` questions have been asked
 * (check.h says how); when the kernel refuses (ICMP, RST), each question fails at once, and down
 * comes after the next one and `fall` - 1 fast intervals. At most PROBE_OPEN_MAX questions of a
 * check are under way: with that many unanswered none is asked until one has ended.
 *
 * Time is CLOCK_MONOTONIC, which also runs while our own process is stopped or has to wait for its
 * turn. So before a question fails for want of time, what waits in the sockets is read; and when
 * the timer comes late, by PROBE_LATE_MS or more, the open questions get that time back: what we
 * slept through is not held against DNS. None is given more than timeout_ms, neither at once nor in
 * all, so that silence is noticed by a machine that is always late, too.
 *
 * What hinders us here (no descriptors, no memory, no route) is a failure with its cause, and a
 * rate-limited warning. On the control thread's loop.
 */
#ifndef GODWIT_ANNOUNCER_PROBE_H
#define GODWIT_ANNOUNCER_PROBE_H

#include "announcer/config.h"

#define PROBE_OPEN_MAX 64
#define PROBE_LATE_MS 20

struct event_base;
struct metrics_shard;
struct probe;

/* Called when probe_is_up has changed; may call any function here. */
typedef void (*probe_change_fn)(void *ctx);

/*
 * Starts probing. Borrows everything until probe_destroy. NULL with a reason (TLS files, an
 * expected answer that is not data of that type, no memory).
 */
struct probe *probe_create(struct event_base *base, const struct announcer_probe *config,
			   struct metrics_shard *metrics, probe_change_fn on_change, void *ctx,
			   char *error, size_t error_size);
/* NULL is allowed. */
void probe_destroy(struct probe *probe);

/* True while every check is up. `reason`, one line: "udp and tcp answer", "udp: no answer within
   500 ms (3 in a row)". */
bool probe_is_up(const struct probe *probe, char *reason, size_t reason_size);

/*
 * Forgets all good answers and all open questions: every check begins anew, down. For when the
 * front end was restarted. Does not call back.
 */
void probe_reset(struct probe *probe);

/*
 * There is reason to think that DNS answers now: checks that are down, and on no way up, begin anew
 * and ask at once, not when their next question is due.
 */
void probe_hurry(struct probe *probe);

#endif
