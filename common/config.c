/*
 * libcyaml loads; this file makes its complaints readable.
 *
 * libcyaml tells what went wrong through its log callback, in several lines: a problem, then a
 * backtrace from the innermost value outwards. A `struct config_report` collects them; afterwards
 * the backtrace becomes a dotted key, the key becomes a line of the file (libcyaml's own lines
 * point at the last thing parsed, which may be the wrong one), and the problem becomes words, with
 * the schema's help where it knows what would have been right.
 */
#include "common/config.h"

#include "common/config_document.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_KEY_MAX 256
#define CONFIG_PROBLEM_MAX 512

static const cyaml_strval_t config_log_levels[] = {
	{"error", LOG_LEVEL_ERROR},
	{"warning", LOG_LEVEL_WARNING},
	{"info", LOG_LEVEL_INFO},
	{"debug", LOG_LEVEL_DEBUG},
};

static const cyaml_strval_t config_log_formats[] = {
	{"logfmt", LOG_FORMAT_LOGFMT},
	{"json", LOG_FORMAT_JSON},
};

const cyaml_schema_field_t config_log_fields[] = {
	CYAML_FIELD_ENUM("level", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_log, level,
			 config_log_levels, CYAML_ARRAY_LEN(config_log_levels)),
	CYAML_FIELD_ENUM("format", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_log,
			 format, config_log_formats, CYAML_ARRAY_LEN(config_log_formats)),
	CYAML_FIELD_END,
};

/* What libcyaml said about one failure. */
struct config_report {
	char problem[CONFIG_PROBLEM_MAX]; /* its first line, without "Load: " */
	char key[CONFIG_KEY_MAX];         /* dotted, put together from the inside */
	bool key_is_open;                 /* the innermost part of the backtrace is still to come */
};

/* libcyaml's lines that this file looks for. */
#define CONFIG_SAID_UNKNOWN "Unexpected key: "
#define CONFIG_SAID_MISSING "Missing required mapping field: "
#define CONFIG_SAID_TOO_FEW "Insufficient entries "
#define CONFIG_SAID_TOO_MANY "Excessive entries "
#define CONFIG_SAID_TYPE "Expecting "
#define CONFIG_SAID_TWICE "Mapping field already seen: "
#define CONFIG_SAID_LONG "STRING length > "
#define CONFIG_SAID_SHORT "STRING length < "

