/*
 * Committing: the commands that make the changes, sent to the servers.
 *
 * To a single server they go as MULTI/EXEC: seen together or not at all, and refused as a whole
 * when a key that was read in the transaction has changed since. An import of more than EXEC_KEYS
 * names is cut into several, so that the server answers others in between; a new zone's apex comes
 * in the last of them and a deleted one's in the first, so a zone is not served before it is whole.
 *
 * A cluster has no transactions over many keys. There each name is changed by itself, in the same
 * order; a name that gets and loses fields gets first.
 */
#include "storage/redis_transaction.h"

#include <stdlib.h>
#include <string.h>

#define EXEC_KEYS 20000
#define PIPELINE_COMMANDS 1000
#define WATCH_KEYS 1000 /* more are read and written without a look at who else writes */

/* Writing one transaction. */
struct commit {
	struct redis_store *store;
	struct redis_transaction *transaction;
	struct redis_arena arena; /* of the commands that are being sent */
	size_t keys;              /* in the EXEC that is being sent */
	size_t sent;              /* commands without an answer */
};

/* --- reading what is not known ---------------------------------------------------------------- */

static int watch_names(struct redis_store *store, const struct redis_table *names)
{
	struct redis_link *link = &store->nodes[0].data;
	char key[REDIS_KEY_MAX];
	size_t sent = 0;
	int status = STORAGE_OK;

	if (store->slots || names->count > WATCH_KEYS)
		return STORAGE_OK;
	for (size_t i = 0; i < names->capacity && status == STORAGE_OK; i++) {
		if (!names->slots[i].key || !redis_make_key(store, names->slots[i].key, key))
			continue;
		status = redis_link_say(link, "WATCH", key, NULL);
		sent++;
	}
	for (; sent > 0 && status == STORAGE_OK; sent--) {
		redisReply *reply;
		status = redis_link_receive(link, &reply);
		if (status == STORAGE_OK && reply->type != REDIS_REPLY_STATUS)
			status = redis_refuse(link, reply);
		freeReplyObject(reply);
	}
	return status;
}

