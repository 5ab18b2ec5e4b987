/* What all of the webhook needs: targets in both directions, domains, and the reading side. */
#include "ctl/webhook.h"

#include "ctl/text.h"
#include "dns/protocol.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#define TXT_STRING_MAX 255 /* octets of one string (RFC 1035 section 3.3.14) */
#define OWNER_MARK "\"heritage=external-dns"

void webhook_clear(struct webhook *webhook)
{
	store_writer_clear(&webhook->writer);
}

enum webhook_result webhook_fail_memory(struct webhook *webhook)
{
	snprintf(webhook->error, sizeof(webhook->error), "out of memory");
	return WEBHOOK_FAILED;
}

bool webhook_type_is_known(int type)
{
	return type == DNS_TYPE_A || type == DNS_TYPE_AAAA || type == DNS_TYPE_CNAME ||
	       type == DNS_TYPE_TXT || type == DNS_TYPE_SRV || type == DNS_TYPE_NS ||
	       type == DNS_TYPE_PTR || type == DNS_TYPE_MX || type == DNS_TYPE_NAPTR;
}

bool webhook_may_touch(const struct webhook *webhook, const uint8_t *name)
{
	for (size_t i = 0; i < webhook->domain_count; i++)
		if (dns_name_is_within(name, webhook->domains[i]))
			return true;
	return webhook->domain_count == 0;
}

/* --- targets ---------------------------------------------------------------------------------- */

/* Text as TXT data: strings of up to 255 octets. The size, or -1 when it is too long. */
static int txt_from_plain(const char *text, size_t length, uint8_t *rdata)
{
	size_t size = 0;
	do {
		size_t part = length < TXT_STRING_MAX ? length : TXT_STRING_MAX;
		if (size + 1 + part > DNS_RDATA_MAX)
			return -1;
		rdata[size++] = (uint8_t)part;
		memcpy(rdata + size, text, part);
		size += part;
		text += part;
		length -= part;
	} while (length > 0);
	return (int)size;
}

/*
 * ExternalDNS's own TXT targets stand in one pair of quotes with nothing special between them, and
 * may be longer than one string; those of people come without quotes. Both are plain text. What has
 * quotes or backslashes inside is as in a master file. True when `*text` is plain.
 */
static bool txt_is_plain(const char **text, size_t *length)
{
	*length = strlen(*text);
	if (**text != '"')
		return true;
	if (*length < 2 || strcspn(*text + 1, "\"\\") != *length - 2)
		return false;
	(*text)++;
	*length -= 2;
	return true;
}

int webhook_target_parse(struct webhook *webhook, uint16_t type, const char *target, char *reason,
			 size_t reason_size)
{
	size_t length;
	if (type == DNS_TYPE_TXT && txt_is_plain(&target, &length)) {
		int size = txt_from_plain(target, length, webhook->rdata);
		if (size < 0)
			snprintf(reason, reason_size, "TXT data that is too long");
		return size;
	}
	/* In a master file a line ends there, or a comment begins: nothing may be lost silently. */
	if (type != DNS_TYPE_TXT && type != DNS_TYPE_NAPTR && target[strcspn(target, ";()\n\"")]) {
		snprintf(reason, reason_size, "data with characters that do not belong there");
		return -1;
	}
	int size = dns_rdata_from_text(type, target, NULL, webhook->rdata, DNS_RDATA_MAX, reason,
				       reason_size);
	struct rr record = {
		.owner = (const uint8_t *)"",
		.rdata = webhook->rdata,
		.rdata_size = (uint16_t)size,
		.type = type,
	};
	if (size < 0 || store_check_rdata(&webhook->writer, &record, reason, reason_size))
		return -1;
	return size;
}

/*
 * ExternalDNS does not read a mark of its own in several strings, as a long one is stored: they are
 * joined. There is nothing in it that needs quoting.
 */
static void join_mark(char *text)
{
	if (strncmp(text, OWNER_MARK, strlen(OWNER_MARK)) != 0)
		return;
	for (char *gap = text; (gap = strstr(gap, "\" \"")) != NULL;)
		memmove(gap, gap + 3, strlen(gap + 3) + 1);
}

