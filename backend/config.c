#include "backend/config.h"

#include "backend/service.h"
#include "common/address.h"
#include "common/tls_files.h"
#include "storage/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LISTEN "127.0.0.1:8053"
#define DEFAULT_STORAGE "sqlite:godwit.db"
#define DEFAULT_ADMIN "127.0.0.1:9154"

#define DEFAULT_MAX_LOSS_PERCENT 50

#define LISTEN_MAX 64

/* A string that need not be there; `null` is the same as leaving it out. */
#define OPTIONAL_STRING(name, structure)                                                           \
	CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR,           \
			       structure, name, 1, CYAML_UNLIMITED)

static const cyaml_schema_field_t tls_fields[] = {
	OPTIONAL_STRING(certificate, struct backend_tls_config),
	OPTIONAL_STRING(key, struct backend_tls_config),
	OPTIONAL_STRING(client_ca, struct backend_tls_config),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t listen_entry = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t config_fields[] = {
	CYAML_FIELD_SEQUENCE("listen", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER,
			     struct backend_config, listen, &listen_entry, 1, LISTEN_MAX),
	CYAML_FIELD_UINT("threads", CYAML_FLAG_OPTIONAL, struct backend_config, threads),
	CYAML_FIELD_MAPPING_PTR("tls", CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL_STR,
				struct backend_config, tls, tls_fields),
	CYAML_FIELD_BOOL("insecure", CYAML_FLAG_OPTIONAL, struct backend_config, insecure),
	OPTIONAL_STRING(storage, struct backend_config),
	OPTIONAL_STRING(password_file, struct backend_config),
	OPTIONAL_STRING(snapshot, struct backend_config),
	CYAML_FIELD_UINT("max_loss_percent", CYAML_FLAG_OPTIONAL, struct backend_config,
			 max_loss_percent),
	OPTIONAL_STRING(admin, struct backend_config),
	CYAML_FIELD_MAPPING("log", CYAML_FLAG_OPTIONAL, struct backend_config, log,
			    config_log_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct backend_config, config_fields),
};

/* Fills in one string that was left out. False without memory. */
static bool default_string(char **value, const char *text)
{
	if (*value == NULL)
		*value = strdup(text);
	return *value != NULL;
}

static bool default_listen(struct backend_config *config)
{
	if (config->listen_count > 0)
		return true;
	free(config->listen); /* "listen:" without a value leaves an empty block */
	config->listen = calloc(1, sizeof(*config->listen));
	if (config->listen == NULL)
		return false;
	config->listen_count = 1;
	return default_string(&config->listen[0], DEFAULT_LISTEN);
}

static bool set_defaults(struct backend_config *config, const char *path)
{
	/* zero is a value too: only the file can tell whether it was asked for */
	if (path == NULL || config_find_line(path, "log.level") == 0)
		config->log.level = LOG_LEVEL_INFO;
	if (path == NULL || config_find_line(path, "max_loss_percent") == 0)
		config->max_loss_percent = DEFAULT_MAX_LOSS_PERCENT;
	return default_listen(config) && default_string(&config->storage, DEFAULT_STORAGE) &&
	       default_string(&config->admin, DEFAULT_ADMIN);
}

static int check_addresses(const struct backend_config *config, const char *path, char *error,
			   size_t error_size)
{
	struct address address;
	char reason[200];
	char key[32];

	for (uint32_t i = 0; i < config->listen_count; i++) {
		if (address_parse(config->listen[i], &address, reason, sizeof(reason)) < 0) {
			snprintf(key, sizeof(key), "listen[%u]", i);
			config_error(error, error_size, path, key, "%s", reason);
			return -1;
		}
	}
	if (address_parse(config->admin, &address, reason, sizeof(reason)) < 0) {
		config_error(error, error_size, path, "admin", "%s", reason);
		return -1;
	}
	if (address.kind == ADDRESS_UNIX) {
		config_error(error, error_size, path, "admin", "an address and port, not a path");
		return -1;
	}
	return 0;
}

/* The URL is right if a store can be made from it; that touches no file and no network. */
static int check_storage(const struct backend_config *config, const char *path, char *error,
			 size_t error_size)
{
	const struct storage_options options = {.password_file = config->password_file,
						.read_only = true};
	char reason[512];
	struct storage *storage = storage_create(config->storage, &options, reason, sizeof(reason));

	if (storage == NULL) {
		config_error(error, error_size, path, "storage", "%s", reason);
		return -1;
	}
	storage_destroy(storage);
	return 0;
}

/* Certificates that can be used; or plaintext that stays on this machine, unless that is wanted. */
static int check_tls(const struct backend_config *config, const char *path, char *error,
		     size_t error_size)
{
	const struct backend_tls_config *tls = config->tls;
	struct tls_material material;
	struct address address;
	char reason[400];
	char key[32];

	if (tls != NULL) {
		const struct tls_files files = {tls->certificate, tls->key, tls->client_ca};
		if (tls->certificate == NULL || tls->key == NULL)
			snprintf(reason, sizeof(reason), "needs certificate and key");
		else if (tls_files_read(&files, &material, reason, sizeof(reason)) == 0) {
			tls_material_clear(&material);
			return 0;
		}
		config_error(error, error_size, path, "tls", "%s", reason);
		return -1;
	}
	for (uint32_t i = 0; i < config->listen_count && !config->insecure; i++) {
		if (address_parse(config->listen[i], &address, reason, sizeof(reason)) < 0 ||
		    address_is_loopback(&address))
			continue;
		snprintf(key, sizeof(key), "listen[%u]", i);
		config_error(error, error_size, path, key,
			     "%s: plaintext beyond this machine: give `tls`, or say "
			     "`insecure: true`",
			     config->listen[i]);
		return -1;
	}
	return 0;
}

static int check(const struct backend_config *config, const char *path, char *error,
		 size_t error_size)
{
	if (config->max_loss_percent > 100) {
		config_error(error, error_size, path, "max_loss_percent", "more than 100");
		return -1;
	}
	if (config->threads > SERVICE_THREADS_MAX) {
		config_error(error, error_size, path, "threads", "more than %d",
			     SERVICE_THREADS_MAX);
		return -1;
	}
	if (check_addresses(config, path, error, error_size) < 0 ||
	    check_tls(config, path, error, error_size) < 0)
		return -1;
	return check_storage(config, path, error, error_size);
}

struct backend_config *backend_config_load(const char *path, char *error, size_t error_size)
{
	struct backend_config *config = NULL;
	void *loaded = NULL;

	if (path == NULL)
		config = calloc(1, sizeof(*config));
	else if (config_load(path, &config_schema, &loaded, error, error_size) == 0)
		config = loaded;
	else
		return NULL;
	if (config == NULL || !set_defaults(config, path)) {
		snprintf(error, error_size, "out of memory");
		goto failed;
	}
	if (check(config, path, error, error_size) == 0)
		return config;
failed:
	backend_config_free(config);
	return NULL;
}

/* Equal texts, or neither is there. */
static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_tls(const struct backend_tls_config *a, const struct backend_tls_config *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return same_text(a->certificate, b->certificate) && same_text(a->key, b->key) &&
	       same_text(a->client_ca, b->client_ca);
}

bool backend_config_needs_restart(const struct backend_config *running,
				  const struct backend_config *fresh)
{
	if (running->threads != fresh->threads || running->listen_count != fresh->listen_count ||
	    !same_text(running->storage, fresh->storage) ||
	    !same_text(running->password_file, fresh->password_file) ||
	    !same_text(running->snapshot, fresh->snapshot) ||
	    running->max_loss_percent != fresh->max_loss_percent ||
	    running->insecure != fresh->insecure || !same_tls(running->tls, fresh->tls) ||
	    !same_text(running->admin, fresh->admin))
		return true;
	for (uint32_t i = 0; i < running->listen_count; i++) {
		if (!same_text(running->listen[i], fresh->listen[i]))
			return true;
	}
	return false;
}

void backend_config_free(struct backend_config *config)
{
	config_free(&config_schema, config);
}
