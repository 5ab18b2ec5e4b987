/*
 * The Redis driver: records in hashes, one an owner name (see redis_hash.h), followed by the
 * server's own word of what changed (see redis_track.c).
 *
 * Three ways to find the server: hosts tried in turn, sentinels that know the primary, or a cluster
 * with many primaries. From there on all three are a list of nodes (see redis_internal.h).
 */
#include "storage/redis_internal.h"

#include "common/config.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_WORDS_MAX 12

/* --- errors ----------------------------------------------------------------------------------- */

int redis_fail_memory(struct redis_store *store)
{
	return storage_fail(&store->base, STORAGE_UNAVAILABLE, "redis: out of memory");
}

bool redis_is_error(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

bool redis_is_text(const redisReply *reply, const char *text)
{
	return (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) &&
	       strlen(text) == reply->len && memcmp(reply->str, text, reply->len) == 0;
}

/* What the first words of an error reply mean, and what a person can do about it. */
static const struct {
	const char *words;
	int status;
	const char *advice;
} refusals[] = {
	{"NOAUTH", STORAGE_REFUSED, " (it wants a password: password_file, or --password-file)"},
	{"WRONGPASS", STORAGE_REFUSED, " (see the URL's user and the password file)"},
	{"ERR AUTH", STORAGE_REFUSED, " (it has no password: leave out the password file)"},
	{"NOPERM", STORAGE_REFUSED, " (grant it with ACL SETUSER; `godwitctl init` says what)"},
	{"READONLY", STORAGE_UNAVAILABLE, " (it is a replica: name the primary in the URL)"},
	{"MISCONF", STORAGE_UNAVAILABLE, " (it cannot save to its disk: see its log)"},
	{"OOM", STORAGE_UNAVAILABLE, " (raise its maxmemory)"},
	{"LOADING", STORAGE_UNAVAILABLE, ""},
	{"MASTERDOWN", STORAGE_UNAVAILABLE, ""},
	{"CLUSTERDOWN", STORAGE_UNAVAILABLE, ""},
	{"TRYAGAIN", STORAGE_UNAVAILABLE, ""},
	{"BUSY", STORAGE_UNAVAILABLE, ""},
	{"ERR unknown", STORAGE_REFUSED, " (is it Redis 6 or later?)"},
	{"ERR This instance has cluster support disabled", STORAGE_REFUSED,
	 " (write redis:// in place of redis+cluster://)"},
	{"MOVED", STORAGE_REFUSED, " (it is a cluster's node: write redis+cluster://)"},
};

int redis_refuse(struct redis_link *link, const redisReply *reply)
{
	const char *advice = "";
	int status = STORAGE_REFUSED;

	if (reply->type != REDIS_REPLY_ERROR)
		return redis_link_fail(link, "gave an answer of an unexpected kind");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (!redis_is_error(reply, refusals[i].words))
			continue;
		status = refusals[i].status;
		advice = refusals[i].advice;
		break;
	}
	return storage_fail(link->storage, status, "redis %s: %.300s%s", link->name, reply->str,
			    advice);
}

/* The same with words in an array. */
static int redis_call_words(struct redis_link *link, redisReply **reply, int count,
			    const char *const *words)
{
	int status = redis_link_send(link, count, words, NULL);

	*reply = NULL;
	if (status == STORAGE_OK)
		status = redis_link_receive(link, reply);
	if (status == STORAGE_OK && (*reply)->type == REDIS_REPLY_ERROR) {
		status = redis_refuse(link, *reply);
		freeReplyObject(*reply);
		*reply = NULL;
	}
	return status;
}

int redis_call(struct redis_link *link, redisReply **reply, const char *word, ...)
{
	const char *words[CALL_WORDS_MAX];
	int count = 0;
	va_list arguments;

	va_start(arguments, word);
	while (word && count < CALL_WORDS_MAX) {
		words[count++] = word;
		word = va_arg(arguments, const char *);
	}
	va_end(arguments);
	return redis_call_words(link, reply, count, words);
}

