/* Configuration errors, word for word, on a schema with every kind of value. */
#include "common/config.h"
#include "suite.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listen {
	char *address;
	unsigned int protocols;
};

struct limits {
	uint8_t small;
	int16_t offset;
};

struct settings {
	struct listen *listen;
	unsigned int listen_count;
	unsigned int *workers;
	char *admin;
	char **backends;
	unsigned int backends_count;
	struct limits limits;
	struct config_log log;
	bool strict;
};

static const cyaml_strval_t protocols[] = {{"udp", 1}, {"tcp", 2}};

static const cyaml_schema_field_t listen_fields[] = {
	CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER, struct listen, address, 1, 16),
	CYAML_FIELD_FLAGS("protocols", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct listen,
			  protocols, protocols, 2),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t listen_value = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct listen, listen_fields),
};

static const cyaml_schema_value_t backend_value = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t limits_fields[] = {
	CYAML_FIELD_UINT("small", CYAML_FLAG_OPTIONAL, struct limits, small),
	CYAML_FIELD_INT("offset", CYAML_FLAG_OPTIONAL, struct limits, offset),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t settings_fields[] = {
	CYAML_FIELD_SEQUENCE("listen", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, struct settings,
			     listen, &listen_value, 1, 2),
	CYAML_FIELD_UINT_PTR("workers", CYAML_FLAG_OPTIONAL, struct settings, workers),
	CYAML_FIELD_STRING_PTR("admin", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR,
			       struct settings, admin, 1, CYAML_UNLIMITED),
	CYAML_FIELD_SEQUENCE("backends", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER, struct settings,
			     backends, &backend_value, 0, CYAML_UNLIMITED),
	CYAML_FIELD_MAPPING("limits", CYAML_FLAG_OPTIONAL, struct settings, limits, limits_fields),
	CYAML_FIELD_BOOL("strict", CYAML_FLAG_OPTIONAL, struct settings, strict),
	CYAML_FIELD_MAPPING("log", CYAML_FLAG_OPTIONAL, struct settings, log, config_log_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t settings_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, settings_fields),
};

/* Each test's file, in a directory of its own that is the working directory: short names. */
static const char *const file_name = "test.yaml";

static void write_file(const char *name, const char *text, size_t size)
{
	FILE *file = fopen(name, "w");

	if (!file || fwrite(text, 1, size, file) != size || fclose(file) != 0)
		abort();
}

static struct settings *load(const char *text, char *error, size_t error_size)
{
	void *out = NULL;

	write_file(file_name, text, strlen(text));
	error[0] = '\0';
	int status = config_load(file_name, &settings_schema, &out, error, error_size);
	CU_ASSERT_EQUAL(status, out ? 0 : -1);
	return out;
}

static struct settings *load_good(const char *text)
{
	char error[512];
	struct settings *settings = load(text, error, sizeof(error));

	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(settings);
	return settings;
}

static void assert_error(const char *text, const char *expected)
{
	char error[512];
	struct settings *settings = load(text, error, sizeof(error));

	CU_ASSERT_PTR_NULL(settings);
	if (strcmp(error, expected) != 0)
		fprintf(stderr, "\n  got      %s\n  expected %s\n", error, expected);
	CU_ASSERT_STRING_EQUAL(error, expected);
	config_free(&settings_schema, settings);
}

static void test_all_kinds_of_values_load(void)
{
	struct settings *settings =
		load_good("listen:\n"
			  "  - { address: \"127.0.0.1:53\", protocols: [udp, tcp] }\n"
			  "  - address: \"[::1]:53\"\n"
			  "workers: 0\n"
			  "admin: null\n"
			  "backends: [a, b]\n"
			  "limits: { small: 255, offset: -32768 }\n"
			  "log: { level: debug, format: json }\n");

	CU_ASSERT_EQUAL(settings->listen_count, 2);
	CU_ASSERT_STRING_EQUAL(settings->listen[0].address, "127.0.0.1:53");
	CU_ASSERT_EQUAL(settings->listen[0].protocols, 3);
	CU_ASSERT_EQUAL(settings->listen[1].protocols, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(settings->workers);
	CU_ASSERT_EQUAL(*settings->workers, 0);
	CU_ASSERT_PTR_NULL(settings->admin);
	CU_ASSERT_EQUAL(settings->backends_count, 2);
	CU_ASSERT_EQUAL(settings->limits.small, 255);
	CU_ASSERT_EQUAL(settings->limits.offset, -32768);
	CU_ASSERT_EQUAL(settings->log.level, LOG_LEVEL_DEBUG);
	CU_ASSERT_EQUAL(settings->log.format, LOG_FORMAT_JSON);
	config_free(&settings_schema, settings);
}

static void test_empty_files_are_empty_mappings(void)
{
	static const char *const empty[] = {"", "\n\n", "# only a comment\n", "---\n", "{}\n"};

	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		struct settings *settings = load_good(empty[i]);
		CU_ASSERT_PTR_NULL(settings->workers);
		CU_ASSERT_EQUAL(settings->listen_count, 0);
		config_free(&settings_schema, settings);
	}
	config_free(&settings_schema, NULL);
}

static void test_unknown_keys_are_named(void)
{
	assert_error("workers: 1\nworker: 2\n", "test.yaml:2: worker: unknown key");
	assert_error("workers: 1\n\nlimits:\n  small: 1\n  bogus: 1\nlog: { level: info }\n",
		     "test.yaml:5: limits.bogus: unknown key");
	assert_error("listen:\n  - address: \"a\"\n  - address: \"b\"\n    protocol: [udp]\n",
		     "test.yaml:4: listen[1].protocol: unknown key");
	assert_error("\"od\\td\": 2\n", "test.yaml:1: od\td: unknown key");
}

static void test_wrong_types_are_named(void)
{
	assert_error("\nlisten: 4\n", "test.yaml:2: listen: not a list");
	assert_error("limits: 3\n", "test.yaml:1: limits: not a mapping");
	assert_error("limits:\n", "test.yaml:1: limits: not a mapping");
	assert_error("admin: [a]\n", "test.yaml:1: admin: not a string");
	assert_error("workers: {}\n",
		     "test.yaml:1: workers: not a whole number from 0 to 4294967295");
	assert_error("log:\n  level:\n    info: 2\n",
		     "test.yaml:2: log.level: not one of error, warning, info, debug");
	assert_error("backends:\n  - a\n  - { b: 1 }\n", "test.yaml:3: backends[1]: not a string");
	assert_error("listen: [a]\n", "test.yaml:1: listen[0]: not a mapping");
	assert_error("- 1\n", "test.yaml: not a mapping");
	assert_error("just words\n", "test.yaml: not a mapping");
}

static void test_bad_values_are_quoted(void)
{
	assert_error("workers: x\n",
		     "test.yaml:1: workers: \"x\" is not a whole number from 0 to 4294967295");
	assert_error("workers:\n",
		     "test.yaml:1: workers: \"\" is not a whole number from 0 to 4294967295");
	assert_error("limits:\n  small: 256\n",
		     "test.yaml:2: limits.small: \"256\" is not a whole number from 0 to 255");
	assert_error("limits:\n  small: -1\n",
		     "test.yaml:2: limits.small: \"-1\" is not a whole number from 0 to 255");
	assert_error("limits:\n  small: 1.5\n",
		     "test.yaml:2: limits.small: \"1.5\" is not a whole number from 0 to 255");
	assert_error(
		"limits:\n  offset: 32768\n",
		"test.yaml:2: limits.offset: \"32768\" is not a whole number from -32768 to 32767");
	assert_error("log: { format: xml }\n",
		     "test.yaml:1: log.format: \"xml\" is not one of logfmt, json");
	assert_error("log: { level: 1 }\n",
		     "test.yaml:1: log.level: \"1\" is not one of error, warning, info, debug");
	assert_error("listen:\n  - address: a\n    protocols: [udp, sctp]\n",
		     "test.yaml:3: listen[0].protocols: \"sctp\" is not one of udp, tcp");
}

static void test_lengths_and_counts_are_checked(void)
{
	assert_error("backends: [a, \"\"]\n", "test.yaml:1: backends[1]: empty");
	assert_error("listen: [ { address: aaaaaaaaaaaaaaaaa } ]\n",
		     "test.yaml:1: listen[0].address: longer than 16 octets");
	assert_error("workers: 1\nlisten: []\n", "test.yaml:2: listen: fewer than 1 entries");
	assert_error("listen:\n- address: a\n- address: b\n- address: c\n",
		     "test.yaml:1: listen: more than 2 entries");
}

static void test_missing_keys_are_named(void)
{
	assert_error("workers: 1\nlisten:\n  - address: a\n  - protocols: [udp]\n",
		     "test.yaml:4: listen[1].address: missing");
	assert_error("listen: [{}]\n", "test.yaml:1: listen[0].address: missing");
}

static void test_keys_given_twice_are_named(void)
{
	assert_error("workers: 1\nadmin: a\nworkers: 2\n", "test.yaml:3: workers: given twice");
	assert_error("log:\n  level: info\n  level: info\n", "test.yaml:3: log.level: given twice");
}

static void test_what_is_not_yaml_names_the_line(void)
{
	assert_error("workers: 1\n admin: b\n",
		     "test.yaml:2: not valid YAML: mapping values are not allowed in this context");
	assert_error(
		"workers: 1\nadmin: \"b\n",
		"test.yaml:3: not valid YAML: found unexpected end of stream, while scanning a "
		"quoted scalar from line 2");
	assert_error("admin: *nowhere\n", "test.yaml:1: not valid YAML: found undefined alias");
	assert_error("workers: 1\n---\nworkers: 2\n",
		     "test.yaml:2: a second document begins here; one is read");
	assert_error("admin: \xff\n",
		     "test.yaml: not valid YAML: invalid leading UTF-8 octet at octet 7");
	assert_error("\tworkers: 1\n",
		     "test.yaml:1: not valid YAML: found character that cannot start "
		     "any token");
}

static void test_hostile_files_are_survived(void)
{
	char *deep = malloc(5000);
	char error[512];
	void *out = NULL;

	if (!deep)
		abort();
	memset(deep, '[', 5000);
	write_file(file_name, deep, 5000);
	CU_ASSERT_EQUAL(config_load(file_name, &settings_schema, &out, error, sizeof(error)), -1);
	write_file(file_name, "workers: 1\0admin: a\n", 20);
	CU_ASSERT_EQUAL(config_load(file_name, &settings_schema, &out, error, sizeof(error)), -1);
	CU_ASSERT_EQUAL(config_load("/dev/zero", &settings_schema, &out, error, sizeof(error)), -1);
	CU_ASSERT_STRING_EQUAL(error, "/dev/zero: cannot be read: File too large");
	free(deep);
}

static void test_unreadable_files_are_named(void)
{
	char error[512];
	void *out = NULL;

	CU_ASSERT_EQUAL(config_load("none.yaml", &settings_schema, &out, error, sizeof(error)), -1);
	CU_ASSERT_STRING_EQUAL(error, "none.yaml: cannot be read: No such file or directory");
	CU_ASSERT_EQUAL(config_load(".", &settings_schema, &out, error, sizeof(error)), -1);
	CU_ASSERT_STRING_EQUAL(error, ".: cannot be read: Is a directory");
}

static void test_lines_of_keys_are_found(void)
{
	const char *text =
		"# comment\nlisten:\n  - address: a\n  - {\n    address: b }\nlimits: { small: "
		"1,\n  offset: 2 }\n";

	write_file(file_name, text, strlen(text));
	CU_ASSERT_EQUAL(config_find_line(file_name, "listen"), 2);
	CU_ASSERT_EQUAL(config_find_line(file_name, "listen[0]"), 3);
	CU_ASSERT_EQUAL(config_find_line(file_name, "listen[1].address"), 5);
	CU_ASSERT_EQUAL(config_find_line(file_name, "limits.offset"), 7);
	CU_ASSERT_EQUAL(config_find_line(file_name, "limits.none"), 0);
	CU_ASSERT_EQUAL(config_find_line(file_name, "listen[2]"), 0);
	CU_ASSERT_EQUAL(config_find_line(file_name, "listen[x"), 0);
	CU_ASSERT_EQUAL(config_find_line(file_name, "limits.small.deeper"), 0);
	CU_ASSERT_EQUAL(config_find_line("none.yaml", "listen"), 0);
}

static void test_later_checks_name_the_line_too(void)
{
	char error[512];

	write_file(file_name, "workers: 1\nlimits:\n  small: 1\n", 29);
	config_error(error, sizeof(error), file_name, "limits.small", "%d is %s", 1, "too few");
	CU_ASSERT_STRING_EQUAL(error, "test.yaml:3: limits.small: 1 is too few");
	config_error(error, sizeof(error), file_name, "limits.offset", "missing");
	CU_ASSERT_STRING_EQUAL(error, "test.yaml:2: limits.offset: missing");
	config_error(error, sizeof(error), file_name, "listen[0].address", "missing");
	CU_ASSERT_STRING_EQUAL(error, "test.yaml: listen[0].address: missing");
	config_error(error, sizeof(error), NULL, "admin", "taken");
	CU_ASSERT_STRING_EQUAL(error, "admin: taken");
}

static void assert_secret(const char *content, const char *expected, const char *expected_error)
{
	char secret[9] = "unset";
	char error[512] = "";

	write_file("secret", content, strlen(content));
	int status = config_read_secret("secret", secret, sizeof(secret), error, sizeof(error));
	CU_ASSERT_STRING_EQUAL(error, expected_error);
	CU_ASSERT_EQUAL(status, expected ? 0 : -1);
	if (expected)
		CU_ASSERT_STRING_EQUAL(secret, expected);
}

static void test_secrets_are_the_first_line(void)
{
	char secret[8];
	char error[512];

	assert_secret("hunter2", "hunter2", "");
	assert_secret("hunter2\n", "hunter2", "");
	assert_secret(" a b\r\nsecond\n", " a b", "");
	assert_secret("12345678", "12345678", "");
	assert_secret("123456789\n", NULL, "secret: the first line is longer than 8 octets");
	assert_secret("", NULL, "secret: the first line is empty");
	assert_secret("\nx", NULL, "secret: the first line is empty");
	CU_ASSERT_EQUAL(config_read_secret("none", secret, sizeof(secret), error, sizeof(error)),
			-1);
	CU_ASSERT_STRING_EQUAL(error, "none: cannot be read: No such file or directory");
	CU_ASSERT_EQUAL(config_read_secret(".", secret, sizeof(secret), error, sizeof(error)), -1);
	CU_ASSERT_STRING_EQUAL(error, ".: cannot be read: Is a directory");
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"all kinds of values load", test_all_kinds_of_values_load},
		{"empty files are empty mappings", test_empty_files_are_empty_mappings},
		{"unknown keys are named", test_unknown_keys_are_named},
		{"wrong types are named", test_wrong_types_are_named},
		{"bad values are quoted", test_bad_values_are_quoted},
		{"lengths and counts are checked", test_lengths_and_counts_are_checked},
		{"missing keys are named", test_missing_keys_are_named},
		{"keys given twice are named", test_keys_given_twice_are_named},
		{"what is not YAML names the line", test_what_is_not_yaml_names_the_line},
		{"hostile files are survived", test_hostile_files_are_survived},
		{"unreadable files are named", test_unreadable_files_are_named},
		{"lines of keys are found", test_lines_of_keys_are_found},
		{"later checks name the line too", test_later_checks_name_the_line_too},
		{"secrets are the first line", test_secrets_are_the_first_line},
	};
	char directory[] = "/tmp/godwit-config-XXXXXX";

	if (!mkdtemp(directory) || chdir(directory) != 0)
		return 1;
	int status = SUITE_RUN("config", tests);
	unlink(file_name);
	unlink("secret");
	return chdir("/") == 0 && rmdir(directory) == 0 ? status : 1;
}
