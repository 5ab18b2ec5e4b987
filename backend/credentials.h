/*
 * The backend's side of TLS: certificate, key and, for mutual TLS, the CA whose certificates
 * clients must show. gRPC asks before each handshake whether there are new ones; the files are then
 * looked at, once in TLS_FILES_INTERVAL_MS at most (common/tls_files.h). What cannot be used leaves
 * those in use and is logged and counted. Connections keep what they began with.
 */
#ifndef GODWIT_BACKEND_CREDENTIALS_H
#define GODWIT_BACKEND_CREDENTIALS_H

#include "common/tls_files.h"

#include <grpc/grpc_security.h>
#include <stddef.h>

struct credentials;
struct evbuffer;

/*
 * Reads the files; `ca` of `files` is the clients', NULL: none is asked of them. Paths are copied.
 * NULL with a reason that names the file.
 */
struct credentials *credentials_create(const struct tls_files *files, char *error,
				       size_t error_size);

/* After the server has been destroyed. NULL is allowed. */
void credentials_destroy(struct credentials *credentials);

/*
 * gRPC's credentials for one listener, to be released by the caller; they borrow `credentials`.
 * NULL: out of memory. Main thread.
 */
grpc_server_credentials *credentials_open(struct credentials *credentials);

/* A collector (metrics.h), ctx a struct credentials: expiry, reloads, failures. */
void credentials_collect(void *ctx, struct evbuffer *out);

#endif
