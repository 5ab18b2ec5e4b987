/*
 * The admin server's side of the announcer: pages, readiness, gauges, all from the last snapshot;
 * and draining by hand, which sets a flag and wakes the control thread.
 */
#include "announcer/announcer_internal.h"

#include "common/admin.h"
#include "common/metrics.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Copies what was printed into the reply. False, with a line, when it does not fit. */
static bool announcer_reply(struct evbuffer *page, char *reply, size_t reply_size)
{
	size_t size = page ? evbuffer_get_length(page) : 0;
	bool fits = page && size < reply_size;
	if (fits) {
		evbuffer_remove(page, reply, size);
		while (size > 0 && reply[size - 1] == '\n')
			size--;
		reply[size] = '\0';
	} else {
		snprintf(reply, reply_size, page ? "the page is too big" : "out of memory");
	}
	if (page)
		evbuffer_free(page);
	return fits;
}

static bool announcer_print(struct announcer *announcer, char *reply, size_t reply_size,
			    void (*print)(const struct status_snapshot *, struct evbuffer *))
{
	struct status_snapshot *snapshot = status_take(&announcer->status);
	if (!snapshot) {
		snprintf(reply, reply_size, "nothing is known yet");
		return false;
	}
	struct evbuffer *page = evbuffer_new();
	if (page)
		print(snapshot, page);
	status_give_back(&announcer->status, snapshot);
	return announcer_reply(page, reply, reply_size);
}

/* GET /status, GET /status.json */
static bool announcer_on_status(void *ctx, const char *query, char *reply, size_t reply_size)
{
	(void)query;
	return announcer_print(ctx, reply, reply_size, status_print_text);
}

static bool announcer_on_json(void *ctx, const char *query, char *reply, size_t reply_size)
{
	(void)query;
	return announcer_print(ctx, reply, reply_size, status_print_json);
}

/* Finds the services that "service=NAME" speaks of, all without it. False with a line. */
static bool announcer_find_services(const struct announcer *announcer, const char *query,
				    size_t *first, size_t *end, char *reply, size_t reply_size)
{
	static const char key[] = "service=";
	const struct announcer_config *config = announcer->config;
	*first = 0;
	*end = config->service_count;
	if (!query || !*query)
		return true;
	if (strncmp(query, key, strlen(key)) != 0) {
		snprintf(reply, reply_size, "not understood: give ?service=NAME");
		return false;
	}
	for (size_t i = 0; i < config->service_count; i++)
		if (strcmp(config->services[i].name, query + strlen(key)) == 0) {
			*first = i;
			*end = i + 1;
			return true;
		}
	snprintf(reply, reply_size, "there is no service %.200s", query + strlen(key));
	return false;
}

/* Drains, or brings back. */
static bool announcer_set_drained(struct announcer *announcer, const char *query, bool drained,
				  char *reply, size_t reply_size)
{
	const uint64_t one = 1;
	size_t first;
	size_t end;
	size_t used = 0;
	if (!announcer_find_services(announcer, query, &first, &end, reply, reply_size))
		return false;
	for (size_t i = first; i < end; i++) {
		atomic_store(&announcer->services[i]->drained_by_hand, drained);
		int written = snprintf(reply + used, reply_size - used, "%s%s: %s",
				       used ? "\n" : "", announcer->config->services[i].name,
				       drained ? "to be drained" : "no longer drained by hand");
		if (written > 0 && (size_t)written < reply_size - used)
			used += (size_t)written;
	}
	/* Only a full counter could refuse: then the loop is awake anyway. */
	return write(announcer->wake_fd, &one, sizeof(one)) == sizeof(one);
}

/* POST /drain[?service=NAME], POST /undrain[?service=NAME] */
static bool announcer_on_drain(void *ctx, const char *query, char *reply, size_t reply_size)
{
	return announcer_set_drained(ctx, query, true, reply, reply_size);
}

static bool announcer_on_undrain(void *ctx, const char *query, char *reply, size_t reply_size)
{
	return announcer_set_drained(ctx, query, false, reply, reply_size);
}

static bool announcer_is_ready(void *ctx, char *reason, size_t reason_size)
{
	struct announcer *announcer = ctx;
	struct status_snapshot *snapshot = status_take(&announcer->status);
	bool ready = false;
	if (snapshot)
		ready = status_is_ready(snapshot, reason, reason_size);
	else
		snprintf(reason, reason_size, "starting");
	status_give_back(&announcer->status, snapshot);
	return ready;
}

static void announcer_collect(void *ctx, struct evbuffer *out)
{
	struct announcer *announcer = ctx;
	struct status_snapshot *snapshot = status_take(&announcer->status);
	if (snapshot)
		status_print_metrics(snapshot, out);
	status_give_back(&announcer->status, snapshot);
}

int announcer_start_admin(struct announcer *announcer, char *error, size_t error_size)
{
	metrics_add_collector(announcer->metrics, announcer_collect, announcer);
	announcer->admin = admin_create(announcer->config->admin, announcer->metrics,
					announcer_is_ready, announcer, error, error_size);
	if (!announcer->admin)
		return -1;
	admin_add_page(announcer->admin, ADMIN_GET, "/status", announcer_on_status, announcer);
	admin_add_page(announcer->admin, ADMIN_GET, "/status.json", announcer_on_json, announcer);
	admin_add_page(announcer->admin, ADMIN_POST, "/drain", announcer_on_drain, announcer);
	admin_add_page(announcer->admin, ADMIN_POST, "/undrain", announcer_on_undrain, announcer);
	if (admin_watch(announcer->admin, announcer->heartbeats) == 0)
		return admin_serve(announcer->admin, error, error_size);
	snprintf(error, error_size, "out of memory");
	return -1;
}
