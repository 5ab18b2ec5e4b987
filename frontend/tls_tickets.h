/*
 * TLS session tickets, and their keys, shared by all contexts and threads of a front end: the
 * newest key seals, the one before it still opens. Known to this process alone: a restart makes
 * clients shake hands in full once.
 *
 * A client should show a ticket once, lest who watches its connections learns that they are one
 * client's (RFC 8446 appendix C.4): in TLS 1.3 each resumption brings it another. So that what the
 * certificate once proved is not believed for ever, the tickets of a session are good for a limited
 * time from its full handshake (section 4.6.1).
 */
#ifndef GODWIT_FRONTEND_TLS_TICKETS_H
#define GODWIT_FRONTEND_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

struct tls_tickets;

/*
 * With a first key; sessions are resumed for `session_s` seconds. NULL: no memory or no random
 * numbers.
 */
struct tls_tickets *tls_tickets_create(int64_t session_s);
void tls_tickets_destroy(struct tls_tickets *tickets);

/* Makes another key the newest; the oldest is forgotten. Any thread. */
void tls_tickets_rotate(struct tls_tickets *tickets);

/* Makes a context use them; borrows `tickets`. 0 or -1. */
int tls_tickets_attach(struct tls_tickets *tickets, SSL_CTX *context);

#endif
