/* Where a gRPC server listens: "host:port", "[v6]:port" or "unix:/path". */
#ifndef GODWIT_BACKEND_LISTEN_H
#define GODWIT_BACKEND_LISTEN_H

#include <grpc/grpc.h>
#include <stddef.h>

/*
 * Binds a server that is not started yet to `address`, without TLS. A unix socket gets mode 0660;
 * one that a dead process left behind is replaced, one that somebody listens on is not. Returns 0,
 * or -1 with a reason for a person, the address in it, in `error`. Main thread, before others are
 * started: it changes the umask for a moment.
 */
int listen_add(grpc_server *server, const char *address, char *error, size_t error_size);

#endif
