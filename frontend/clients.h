/*
 * How many connections each client has open, so that one cannot take all. A client is an IPv4
 * address or an IPv6 /64. One table for all workers, under a lock that is held for a few
 * instructions when a connection opens or closes, never for a query. Any thread.
 */
#ifndef GODWIT_FRONTEND_CLIENTS_H
#define GODWIT_FRONTEND_CLIENTS_H

#include <stdbool.h>
#include <sys/socket.h>

struct clients;

/* `limit`: connections a client may have open. NULL: out of memory. */
struct clients *clients_create(unsigned int limit);
void clients_destroy(struct clients *clients);

/*
 * Counts one more; false, and nothing is counted, when that would be too many (or out of memory).
 */
bool clients_enter(struct clients *clients, const struct sockaddr *client);

/* One less; for each clients_enter that was true. */
void clients_leave(struct clients *clients, const struct sockaddr *client);

#endif
