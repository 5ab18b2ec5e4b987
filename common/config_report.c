/* Reading libcyaml's log lines, as version 1.3 and 1.4 write them. */
#include "common/config_report.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void config_report_log(cyaml_log_t level, void *ctx, const char *format, va_list args)
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

/* --- words for people ------------------------------------------------------------------------- */

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
void config_describe_type(const cyaml_schema_value_t *schema, char *out, size_t size)
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

void config_report_describe(const struct config_report *report, const cyaml_schema_value_t *schema,
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
