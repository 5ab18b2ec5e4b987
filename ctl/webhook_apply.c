/*
 * The writing side of the webhook. All endpoints of a request become two lists of records, those to
 * be taken away (Delete, UpdateOld) and those to be there (Create, UpdateNew); sorted, the two are
 * gone through owner by owner. Each owner is read, made as it shall be, checked as a whole, and
 * written where it differs; a zone's serial is raised once.
 */
#include "ctl/check.h"
#include "ctl/serial.h"
#include "ctl/text.h"
#include "ctl/ttl.h"
#include "ctl/webhook.h"

#include "common/log.h"
#include "dns/protocol.h"

#include <string.h>

#define TTL_NOT_GIVEN UINT32_MAX
#define OWNER_RECORDS_MAX 4096 /* in one request; no DNS message would have room for them */

struct apply {
	struct webhook *webhook;
	struct rrlist removed;
	struct rrlist added;
	struct rrlist zones; /* that have changed: one record each, its owner the apex */
};

/* The owner being changed. */
struct owner {
	uint8_t name[DNS_NAME_MAX];
	uint8_t apex_name[DNS_NAME_MAX];
	char apex[DNS_NAME_TEXT_MAX];
	const struct rr *removed;
	size_t removed_count;
	const struct rr *added;
	size_t added_count;
	struct rrlist before;
	struct rrlist after;
	size_t unreadable; /* records that do not parse, of types to be changed */
};

static void leave_out(struct webhook *webhook, const char *name, const char *reason)
{
	webhook->left_out++;
	log_warning_limited("record of ExternalDNS left out", "name=%s reason=%s", name, reason);
}

/* --- endpoints into records ------------------------------------------------------------------- */

/* What every record of an endpoint has in common. */
struct endpoint {
	const char *name_text;
	uint8_t name[DNS_NAME_MAX];
	uint16_t type;
	uint32_t ttl;
};

/* Reads it; a reason for leaving it out, or NULL. Its shape has been checked. */
static const char *endpoint_read(const struct webhook *webhook, const json_t *json,
				 struct endpoint *out)
{
	const char *identifier = json_string_value(json_object_get(json, "setIdentifier"));
	int type = dns_type_from_text(json_string_value(json_object_get(json, "recordType")));
	json_int_t ttl = json_integer_value(json_object_get(json, "recordTTL"));

	for (const char *p = out->name_text; *p; p++)
		if ((unsigned char)*p >= 0x80)
			return "letters outside of ASCII: the name is wanted in Punycode";
	if (!*out->name_text ||
	    dns_name_from_text(out->name_text, strlen(out->name_text), NULL, out->name) < 0)
		return "not a domain name";
	if (!webhook_may_touch(webhook, out->name))
		return "outside of --domain-filter";
	if (identifier && *identifier)
		return "setIdentifier: several endpoints of one name and type are not supported";
	if (!webhook_type_is_known(type))
		return "a record type that is not supported";
	if (ttl < 0 || ttl > TTL_MAX)
		return "a recordTTL that is out of range";
	out->type = (uint16_t)type;
	out->ttl = ttl ? (uint32_t)ttl : TTL_NOT_GIVEN;
	return NULL;
}

/* Adds an endpoint's records to `list`. */
static enum webhook_result add_endpoint(struct webhook *webhook, const json_t *json,
					struct rrlist *list)
{
	const json_t *targets = json_object_get(json, "targets"), *target;
	struct endpoint endpoint = {
		.name_text = json_string_value(json_object_get(json, "dnsName")),
	};
	const char *type = json_string_value(json_object_get(json, "recordType"));
	char reason[256];
	size_t i;

	if (!endpoint.name_text || !type ||
	    (targets && !json_is_array(targets) && !json_is_null(targets))) {
		snprintf(webhook->error, sizeof(webhook->error),
			 "endpoints with dnsName, recordType and targets are wanted");
		return WEBHOOK_BAD_REQUEST;
	}
	const char *problem = endpoint_read(webhook, json, &endpoint);
	if (problem) {
		leave_out(webhook, endpoint.name_text, problem);
		return WEBHOOK_OK;
	}
	json_array_foreach(targets, i, target) {
		const char *text = json_string_value(target);
		int size = -1;
		snprintf(reason, sizeof(reason), "a target that is no text");
		if (text)
			size = webhook_target_parse(webhook, endpoint.type, text, reason,
						    sizeof(reason));
		if (size < 0) {
			leave_out(webhook, endpoint.name_text, reason);
			continue;
		}
		const struct rr record = {
			.owner = endpoint.name,
			.rdata = webhook->rdata,
			.rdata_size = (uint16_t)size,
			.type = endpoint.type,
			.ttl = endpoint.ttl,
		};
		if (rrlist_add(list, &record))
			return webhook_fail_memory(webhook);
	}
	return WEBHOOK_OK;
}

