/*
 * Numbers and truth values that libcyaml takes too lightly: it reads "10s" as 10, "1.5" as 1 and
 * any word as true. Private to config.c.
 */
#ifndef GODWIT_COMMON_CONFIG_CHECK_H
#define GODWIT_COMMON_CONFIG_CHECK_H

#include "common/config_document.h"
#include "common/config_report.h"

/*
 * Checks every scalar of a document that loaded against the schema. Returns 0, or -1 with the
 * dotted key in `key` (CONFIG_KEY_MAX) and words in `problem` (CONFIG_PROBLEM_MAX).
 */
int config_check_scalars(struct config_document *document, const cyaml_schema_value_t *schema,
			 char *key, char *problem);

#endif
