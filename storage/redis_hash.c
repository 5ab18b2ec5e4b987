#include "storage/redis_hash.h"

#include "common/log.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TTL_MAX 2147483647u /* RFC 2181 section 8 */

/* --- keys ------------------------------------------------------------------------------------- */

/* True for a name so plain that it needs no parsing: letters, digits, "-", "_" and single dots. */
static bool is_plain(const char *name, size_t size)
{
	size_t label = 0;

	if (size == 0 || size > DNS_NAME_MAX - 2)
		return false;
	for (size_t i = 0; i < size; i++) {
		char c = name[i];
		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
		      c == '*'))
			return false;
		if (++label > DNS_LABEL_MAX)
			return false;
	}
	return label > 0;
}

enum redis_key redis_key_parse(const char *prefix, const char *key, size_t size, char *name)
{
	size_t skip = strlen(prefix), length;
	uint8_t wire[DNS_NAME_MAX];

	if (size < skip || memcmp(key, prefix, skip) != 0)
		return REDIS_KEY_FOREIGN;
	key += skip;
	size -= skip;
	if (is_plain(key, size)) {
		memcpy(name, key, size);
		name[size] = '\0';
		return REDIS_KEY_NAME;
	}
	/* "@" would be the origin, which there is none of. */
	if (size == 0 || (size == 1 && key[0] == '@') ||
	    dns_name_from_text(key, size, NULL, wire) < 0)
		return REDIS_KEY_BAD;
	dns_name_copy_lower(wire, wire);
	length = dns_name_to_text(wire, name);
	if (length > 1)
		name[--length] = '\0';
	return length == size && memcmp(name, key, size) == 0 ? REDIS_KEY_NAME : REDIS_KEY_ODD;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* The type's number, 0 for what is none. */
static uint16_t parse_type(const char *text, size_t size)
{
	char type[DNS_TYPE_TEXT_MAX];

	if (size == 1 && (*text | 0x20) == 'a')
		return DNS_TYPE_A;
	if (size == 0 || size >= sizeof(type) || memchr(text, '\0', size))
		return 0;
	memcpy(type, text, size);
	type[size] = '\0';
	int number = dns_type_from_text(type);
	return number > 0 ? (uint16_t)number : 0;
}

bool redis_field_is_ttl(const struct redis_field *field)
{
	return field->name_size >= 3 && strncasecmp(field->name, "ttl", 3) == 0 &&
	       (field->name_size == 3 || field->name[3] == '.');
}

uint16_t redis_field_type(const struct redis_field *field)
{
	return parse_type(field->name, field->name_size);
}

uint16_t redis_field_ttl_type(const struct redis_field *field)
{
	return field->name_size > 4 ? parse_type(field->name + 4, field->name_size - 4) : 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes blanks off both ends. */
static void trim(const char **text, size_t *size)
{
	while (*size > 0 && is_blank(**text)) {
		(*text)++;
		(*size)--;
	}
	while (*size > 0 && is_blank((*text)[*size - 1]))
		(*size)--;
}

bool redis_field_read_ttl(const struct redis_field *field, uint32_t *ttl)
{
	const char *text = field->value;
	size_t size = field->value_size;
	uint64_t number = 0;

	while (size > 0 && text[size - 1] == '\n')
		size--;
	trim(&text, &size);
	if (size == 0)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (number <= TTL_MAX)
			number = number * 10 + (uint64_t)(text[i] - '0');
	}
	*ttl = number > TTL_MAX ? TTL_MAX : (uint32_t)number;
	return true;
}

/* True when there is a record in the value: a line that is not blank. */
static bool has_line(const struct redis_field *field)
{
	for (size_t i = 0; i < field->value_size; i++) {
		if (!is_blank(field->value[i]) && field->value[i] != '\n')
			return true;
	}
	return false;
}

bool redis_entry_is_apex(const struct redis_entry *entry)
{
	for (size_t i = 0; i < entry->count; i++) {
		const struct redis_field *field = &entry->fields[i];
		/* "SOA" or "TYPE6": nothing else has so many letters and is one. */
		if ((field->name_size == 3 || field->name_size == 5) &&
		    redis_field_type(field) == DNS_TYPE_SOA && has_line(field))
			return true;
	}
	return false;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Making the records of one hash. */
struct making {
	struct redis_records *records;
	const char *prefix;
	const struct redis_entry *entry;
	uint32_t ttl;          /* the name's */
	struct type_ttl *ttls; /* of types that have their own, by type */
	size_t ttl_count;
};

struct type_ttl {
	uint16_t type;
	uint32_t ttl;
};

/* A copy that is a C string: a NUL in it becomes "\000", as presentation form writes one. */
static const char *copy_text(struct redis_arena *arena, const char *text, size_t size)
{
	size_t length = 0;

	if (!memchr(text, '\0', size))
		return redis_arena_copy(arena, text, size);
	char *copy = redis_arena_alloc(arena, 4 * size + 1);
	for (size_t i = 0; copy && i < size; i++) {
		if (text[i] != '\0')
			copy[length++] = text[i];
		else
			length += (size_t)sprintf(copy + length, "\\000");
	}
	if (copy)
		copy[length] = '\0';
	return copy;
}

static void warn_of_ttl(const struct making *making, const struct redis_field *field)
{
	log_warning_limited("ttl left out: it is no number of seconds", "key=%s%s value=%.*s",
			    making->prefix, making->entry->name,
			    field->value_size > 40 ? 40 : (int)field->value_size, field->value);
}

static int compare_types(const void *a, const void *b)
{
	return ((const struct type_ttl *)a)->type - ((const struct type_ttl *)b)->type;
}

/* Reads all TTLs first: a hash may have any number of fields. False: out of memory. */
static bool read_ttls(struct making *making)
{
	const struct redis_entry *entry = making->entry;
	size_t count = 0;

	making->ttl = REDIS_TTL_DEFAULT;
	for (size_t i = 0; i < entry->count; i++)
		count += redis_field_is_ttl(&entry->fields[i]);
	making->ttls =
		redis_arena_alloc(&making->records->arena, (count + 1) * sizeof(*making->ttls));
	for (size_t i = 0; making->ttls && i < entry->count; i++) {
		const struct redis_field *field = &entry->fields[i];
		uint32_t ttl;
		if (!redis_field_is_ttl(field))
			continue;
		if (!redis_field_read_ttl(field, &ttl))
			warn_of_ttl(making, field);
		else if (field->name_size == 3)
			making->ttl = ttl;
		else if (redis_field_ttl_type(field) != 0)
			making->ttls[making->ttl_count++] =
				(struct type_ttl){redis_field_ttl_type(field), ttl};
	}
	if (making->ttl_count > 1)
		qsort(making->ttls, making->ttl_count, sizeof(*making->ttls), compare_types);
	return making->ttls != NULL;
}

/* The TTL of a type: its own or the name's. */
static uint32_t find_ttl(const struct making *making, uint16_t type)
{
	const struct type_ttl key = {.type = type}, *found = NULL;

	if (making->ttl_count > 0)
		found = bsearch(&key, making->ttls, making->ttl_count, sizeof(key), compare_types);
	return found ? found->ttl : making->ttl;
}

static bool add_record(struct redis_records *records, const struct storage_record *record)
{
	if (records->count == records->capacity) {
		size_t capacity = records->capacity ? 2 * records->capacity : 16;
		struct storage_record *list = realloc(records->list, capacity * sizeof(*list));
		if (!list)
			return false;
		records->list = list;
		records->capacity = capacity;
	}
	records->list[records->count++] = *record;
	return true;
}

/* "dns:www.example.com A" */
static const char *make_key(const struct making *making, const char *type)
{
	const char *name = making->entry->name;
	size_t size = strlen(making->prefix) + strlen(name) + strlen(type) + 2;
	char *key = redis_arena_alloc(&making->records->arena, size);

	if (key)
		snprintf(key, size, "%s%s %s", making->prefix, name, type);
	return key;
}

/* Adds a record for each line of a field. */
static bool add_field(const struct making *making, const struct redis_field *field, uint16_t type)
{
	struct redis_arena *arena = &making->records->arena;
	struct storage_record record = {
		.type = copy_text(arena, field->name, field->name_size),
		.ttl = find_ttl(making, type),
	};
	const char *rest = field->value, *end = rest + field->value_size;

	record.key = record.type ? make_key(making, record.type) : NULL;
	if (!record.key)
		return false;
	while (rest < end) {
		const char *line = rest, *stop = memchr(rest, '\n', (size_t)(end - rest));
		size_t size = (size_t)((stop ? stop : end) - line);
		rest = stop ? stop + 1 : end;
		trim(&line, &size);
		if (size == 0)
			continue;
		record.content = copy_text(arena, line, size);
		if (!record.content || !add_record(making->records, &record))
			return false;
	}
	return true;
}

static bool is_in_part(uint16_t type, enum redis_part part)
{
	switch (part) {
	case REDIS_PART_ALL:
		return true;
	case REDIS_PART_APEX:
		return type != DNS_TYPE_DS;
	case REDIS_PART_DELEGATION:
		return type == DNS_TYPE_NS || type == DNS_TYPE_DS;
	case REDIS_PART_NONE:
		break;
	}
	return false;
}

bool redis_records_make(struct redis_records *records, const char *prefix, const char *zone,
			const struct redis_entry *entry, enum redis_part part,
			struct storage_name *name)
{
	struct making making = {.records = records, .prefix = prefix, .entry = entry};

	records->count = 0;
	redis_arena_reset(&records->arena);
	if (part != REDIS_PART_NONE && !read_ttls(&making))
		return false;
	for (size_t i = 0; i < entry->count && part != REDIS_PART_NONE; i++) {
		const struct redis_field *field = &entry->fields[i];
		if (redis_field_is_ttl(field))
			continue;
		/* What is no type is handed over, too: the receiver says that it is none. */
		uint16_t type = redis_field_type(field);
		if (is_in_part(type, part) && !add_field(&making, field, type))
			return false;
	}
	*name = (struct storage_name){.zone = zone,
				      .owner = entry->name,
				      .records = records->list,
				      .count = records->count};
	return true;
}

void redis_records_clear(struct redis_records *records)
{
	redis_arena_clear(&records->arena);
	free(records->list);
	*records = (struct redis_records){0};
}
