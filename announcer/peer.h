/*
 * One peer: its tries, its connections - at most two, one made and one accepted - the choice
 * between them, its routes, and what its BFD link means for it.
 *
 *     IDLE --retry timer--> CONNECT --stands--> OPEN_SENT --> OPEN_CONFIRM --> ESTABLISHED
 *       ^                      |                    |              |               |
 *       \----------------------+--------------------+--------------+---------------/  failed, lost
 *
 * Each connection goes its own way through these states (RFC 4271 section 8); the peer's state is
 * that of the one that has come furthest. With no connection on its way a peer is tried again: soon
 * at first, then ever later up to bgp.connect_retry_ms, until a session has stood that long. A
 * passive peer waits instead (PEER_ACTIVE).
 *
 * All functions are for the control thread.
 */
#ifndef GODWIT_ANNOUNCER_PEER_H
#define GODWIT_ANNOUNCER_PEER_H

#include "announcer/bfd.h"
#include "announcer/config.h"
#include "announcer/speaker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first retry after a failure comes within this time. */
#define PEER_RETRY_MIN_MS 100

/*
 * Connections a peer may make to us: so many at once, and one more for each such time. More are
 * refused, so that a router gone mad costs little and cannot flood the log.
 */
#define PEER_ACCEPT_BURST 8
#define PEER_ACCEPT_INTERVAL_MS 1000

/* How long an established session may take to show that it lives when its peer connects anew. */
#define PEER_NEWCOMER_MS 1000

struct event_base;
struct ifaddrs;
struct metrics_shard;
struct peer;
struct peer_lingers;

/* What all peers of a speaker share; outlives them. */
struct peer_world {
	struct event_base *base;
	const struct announcer_bgp *config;
	struct metrics_shard *metrics;
	struct peer_lingers *lingers;
	struct announcement *list; /* what is to be announced */
	size_t count;
	struct ifaddrs *host;         /* the host's addresses, NULL when no peer needs them */
	void (*on_change)(void *ctx); /* never NULL */
	void *ctx;
};

/*
 * Makes a peer and begins to connect. `link` is its BFD link or NULL; not owned. NULL: out of
 * memory.
 */
struct peer *peer_create(const struct peer_world *world, const struct announcer_peer *config,
			 struct bfd_link *link);

/* Closes its connections at once, without a word. NULL is allowed. */
void peer_destroy(struct peer *peer);

/* Takes over a connection that came from the peer's address, or closes it: see peer_accept.c. */
void peer_accept(struct peer *peer, int fd);

/* The world's list has changed; or, with no change of it, the host's addresses may have. */
void peer_update_routes(struct peer *peer);

/* Looks at the BFD link: down closes the session (RFC 5882), up tries to connect at once. */
void peer_look_at_bfd(struct peer *peer);

/* Ends all connections with Cease, Administrative Shutdown and `message`, and tries no more. */
void peer_shutdown(struct peer *peer, const char *message);

/* True while there is a connection, of whatever state. */
bool peer_has_connection(const struct peer *peer);

bool peer_is_established(const struct peer *peer);
bool peer_is_flushed(const struct peer *peer);
bool peer_has_announced(const struct peer *peer, const struct prefix *prefix);
const struct announcer_peer *peer_config(const struct peer *peer);
void peer_read_status(const struct peer *peer, struct peer_status *out);

/*
 * Which of two connections with one peer stays (RFC 4271 section 6.8): true for the one made by us.
 * The side with the higher BGP identifier, of equal ones that with the higher AS number (RFC 6286
 * section 2.3), has made the one that stays. Pure.
 */
bool peer_keeps_outgoing(uint32_t our_id, uint32_t our_as, uint32_t peer_id, uint32_t peer_as);

#endif
