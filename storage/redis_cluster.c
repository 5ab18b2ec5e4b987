/*
 * Redis Cluster: many primaries, each with some of the 16384 slots that keys fall into.
 *
 * CLUSTER SLOTS of any node tells which primary has which slot. Every primary becomes a node of the
 * store: scanned, tracked, written to. While following, one of them is asked again every second
 * (redis_oracle.c). When only slots have moved between the same primaries, the map is replaced: the
 * keys that moved were heard of at both ends. Other primaries mean connecting and loading anew.
 *
 * Between two looks a node may send us on. MOVED: the slot is another's now, the map is fetched
 * again. ASK: a slot is about to move and this key has gone ahead, only this command is for the
 * other node (Redis Cluster specification, "Redirection and resharding").
 */
#include "storage/redis_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDIRECTS_MAX 5
#define NO_NODE UINT16_MAX

/* --- slots ------------------------------------------------------------------------------------ */

/* CRC-16/XMODEM: polynomial 0x1021, from 0, most significant bit first. */
static uint16_t crc16(const char *data, size_t size)
{
	uint16_t crc = 0;

	for (size_t i = 0; i < size; i++) {
		crc ^= (uint16_t)((uint16_t)(unsigned char)data[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

/* The slot of a key, below REDIS_SLOTS. */
static unsigned int redis_key_slot(const char *key, size_t size)
{
	const char *open = memchr(key, '{', size);
	const char *close = open ? memchr(open, '}', size - (size_t)(open - key)) : NULL;

	/* What stands between the first braces, if anything, decides alone. */
	if (close && close > open + 1) {
		key = open + 1;
		size = (size_t)(close - key);
	}
	return crc16(key, size) % REDIS_SLOTS;
}

struct redis_node *redis_find_node(struct redis_store *store, const char *key, size_t size)
{
	if (!store->slots)
		return &store->nodes[0];
	return &store->nodes[store->slots[redis_key_slot(key, size)]];
}

/* --- the map ---------------------------------------------------------------------------------- */

/* One line of CLUSTER SLOTS: [first, last, [host, port, ...], replicas...]. */
struct range {
	long long first, last;
	const char *host; /* NULL: the host that was asked */
	uint16_t port;
};

static bool read_range(const redisReply *reply, struct range *range)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3 ||
	    reply->element[0]->type != REDIS_REPLY_INTEGER ||
	    reply->element[1]->type != REDIS_REPLY_INTEGER)
		return false;
	const redisReply *node = reply->element[2];
	if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
	    node->element[1]->type != REDIS_REPLY_INTEGER)
		return false;
	*range = (struct range){
		.first = reply->element[0]->integer,
		.last = reply->element[1]->integer,
		.port = (uint16_t)node->element[1]->integer,
	};
	if (node->element[0]->type == REDIS_REPLY_STRING && node->element[0]->len > 0 &&
	    !redis_is_text(node->element[0], "?"))
		range->host = node->element[0]->str;
	return range->first >= 0 && range->first <= range->last && range->last < REDIS_SLOTS &&
	       range->port != 0;
}

static size_t find_host(const struct redis_store *store, const char *name, uint16_t port)
{
	for (size_t i = 0; i < store->node_count; i++) {
		if (store->nodes[i].host.port == port &&
		    strcmp(store->nodes[i].host.name, name) == 0)
			return i;
	}
	return NO_NODE;
}

/* Connects to a primary that is not a node yet. */
static int add_primary(struct redis_store *store, const struct redis_host *host)
{
	struct redis_link link;
	int status;

	if (store->node_count == NO_NODE)
		return storage_fail(&store->base, STORAGE_REFUSED, "redis: too many primaries");
	status = redis_connect(store, &link, host, false);
	return status == STORAGE_OK ? redis_add_node(store, host, &link) : status;
}

/* Makes sure of a range's node and enters its slots into the map. */
static int enter_range(struct redis_store *store, const struct range *range, const char *asked,
		       bool connect, uint16_t *slots)
{
	char name[256];
	int status = STORAGE_OK;

	snprintf(name, sizeof(name), "%s", range->host ? range->host : asked);
	struct redis_host host = {.name = name, .port = range->port};
	size_t node = find_host(store, name, range->port);
	if (node == NO_NODE && !connect)
		return storage_fail(&store->base, STORAGE_REPLACED,
				    "redis cluster: %s:%u has become a primary", name, host.port);
	if (node == NO_NODE) {
		status = add_primary(store, &host);
		node = store->node_count - 1;
	}
	for (long long slot = range->first; slot <= range->last && status == STORAGE_OK; slot++)
		slots[slot] = (uint16_t)node;
	return status;
}

/* All slots must be somebody's, and all nodes must have some. */
static int check_map(struct redis_store *store, const uint16_t *slots)
{
	bool *used = calloc(store->node_count + 1, sizeof(*used));
	int status = used ? STORAGE_OK : redis_fail_memory(store);

	for (unsigned int slot = 0; slot < REDIS_SLOTS && status == STORAGE_OK; slot++) {
		if (slots[slot] == NO_NODE)
			status = storage_fail(&store->base, STORAGE_UNAVAILABLE,
					      "redis cluster: slot %u is without a primary: see "
					      "redis-cli --cluster check",
					      slot);
		else
			used[slots[slot]] = true;
	}
	for (size_t i = 0; i < store->node_count && status == STORAGE_OK; i++) {
		if (!used[i])
			status = storage_fail(&store->base, STORAGE_REPLACED,
					      "redis cluster: %s is no primary with slots any more",
					      store->nodes[i].data.name);
	}
	free(used);
	return status;
}

int redis_cluster_take(struct redis_store *store, const redisReply *reply, const char *asked,
		       bool connect)
{
	uint16_t *slots = malloc(REDIS_SLOTS * sizeof(*slots));
	int status = slots ? STORAGE_OK : redis_fail_memory(store);

	if (status == STORAGE_OK && reply->type != REDIS_REPLY_ARRAY)
		status = redis_refuse(&store->oracle, reply);
	for (size_t i = 0; i < REDIS_SLOTS && status == STORAGE_OK; i++)
		slots[i] = NO_NODE;
	for (size_t i = 0; status == STORAGE_OK && i < reply->elements; i++) {
		struct range range;
		if (read_range(reply->element[i], &range))
			status = enter_range(store, &range, asked, connect, slots);
		else
			status = redis_link_fail(&store->oracle,
						 "CLUSTER SLOTS answers what it should not");
	}
	if (status == STORAGE_OK)
		status = check_map(store, slots);
	if (status != STORAGE_OK) {
		free(slots);
		return status;
	}
	free(store->slots);
	store->slots = slots;
	return STORAGE_OK;
}

/* Has one host tell of the cluster and connects to all of its primaries. */
static int open_by(struct redis_store *store, const struct redis_host *host)
{
	redisReply *reply = NULL;
	int status = redis_connect(store, &store->oracle, host, false);

	if (status == STORAGE_OK)
		status = redis_call(&store->oracle, &reply, "CLUSTER", "SLOTS", NULL);
	if (status == STORAGE_OK)
		status = redis_cluster_take(store, reply, host->name, true);
	freeReplyObject(reply);
	return status;
}

int redis_cluster_open(struct redis_store *store)
{
	int status = STORAGE_UNAVAILABLE;

	for (size_t i = 0;
	     i < store->url.host_count && status != STORAGE_OK && status != STORAGE_INTERRUPTED;
	     i++) {
		store->oracle_host = i;
		redis_link_close(&store->oracle);
		status = open_by(store, &store->url.hosts[i]);
	}
	return status;
}

/* --- being sent on ---------------------------------------------------------------------------- */

/* Reads "MOVED 3999 127.0.0.1:6381" or ASK; `name` (256 octets) receives the host. */
static bool read_redirect(const redisReply *reply, const char *asked, struct redis_host *host,
			  char *name)
{
	const char *address = strrchr(reply->str, ' ');
	const char *port = address ? strrchr(address, ':') : NULL;

	if (!port)
		return false;
	address++;
	snprintf(name, 256, "%.*s", (int)(port - address), address);
	if (name[0] == '\0')
		snprintf(name, 256, "%s", asked);
	*host = (struct redis_host){.name = name, .port = (uint16_t)strtoul(port + 1, NULL, 10)};
	return host->port != 0;
}

/* Sends a command on a connection of its own: others may have answers on theirs to come. */
static int send_there(struct redis_store *store, const struct redis_host *host, bool asking,
		      redisReply **reply, int count, const char *const *words, const size_t *sizes)
{
	struct redis_link link;
	redisReply *ignored = NULL;
	int status = redis_connect(store, &link, host, false);

	*reply = NULL;
	if (status != STORAGE_OK)
		return status;
	if (asking) {
		status = redis_call(&link, &ignored, "ASKING", NULL);
		freeReplyObject(ignored);
	}
	if (status == STORAGE_OK)
		status = redis_link_send(&link, count, words, sizes);
	if (status == STORAGE_OK)
		status = redis_link_receive(&link, reply);
	redis_link_close(&link);
	return status;
}

int redis_redirect(struct redis_store *store, redisReply **reply, int count,
		   const char *const *words, const size_t *sizes)
{
	int status = STORAGE_OK;

	for (int i = 0; store->slots && i < REDIRECTS_MAX && status == STORAGE_OK; i++) {
		bool moved = redis_is_error(*reply, "MOVED "), ask = redis_is_error(*reply, "ASK ");
		struct redis_host host;
		char name[256];
		if (!moved && !ask)
			break;
		if (!read_redirect(*reply, store->url.hosts[0].name, &host, name))
			return redis_link_fail(&store->oracle, "sends us on without an address");
		if (moved)
			store->oracle_ms = 0; /* the map is out of date: ask for it now */
		freeReplyObject(*reply);
		status = send_there(store, &host, ask, reply, count, words, sizes);
	}
	return status;
}
