/* A thread that calls getaddrinfo. */
#include "frontend/resolver.h"

#include "common/backoff.h"
#include "common/clock.h"
#include "common/log.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RESOLVER_HURRY_MS 1000
#define RESOLVER_STOP_MS 1000

struct resolver_name {
	const struct address *address; /* NULL: needs no resolving */
	struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
	size_t found_count;
	int64_t last_ms; /* when it was last looked up */
	int64_t next_ms; /* when it is due */
	struct backoff backoff;
	/* For the thread: owned copies, so that it may outlive the configuration if it hangs. */
	char host[sizeof(((struct address *)0)->host)];
	unsigned short port;
};

struct resolver {
	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t wake;
	pthread_cond_t looked_up; /* `pending` has become 0 */
	size_t pending;           /* names never looked up so far */
	pthread_t thread;
	bool started;
	bool stopping;
	void (*changed)(void *ctx);
	void *ctx;
	size_t count;
	struct resolver_name names[];
};

static int resolver_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sockaddr_storage));
}

/* Keeps one address of a look-up, its padding zero so that addresses compare as bytes. */
static size_t resolver_keep(const struct addrinfo *entry, unsigned short port,
			    struct sockaddr_storage *out, size_t count)
{
	struct sockaddr_storage *kept = &out[count];
	memset(kept, 0, sizeof(*kept));
	if (entry->ai_family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)kept;
		*v4 = *(const struct sockaddr_in *)(const void *)entry->ai_addr;
		v4->sin_port = htons(port);
	} else if (entry->ai_family == AF_INET6) {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)kept;
		*v6 = *(const struct sockaddr_in6 *)(const void *)entry->ai_addr;
		v6->sin6_port = htons(port);
	} else {
		return count;
	}
	for (size_t i = 0; i < count; i++)
		if (resolver_compare(&out[i], kept) == 0)
			return count;
	return count + 1;
}

/* Looks a name up, without the lock. Returns the number of addresses, sorted, or -1. */
static int resolver_look_up(const char *host, unsigned short port, struct sockaddr_storage *out)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int error = getaddrinfo(host, NULL, &hints, &list);
	if (error != 0) {
		log_warning("backend name not resolved", "name=%s reason=%s", host,
			    gai_strerror(error));
		return -1;
	}
	size_t count = 0;
	for (const struct addrinfo *entry = list; entry && count < RESOLVER_ADDRESSES_MAX;
	     entry = entry->ai_next)
		count = resolver_keep(entry, port, out, count);
	freeaddrinfo(list);
	qsort(out, count, sizeof(out[0]), resolver_compare);
	return (int)count;
}

/* Takes a look-up's outcome over. True when the addresses are other than before. Locked. */
static bool resolver_store(struct resolver_name *name, const struct sockaddr_storage *found,
			   int count)
{
	name->last_ms = clock_now_ms();
	if (count <= 0) {
		name->next_ms = name->last_ms + backoff_next(&name->backoff);
		return false;
	}
	backoff_reset(&name->backoff);
	name->next_ms = name->last_ms + RESOLVER_REFRESH_MS;
	if (name->found_count == (size_t)count &&
	    memcmp(name->found, found, (size_t)count * sizeof(found[0])) == 0)
		return false;
	memcpy(name->found, found, (size_t)count * sizeof(found[0]));
	name->found_count = (size_t)count;
	return true;
}

/* The name that is due first, or NULL when there are none. Locked. */
static struct resolver_name *resolver_first_due(struct resolver *resolver)
{
	struct resolver_name *first = NULL;
	for (size_t i = 0; i < resolver->count; i++) {
		struct resolver_name *name = &resolver->names[i];
		if (name->address && (!first || name->next_ms < first->next_ms))
			first = name;
	}
	return first;
}

/* Waits for `condition`, until `until_ms` at the latest. 0 when signalled. Locked. */
static int resolver_sleep(struct resolver *resolver, pthread_cond_t *condition, int64_t until_ms)
{
	const struct timespec until = clock_timespec(until_ms);
	return pthread_cond_timedwait(condition, &resolver->lock, &until);
}

/* A name has been looked up for the first time. Locked. */
static void resolver_count_first(struct resolver *resolver)
{
	if (--resolver->pending == 0)
		pthread_cond_broadcast(&resolver->looked_up);
}

static void *resolver_run(void *ctx)
{
	struct resolver *resolver = ctx;
	struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
	pthread_mutex_lock(&resolver->lock);
	while (!resolver->stopping) {
		struct resolver_name *name = resolver_first_due(resolver);
		if (name->next_ms > clock_now_ms()) {
			resolver_sleep(resolver, &resolver->wake, name->next_ms);
			continue;
		}
		pthread_mutex_unlock(&resolver->lock);
		int count = resolver_look_up(name->host, name->port, found);
		pthread_mutex_lock(&resolver->lock);
		if (name->last_ms == 0)
			resolver_count_first(resolver);
		bool changed = resolver_store(name, found, count);
		if (changed && !resolver->stopping) {
			pthread_mutex_unlock(&resolver->lock);
			resolver->changed(resolver->ctx);
			pthread_mutex_lock(&resolver->lock);
		}
	}
	pthread_mutex_unlock(&resolver->lock);
	return NULL;
}