/* The rest of `text` after `prefix`, or NULL. */
static const char *config_after(const char *text, const char *prefix)
{
	size_t size = strlen(prefix);
	return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

/* Puts one more, outer part before the key. */
static void config_report_prepend(struct config_report *report, const char *part)
{
	char joined[CONFIG_KEY_MAX];
	const char *dot = report->key[0] && report->key[0] != '[' ? "." : "";

	/* Deeper than any schema goes is cut off. */
	if (snprintf(joined, sizeof(joined), "%s%s%s", part, dot, report->key) > 0)
		memcpy(report->key, joined, sizeof(joined));
}

/* One line of the backtrace, "  in mapping field 'log' (line: 2, column: 3)". */
static void config_report_add_place(struct config_report *report, const char *line)
{
	const char *field = config_after(line, "  in mapping field '");
	const char *entry = config_after(line, "  in sequence entry '");
	bool innermost = report->key_is_open;
	char part[CONFIG_KEY_MAX];

	report->key_is_open = false;
	if (field) {
		/* Of a mapping that lacks a field libcyaml names the field it saw last. */
		if (innermost && config_after(report->problem, CONFIG_SAID_MISSING))
			return;
		snprintf(part, sizeof(part), "%.*s", (int)strcspn(field, "'"), field);
		config_report_prepend(report, part);
	} else if (entry) {
		/* It counts from 1; where the number of entries is wrong, none is to blame. */
		unsigned long number = strtoul(entry, NULL, 10);
		if (number == 0 || config_after(report->problem, CONFIG_SAID_TOO_MANY) ||
		    config_after(report->problem, CONFIG_SAID_TOO_FEW))
			return;
		snprintf(part, sizeof(part), "[%lu]", number - 1);
		config_report_prepend(report, part);
	}
}

static void config_on_cyaml_log(cyaml_log_t level, void *ctx, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

static void config_on_cyaml_log(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
	struct config_report *report = ctx;
	char line[CONFIG_PROBLEM_MAX];

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	const char *said = config_after(line, "Load: ");
	if (!said) {
		config_report_add_place(report, line);
	} else if (strcmp(said, "Backtrace:") == 0) {
		report->key_is_open = true;
		const char *key = config_after(report->problem, CONFIG_SAID_UNKNOWN);
		if (!key)
			key = config_after(report->problem, CONFIG_SAID_MISSING);
		if (key)
			snprintf(report->key, sizeof(report->key), "%.*s", CONFIG_KEY_MAX - 1, key);
	} else if (!report->problem[0]) {
		memcpy(report->problem, said, strlen(said) + 1);
	}
}

/* --- words for people --------------------------------------------------------------------------
 */

/* The schema of the value that a dotted key leads to, or NULL. */
static const cyaml_schema_value_t *config_find_schema(const cyaml_schema_value_t *schema,
						      const char *key)
{
	while (*key && schema) {
		if (*key == '[') {
			bool sequence = schema->type == CYAML_SEQUENCE ||
					schema->type == CYAML_SEQUENCE_FIXED;
			schema = sequence ? schema->sequence.entry : NULL;
			key += strcspn(key, "]");
			key += *key == ']';
			continue;
		}
		key += *key == '.';
		size_t size = strcspn(key, ".[");
		const cyaml_schema_field_t *field =
			schema->type == CYAML_MAPPING ? schema->mapping.fields : NULL;
		while (field && field->key &&
		       (strlen(field->key) != size || memcmp(field->key, key, size) != 0))
			field++;
		schema = field && field->key ? &field->value : NULL;
		key += size;
	}
	return schema;
}

/* "not one of a, b, c" from an enum's or a flag set's schema. */
static void config_list_words(const cyaml_schema_value_t *schema, char *out, size_t size)
{
	size_t used = (size_t)snprintf(out, size, "not one of ");

	for (uint32_t i = 0; i < schema->enumeration.count && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "",
					 schema->enumeration.strings[i].str);
}

/* What a value of that schema must be, in the negative. */
static void config_describe_type(const cyaml_schema_value_t *schema, char *out, size_t size)
{
	unsigned int bits = schema->data_size < 8 ? schema->data_size * 8 : 63;

	switch (schema->type) {
	case CYAML_INT:
		snprintf(out, size, "not a whole number from %" PRId64 " to %" PRId64,
			 -(INT64_C(1) << (bits - 1)), (INT64_C(1) << (bits - 1)) - 1);
		break;
	case CYAML_UINT:
		snprintf(out, size, "not a whole number from 0 to %" PRIu64,
			 (UINT64_C(1) << bits) - 1);
		break;
	case CYAML_BOOL:
		snprintf(out, size, "not true or false");
		break;
	case CYAML_ENUM:
	case CYAML_FLAGS:
		config_list_words(schema, out, size);
		break;
	case CYAML_STRING:
		snprintf(out, size, "not a string");
		break;
	case CYAML_MAPPING:
		snprintf(out, size, "not a mapping");
		break;
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
		snprintf(out, size, "not a list");
		break;
	default:
		snprintf(out, size, "not a value that this key takes");
		break;
	}
}

/* The value libcyaml quotes at the end of "Invalid ENUM value: loud", without its own quotes. */
static int config_cut_value(const char *problem, const char **value)
{
	const char *colon = strstr(problem, ": ");

	if (!colon || (!config_after(problem, "Invalid ") && !config_after(problem, "Unknown ")))
		return -1;
	*value = colon + 2;
	int size = (int)strlen(*value);
	if (size >= 2 && **value == '\'') {
		(*value)++;
		size -= 2;
	}
	return size;
}

/* Our words for what libcyaml said. */
static void config_describe(const struct config_report *report, const cyaml_schema_value_t *schema,
			    cyaml_err_t status, char *out, size_t size)
{
	const char *said = report->problem;
	const cyaml_schema_value_t *at = config_find_schema(schema, report->key);
	const char *value = "";
	const char *rest;
	char expected[CONFIG_PROBLEM_MAX / 2];
	int value_size = config_cut_value(said, &value);

	if (at)
		config_describe_type(at, expected, sizeof(expected));
	if (config_after(said, CONFIG_SAID_UNKNOWN))
		snprintf(out, size, "unknown key");
	else if (config_after(said, CONFIG_SAID_MISSING))
		snprintf(out, size, "missing");
	else if (config_after(said, CONFIG_SAID_TWICE))
		snprintf(out, size, "given twice");
	else if (at && at->type == CYAML_STRING && config_after(said, CONFIG_SAID_SHORT))
		snprintf(out, size, at->string.min == 1 ? "empty" : "shorter than %u octets",
			 at->string.min);
	else if ((rest = config_after(said, CONFIG_SAID_LONG)))
		snprintf(out, size, "longer than %lu octets", strtoul(rest, NULL, 10));
	else if (at && config_after(said, CONFIG_SAID_TOO_FEW))
		snprintf(out, size, "fewer than %u entries", at->sequence.min);
	else if (at && config_after(said, CONFIG_SAID_TOO_MANY))
		snprintf(out, size, "more than %u entries", at->sequence.max);
	else if (at && config_after(said, CONFIG_SAID_TYPE))
		snprintf(out, size, "%s", expected);
	else if (at && value_size >= 0)
		snprintf(out, size, "\"%.*s\" is %s", value_size, value, expected);
	else
		snprintf(out, size, "%s", said[0] ? said : cyaml_strerror(status));
}

/* "FILE:LINE: KEY: problem", leaving out what there is not. */
static void config_format_error(char *error, size_t error_size, const char *path, int line,
				const char *key, const char *problem)
{
	char place[CONFIG_PROBLEM_MAX] = "";

	if (path && line > 0)
		snprintf(place, sizeof(place), "%s:%d: ", path, line);
	else if (path)
		snprintf(place, sizeof(place), "%s: ", path);
	snprintf(error, error_size, "%s%s%s%s", place, key, *key ? ": " : "", problem);
}

/* The line of a key, or of the nearest thing around it that is in the file; 0 for none. */
static int config_nearest_line(struct config_document *document, const char *key)
{
	char around[CONFIG_KEY_MAX];
	int line;

	snprintf(around, sizeof(around), "%s", key);
	while ((line = config_document_line(document, around)) == 0 && around[0]) {
		char *dot = strrchr(around, '.');
		char *bracket = strrchr(around, '[');
		char *cut = dot > bracket ? dot : bracket;
		*(cut ? cut : around) = '\0';
	}
	return line;
}

int config_load(const char *path, const cyaml_schema_value_t *schema, void **out, char *error,
		size_t error_size)
{
	struct config_document document;
	struct config_report report = {0};
	char problem[CONFIG_PROBLEM_MAX];
	const cyaml_config_t cyaml = {
		.log_fn = config_on_cyaml_log,
		.log_ctx = &report,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
	};

	*out = NULL;
	if (config_document_read(&document, path, error, error_size) != 0)
		return -1;
	const char *text = document.is_empty ? "{}" : document.text;
	cyaml_err_t status =
		cyaml_load_data((const uint8_t *)text, strlen(text), &cyaml, schema, out, NULL);
	if (status != CYAML_OK) {
		config_describe(&report, schema, status, problem, sizeof(problem));
		config_format_error(error, error_size, path,
				    config_nearest_line(&document, report.key), report.key,
				    problem);
	}
	config_document_clear(&document);
	return status == CYAML_OK ? 0 : -1;
}

void config_free(const cyaml_schema_value_t *schema, void *config)
{
	const cyaml_config_t cyaml = {.mem_fn = cyaml_mem};

	if (config)
		cyaml_free(&cyaml, schema, config, 0);
}

int config_find_line(const char *path, const char *key)
{
	struct config_document document;
	char error[CONFIG_PROBLEM_MAX];

	if (config_document_read(&document, path, error, sizeof(error)) != 0)
		return 0;
	int line = config_document_line(&document, key);
	config_document_clear(&document);
	return line;
}

void config_error(char *error, size_t error_size, const char *path, const char *key,
		  const char *message, ...)
{
	struct config_document document;
	char problem[CONFIG_PROBLEM_MAX];
	char ignored[CONFIG_PROBLEM_MAX];
	int line = 0;
	va_list args;

	va_start(args, message);
	vsnprintf(problem, sizeof(problem), message, args);
	va_end(args);
	if (path && config_document_read(&document, path, ignored, sizeof(ignored)) == 0) {
		line = config_nearest_line(&document, key);
		config_document_clear(&document);
	}
	config_format_error(error, error_size, path, line, key, problem);
}

int config_read_secret(const char *path, char *out, size_t size, char *error, size_t error_size)
{
	FILE *file = fopen(path, "re");

	if (!file) {
		snprintf(error, error_size, "%s: cannot be read: %s", path, strerror(errno));
		return -1;
	}
	errno = 0;
	bool read = fgets(out, (int)size, file) != NULL;
	int failure = ferror(file) ? errno : 0;
	size_t length = read ? strlen(out) : 0;
	bool cut = length > 0 && out[length - 1] != '\n' && fgetc(file) != EOF;
	fclose(file);

	if (failure)
		snprintf(error, error_size, "%s: cannot be read: %s", path, strerror(failure));
	else if (cut)
		snprintf(error, error_size, "%s: the first line is longer than %zu octets", path,
			 size - 1);
	if (failure || cut) {
		explicit_bzero(out, size);
		return -1;
	}
	while (length > 0 && (out[length - 1] == '\n' || out[length - 1] == '\r'))
		length--;
	out[length] = '\0';
	if (length == 0) {
		snprintf(error, error_size, "%s: the first line is empty", path);
		return -1;
	}
	return 0;
}
