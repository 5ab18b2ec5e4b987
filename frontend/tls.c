/* The certificates in use, and the thread that looks after them. */
#include "frontend/tls.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/tls_files.h"
#include "frontend/tls_set.h"
#include "frontend/tls_tickets.h"

#include <event2/buffer.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TLS_PURPOSES 2

struct tls {
	const struct frontend_tls *config;
	struct tls_tickets *tickets;
	pthread_mutex_t lock;            /* for what follows */
	SSL_CTX *contexts[TLS_PURPOSES]; /* what new sessions begin with */
	struct tls_material *materials;  /* what they were made of; of config->count */
	uint64_t generation;             /* of the materials: 1, and one more with each change */
	uint64_t reloads;
	uint64_t failures;
	/* The thread. */
	pthread_t thread;
	bool started;
	bool stopping;
	pthread_cond_t wake;
	char complaint[400];     /* what failed at the last look */
	unsigned int complaints; /* looks in a row at which it did */
};

/* --- loading ---------------------------------------------------------------------------------- */

static void tls_free_materials(struct tls_material *materials, size_t count)
{
	for (size_t i = 0; materials && i < count; i++)
		tls_material_clear(&materials[i]);
	free(materials);
}

static struct tls_material *tls_read(const struct frontend_tls *config, char *error,
				     size_t error_size)
{
	struct tls_material *materials = calloc(config->count, sizeof(materials[0]));
	if (!materials) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < config->count; i++) {
		const struct tls_files files = {
			.certificate = config->certificates[i].certificate,
			.key = config->certificates[i].key,
		};
		if (tls_files_read(&files, &materials[i], error, error_size) != 0) {
			tls_free_materials(materials, config->count);
			return NULL;
		}
	}
	return materials;
}

static bool tls_is_current(const struct tls *tls, const struct tls_material *materials)
{
	for (size_t i = 0; i < tls->config->count; i++)
		if (!tls_material_equal(&tls->materials[i], &materials[i]))
			return false;
	return true;
}

/* Makes contexts of the materials and begins to use both; they are the tls' then. 0 or -1. */
static int tls_take_over(struct tls *tls, struct tls_material *materials, char *error,
			 size_t error_size)
{
	SSL_CTX *contexts[TLS_PURPOSES] = {NULL};
	for (int i = 0; i < TLS_PURPOSES; i++) {
		contexts[i] = tls_set_create(materials, tls->config->count, (enum tls_purpose)i,
					     tls->tickets, error, error_size);
		if (!contexts[i]) {
			SSL_CTX_free(contexts[0]);
			return -1;
		}
	}
	pthread_mutex_lock(&tls->lock);
	struct tls_material *old = tls->materials;
	tls->materials = materials;
	tls->generation++;
	for (int i = 0; i < TLS_PURPOSES; i++) {
		SSL_CTX *before = tls->contexts[i];
		tls->contexts[i] = contexts[i];
		SSL_CTX_free(before);
	}
	pthread_mutex_unlock(&tls->lock);
	tls_free_materials(old, tls->config->count);
	return 0;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void tls_complain(struct tls *tls, const char *error)
{
	pthread_mutex_lock(&tls->lock);
	tls->failures++;
	pthread_mutex_unlock(&tls->lock);
	if (strcmp(tls->complaint, error) != 0)
		tls->complaints = 0;
	snprintf(tls->complaint, sizeof(tls->complaint), "%s", error);
	if (++tls->complaints == 2)
		log_error("certificates not reloaded: those in use stay", "reason=%s", error);
}

/* Looks at the files. What may only be half written is complained about at the second look. */
static void tls_look(struct tls *tls)
{
	char error[400];
	struct tls_material *materials = tls_read(tls->config, error, sizeof(error));
	if (!materials) {
		tls_complain(tls, error);
		return;
	}
	if (tls_is_current(tls, materials)) {
		tls_free_materials(materials, tls->config->count);
		tls->complaint[0] = '\0';
		return;
	}
	if (tls_take_over(tls, materials, error, sizeof(error)) != 0) {
		tls_free_materials(materials, tls->config->count);
		tls_complain(tls, error);
		return;
	}
	tls->complaint[0] = '\0';
	pthread_mutex_lock(&tls->lock);
	tls->reloads++;
	pthread_mutex_unlock(&tls->lock);
	log_info("certificates reloaded", "count=%zu", tls->config->count);
}

/* Waits for the next look. False when the thread is to end. */
static bool tls_wait(struct tls *tls)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += TLS_FILES_INTERVAL_MS / 1000;
	pthread_mutex_lock(&tls->lock);
	while (!tls->stopping && pthread_cond_timedwait(&tls->wake, &tls->lock, &until) == 0)
		continue;
	bool go_on = !tls->stopping;
	pthread_mutex_unlock(&tls->lock);
	return go_on;
}

