/* A short table of addresses with counts. */
#include "frontend/sources.h"

#include "common/log.h"
#include "frontend/coherence.h"
#include "frontend/plan.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sources_entry {
	char key[PLAN_KEY_MAX];
	unsigned int holders; /* 0: free */
};

struct sources {
	pthread_mutex_t lock;
	struct sources_entry entries[COHERENCE_SOURCES]; /* by number; the first is not used */
};

struct sources *sources_create(void)
{
	struct sources *sources = calloc(1, sizeof(*sources));
	if (sources)
		pthread_mutex_init(&sources->lock, NULL);
	return sources;
}

void sources_destroy(struct sources *sources)
{
	if (!sources)
		return;
	pthread_mutex_destroy(&sources->lock);
	free(sources);
}

/* The entry of a key, or a free one, or 0. Under the lock. */
static uint32_t sources_find(const struct sources *sources, const char *key)
{
	uint32_t vacant = 0;
	for (uint32_t i = COHERENCE_SOURCES - 1; i > 0; i--) {
		const struct sources_entry *entry = &sources->entries[i];
		if (entry->holders == 0)
			vacant = i;
		else if (strcmp(entry->key, key) == 0)
			return i;
	}
	return vacant;
}

uint32_t sources_hold(struct sources *sources, const char *key)
{
	pthread_mutex_lock(&sources->lock);
	uint32_t source = sources_find(sources, key);
	if (source) {
		struct sources_entry *entry = &sources->entries[source];
		snprintf(entry->key, sizeof(entry->key), "%s", key);
		entry->holders++;
	}
	pthread_mutex_unlock(&sources->lock);
	if (!source)
		log_warning_limited("too many backends for the cache", "backend=%s limit=%d", key,
				    COHERENCE_SOURCES - 1);
	return source;
}

void sources_release(struct sources *sources, uint32_t source)
{
	if (!source)
		return;
	pthread_mutex_lock(&sources->lock);
	sources->entries[source].holders--;
	pthread_mutex_unlock(&sources->lock);
}
