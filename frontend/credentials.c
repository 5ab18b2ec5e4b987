/* TLS towards backends. */
#include "frontend/credentials.h"

#include "common/log.h"
#include "common/tls_files.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct credentials {
	struct frontend_route_tls config; /* strings are ours */
	struct tls_material material;
	char name[CREDENTIALS_NAME_MAX];
	unsigned int complaints; /* looks in a row that found the files bad */
};

static struct tls_files credentials_files(const struct frontend_route_tls *config)
{
	return (struct tls_files){
		.certificate = config->certificate, .key = config->key, .ca = config->ca};
}

static int credentials_copy(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return text && !*out ? -1 : 0;
}

static int credentials_copy_config(struct credentials *credentials,
				   const struct frontend_route_tls *config)
{
	struct frontend_route_tls *copy = &credentials->config;
	copy->enabled = config->enabled;
	if (credentials_copy(&copy->ca, config->ca) != 0 ||
	    credentials_copy(&copy->certificate, config->certificate) != 0 ||
	    credentials_copy(&copy->key, config->key) != 0)
		return -1;
	return credentials_copy(&copy->server_name, config->server_name);
}

/* A name from a digest over the files' contents and the server's name. */
static void credentials_set_name(struct credentials *credentials)
{
	const struct tls_material *material = &credentials->material;
	const char *server_name = credentials->config.server_name;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
		abort(); /* out of memory */
	EVP_DigestUpdate(hash, material->digest, sizeof(material->digest));
	if (server_name)
		EVP_DigestUpdate(hash, server_name, strlen(server_name));
	EVP_DigestFinal_ex(hash, digest, NULL);
	EVP_MD_CTX_free(hash);
	snprintf(credentials->name, sizeof(credentials->name), " tls:%02x%02x%02x%02x%02x%02x",
		 digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]);
}

struct credentials *credentials_create(const struct frontend_route_tls *config, char *error,
				       size_t error_size)
{
	snprintf(error, error_size, "out of memory");
	struct credentials *credentials = calloc(1, sizeof(*credentials));
	if (!credentials || credentials_copy_config(credentials, config) != 0)
		goto failed;
	if (!config->enabled)
		return credentials;
	const struct tls_files files = credentials_files(&credentials->config);
	if (tls_files_read(&files, &credentials->material, error, error_size) != 0)
		goto failed;
	credentials_set_name(credentials);
	return credentials;
failed:
	credentials_destroy(credentials);
	return NULL;
}

void credentials_destroy(struct credentials *credentials)
{
	if (!credentials)
		return;
	tls_material_clear(&credentials->material);
	free(credentials->config.ca);
	free(credentials->config.certificate);
	free(credentials->config.key);
	free(credentials->config.server_name);
	free(credentials);
}

const char *credentials_name(const struct credentials *credentials)
{
	return credentials->name;
}

grpc_channel_credentials *credentials_open(const struct credentials *credentials,
					   enum address_kind kind)
{
	const struct tls_material *material = &credentials->material;
	if (!credentials->config.enabled || kind == ADDRESS_UNIX)
		return grpc_insecure_credentials_create();
	grpc_ssl_pem_key_cert_pair pair = {.private_key = material->key,
					   .cert_chain = material->certificate};
	return grpc_ssl_credentials_create(material->ca, material->key ? &pair : NULL, NULL, NULL);
}

void credentials_server_name(const struct credentials *credentials, const char *authority,
			     char *out)
{
	const char *name = credentials->config.server_name;
	if (name) {
		snprintf(out, 256, "%s", name);
		return;
	}
	snprintf(out, 256, "%s", authority[0] == '[' ? authority + 1 : authority);
	char *end = authority[0] == '[' ? strchr(out, ']') : strrchr(out, ':');
	if (end)
		*end = '\0';
}

const char *credentials_certificate(const struct credentials *credentials)
{
	return credentials->config.enabled ? credentials->config.certificate : NULL;
}

int64_t credentials_not_after(const struct credentials *credentials)
{
	return credentials->material.not_after;
}

enum credentials_look credentials_look(struct credentials *credentials)
{
	char error[400];
	struct tls_material material;
	const struct tls_files files = credentials_files(&credentials->config);
	if (!credentials->config.enabled)
		return CREDENTIALS_UNCHANGED;
	if (tls_files_read(&files, &material, error, sizeof(error)) != 0) {
		/* The first time it may only be half written. */
		if (++credentials->complaints == 2)
			log_error("certificates for backends not reloaded: those in use stay",
				  "reason=%s", error);
		return CREDENTIALS_UNUSABLE;
	}
	bool changed = !tls_material_equal(&material, &credentials->material);
	credentials->complaints = 0;
	tls_material_clear(&material);
	return changed ? CREDENTIALS_CHANGED : CREDENTIALS_UNCHANGED;
}
