/*
 * A YAML file as a tree of nodes that know their lines: what libcyaml's errors and checks done
 * after loading need to point at a place. Private to config.c.
 */
#ifndef GODWIT_COMMON_CONFIG_DOCUMENT_H
#define GODWIT_COMMON_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

struct config_document {
	char *text; /* the file's octets, NUL-terminated */
	size_t size;
	bool is_empty; /* no content but comments: an empty mapping */
	yaml_document_t tree;
};

/*
 * Reads and parses the file at `path`. Returns 0, and config_document_clear must follow; or -1 with
 * "FILE: problem" or "FILE:LINE: problem" in `error`.
 */
int config_document_read(struct config_document *document, const char *path, char *error,
			 size_t error_size);
void config_document_clear(struct config_document *document);

/*
 * The line, counted from 1, of a dotted path ("limits.udp_payload", "listen[1].address"; indices
 * count from 0): of the key's last appearance when it is there twice. 0 when there is no such key.
 */
int config_document_line(struct config_document *document, const char *path);

#endif