/*
 * Adds the endpoints of one of the four lists. ExternalDNS writes its key in lower case since
 * version 0.15 and in upper case before.
 */
static enum webhook_result add_endpoints(struct webhook *webhook, const json_t *changes,
					 const char *key, const char *old_key, struct rrlist *list)
{
	const json_t *endpoints = json_object_get(changes, key), *endpoint;
	size_t i;
	if (!endpoints)
		endpoints = json_object_get(changes, old_key);
	if (endpoints && !json_is_array(endpoints) && !json_is_null(endpoints)) {
		snprintf(webhook->error, sizeof(webhook->error), "%s: an array is wanted", key);
		return WEBHOOK_BAD_REQUEST;
	}
	json_array_foreach(endpoints, i, endpoint) {
		enum webhook_result result = add_endpoint(webhook, endpoint, list);
		if (result != WEBHOOK_OK)
			return result;
	}
	return WEBHOOK_OK;
}

static enum webhook_result read_changes(struct apply *apply, const json_t *changes)
{
	struct webhook *webhook = apply->webhook;
	enum webhook_result result = WEBHOOK_OK;

	if (json_is_null(changes))
		return WEBHOOK_OK;
	if (!json_is_object(changes)) {
		snprintf(webhook->error, sizeof(webhook->error),
			 "an object with create, updateOld, updateNew and delete is wanted");
		return WEBHOOK_BAD_REQUEST;
	}
	result = add_endpoints(webhook, changes, "delete", "Delete", &apply->removed);
	if (result == WEBHOOK_OK)
		result = add_endpoints(webhook, changes, "updateOld", "UpdateOld", &apply->removed);
	if (result == WEBHOOK_OK)
		result = add_endpoints(webhook, changes, "create", "Create", &apply->added);
	if (result == WEBHOOK_OK)
		result = add_endpoints(webhook, changes, "updateNew", "UpdateNew", &apply->added);
	if (result == WEBHOOK_OK && (rrlist_sort(&apply->removed) || rrlist_sort(&apply->added)))
		return webhook_fail_memory(webhook);
	return result;
}

/* --- one owner -------------------------------------------------------------------------------- */

static bool has_type(const struct rr *records, size_t count, uint16_t type)
{
	for (size_t i = 0; i < count; i++)
		if (records[i].type == type)
			return true;
	return false;
}

static const struct rr *find_record(const struct rr *records, size_t count, const struct rr *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (records[i].type == wanted->type && rr_compare_rdata(&records[i], wanted) == 0)
			return &records[i];
	return NULL;
}

static bool owner_touches(const struct owner *owner, uint16_t type)
{
	return has_type(owner->removed, owner->removed_count, type) ||
	       has_type(owner->added, owner->added_count, type);
}

/* The RRset's TTL: as given, or as it was, or the default. */
static uint32_t owner_ttl(const struct owner *owner, uint16_t type, uint32_t fallback)
{
	uint32_t ttl = TTL_NOT_GIVEN;
	for (size_t i = 0; i < owner->added_count; i++)
		if (owner->added[i].type == type && owner->added[i].ttl < ttl)
			ttl = owner->added[i].ttl;
	for (size_t i = 0; ttl == TTL_NOT_GIVEN && i < owner->before.count;) {
		size_t count = rrlist_rrset_length(&owner->before, i);
		if (owner->before.records[i].type == type)
			ttl = rrlist_lowest_ttl(&owner->before, i, count);
		i += count;
	}
	return ttl == TTL_NOT_GIVEN ? fallback : ttl;
}

/* Makes `after`: what was there without what is taken away, and what is added. */
static int owner_make_after(struct owner *owner, uint32_t default_ttl)
{
	int status = 0;
	for (size_t i = 0; i < owner->before.count && !status; i++) {
		struct rr record = owner->before.records[i];
		if (find_record(owner->removed, owner->removed_count, &record))
			continue;
		if (owner_touches(owner, record.type))
			record.ttl = owner_ttl(owner, record.type, default_ttl);
		status = rrlist_add(&owner->after, &record);
	}
	for (size_t i = 0; i < owner->added_count && !status; i++) {
		struct rr record = owner->added[i];
		record.ttl = owner_ttl(owner, record.type, default_ttl);
		status = rrlist_add(&owner->after, &record);
	}
	if (status || rrlist_sort(&owner->after))
		return -1;
	rrlist_drop_duplicates(&owner->after);
	return 0;
}