/* --- connecting ------------------------------------------------------------------------------- */

/* Says who we are, with the password of the file as it is now. */
static int authenticate(struct redis_store *store, struct redis_link *link)
{
	char password[REDIS_PASSWORD_MAX], error[512];
	redisReply *reply;
	int status;

	if (!store->password_file) {
		if (store->url.user)
			return storage_fail(&store->base, STORAGE_REFUSED,
					    "redis %s: the URL names the user %.100s: its password "
					    "has to be in a file, see password_file or "
					    "--password-file",
					    link->name, store->url.user);
		return STORAGE_OK;
	}
	if (config_read_secret(store->password_file, password, sizeof(password), error,
			       sizeof(error)) < 0)
		return storage_fail(&store->base, STORAGE_REFUSED, "redis %s: %s", link->name,
				    error);
	if (store->url.user)
		status = redis_call(link, &reply, "AUTH", store->url.user, password, NULL);
	else
		status = redis_call(link, &reply, "AUTH", password, NULL);
	explicit_bzero(password, sizeof(password));
	freeReplyObject(reply);
	return status;
}

int redis_connect(struct redis_store *store, struct redis_link *link, const struct redis_host *host,
		  bool select)
{
	int status = redis_link_open(link, &store->base, &store->url, host, store->tls);
	redisReply *reply = NULL;
	char database[16];

	if (status == STORAGE_OK)
		status = authenticate(store, link);
	if (status == STORAGE_OK && select && store->url.database > 0) {
		snprintf(database, sizeof(database), "%d", store->url.database);
		status = redis_call(link, &reply, "SELECT", database, NULL);
		freeReplyObject(reply);
	}
	if (status != STORAGE_OK)
		redis_link_close(link);
	return status;
}

int redis_add_node(struct redis_store *store, const struct redis_host *host,
		   struct redis_link *link)
{
	struct redis_node *nodes =
		realloc(store->nodes, (store->node_count + 1) * sizeof(*store->nodes));
	char *name = strdup(host->name);

	if (nodes)
		store->nodes = nodes;
	if (!nodes || !name) {
		free(name);
		redis_link_close(link);
		return redis_fail_memory(store);
	}
	nodes[store->node_count++] = (struct redis_node){
		.host = {.name = name, .port = host->port},
		.data = *link,
	};
	return STORAGE_OK;
}

enum redis_fitness redis_judge(const struct redis_store *store, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 4 ||
	    !redis_is_text(reply->element[0], "slave"))
		return REDIS_FIT;
	if (!store->base.read_only)
		return REDIS_UNFIT;
	return redis_is_text(reply->element[3], "connected") ? REDIS_FIT : REDIS_STALE;
}

/* Asks a server of a list what it is. STORAGE_OK when that is `enough`. */
static int check_role(struct redis_store *store, struct redis_link *link, enum redis_fitness enough)
{
	redisReply *reply;
	int status = redis_call(link, &reply, "ROLE", NULL);

	if (status != STORAGE_OK)
		return status;
	enum redis_fitness fitness = redis_judge(store, reply);
	freeReplyObject(reply);
	store->stale = fitness == REDIS_STALE;
	if (fitness <= enough)
		return STORAGE_OK;
	return fitness == REDIS_UNFIT
		       ? redis_link_fail(link, "is a replica: the URL has to name the primary, too")
		       : redis_link_fail(link, "is a replica that has lost its primary");
}

/* Tries the hosts in turn until one will do. */
static int open_any(struct redis_store *store, enum redis_fitness enough)
{
	int status = STORAGE_UNAVAILABLE;

	for (size_t i = 0; i < store->url.host_count && status != STORAGE_INTERRUPTED; i++) {
		const struct redis_host *host = &store->url.hosts[i];
		struct redis_link link;
		status = redis_connect(store, &link, host, true);
		if (status == STORAGE_OK && store->url.host_count > 1) {
			status = check_role(store, &link, enough);
			if (status != STORAGE_OK)
				redis_link_close(&link);
		}
		if (status == STORAGE_OK)
			return redis_add_node(store, host, &link);
	}
	return status;
}

