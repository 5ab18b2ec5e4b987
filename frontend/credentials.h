/*
 * How the backends of a route are reached: in plaintext, or by TLS, with a certificate of our own
 * where they want one (mutual TLS). Made of files as they stand at one moment, never changed: when
 * the files change, others are made, and with them connections. Immutable, so for any thread, but
 * credentials_look, which is the main thread's.
 */
#ifndef GODWIT_FRONTEND_CREDENTIALS_H
#define GODWIT_FRONTEND_CREDENTIALS_H

#include "common/address.h"
#include "frontend/config.h"

#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct credentials;

/* Longest name of credentials, its NUL included. */
#define CREDENTIALS_NAME_MAX 24

/* Reads the files; copies `config`. NULL with a reason that names the file. */
struct credentials *credentials_create(const struct frontend_route_tls *config, char *error,
				       size_t error_size);
void credentials_destroy(struct credentials *credentials);

/* Different for credentials that differ, equal for equal ones; "" for plaintext. */
const char *credentials_name(const struct credentials *credentials);

/*
 * gRPC's credentials for a backend, to be released by the caller. Unix sockets are always reached
 * in plaintext: who may open them decides.
 */
grpc_channel_credentials *credentials_open(const struct credentials *credentials,
					   enum address_kind kind);

/*
 * The name a backend's certificate must have: server_name, or the host part of `authority`
 * ("host:port", "[v6]:port"). Written into `out`, 256 octets.
 */
void credentials_server_name(const struct credentials *credentials, const char *authority,
			     char *out);

/* Our own certificate: its file as configured, or NULL where there is none. */
const char *credentials_certificate(const struct credentials *credentials);
/* When that expires, seconds since the Unix epoch. */
int64_t credentials_not_after(const struct credentials *credentials);

/* What a look at the files has shown. */
enum credentials_look {
	CREDENTIALS_UNCHANGED,
	CREDENTIALS_CHANGED,  /* and good: credentials created now are others */
	CREDENTIALS_UNUSABLE, /* those in use stay; logged at the second look in a row */
};

enum credentials_look credentials_look(struct credentials *credentials);

#endif
