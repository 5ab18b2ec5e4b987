/*
 * libldns knows how each type is written; this file is the seam. What it does itself: types whose
 * data is an address, or numbers and a name (nearly all records of nearly all stores: several times
 * faster, and with words that say what is wrong), and the generic form of RFC 3597.
 */
#include "dns/rdata.h"

#include "dns/name.h"
#include "dns/protocol.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <ldns/ldns.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WHITE_SPACE " \t\r\n"

static int rdata_fail(char *reason, size_t size, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int rdata_fail(char *reason, size_t size, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, size, format, args);
	va_end(args);
	return error;
}

int dns_type_from_text(const char *text)
{
	/*
	 * libldns reads no further than TYPE's digits and takes any number: both are checked
	 * here.
	 */
	if (strncasecmp(text, "TYPE", 4) == 0 && isdigit((unsigned char)text[4])) {
		char *end;
		unsigned long number = strtoul(text + 4, &end, 10);
		if (*end != '\0' || number == 0 || number > UINT16_MAX)
			return DNS_ERROR_BAD_TYPE;
		return (int)number;
	}
	/* These are classes to libldns's look-up, or are missing from its table. */
	if (strcasecmp(text, "ANY") == 0)
		return DNS_TYPE_ANY;

	ldns_rr_type type = ldns_get_rr_type_by_name(text);
	return type == 0 ? DNS_ERROR_BAD_TYPE : (int)type;
}

void dns_type_to_text(uint16_t type, char *out)
{
	const ldns_rr_descriptor *known = ldns_rr_descript(type);

	if (known && known->_name && known->_type == (ldns_rr_type)type &&
	    strlen(known->_name) < DNS_TYPE_TEXT_MAX)
		snprintf(out, DNS_TYPE_TEXT_MAX, "%s", known->_name);
	else if (type == DNS_TYPE_ANY)
		snprintf(out, DNS_TYPE_TEXT_MAX, "ANY");
	else
		snprintf(out, DNS_TYPE_TEXT_MAX, "TYPE%u", type);
}

int dns_type_is_data(uint16_t type)
{
	/* RFC 6895 section 3.1: 128 to 255 are QTYPEs and meta types, 0 is reserved. */
	return type != 0 && type != DNS_TYPE_OPT && (type < 128 || type > 255);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Splits wire data into libldns's fields, all of it; NULL when they do not fit. */
static ldns_rr *rdata_split(uint16_t type, const uint8_t *rdata, size_t size)
{
	uint8_t *wire = malloc(size + 2);
	ldns_rr *rr = ldns_rr_new();
	size_t position = 0;
	bool whole = false;

	if (wire && rr) {
		dns_put16(wire, (uint16_t)size);
		if (size > 0)
			memcpy(wire + 2, rdata, size);
		ldns_rr_set_type(rr, type);
		whole = ldns_wire2rdf(rr, wire, size + 2, &position) == LDNS_STATUS_OK &&
			position == size + 2;
	}
	free(wire);
	if (whole)
		return rr;
	ldns_rr_free(rr);
	return NULL;
}

/*
 * True when all the fields that libldns knows of the type are there, and nothing else; any data of
 * a type that it does not know. (It takes text that lacks fields at its end, and tells only here.)
 */
static bool rdata_is_readable(uint16_t type, const uint8_t *rdata, size_t size)
{
	ldns_rr *rr = rdata_split(type, rdata, size);
	bool readable =
		rr && ldns_rr_rd_count(rr) >= ldns_rr_descriptor_minimum(ldns_rr_descript(type));

	ldns_rr_free(rr);
	return readable;
}

/* `\# length hex...` (RFC 3597 section 5); `text` stands behind the `\#`. */
static int rdata_from_generic(uint16_t type, const char *text, uint8_t *out, size_t capacity,
			      char *reason, size_t reason_size)
{
	char *p;
	unsigned long size = strtoul(text, &p, 10);
	size_t octets = 0;

	if (p == text || size > capacity)
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
				  "\\# needs a length up to %zu behind it", capacity);
	for (;;) {
		while (isspace((unsigned char)*p))
			p++;
		if (*p == '\0')
			break;
		int high = hex_value(p[0]);
		int low = high >= 0 ? hex_value(p[1]) : -1;
		if (low < 0 || octets == size)
			return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
					  low < 0 ? "not pairs of hex digits behind \\# %lu"
						  : "more hex digits than \\# %lu octets",
					  size);
		out[octets++] = (uint8_t)(high << 4 | low);
		p += 2;
	}
	if (octets != size)
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
				  "%zu octets of hex where \\# says %lu", octets, size);
	if (dns_rdata_check(type, out, octets) < 0 || !rdata_is_readable(type, out, octets))
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
				  "these octets are not data of this type");
	return (int)octets;
}

