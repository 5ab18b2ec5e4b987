/*
 * `godwitctl init`: Redis needs no preparing, so it is checked instead: that everything the backend
 * and godwitctl will ask for is allowed. Commands are tried on a key of ours inside a MULTI that is
 * discarded: the server checks the user's rights when it queues them, and nothing is done.
 */
#include "storage/redis_internal.h"

#include <stdio.h>
#include <string.h>

#define TRIAL_KEY "godwit-init"
#define MISSING_MAX 256

/* Tries one command; adds its name to `missing` when the user may not use it. */
static int try_command(struct redis_link *link, const char *const *words, int count,
		       const char *name, char *missing)
{
	redisReply *reply;
	int status = redis_link_send(link, count, words, NULL);
	size_t used = strlen(missing);

	if (status == STORAGE_OK)
		status = redis_link_receive(link, &reply);
	if (status != STORAGE_OK)
		return status;
	if (redis_is_error(reply, "NOPERM"))
		snprintf(missing + used, MISSING_MAX - used, " %s", name);
	else if (reply->type == REDIS_REPLY_ERROR)
		status = redis_refuse(link, reply);
	freeReplyObject(reply);
	return status;
}

/* Tries what reading and writing keys takes. */
static int try_commands(struct redis_link *link, const char *key, char *missing)
{
	const struct {
		const char *name;
		const char *words[4];
		int count;
	} trials[] = {
		{"+hgetall", {"HGETALL", key}, 2},
		{"+scan", {"SCAN", "0"}, 2},
		{"+ping", {"PING"}, 1},
		{"+hset", {"HSET", key, "A", "192.0.2.1"}, 4},
		{"+hdel", {"HDEL", key, "A"}, 3},
		{"+del", {"DEL", key}, 2},
	};
	int status = STORAGE_OK;

	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]) && status == STORAGE_OK; i++)
		status = try_command(link, trials[i].words, trials[i].count, trials[i].name,
				     missing);
	return status;
}

static int try_node(struct redis_store *store, struct redis_link *link, const char *key,
		    char *missing)
{
	const char *const watch[] = {"WATCH", key}, *const unwatch[] = {"UNWATCH"},
			  *const multi[] = {"MULTI"}, *const discard[] = {"DISCARD"},
			  *const exec[] = {"EXEC"};
	int status = try_command(link, watch, 2, "+watch", missing);

	if (status == STORAGE_OK)
		status = try_command(link, unwatch, 1, "+unwatch", missing);
	size_t before = strlen(missing);
	if (status == STORAGE_OK)
		status = try_command(link, multi, 1, "+multi", missing);
	/* Without MULTI the commands would be done. */
	if (status == STORAGE_OK && strlen(missing) == before) {
		status = try_commands(link, key, missing);
		if (status == STORAGE_OK)
			status = try_command(link, discard, 1, "+discard", missing);
	}
	/* An empty transaction shows whether EXEC is allowed; a refused one is none to EXEC. */
	if (status == STORAGE_OK && missing[0] == '\0')
		status = try_command(link, multi, 1, "+multi", missing);
	if (status == STORAGE_OK && missing[0] == '\0')
		status = try_command(link, exec, 1, "+exec", missing);
	if (status != STORAGE_OK || missing[0] == '\0')
		return status;
	return storage_fail(&store->base, STORAGE_REFUSED,
			    "redis %s: the user may not use:%s, or not on keys ~%s*: grant it "
			    "with ACL SETUSER",
			    link->name, missing, store->url.prefix);
}

int redis_init(struct storage *storage)
{
	struct redis_store *store = redis_store_of(storage);
	char key[REDIS_KEY_MAX], missing[MISSING_MAX] = "";
	int status = redis_open(storage);

	if (status == STORAGE_OK && !redis_make_key(store, TRIAL_KEY, key))
		status = storage_fail(storage, STORAGE_REFUSED, "redis: the prefix is too long");
	for (size_t i = 0; i < store->node_count && status == STORAGE_OK && !store->slots; i++)
		status = try_node(store, &store->nodes[i].data, key, missing);
	return status == STORAGE_OK ? redis_track_start(store) : status;
}