/* SRV and NAPTR are the types whose targets ExternalDNS wants with the dot at the end. */
static bool type_drops_dot(uint16_t type)
{
	return type == DNS_TYPE_CNAME || type == DNS_TYPE_NS || type == DNS_TYPE_PTR ||
	       type == DNS_TYPE_MX;
}

/* Writes a record's data as a target: into `webhook->writer.text`, or NULL with `error`. */
static const char *webhook_target_format(struct webhook *webhook, const struct rr *record)
{
	struct store_writer *writer = &webhook->writer;
	int length = store_format_rdata(record, &writer->text, &writer->text_capacity, 0,
					webhook->error);
	if (length < 0)
		return NULL;
	if (type_drops_dot(record->type) && length > 1 && writer->text[length - 1] == '.')
		writer->text[length - 1] = '\0';
	if (record->type == DNS_TYPE_TXT)
		join_mark(writer->text);
	return writer->text;
}

/* --- reading ---------------------------------------------------------------------------------- */

json_t *webhook_domain_filter(const struct webhook *webhook)
{
	json_t *names = json_array();
	for (size_t i = 0; i < webhook->domain_count; i++) {
		char text[DNS_NAME_TEXT_MAX];
		text_store_name(webhook->domains[i], text);
		if (json_array_append_new(names, json_string(text)))
			goto fail;
	}
	if (webhook->domain_count > 0)
		return json_pack("{s:o}", "include", names);
	json_decref(names);
	return json_object();
fail:
	json_decref(names);
	return NULL;
}

/*
 * The targets of an RRset. ExternalDNS looks at the first one only of a TXT endpoint to see whose
 * it is, so its own mark comes first.
 */
static json_t *make_targets(struct webhook *webhook, const struct rr *records, size_t count)
{
	json_t *targets = json_array();
	for (size_t i = 0; i < count; i++) {
		const char *text = webhook_target_format(webhook, &records[i]);
		bool first = text && records[i].type == DNS_TYPE_TXT &&
			     strncmp(text, OWNER_MARK, strlen(OWNER_MARK)) == 0;
		if (!text || json_array_insert_new(targets, first ? 0 : json_array_size(targets),
						   json_string(text))) {
			json_decref(targets);
			return NULL;
		}
	}
	return targets;
}

static int write_json(const char *text, size_t size, void *out)
{
	return evbuffer_add(out, text, size);
}

/* Writes an RRset as one endpoint. */
static enum webhook_result write_endpoint(struct webhook *webhook, const struct rrlist *list,
					  size_t first, size_t count, struct evbuffer *out)
{
	const struct rr *records = &list->records[first];
	char name[DNS_NAME_TEXT_MAX], type[DNS_TYPE_TEXT_MAX];
	text_store_name(records->owner, name);
	dns_type_to_text(records->type, type);
	snprintf(webhook->error, sizeof(webhook->error), "out of memory");
	json_t *targets = make_targets(webhook, records, count);
	if (!targets)
		return WEBHOOK_FAILED;
	json_t *endpoint =
		json_pack("{s:s,s:o,s:s,s:I}", "dnsName", name, "targets", targets, "recordType",
			  type, "recordTTL", (json_int_t)rrlist_lowest_ttl(list, first, count));
	bool comma = evbuffer_get_length(out) > 1;
	bool written = endpoint && (!comma || evbuffer_add(out, ",", 1) == 0) &&
		       json_dump_callback(endpoint, write_json, out, JSON_COMPACT) == 0;
	json_decref(endpoint);
	return written ? WEBHOOK_OK : WEBHOOK_FAILED;
}

/* Writes a zone's endpoints. */
static enum webhook_result write_zone(struct webhook *webhook, const char *apex,
				      struct evbuffer *out)
{
	const struct store_listener listener = {.skipped = store_warn_skipped};
	enum webhook_result result = WEBHOOK_OK;
	struct rrlist list;

