/*
 * DNS over TCP (RFC 7766) and over TLS (RFC 7858): messages with a 2-octet length before them, many
 * queries on one connection, replies in the order they are ready. connection.h has the bounds.
 *
 * A client that asks for it is told how long its connection may idle (edns-tcp-keepalive, RFC
 * 7828), and over TLS its replies are padded (RFC 7830, RFC 8467).
 */
#ifndef GODWIT_FRONTEND_TCP_H
#define GODWIT_FRONTEND_TCP_H

#include "frontend/connection.h"

extern const struct connection_protocol tcp_protocol;
extern const struct connection_protocol tcp_tls_protocol;

#endif
