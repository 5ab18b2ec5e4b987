#include "storage/mysql_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 256 /* octets that a format with numbers may make */

char *mysql_text_reserve(struct mysql_text *text, size_t size)
{
	size_t capacity = text->capacity ? text->capacity : 1024;

	if (text->failed)
		return NULL;
	while (capacity - text->size < size)
		capacity *= 2;
	if (capacity != text->capacity) {
		char *data = realloc(text->data, capacity);
		if (!data) {
			text->failed = true;
			return NULL;
		}
		text->data = data;
		text->capacity = capacity;
	}
	return text->data + text->size;
}

struct mysql_text *mysql_text_start(struct mysql_text *text, const char *sql)
{
	text->size = 0;
	text->failed = false;
	mysql_text_add(text, sql);
	return text;
}

void mysql_text_add(struct mysql_text *text, const char *sql)
{
	size_t size = strlen(sql);
	char *place = mysql_text_reserve(text, size);

	if (!place)
		return;
	memcpy(place, sql, size);
	text->size += size;
}

void mysql_text_add_format(struct mysql_text *text, const char *format, ...)
{
	char *place = mysql_text_reserve(text, NUMBERS_MAX);
	va_list arguments;
	int size;

	if (!place)
		return;
	va_start(arguments, format);
	size = vsnprintf(place, NUMBERS_MAX, format, arguments);
	va_end(arguments);
	if (size < 0 || size >= NUMBERS_MAX)
		text->failed = true; /* not with what formats are used for */
	else
		text->size += (size_t)size;
}

void mysql_text_clear(struct mysql_text *text)
{
	free(text->data);
	*text = (struct mysql_text){0};
}
