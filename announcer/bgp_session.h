/*
 * One BGP session on one transport connection (RFC 4271), from the moment the connection stands:
 * states OpenSent, OpenConfirm, Established. Idle, Connect and Active, and what decides between two
 * connections to one peer (section 6.8), are peer.h's.
 *
 * Pure: octets and the time come in, octets and decisions go out; sockets and timers live with the
 * caller, who
 *
 * - hands over what was received, in any pieces, with bgp_session_receive;
 * - sends what stands in bgp_session_output, and drains what it has sent;
 * - calls bgp_session_tick at the time bgp_session_deadline names, or later;
 * - looks at the state afterwards. In BGP_CLOSED the output still has to be sent (a NOTIFICATION),
 *   then the connection be closed.
 *
 * The session only announces: what it receives is validated (RFC 4271 section 6, RFC 7606), routes
 * are counted and dropped. Times are milliseconds of a clock that never goes back. One thread at a
 * time.
 *
 * Time may leap: the process was stopped, or starved. A tick decides by the time it is given and
 * what was received before it; so a caller that comes late hands over what waits in the socket
 * first, then ticks, and a peer that kept talking is not taken for dead.
 *
 * A session holds at most one message that is still coming in, and BGP_OUTPUT_MAX octets that the
 * peer does not read: then it ends, as it does when none of them moved for the send hold time (RFC
 * 9687).
 */
#ifndef GODWIT_ANNOUNCER_BGP_SESSION_H
#define GODWIT_ANNOUNCER_BGP_SESSION_H

#include "announcer/bgp_route.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bgp_session;
struct evbuffer;

enum bgp_state { BGP_OPEN_SENT, BGP_OPEN_CONFIRM, BGP_ESTABLISHED, BGP_CLOSED };

/* Octets of a message, header included (RFC 4271 section 4.1). */
#define BGP_MESSAGE_MAX 4096

/* Octets that may wait in the output, and how long they may without one being sent. */
#define BGP_OUTPUT_MAX (1 << 20)
#define BGP_SEND_HOLD_MS (8 * 60 * 1000) /* at least twice the hold time */

/* How long a peer may take to its OPEN: RFC 4271 section 8.2.2 suggests 4 minutes. */
#define BGP_OPEN_HOLD_MS (4 * 60 * 1000)

/* Room for the words about a session's end, a peer's shutdown message included (RFC 9003). */
#define BGP_ERROR_MAX 320

struct bgp_session_options {
	uint32_t local_as;
	uint32_t peer_as;     /* what its OPEN must say; local_as: an internal peer */
	uint32_t router_id;   /* our BGP identifier, host order */
	uint16_t hold_time_s; /* offered: 0 (no keepalives) or at least 3; the lower of both counts
			       */
	bool ipv4;            /* address families offered: what both offer is used */
	bool ipv6;
};

/* Counts since the session's start. */
struct bgp_session_counts {
	uint64_t messages_received;
	uint64_t messages_sent;
	uint64_t updates_received;
	uint64_t updates_sent;
	uint64_t routes_received;    /* announced to us, and dropped */
	uint64_t malformed_received; /* UPDATEs treated as withdraw (RFC 7606) */
	uint64_t refreshes_received; /* requests for a family (RFC 2918) */
};

/*
 * A session on a connection that stands: its OPEN is in the output. NULL: out of memory. Destroying
 * NULL is allowed.
 */
struct bgp_session *bgp_session_create(const struct bgp_session_options *options, int64_t now_ms);
void bgp_session_destroy(struct bgp_session *session);

/* What is to be sent; the caller drains what it has sent. The session's own. */
struct evbuffer *bgp_session_output(struct bgp_session *session);

/* Takes `size` octets as they came. In BGP_CLOSED they are ignored. */
void bgp_session_receive(struct bgp_session *session, const uint8_t *data, size_t size,
			 int64_t now_ms);

/* The connection has ended: BGP_CLOSED, with `reason` as its error unless one is known already. */
void bgp_session_lost(struct bgp_session *session, const char *reason);

/*
 * Does what is due: a KEEPALIVE, or the end by the hold timer (NOTIFICATION 4). Too early or too
 * often does no harm.
 */
void bgp_session_tick(struct bgp_session *session, int64_t now_ms);

/* Sends a KEEPALIVE before its time, in BGP_ESTABLISHED: whether it is acknowledged says much. */
void bgp_session_test(struct bgp_session *session, int64_t now_ms);

/*
 * When bgp_session_tick is to be called next; INT64_MAX: not for now. To be asked after each of the
 * other calls, best when the output has been sent as far as it can be.
 */
int64_t bgp_session_deadline(const struct bgp_session *session);

/*
 * What the peer is to know from us, all of it: the session remembers what it has announced and
 * sends the difference, withdrawals first; before BGP_ESTABLISHED it keeps the list for then.
 * Routes of a family that was not agreed on are left out. Copies. 0, or -1 when out of memory:
 * nothing changed.
 */
int bgp_session_set_routes(struct bgp_session *session, const struct bgp_route *routes,
			   size_t count);

/*
 * Ends the session with a NOTIFICATION (RFC 4271 section 6). For Cease with Administrative Shutdown
 * or Reset (6/2, 6/4) `message`, UTF-8, is told to the peer (RFC 9003); else NULL. `words` become
 * the session's error; NULL: those of the code. In BGP_CLOSED nothing happens.
 */
void bgp_session_close(struct bgp_session *session, uint8_t code, uint8_t subcode,
		       const char *message, const char *words);

enum bgp_state bgp_session_state(const struct bgp_session *session);

/*
 * Why it is closed, one line for people: "peer closed: hold timer expired" when the peer said so,
 * else what we found. "" while it is not closed. The session's own.
 */
const char *bgp_session_error(const struct bgp_session *session);

/*
 * What was wrong with the last UPDATE in malformed_received, for a log line; "". The session's own.
 */
const char *bgp_session_warning(const struct bgp_session *session);

/* True once the peer's OPEN is good; then its identifier (host order), for section 6.8. */
bool bgp_session_peer_id(const struct bgp_session *session, uint32_t *router_id);

/* The hold time agreed on, seconds; 0 before BGP_OPEN_CONFIRM, or when none is used. */
unsigned int bgp_session_hold_time(const struct bgp_session *session);

/*
 * True when both sides offer the family (AF_INET, AF_INET6); false before the peer's OPEN. A peer
 * that names no family at all has IPv4, as BGP had before RFC 4760.
 */
bool bgp_session_has_family(const struct bgp_session *session, int family);

/* Routes the peer has been told of and not withdrawn; of one, true. None once it is closed. */
size_t bgp_session_announced(const struct bgp_session *session);
bool bgp_session_has_announced(const struct bgp_session *session, const struct prefix *prefix);

void bgp_session_read_counts(const struct bgp_session *session, struct bgp_session_counts *out);

#endif