/* Why the owner cannot be as it shall be, or NULL. */
static const char *owner_check(const struct owner *owner, struct check_finding *finding)
{
	if (owner->unreadable > 0)
		return "it has records that do not parse: replace them with godwitctl record set";
	if (dns_name_equal(owner->name, owner->apex_name) &&
	    has_type(owner->before.records, owner->before.count, DNS_TYPE_NS) &&
	    !has_type(owner->after.records, owner->after.count, DNS_TYPE_NS))
		return "a zone's last NS record must stay";
	if (check_name(owner->after.records, owner->after.count, finding))
		return finding->text;
	return NULL;
}

static size_t find_rrset(const struct rrlist *list, uint16_t type, size_t *first)
{
	size_t i = 0;
	while (i < list->count && list->records[i].type != type)
		i++;
	*first = i;
	return i < list->count ? rrlist_rrset_length(list, i) : 0;
}

/* Writes one RRset if it differs, and counts: 1 when it did, 0, or -1. */
static int owner_write_rrset(struct webhook *webhook, const struct owner *owner, uint16_t type)
{
	size_t old_first, new_first;
	size_t old_count = find_rrset(&owner->before, type, &old_first);
	size_t new_count = find_rrset(&owner->after, type, &new_first);
	const struct rr *old = owner->before.records + old_first;
	const struct rr *new = owner->after.records + new_first;
	size_t kept = 0, same = 0;

	for (size_t i = 0; i < new_count; i++) {
		const struct rr *found = find_record(old, old_count, &new[i]);
		kept += found != NULL;
		same += found != NULL && found->ttl == new[i].ttl;
	}
	if (old_count == new_count && same == new_count)
		return 0;
	webhook->written += (old_count - kept) + (new_count - same);
	if (new_count > 0) {
		if (store_put_rrset(webhook->storage, &webhook->writer, owner->apex, new, new_count,
				    new->ttl) == 0)
			return 1;
		snprintf(webhook->error, sizeof(webhook->error), "%s", webhook->writer.error);
		return -1;
	}
	char name[DNS_NAME_TEXT_MAX], type_text[DNS_TYPE_TEXT_MAX];
	text_store_name(owner->name, name);
	dns_type_to_text(type, type_text);
	if (storage_rrset_delete(webhook->storage, owner->apex, name, type_text) == STORAGE_OK)
		return 1;
	snprintf(webhook->error, sizeof(webhook->error), "%s", storage_error(webhook->storage));
	return -1;
}

/* Writes what differs, those that go before those that come; notes the zone. */
static enum webhook_result owner_write(struct apply *apply, const struct owner *owner)
{
	static const uint16_t types[] = {DNS_TYPE_A,   DNS_TYPE_AAAA, DNS_TYPE_CNAME,
					 DNS_TYPE_TXT, DNS_TYPE_SRV,  DNS_TYPE_NS,
					 DNS_TYPE_PTR, DNS_TYPE_MX,   DNS_TYPE_NAPTR};
	const struct rr zone = {
		.owner = owner->apex_name,
		.rdata = (const uint8_t *)"",
		.type = DNS_TYPE_SOA,
	};
	bool changed = false;

	for (int putting = 0; putting < 2; putting++) {
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			bool stays = has_type(owner->after.records, owner->after.count, types[i]);
			if (stays != putting || !owner_touches(owner, types[i]))
				continue;
			int written = owner_write_rrset(apply->webhook, owner, types[i]);
			if (written < 0)
				return WEBHOOK_FAILED;
			changed = changed || written;
		}
	}
	if (changed && rrlist_add(&apply->zones, &zone))
		return webhook_fail_memory(apply->webhook);
	return WEBHOOK_OK;
}

static void owner_note_unreadable(void *ctx, const struct storage_name *name,
				  const struct storage_record *record, const char *reason)
{
	struct owner *owner = ctx;
	int type = dns_type_from_text(record->type);
	(void)name, (void)reason;
	if (type >= 0 && owner_touches(owner, (uint16_t)type))
		owner->unreadable++;
}

/* Changes one owner. */
static enum webhook_result owner_apply(struct apply *apply, struct owner *owner)
{
	const struct store_listener listener = {.ctx = owner, .skipped = owner_note_unreadable};
	struct webhook *webhook = apply->webhook;
	struct check_finding finding;
	char name[DNS_NAME_TEXT_MAX];

