/* Certificates in files: what is taken, what is refused with which words, what counts as changed.
 */
#include "common/tls_files.h"
#include "suite.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/godwit-tls-XXXXXX";

static const char *path_of(const char *name)
{
	static char paths[4][128];
	static size_t at;
	char *path = paths[at++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");
	fputs(text, file);
	fclose(file);
}

/* Writes NAME.crt, self-signed and good for `days`, and NAME.key. */
static void write_pair(const char *name, int days)
{
	char file_name[64];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * 86400);
	X509_set_pubkey(certificate, key);
	X509_sign(certificate, key, EVP_sha256());
	snprintf(file_name, sizeof(file_name), "%s.crt", name);
	FILE *file = fopen(path_of(file_name), "w");
	PEM_write_X509(file, certificate);
	fclose(file);
	snprintf(file_name, sizeof(file_name), "%s.key", name);
	file = fopen(path_of(file_name), "w");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* What tls_files_read says about a pair: "" when it is good. */
static const char *read_error(const char *certificate, const char *key, const char *ca)
{
	static char error[300];
	const struct tls_files files = {certificate, key, ca};
	struct tls_material material;
	error[0] = '\0';
	if (tls_files_read(&files, &material, error, sizeof(error)) == 0)
		tls_material_clear(&material);
	return error;
}

static void test_reads_a_pair_and_its_dates(void)
{
	const struct tls_files files = {path_of("a.crt"), path_of("a.key"), path_of("b.crt")};
	struct tls_material material;
	char error[300] = "";
	CU_ASSERT_FATAL(tls_files_read(&files, &material, error, sizeof(error)) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(material.certificate, "BEGIN CERTIFICATE"));
	CU_ASSERT_PTR_NOT_NULL(strstr(material.key, "PRIVATE KEY"));
	CU_ASSERT_PTR_NOT_NULL(strstr(material.ca, "BEGIN CERTIFICATE"));
	int64_t left = material.not_after - (int64_t)time(NULL);
	CU_ASSERT(left > 9 * 86400 && left <= 10 * 86400);
	CU_ASSERT(material.not_before <= (int64_t)time(NULL));
	tls_material_clear(&material);
	CU_ASSERT_PTR_NULL(material.key);
}

static void test_names_what_is_wrong(void)
{
	CU_ASSERT_PTR_NOT_NULL(strstr(read_error(path_of("none.crt"), path_of("a.key"), NULL),
				      "none.crt: No such"));
	CU_ASSERT_PTR_NOT_NULL(strstr(read_error(path_of("a.crt"), path_of("b.key"), NULL),
				      "b.key: not the key of"));
	CU_ASSERT_PTR_NOT_NULL(strstr(read_error(path_of("junk"), path_of("a.key"), NULL),
				      "junk: no certificate"));
	CU_ASSERT_PTR_NOT_NULL(strstr(read_error(path_of("a.crt"), path_of("junk"), NULL),
				      "junk: no private key"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(read_error(NULL, NULL, path_of("junk")), "junk: no certificate"));
	CU_ASSERT_PTR_NOT_NULL(strstr(read_error(path_of("a.crt"), NULL, NULL), "go together"));
	CU_ASSERT_PTR_NOT_NULL(strstr(read_error(NULL, NULL, directory), "directory"));
	CU_ASSERT_STRING_EQUAL(read_error(NULL, NULL, path_of("a.crt")), "");
}

static void test_tells_changes(void)
{
	char error[300];
	const struct tls_files a = {path_of("a.crt"), path_of("a.key"), NULL};
	const struct tls_files b = {path_of("b.crt"), path_of("b.key"), NULL};
	struct tls_material first, second, other;
	CU_ASSERT_FATAL(tls_files_read(&a, &first, error, sizeof(error)) == 0);
	CU_ASSERT_FATAL(tls_files_read(&a, &second, error, sizeof(error)) == 0);
	CU_ASSERT_FATAL(tls_files_read(&b, &other, error, sizeof(error)) == 0);
	CU_ASSERT(tls_material_equal(&first, &second));
	CU_ASSERT(!tls_material_equal(&first, &other));
	tls_material_clear(&first);
	tls_material_clear(&second);
	tls_material_clear(&other);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"reads a pair and its dates", test_reads_a_pair_and_its_dates},
		{"names what is wrong", test_names_what_is_wrong},
		{"tells changes", test_tells_changes},
	};
	if (!mkdtemp(directory))
		return 1;
	write_pair("a", 10);
	write_pair("b", 10);
	write_text("junk", "not PEM at all\n");
	int result = SUITE_RUN("tls_files", tests);
	const char *const names[] = {"a.crt", "a.key", "b.crt", "b.key", "junk"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	rmdir(directory);
	return result;
}
