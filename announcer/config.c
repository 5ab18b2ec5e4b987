/*
 * From announcer.yaml to struct announcer_config: defaults for what is absent, and the checks that
 * a schema cannot make. libcyaml reads the file into struct file_config (config_schema.h); the
 * functions of config_service.c, config_bgp.c and config_peer.c carry one block each over and say
 * what is wrong with it.
 */
#include "announcer/config.h"

#include "announcer/config_take.h"
#include "common/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ADMIN "127.0.0.1:9155"

static int config_take_rest(const struct config_place *place, const struct file_config *file,
			    struct announcer_config *config)
{
	const char *admin = file->admin ? file->admin : DEFAULT_ADMIN;
	struct address parsed;
	if (config_take_address(place, "admin", admin, &parsed) != 0)
		return -1;
	snprintf(config->admin, sizeof(config->admin), "%s", admin);
	static const struct file_log nothing;
	const struct file_log *log = file->log ? file->log : &nothing;
	config->log.level = log->level ? (enum log_level) * log->level : LOG_LEVEL_INFO;
	config->log.format = log->format ? (enum log_format) * log->format : LOG_FORMAT_LOGFMT;
	return 0;
}

/* Overwrites the passwords in what libcyaml has read, before it is freed. */
static void config_wipe_secrets(const struct file_config *file)
{
	if (!file->bgp)
		return;
	for (size_t i = 0; i < file->bgp->peers_count; i++) {
		char *password = file->bgp->peers[i].password;
		if (password)
			explicit_bzero(password, strlen(password));
	}
}

struct announcer_config *announcer_config_load(const char *path, char *error, size_t error_size)
{
	struct config_place place = {.path = path, .error = error, .error_size = error_size};
	void *loaded = NULL;
	int result = -1;
	if (!path) {
		snprintf(error, error_size, "give a configuration: --config FILE");
		return NULL;
	}
	if (config_load(path, &announcer_config_schema, &loaded, error, error_size) != 0)
		return NULL;
	const struct file_config *file = loaded;
	struct announcer_config *config = calloc(1, sizeof(*config));
	if (!config)
		snprintf(error, error_size, "out of memory");
	else if (config_take_services(&place, file, config) == 0 &&
		 config_take_bgp(&place, file->bgp, &config->bgp) == 0)
		result = config_take_rest(&place, file, config);
	config_wipe_secrets(file);
	config_free(&announcer_config_schema, loaded);
	if (result != 0) {
		announcer_config_free(config);
		config = NULL;
	}
	return config;
}

static void config_clear_service(struct announcer_service *service)
{
	free(service->probe.tls_ca);
	free(service->probe.tls_server_name);
	free(service->probe.expect_answer);
	free(service->drain_file);
	free(service->addresses);
}

void announcer_config_free(struct announcer_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->service_count; i++)
		config_clear_service(&config->services[i]);
	for (size_t i = 0; i < config->bgp.peer_count; i++) {
		struct announcer_peer *peer = &config->bgp.peers[i];
		free(peer->description);
		explicit_bzero(peer->password, sizeof(peer->password));
	}
	free(config->services);
	free(config->bgp.listen);
	free(config->bgp.peers);
	free(config->bgp.shutdown_message);
	free(config);
}
