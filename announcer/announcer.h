/*
 * The running announcer: one control thread with an event loop, on which all but BFD's packets and
 * the admin pages happens.
 *
 *     probe, life line, drain file --> service (one each) --> routes --> speaker --> routers
 *                                                     \--> addresses (netlink)   bfd (its own
 * thread)
 *
 * What changes a service's state is acted upon within the same event's callback: the withdrawal is
 * on the sockets before anything is logged. The main thread starts and stops; the admin thread
 * reads snapshots (status.h) and sets flags.
 *
 * The order of the end: all services drain (RFC 8326), are withdrawn, routers get bgp.
 * shutdown_wait_ms to act on it, front ends that wait are told that they may end; then the sessions
 * are closed with a message (RFC 9003), BFD says AdminDown, and the addresses put there by us go.
 * Each step has a bound in time.
 */
#ifndef GODWIT_ANNOUNCER_ANNOUNCER_H
#define GODWIT_ANNOUNCER_ANNOUNCER_H

#include "announcer/config.h"

#include <stdbool.h>
#include <stddef.h>

struct announcer;

/*
 * Starts everything; takes over `config`. NULL with one line in `error` that names what cannot be
 * had; `config` is freed in any case.
 */
struct announcer *announcer_start(struct announcer_config *config, char *error, size_t error_size);

/*
 * Takes over another configuration's log settings, and `config` itself; says in the log whether
 * something else would need a restart. Main thread.
 */
void announcer_reload(struct announcer *announcer, struct announcer_config *config);

/* Begins the end described above. Does not wait. Main thread. */
void announcer_begin_stop(struct announcer *announcer);

/* True when the end is reached. Any thread. */
bool announcer_has_stopped(const struct announcer *announcer);

/* False, with a line that names it, while a thread hangs (heartbeat.h). Any thread. */
bool announcer_moves(const struct announcer *announcer, char *reason, size_t reason_size);

/* Frees everything, after announcer_has_stopped. */
void announcer_destroy(struct announcer *announcer);

#endif
