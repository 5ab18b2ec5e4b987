/*
 * Which replica of a backend gets the next query: the decision alone, without sockets.
 *
 * A replica is one address that serves DnsService. What is known about it is a `struct
 * balance_peer`: the state of its connection, how many calls it has in flight, and how far it is
 * trusted. Trust is learned from calls:
 *
 *     TRUSTED --3 failures in a row--> SUSPECT --its probe fails--> DOWN --a probe succeeds-->
 * TRUSTED
 *
 * A suspect is probed at once, and until that probe has failed it is still asked when there is no
 * better replica: so a query that makes every replica fail cannot take all of them out of use. One
 * that is down is left alone but for probes, with growing pauses. A probe is a query of the front
 * end's own (see replica.h); clients' queries are never spent on finding out.
 *
 * Time comes in as an argument. One thread per peer.
 */
#ifndef GODWIT_FRONTEND_BALANCE_H
#define GODWIT_FRONTEND_BALANCE_H

#include "common/backoff.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BALANCE_FAILURES_MAX 3 /* failures in a row until a replica is suspect */
#define BALANCE_PROBE_MIN_MS 100
#define BALANCE_PROBE_MAX_MS 2000

enum balance_connection {
	BALANCE_CONNECTION_BROKEN,  /* the last attempt to connect failed */
	BALANCE_CONNECTION_PENDING, /* not connected, but nothing is known against it */
	BALANCE_CONNECTION_READY,
};

enum balance_trust { BALANCE_TRUSTED, BALANCE_SUSPECT, BALANCE_DOWN };

struct balance_peer {
	enum balance_connection connection;
	enum balance_trust trust;
	unsigned int in_flight;
	unsigned int cap;       /* calls it may have in flight */
	unsigned int failures;  /* in a row */
	bool probing;           /* a probe is in flight */
	int64_t probe_at_ms;    /* when the next probe is due, while not trusted */
	struct backoff backoff; /* between probes */
};

#define BALANCE_NONE (-1) /* no replica is worth asking */
#define BALANCE_FULL (-2) /* there are such replicas, but each has its fill of calls */

void balance_peer_init(struct balance_peer *peer, unsigned int cap);

/*
 * Picks one of `count` peers: the most trustworthy kind that is there (connected and trusted, then
 * still connecting, then suspect), in it the one with the fewest calls in flight, among equals the
 * one that `random` names. Peers with their cap of calls in flight are passed over; so are those in
 * `avoid` (two, each may be NULL). Returns an index, BALANCE_NONE or BALANCE_FULL. Hot path.
 */
int balance_choose(const struct balance_peer *const *peers, size_t count,
		   const struct balance_peer *const avoid[2], uint32_t random);

/* True when nothing speaks against asking `peer` without looking for a better one. Hot path. */
static inline bool balance_is_good(const struct balance_peer *peer)
{
	return peer->connection == BALANCE_CONNECTION_READY && peer->trust == BALANCE_TRUSTED &&
	       peer->in_flight < peer->cap;
}

/* A call or a probe was answered properly. */
void balance_note_success(struct balance_peer *peer);

/* A call failed. True when the peer has become suspect by it: a probe is due now. */
bool balance_note_failure(struct balance_peer *peer, int64_t now_ms);

/* A probe failed. */
void balance_note_probe_failure(struct balance_peer *peer, int64_t now_ms);

/* The connection's state changed. A new connection is a new start. */
void balance_note_connection(struct balance_peer *peer, enum balance_connection connection);

/* When the next probe is due, milliseconds; INT64_MAX when none is. */
int64_t balance_probe_due_ms(const struct balance_peer *peer);

#endif
