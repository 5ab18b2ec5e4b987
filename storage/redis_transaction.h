/*
 * A transaction of the Redis driver: what shall change, name by name, kept in memory until the
 * commit. Private to redis_write.c, redis_clear.c, redis_commit.c and redis_query.c.
 */
#ifndef GODWIT_STORAGE_REDIS_TRANSACTION_H
#define GODWIT_STORAGE_REDIS_TRANSACTION_H

#include "storage/redis_edit.h"
#include "storage/redis_internal.h"

struct redis_transaction {
	struct redis_arena arena;
	struct redis_harvest harvest; /* hashes as they were */
	struct redis_change *changes; /* in the order in which they came up */
	struct redis_change **changes_end;
	struct redis_table table; /* the same by name */
	struct redis_set added;   /* zones without an SOA yet */
	struct redis_set written; /* zones that something is to be written to */

	/* Emptying zones: see redis_clear.c. */
	unsigned int clears;       /* zones so far */
	bool scanned;              /* `harvest` has all there is, `lists` every zone's names */
	struct redis_table lists;  /* by apex */
	struct redis_zones stored; /* zones in Redis, as far as was scanned */
	struct redis_zones zones;  /* the same, and those that are added or written to */
};

/* The change of a name, a new one if need be. NULL: out of memory. */
struct redis_change *redis_transaction_get(struct redis_transaction *transaction, const char *name);

/* True when the zone was added in this transaction. `transaction` may be NULL. */
static inline bool redis_transaction_has_added(const struct redis_transaction *transaction,
					       const char *apex)
{
	return transaction && redis_set_has(&transaction->added, apex);
}

/*
 * Reads a name as it is, or as the transaction is about to make it. `*entry` lives as long as
 * `harvest` and the transaction. In a transaction the key is watched from now on.
 */
int redis_read_entry(struct redis_store *store, const char *name, struct redis_harvest *harvest,
		     const struct redis_entry **entry);

/* Reads all hashes at or below `apex` and finds the zones among them. */
int redis_read_zone(struct redis_store *store, const char *apex, struct redis_harvest *harvest,
		    struct redis_zones *zones);
/* What the zone has of the name. False: nothing. */
bool redis_find_part(const struct redis_zones *zones, const char *name, const char *apex,
		     enum redis_part *part);

/* --- redis_commit.c --------------------------------------------------------------------------- */

/* Writes all changes. */
int redis_transaction_write(struct redis_store *store, struct redis_transaction *transaction);

#endif
