/* Readiness, collected metrics, and the cache's pages. */
#include "frontend/status.h"

#include "common/admin.h"
#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"
#include "common/metrics.h"
#include "dns/name.h"
#include "frontend/cache.h"
#include "frontend/cache_show.h"
#include "frontend/freshness.h"
#include "frontend/life_line.h"
#include "frontend/watcher.h"
#include "frontend/zone_ledger.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool status_is_ready(void *ctx, char *reason, size_t reason_size)
{
	struct status *status = ctx;
	if (atomic_load(&status->stopping)) {
		snprintf(reason, reason_size, "shutting down");
		return false;
	}
	if (atomic_load(&status->draining)) {
		snprintf(reason, reason_size, "draining");
		return false;
	}
	if (!heartbeats_describe(status->heartbeats, reason, reason_size))
		return false;
	for (size_t i = 0; i < status->worker_count; i++)
		if (!worker_is_ready(status->workers[i], reason, reason_size))
			return false;
	snprintf(reason, reason_size, "every route has a backend");
	return true;
}

/* The figures of one backend address, all workers added up. */
struct status_row {
	char backend[2 * ADDRESS_TEXT_MAX]; /* as a label value */
	uint64_t calls;
	uint64_t failures;
	uint64_t in_flight;
	unsigned int streams;
	bool up;
	struct freshness_row data; /* the worst, where it is reached in more than one way */
};

struct status_table {
	struct status_row *rows;
	size_t count;
	const struct freshness *freshness;
	int64_t now_ms;
};

/* Escapes a label value: backslash and double quote (a unix path may have them). */
static void status_escape(const char *text, char *out)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
}

static struct status_row *status_find_row(struct status_table *table, const char *backend)
{
	char label[2 * ADDRESS_TEXT_MAX];
	status_escape(backend, label);
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->rows[i].backend, label) == 0)
			return &table->rows[i];
	struct status_row *rows = realloc(table->rows, (table->count + 1) * sizeof(rows[0]));
	if (!rows)
		return NULL;
	table->rows = rows;
	struct status_row *row = &rows[table->count++];
	*row = (struct status_row){0};
	memcpy(row->backend, label, sizeof(row->backend));
	return row;
}

static void status_add_freshness(struct status_row *row, const struct freshness_row *data)
{
	if (!data->known)
		return;
	if (!row->data.known) {
		row->data = *data;
		return;
	}
	row->data.loaded &= data->loaded;
	row->data.heard &= data->heard;
	row->data.store_up &= data->store_up;
	if (data->age_ms > row->data.age_ms)
		row->data.age_ms = data->age_ms;
}

static void status_add_replica(void *ctx, const struct replica *replica)
{
	struct status_table *table = ctx;
	struct status_row *row = status_find_row(table, replica->address.text);
	struct freshness_row data;
	const struct replica_figures *figures = &replica->figures;
	if (!row)
		return;
	row->calls += atomic_load_explicit(&figures->calls, memory_order_relaxed);
	row->failures += atomic_load_explicit(&figures->failures, memory_order_relaxed);
	row->in_flight += atomic_load_explicit(&figures->in_flight, memory_order_relaxed);
	row->up |= atomic_load_explicit(&figures->connected, memory_order_relaxed) &&
		   atomic_load_explicit(&figures->trusted, memory_order_relaxed);
	row->streams += atomic_load_explicit(&figures->streams, memory_order_relaxed);
	freshness_read(table->freshness, replica->source, table->now_ms, &data);
	status_add_freshness(row, &data);
}

static void status_print_head(struct evbuffer *out, const char *name, const char *type,
			      const char *help)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

#define PRINT_ROWS(out, table, name, type, help, field)                                            \
	do {                                                                                       \
		status_print_head(out, name, type, help);                                          \
		for (size_t i_ = 0; i_ < (table)->count; i_++)                                     \
			evbuffer_add_printf(out, name "{backend=\"%s\"} %llu\n",                   \
					    (table)->rows[i_].backend,                             \
					    (unsigned long long)(table)->rows[i_].field);          \
	} while (0)

static void status_print_backends(struct evbuffer *out, const struct status_table *table)
{
	PRINT_ROWS(out, table, "godwit_frontend_backend_calls_total", "counter",
		   "Calls to a backend address, probes included.", calls);
	PRINT_ROWS(out, table, "godwit_frontend_backend_failures_total", "counter",
		   "Calls that failed or brought no proper reply.", failures);
	PRINT_ROWS(out, table, "godwit_frontend_backend_in_flight", "gauge",
		   "Calls to a backend address in flight.", in_flight);
	PRINT_ROWS(out, table, "godwit_frontend_backend_up", "gauge",
		   "1 when a worker is connected to the address and it answers.", up);
	PRINT_ROWS(out, table, "godwit_frontend_backend_streams", "gauge",
		   "Exchange streams open to a backend address, one for each worker.", streams);
}

