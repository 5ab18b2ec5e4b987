/* Where a gRPC server listens: "host:port", "[v6]:port" or "unix:/path", and whether by TLS. */
#ifndef GODWIT_BACKEND_LISTEN_H
#define GODWIT_BACKEND_LISTEN_H

#include "backend/credentials.h"

#include <grpc/grpc.h>
#include <stddef.h>

/*
 * Binds a server that is not started yet to `address`, by TLS when there are `credentials` (NULL:
 * none), which must outlive the server. A unix socket is always plaintext and gets mode 0660; one
 * that a dead process left behind is replaced, one that somebody listens on is not. Returns 0, or
 * -1 with a reason for a person, the address in it, in `error`. Main thread, before others are
 * started: it changes the umask for a moment.
 */
int listen_add(grpc_server *server, const char *address, struct credentials *credentials,
	       char *error, size_t error_size);

#endif
