/*
 * Transactions: zones and RRsets into changes of hashes, and reading them back.
 *
 * Nothing is sent before the commit but reads. A key that was read in a transaction is WATCHed, so
 * that of two godwitctl that change one name at the same time, one is told to try again; names that
 * are only written are read at the commit.
 */
#include "storage/redis_transaction.h"

#include "dns/rdata.h"

#include <stdlib.h>
#include <string.h>

int redis_begin(struct storage *storage)
{
	struct redis_store *store = redis_store_of(storage);
	redisReply *reply;
	int status = redis_check_open(store);

	/* What an earlier transaction watched is of no interest any more. */
	if (status == STORAGE_OK && !store->slots) {
		status = redis_call(&store->nodes[0].data, &reply, "UNWATCH", NULL);
		freeReplyObject(reply);
	}
	if (status != STORAGE_OK)
		return status;
	store->transaction = calloc(1, sizeof(*store->transaction));
	return store->transaction ? STORAGE_OK : redis_fail_memory(store);
}

void redis_rollback(struct storage *storage)
{
	struct redis_store *store = redis_store_of(storage);
	struct redis_transaction *transaction = store->transaction;

	if (!transaction)
		return;
	redis_table_clear(&transaction->table);
	redis_set_clear(&transaction->added);
	redis_set_clear(&transaction->written);
	redis_zones_clear(&transaction->stored);
	redis_zones_clear(&transaction->zones);
	redis_table_clear(&transaction->lists);
	redis_harvest_clear(&transaction->harvest);
	redis_arena_clear(&transaction->arena);
	free(transaction);
	store->transaction = NULL;
}

int redis_commit(struct storage *storage)
{
	struct redis_store *store = redis_store_of(storage);
	int status = redis_transaction_write(store, store->transaction);

	if (status == STORAGE_OK)
		redis_rollback(storage); /* nothing is left to take back: frees it */
	return status;
}

/* --- changes ---------------------------------------------------------------------------------- */

struct redis_change *redis_transaction_get(struct redis_transaction *transaction, const char *name)
{
	struct redis_table_slot *slot = redis_table_find(&transaction->table, name);
	struct redis_change *change;

	if (slot)
		return slot->value;
	change = redis_arena_alloc(&transaction->arena, sizeof(*change));
	if (!change)
		return NULL;
	*change = (struct redis_change){
		.name = redis_arena_copy(&transaction->arena, name, strlen(name)),
		.cleared = REDIS_PART_NONE,
		.before = redis_harvest_find(&transaction->harvest, name),
	};
	change->edits_end = &change->edits;
	if (!change->name || !redis_table_put(&transaction->table, change->name, change))
		return NULL;
	if (!transaction->changes_end)
		transaction->changes_end = &transaction->changes;
	*transaction->changes_end = change;
	transaction->changes_end = &change->next;
	return change;
}

int redis_read_entry(struct redis_store *store, const char *name, struct redis_harvest *harvest,
		     const struct redis_entry **entry)
{
	struct redis_transaction *transaction = store->transaction;
	struct redis_table_slot *slot = NULL;
	int status = STORAGE_OK;

	if (transaction) {
		harvest = &transaction->harvest;
		slot = redis_table_find(&transaction->table, name);
	}
	if (!redis_harvest_find(harvest, name))
		status = redis_fetch_one(store, name, transaction != NULL, harvest);
	if (status != STORAGE_OK)
		return status;
	*entry = redis_harvest_find(harvest, name);
	if (!slot)
		return STORAGE_OK;
	struct redis_change *change = slot->value;
	change->before = *entry;
	if (!redis_change_apply(change, &transaction->arena))
		return redis_fail_memory(store);
	*entry = change->after;
	return STORAGE_OK;
}

/* --- zones ------------------------------------------------------------------------------------ */

int redis_zone_add(struct storage *storage, const char *apex)
{
	struct redis_store *store = redis_store_of(storage);
	int status = redis_zone_find(storage, apex);

	if (status == STORAGE_OK)
		return storage_fail(storage, STORAGE_EXISTS, "redis has a zone %s already", apex);
	if (status != STORAGE_NOT_FOUND)
		return status;
	return redis_set_add(&store->transaction->added, apex) &&
			       redis_zones_add(&store->transaction->zones, apex)
		       ? STORAGE_OK
		       : redis_fail_memory(store);
}

int redis_zone_delete(struct storage *storage, const char *apex)
{
	struct redis_store *store = redis_store_of(storage);
	int status = redis_zone_clear(storage, apex);
	struct redis_table_slot *slot;

	if (status != STORAGE_OK)
		return status;
	slot = redis_table_find(&store->transaction->added.table, apex);
	if (slot)
		redis_table_remove(&store->transaction->added.table, slot);
	return STORAGE_OK;
}

/* --- RRsets ----------------------------------------------------------------------------------- */

static int add_edit(struct redis_store *store, const char *apex, const char *owner,
		    const char *type, const char *value, uint32_t ttl)
{
	struct redis_transaction *transaction = store->transaction;
	struct redis_edit *edit = redis_arena_alloc(&transaction->arena, sizeof(*edit));
	struct redis_change *change = redis_transaction_get(transaction, owner);
	int number = dns_type_from_text(type);

	if (number < 0)
		return storage_fail(&store->base, STORAGE_REFUSED, "%.50s is no record type", type);
	if (!edit || !change || !redis_set_add(&transaction->written, apex) ||
	    !redis_zones_add(&transaction->zones, apex))
		return redis_fail_memory(store);
	*edit = (struct redis_edit){.type = (uint16_t)number, .value = value, .ttl = ttl};
	*change->edits_end = edit;
	change->edits_end = &edit->next;
	return STORAGE_OK;
}

int redis_rrset_put(struct storage *storage, const char *apex, const char *owner, const char *type,
		    uint32_t ttl, const char *const *contents, size_t count)
{
	struct redis_store *store = redis_store_of(storage);
	size_t size = 1;

	for (size_t i = 0; i < count; i++)
		size += strlen(contents[i]) + 1;
	char *value = redis_arena_alloc(&store->transaction->arena, size), *out = value;
	if (!value)
		return redis_fail_memory(store);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			*out++ = '\n';
		out = stpcpy(out, contents[i]);
	}
	*out = '\0';
	return add_edit(store, apex, owner, type, count > 0 ? value : NULL, ttl);
}

int redis_rrset_delete(struct storage *storage, const char *apex, const char *owner,
		       const char *type)
{
	return add_edit(redis_store_of(storage), apex, owner, type, NULL, 0);
}
