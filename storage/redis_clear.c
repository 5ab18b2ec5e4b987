/*
 * Emptying zones within a transaction: what of which names goes.
 *
 * Redis does not know which names are in a zone; only the keys tell. The first zone of a
 * transaction is looked for by a scan of the keys at and below its apex; from the second on, as
 * when many zones are replaced by one import, all keys are scanned once, and sorted by their zones.
 *
 * A zone loses what it has in Redis, and what was to be written to it so far, but nothing that the
 * same transaction writes to other zones: a child zone that is imported together with its parent
 * stays whole, whichever comes first.
 */
#include "storage/redis_transaction.h"

#include "dns/protocol.h"

#include <string.h>

/* A name in a zone's list. */
struct listed {
	struct listed *next;
	const char *name;
	enum redis_part part;
};

/* True when clearing a part drops what is to be written: a child zone's NS records stay its own. */
static bool clears_edit(uint16_t type, enum redis_part part)
{
	switch (part) {
	case REDIS_PART_ALL:
		return true;
	case REDIS_PART_APEX:
		return type != DNS_TYPE_DS;
	case REDIS_PART_DELEGATION:
		return type == DNS_TYPE_DS;
	case REDIS_PART_NONE:
		break;
	}
	return false;
}

static void drop_edits(struct redis_change *change, enum redis_part part)
{
	struct redis_edit **place = &change->edits;

	while (*place) {
		if (clears_edit((*place)->type, part))
			*place = (*place)->next;
		else
			place = &(*place)->next;
	}
	change->edits_end = place;
}

/* Takes away a part of what the name has in Redis, and of what is to be written to it. */
static int clear_name(struct redis_store *store, const char *name, enum redis_part stored,
		      enum redis_part pending)
{
	struct redis_change *change = redis_transaction_get(store->transaction, name);

	if (!change)
		return redis_fail_memory(store);
	if (change->cleared == REDIS_PART_NONE)
		change->cleared = stored;
	else if (stored != REDIS_PART_NONE && change->cleared != stored)
		change->cleared = REDIS_PART_ALL;
	drop_edits(change, pending);
	return STORAGE_OK;
}

/* A name that is in Redis: `part` is what the zone has of it there. */
static int clear_stored(struct redis_store *store, const char *name, const char *apex,
			enum redis_part part)
{
	enum redis_part pending = REDIS_PART_NONE;

	redis_find_part(&store->transaction->zones, name, apex, &pending);
	return clear_name(store, name, part, pending);
}

/* --- the zone's names ------------------------------------------------------------------------- */

/* Notes the zones that are in Redis, as far as was scanned. */
static int note_zones(struct redis_store *store)
{
	struct redis_transaction *transaction = store->transaction;

	for (const struct redis_entry *entry = transaction->harvest.first; entry;
	     entry = entry->next) {
		if (redis_entry_is_apex(entry) &&
		    (!redis_zones_add(&transaction->stored, entry->name) ||
		     !redis_zones_add(&transaction->zones, entry->name)))
			return redis_fail_memory(store);
	}
	return STORAGE_OK;
}

/* Puts a name into its zone's list. False: out of memory. */
static bool list_name(struct redis_transaction *transaction, const char *name,
		      const struct redis_place *place)
{
	struct redis_table_slot *slot = redis_table_find(&transaction->lists, place->zone);
	struct listed *listed = redis_arena_alloc(&transaction->arena, sizeof(*listed));

	if (!listed)
		return false;
	*listed = (struct listed){
		.next = slot ? slot->value : NULL, .name = name, .part = place->part};
	void *value = listed;
	/* A place's zone is the end of the name, which lives as long as the transaction. */
	return redis_table_put(&transaction->lists, slot ? slot->key : place->zone, value);
}

/* Scans all keys, once for the rest of the transaction. */
static int scan_all(struct redis_store *store)
{
	struct redis_transaction *transaction = store->transaction;
	const struct redis_scan_calls all = {0};
	struct redis_place places[REDIS_PLACES_MAX];
	int status = redis_scan(store, NULL, &all, &transaction->harvest);

	if (status == STORAGE_OK)
		status = note_zones(store);
	for (const struct redis_entry *entry = transaction->harvest.first;
	     entry && status == STORAGE_OK; entry = entry->next) {
		size_t count = redis_zones_place(&transaction->stored, entry->name, false, places);
		for (size_t i = 0; i < count; i++) {
			if (!list_name(transaction, entry->name, &places[i]))
				status = redis_fail_memory(store);
		}
	}
	transaction->scanned = status == STORAGE_OK;
	return status;
}

static int clear_listed(struct redis_store *store, const char *apex)
{
	struct redis_table_slot *slot = redis_table_find(&store->transaction->lists, apex);
	const struct listed *listed = slot ? slot->value : NULL;
	int status = STORAGE_OK;

	for (; listed && status == STORAGE_OK; listed = listed->next)
		status = clear_stored(store, listed->name, apex, listed->part);
	return status;
}

static bool want_within(void *ctx, const char *name)
{
	const char *const *apex = ctx;

	return redis_name_is_within(name, *apex);
}

/* Scans for the names of one zone. */
static int clear_scanned(struct redis_store *store, const char *apex)
{
	struct redis_transaction *transaction = store->transaction;
	const struct redis_scan_calls calls = {.wants = want_within, .ctx = &apex};
	int status = redis_scan(store, apex, &calls, &transaction->harvest);

	if (status == STORAGE_OK)
		status = note_zones(store);
	for (const struct redis_entry *entry = transaction->harvest.first;
	     entry && status == STORAGE_OK; entry = entry->next) {
		enum redis_part part;
		if (redis_find_part(&transaction->stored, entry->name, apex, &part))
			status = clear_stored(store, entry->name, apex, part);
	}
	return status;
}

/* Names that are to be written only: they are not in Redis yet. */
static int clear_pending(struct redis_store *store, const char *apex)
{
	struct redis_transaction *transaction = store->transaction;
	int status = STORAGE_OK;

	for (struct redis_change *change = transaction->changes; change && status == STORAGE_OK;
	     change = change->next) {
		enum redis_part part;
		if (!change->before &&
		    redis_find_part(&transaction->zones, change->name, apex, &part))
			status = clear_name(store, change->name, part, part);
	}
	return status;
}

int redis_zone_clear(struct storage *storage, const char *apex)
{
	struct redis_store *store = redis_store_of(storage);
	struct redis_transaction *transaction = store->transaction;
	int status = redis_zone_find(storage, apex);

	if (status == STORAGE_OK && !redis_zones_add(&transaction->zones, apex))
		status = redis_fail_memory(store);
	if (status == STORAGE_OK && transaction->clears++ > 0 && !transaction->scanned)
		status = scan_all(store);
	if (status == STORAGE_OK)
		status = transaction->scanned ? clear_listed(store, apex)
					      : clear_scanned(store, apex);
	if (status == STORAGE_OK && redis_set_has(&transaction->written, apex))
		status = clear_pending(store, apex);
	/* Until its SOA is written again. */
	if (status == STORAGE_OK && !redis_set_add(&transaction->added, apex))
		status = redis_fail_memory(store);
	return status;
}
