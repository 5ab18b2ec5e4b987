/*
 * DNS over UDP: datagrams in batches of UDP_BATCH through recvmmsg and sendmmsg, in buffers that
 * are made once. Replies gather until udp_flush and leave from the address their query was sent to,
 * also on wildcard sockets (RFC 2181 section 4), and through its interface when that address is
 * link-local. One per worker, used by its thread alone.
 */
#ifndef GODWIT_FRONTEND_UDP_H
#define GODWIT_FRONTEND_UDP_H

#include "frontend/serve.h"

#define UDP_BATCH 64

struct event_base;
struct udp_server;

/* Makes a server without sockets. `serve` is borrowed. NULL when memory is short. */
struct udp_server *udp_create(struct event_base *base, struct serve *serve);
void udp_destroy(struct udp_server *server);

/* Takes over a socket of listen_open_udp and reads from it. 0, or -1: the socket is closed. */
int udp_add_socket(struct udp_server *server, int fd);

/* Reads no more. Replies can still be sent. */
void udp_stop_reading(struct udp_server *server);

/* Sends the replies gathered so far. To be called at the end of each event that makes replies. */
void udp_flush(struct udp_server *server);

#endif
