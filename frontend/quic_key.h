/*
 * A certificate's private key, for GnuTLS to use and OpenSSL to sign with: a signature by RSA 2048
 * takes nettle, which is GnuTLS's way, more than a millisecond, and whoever can make a handshake
 * fail can have one. Keys of other kinds than RSA and ECDSA are left to GnuTLS.
 *
 * Used by one thread at a time.
 */
#ifndef GODWIT_FRONTEND_QUIC_KEY_H
#define GODWIT_FRONTEND_QUIC_KEY_H

#include <gnutls/abstract.h>

/* Reads a key in PEM, the caller's to free with gnutls_privkey_deinit. 0, or GnuTLS' error. */
int quic_key_read(const char *text, gnutls_privkey_t *out);

#endif
