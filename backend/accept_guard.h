/*
 * Keeps gRPC's listeners alive when the process runs out of file descriptors.
 *
 * gRPC (1.51) takes any unexpected error of accept4 as the end of the listener: one moment without
 * a free descriptor, and the server never accepts a connection again. There is no setting for it,
 * no way to add a listener to a running server, and grpc_server_add_channel_from_fd, for which we
 * could accept ourselves, takes no TLS. So this module puts itself in front of the C
 * library's accept4, for the whole program: what may pass by itself is reported as EAGAIN, which
 * every caller must know how to meet. The connection stays in the kernel's queue, and is taken up
 * when the next one arrives. Everything else is as before.
 */
#ifndef GODWIT_BACKEND_ACCEPT_GUARD_H
#define GODWIT_BACKEND_ACCEPT_GUARD_H

/*
 * Raises the limit of open files as far as it goes, so that the guard has nothing to do. Call
 * before the server is made; a program that does has the guard too.
 */
void accept_guard_init(void);

#endif
