/*
 * The running front end: workers, plan, metrics and admin server, put together in the right order
 * and taken apart in the opposite one. For the main thread.
 */
#ifndef GODWIT_FRONTEND_FRONTEND_H
#define GODWIT_FRONTEND_FRONTEND_H

#include "frontend/config.h"

#include <stddef.h>

struct frontend;

/*
 * Starts everything; takes over `config`. gRPC must be initialised. NULL with one line in `error`
 * that names the address or file when something cannot be had; `config` is freed in any case.
 */
struct frontend *frontend_start(struct frontend_config *config, char *error, size_t error_size);

/*
 * Takes over another configuration's routes and log settings, and `config` itself; says in the log
 * what else would need a restart.
 */
void frontend_reload(struct frontend *frontend, struct frontend_config *config);

/*
 * Looks whether certificates for backends have changed, and goes over to new connections with the
 * new ones if so. Every TLS_FILES_INTERVAL_MS.
 */
void frontend_look_at_files(struct frontend *frontend);

/*
 * Tells those who send clients here that this is about to end: announcers on the life line, and
 * /readyz. Queries are answered as before.
 */
void frontend_begin_drain(struct frontend *frontend);

/*
 * True when limits.linger_ms has passed, and no announcer sends clients here any more or
 * limits.drain_ms has passed, too.
 */
bool frontend_has_drained(const struct frontend *frontend);

/* Begins to stop: no new queries, those in flight are answered. Does not wait. */
void frontend_begin_stop(struct frontend *frontend);

/* True when nothing is in flight any more, or the time for it has passed: a thread may hang. */
bool frontend_has_stopped(const struct frontend *frontend);

/*
 * Frees everything, after frontend_has_stopped. Ends the process, with a log line and a failure,
 * when a thread hangs: it could not be waited for.
 */
void frontend_destroy(struct frontend *frontend);

#endif
