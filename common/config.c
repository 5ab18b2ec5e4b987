/*
 * libcyaml loads; the files beside this one make its complaints readable (config_report.c), know
 * where in the file a key stands (config_document.c; libcyaml's own lines point at the last thing
 * parsed, which may be the wrong one) and check what it takes too lightly (config_check.c).
 */
#include "common/config.h"

#include "common/config_check.h"
#include "common/config_document.h"
#include "common/config_report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const cyaml_strval_t config_log_levels[CONFIG_LOG_LEVELS] = {
	{"error", LOG_LEVEL_ERROR},
	{"warning", LOG_LEVEL_WARNING},
	{"info", LOG_LEVEL_INFO},
	{"debug", LOG_LEVEL_DEBUG},
};

const cyaml_strval_t config_log_formats[CONFIG_LOG_FORMATS] = {
	{"logfmt", LOG_FORMAT_LOGFMT},
	{"json", LOG_FORMAT_JSON},
};

const cyaml_schema_field_t config_log_fields[] = {
	CYAML_FIELD_ENUM("level", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_log, level,
			 config_log_levels, CONFIG_LOG_LEVELS),
	CYAML_FIELD_ENUM("format", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_log,
			 format, config_log_formats, CONFIG_LOG_FORMATS),
	CYAML_FIELD_END,
};

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
		.log_fn = config_report_log,
		.log_ctx = &report,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
	};

	*out = NULL;
	if (config_document_read(&document, path, error, error_size) != 0)
		return -1;
	const char *text = document.is_empty ? "{}" : document.text;
	size_t size = document.is_empty ? 2 : document.size;
	cyaml_err_t status =
		cyaml_load_data((const uint8_t *)text, size, &cyaml, schema, out, NULL);
	bool failed = status != CYAML_OK;
	if (failed) {
		config_report_describe(&report, schema, status, problem, sizeof(problem));
	} else if (config_check_scalars(&document, schema, report.key, problem) != 0) {
		config_free(schema, *out);
		*out = NULL;
		failed = true;
	}
	if (failed)
		config_format_error(error, error_size, path,
				    config_nearest_line(&document, report.key), report.key,
				    problem);
	config_document_clear(&document);
	return failed ? -1 : 0;
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
