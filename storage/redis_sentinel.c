/*
 * Finding the primary by its sentinels, and noticing that it is another one after a failover.
 *
 * The sentinels are asked in turn; one that answers is kept and asked again every second while
 * following (redis_oracle.c). What it names has to call itself a primary, or the failover is still
 * going on.
 */
#include "storage/redis_internal.h"

#include "common/clock.h"
#include "common/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int redis_sentinel_ask(struct redis_store *store)
{
	return redis_link_say(&store->oracle, "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
			      store->url.master, NULL);
}

/* [host, port] as "host port"; malloc'ed, NULL when it is something else. */
static char *read_answer(const redisReply *reply)
{
	char *text = NULL;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING)
		return NULL;
	return asprintf(&text, "%s %s", reply->element[0]->str, reply->element[1]->str) < 0 ? NULL
											    : text;
}

static int authenticate(struct redis_store *store)
{
	char password[REDIS_PASSWORD_MAX], error[512];
	struct redis_link *link = &store->oracle;
	redisReply *reply;
	int status;

	if (!store->url.sentinel_password_file)
		return STORAGE_OK;
	if (config_read_secret(store->url.sentinel_password_file, password, sizeof(password), error,
			       sizeof(error)) < 0)
		return storage_fail(&store->base, STORAGE_REFUSED, "redis %s: %s", link->name,
				    error);
	if (store->url.sentinel_user)
		status = redis_call(link, &reply, "AUTH", store->url.sentinel_user, password, NULL);
	else
		status = redis_call(link, &reply, "AUTH", password, NULL);
	explicit_bzero(password, sizeof(password));
	freeReplyObject(reply);
	return status;
}

int redis_sentinel_connect(struct redis_store *store, const struct redis_host *host)
{
	int status = redis_link_open(&store->oracle, &store->base, &store->url, host, store->tls);

	if (status == STORAGE_OK)
		status = authenticate(store);
	if (status != STORAGE_OK)
		redis_link_close(&store->oracle);
	return status;
}

int redis_sentinel_take(struct redis_store *store, const redisReply *reply)
{
	char *said = read_answer(reply);

	if (!said && reply->type == REDIS_REPLY_ERROR)
		return redis_refuse(&store->oracle, reply);
	if (!said)
		return redis_link_fail(&store->oracle, "this sentinel knows no master %s",
				       store->url.master);
	if (!store->oracle_said || strcmp(said, store->oracle_said) == 0) {
		free(store->oracle_said);
		store->oracle_said = said;
		return STORAGE_OK;
	}
	storage_fail(&store->base, STORAGE_REPLACED,
		     "redis: the primary of %s is not \"%s\" any more but \"%s\"",
		     store->url.master, store->oracle_said, said);
	free(said);
	return STORAGE_REPLACED;
}

/* Connects to a sentinel and waits for its answer. */
static int consult(struct redis_store *store, const struct redis_host *host)
{
	redisReply *reply = NULL;
	int status = redis_sentinel_connect(store, host);

	if (status == STORAGE_OK)
		status = redis_sentinel_ask(store);
	if (status == STORAGE_OK)
		status = redis_link_receive(&store->oracle, &reply);
	if (status == STORAGE_OK) {
		free(store->oracle_said);
		store->oracle_said = NULL;
		status = redis_sentinel_take(store, reply);
	}
	freeReplyObject(reply);
	store->oracle_ms = clock_now_ms();
	return status;
}

/* Connects to what the sentinel named, and has it say that it is a primary. */
static int open_primary(struct redis_store *store)
{
	char *host_name = strdup(store->oracle_said);
	char *port = host_name ? strrchr(host_name, ' ') : NULL;
	struct redis_link link = {0};
	redisReply *reply = NULL;
	int status;

	if (!port) {
		free(host_name);
		return redis_fail_memory(store);
	}
	*port = '\0';
	struct redis_host host = {host_name, (uint16_t)strtoul(port + 1, NULL, 10)};
	status = redis_connect(store, &link, &host, true);
	if (status == STORAGE_OK)
		status = redis_call(&link, &reply, "ROLE", NULL);
	if (status == STORAGE_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
				     !redis_is_text(reply->element[0], "master")))
		status =
			redis_link_fail(&link, "is the master of the sentinels, but not of itself: "
					       "a failover is going on");
	freeReplyObject(reply);
	if (status == STORAGE_OK)
		status = redis_add_node(store, &host, &link);
	else
		redis_link_close(&link);
	free(host_name);
	return status;
}

int redis_sentinel_open(struct redis_store *store)
{
	int status = STORAGE_UNAVAILABLE;

	for (size_t i = 0; i < store->url.host_count; i++) {
		store->oracle_host = i;
		redis_link_close(&store->oracle);
		status = consult(store, &store->url.hosts[i]);
		if (status == STORAGE_OK)
			status = open_primary(store);
		if (status == STORAGE_OK || status == STORAGE_INTERRUPTED)
			break;
		/* Another one may know better. */
	}
	return status;
}
