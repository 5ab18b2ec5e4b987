/*
 * libcyaml's complaints in words for people. Private to config.c.
 *
 * libcyaml tells what went wrong through its log callback, in several lines: a problem, then a
 * backtrace from the innermost value outwards. A `struct config_report` collects them: the
 * backtrace becomes a dotted key, and the problem is put into words with the schema's help, which
 * knows what would have been right.
 */
#ifndef GODWIT_COMMON_CONFIG_REPORT_H
#define GODWIT_COMMON_CONFIG_REPORT_H

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define CONFIG_KEY_MAX 256     /* a dotted key with its NUL */
#define CONFIG_PROBLEM_MAX 512 /* one line of words with its NUL */

/* What libcyaml said about one failure. Zero-initialise. */
struct config_report {
	char problem[CONFIG_PROBLEM_MAX]; /* its first line, without "Load: " */
	char key[CONFIG_KEY_MAX];         /* dotted, put together from the inside */
	bool key_is_open;                 /* the innermost part of the backtrace is still to come */
};

/* The cyaml_log_fn_t; its context is the report. */
void config_report_log(cyaml_log_t level, void *report, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

/* Writes what `status` came from, "unknown key", into `out`. */
void config_report_describe(const struct config_report *report, const cyaml_schema_value_t *schema,
			    cyaml_err_t status, char *out, size_t size);

/* What a value of that schema must be, in the negative: "not a list". */
void config_describe_type(const cyaml_schema_value_t *schema, char *out, size_t size);

#endif
