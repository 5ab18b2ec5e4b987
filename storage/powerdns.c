#include "storage/powerdns.h"

#include "dns/name.h"
#include "dns/rdata.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TTL_MAX 2147483647 /* RFC 2181 section 8 */
#define KEY_MAX 40         /* "records.id=-9223372036854775808" */

struct powerdns_rows_offsets {
	size_t type;
	size_t content;
	size_t key;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* True when a name's text ends in a dot behind a label: one that is not escaped. */
static bool ends_in_dot(const char *text, size_t size)
{
	size_t escapes = 0;

	if (size < 2 || text[size - 1] != '.' || text[size - 2] == '.')
		return false;
	while (escapes < size - 1 && text[size - 2 - escapes] == '\\')
		escapes++;
	return escapes % 2 == 0;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* --- gathering -------------------------------------------------------------------------------- */

void powerdns_rows_clear(struct powerdns_rows *rows)
{
	free(rows->text);
	free(rows->offsets);
	free(rows->records);
	*rows = (struct powerdns_rows){0};
}

/* Makes room for `size` more octets of text. */
static bool reserve_text(struct powerdns_rows *rows, size_t size)
{
	size_t capacity = rows->text_capacity ? rows->text_capacity : 1024;

	if (rows->text_size + size <= rows->text_capacity)
		return true;
	while (capacity < rows->text_size + size)
		capacity *= 2;
	char *text = realloc(rows->text, capacity);
	if (!text)
		return false;
	rows->text = text;
	rows->text_capacity = capacity;
	return true;
}

/* Makes room for one more record. */
static bool reserve_record(struct powerdns_rows *rows)
{
	size_t capacity = rows->capacity ? 2 * rows->capacity : 16;

	if (rows->count < rows->capacity)
		return true;
	void *offsets = realloc(rows->offsets, capacity * sizeof(*rows->offsets));
	if (!offsets)
		return false;
	rows->offsets = offsets;
	void *records = realloc(rows->records, capacity * sizeof(*rows->records));
	if (!records)
		return false;
	rows->records = records;
	rows->capacity = capacity;
	return true;
}

/*
 * Appends text, which may hold NULs: as \000, so that what follows one is not lost but read, and
 * refused where it is not allowed. Room for 4 * size + 1 must be there. Returns where it stands.
 */
static size_t append_text(struct powerdns_rows *rows, const char *text, size_t size)
{
	size_t start = rows->text_size;

	if (size > 0 && !memchr(text, '\0', size)) {
		memcpy(rows->text + rows->text_size, text, size);
		rows->text_size += size;
		size = 0;
	}
	for (size_t i = 0; i < size; i++) {
		if (text[i] != '\0') {
			rows->text[rows->text_size++] = text[i];
			continue;
		}
		memcpy(rows->text + rows->text_size, "\\000", 4);
		rows->text_size += 4;
	}
	rows->text[rows->text_size++] = '\0';
	return start;
}

bool powerdns_rows_start(struct powerdns_rows *rows, const char *owner, size_t owner_size)
{
	rows->count = 0;
	rows->text_size = 0;
	if (!reserve_text(rows, 4 * owner_size + 2))
		return false;
	if (owner_size == 0)
		append_text(rows, ".", 1);
	else
		append_text(rows, owner, owner_size - ends_in_dot(owner, owner_size));
	for (char *p = rows->text; *p != '\0'; p++)
		*p = lower(*p);
	return true;
}

bool powerdns_rows_match(const struct powerdns_rows *rows, const char *owner, size_t owner_size)
{
	if (owner_size == 0)
		return strcmp(rows->text, ".") == 0;
	owner_size -= ends_in_dot(owner, owner_size);
	for (size_t i = 0; i < owner_size; i++) {
		if (owner[i] == '\0' || lower(owner[i]) != rows->text[i])
			return false;
	}
	return rows->text[owner_size] == '\0';
}

/* Fields of a content, separated by blanks. */
static unsigned int count_fields(const char *text, size_t size)
{
	unsigned int fields = 0;

	for (size_t i = 0; i < size; i++)
		fields += !is_blank(text[i]) && (i == 0 || is_blank(text[i - 1]));
	return fields;
}

/* Fields of the type's data with its `prio`; 0 for types whose `prio` means nothing. */
static unsigned int fields_with_prio(const char *type, size_t type_size)
{
	if (type_size == 2 && strncasecmp(type, "MX", 2) == 0)
		return 2;
	if (type_size == 3 && strncasecmp(type, "SRV", 3) == 0)
		return 4;
	return 0;
}

bool powerdns_rows_add(struct powerdns_rows *rows, const struct powerdns_row *row)
{
	unsigned int fields = fields_with_prio(row->type, row->type_size);
	char number[KEY_MAX];
	int length;

	if (!reserve_record(rows) ||
	    !reserve_text(rows, 4 * (row->type_size + row->content_size) + 2 * KEY_MAX + 3))
		return false;
	struct powerdns_rows_offsets *offsets = &rows->offsets[rows->count];
	offsets->type = append_text(rows, row->type, row->type_size);
	offsets->content = rows->text_size;
	if (fields > 0 && count_fields(row->content, row->content_size) == fields - 1) {
		length = snprintf(number, sizeof(number), "%" PRId64 " ", row->prio);
		memcpy(rows->text + rows->text_size, number, (size_t)length);
		rows->text_size += (size_t)length;
	}
	append_text(rows, row->content, row->content_size);
	length = snprintf(number, sizeof(number), "records.id=%" PRId64, row->id);
	offsets->key = append_text(rows, number, (size_t)length);
	int64_t ttl = row->ttl < 0 ? 0 : row->ttl;
	rows->records[rows->count].ttl = (uint32_t)(ttl > TTL_MAX ? TTL_MAX : ttl);
	rows->count++;
	return true;
}

void powerdns_rows_finish(struct powerdns_rows *rows, const char *zone, struct storage_name *name)
{
	for (size_t i = 0; i < rows->count; i++) {
		rows->records[i].type = rows->text + rows->offsets[i].type;
		rows->records[i].content = rows->text + rows->offsets[i].content;
		rows->records[i].key = rows->text + rows->offsets[i].key;
	}
	*name = (struct storage_name){
		.zone = zone, .owner = rows->text, .records = rows->records, .count = rows->count};
}

char *powerdns_name_dup(const char *name, size_t size)
{
	struct powerdns_rows rows = {0};

	if (!powerdns_rows_start(&rows, name, size))
		return NULL;
	return rows.text; /* nothing else was allocated */
}

/* --- writing ---------------------------------------------------------------------------------- */

/*
 * Types whose fields are names and numbers only, so that every trailing dot is a name's. Others are
 * kept as they are: PowerDNS reads a trailing dot as well.
 */
static bool has_only_names(const char *type)
{
	static const char *const types[] = {"NS",  "CNAME", "DNAME", "PTR", "MX",
					    "SRV", "SOA",   "AFSDB", "KX",  "RP"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcasecmp(type, types[i]) == 0)
			return true;
	}
	return false;
}

/* Takes the leading number off `text`, or returns -1 and leaves it. */
static int32_t take_prio(const char **text)
{
	char *end;
	unsigned long value = strtoul(*text, &end, 10);

	if (end == *text || !is_blank(*end) || value > UINT16_MAX)
		return -1;
	while (is_blank(*end))
		end++;
	*text = end;
	return (int32_t)value;
}

void powerdns_content_split(const char *type, const char *text, char *content, int32_t *prio)
{
	unsigned int fields = fields_with_prio(type, strlen(type));
	bool only_names = has_only_names(type);

	*prio = -1;
	while (is_blank(*text))
		text++;
	if (fields > 0 && count_fields(text, strlen(text)) == fields)
		*prio = take_prio(&text);
	while (*text != '\0') {
		size_t blanks = strspn(text, " \t\r\n");
		size_t size = strcspn(text + blanks, " \t\r\n");
		memcpy(content, text, blanks + size);
		text += blanks;
		content += blanks + size - (only_names && ends_in_dot(text, size));
		text += size;
	}
	*content = '\0';
}

/* --- spellings -------------------------------------------------------------------------------- */

bool powerdns_name_is_odd(const char *name)
{
	uint8_t wire[DNS_NAME_MAX];
	char text[DNS_NAME_TEXT_MAX];
	size_t size = strlen(name);

	if (size >= 2 && strcmp(name + size - 2, "..") == 0)
		return true;
	if (!strchr(name, '\\') || dns_name_from_text(name, size, NULL, wire) < 0)
		return false;
	size_t length = dns_name_to_text(wire, text);
	if (length > 1)
		text[--length] = '\0';
	return strcasecmp(name, text) != 0;
}

void powerdns_type_spellings(const char *type, char *mnemonic, char *generic)
{
	int number = dns_type_from_text(type);

	if (number < 0) { /* not for us to judge */
		snprintf(mnemonic, DNS_TYPE_TEXT_MAX, "%s", type);
		snprintf(generic, DNS_TYPE_TEXT_MAX, "%s", type);
		return;
	}
	dns_type_to_text((uint16_t)number, mnemonic);
	snprintf(generic, DNS_TYPE_TEXT_MAX, "TYPE%d", number);
}