/* A writer needs the primary; a reader rather has a replica that is in contact with it. */
static int open_single(struct redis_store *store)
{
	int status = open_any(store, REDIS_FIT);

	if (status != STORAGE_OK && status != STORAGE_INTERRUPTED && store->url.host_count > 1 &&
	    store->base.read_only)
		status = open_any(store, REDIS_STALE);
	return status;
}

int redis_open(struct storage *storage)
{
	struct redis_store *store = redis_store_of(storage);
	int status = STORAGE_OK;

	redis_close(store);
	if (store->url.tls) {
		store->tls = redis_tls_create(storage, &store->url);
		if (!store->tls)
			return STORAGE_UNAVAILABLE;
	}
	switch (store->url.mode) {
	case REDIS_SINGLE:
		status = open_single(store);
		break;
	case REDIS_SENTINEL:
		status = redis_sentinel_open(store);
		break;
	case REDIS_CLUSTER:
		status = redis_cluster_open(store);
		break;
	}
	if (status != STORAGE_OK)
		redis_close(store);
	return status;
}

void redis_close(struct redis_store *store)
{
	redis_rollback(&store->base);
	for (size_t i = 0; i < store->node_count; i++) {
		redis_link_close(&store->nodes[i].data);
		redis_link_close(&store->nodes[i].track);
		free(store->nodes[i].host.name);
	}
	free(store->nodes);
	store->nodes = NULL;
	store->node_count = 0;
	free(store->slots);
	store->slots = NULL;
	redis_link_close(&store->oracle);
	free(store->oracle_said);
	store->oracle_said = NULL;
	store->oracle_asked = false;
	SSL_CTX_free(store->tls);
	store->tls = NULL;
	redis_set_clear(&store->dirty);
	store->tracking = store->flushed = store->loaded = store->reopen = false;
}

int redis_check_open(struct redis_store *store)
{
	if (store->nodes)
		return STORAGE_OK;
	return storage_fail(&store->base, STORAGE_UNAVAILABLE, "redis: not connected");
}

/* --- the driver ------------------------------------------------------------------------------- */

static struct storage *create(const char *url, const char *location,
			      const struct storage_options *options, char *error, size_t error_size)
{
	struct redis_store *store = calloc(1, sizeof(*store));

	(void)location;
	if (!store) {
		snprintf(error, error_size, "redis: out of memory");
		return NULL;
	}
	if (redis_url_parse(url, &store->url, error, error_size) < 0) {
		free(store);
		return NULL;
	}
	if (options->password_file && !(store->password_file = strdup(options->password_file))) {
		snprintf(error, error_size, "redis: out of memory");
		redis_url_clear(&store->url);
		free(store);
		return NULL;
	}
	return &store->base;
}

static void destroy(struct storage *storage)
{
	struct redis_store *store = redis_store_of(storage);

	redis_close(store);
	redis_zones_clear(&store->zones);
	redis_records_clear(&store->records);
	redis_url_clear(&store->url);
	free(store->password_file);
	free(store);
}

const struct storage_driver storage_driver_redis = {
	.scheme = "redis rediss redis+sentinel rediss+sentinel redis+cluster rediss+cluster "
		  "redis+unix",
	.create = create,
	.destroy = destroy,
	.open = redis_open,
	.load = redis_load,
	.follow = redis_follow,
	.init = redis_init,
	.begin = redis_begin,
	.commit = redis_commit,
	.rollback = redis_rollback,
	.zone_add = redis_zone_add,
	.zone_delete = redis_zone_delete,
	.zone_clear = redis_zone_clear,
	.zone_find = redis_zone_find,
	.zone_list = redis_zone_list,
	.zone_read = redis_zone_read,
	.name_read = redis_name_read,
	.rrset_put = redis_rrset_put,
	.rrset_delete = redis_rrset_delete,
};
