#include "common/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- files ------------------------------------------------------------------------------------ */

/*
 * Reads what is left of `fd` into `text`, TLS_FILES_SIZE_MAX at most. The size, or -1 with errno.
 */
static ssize_t tls_files_read_all(int fd, char *text)
{
	size_t size = 0;
	while (size < TLS_FILES_SIZE_MAX) {
		ssize_t got = read(fd, text + size, TLS_FILES_SIZE_MAX - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			return (ssize_t)size;
		size += (size_t)got;
	}
	errno = EFBIG;
	return -1;
}

/* The file's text, to be freed, or NULL with a reason. */
static char *tls_files_load(const char *path, char *error, size_t error_size)
{
	/* Not to hang on a pipe that was put there by mistake. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd < 0 ? NULL : calloc(1, TLS_FILES_SIZE_MAX + 1);
	ssize_t size = text ? tls_files_read_all(fd, text) : -1;
	if (size < 0)
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (size < 0) {
		free(text);
		return NULL;
	}
	char *fitted = realloc(text, (size_t)size + 1);
	return fitted ? fitted : text;
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Keys with a passphrase are refused rather than asked for on a terminal that is not there. */
static int tls_files_no_passphrase(char *out, int size, int writing, void *ctx)
{
	(void)out, (void)size, (void)writing, (void)ctx;
	return -1;
}

static X509 *tls_files_parse_certificate(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	X509 *certificate =
		bio ? PEM_read_bio_X509(bio, NULL, tls_files_no_passphrase, NULL) : NULL;
	BIO_free(bio);
	return certificate;
}

static EVP_PKEY *tls_files_parse_key(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key =
		bio ? PEM_read_bio_PrivateKey(bio, NULL, tls_files_no_passphrase, NULL) : NULL;
	BIO_free(bio);
	return key;
}

static int64_t tls_files_seconds(const ASN1_TIME *time)
{
	struct tm parts = {0};
	if (ASN1_TIME_to_tm(time, &parts) != 1)
		return 0;
	return (int64_t)timegm(&parts);
}

static int tls_files_check_pair(const struct tls_files *files, struct tls_material *material,
				char *error, size_t error_size)
{
	int result = -1;
	X509 *certificate = tls_files_parse_certificate(material->certificate);
	EVP_PKEY *key = tls_files_parse_key(material->key);
	if (!certificate) {
		snprintf(error, error_size, "%s: no certificate in PEM form", files->certificate);
	} else if (!key) {
		snprintf(error, error_size, "%s: no private key in PEM form without a passphrase",
			 files->key);
	} else if (X509_check_private_key(certificate, key) != 1) {
		snprintf(error, error_size, "%s: not the key of %s", files->key,
			 files->certificate);
	} else {
		material->not_after = tls_files_seconds(X509_get0_notAfter(certificate));
		material->not_before = tls_files_seconds(X509_get0_notBefore(certificate));
		result = 0;
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return result;
}

static int tls_files_check_ca(const char *path, const char *text, char *error, size_t error_size)
{
	X509 *certificate = tls_files_parse_certificate(text);
	if (!certificate)
		snprintf(error, error_size, "%s: no certificate in PEM form", path);
	int result = certificate ? 0 : -1;
	X509_free(certificate);
	ERR_clear_error();
	return result;
}

static void tls_files_digest(struct tls_material *material)
{
	const char *const parts[] = {material->certificate, material->key, material->ca};
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		abort(); /* out of memory */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i])
			EVP_DigestUpdate(hash, parts[i], strlen(parts[i]) + 1);
		else
			EVP_DigestUpdate(hash, "\1", 1);
	EVP_DigestFinal_ex(hash, material->digest, NULL);
	EVP_MD_CTX_free(hash);
}

/* --- the whole -------------------------------------------------------------------------------- */

int tls_files_read(const struct tls_files *files, struct tls_material *out, char *error,
		   size_t error_size)
{
	memset(out, 0, sizeof(*out));
	if (!files->certificate != !files->key) {
		snprintf(error, error_size, "certificate and key go together");
		return -1;
	}
	if (files->certificate &&
	    (!(out->certificate = tls_files_load(files->certificate, error, error_size)) ||
	     !(out->key = tls_files_load(files->key, error, error_size)) ||
	     tls_files_check_pair(files, out, error, error_size) != 0))
		goto failed;
	if (files->ca && (!(out->ca = tls_files_load(files->ca, error, error_size)) ||
			  tls_files_check_ca(files->ca, out->ca, error, error_size) != 0))
		goto failed;
	tls_files_digest(out);
	return 0;
failed:
	tls_material_clear(out);
	return -1;
}

void tls_material_clear(struct tls_material *material)
{
	if (material->key)
		explicit_bzero(material->key, strlen(material->key));
	free(material->certificate);
	free(material->key);
	free(material->ca);
	memset(material, 0, sizeof(*material));
}

bool tls_material_equal(const struct tls_material *a, const struct tls_material *b)
{
	return memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}
