/*
 * The admin HTTP server of a program: /metrics, /livez and /readyz, a status page for people at /,
 * and what a program adds, on a thread of its own, so that a scrape or a probe is answered while
 * the rest is busy.
 *
 * /livez answers 200 as long as the program's threads move (heartbeat.h), else 503; /readyz answers
 * 200, or 503 with one line that says what is missing. A service manager that started the program
 * is told the same, and its watchdog fed while /livez says 200 (notify.h). Made for trusted
 * networks: no TLS, small limits.
 */
#ifndef GODWIT_COMMON_ADMIN_H
#define GODWIT_COMMON_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

struct admin;
struct heartbeats;
struct metrics;

/*
 * Asked on the admin thread for /readyz: true when the program can do its work. `reason` receives
 * one line for people either way ("3 zones, data 0.2 s old"; "store not loaded yet").
 */
typedef bool (*admin_ready_fn)(void *ctx, char *reason, size_t reason_size);

/*
 * Listens on `address` ("127.0.0.1:9153", "[::1]:9153"); who asks waits until admin_serve, so that
 * all pages are there from the first answer on. On failure returns NULL and says why in `error`.
 * Borrows `metrics`, `ready` and `ctx` until admin_stop.
 */
struct admin *admin_create(const char *address, struct metrics *metrics, admin_ready_fn ready,
			   void *ctx, char *error, size_t error_size);

/* Begins to answer. 0, or -1 with a reason: admin_stop is still to be called. */
int admin_serve(struct admin *admin, char *error, size_t error_size);

/* Both, for a program without pages of its own. NULL with a reason. */
struct admin *admin_start(const char *address, struct metrics *metrics, admin_ready_fn ready,
			  void *ctx, char *error, size_t error_size);

/*
 * Asks `live` for /livez too, in the manner of `ready`: for a program whose loops can stand still
 * while this one runs. Without it /livez says 200 whenever it is asked. Any thread; `ctx` must be
 * good until the server is stopped.
 */
void admin_set_live(struct admin *admin, admin_ready_fn live, void *ctx);

/*
 * Looks at the program's heartbeats every second, and lets them judge /livez. Before admin_serve;
 * they must be good until the server is stopped. 0, or -1 when memory is short.
 */
int admin_watch(struct admin *admin, struct heartbeats *heartbeats);

/* How a page is asked for: GET reads, POST does something. */
enum admin_method { ADMIN_GET, ADMIN_POST };

/* Pages that a program can add. */
#define ADMIN_PAGES_MAX 8

/* Room for a page's reply, in octets: what admin_page_fn's `reply_size` is. */
#define ADMIN_REPLY_MAX (1024 * 1024)

/*
 * A program's own page, on the admin thread; `query` is what stood behind the "?", or NULL. Writes
 * text for people into `reply`, the last line without its end. True: done (200). False: not done,
 * and the text is one line that says why (409).
 */
typedef bool (*admin_page_fn)(void *ctx, const char *query, char *reply, size_t reply_size);

/*
 * Adds a page: what `method` does at `path`. Other methods are refused there (405), unless they
 * have been added too. `path` must outlive the server, `page` and `ctx` be good until it is
 * stopped. A page too many is logged as an error and not served. Any thread.
 */
void admin_add_page(struct admin *admin, enum admin_method method, const char *path,
		    admin_page_fn page, void *ctx);

/* Stops the thread and frees everything. NULL is allowed. */
void admin_stop(struct admin *admin);

#endif
