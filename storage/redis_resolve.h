/*
 * A host's addresses, with an end to the waiting: the C library's getaddrinfo may take as long as
 * its name servers let it, and cannot be interrupted. Addresses in numbers need no looking up.
 */
#ifndef GODWIT_STORAGE_REDIS_RESOLVE_H
#define GODWIT_STORAGE_REDIS_RESOLVE_H

#include "storage/driver.h"

#include <netdb.h>
#include <stdint.h>

/*
 * Looks a host up for TCP. Returns STORAGE_OK with a list for freeaddrinfo; STORAGE_INTERRUPTED; or
 * STORAGE_UNAVAILABLE, `*reason` saying why, also when `deadline` (clock_now_ms) came first.
 */
int redis_resolve(struct storage *storage, const char *host, uint16_t port, int64_t deadline,
		  struct addrinfo **list, const char **reason);

#endif