/* Splits off the next word of `*text` into `word`; false at the end, or when it is too long. */
static bool text_next_word(const char **text, char *word, size_t size)
{
	const char *start = *text + strspn(*text, WHITE_SPACE);
	size_t length = strcspn(start, WHITE_SPACE);

	if (length == 0 || length >= size)
		return false;
	memcpy(word, start, length);
	word[length] = '\0';
	*text = start + length;
	return true;
}

static bool text_is_number(const char *word, unsigned long max, unsigned long *out)
{
	char *end;

	*out = strtoul(word, &end, 10);
	return isdigit((unsigned char)word[0]) && *end == '\0' && strlen(word) <= 10 && *out <= max;
}

static int rdata_from_address(int family, const char *text, uint8_t *out, size_t capacity,
			      char *reason, size_t reason_size)
{
	const char *rest = text;
	char word[64] = "";
	size_t size = family == AF_INET ? 4 : 16;
	bool whole = text_next_word(&rest, word, sizeof(word)) &&
		     rest[strspn(rest, WHITE_SPACE)] == '\0';

	if (capacity < size)
		return DNS_ERROR_NO_SPACE;
	if (!whole || inet_pton(family, word, out) != 1)
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
				  "'%.64s' is not an %s address", text,
				  family == AF_INET ? "IPv4" : "IPv6");
	return (int)size;
}

/* `numbers` 16-bit numbers and a name: NS and CNAME (none), MX (one), SRV (three), ... */
static int rdata_from_name(unsigned int numbers, const char *text, const uint8_t *origin,
			   uint8_t *out, size_t capacity, char *reason, size_t reason_size)
{
	char word[DNS_NAME_TEXT_MAX];
	size_t size = 2 * (size_t)numbers;
	unsigned long number;

	if (capacity < size + DNS_NAME_MAX)
		return DNS_ERROR_NO_SPACE;
	for (unsigned int i = 0; i < numbers; i++) {
		if (!text_next_word(&text, word, sizeof(word)) ||
		    !text_is_number(word, UINT16_MAX, &number))
			return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
					  "needs %u number%s up to 65535 and a name", numbers,
					  numbers > 1 ? "s" : "");
		dns_put16(out + 2 * (size_t)i, (uint16_t)number);
	}
	if (!text_next_word(&text, word, sizeof(word)))
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA, "the name is missing");
	if (text[strspn(text, WHITE_SPACE)] != '\0')
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
				  "something stands behind the name '%.64s'", word);
	int status = dns_name_from_text(word, strlen(word), origin, out + size);
	if (status < 0)
		return rdata_fail(reason, reason_size, status, "'%.64s': %s", word,
				  dns_error_text(status));
	return (int)size + status;
}

/* Three digits, as they stand behind the backslash of \DDD. */
static bool text_starts_decimal(const char *text)
{
	return isdigit((unsigned char)text[0]) && isdigit((unsigned char)text[1]) &&
	       isdigit((unsigned char)text[2]);
}

