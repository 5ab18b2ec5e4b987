/*
 * DNS over TCP (RFC 7766): messages with a 2-octet length before them, many queries on one
 * connection, replies in the order they are ready.
 *
 * What keeps clients in bounds:
 *  - connections: `limits.tcp_connections` over all workers. At the limit a worker closes its own
 *    longest idle connection to make room; if none of its connections is idle, the new one is
 *    closed at once.
 *  - time: a connection is closed when for `limits.tcp_idle_s` it has made no progress: no whole
 *    query has come, and the replies have not been read to the last octet. Dripping single octets
 *    is no progress.
 *  - work: with TCP_QUERIES_MAX queries of a connection in flight, or TCP_OUTPUT_MAX octets of
 *    replies not yet taken by the client, nothing more is read from it.
 *
 * A client that closes its sending side still gets all its replies. One server per worker, used by
 * its thread alone; the count of connections is shared.
 */
#ifndef GODWIT_FRONTEND_TCP_H
#define GODWIT_FRONTEND_TCP_H

#include "frontend/serve.h"

#include <stdatomic.h>

#define TCP_QUERIES_MAX 64
#define TCP_OUTPUT_MAX (64 * 1024)

struct event_base;
struct tcp_server;

/*
 * Makes a server without listeners. `serve` is borrowed, and so is `open`, the number of
 * connections of all workers. NULL when memory is short.
 */
struct tcp_server *tcp_create(struct event_base *base, struct serve *serve, _Atomic unsigned *open);
/* Closes everything. Queries in flight must have been answered or be about to be freed. */
void tcp_destroy(struct tcp_server *server);

/* Takes over a socket of listen_open_tcp and accepts from it. 0, or -1: the socket is closed. */
int tcp_add_listener(struct tcp_server *server, int fd);

/*
 * Accepts and reads no more, closes connections that are idle now, and the others once they have
 * got their replies.
 */
void tcp_stop(struct tcp_server *server);

/* True when no connection is left. */
bool tcp_is_empty(const struct tcp_server *server);

#endif
