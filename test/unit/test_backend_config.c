/* backend.yaml: its defaults, its keys, and what is said about values that make no sense. */
#include "backend/config.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "backend.yaml"

static char error[512];

static struct backend_config *load(const char *text)
{
	FILE *file = fopen(FILE_NAME, "w");

	error[0] = '\0';
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		return NULL;
	return backend_config_load(FILE_NAME, error, sizeof(error));
}

static void assert_refused(const char *text, const char *expected)
{
	struct backend_config *config = load(text);

	CU_ASSERT_PTR_NULL(config);
	if (strstr(error, expected) == NULL)
		printf("\n  got \"%s\"\n  not \"%s\"\n", error, expected);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, expected));
	backend_config_free(config);
}

static void assert_defaults(const struct backend_config *config)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL_FATAL(config->listen_count, 1);
	CU_ASSERT_STRING_EQUAL(config->listen[0], "127.0.0.1:8053");
	CU_ASSERT_STRING_EQUAL(config->storage, "sqlite:godwit.db");
	CU_ASSERT_STRING_EQUAL(config->admin, "127.0.0.1:9154");
	CU_ASSERT_PTR_NULL(config->password_file);
	CU_ASSERT_PTR_NULL(config->snapshot);
	CU_ASSERT_EQUAL(config->max_loss_percent, 50);
	CU_ASSERT_EQUAL(config->threads, 0);
	CU_ASSERT_EQUAL(config->log.level, LOG_LEVEL_INFO);
	CU_ASSERT_EQUAL(config->log.format, LOG_FORMAT_LOGFMT);
}

static void test_defaults_without_a_file(void)
{
	struct backend_config *config = backend_config_load(NULL, error, sizeof(error));

	assert_defaults(config);
	backend_config_free(config);
}

static void test_defaults_of_what_a_file_leaves_out(void)
{
	static const char *const texts[] = {
		"",
		"# only words\n",
		"log: { format: logfmt }\n",
		"listen: [\"127.0.0.1:8053\"]\npassword_file: null\nsnapshot: null\ntls: null\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct backend_config *config = load(texts[i]);

		assert_defaults(config);
		backend_config_free(config);
	}
}

static void test_every_key(void)
{
	struct backend_config *config = load("listen: [\"[::1]:53\", \"unix:/run/g.sock\"]\n"
					     "threads: 3\n"
					     "storage: \"sqlite:/var/lib/records.db\"\n"
					     "password_file: secret\n"
					     "snapshot: /var/lib/snapshot\n"
					     "max_loss_percent: 0\n"
					     "admin: \"localhost:1\"\n"
					     "log: { level: error, format: json }\n");

	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT_EQUAL_FATAL(config->listen_count, 2);
	CU_ASSERT_STRING_EQUAL(config->listen[1], "unix:/run/g.sock");
	CU_ASSERT_EQUAL(config->threads, 3);
	CU_ASSERT_STRING_EQUAL(config->storage, "sqlite:/var/lib/records.db");
	CU_ASSERT_STRING_EQUAL(config->password_file, "secret");
	CU_ASSERT_STRING_EQUAL(config->snapshot, "/var/lib/snapshot");
	CU_ASSERT_EQUAL(config->max_loss_percent, 0);
	CU_ASSERT_STRING_EQUAL(config->admin, "localhost:1");
	CU_ASSERT_EQUAL(config->log.level, LOG_LEVEL_ERROR);
	CU_ASSERT_EQUAL(config->log.format, LOG_FORMAT_JSON);
	backend_config_free(config);
}

static void test_tls_needs_good_files(void)
{
	assert_refused("threads: 1\ntls: { certificate: none.crt, key: none.key }\n",
		       FILE_NAME ":2: tls: none.crt: No such file");
	assert_refused("tls: { client_ca: ca.crt }\n",
		       FILE_NAME ":1: tls: needs certificate and key");
}

static void test_plaintext_stays_on_this_machine(void)
{
	assert_refused("listen: [\"127.0.0.1:1\", \"192.0.2.1:2\"]\n",
		       FILE_NAME ":1: listen[1]: 192.0.2.1:2: plaintext beyond this machine");
	assert_refused("listen: [\"0.0.0.0:1\"]\n", FILE_NAME ":1: listen[0]: ");
	struct backend_config *config = load("listen: [\"192.0.2.1:2\"]\ninsecure: true\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	CU_ASSERT(config->insecure);
	backend_config_free(config);
}

static void test_senseless_values_are_named(void)
{
	assert_refused("max_loss_percent: 101\n", FILE_NAME ":1: max_loss_percent: more than 100");
	assert_refused("listen: [\"127.0.0.1:1\", \"127.0.0.1\"]\n", FILE_NAME ":1: listen[1]: ");
	assert_refused("listen: []\n", FILE_NAME ":1: listen: ");
	assert_refused("listen: \"127.0.0.1:1\"\n", FILE_NAME ":1: listen: ");
	assert_refused("\nadmin: here\n", FILE_NAME ":2: admin: ");
	assert_refused("admin: \"unix:/run/admin\"\n", FILE_NAME ":1: admin: ");
	assert_refused("threads: 65\n", FILE_NAME ":1: threads: more than 64");
	assert_refused("threads: -1\n", FILE_NAME ":1: threads: ");
	assert_refused("storage: godwit.db\n", FILE_NAME ":1: storage: ");
	assert_refused("storage: \"redis://localhost:port\"\n", FILE_NAME ":1: storage: ");
	assert_refused("log: { level: loud }\n", FILE_NAME ":1: log.level: ");
	assert_refused("lisen: []\n", FILE_NAME ":1: lisen: unknown key");
}

static void test_what_needs_a_restart(void)
{
	static const char *const changed[] = {
		"threads: 2\n",
		"listen: [\"127.0.0.1:8054\"]\n",
		"listen: [\"127.0.0.1:8053\", \"127.0.0.1:8054\"]\n",
		"storage: \"sqlite:other.db\"\n",
		"password_file: secret\n",
		"admin: \"127.0.0.1:1\"\n",
	};
	struct backend_config *running = load("");
	struct backend_config *fresh = load("log: { level: debug, format: json }\n");

	CU_ASSERT_PTR_NOT_NULL_FATAL(running);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fresh);
	CU_ASSERT_FALSE(backend_config_needs_restart(running, fresh));
	backend_config_free(fresh);
	for (size_t i = 0; i < sizeof(changed) / sizeof(*changed); i++) {
		fresh = load(changed[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(fresh);
		CU_ASSERT(backend_config_needs_restart(running, fresh));
		backend_config_free(fresh);
	}
	backend_config_free(running);
}

static void test_a_missing_file_is_named(void)
{
	CU_ASSERT_PTR_NULL(backend_config_load("missing.yaml", error, sizeof(error)));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "missing.yaml"));
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"defaults without a file", test_defaults_without_a_file},
		{"defaults of what a file leaves out", test_defaults_of_what_a_file_leaves_out},
		{"every key", test_every_key},
		{"TLS needs good files", test_tls_needs_good_files},
		{"plaintext stays on this machine", test_plaintext_stays_on_this_machine},
		{"senseless values are named", test_senseless_values_are_named},
		{"what needs a restart", test_what_needs_a_restart},
		{"a missing file is named", test_a_missing_file_is_named},
	};
	char directory[] = "/tmp/godwit-backend-config-XXXXXX";

	if (!mkdtemp(directory) || chdir(directory) != 0)
		return 1;
	int status = SUITE_RUN("backend config", tests);
	unlink(FILE_NAME);
	return chdir("/") == 0 && rmdir(directory) == 0 ? status : 1;
}
