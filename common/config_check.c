/* The document's tree and the schema, walked side by side; only as deep as the schema goes. */
#include "common/config_check.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct config_check {
	yaml_document_t *tree;
	char *key; /* of the value being looked at */
	char *problem;
};

static int config_check_node(struct config_check *check, const yaml_node_t *node,
			     const cyaml_schema_value_t *schema);

/* An optional sign and decimal digits only, or 0x and hexadecimal ones. */
static bool config_is_number(const char *text)
{
	text += *text == '-' || *text == '+';
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return text[2] && text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] == '\0';
	return *text && text[strspn(text, "0123456789")] == '\0';
}

static bool config_is_truth_value(const char *text)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

static int config_check_scalar(struct config_check *check, const char *text,
			       const cyaml_schema_value_t *schema)
{
	char expected[CONFIG_PROBLEM_MAX / 2];
	bool good = true;

	if (schema->type == CYAML_INT || schema->type == CYAML_UINT)
		good = config_is_number(text);
	else if (schema->type == CYAML_BOOL)
		good = config_is_truth_value(text);
	if (good)
		return 0;
	config_describe_type(schema, expected, sizeof(expected));
	snprintf(check->problem, CONFIG_PROBLEM_MAX, "\"%.200s\" is %s", text, expected);
	return -1;
}

/* The text of a scalar node, or NULL for what is none. libyaml ends it with a NUL. */
static const char *config_scalar_text(const yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value
						      : NULL;
}

static int config_check_mapping(struct config_check *check, const yaml_node_t *node,
				const cyaml_schema_field_t *fields)
{
	size_t length = strlen(check->key);

	if (node->type != YAML_MAPPING_NODE)
		return 0;
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const char *name =
			config_scalar_text(yaml_document_get_node(check->tree, pair->key));
		const cyaml_schema_field_t *field = fields;
		while (name && field->key && strcmp(field->key, name) != 0)
			field++;
		if (!name || !field->key)
			continue;
		snprintf(check->key + length, CONFIG_KEY_MAX - length, "%s%s", length ? "." : "",
			 name);
		if (config_check_node(check, yaml_document_get_node(check->tree, pair->value),
				      &field->value) != 0)
			return -1;
		check->key[length] = '\0';
	}
	return 0;
}

static int config_check_sequence(struct config_check *check, const yaml_node_t *node,
				 const cyaml_schema_value_t *entry)
{
	size_t length = strlen(check->key);

	if (node->type != YAML_SEQUENCE_NODE)
		return 0;
	const yaml_node_item_t *start = node->data.sequence.items.start;
	for (const yaml_node_item_t *item = start; item < node->data.sequence.items.top; item++) {
		snprintf(check->key + length, CONFIG_KEY_MAX - length, "[%td]", item - start);
		if (config_check_node(check, yaml_document_get_node(check->tree, *item), entry) !=
		    0)
			return -1;
		check->key[length] = '\0';
	}
	return 0;
}

static int config_check_node(struct config_check *check, const yaml_node_t *node,
			     const cyaml_schema_value_t *schema)
{
	if (!node)
		return 0;
	switch (schema->type) {
	case CYAML_MAPPING:
		return config_check_mapping(check, node, schema->mapping.fields);
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
		return config_check_sequence(check, node, schema->sequence.entry);
	default:
		break;
	}
	/* Where null is allowed, an empty value and its spellings are no value at all. */
	const char *text = config_scalar_text(node);
	bool nullable = (schema->flags & CYAML_FLAG_POINTER_NULL) == CYAML_FLAG_POINTER_NULL;
	if (!text || (nullable && (!*text || !strcasecmp(text, "null") || !strcmp(text, "~"))))
		return 0;
	return config_check_scalar(check, text, schema);
}

int config_check_scalars(struct config_document *document, const cyaml_schema_value_t *schema,
			 char *key, char *problem)
{
	struct config_check check = {.tree = &document->tree, .key = key, .problem = problem};

	key[0] = '\0';
	if (document->is_empty)
		return 0;
	return config_check_node(&check, yaml_document_get_root_node(&document->tree), schema);
}
