/* backend.yaml as a struct; docs/backend.yaml explains every key. */
#ifndef GODWIT_BACKEND_CONFIG_H
#define GODWIT_BACKEND_CONFIG_H

#include "common/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend_tls_config {
	char *certificate;
	char *key;
	char *client_ca;
};

struct backend_config {
	char **listen; /* as common/address.h reads them; never empty */
	uint32_t listen_count;
	uint32_t threads;               /* query threads; 0: chosen by the number of CPUs */
	char *storage;                  /* URL of the record store */
	char *password_file;            /* or NULL */
	char *admin;                    /* address of the admin server */
	struct backend_tls_config *tls; /* NULL: plaintext */
	bool insecure;                  /* plaintext beyond this machine is wanted */
	char *snapshot;                 /* path, or NULL */
	uint32_t max_loss_percent;      /* what a store may have lost when it is back */
	struct config_log log;
};

/*
 * Loads and checks `path`; NULL is a file without keys. What a file leaves out gets the default
 * that suits a first run. Returns the configuration, or NULL with one line in `error` that names
 * file, line and key.
 */
struct backend_config *backend_config_load(const char *path, char *error, size_t error_size);
/* True when something differs that a running program cannot take over: anything but `log`. */
bool backend_config_needs_restart(const struct backend_config *running,
				  const struct backend_config *fresh);

void backend_config_free(struct backend_config *config);

#endif