	rrlist_init(&list);
	if (store_gather_zone(webhook->storage, apex, &list, &listener, webhook->error))
		result = WEBHOOK_FAILED;
	else if (rrlist_sort(&list))
		result = webhook_fail_memory(webhook);
	if (result == WEBHOOK_OK)
		rrlist_drop_duplicates(&list);
	for (size_t i = 0; i < list.count && result == WEBHOOK_OK;) {
		size_t count = rrlist_rrset_length(&list, i);
		if (webhook_type_is_known(list.records[i].type) &&
		    webhook_may_touch(webhook, list.records[i].owner))
			result = write_endpoint(webhook, &list, i, count, out);
		i += count;
	}
	rrlist_clear(&list);
	return result;
}

/* Notes a zone in the JSON array `ctx`. */
static int note_zone(void *ctx, const char *apex)
{
	return json_array_append_new(ctx, json_string(apex));
}

/* False when no name of the zone can lie in the domains. */
static bool zone_matters(const struct webhook *webhook, const char *apex)
{
	uint8_t name[DNS_NAME_MAX];
	if (dns_name_from_text(apex, strlen(apex), NULL, name) < 0)
		return false;
	for (size_t i = 0; i < webhook->domain_count; i++)
		if (dns_name_is_within(webhook->domains[i], name))
			return true;
	return webhook_may_touch(webhook, name);
}

enum webhook_result webhook_read(struct webhook *webhook, struct evbuffer *out)
{
	enum webhook_result result = WEBHOOK_OK;
	json_t *zones = json_array(), *zone;
	size_t i;

	if (!zones || evbuffer_add(out, "[", 1)) {
		result = webhook_fail_memory(webhook);
	} else if (storage_zone_list(webhook->storage, note_zone, zones)) {
		snprintf(webhook->error, sizeof(webhook->error), "%s",
			 storage_error(webhook->storage));
		result = WEBHOOK_FAILED;
	}
	json_array_foreach(zones, i, zone) {
		const char *apex = json_string_value(zone);
		if (result == WEBHOOK_OK && zone_matters(webhook, apex))
			result = write_zone(webhook, apex, out);
	}
	json_decref(zones);
	if (result == WEBHOOK_OK && evbuffer_add(out, "]", 1))
		result = webhook_fail_memory(webhook);
	return result;
}

/* --- adjusting -------------------------------------------------------------------------------- */

/* Writes an endpoint's targets in our own way, where they can be read. */
static int adjust_targets(struct webhook *webhook, uint16_t type, json_t *targets)
{
	json_t *target;
	size_t i;
	json_array_foreach(targets, i, target) {
		char reason[256];
		const char *text = json_string_value(target);
		int size = text ? webhook_target_parse(webhook, type, text, reason, sizeof(reason))
				: -1;
		if (size < 0)
			continue; /* applying it will say what is wrong with it */
		struct rr record = {
			.owner = (const uint8_t *)"",
			.rdata = webhook->rdata,
			.rdata_size = (uint16_t)size,
			.type = type,
		};
		text = webhook_target_format(webhook, &record);
		if (!text || json_array_set_new(targets, i, json_string(text)))
			return -1;
	}
	return 0;
}

enum webhook_result webhook_adjust(struct webhook *webhook, json_t *endpoints)
{
	json_t *endpoint;
	size_t i;

	if (json_is_null(endpoints)) /* Go's empty list */
		return WEBHOOK_OK;
	if (!json_is_array(endpoints)) {
		snprintf(webhook->error, sizeof(webhook->error), "an array of endpoints is wanted");
		return WEBHOOK_BAD_REQUEST;
	}
	json_array_foreach(endpoints, i, endpoint) {
		const char *type_text = json_string_value(json_object_get(endpoint, "recordType"));
		json_t *targets = json_object_get(endpoint, "targets");
		if (!type_text || (targets && !json_is_array(targets) && !json_is_null(targets))) {
			snprintf(webhook->error, sizeof(webhook->error),
				 "endpoint %zu: objects with recordType and targets are wanted", i);
			return WEBHOOK_BAD_REQUEST;
		}
		json_object_del(endpoint, "providerSpecific");
		int type = dns_type_from_text(type_text);
		if (webhook_type_is_known(type) && adjust_targets(webhook, (uint16_t)type, targets))
			return webhook_fail_memory(webhook);
	}
	return WEBHOOK_OK;
}