/* The octets of the longest character-string (RFC 1035 section 5.1) in `text`, quoted or not. */
static size_t text_longest_string(const char *text)
{
	size_t longest = 0;
	size_t length = 0;
	bool quoted = false;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || (!quoted && strchr(WHITE_SPACE, *p))) {
			quoted = *p == '"' && !quoted;
			length = 0;
			continue;
		}
		if (*p == '\\' && p[1] != '\0')
			p += text_starts_decimal(p + 1) ? 3 : 1;
		longest = ++length > longest ? length : longest;
	}
	return longest;
}

/*
 * libldns takes numbers that do not fit their field, and quotes that do not end. Looks at the words
 * that its table says are numbers, as far as one word is one field.
 */
static int rdata_check_text(uint16_t type, const char *text, char *reason, size_t reason_size)
{
	const ldns_rr_descriptor *known = ldns_rr_descript(type);
	const char *rest = text;
	char word[DNS_NAME_TEXT_MAX];
	unsigned long number;
	bool quoted = false;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '"')
			quoted = !quoted;
	}
	if (quoted)
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA, "a quote does not end");
	if (type == DNS_TYPE_TXT && text_longest_string(text) > UINT8_MAX)
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
				  "a string longer than 255 octets: split it into several strings");
	for (size_t i = 0; known && i < ldns_rr_descriptor_maximum(known); i++) {
		unsigned long max;
		switch (ldns_rr_descriptor_field_type(known, i)) {
		case LDNS_RDF_TYPE_INT8:
			max = UINT8_MAX;
			break;
		case LDNS_RDF_TYPE_INT16:
			max = UINT16_MAX;
			break;
		case LDNS_RDF_TYPE_INT32:
			max = UINT32_MAX;
			break;
		case LDNS_RDF_TYPE_DNAME:
		case LDNS_RDF_TYPE_ALG:
			max = 0;
			break;
		default:
			return 0;
		}
		if (!text_next_word(&rest, word, sizeof(word)))
			return 0;
		if (max != 0 && !text_is_number(word, max, &number))
			return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA,
					  "'%.64s' is not a number up to %lu", word, max);
	}
	return 0;
}

/* The record as one line of a zone file, in memory of the caller's to free. */
static char *rdata_write_line(uint16_t type, const char *text)
{
	char mnemonic[DNS_TYPE_TEXT_MAX];
	size_t size = strlen(text) + 64;
	char *line = malloc(size);

	dns_type_to_text(type, mnemonic);
	if (line)
		snprintf(line, size, ". 0 IN %s %s", mnemonic, text);
	return line;
}

static int rdata_from_ldns(uint16_t type, const char *text, const uint8_t *origin, uint8_t *out,
			   size_t capacity, char *reason, size_t reason_size)
{
	ldns_rr *rr = NULL;
	ldns_rdf *origin_rdf = NULL;
	ldns_buffer *buffer = NULL;
	char *line = rdata_write_line(type, text);
	int result = DNS_ERROR_BAD_RDATA;
	static const uint8_t root[1] = {0};
	const uint8_t *base = origin ? origin : root;

	origin_rdf = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, dns_name_size(base), base);
	buffer = ldns_buffer_new(LDNS_MIN_BUFLEN);
	if (!line || !origin_rdf || !buffer) {
		result = rdata_fail(reason, reason_size, DNS_ERROR_NO_SPACE, "out of memory");
		goto out;
	}
	ldns_status status = ldns_rr_new_frm_str(&rr, line, 0, origin_rdf, NULL);
	if (status == LDNS_STATUS_OK && ldns_rr_get_type(rr) == (ldns_rr_type)type)
		status = ldns_rr_rdata2buffer_wire(buffer, rr);
	else if (status == LDNS_STATUS_OK)
		status = LDNS_STATUS_SYNTAX_TYPE_ERR;
	if (status != LDNS_STATUS_OK) {
		rdata_fail(reason, reason_size, result, "%s", ldns_get_errorstr_by_id(status));
		goto out;
	}
	size_t size = ldns_buffer_position(buffer);
	if (size > capacity || size > DNS_RDATA_MAX) {
		result = rdata_fail(reason, reason_size, DNS_ERROR_NO_SPACE,
				    "data longer than %zu octets", capacity);
		goto out;
	}
	memcpy(out, ldns_buffer_begin(buffer), size);
	if (dns_rdata_check(type, out, size) < 0 || !rdata_is_readable(type, out, size)) {
		rdata_fail(reason, reason_size, result, "not data of this type");
		goto out;
	}
	result = (int)size;