static void resolver_init_name(struct resolver *resolver, struct resolver_name *name,
			       const struct address *address)
{
	if (address->kind != ADDRESS_HOST)
		return;
	resolver->pending++;
	name->address = address;
	name->port = address->port;
	memcpy(name->host, address->host, sizeof(name->host));
	name->backoff = (struct backoff){.min_ms = 1000, .max_ms = RESOLVER_REFRESH_MS};
}

struct resolver *resolver_create(const struct address *const *names, size_t count,
				 void (*changed)(void *ctx), void *ctx)
{
	struct resolver *resolver =
		calloc(1, sizeof(*resolver) + count * sizeof(resolver->names[0]));
	if (!resolver)
		return NULL;
	resolver->changed = changed;
	resolver->ctx = ctx;
	resolver->count = count;
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&resolver->wake, &attributes);
	pthread_cond_init(&resolver->looked_up, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&resolver->lock, NULL);
	for (size_t i = 0; i < count; i++)
		resolver_init_name(resolver, &resolver->names[i], names[i]);
	if (!resolver_first_due(resolver))
		return resolver;
	if (pthread_create(&resolver->thread, NULL, resolver_run, resolver) != 0) {
		resolver_destroy(resolver);
		return NULL;
	}
	resolver->started = true;
	pthread_setname_np(resolver->thread, "resolver");
	return resolver;
}

void resolver_destroy(struct resolver *resolver)
{
	if (!resolver)
		return;
	if (resolver->started) {
		pthread_mutex_lock(&resolver->lock);
		resolver->stopping = true;
		pthread_cond_signal(&resolver->wake);
		pthread_mutex_unlock(&resolver->lock);
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += RESOLVER_STOP_MS / 1000;
		if (pthread_timedjoin_np(resolver->thread, NULL, &until) != 0) {
			pthread_detach(resolver->thread);
			return;
		}
	}
	pthread_cond_destroy(&resolver->wake);
	pthread_cond_destroy(&resolver->looked_up);
	pthread_mutex_destroy(&resolver->lock);
	free(resolver);
}

size_t resolver_read(struct resolver *resolver, size_t index,
		     struct sockaddr_storage out[RESOLVER_ADDRESSES_MAX])
{
	struct resolver_name *name = &resolver->names[index];
	pthread_mutex_lock(&resolver->lock);
	size_t count = name->found_count;
	memcpy(out, name->found, count * sizeof(out[0]));
	pthread_mutex_unlock(&resolver->lock);
	return count;
}

void resolver_hurry(struct resolver *resolver, size_t index)
{
	struct resolver_name *name = &resolver->names[index];
	if (!name->address)
		return;
	pthread_mutex_lock(&resolver->lock);
	int64_t soon = name->last_ms + RESOLVER_HURRY_MS;
	if (soon < name->next_ms) {
		name->next_ms = soon;
		pthread_cond_signal(&resolver->wake);
	}
	pthread_mutex_unlock(&resolver->lock);
}

/* The name of `resolver` that is the same as `name`, or NULL. Host and port never change. */
static struct resolver_name *resolver_find(struct resolver *resolver,
					   const struct resolver_name *name)
{
	for (size_t i = 0; i < resolver->count; i++) {
		struct resolver_name *known = &resolver->names[i];
		if (known->address && known->port == name->port &&
		    strcmp(known->host, name->host) == 0)
			return known;
	}
	return NULL;
}

void resolver_inherit(struct resolver *resolver, struct resolver *old)
{
	struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
	for (size_t i = 0; i < old->count; i++) {
		struct resolver_name *heir = NULL;
		if (old->names[i].address)
			heir = resolver_find(resolver, &old->names[i]);
		if (!heir)
			continue;
		size_t count = resolver_read(old, i, found);
		pthread_mutex_lock(&resolver->lock);
		if (heir->found_count == 0) {
			memcpy(heir->found, found, count * sizeof(found[0]));
			heir->found_count = count;
		}
		pthread_mutex_unlock(&resolver->lock);
	}
}

void resolver_wait(struct resolver *resolver, int wait_ms)
{
	int64_t until_ms = clock_now_ms() + wait_ms;
	pthread_mutex_lock(&resolver->lock);
	while (resolver->pending > 0 &&
	       resolver_sleep(resolver, &resolver->looked_up, until_ms) == 0)
		;
	pthread_mutex_unlock(&resolver->lock);
}
