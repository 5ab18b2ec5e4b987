/*
 * Where peers connect to us. A connection from nobody we know is closed before a word is said,
 * counted and, rate-limited, logged. When the process has no descriptor or memory left for a
 * connection, the listener pauses a little instead of spinning.
 *
 * All functions are for the control thread.
 */
#ifndef GODWIT_ANNOUNCER_SPEAKER_LISTEN_H
#define GODWIT_ANNOUNCER_SPEAKER_LISTEN_H

#include "announcer/config.h"

#include <stddef.h>
#include <sys/socket.h>

#define SPEAKER_LISTEN_PAUSE_MS 100

struct event_base;
struct speaker_listener;

/* Called with each connection; owns `fd`. */
typedef void (*speaker_accept_fn)(void *ctx, int fd, const struct sockaddr_storage *from);

/* NULL with a reason that names the address. */
struct speaker_listener *speaker_listener_create(struct event_base *base,
						 const struct announcer_bgp *bgp,
						 const struct address *address,
						 speaker_accept_fn on_accept, void *ctx,
						 char *error, size_t error_size);
/* NULL is allowed. */
void speaker_listener_destroy(struct speaker_listener *listener);

#endif
