/*
 * TLS for what drives a server: a client that looks at nobody's certificate, reads from its socket
 * and writes into memory, so that many records leave by one system call. A query has a record of
 * its own, as clients send them that do not know what they will ask next.
 */
#ifndef GODWIT_BENCH_LANE_TLS_H
#define GODWIT_BENCH_LANE_TLS_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Octets that a record adds to what is in it, at most. */
#define LANE_TLS_OVERHEAD 64

/*
 * A context for clients: TLS `version` (TLS1_2_VERSION ...) alone, 0 for any. NULL: out of memory.
 */
SSL_CTX *lane_tls_create_context(int version);

/* How long a server may be silent in a handshake. */
#define LANE_TLS_PATIENCE_S 5

/*
 * Begins a session on a connected socket, which becomes non-blocking afterwards; waits for the
 * handshake. NULL when it fails or the server is silent.
 */
SSL *lane_tls_connect(SSL_CTX *context, int fd);

/* Seals `size` octets as one record and writes it to `out`. Returns its octets, 0 on failure. */
size_t lane_tls_seal(SSL *ssl, const uint8_t *data, size_t size, uint8_t *out, size_t out_size);

/* As recv() without waiting: octets, 0 at the end, -1 with errno EAGAIN or another. */
ssize_t lane_tls_read(SSL *ssl, uint8_t *out, size_t size);

#endif