out:
	ldns_rr_free(rr);
	if (origin_rdf)
		ldns_rdf_deep_free(origin_rdf);
	if (buffer)
		ldns_buffer_free(buffer);
	free(line);
	return result;
}

int dns_rdata_from_text(uint16_t type, const char *text, const uint8_t *origin, uint8_t *out,
			size_t capacity, char *reason, size_t reason_size)
{
	if (!dns_type_is_data(type))
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_TYPE, "%s",
				  dns_error_text(DNS_ERROR_BAD_TYPE));
	while (isspace((unsigned char)*text))
		text++;
	if (text[0] == '\\' && text[1] == '#' &&
	    (text[2] == '\0' || isspace((unsigned char)text[2])))
		return rdata_from_generic(type, text + 2, out, capacity, reason, reason_size);
	if (*text == '\0')
		return rdata_fail(reason, reason_size, DNS_ERROR_BAD_RDATA, "no data");

	switch (type) {
	case DNS_TYPE_A:
		return rdata_from_address(AF_INET, text, out, capacity, reason, reason_size);
	case DNS_TYPE_AAAA:
		return rdata_from_address(AF_INET6, text, out, capacity, reason, reason_size);
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_DNAME:
	case DNS_TYPE_PTR:
		return rdata_from_name(0, text, origin, out, capacity, reason, reason_size);
	case DNS_TYPE_MX:
	case DNS_TYPE_AFSDB:
	case LDNS_RR_TYPE_RT:
	case LDNS_RR_TYPE_KX:
		return rdata_from_name(1, text, origin, out, capacity, reason, reason_size);
	case DNS_TYPE_SRV:
		return rdata_from_name(3, text, origin, out, capacity, reason, reason_size);
	default:
		if (rdata_check_text(type, text, reason, reason_size) < 0)
			return DNS_ERROR_BAD_RDATA;
		return rdata_from_ldns(type, text, origin, out, capacity, reason, reason_size);
	}
}

static int rdata_to_generic(const uint8_t *rdata, size_t size, char *out, size_t capacity)
{
	int length = snprintf(out, capacity, size ? "\\# %zu " : "\\# %zu", size);

	if ((size_t)length + 2 * size >= capacity)
		return DNS_ERROR_NO_SPACE;
	for (size_t i = 0; i < size; i++)
		length += sprintf(out + length, "%02x", rdata[i]);
	return length;
}

/* Names are written as everywhere: libldns leaves quotes in them as they are. */
static bool rdata_print_field(ldns_buffer *buffer, const ldns_rdf *field)
{
	char name[DNS_NAME_TEXT_MAX];

	if (ldns_rdf_get_type(field) != LDNS_RDF_TYPE_DNAME)
		return ldns_rdf2buffer_str(buffer, field) == LDNS_STATUS_OK;
	dns_name_to_text(ldns_rdf_data(field), name);
	return ldns_buffer_printf(buffer, "%s", name) >= 0;
}

/* Prints the fields of a record, single spaces between. NULL when libldns cannot. */
static char *rdata_print_fields(const ldns_rr *rr)
{
	ldns_buffer *buffer = ldns_buffer_new(LDNS_MIN_BUFLEN);
	char *text = NULL;

	if (!buffer)
		return NULL;
	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		if (i > 0)
			ldns_buffer_printf(buffer, " ");
		if (!rdata_print_field(buffer, ldns_rr_rdf(rr, i)))
			goto out;
	}
	text = ldns_buffer_export2str(buffer);
