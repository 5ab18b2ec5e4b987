/*
 * Connections whose session is over but whose last message, a NOTIFICATION, has still to arrive.
 *
 * Closing a socket that has unread data makes the kernel send RST, which may destroy the
 * NOTIFICATION on the other side; so we send what is left, then FIN, and read until the peer has
 * closed too, for at most PEER_LINGER_MS. No more than PEER_LINGER_MAX linger at a time: the oldest
 * is closed for a new one.
 *
 * All functions are for the control thread.
 */
#ifndef GODWIT_ANNOUNCER_PEER_LINGER_H
#define GODWIT_ANNOUNCER_PEER_LINGER_H

#include <stddef.h>

#define PEER_LINGER_MS 1000
#define PEER_LINGER_MAX 64

struct event_base;
struct evbuffer;
struct peer_lingers;

/* NULL: out of memory. */
struct peer_lingers *peer_lingers_create(struct event_base *base);

/* Closes what is left, at once. NULL is allowed. */
void peer_lingers_destroy(struct peer_lingers *lingers);

/* Takes over `fd`, with the octets of `rest` (which is emptied) still to be sent. */
void peer_linger_start(struct peer_lingers *lingers, int fd, struct evbuffer *rest);

/* How many have not ended. */
size_t peer_lingers_count(const struct peer_lingers *lingers);

#endif
