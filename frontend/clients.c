/* Connections by client: a hash table of chains, seeded so that nobody can aim at one. */
#include "frontend/clients.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CLIENTS_BUCKETS 4096 /* a power of two */

struct client {
	struct client *next;
	uint64_t key;
	unsigned int count;
	bool v6;
};

struct clients {
	pthread_mutex_t lock;
	unsigned int limit;
	uint64_t seed;
	struct client *buckets[CLIENTS_BUCKETS];
};

struct clients *clients_create(unsigned int limit)
{
	struct clients *clients = calloc(1, sizeof(*clients));
	if (!clients)
		return NULL;
	pthread_mutex_init(&clients->lock, NULL);
	clients->limit = limit;
	/* Without a seed it is only less hard to aim at a chain. */
	if (getrandom(&clients->seed, sizeof(clients->seed), GRND_NONBLOCK) < 0)
		clients->seed = (uint64_t)(uintptr_t)clients;
	return clients;
}

void clients_destroy(struct clients *clients)
{
	if (!clients)
		return;
	for (size_t i = 0; i < CLIENTS_BUCKETS; i++) {
		struct client *next;
		for (struct client *client = clients->buckets[i]; client; client = next) {
			next = client->next;
			free(client);
		}
	}
	pthread_mutex_destroy(&clients->lock);
	free(clients);
}

/* The address as a number, of IPv6 its first half. */
static uint64_t clients_key(const struct sockaddr *address, bool *v6)
{
	uint64_t key = 0;
	*v6 = address->sa_family == AF_INET6;
	if (*v6)
		memcpy(&key, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 8);
	else
		memcpy(&key, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
	return key;
}

/* The link that leads to the client, or to where it would be added. */
static struct client **clients_find(struct clients *clients, uint64_t key, bool v6)
{
	uint64_t hash = (key ^ clients->seed) * UINT64_C(0x9e3779b97f4a7c15);
	struct client **link = &clients->buckets[hash >> 32 & (CLIENTS_BUCKETS - 1)];
	while (*link && ((*link)->key != key || (*link)->v6 != v6))
		link = &(*link)->next;
	return link;
}

static bool clients_count(struct clients *clients, uint64_t key, bool v6)
{
	struct client **link = clients_find(clients, key, v6);
	if (!*link) {
		*link = calloc(1, sizeof(**link));
		if (!*link)
			return false;
		(*link)->key = key;
		(*link)->v6 = v6;
	}
	if ((*link)->count >= clients->limit)
		return false;
	(*link)->count++;
	return true;
}

bool clients_enter(struct clients *clients, const struct sockaddr *client)
{
	bool v6;
	uint64_t key = clients_key(client, &v6);
	pthread_mutex_lock(&clients->lock);
	bool entered = clients_count(clients, key, v6);
	pthread_mutex_unlock(&clients->lock);
	return entered;
}

void clients_leave(struct clients *clients, const struct sockaddr *client)
{
	bool v6;
	uint64_t key = clients_key(client, &v6);
	pthread_mutex_lock(&clients->lock);
	struct client **link = clients_find(clients, key, v6);
	struct client *left = *link;
	if (left && --left->count == 0) {
		*link = left->next;
		free(left);
	}
	pthread_mutex_unlock(&clients->lock);
}
