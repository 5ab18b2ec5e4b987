/* Writing to a peer's socket. */
#ifndef GODWIT_ANNOUNCER_PEER_WRITE_H
#define GODWIT_ANNOUNCER_PEER_WRITE_H

struct evbuffer;

/*
 * Sends from the front of `buffer`, and drains, as much as the socket takes now. 0, or the errno of
 * a connection that is broken. Never raises SIGPIPE.
 */
int peer_write(int fd, struct evbuffer *buffer);

#endif
