/*
 * Reading a program's YAML file into its struct, through one libcyaml schema.
 *
 * Whatever is wrong - an unknown key, a wrong type, a value out of range, a file that cannot be
 * read - comes back as one line a person can act on, "backend.yaml:7: listen: not a list", with
 * file, line and key.
 */
#ifndef GODWIT_COMMON_CONFIG_H
#define GODWIT_COMMON_CONFIG_H

#include "common/log.h"

#include <cyaml/cyaml.h>
#include <stddef.h>

/* The `log:` block every program has. */
struct config_log {
	enum log_level level;
	enum log_format format;
};

/* Schema fields of struct config_log, for use in CYAML_FIELD_MAPPING. */
extern const cyaml_schema_field_t config_log_fields[];

/* The words of its fields, for programs whose schema says in another way what is absent. */
#define CONFIG_LOG_LEVELS 4
#define CONFIG_LOG_FORMATS 2
extern const cyaml_strval_t config_log_levels[CONFIG_LOG_LEVELS];
extern const cyaml_strval_t config_log_formats[CONFIG_LOG_FORMATS];

/*
 * Loads `path` against `schema`, a mapping schema with pointer. `*out` is then the caller's, to be
 * freed with config_free. Fields absent from the file are zero: programs fill in their defaults
 * afterwards (a number that may well be 0 is best a pointer, NULL when absent). Returns 0, or -1
 * with the line in `error`. An empty file is an empty mapping; keys given twice and a second
 * document are errors.
 */
int config_load(const char *path, const cyaml_schema_value_t *schema, void **out, char *error,
		size_t error_size);
void config_free(const cyaml_schema_value_t *schema, void *config);

/*
 * The line on which `key` (a dotted path, "limits.udp_payload", "listen[1].address" for the second
 * entry) stands in the file, or 0: so that checks done after loading can name a line too. Reads the
 * file again.
 */
int config_find_line(const char *path, const char *key);

/*
 * Formats "FILE:LINE: KEY: message" into `error` for a value that loaded but makes no sense. The
 * line of a key that is not in the file is that of the nearest thing around it. `path` may be NULL
 * when there is no file.
 */
void config_error(char *error, size_t error_size, const char *path, const char *key,
		  const char *message, ...) __attribute__((format(printf, 5, 6)));

/*
 * Reads a secret from the first line of a file, without its line end, into `out`. Returns 0, or -1
 * with a reason that names the file.
 */
int config_read_secret(const char *path, char *out, size_t size, char *error, size_t error_size);

#endif
