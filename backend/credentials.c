/* Certificates for gRPC, read again when they change. */
#include "backend/credentials.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"

#include <event2/buffer.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One listener's: gRPC asks for each of them apart. */
struct listener {
	struct listener *next;
	struct credentials *credentials;
	uint64_t given; /* the generation gRPC has; 0: none */
};

struct credentials {
	char *certificate, *key, *ca;
	pthread_mutex_t lock; /* for what follows: handshakes are on gRPC's threads */
	struct tls_material material;
	uint64_t generation; /* of the material, from 1 */
	struct listener *listeners;
	int64_t looked_ms;
	unsigned int complaints; /* looks in a row that found the files bad */
	uint64_t reloads;
	uint64_t failures;
};

static int copy(char **out, const char *text)
{
	*out = text != NULL ? strdup(text) : NULL;
	return text != NULL && *out == NULL ? -1 : 0;
}

struct credentials *credentials_create(const struct tls_files *files, char *error,
				       size_t error_size)
{
	struct credentials *credentials = calloc(1, sizeof(*credentials));

	snprintf(error, error_size, "out of memory");
	if (credentials == NULL)
		return NULL;
	pthread_mutex_init(&credentials->lock, NULL);
	if (copy(&credentials->certificate, files->certificate) < 0 ||
	    copy(&credentials->key, files->key) < 0 || copy(&credentials->ca, files->ca) < 0 ||
	    tls_files_read(files, &credentials->material, error, error_size) < 0) {
		credentials_destroy(credentials);
		return NULL;
	}
	credentials->looked_ms = clock_now_ms();
	credentials->generation = 1;
	return credentials;
}

void credentials_destroy(struct credentials *credentials)
{
	struct listener *next;

	if (credentials == NULL)
		return;
	for (struct listener *listener = credentials->listeners; listener != NULL;
	     listener = next) {
		next = listener->next;
		free(listener);
	}
	tls_material_clear(&credentials->material);
	pthread_mutex_destroy(&credentials->lock);
	free(credentials->certificate);
	free(credentials->key);
	free(credentials->ca);
	free(credentials);
}

/* The first time files are bad they may only be half written: the second is worth a line. */
static void complain(struct credentials *credentials, const char *error)
{
	credentials->failures++;
	if (++credentials->complaints == 2)
		log_error("certificates not reloaded: those in use stay", "reason=%s", error);
}

/* Takes changed files over. */
static void look(struct credentials *credentials)
{
	const struct tls_files files = {credentials->certificate, credentials->key,
					credentials->ca};
	struct tls_material fresh;
	char error[400];

	if (tls_files_read(&files, &fresh, error, sizeof(error)) < 0) {
		complain(credentials, error);
		return;
	}
	credentials->complaints = 0;
	if (tls_material_equal(&fresh, &credentials->material)) {
		tls_material_clear(&fresh);
		return;
	}
	tls_material_clear(&credentials->material);
	credentials->material = fresh;
	credentials->generation++;
	credentials->reloads++;
	log_info("certificates reloaded", "certificate=%s", credentials->certificate);
}

/* gRPC's question before each handshake. */
static grpc_ssl_certificate_config_reload_status
on_handshake(void *ctx, grpc_ssl_server_certificate_config **config)
{
	struct listener *listener = ctx;
	struct credentials *credentials = listener->credentials;
	grpc_ssl_certificate_config_reload_status status =
		GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
	int64_t now_ms = clock_now_ms();

	pthread_mutex_lock(&credentials->lock);
	if (now_ms - credentials->looked_ms >= TLS_FILES_INTERVAL_MS) {
		credentials->looked_ms = now_ms;
		look(credentials);
	}
	if (listener->given != credentials->generation) {
		const grpc_ssl_pem_key_cert_pair pair = {
			.private_key = credentials->material.key,
			.cert_chain = credentials->material.certificate,
		};
		/* gRPC insists on roots, also where no client is asked for a certificate */
		const char *roots = credentials->ca != NULL ? credentials->material.ca
							    : credentials->material.certificate;
		*config = grpc_ssl_server_certificate_config_create(roots, &pair, 1);
		listener->given = credentials->generation;
		status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
	}
	pthread_mutex_unlock(&credentials->lock);
	return status;
}

grpc_server_credentials *credentials_open(struct credentials *credentials)
{
	grpc_ssl_client_certificate_request_type request =
		credentials->ca != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
					: GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;

	struct listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL)
		return NULL;
	listener->credentials = credentials;
	listener->next = credentials->listeners;
	credentials->listeners = listener;
	return grpc_ssl_server_credentials_create_with_options(
		grpc_ssl_server_credentials_create_options_using_config_fetcher(
			request, on_handshake, listener));
}

void credentials_collect(void *ctx, struct evbuffer *out)
{
	struct credentials *credentials = ctx;

	pthread_mutex_lock(&credentials->lock);
	metrics_print_gauge(out, "godwit_backend_certificate_expiry_seconds",
			    "When the certificate in use expires, Unix time.",
			    (double)credentials->material.not_after);
	evbuffer_add_printf(out,
			    "# HELP godwit_backend_certificate_reloads_total Changed certificates "
			    "taken over.\n"
			    "# TYPE godwit_backend_certificate_reloads_total counter\n"
			    "godwit_backend_certificate_reloads_total %llu\n"
			    "# HELP godwit_backend_certificate_failures_total Looks at certificate "
			    "files that could not be used.\n"
			    "# TYPE godwit_backend_certificate_failures_total counter\n"
			    "godwit_backend_certificate_failures_total %llu\n",
			    (unsigned long long)credentials->reloads,
			    (unsigned long long)credentials->failures);
	pthread_mutex_unlock(&credentials->lock);
}
