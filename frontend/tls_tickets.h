/*
 * Keys of TLS session tickets, shared by all contexts and threads of a front end: the newest seals,
 * the one before it still opens. Known to this process alone: a restart makes clients shake hands
 * in full once.
 */
#ifndef GODWIT_FRONTEND_TLS_TICKETS_H
#define GODWIT_FRONTEND_TLS_TICKETS_H

#include <openssl/ssl.h>

struct tls_tickets;

/* With a first key. NULL: no memory or no random numbers. */
struct tls_tickets *tls_tickets_create(void);
void tls_tickets_destroy(struct tls_tickets *tickets);

/* Makes another key the newest; the oldest is forgotten. Any thread. */
void tls_tickets_rotate(struct tls_tickets *tickets);

/* Makes a context use them; borrows `tickets`. 0 or -1. */
int tls_tickets_attach(struct tls_tickets *tickets, SSL_CTX *context);

#endif