/* Of backends that say how their data stands; the others have no such figures. */
static void status_print_freshness(struct evbuffer *out, const struct status_table *table)
{
	static const char age[] = "godwit_frontend_backend_data_age_seconds";
	static const char up[] = "godwit_frontend_backend_store_up";
	status_print_head(out, age, "gauge",
			  "Time since a backend's data was last known to equal its store.");
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].data.known && table->rows[i].data.loaded)
			evbuffer_add_printf(out, "%s{backend=\"%s\"} %.3f\n", age,
					    table->rows[i].backend,
					    (double)table->rows[i].data.age_ms / 1000);
	status_print_head(out, up, "gauge", "1 while a backend says that it follows its store.");
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].data.known && table->rows[i].data.heard)
			evbuffer_add_printf(out, "%s{backend=\"%s\"} %d\n", up,
					    table->rows[i].backend, table->rows[i].data.store_up);
}

static void status_print_cache(struct evbuffer *out, const struct cache *cache)
{
	metrics_print_gauge(out, "godwit_frontend_cache_size_bytes", "Memory of the answer cache.",
			    (double)cache_size(cache));
	metrics_print_gauge(out, "godwit_frontend_cache_entries",
			    "Replies held in the answer cache.", (double)cache_count(cache));
}

static void status_print_zones(struct evbuffer *out, const struct status *status)
{
	int64_t now_ms = clock_now_ms();
	for (size_t i = 0; i < status->worker_count; i++)
		zone_ledger_gather(status->zones, i, worker_zones(status->workers[i]), now_ms);
	zone_ledger_print(status->zones, status->top_zones, out);
}

static void status_print_life_line(struct evbuffer *out, const struct life_line *line)
{
	static const char refused[] = "godwit_frontend_life_lines_refused_total";
	metrics_print_gauge(out, "godwit_frontend_life_lines",
			    "Announcers connected to the life line.", life_line_count(line));
	status_print_head(out, refused, "counter",
			  "Announcers not let in, or closed for what they did.");
	evbuffer_add_printf(out, "%s %llu\n", refused, (unsigned long long)life_line_refused(line));
}

/* Reads "name=www.example.com" as a wire name. False with a line in `reply` if it is none. */
static bool status_read_name(const char *query, uint8_t *name, char *reply, size_t reply_size)
{
	static const char key[] = "name=";
	char *text = NULL;
	if (query && strncmp(query, key, strlen(key)) == 0)
		text = evhttp_uridecode(query + strlen(key), 1, NULL);
	if (!text) {
		snprintf(reply, reply_size, "not understood: give ?name=NAME");
		return false;
	}
	int size = dns_name_from_text(text, strlen(text), NULL, name);
	if (size < 0)
		snprintf(reply, reply_size, "%s: %s", text, dns_error_text(size));
	free(text);
	return size >= 0;
}

/* False with a line in `reply`: the front end has no cache. */
static bool status_has_cache(const struct status *status, char *reply, size_t reply_size)
{
	if (!status->cache)
		snprintf(reply, reply_size, "there is no cache: cache.size_mb is 0");
	return status->cache != NULL;
}

/* An admin_page_fn, as the next one. */
static bool status_flush_cache(void *ctx, const char *query, char *reply, size_t reply_size)
{
	struct status *status = ctx;
	uint8_t name[DNS_NAME_MAX];
	if (!status_has_cache(status, reply, reply_size) ||
	    (query && !status_read_name(query, name, reply, reply_size)))
		return false;
	size_t count = cache_flush(status->cache, query ? name : NULL);
	log_info("cache flushed", "answers=%zu of=%s", count, query ? query : "all");
	snprintf(reply, reply_size, "%zu answer%s forgotten", count, count == 1 ? "" : "s");
	return true;
}

static bool status_show_cache(void *ctx, const char *query, char *reply, size_t reply_size)
{
	struct status *status = ctx;
	uint8_t name[DNS_NAME_MAX];
	if (!status_has_cache(status, reply, reply_size) ||
	    !status_read_name(query, name, reply, reply_size))
		return false;
	cache_show_name(status->cache, name, clock_now_ms(), reply, reply_size);
	return true;
}

void status_add_pages(struct status *status, struct admin *admin)
{
	admin_add_page(admin, ADMIN_POST, "/cache/flush", status_flush_cache, status);
	admin_add_page(admin, ADMIN_GET, "/cache", status_show_cache, status);
}

void status_collect(void *ctx, struct evbuffer *out)
{
	struct status *status = ctx;
	struct status_table table = {.freshness = status->freshness, .now_ms = clock_now_ms()};
	size_t in_flight = 0;
	for (size_t i = 0; i < status->worker_count; i++) {
		in_flight += worker_in_flight(status->workers[i]);
		worker_visit_replicas(status->workers[i], status_add_replica, &table);
	}
	metrics_print_gauge(out, "godwit_frontend_queries_in_flight",
			    "Queries received and not answered yet.", (double)in_flight);
	metrics_print_gauge(out, "godwit_frontend_tcp_connections", "TCP connections open.",
			    (double)atomic_load(&status->tcp_open));
	metrics_print_gauge(out, "godwit_frontend_tls_connections", "Encrypted connections open.",
			    (double)atomic_load(&status->tls_open));
	if (status->cache)
		status_print_cache(out, status->cache);
	if (status->watcher)
		metrics_print_gauge(out, "godwit_frontend_watches",
				    "Backend addresses that tell their changes.",
				    watcher_count(status->watcher));
	if (status->life_line)
		status_print_life_line(out, status->life_line);
	if (status->zones)
		status_print_zones(out, status);
	status_print_backends(out, &table);
	status_print_freshness(out, &table);
	free(table.rows);
}
