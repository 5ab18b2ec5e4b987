/*
 * The admin HTTP server of a program: /metrics, /livez and /readyz, and what a program adds, on a
 * thread of its own, so that a scrape or a probe is answered while the rest is busy.
 *
 * /livez answers 200 as long as the process runs its loops; /readyz answers 200, or 503 with one
 * line that says what is missing. Made for trusted networks: no TLS, small limits.
 */
#ifndef GODWIT_COMMON_ADMIN_H
#define GODWIT_COMMON_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

struct admin;
struct metrics;

/*
 * Asked on the admin thread for /readyz: true when the program can do its work. `reason` receives
 * one line for people either way ("3 zones, data 0.2 s old"; "store not loaded yet").
 */
typedef bool (*admin_ready_fn)(void *ctx, char *reason, size_t reason_size);

/*
 * Listens on `address` ("127.0.0.1:9153", "[::1]:9153") and serves until admin_stop. On failure
 * returns NULL and says why in `error`. Borrows `metrics`, `ready` and `ctx` until then.
 */
struct admin *admin_start(const char *address, struct metrics *metrics, admin_ready_fn ready,
			  void *ctx, char *error, size_t error_size);

/*
 * What a POST to a program's own page does, on the admin thread; `query` is what stood behind the
 * "?", or NULL. Writes one line for people into `reply`. True: done (200). False: not done, and the
 * line says why (409).
 */
typedef bool (*admin_action_fn)(void *ctx, const char *query, char *reply, size_t reply_size);

/*
 * Adds the program's own page, one at most. `path` must outlive the server, `action` and `ctx` be
 * good until it is stopped. Any thread.
 */
void admin_set_action(struct admin *admin, const char *path, admin_action_fn action, void *ctx);

/* Stops the thread and frees everything. NULL is allowed. */
void admin_stop(struct admin *admin);

#endif
