/*
 * Certificates and keys as they stand in files: read as a whole, checked, and read again when they
 * have changed.
 *
 * Kubernetes swaps the symlink of a mounted secret, ACME clients rename files: the names stay, what
 * they lead to changes, and for a moment certificate and key may not belong together. So files are
 * not watched but read anew every TLS_FILES_INTERVAL_MS, whole, and taken over only when all is
 * good: both parse, the key is the certificate's, the CA file has a certificate. Until then the old
 * ones stay in use.
 *
 * What is read are PEM texts, as OpenSSL and gRPC both take them. Functions are for any thread; an
 * object for one at a time.
 */
#ifndef GODWIT_COMMON_TLS_FILES_H
#define GODWIT_COMMON_TLS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How often users of this look for changed files, in milliseconds. */
#define TLS_FILES_INTERVAL_MS 1000

/* Octets of a file at most: more than any sensible chain. */
#define TLS_FILES_SIZE_MAX (1024 * 1024)

/* Where the material stands. Paths, borrowed; NULL: not used. Certificate and key go together. */
struct tls_files {
	const char *certificate; /* PEM: the leaf, then its chain */
	const char *key;         /* PEM, not encrypted */
	const char *ca;          /* PEM: one certificate or more that are trusted */
};

/* What was read from them; strings are NULL where the path was. */
struct tls_material {
	char *certificate;
	char *key;
	char *ca;
	int64_t not_after;  /* when the leaf expires, seconds since the Unix epoch; 0: no leaf */
	int64_t not_before; /* the same */
	uint8_t digest[32]; /* SHA-256 over all of it: equal means unchanged */
};

/*
 * Reads and checks all files. 0, and `out` is to be freed with tls_material_clear; or -1 with one
 * line that names the file: "tls.crt: no such file", "tls.key: not the key of tls.crt". An expired
 * certificate is not an error.
 */
int tls_files_read(const struct tls_files *files, struct tls_material *out, char *error,
		   size_t error_size);

/* Frees it; the key's octets are wiped. */
void tls_material_clear(struct tls_material *material);

bool tls_material_equal(const struct tls_material *a, const struct tls_material *b);

#endif
