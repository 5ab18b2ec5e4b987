/*
 * TLS 1.3 inside QUIC (RFC 9001) by GnuTLS, which ngtcp2 0.12 can work with: OpenSSL 3.0 has no
 * interface for it. Only signatures are OpenSSL's (quic_key.h). Certificates are those that tls.h
 * keeps, made into credentials anew when they have changed; if GnuTLS cannot use them, those it has
 * stay, with a line in the log. ALPN must be "doq" (RFC 9250 section 4.1.1). Tickets resume
 * sessions; their key changes every TLS_TICKET_KEY_S and an old one is good no more. No early data:
 * a query could be replayed.
 *
 * Used by one thread.
 */
#ifndef GODWIT_FRONTEND_QUIC_TLS_H
#define GODWIT_FRONTEND_QUIC_TLS_H

#include "frontend/tls.h"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdbool.h>
#include <stddef.h>

struct quic_credentials;
struct quic_tls;

/* One client's. A part of its connection, which does not move. */
struct quic_session {
	ngtcp2_crypto_conn_ref ref; /* first: GnuTLS and ngtcp2 share a pointer to it */
	gnutls_session_t tls;
	struct quic_credentials *credentials; /* those it began with; held */
};

/* Borrows `tls`. NULL with a reason. */
struct quic_tls *quic_tls_create(struct tls *tls, char *error, size_t error_size);
/* After all sessions have been closed. NULL is allowed. */
void quic_tls_destroy(struct quic_tls *quic_tls);

/* Opens a server's session with the certificates now in use; `ref` must be filled in. 0 or -1. */
int quic_session_open(struct quic_tls *quic_tls, struct quic_session *session);
void quic_session_close(struct quic_session *session);

bool quic_session_is_resumed(const struct quic_session *session);

#endif