	text_store_name(owner->name, name);
	if (owner->removed_count > OWNER_RECORDS_MAX || owner->added_count > OWNER_RECORDS_MAX) {
		leave_out(webhook, name, "more records than a DNS message has room for");
		return WEBHOOK_OK;
	}
	int status = storage_zone_find_enclosing(webhook->storage, name, false, owner->apex);
	if (status == STORAGE_NOT_FOUND) {
		leave_out(webhook, name, "no zone in the store for it");
		return WEBHOOK_OK;
	}
	if (status != STORAGE_OK) {
		snprintf(webhook->error, sizeof(webhook->error), "%s",
			 storage_error(webhook->storage));
		return WEBHOOK_FAILED;
	}
	if (dns_name_from_text(owner->apex, strlen(owner->apex), NULL, owner->apex_name) < 0) {
		leave_out(webhook, name, "its zone's name in the store is not a domain name");
		return WEBHOOK_OK;
	}
	if (store_gather_name(webhook->storage, owner->apex, owner->name, &owner->before, &listener,
			      webhook->error))
		return WEBHOOK_FAILED;
	if (rrlist_sort(&owner->before) || owner_make_after(owner, webhook->ttl))
		return webhook_fail_memory(webhook);
	const char *problem = owner_check(owner, &finding);
	if (problem) {
		leave_out(webhook, name, problem);
		return WEBHOOK_OK;
	}
	return owner_write(apply, owner);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* The slice of a sorted list that begins at `*first` if it is of this owner; moves on past it. */
static size_t take_owner(const struct rrlist *list, size_t *first, const uint8_t *name)
{
	if (*first == list->count || rr_compare_owner(list->records[*first].owner, name) != 0)
		return 0;
	size_t count = rrlist_name_length(list, *first);
	*first += count;
	return count;
}

static enum webhook_result apply_owners(struct apply *apply)
{
	const struct rrlist *removed = &apply->removed, *added = &apply->added;
	enum webhook_result result = WEBHOOK_OK;
	size_t r = 0, a = 0;

	while (result == WEBHOOK_OK && (r < removed->count || a < added->count)) {
		struct owner owner = {.removed = removed->records + r, .added = added->records + a};
		bool from_added = r == removed->count ||
				  (a < added->count &&
				   rr_compare_owner(owner.added->owner, owner.removed->owner) < 0);
		dns_name_copy_lower(from_added ? owner.added->owner : owner.removed->owner,
				    owner.name);
		owner.removed_count = take_owner(removed, &r, owner.name);
		owner.added_count = take_owner(added, &a, owner.name);
		rrlist_init(&owner.before);
		rrlist_init(&owner.after);
		result = owner_apply(apply, &owner);
		rrlist_clear(&owner.before);
		rrlist_clear(&owner.after);
	}
	return result;
}

static enum webhook_result apply_serials(struct apply *apply)
{
	struct webhook *webhook = apply->webhook;
	if (rrlist_sort(&apply->zones))
		return webhook_fail_memory(webhook);
	rrlist_drop_duplicates(&apply->zones);
	for (size_t i = 0; i < apply->zones.count; i++) {
		char apex[DNS_NAME_TEXT_MAX];
		text_store_name(apply->zones.records[i].owner, apex);
		if (serial_raise(webhook->storage, &webhook->writer, apex) != SERIAL_FAILED)
			continue;
		snprintf(webhook->error, sizeof(webhook->error), "%s", webhook->writer.error);
		return WEBHOOK_FAILED;
	}
	return WEBHOOK_OK;
}

/* What happens inside the transaction, and its end. */
static enum webhook_result apply_in_transaction(struct apply *apply)
{
	struct storage *storage = apply->webhook->storage;
	char *error = apply->webhook->error;
	if (storage_begin(storage)) {
		snprintf(error, STORE_ERROR_MAX, "%s", storage_error(storage));
		return WEBHOOK_FAILED;
	}
	enum webhook_result result = apply_owners(apply);
	if (result == WEBHOOK_OK)
		result = apply_serials(apply);
	if (result == WEBHOOK_OK && storage_commit(storage)) {
		snprintf(error, STORE_ERROR_MAX, "%s", storage_error(storage));
		result = WEBHOOK_FAILED;
	}
	if (result != WEBHOOK_OK)
		storage_rollback(storage);
	return result;
}

enum webhook_result webhook_apply(struct webhook *webhook, const json_t *changes)
{
	struct apply apply = {.webhook = webhook};
	uint64_t written = webhook->written, left_out = webhook->left_out;

	rrlist_init(&apply.removed);
	rrlist_init(&apply.added);
	rrlist_init(&apply.zones);
	enum webhook_result result = read_changes(&apply, changes);
	if (result == WEBHOOK_OK && apply.removed.count + apply.added.count > 0)
		result = apply_in_transaction(&apply);
	if (result != WEBHOOK_OK) {
		webhook->written = written;
		webhook->left_out = left_out;
	} else if (webhook->written > written) {
		log_info("changes of ExternalDNS written", "records=%llu zones=%zu",
			 (unsigned long long)(webhook->written - written), apply.zones.count);
	}
	rrlist_clear(&apply.removed);
	rrlist_clear(&apply.added);
	rrlist_clear(&apply.zones);
	return result;
}
