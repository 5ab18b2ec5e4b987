/*
 * Heartbeats: whether the threads of a program move on.
 *
 * A thread that must not stand still - an event loop, a queue - beats once a second or oftener,
 * whatever else it has to do; another one, the admin server's (admin_watch), looks at all of them
 * every second. A thread that has not beaten for longer than its bound *hangs*: that is logged, and
 * logged again when it moves, it is counted, and as long as a vital thread hangs /livez says 503
 * with its name and the service manager's watchdog is not fed, so that whoever started the program
 * starts it anew.
 *
 * Silence is measured in time during which the one who looks was running itself, not by the clock:
 * each look adds the time since the look before, and no more than two seconds of it. So a process
 * that was stopped and goes on, a machine that was suspended, and a clock that jumps hang nobody.
 *
 * Not all threads are vital. One whose standing still a restart would make worse - the backend's
 * follower, which may wait long for a store, while what it has loaded is served - is reported like
 * the others, but /livez stays at 200.
 */
#ifndef GODWIT_COMMON_HEARTBEAT_H
#define GODWIT_COMMON_HEARTBEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct event;
struct event_base;
struct heartbeat;
struct heartbeats;

/* How often to beat and to look, in milliseconds. */
#define HEARTBEAT_MS 1000

/* The bound of a thread that never waits for anything but events, in milliseconds. */
#define HEARTBEAT_BOUND_MS 10000

/* Longest name, its NUL included: the kernel's own limit for a thread. */
#define HEARTBEAT_NAME_MAX 16

/*
 * Those of one program, "frontend": the word in its metrics' names, a constant. NULL when memory is
 * short.
 */
struct heartbeats *heartbeats_create(const char *program);
/* No thread may beat any more. NULL is allowed. */
void heartbeats_destroy(struct heartbeats *heartbeats);

enum heartbeat_kind { HEARTBEAT_VITAL, HEARTBEAT_REPORTED };

/*
 * Adds a thread, which is expected to beat from now on. The name is copied, and cut where it is too
 * long. NULL when memory is short. Any thread.
 */
struct heartbeat *heartbeats_add(struct heartbeats *heartbeats, const char *name,
				 enum heartbeat_kind kind, int64_t bound_ms);

/* The thread moves. That thread; costs an add. NULL is allowed, and beats for nobody. */
void heartbeat_beat(struct heartbeat *heartbeat);

/* Nothing is expected of the thread any more: it ends, as it should. NULL is allowed. */
void heartbeat_end(struct heartbeat *heartbeat);

/*
 * Makes an event loop for one thread (no locks inside it) in which heartbeats have their turn
 * whatever is going on: after HEARTBEAT_TURN_MS of other events, though more of them wait - a flood
 * of handshakes, say - a timer of heartbeat_add_timer is looked at first. NULL when memory is
 * short.
 */
struct event_base *heartbeat_new_loop(void);

/* How long a loop deals with events that have come together; milliseconds. */
#define HEARTBEAT_TURN_MS 1000

/* Makes a timer that beats in such a loop. To be freed by event_free. NULL when memory is short. */
struct event *heartbeat_add_timer(struct event_base *base, struct heartbeat *heartbeat);

/* Looks at all of them; `now_ms` is clock_now_ms. One thread. */
void heartbeats_look(struct heartbeats *heartbeats, int64_t now_ms);

/*
 * admin.h's admin_ready_fn, ctx a struct heartbeats, by the last look: false when a vital thread
 * hangs. The line names those that hang. Any thread.
 */
bool heartbeats_describe(void *ctx, char *reason, size_t reason_size);

/* A collector (metrics.h), ctx a struct heartbeats: threads that hang, and how often each has. */
void heartbeats_collect(void *ctx, struct evbuffer *out);

#endif