static void *tls_run(void *ctx)
{
	struct tls *tls = ctx;
	int64_t rotate_ms = clock_now_ms() + TLS_TICKET_KEY_S * 1000;
	while (tls_wait(tls)) {
		tls_look(tls);
		if (clock_now_ms() < rotate_ms)
			continue;
		tls_tickets_rotate(tls->tickets);
		rotate_ms = clock_now_ms() + TLS_TICKET_KEY_S * 1000;
	}
	return NULL;
}

static int tls_start_thread(struct tls *tls)
{
	if (pthread_create(&tls->thread, NULL, tls_run, tls) != 0)
		return -1;
	tls->started = true;
	pthread_setname_np(tls->thread, "certificates");
	return 0;
}

/* --- life and death --------------------------------------------------------------------------- */

struct tls *tls_create(const struct frontend_tls *config, char *error, size_t error_size)
{
	snprintf(error, error_size, "tls: out of memory, threads or random numbers");
	struct tls *tls = calloc(1, sizeof(*tls));
	if (!tls)
		return NULL;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&tls->lock, NULL);
	pthread_cond_init(&tls->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	tls->config = config;
	tls->tickets = tls_tickets_create(TLS_SESSION_S);
	if (!tls->tickets)
		goto failed;
	struct tls_material *materials = tls_read(config, error, error_size);
	if (!materials)
		goto failed;
	if (tls_take_over(tls, materials, error, error_size) != 0) {
		tls_free_materials(materials, config->count);
		goto failed;
	}
	if (tls_start_thread(tls) == 0)
		return tls;
failed:
	tls_destroy(tls);
	return NULL;
}

void tls_destroy(struct tls *tls)
{
	if (!tls)
		return;
	if (tls->started) {
		pthread_mutex_lock(&tls->lock);
		tls->stopping = true;
		pthread_cond_signal(&tls->wake);
		pthread_mutex_unlock(&tls->lock);
		pthread_join(tls->thread, NULL);
	}
	for (int i = 0; i < TLS_PURPOSES; i++)
		SSL_CTX_free(tls->contexts[i]);
	tls_free_materials(tls->materials, tls->config->count);
	tls_tickets_destroy(tls->tickets);
	pthread_cond_destroy(&tls->wake);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

SSL *tls_open_session(struct tls *tls, enum tls_purpose purpose)
{
	pthread_mutex_lock(&tls->lock);
	SSL *ssl = SSL_new(tls->contexts[purpose]);
	pthread_mutex_unlock(&tls->lock);
	return ssl;
}

void tls_look_at_materials(struct tls *tls, uint64_t *generation, tls_materials_fn *take, void *ctx)
{
	pthread_mutex_lock(&tls->lock);
	if (*generation != tls->generation) {
		*generation = tls->generation;
		take(ctx, tls->materials, tls->config->count);
	}
	pthread_mutex_unlock(&tls->lock);
}

/* --- metrics ---------------------------------------------------------------------------------- */

void tls_collect(void *ctx, struct evbuffer *out)
{
	static const char name[] = "godwit_frontend_certificate_expiry_seconds";
	struct tls *tls = ctx;
	pthread_mutex_lock(&tls->lock);
	evbuffer_add_printf(out,
			    "# HELP %s When a certificate in use expires, Unix time.\n"
			    "# TYPE %s gauge\n",
			    name, name);
	for (size_t i = 0; i < tls->config->count; i++) {
		evbuffer_add_printf(out, "%s{certificate=\"", name);
		metrics_print_label(out, tls->config->certificates[i].certificate);
		evbuffer_add_printf(out, "\"} %lld\n", (long long)tls->materials[i].not_after);
	}
	evbuffer_add_printf(
		out,
		"# HELP godwit_frontend_certificate_reloads_total Changed certificates "
		"taken over.\n"
		"# TYPE godwit_frontend_certificate_reloads_total counter\n"
		"godwit_frontend_certificate_reloads_total %llu\n"
		"# HELP godwit_frontend_certificate_failures_total Looks at certificate "
		"files that could not be used.\n"
		"# TYPE godwit_frontend_certificate_failures_total counter\n"
		"godwit_frontend_certificate_failures_total %llu\n",
		(unsigned long long)tls->reloads, (unsigned long long)tls->failures);
	pthread_mutex_unlock(&tls->lock);
}
