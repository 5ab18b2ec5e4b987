#include "ctl/text.h"

#include "dns/name.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_OCTETS 4096

void text_tame(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

static void text_print_error(const char *format, va_list args)
	__attribute__((format(printf, 1, 0)));

static void text_print_error(const char *format, va_list args)
{
	char line[LINE_MAX_OCTETS];
	vsnprintf(line, sizeof(line), format, args);
	text_tame(line);
	fprintf(stderr, "%s\n", line);
}

int text_fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_print_error(format, args);
	va_end(args);
	return EXIT_FAILURE;
}

void text_warn(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_print_error(format, args);
	va_end(args);
}

int text_read_name(const char *text, const char *what, uint8_t *out)
{
	int size = *text ? dns_name_from_text(text, strlen(text), NULL, out) : DNS_ERROR_BAD_LABEL;
	if (size > 0)
		return 0;
	text_fail("godwitctl: %s \"%.300s\" is not a domain name: %s", what, text,
		  dns_error_text(size));
	return -1;
}

void text_store_name(const uint8_t *name, char *out)
{
	uint8_t lower[DNS_NAME_MAX];
	dns_name_copy_lower(name, lower);
	size_t length = dns_name_to_text(lower, out);
	if (length > 1)
		out[length - 1] = '\0';
}

void text_relative_name(const uint8_t *name, const uint8_t *apex, char *out)
{
	uint8_t relative[DNS_NAME_MAX];
	size_t size = dns_name_size(name) - dns_name_size(apex);
	if (size == 0) {
		snprintf(out, DNS_NAME_TEXT_MAX, "@");
		return;
	}
	memcpy(relative, name, size);
	relative[size] = 0;
	size_t length = dns_name_to_text(relative, out);
	out[length - 1] = '\0';
}

void text_print_json(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < ' ')
			fprintf(out, "\\u%04x", *p);
		else if (*p >= 0x7f)
			fprintf(out, "\\\\%03u", *p);
		else
			fputc(*p, out);
	}
	fputc('"', out);
}