out:
	ldns_buffer_free(buffer);
	return text;
}

/* As libldns writes it, in memory of the caller's to free. NULL when it cannot. */
static char *rdata_to_ldns(uint16_t type, const uint8_t *rdata, size_t size)
{
	ldns_rr *rr = rdata_split(type, rdata, size);
	char *text = rr ? rdata_print_fields(rr) : NULL;

	if (text) {
		for (size_t n = strlen(text); n > 0 && text[n - 1] == ' ';) /* behind bitmaps */
			text[--n] = '\0';
	}
	ldns_rr_free(rr);
	return text;
}

static bool octets_are_plain(const uint8_t *octets, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!isalnum(octets[i]) && !memchr("-._~:/+", octets[i], 7))
			return false;
	}
	return true;
}

/*
 * True when libldns can be let write SvcParams (of data that dns_rdata_check has seen). Values that
 * need quotes or escapes it writes without, or ends the program for want of room.
 */
static bool svcparams_are_plain(const uint8_t *rdata, size_t size)
{
	size_t offset = 2 + dns_name_size(rdata + 2);

	while (offset < size) {
		uint16_t key = dns_get16(rdata + offset);
		size_t end = offset + 4 + dns_get16(rdata + offset + 2);
		bool is_list =
			key == LDNS_SVCPARAM_KEY_ALPN; /* of strings, each behind its length */
		bool is_text = is_list || key > LDNS_SVCPARAM_KEY_IPV6HINT;
		for (size_t at = offset + 4; is_text && at < end;) {
			size_t length = is_list ? rdata[at++] : end - at;
			if (!octets_are_plain(rdata + at, length))
				return false;
			at += length;
		}
		offset = end;
	}
	return true;
}

/* Types whose data is a name and nothing else. */
static bool type_is_one_name(uint16_t type)
{
	switch (type) {
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_DNAME:
	case DNS_TYPE_PTR:
		return true;
	default:
		return false;
	}
}

int dns_rdata_to_text(uint16_t type, const uint8_t *rdata, size_t size, char *out, size_t capacity)
{
	const ldns_rr_descriptor *known = ldns_rr_descript(type);
	char name[DNS_NAME_TEXT_MAX];
	const char *text = name;
	char *made = NULL;
	int length;

	if (size > DNS_RDATA_MAX || dns_rdata_check(type, rdata, size) < 0)
		return DNS_ERROR_BAD_RDATA;
	/* What libldns writes of a WKS depends on /etc/services, and is not always read back. */
	if (!known || known->_type != (ldns_rr_type)type || type == LDNS_RR_TYPE_WKS)
		return rdata_to_generic(rdata, size, out, capacity);
	if ((type == DNS_TYPE_SVCB || type == DNS_TYPE_HTTPS) && !svcparams_are_plain(rdata, size))
		return rdata_to_generic(rdata, size, out, capacity);
	if (type == DNS_TYPE_A || type == DNS_TYPE_AAAA) {
		inet_ntop(type == DNS_TYPE_A ? AF_INET : AF_INET6, rdata, name, sizeof(name));
	} else if (type_is_one_name(type)) {
		dns_name_to_text(rdata, name);
	} else {
		text = made = rdata_to_ldns(type, rdata, size);
		if (!made && !rdata_is_readable(type, rdata, size))
			return DNS_ERROR_BAD_RDATA;
		/* libldns reads some data that it cannot write, and an APL may have no items. */
		if (!made || *made == '\0') {
			free(made);
			return rdata_to_generic(rdata, size, out, capacity);
		}
	}
	length = snprintf(out, capacity, "%s", text);
	free(made);
	return (size_t)length < capacity ? length : DNS_ERROR_NO_SPACE;
}
