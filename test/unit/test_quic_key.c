/* Keys for QUIC: GnuTLS verifies what has been signed. */
#include "frontend/quic_key.h"
#include "test/unit/suite.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The key in PEM; it is freed. */
static void write_key(EVP_PKEY *key, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	int written = BIO_read(bio, out, (int)size - 1);
	CU_ASSERT_FATAL(written > 0 && (size_t)written < size - 1);
	out[written] = '\0';
	BIO_free(bio);
	EVP_PKEY_free(key);
}

/* The key's other half, which GnuTLS reads by itself. */
static gnutls_pubkey_t read_public(const char *text)
{
	const gnutls_datum_t datum = {(unsigned char *)(uintptr_t)text, (unsigned int)strlen(text)};
	gnutls_privkey_t private;
	gnutls_pubkey_t public;
	gnutls_privkey_init(&private);
	CU_ASSERT_EQUAL_FATAL(
		gnutls_privkey_import_x509_raw(private, &datum, GNUTLS_X509_FMT_PEM, NULL, 0), 0);
	gnutls_pubkey_init(&public);
	CU_ASSERT_EQUAL_FATAL(gnutls_pubkey_import_privkey(public, private, 0, 0), 0);
	gnutls_privkey_deinit(private);
	return public;
}

/* True when the key signs so, and GnuTLS finds that right. */
static bool signs(EVP_PKEY *made, gnutls_sign_algorithm_t algorithm)
{
	static unsigned char octets[] = "what both sides have said";
	const gnutls_datum_t said = {octets, sizeof(octets)};
	gnutls_datum_t signature = {NULL, 0};
	gnutls_privkey_t key;
	char text[8192];
	write_key(made, text, sizeof(text));
	CU_ASSERT_EQUAL_FATAL(quic_key_read(text, &key), 0);
	gnutls_pubkey_t public = read_public(text);
	bool right = gnutls_privkey_sign_data2(key, algorithm, 0, &said, &signature) == 0;
	if (right)
		CU_ASSERT_EQUAL(gnutls_pubkey_verify_data2(public, algorithm, 0, &said, &signature),
				0);
	gnutls_free(signature.data);
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(key);
	return right;
}

static void test_rsa(void)
{
	CU_ASSERT_TRUE(signs(EVP_RSA_gen(2048), GNUTLS_SIGN_RSA_PSS_RSAE_SHA256));
	CU_ASSERT_TRUE(signs(EVP_RSA_gen(2048), GNUTLS_SIGN_RSA_PSS_RSAE_SHA384));
	CU_ASSERT_TRUE(signs(EVP_RSA_gen(2048), GNUTLS_SIGN_RSA_PSS_RSAE_SHA512));
}

static void test_ecdsa(void)
{
	CU_ASSERT_TRUE(signs(EVP_EC_gen("P-256"), GNUTLS_SIGN_ECDSA_SECP256R1_SHA256));
	CU_ASSERT_TRUE(signs(EVP_EC_gen("P-384"), GNUTLS_SIGN_ECDSA_SECP384R1_SHA384));
	CU_ASSERT_TRUE(signs(EVP_EC_gen("P-521"), GNUTLS_SIGN_ECDSA_SECP521R1_SHA512));
}

static void test_others(void)
{
	CU_ASSERT_TRUE(signs(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), GNUTLS_SIGN_EDDSA_ED25519));
	CU_ASSERT_TRUE(signs(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), GNUTLS_SIGN_EDDSA_ED448));
}

static void test_not_of_this_key(void)
{
	CU_ASSERT_FALSE(signs(EVP_EC_gen("P-256"), GNUTLS_SIGN_ECDSA_SECP384R1_SHA384));
	CU_ASSERT_FALSE(signs(EVP_EC_gen("P-256"), GNUTLS_SIGN_RSA_PSS_RSAE_SHA256));
	CU_ASSERT_FALSE(signs(EVP_RSA_gen(2048), GNUTLS_SIGN_ECDSA_SECP256R1_SHA256));
}

static void test_no_key(void)
{
	gnutls_privkey_t key;
	CU_ASSERT_TRUE(quic_key_read("", &key) < 0);
	CU_ASSERT_TRUE(
		quic_key_read("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
			      &key) < 0);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"RSA keys sign as TLS 1.3 has it", test_rsa},
		{"ECDSA keys sign, each on its curve", test_ecdsa},
		{"keys of other kinds sign as well", test_others},
		{"a key does not sign in another's way", test_not_of_this_key},
		{"what is no key is refused", test_no_key},
	};
	return SUITE_RUN("quic key", tests);
}
