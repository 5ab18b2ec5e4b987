/*
 * What writing RRsets does to a hash. Pure but for an arena. Any thread.
 *
 * The TTL of an RRset is written as the name's `ttl` when no other type goes by that, and as
 * `ttl.TYPE` when it differs from what the others go by. A hash of which nothing is left but TTLs
 * is deleted. Fields that are no types of ours to judge stay.
 */
#ifndef GODWIT_STORAGE_REDIS_EDIT_H
#define GODWIT_STORAGE_REDIS_EDIT_H

#include "storage/redis_hash.h"

/* One RRset to be written, or to be deleted. */
struct redis_edit {
	struct redis_edit *next;
	uint16_t type;
	const char *value; /* its records, one a line; NULL: delete */
	uint32_t ttl;
};

/* A name on its way from what it is to what it shall be. */
struct redis_change {
	struct redis_change *next;
	const char *name;
	const struct redis_entry *before; /* NULL: not read yet */
	const struct redis_entry *after;  /* NULL: not made yet */
	enum redis_part cleared;          /* what is taken away first; NONE: nothing */
	struct redis_edit *edits;         /* then, in this order */
	struct redis_edit **edits_end;
};

/* Makes `after` out of `before`, which must be there. False: out of memory. */
bool redis_change_apply(struct redis_change *change, struct redis_arena *arena);

/* A command that brings the key from before to after: its words behind the key. */
struct redis_command {
	const char *name; /* "DEL", "HDEL", "HSET"; NULL: there is nothing to do */
	size_t count;     /* words: names to delete, names and values in turn to set */
	const char **words;
	size_t *sizes;
};

#define REDIS_COMMANDS_MAX 2

/*
 * The commands, REDIS_COMMANDS_MAX at most, in an order in which no moment between them has less
 * than both before and after. Returns their number; -1: out of memory.
 */
int redis_change_commands(const struct redis_change *change, struct redis_arena *arena,
			  struct redis_command *commands);

#endif
