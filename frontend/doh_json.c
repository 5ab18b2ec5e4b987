/* DNS messages to JSON, by libldns; and the questions that parameters of a URL ask. */
#include "frontend/doh_json.h"

#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"
#include "dns/reply.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_CLIENT_SUBNET 8
#define OPT_UDP_PAYLOAD 1232

/* --- questions -------------------------------------------------------------------------------- */

/* A parameter, decoded. 1, 0 when it is not there, -1 when it is broken. */
static int take_parameter(const struct http_request *request, const char *name, char *out,
			  size_t capacity)
{
	size_t size;
	const char *text = http_query_find(request, name, &size);
	if (!text)
		return 0;
	return http_decode(text, size, out, capacity) < 0 ? -1 : 1;
}

/* "1" and "true" are true, "0", "false" and nothing are not. */
static int take_flag(const struct http_request *request, const char *name, bool *out)
{
	char text[8] = "";
	if (take_parameter(request, name, text, sizeof(text)) < 0)
		return -1;
	*out = strcmp(text, "1") == 0 || strcasecmp(text, "true") == 0;
	if (*out || text[0] == '\0' || strcmp(text, "0") == 0 || strcasecmp(text, "false") == 0)
		return 0;
	return -1;
}

static int take_name(const struct http_request *request, uint8_t *name)
{
	char text[DNS_NAME_TEXT_MAX];
	if (take_parameter(request, "name", text, sizeof(text)) != 1 || text[0] == '\0' ||
	    strcmp(text, "@") == 0)
		return -1;
	return dns_name_from_text(text, strlen(text), NULL, name);
}

static int take_type(const struct http_request *request)
{
	char text[DNS_TYPE_TEXT_MAX];
	int found = take_parameter(request, "type", text, sizeof(text));
	if (found <= 0 || text[0] == '\0')
		return found < 0 ? -1 : DNS_TYPE_A;
	int64_t number = http_number_of(text, strlen(text), UINT16_MAX);
	return number >= 0 ? (int)number : dns_type_from_text(text);
}

/* Writes the option for a network "192.0.2.0/24". Its size, 0 when there is none, or -1. */
static int take_subnet(const struct http_request *request, uint8_t *out)
{
	char text[64];
	uint8_t address[16] = {0};
	int found = take_parameter(request, "edns_client_subnet", text, sizeof(text));
	if (found <= 0)
		return found;
	char *slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	bool v4 = inet_pton(AF_INET, text, address) == 1;
	if (!v4 && inet_pton(AF_INET6, text, address) != 1)
		return -1;
	/* Without a length, what RFC 7871 section 11.1 advises. */
	int64_t bits = v4 ? 24 : 56;
	if (slash)
		bits = http_number_of(slash + 1, strlen(slash + 1), v4 ? 32 : 128);
	if (bits < 0)
		return -1;
	size_t octets = (size_t)(bits + 7) / 8;
	if (bits % 8)
		address[octets - 1] &= (uint8_t)(0xff << (8 - bits % 8));
	dns_put16(out, OPTION_CLIENT_SUBNET);
	dns_put16(out + 2, (uint16_t)(4 + octets));
	dns_put16(out + 4, v4 ? 1 : 2);
	out[6] = (uint8_t)bits;
	out[7] = 0;
	memcpy(out + 8, address, octets);
	return (int)(8 + octets);
}

