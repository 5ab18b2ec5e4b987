/* A statement on its way to being complete: text that grows. One thread at a time. */
#ifndef GODWIT_STORAGE_MYSQL_TEXT_H
#define GODWIT_STORAGE_MYSQL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Starts with zeroes. Once memory ran out, `failed` stays until the next start. */
struct mysql_text {
	char *data;
	size_t size;
	size_t capacity;
	bool failed;
};

/* Makes the text that of `sql`. Returns it, for mysql_text_add. */
struct mysql_text *mysql_text_start(struct mysql_text *text, const char *sql);
void mysql_text_add(struct mysql_text *text, const char *sql);
void mysql_text_add_format(struct mysql_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Room for `size` more octets at the end, or NULL; the caller adds to text->size what it used. */
char *mysql_text_reserve(struct mysql_text *text, size_t size);
void mysql_text_clear(struct mysql_text *text);

#endif
