/*
 * TLS for clients: the certificates with their OpenSSL contexts, one of them chosen by the name the
 * client asks for (SNI), session tickets that every worker can open, and new files taken over while
 * connections go on (common/tls_files.h).
 *
 * TLS 1.2 and 1.3. No session cache: resumption is by tickets (RFC 5077, RFC 8446 section 2.2),
 * whose keys live in memory only, change every TLS_TICKET_KEY_S and are good for one such time
 * more. After TLS_SESSION_S a client has to shake hands in full whatever its tickets. No early
 * data: a query could be replayed.
 *
 * A thread of its own looks for changed files and changes keys; a pair that cannot be used is
 * logged and counted, and the one in use stays. Sessions keep the certificates they began with.
 * Functions are for any thread.
 */
#ifndef GODWIT_FRONTEND_TLS_H
#define GODWIT_FRONTEND_TLS_H

#include "frontend/config.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct evbuffer;
struct tls;
struct tls_material;

#define TLS_TICKET_KEY_S 3600
#define TLS_SESSION_S (24 * 3600)

/* What a listener speaks inside TLS, for ALPN (RFC 7301). */
enum tls_purpose {
	TLS_PURPOSE_DNS,   /* "dot", or none (RFC 7858) */
	TLS_PURPOSE_HTTPS, /* "h2" (RFC 9113), "http/1.1", or none: HTTP/1.1 */
};

/* Loads all certificates. `config` is borrowed. NULL with a reason that names the file. */
struct tls *tls_create(const struct frontend_tls *config, char *error, size_t error_size);

/* After all sessions have been freed. NULL is allowed. */
void tls_destroy(struct tls *tls);

/* A session to be accepted with the certificates now in use. The caller's; NULL: out of memory. */
SSL *tls_open_session(struct tls *tls, enum tls_purpose purpose);

/* Told of the certificates in use, in the configuration's order; borrowed for the call. */
typedef void tls_materials_fn(void *ctx, const struct tls_material *materials, size_t count);

/*
 * Calls `take`, under a lock, when the certificates in use have changed since the call that set
 * `*generation`, which begins as 0: for those who make something else of them than OpenSSL does.
 */
void tls_look_at_materials(struct tls *tls, uint64_t *generation, tls_materials_fn *take,
			   void *ctx);

/* A collector (metrics.h), ctx a struct tls: expiry per certificate, reloads, failures. */
void tls_collect(void *ctx, struct evbuffer *out);

#endif