int doh_json_read(const struct http_request *request, uint8_t *out, size_t *size)
{
	bool dnssec_ok;
	bool checking_disabled;
	uint8_t subnet[24];
	int name_size = take_name(request, out + DNS_HEADER_SIZE);
	int type = take_type(request);
	int subnet_size = take_subnet(request, subnet);
	if (name_size < 0 || type < 0 || subnet_size < 0 ||
	    take_flag(request, "do", &dnssec_ok) != 0 ||
	    take_flag(request, "cd", &checking_disabled) != 0)
		return 400;
	memset(out, 0, DNS_HEADER_SIZE);
	dns_put16(out + 2, DNS_FLAG_RD | (checking_disabled ? DNS_FLAG_CD : 0));
	dns_put16(out + 4, 1);
	dns_put16(out + 10, 1);
	uint8_t *at = out + DNS_HEADER_SIZE + name_size;
	dns_put16(at, (uint16_t)type);
	dns_put16(at + 2, DNS_CLASS_IN);
	at += 4;
	*at++ = 0; /* OPT: the root's name */
	dns_put16(at, DNS_TYPE_OPT);
	dns_put16(at + 2, OPT_UDP_PAYLOAD);
	dns_put32(at + 4, dnssec_ok ? 0x8000 : 0);
	dns_put16(at + 8, (uint16_t)subnet_size);
	memcpy(at + 10, subnet, (size_t)subnet_size);
	*size = (size_t)(at + 10 + subnet_size - out);
	return 0;
}

/* --- texts ------------------------------------------------------------------------------------ */

/* What is written so far. `failed`: no memory, or longer than DOH_JSON_MAX. */
struct json {
	char *text;
	size_t size;
	size_t capacity;
	bool failed;
};

static bool json_make_room(struct json *json, size_t size)
{
	if (json->failed || json->size + size > DOH_JSON_MAX) {
		json->failed = true;
		return false;
	}
	if (json->size + size <= json->capacity)
		return true;
	size_t capacity = json->capacity ? json->capacity : 1024;
	while (capacity < json->size + size)
		capacity *= 2;
	char *text = realloc(json->text, capacity);
	if (!text) {
		json->failed = true;
		return false;
	}
	json->text = text;
	json->capacity = capacity;
	return true;
}

static void json_add(struct json *json, const char *text, size_t size)
{
	if (!json_make_room(json, size))
		return;
	memcpy(json->text + json->size, text, size);
	json->size += size;
}

static __attribute__((format(printf, 2, 3))) void json_print(struct json *json, const char *format,
							     ...)
{
	char text[160];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_add(json, text, (size_t)size);
}

/* A string with its quotes. Texts here are ASCII, other octets would be escaped (\DDD) by then. */
static void json_add_string(struct json *json, const char *text)
{
	json_add(json, "\"", 1);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			json_print(json, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			json_print(json, "\\u%04x", c);
		else
			json_add(json, text, 1);
	}
	json_add(json, "\"", 1);
}

/* --- replies ---------------------------------------------------------------------------------- */

/* A message being read. */
struct message {
	const uint8_t *octets;
	size_t size;
	size_t at;
};

/* Reads and writes the name where the message stands. */
static bool write_name(struct json *json, struct message *message)
{
	uint8_t name[DNS_NAME_MAX];
	char text[DNS_NAME_TEXT_MAX];
	if (dns_name_parse(message->octets, message->size, &message->at, name) < 0)
		return false;
	dns_name_to_text(name, text);
	json_add(json, "{\"name\":", 8);
	json_add_string(json, text);
	return true;
}

static bool write_question(struct json *json, struct message *message)
{
	if (!write_name(json, message) || message->size - message->at < 4)
		return false;
	json_print(json, ",\"type\":%u}", dns_get16(message->octets + message->at));
	message->at += 4;
	return true;
}

/* Data that libldns cannot read, in the form of RFC 3597. */
static void write_unknown(struct json *json, const uint8_t *rdata, size_t size)
{
	json_print(json, "\"\\\\# %zu%s", size, size > 0 ? " " : "");
	for (size_t i = 0; i < size; i++)
		json_print(json, "%02x", rdata[i]);
	json_add(json, "\"", 1);
}

/* The record's data fields, space between. False when libldns has no text for them. */
static bool write_fields(struct json *json, const ldns_rr *record)
{
	ldns_buffer *text = ldns_buffer_new(1024);
	bool good = text != NULL;
	for (size_t i = 0; good && i < ldns_rr_rd_count(record); i++) {
		if (i > 0)
			ldns_buffer_printf(text, " ");
		good = ldns_rdf2buffer_str(text, ldns_rr_rdf(record, i)) == LDNS_STATUS_OK;
	}
	if (good && ldns_buffer_reserve(text, 1)) {
		ldns_buffer_write_u8(text, 0);
		json_add_string(json, (const char *)ldns_buffer_begin(text));
	} else {
		good = false;
	}
	ldns_buffer_free(text);
	return good;
}

