/*
 * Hearing of changes: Redis' client side caching in broadcast mode, by RESP2.
 *
 * A node's second connection subscribes to __redis__:invalidate; the first one turns on CLIENT
 * TRACKING ... BCAST PREFIX dns: redirected to it. From then on the server tells the names of all
 * keys with the prefix that anybody changes, also by expiry, eviction, RENAME and the like, once
 * per turn of its event loop: a transaction's keys come together. When all keys are gone at once
 * (FLUSHDB) it tells nil instead of names.
 *
 * The server keeps no word of it for a client that is away: when either connection is lost,
 * everything has to be loaded again. A peer that vanished without closing them is found out by a
 * PING on every connection that was silent for a second.
 */
#include "storage/redis_internal.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>

#define CHANNEL "__redis__:invalidate"
#define PING_AFTER_MS 1000 /* of silence */
#define PONG_WITHIN_MS 1500

/* --- what the server tells -------------------------------------------------------------------- */

/* A key that changed. */
static int note_key(struct redis_store *store, const redisReply *key)
{
	char name[DNS_NAME_TEXT_MAX];

	if (key->type != REDIS_REPLY_STRING || !redis_read_key(store, key, name) ||
	    redis_set_add(&store->dirty, name))
		return STORAGE_OK;
	return redis_fail_memory(store);
}

/* ["message", CHANNEL, keys or nil]; anything else - a PONG - only shows that the peer lives. */
static int note_message(struct redis_store *store, const redisReply *reply)
{
	int status = STORAGE_OK;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
	    !redis_is_text(reply->element[0], "message"))
		return STORAGE_OK;
	const redisReply *keys = reply->element[2];
	if (keys->type != REDIS_REPLY_ARRAY) {
		store->flushed = true;
		return STORAGE_OK;
	}
	for (size_t i = 0; i < keys->elements && status == STORAGE_OK; i++)
		status = note_key(store, keys->element[i]);
	return status;
}

static int drain_link(struct redis_store *store, struct redis_link *link)
{
	for (;;) {
		redisReply *reply;
		int status = redis_link_take(link, &reply);
		if (status != STORAGE_OK || !reply)
			return status;
		status = note_message(store, reply);
		freeReplyObject(reply);
		if (status != STORAGE_OK)
			return status;
	}
}

int redis_track_drain(struct redis_store *store)
{
	int status = STORAGE_OK;

	for (size_t i = 0; i < store->node_count && status == STORAGE_OK; i++)
		status = drain_link(store, &store->nodes[i].track);
	return status;
}

/* --- turning it on ---------------------------------------------------------------------------- */

/* Makes the second connection listen; `id` (32 octets) receives its number. */
static int subscribe(struct redis_link *link, char *id)
{
	redisReply *reply;
	int status = redis_call(link, &reply, "CLIENT", "ID", NULL);

	if (status != STORAGE_OK)
		return status;
	snprintf(id, 32, "%lld", reply->integer);
	freeReplyObject(reply);
	status = redis_call(link, &reply, "SUBSCRIBE", CHANNEL, NULL);
	freeReplyObject(reply);
	return status;
}

/* Says which right is missing, when one is. */
static int explain(struct redis_store *store, int status)
{
	char reason[STORAGE_ERROR_MAX];

	if (status != STORAGE_REFUSED)
		return status;
	snprintf(reason, sizeof(reason), "%s", store->base.error);
	return storage_fail(&store->base, status,
			    "%.400s: following needs +client|id +client|tracking +subscribe "
			    "and the channel &" CHANNEL,
			    reason);
}

static int start_node(struct redis_store *store, struct redis_node *node)
{
	char id[32];
	redisReply *reply = NULL;
	int status = redis_connect(store, &node->track, &node->host, false);

	if (status == STORAGE_OK)
		status = subscribe(&node->track, id);
	if (status == STORAGE_OK) {
		status = redis_call(&node->data, &reply, "CLIENT", "TRACKING", "ON", "REDIRECT", id,
				    "BCAST", "PREFIX", store->url.prefix, NULL);
		freeReplyObject(reply);
	}
	return explain(store, status);
}

int redis_track_start(struct redis_store *store)
{
	int status = STORAGE_OK;

	if (store->tracking)
		return STORAGE_OK;
	for (size_t i = 0; i < store->node_count && status == STORAGE_OK; i++)
		status = start_node(store, &store->nodes[i]);
	/* Some nodes may be tracked already: only new connections can begin again. */
	store->reopen = status != STORAGE_OK;
	store->tracking = status == STORAGE_OK;
	return status;
}

/* --- silence ---------------------------------------------------------------------------------- */

static int check_link(struct redis_link *link, bool swallow)
{
	int64_t now = clock_now_ms();

	if (link->asked_ms == 0 && now - link->heard_ms >= PING_AFTER_MS) {
		link->unasked += swallow;
		return redis_link_ping(link);
	}
	if (link->asked_ms != 0 && now - link->asked_ms >= PONG_WITHIN_MS)
		return redis_link_fail(link,
				       "no sign of life within %d ms: is it stopped, or the "
				       "network cut?",
				       PING_AFTER_MS + PONG_WITHIN_MS);
	return STORAGE_OK;
}

int redis_track_look(struct redis_store *store)
{
	int status = redis_track_drain(store);

	for (size_t i = 0; i < store->node_count && status == STORAGE_OK; i++) {
		struct redis_link *data = &store->nodes[i].data;
		redisReply *reply = NULL;
		/* Nothing was asked of it but PINGs: what else comes is the connection's end. */
		status = redis_link_take(data, &reply);
		if (reply)
			status = redis_refuse(data, reply);
		freeReplyObject(reply);
	}
	return status;
}

int redis_track_check(struct redis_store *store)
{
	int status = STORAGE_OK;

	for (size_t i = 0; i < store->node_count && status == STORAGE_OK; i++) {
		status = check_link(&store->nodes[i].data, true);
		if (status == STORAGE_OK)
			status = check_link(&store->nodes[i].track, false);
	}
	return status;
}
