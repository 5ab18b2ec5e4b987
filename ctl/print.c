#include "ctl/print.h"

#include "ctl/store.h"
#include "ctl/text.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWNER_WIDTH_MAX 40 /* longer names stand out rather than move all others */

/* The owner name of a record as it is to be printed. */
static void format_owner(const struct rr *record, const uint8_t *apex, char *out)
{
	if (apex)
		text_relative_name(record->owner, apex, out);
	else
		dns_name_to_text(record->owner, out);
}

static int owner_width(const struct rrlist *list, const uint8_t *apex)
{
	int width = 0;
	for (size_t i = 0; i < list->count; i += rrlist_name_length(list, i)) {
		char name[DNS_NAME_TEXT_MAX];
		format_owner(&list->records[i], apex, name);
		int length = (int)strlen(name);
		if (length > width && length <= OWNER_WIDTH_MAX)
			width = length;
	}
	return width;
}

/*
 * Prints the lines of all records. A TTL equal to `default_ttl` is left out, and so is an owner
 * name relative to `apex` that is the same as on the line before.
 */
static int print_lines(const struct rrlist *list, const uint8_t *apex, const uint32_t *default_ttl)
{
	char *text = NULL, error[STORE_ERROR_MAX];
	size_t capacity = 0;
	int width = owner_width(list, apex);
	int result = -1;

	for (size_t i = 0; i < list->count; i++) {
		const struct rr *record = &list->records[i];
		char owner[DNS_NAME_TEXT_MAX] = "", type[DNS_TYPE_TEXT_MAX], ttl[16] = "";
		bool same = i > 0 && rr_compare_owner(record->owner, record[-1].owner) == 0;
		if (!same || !apex)
			format_owner(record, apex, owner);
		if (!default_ttl || record->ttl != *default_ttl)
			snprintf(ttl, sizeof(ttl), "%u", record->ttl);
		dns_type_to_text(record->type, type);
		if (store_format_rdata(record, &text, &capacity, 0, error) < 0) {
			text_fail("%s", error);
			goto end;
		}
		printf("%-*s %-6s IN %-6s %s\n", width, owner, ttl, type, text);
	}
	result = 0;
end:
	free(text);
	return result;
}

int print_zonefile(const struct rrlist *list, const uint8_t *apex)
{
	char origin[DNS_NAME_TEXT_MAX];
	uint32_t default_ttl = 3600;
	if (list->count > 0 && list->records[0].type == DNS_TYPE_SOA)
		default_ttl = list->records[0].ttl;
	dns_name_to_text(apex, origin);
	printf("$ORIGIN %s\n$TTL %u\n", origin, default_ttl);
	return print_lines(list, apex, &default_ttl);
}

int print_records(const struct rrlist *list)
{
	return print_lines(list, NULL, NULL);
}

int print_json(const struct rrlist *list)
{
	char *text = NULL, error[STORE_ERROR_MAX];
	size_t capacity = 0;
	int result = -1;

	putchar('[');
	for (size_t i = 0; i < list->count; i++) {
		const struct rr *record = &list->records[i];
		char owner[DNS_NAME_TEXT_MAX], type[DNS_TYPE_TEXT_MAX];
		dns_name_to_text(record->owner, owner);
		dns_type_to_text(record->type, type);
		if (store_format_rdata(record, &text, &capacity, 0, error) < 0) {
			text_fail("%s", error);
			goto end;
		}
		fputs(i > 0 ? ",\n  {\"name\": " : "\n  {\"name\": ", stdout);
		text_print_json(stdout, owner);
		printf(", \"type\": \"%s\", \"ttl\": %u, \"data\": ", type, record->ttl);
		text_print_json(stdout, text);
		putchar('}');
	}
	puts(list->count > 0 ? "\n]" : "]");
	result = 0;
end:
	free(text);
	return result;
}