/* Reads the names that are to be written but were not read yet. */
static int read_rest(struct redis_store *store, struct redis_transaction *transaction)
{
	struct redis_table names = {0};
	int status = STORAGE_OK;

	for (struct redis_change *change = transaction->changes; change && status == STORAGE_OK;
	     change = change->next) {
		change->before = redis_harvest_find(&transaction->harvest, change->name);
		if (!change->before && !redis_table_put(&names, change->name, NULL))
			status = redis_fail_memory(store);
	}
	if (status == STORAGE_OK)
		status = watch_names(store, &names);
	if (status == STORAGE_OK)
		status = redis_fetch(store, &names, &transaction->harvest);
	redis_table_clear(&names);
	for (struct redis_change *change = transaction->changes; change && status == STORAGE_OK;
	     change = change->next) {
		change->before = redis_harvest_find(&transaction->harvest, change->name);
		if (!redis_change_apply(change, &transaction->arena))
			status = redis_fail_memory(store);
	}
	return status;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Puts a command's words together: its name, the key and the rest. NULL: out of memory. */
static const char **make_words(struct commit *commit, const struct redis_change *change,
			       const struct redis_command *command, size_t **sizes)
{
	size_t count = command->count + 2;
	const char **words = redis_arena_alloc(&commit->arena, count * sizeof(*words));
	char *key = redis_arena_alloc(&commit->arena, REDIS_KEY_MAX);

	*sizes = redis_arena_alloc(&commit->arena, count * sizeof(**sizes));
	if (!words || !*sizes || !key || !redis_make_key(commit->store, change->name, key))
		return NULL;
	words[0] = command->name;
	words[1] = key;
	(*sizes)[0] = strlen(words[0]);
	(*sizes)[1] = strlen(words[1]);
	for (size_t i = 0; i < command->count; i++) {
		words[i + 2] = command->words[i];
		(*sizes)[i + 2] = command->sizes[i];
	}
	return words;
}

/* Receives the answers of one EXEC: MULTI's, a QUEUED for each command, and what came of them. */
static int receive_exec(struct commit *commit)
{
	struct redis_link *link = &commit->store->nodes[0].data;
	int status = STORAGE_OK, refused = STORAGE_OK;
	redisReply *reply = NULL;

	for (size_t i = 0; i < commit->sent + 2 && status == STORAGE_OK; i++) {
		freeReplyObject(reply);
		status = redis_link_receive(link, &reply);
		/* The first command that was refused says why; EXEC only that one was. */
		if (status == STORAGE_OK && refused == STORAGE_OK &&
		    reply->type == REDIS_REPLY_ERROR)
			refused = redis_refuse(link, reply);
	}
	if (status == STORAGE_OK)
		status = refused;
	if (status == STORAGE_OK && reply->type == REDIS_REPLY_NIL)
		status = storage_fail(&commit->store->base, STORAGE_UNAVAILABLE,
				      "redis %s: somebody else changed the same names at the same "
				      "time: try again",
				      link->name);
	for (size_t i = 0;
	     status == STORAGE_OK && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		if (reply->element[i]->type == REDIS_REPLY_ERROR)
			status = redis_refuse(link, reply->element[i]);
	}
	freeReplyObject(reply);
	commit->sent = commit->keys = 0;
	redis_arena_clear(&commit->arena);
	return status;
}

static int finish_exec(struct commit *commit)
{
	if (commit->sent == 0)
		return STORAGE_OK;
	int status = redis_link_say(&commit->store->nodes[0].data, "EXEC", NULL);
	return status == STORAGE_OK ? receive_exec(commit) : status;
}

/* Sends a command within the EXEC that is open, or opens one. */
static int send_in_exec(struct commit *commit, const struct redis_change *change,
			const struct redis_command *command)
{
	struct redis_link *link = &commit->store->nodes[0].data;
	size_t *sizes;
	const char **words = make_words(commit, change, command, &sizes);
	int status = words ? STORAGE_OK : redis_fail_memory(commit->store);

	if (status == STORAGE_OK && commit->sent == 0)
		status = redis_link_say(link, "MULTI", NULL);
	if (status == STORAGE_OK)
		status = redis_link_send(link, (int)command->count + 2, words, sizes);
	commit->sent++;
	return status;
}

/* Sends a command to the node of its key and waits until it is done. */
static int send_to_node(struct commit *commit, const struct redis_change *change,
			const struct redis_command *command)
{
	size_t *sizes;
	const char **words = make_words(commit, change, command, &sizes);
	redisReply *reply = NULL;
	int count = (int)command->count + 2;

	if (!words)
		return redis_fail_memory(commit->store);
	struct redis_link *link = &redis_find_node(commit->store, words[1], sizes[1])->data;
	int status = redis_link_send(link, count, words, sizes);
	if (status == STORAGE_OK)
		status = redis_link_receive(link, &reply);
	if (status == STORAGE_OK)
		status = redis_redirect(commit->store, &reply, count, words, sizes);
	if (status == STORAGE_OK && reply->type == REDIS_REPLY_ERROR)
		status = redis_refuse(link, reply);
	freeReplyObject(reply);
	redis_arena_clear(&commit->arena);
	return status;
}

static int send_change(struct commit *commit, const struct redis_change *change)
{
	struct redis_command commands[REDIS_COMMANDS_MAX];
	int count = redis_change_commands(change, &commit->arena, commands);
	int status = count < 0 ? redis_fail_memory(commit->store) : STORAGE_OK;

	for (int i = 0; i < count && status == STORAGE_OK; i++)
		status = commit->store->slots ? send_to_node(commit, change, &commands[i])
					      : send_in_exec(commit, change, &commands[i]);
	if (status == STORAGE_OK && count > 0 && ++commit->keys == EXEC_KEYS)
		status = finish_exec(commit);
	return status;
}

/* --- the order -------------------------------------------------------------------------------- */

/* When a change is sent: zones that end, then names, then zones that begin or go on. */
enum turn { TURN_END, TURN_NAMES, TURN_BEGIN, TURN_COUNT };

static enum turn find_turn(const struct redis_change *change)
{
	if (redis_entry_is_apex(change->after))
		return TURN_BEGIN;
	return redis_entry_is_apex(change->before) ? TURN_END : TURN_NAMES;
}

int redis_transaction_write(struct redis_store *store, struct redis_transaction *transaction)
{
	struct commit commit = {.store = store, .transaction = transaction};
	int status = redis_check_open(store);

	if (status == STORAGE_OK)
		status = read_rest(store, transaction);
	for (enum turn turn = 0; turn < TURN_COUNT; turn++) {
		for (struct redis_change *change = transaction->changes;
		     change && status == STORAGE_OK; change = change->next) {
			if (find_turn(change) == turn)
				status = send_change(&commit, change);
		}
	}
	if (status == STORAGE_OK)
		status = finish_exec(&commit);
	redis_arena_clear(&commit.arena);
	return status;
}
