/* The blocks of frontend.yaml that have to do with encryption. */
#include "common/tls_files.h"
#include "frontend/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HTTPS_PATH "/dns-query"
#define DEFAULT_JSON_PATH "/resolve"
#define HTTPS_PATH_MAX 128

/* --- clients ---------------------------------------------------------------------------------- */

/* Copies a pair's paths, and looks whether the files are good. */
static int config_take_certificate(struct check *check, const char *key, const char *certificate,
				   const char *private_key, struct frontend_certificate *out)
{
	char reason[400];
	struct tls_material material;
	const struct tls_files files = {certificate, private_key, NULL};
	if (tls_files_read(&files, &material, reason, sizeof(reason)) != 0)
		return FAIL(check, key, "%s", reason);
	tls_material_clear(&material);
	out->certificate = strdup(certificate);
	out->key = strdup(private_key);
	if (!out->certificate || !out->key)
		return FAIL(check, key, "out of memory");
	return 0;
}

static int config_take_certificates(struct check *check, const struct file_tls *source,
				    struct frontend_tls *tls)
{
	tls->certificates = calloc(1 + source->more_count, sizeof(tls->certificates[0]));
	if (!tls->certificates)
		return FAIL(check, "tls", "out of memory");
	tls->count = 1 + source->more_count;
	if (config_take_certificate(check, "tls.certificate", source->certificate, source->key,
				    &tls->certificates[0]) != 0)
		return -1;
	for (size_t i = 0; i < source->more_count; i++) {
		char key[64];
		snprintf(key, sizeof(key), "tls.more[%zu].certificate", i);
		if (config_take_certificate(check, key, source->more[i].certificate,
					    source->more[i].key, &tls->certificates[i + 1]) != 0)
			return -1;
	}
	return 0;
}

/* A path of a URL: from the root, without query, spaces or anything that needs escaping. */
static int config_take_path(struct check *check, const char *key, const char *text, char **out)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
	if (text[0] != '/' || strspn(text, allowed) != strlen(text) ||
	    strlen(text) > HTTPS_PATH_MAX)
		return FAIL(check, key, "%s: not a path such as /dns-query", text);
	*out = strdup(text);
	return *out ? 0 : FAIL(check, key, "out of memory");
}

static int config_take_https(struct check *check, const struct file_https *source,
			     struct frontend_https *https)
{
	const char *path = source && source->path ? source->path : DEFAULT_HTTPS_PATH;
	const char *json = source && source->json_path ? source->json_path : DEFAULT_JSON_PATH;
	if (config_take_path(check, "https.path", path, &https->path) != 0)
		return -1;
	return config_take_path(check, "https.json_path", json, &https->json_path);
}

int config_take_tls(struct check *check, const struct file_config *file,
		    struct frontend_config *config)
{
	config->discovery = file->discovery ? *file->discovery : true;
	if (config_take_https(check, file->https, &config->https) != 0)
		return -1;
	if (file->tls)
		return config_take_certificates(check, file->tls, &config->tls);
	for (size_t i = 0; i < config->listen_count; i++) {
		char key[64];
		snprintf(key, sizeof(key), "listen[%zu].protocols", i);
		if (config->listen[i].protocols & FRONTEND_PROTOCOLS_SECURE)
			return FAIL(check, key,
				    "tls, https and quic need a certificate: give `tls`");
	}
	return 0;
}

void config_free_tls(struct frontend_config *config)
{
	for (size_t i = 0; i < config->tls.count; i++) {
		free(config->tls.certificates[i].certificate);
		free(config->tls.certificates[i].key);
	}
	free(config->tls.certificates);
	free(config->https.path);
	free(config->https.json_path);
}

bool config_same_tls(const struct frontend_config *a, const struct frontend_config *b)
{
	if (a->tls.count != b->tls.count || a->discovery != b->discovery ||
	    strcmp(a->https.path, b->https.path) != 0 ||
	    strcmp(a->https.json_path, b->https.json_path) != 0)
		return false;
	for (size_t i = 0; i < a->tls.count; i++)
		if (strcmp(a->tls.certificates[i].certificate,
			   b->tls.certificates[i].certificate) ||
		    strcmp(a->tls.certificates[i].key, b->tls.certificates[i].key))
			return false;
	return true;
}

/* --- backends --------------------------------------------------------------------------------- */

static int config_copy(struct check *check, const char *key, const char *text, char **out)
{
	*out = text ? strdup(text) : NULL;
	return text && !*out ? FAIL(check, key, "out of memory") : 0;
}

static int config_copy_route_tls(struct check *check, const char *key,
				 const struct file_route_tls *source,
				 struct frontend_route_tls *tls)
{
	char reason[400];
	struct tls_material material;
	const struct tls_files files = {source->certificate, source->key, source->ca};
	if (tls_files_read(&files, &material, reason, sizeof(reason)) != 0)
		return FAIL(check, key, "%s", reason);
	tls_material_clear(&material);
	tls->enabled = true;
	if (config_copy(check, key, source->ca, &tls->ca) != 0 ||
	    config_copy(check, key, source->certificate, &tls->certificate) != 0 ||
	    config_copy(check, key, source->key, &tls->key) != 0)
		return -1;
	return config_copy(check, key, source->server_name, &tls->server_name);
}

int config_take_route_tls(struct check *check, const struct file_route *source, size_t at,
			  struct frontend_route *route)
{
	char key[64];
	route->insecure = source->insecure;
	if (source->tls) {
		snprintf(key, sizeof(key), "routes[%zu].tls", at);
		return config_copy_route_tls(check, key, source->tls, &route->tls);
	}
	for (size_t i = 0; i < route->backend_count && !route->insecure; i++) {
		snprintf(key, sizeof(key), "routes[%zu].backends[%zu]", at, i);
		if (!address_is_loopback(&route->backends[i].address))
			return FAIL(check, key,
				    "%s: plaintext beyond this machine: give the route `tls`, or "
				    "say `insecure: true`",
				    route->backends[i].text);
	}
	return 0;
}

void config_free_route_tls(struct frontend_route *route)
{
	free(route->tls.ca);
	free(route->tls.certificate);
	free(route->tls.key);
	free(route->tls.server_name);
}