/* Writes the data of the record that begins at `start`; names in it may be compressed. */
static void write_data(struct json *json, const struct message *message, size_t start,
		       const uint8_t *rdata, size_t size)
{
	ldns_rr *record = NULL;
	size_t at = start;
	bool written = false;
	if (ldns_wire2rr(&record, message->octets, message->size, &at, LDNS_SECTION_ANSWER) ==
		    LDNS_STATUS_OK &&
	    at == (size_t)(rdata + size - message->octets))
		written = write_fields(json, record);
	ldns_rr_free(record);
	if (!written)
		write_unknown(json, rdata, size);
}

static bool write_record(struct json *json, struct message *message)
{
	size_t start = message->at;
	if (!write_name(json, message) || message->size - message->at < 10)
		return false;
	const uint8_t *head = message->octets + message->at;
	size_t size = dns_get16(head + 8);
	message->at += 10;
	if (message->size - message->at < size)
		return false;
	message->at += size;
	json_print(json, ",\"type\":%u,\"TTL\":%u,\"data\":", dns_get16(head), dns_get32(head + 4));
	write_data(json, message, start, head + 10, size);
	json_add(json, "}", 1);
	return true;
}

/* A section as an array; one without records is left out, but for the question. */
static bool write_section(struct json *json, struct message *message, const char *name,
			  unsigned int count, bool (*write)(struct json *, struct message *))
{
	if (count == 0 && write != write_question)
		return true;
	json_print(json, ",\"%s\":[", name);
	for (unsigned int i = 0; i < count; i++) {
		if (i > 0)
			json_add(json, ",", 1);
		if (!write(json, message))
			return false;
		if (json->failed)
			return true; /* nobody will read the rest */
	}
	json_add(json, "]", 1);
	return true;
}

static void write_head(struct json *json, const uint8_t *reply, size_t size, bool truncated)
{
	uint16_t flags = dns_get16(reply + 2);
	static const struct {
		const char *name;
		uint16_t flag;
	} all[] = {
		{"TC", DNS_FLAG_TC}, {"RD", DNS_FLAG_RD}, {"RA", DNS_FLAG_RA},
		{"AD", DNS_FLAG_AD}, {"CD", DNS_FLAG_CD},
	};
	if (truncated)
		flags |= DNS_FLAG_TC;
	json_print(json, "{\"Status\":%d", dns_reply_rcode(reply, size));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		json_print(json, ",\"%s\":%s", all[i].name, flags & all[i].flag ? "true" : "false");
}

/* False when the message cannot be read. `records`: all sections, else the question alone. */
static bool write_message(struct json *json, const uint8_t *reply, size_t size, bool records)
{
	struct message message = {reply, size, DNS_HEADER_SIZE};
	write_head(json, reply, size, !records);
	if (!write_section(json, &message, "Question", dns_get16(reply + 4), write_question))
		return false;
	if (records &&
	    (!write_section(json, &message, "Answer", dns_get16(reply + 6), write_record) ||
	     !write_section(json, &message, "Authority", dns_get16(reply + 8), write_record)))
		return false;
	json_add(json, "}\n", 2);
	return true;
}

char *doh_json_write(const uint8_t *reply, size_t size, size_t *json_size)
{
	struct json json = {0};
	bool readable = size >= DNS_HEADER_SIZE && write_message(&json, reply, size, true);
	if (readable && json.failed) {
		json.size = 0;
		json.failed = false;
		readable = write_message(&json, reply, size, false);
	}
	if (!readable || json.failed) {
		free(json.text);
		return NULL;
	}
	*json_size = json.size;
	return json.text;
}
