/*
 * Looking after who the primaries are while following: the oracle - a sentinel, or a node of the
 * cluster - is asked every second and its answer taken when it comes. An oracle that fails is
 * replaced by the next host of the URL; none at all is no reason to stop following. Of a list of
 * replicas the one that is followed is asked itself, whether it still hears from its primary: when
 * it does not, another may.
 */
#include "storage/redis_internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define ASK_EVERY_MS 1000
#define ANSWER_WITHIN_MS 1500

static int ask(struct redis_store *store)
{
	store->oracle_ms = clock_now_ms();
	store->oracle_asked = true;
	if (store->url.mode == REDIS_SENTINEL)
		return redis_sentinel_ask(store);
	if (store->url.mode == REDIS_SINGLE)
		return redis_link_say(&store->oracle, "ROLE", NULL);
	return redis_link_say(&store->oracle, "CLUSTER", "SLOTS", NULL);
}

/* Gives the oracle up and tries the next host in a while. */
static void replace(struct redis_store *store)
{
	redis_link_close(&store->oracle);
	store->oracle_asked = false;
	store->oracle_ms = clock_now_ms();
	store->oracle_host = (store->oracle_host + 1) % store->url.host_count;
}

/* Connects to the oracle whose turn it is. False: not now. */
static bool ensure(struct redis_store *store)
{
	const struct redis_host *host = store->url.mode == REDIS_SINGLE
						? &store->nodes[0].host
						: &store->url.hosts[store->oracle_host];

	if (redis_link_is_open(&store->oracle))
		return true;
	int status = store->url.mode == REDIS_SENTINEL
			     ? redis_sentinel_connect(store, host)
			     : redis_connect(store, &store->oracle, host, false);
	if (status == STORAGE_OK)
		return true;
	log_warning_limited("redis cannot be asked for its primaries", "reason=%s",
			    store->base.error);
	replace(store);
	return false;
}

/* A replica that loses its primary is left, unless it was taken for want of a better one. */
static int take_role(struct redis_store *store, const redisReply *reply)
{
	bool was_stale = store->stale;

	if (reply->type == REDIS_REPLY_ERROR)
		return redis_refuse(&store->oracle, reply);
	store->stale = redis_judge(store, reply) == REDIS_STALE;
	if (!store->stale || was_stale)
		return STORAGE_OK;
	return storage_fail(&store->base, STORAGE_REPLACED,
			    "redis %s: is a replica that has lost its primary", store->oracle.name);
}

static int take(struct redis_store *store, const redisReply *reply)
{
	store->oracle_asked = false;
	if (store->url.mode == REDIS_SENTINEL)
		return redis_sentinel_take(store, reply);
	if (store->url.mode == REDIS_SINGLE)
		return take_role(store, reply);
	return redis_cluster_take(store, reply, store->url.hosts[store->oracle_host].name, false);
}

int redis_oracle_check(struct redis_store *store)
{
	int64_t now = clock_now_ms();
	redisReply *reply = NULL;
	int status = STORAGE_OK;

	if (store->url.mode == REDIS_SINGLE && store->url.host_count == 1)
		return STORAGE_OK;
	if (!store->oracle_asked) {
		if (now - store->oracle_ms < ASK_EVERY_MS || !ensure(store))
			return STORAGE_OK;
		status = ask(store);
	}
	if (status == STORAGE_OK)
		status = redis_link_take(&store->oracle, &reply);
	if (status == STORAGE_OK && reply) {
		status = take(store, reply);
		freeReplyObject(reply);
		/* Only that there are others is of interest; a confused oracle is left. */
		if (status == STORAGE_REPLACED) {
			store->reopen = true;
			return status;
		}
	} else if (status == STORAGE_OK && now - store->oracle_ms > ANSWER_WITHIN_MS) {
		status = STORAGE_UNAVAILABLE;
	}
	if (status == STORAGE_INTERRUPTED)
		return status;
	if (status != STORAGE_OK)
		replace(store);
	return STORAGE_OK;
}
