/*
 * A key and its certificate, signed by itself and good for an hour. Both are the caller's to free.
 */
#ifndef GODWIT_TEST_UNIT_SELF_SIGNED_H
#define GODWIT_TEST_UNIT_SELF_SIGNED_H

#include <openssl/evp.h>
#include <openssl/x509.h>

static inline void self_signed_make(EVP_PKEY **key, X509 **certificate)
{
	*key = EVP_EC_gen("P-256");
	*certificate = X509_new();
	X509_gmtime_adj(X509_getm_notBefore(*certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(*certificate), 3600);
	X509_set_pubkey(*certificate, *key);
	X509_sign(*certificate, *key, EVP_sha256());
}

#endif
