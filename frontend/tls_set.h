/*
 * The certificates in use at one time, as OpenSSL contexts: made as a whole, never changed,
 * replaced as a whole, freed when the last session that began with them has ended.
 */
#ifndef GODWIT_FRONTEND_TLS_SET_H
#define GODWIT_FRONTEND_TLS_SET_H

#include "common/tls_files.h"
#include "frontend/tls.h"
#include "frontend/tls_tickets.h"

#include <stddef.h>

/*
 * Makes a context for each certificate and purpose; the first certificate's are the ones to begin
 * with, and lead to the others by the name the client asks for. Returns the context to open
 * sessions with, the caller's to free with SSL_CTX_free; NULL with a reason.
 */
SSL_CTX *tls_set_create(const struct tls_material *materials, size_t count,
			enum tls_purpose purpose, struct tls_tickets *tickets, char *error,
			size_t error_size);

#endif
