#include "storage/record.h"

#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdio.h>
#include <string.h>

#define SOA_FIELDS 7
#define SOA_TEXT_MAX 4096 /* two names at their longest and five numbers, with room to spare */

/* Finds the fields of `text`, separated by blanks: at most SOA_FIELDS + 1, to see one too many. */
static size_t split_fields(const char *text, const char **fields, size_t *sizes)
{
	size_t count = 0;

	for (text += strspn(text, " \t\r\n"); *text != '\0' && count <= SOA_FIELDS; count++) {
		fields[count] = text;
		sizes[count] = strcspn(text, " \t\r\n");
		text += sizes[count];
		text += strspn(text, " \t\r\n");
	}
	return count;
}

/*
 * Writes a mailbox as the name it stands for: "@" is the dot that ends the first label, and dots
 * before it belong to that label (RFC 1035 section 8). `out` has room for 2 * size octets.
 */
static size_t write_mailbox(const char *mailbox, size_t size, char *out)
{
	const char *at = memchr(mailbox, '@', size);
	size_t length = 0;

	/* A lone "@" is a zone file's origin, not a mailbox: left for the parser to judge. */
	if (!at || at == mailbox || at[-1] == '\\') {
		memcpy(out, mailbox, size);
		return size;
	}
	for (const char *p = mailbox; p < mailbox + size; p++) {
		if (p < at && *p == '.' && (p == mailbox || p[-1] != '\\'))
			out[length++] = '\\';
		out[length++] = p == at ? '.' : *p;
	}
	return length;
}

/*
 * Writes an SOA's text with PowerDNS's conventions resolved. Returns false when it is not made of
 * two to seven plain fields: then it is for the parser to judge as it stands.
 */
static bool complete_soa(const char *text, char *out)
{
	static const char *const defaults[SOA_FIELDS] = {NULL,   NULL,     "0",   "10800",
							 "3600", "604800", "3600"};
	const char *fields[SOA_FIELDS + 1];
	size_t sizes[SOA_FIELDS + 1];

	if (strlen(text) * 2 + 64 > SOA_TEXT_MAX || strpbrk(text, "();\""))
		return false;
	size_t count = split_fields(text, fields, sizes);
	if (count < 2 || count > SOA_FIELDS)
		return false;
	for (size_t i = 0; i < SOA_FIELDS; i++) {
		if (i > 0)
			*out++ = ' ';
		if (i >= count) {
			out = stpcpy(out, defaults[i]);
		} else if (i == 1) {
			out += write_mailbox(fields[i], sizes[i], out);
		} else {
			memcpy(out, fields[i], sizes[i]);
			out += sizes[i];
		}
	}
	*out = '\0';
	return true;
}

int storage_record_parse(const struct storage_record *record, uint16_t *type, uint8_t *rdata,
			 size_t capacity, char *reason, size_t reason_size)
{
	const char *text = record->content;
	char soa[SOA_TEXT_MAX];
	int number = dns_type_from_text(record->type);

	if (number < 0) {
		snprintf(reason, reason_size, "\"%.32s\" is not a record type", record->type);
		return DNS_ERROR_BAD_TYPE;
	}
	if (!dns_type_is_data((uint16_t)number)) {
		snprintf(reason, reason_size, "no record can have the type %.32s", record->type);
		return DNS_ERROR_BAD_TYPE;
	}
	*type = (uint16_t)number;
	if (number == DNS_TYPE_SOA && complete_soa(text, soa))
		text = soa;
	return dns_rdata_from_text(*type, text, NULL, rdata, capacity, reason, reason_size);
}
