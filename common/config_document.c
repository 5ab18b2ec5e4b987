/* The tree is libyaml's own document; this file reads it in and walks it by dotted paths. */
#include "common/config_document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE_MAX (1 << 20) /* octets; a configuration is far smaller */

/* The whole file, NUL-terminated, for the caller to free; NULL with errno set. */
static char *config_read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	int failure = 0;

	if (!file)
		return NULL;
	text = malloc(CONFIG_FILE_MAX + 1);
	if (text) {
		*size = fread(text, 1, CONFIG_FILE_MAX + 1, file);
		if (ferror(file))
			failure = errno;
		else if (*size > CONFIG_FILE_MAX)
			failure = EFBIG;
		else
			text[*size] = '\0';
	}
	if (failure) {
		free(text);
		text = NULL;
		errno = failure;
	}
	fclose(file);
	return text;
}

/* "FILE:LINE: not valid YAML: ..." from what the parser stumbled over. */
static void config_describe_syntax(const yaml_parser_t *parser, const char *path, char *error,
				   size_t error_size)
{
	size_t line = parser->problem_mark.line + 1;
	const char *problem = parser->problem ? parser->problem : "out of memory";

	if (parser->error == YAML_READER_ERROR)
		snprintf(error, error_size, "%s: not valid YAML: %s at octet %zu", path, problem,
			 parser->problem_offset);
	else if (parser->context && parser->context_mark.line + 1 != line)
		snprintf(error, error_size, "%s:%zu: not valid YAML: %s, %s from line %zu", path,
			 line, problem, parser->context, parser->context_mark.line + 1);
	else
		snprintf(error, error_size, "%s:%zu: not valid YAML: %s", path, line, problem);
}

/* No root at all, or one that is an empty plain scalar ("---"). */
static bool config_is_empty(yaml_document_t *tree)
{
	const yaml_node_t *root = yaml_document_get_root_node(tree);

	return !root || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0 &&
			 root->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
}

/* Checks that nothing follows the first document. */
static int config_check_end(yaml_parser_t *parser, const char *path, char *error, size_t error_size)
{
	yaml_document_t next;
	int result = 0;

	if (!yaml_parser_load(parser, &next)) {
		config_describe_syntax(parser, path, error, error_size);
		return -1;
	}
	if (yaml_document_get_root_node(&next)) {
		snprintf(error, error_size, "%s:%zu: a second document begins here; one is read",
			 path, next.start_mark.line + 1);
		result = -1;
	}
	yaml_document_delete(&next);
	return result;
}

int config_document_read(struct config_document *document, const char *path, char *error,
			 size_t error_size)
{
	yaml_parser_t parser;
	int result = -1;

	memset(document, 0, sizeof(*document));
	document->text = config_read_file(path, &document->size);
	if (!document->text) {
		snprintf(error, error_size, "%s: cannot be read: %s", path, strerror(errno));
		return -1;
	}
	if (!yaml_parser_initialize(&parser)) {
		snprintf(error, error_size, "%s: out of memory", path);
		goto out;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)document->text,
				     document->size);
	if (!yaml_parser_load(&parser, &document->tree)) {
		config_describe_syntax(&parser, path, error, error_size);
	} else {
		document->is_empty = config_is_empty(&document->tree);
		/* After an empty stream there is no second document to ask for. */
		if (!yaml_document_get_root_node(&document->tree) ||
		    config_check_end(&parser, path, error, error_size) == 0)
			result = 0;
	}
	yaml_parser_delete(&parser);
out:
	if (result != 0)
		config_document_clear(document);
	return result;
}

void config_document_clear(struct config_document *document)
{
	yaml_document_delete(&document->tree);
	free(document->text);
	memset(document, 0, sizeof(*document));
}

/* The last pair of a mapping whose key is `key`, or NULL. */
static const yaml_node_pair_t *config_find_pair(yaml_document_t *tree, const yaml_node_t *mapping,
						const char *key, size_t key_size)
{
	if (mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.top;
	     pair-- > mapping->data.mapping.pairs.start;) {
		const yaml_node_t *node = yaml_document_get_node(tree, pair->key);
		if (node && node->type == YAML_SCALAR_NODE &&
		    node->data.scalar.length == key_size &&
		    memcmp(node->data.scalar.value, key, key_size) == 0)
			return pair;
	}
	return NULL;
}

/* The entry of a sequence, or NULL. */
static yaml_node_t *config_find_entry(yaml_document_t *tree, const yaml_node_t *sequence,
				      unsigned long index)
{
	if (sequence->type != YAML_SEQUENCE_NODE)
		return NULL;
	const yaml_node_item_t *start = sequence->data.sequence.items.start;
	if (index >= (unsigned long)(sequence->data.sequence.items.top - start))
		return NULL;
	return yaml_document_get_node(tree, start[index]);
}

int config_document_line(struct config_document *document, const char *path)
{
	yaml_document_t *tree = &document->tree;
	const yaml_node_t *node = document->text ? yaml_document_get_root_node(tree) : NULL;
	size_t line = 0;

	for (const char *p = path; *p && node;) {
		if (*p == '[') {
			char *end;
			node = config_find_entry(tree, node, strtoul(p + 1, &end, 10));
			if (*end != ']')
				return 0;
			line = node ? node->start_mark.line + 1 : 0;
			p = end + 1;
		} else {
			p += *p == '.';
			size_t size = strcspn(p, ".[");
			const yaml_node_pair_t *pair = config_find_pair(tree, node, p, size);
			if (!pair)
				return 0;
			line = yaml_document_get_node(tree, pair->key)->start_mark.line + 1;
			node = yaml_document_get_node(tree, pair->value);
			p += size;
		}
	}
	return node ? (int)line : 0;
}
