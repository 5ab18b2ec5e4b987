/* OpenSSL's signatures behind GnuTLS' interface for keys that are elsewhere. */
#include "frontend/quic_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The ways to sign of TLS 1.3 (RFC 8446 section 4.2.3). */
struct quic_signature {
	gnutls_sign_algorithm_t algorithm;
	int key;      /* EVP_PKEY_RSA or EVP_PKEY_EC */
	int key_bits; /* a curve's; 0: any */
	const EVP_MD *(*digest)(void);
};

static const struct quic_signature quic_signatures[] = {
	{GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, EVP_PKEY_RSA, 0, EVP_sha256},
	{GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, EVP_PKEY_RSA, 0, EVP_sha384},
	{GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, EVP_PKEY_RSA, 0, EVP_sha512},
	{GNUTLS_SIGN_ECDSA_SECP256R1_SHA256, EVP_PKEY_EC, 256, EVP_sha256},
	{GNUTLS_SIGN_ECDSA_SECP384R1_SHA384, EVP_PKEY_EC, 384, EVP_sha384},
	{GNUTLS_SIGN_ECDSA_SECP521R1_SHA512, EVP_PKEY_EC, 521, EVP_sha512},
};

/* NULL: this key cannot sign so. */
static const struct quic_signature *quic_key_find(const EVP_PKEY *key,
						  gnutls_sign_algorithm_t algorithm)
{
	for (size_t i = 0; i < sizeof(quic_signatures) / sizeof(quic_signatures[0]); i++) {
		const struct quic_signature *one = &quic_signatures[i];
		if (one->algorithm == algorithm && one->key == EVP_PKEY_get_base_id(key) &&
		    (one->key_bits == 0 || one->key_bits == EVP_PKEY_get_bits(key)))
			return one;
	}
	return NULL;
}

static bool quic_key_set_up(EVP_PKEY_CTX *context, const struct quic_signature *how)
{
	if (EVP_PKEY_sign_init(context) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(context, how->digest()) != 1)
		return false;
	if (how->key != EVP_PKEY_RSA)
		return true;
	return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

/* A gnutls_privkey_sign_hash_func. */
static int quic_key_sign(gnutls_privkey_t privkey, gnutls_sign_algorithm_t algorithm, void *data,
			 unsigned int flags, const gnutls_datum_t *digest, gnutls_datum_t *out)
{
	(void)privkey, (void)flags;
	EVP_PKEY *key = data;
	const struct quic_signature *how = quic_key_find(key, algorithm);
	size_t size = (size_t)EVP_PKEY_get_size(key);
	if (!how)
		return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
	out->data = gnutls_malloc(size);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
	int result = GNUTLS_E_PK_SIGN_FAILED;
	if (!out->data || !context)
		result = GNUTLS_E_MEMORY_ERROR;
	else if (quic_key_set_up(context, how) &&
		 EVP_PKEY_sign(context, out->data, &size, digest->data, digest->size) == 1)
		result = 0;
	EVP_PKEY_CTX_free(context);
	ERR_clear_error();
	out->size = (unsigned int)size;
	if (result != 0) {
		gnutls_free(out->data);
		*out = (gnutls_datum_t){NULL, 0};
	}
	return result;
}

/* A gnutls_privkey_info_func. */
static int quic_key_tell(gnutls_privkey_t privkey, unsigned int flags, void *data)
{
	(void)privkey;
	const EVP_PKEY *key = data;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return EVP_PKEY_get_bits(key);
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return quic_key_find(key, GNUTLS_FLAGS_TO_SIGN_ALGO(flags)) != NULL;
	return -1;
}

static void quic_key_free(gnutls_privkey_t privkey, void *data)
{
	(void)privkey;
	EVP_PKEY_free(data);
}

/* The key is GnuTLS' if this succeeds. */
static int quic_key_lend(EVP_PKEY *key, gnutls_privkey_t out)
{
	return gnutls_privkey_import_ext4(out, key, NULL, quic_key_sign, NULL, quic_key_free,
					  quic_key_tell, 0);
}

static int quic_key_leave(const char *text, gnutls_privkey_t out)
{
	const gnutls_datum_t datum = {(unsigned char *)(uintptr_t)text, (unsigned int)strlen(text)};
	return gnutls_privkey_import_x509_raw(out, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
}

int quic_key_read(const char *text, gnutls_privkey_t *out)
{
	int result = gnutls_privkey_init(out);
	if (result < 0)
		return result;
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	int kind = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
	BIO_free(bio);
	ERR_clear_error();
	bool lent = kind == EVP_PKEY_RSA || kind == EVP_PKEY_EC;
	result = lent ? quic_key_lend(key, *out) : quic_key_leave(text, *out);
	if (!lent || result < 0)
		EVP_PKEY_free(key);
	if (result >= 0)
		return 0;
	gnutls_privkey_deinit(*out);
	return result;
}
