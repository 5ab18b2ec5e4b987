/*
 * Backend names into addresses, on a thread of its own, because getaddrinfo blocks.
 *
 * Every name is looked up at the start, again every RESOLVER_REFRESH_MS, after a failure with
 * growing pauses, and soon when somebody asks for it because no address works any more. A look-up
 * that fails leaves the addresses that are known. `changed` is called on the resolver's thread
 * when a name's addresses differ from before; resolver_read and resolver_hurry: any thread.
 */
#ifndef GODWIT_FRONTEND_RESOLVER_H
#define GODWIT_FRONTEND_RESOLVER_H

#include "common/address.h"

#include <stddef.h>
#include <sys/socket.h>

#define RESOLVER_ADDRESSES_MAX 64 /* of one name; more are left out */
#define RESOLVER_REFRESH_MS 30000

struct resolver;

/*
 * Starts resolving the ADDRESS_HOST ones of `count` addresses, which must live as long as the
 * resolver. With none of them no thread is made. NULL when memory or threads are short.
 */
struct resolver *resolver_create(const struct address *const *names, size_t count,
				 void (*changed)(void *ctx), void *ctx);

/*
 * Stops it. A look-up that hangs is waited for 1 s and then left behind with its memory: the
 * process is about to end, or a reload has dropped the name.
 */
void resolver_destroy(struct resolver *resolver);

/* Copies the addresses of name `index`, ports included, into `out`; returns how many. */
size_t resolver_read(struct resolver *resolver, size_t index,
		     struct sockaddr_storage out[RESOLVER_ADDRESSES_MAX]);

/* Looks `index` up again soon, but no sooner than 1 s after the last time. */
void resolver_hurry(struct resolver *resolver, size_t index);

/*
 * For a reload: takes over from `old` the addresses of names that both have, until they have been
 * looked up anew, and waits up to `wait_ms` until every name has been looked up once.
 */
void resolver_inherit(struct resolver *resolver, struct resolver *old);
void resolver_wait(struct resolver *resolver, int wait_ms);

#endif
