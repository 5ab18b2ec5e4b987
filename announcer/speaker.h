/*
 * The BGP speaker: all peers, their connections, the listeners and their BFD links, on the control
 * thread's event loop. What is announced is one list; each peer's own attributes (next hop, MED,
 * communities, prepending) are added here.
 *
 * A peer's connections are made with backoff and jitter, accepted when the speaker listens, and one
 * of two is closed by RFC 4271 section 6.8. A session that ends is logged with its cause and tried
 * again; once it stands again it announces by itself. BFD down closes the session (RFC 5882).
 *
 * All functions are for the control thread.
 */
#ifndef GODWIT_ANNOUNCER_SPEAKER_H
#define GODWIT_ANNOUNCER_SPEAKER_H

#include "announcer/bfd.h"
#include "announcer/bgp_session.h"
#include "announcer/config.h"
#include "announcer/prefix.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct metrics_shard;
struct speaker;

/* One prefix that is to be announced to every peer. */
struct announcement {
	struct prefix prefix;
	uint32_t local_pref;
	bool graceful_shutdown; /* RFC 8326: with 65535:0 and local preference 0, as a last resort
				 */
};

/* RFC 4271 section 8.2.2. */
enum peer_state {
	PEER_IDLE, /* between tries, or shut down */
	PEER_CONNECT,
	PEER_ACTIVE, /* waits to be connected to */
	PEER_OPEN_SENT,
	PEER_OPEN_CONFIRM,
	PEER_ESTABLISHED,
};

/* A peer as people see it. */
struct peer_status {
	char address[ADDRESS_TEXT_MAX];
	char description[ANNOUNCER_NAME_MAX];
	uint32_t as;
	enum peer_state state;
	int64_t since_ms; /* CLOCK_MONOTONIC, of the last change to or from PEER_ESTABLISHED */
	char last_error[BGP_ERROR_MAX];       /* why the last session or try ended; "" */
	unsigned int hold_time_s;             /* agreed on; 0 */
	uint64_t established;                 /* times */
	bool ipv4, ipv6;                      /* families in use */
	char local_address[ADDRESS_TEXT_MAX]; /* of the session; "" */
	struct bgp_session_counts counts;     /* over all sessions so far */
	size_t announced;                     /* prefixes */
	char held_back[160]; /* why some are not announced: "IPv6: no next hop"; "" */
	bool has_bfd;
	struct bfd_status bfd;
};

struct speaker_options {
	struct event_base *base; /* borrowed, as all of these */
	const struct announcer_bgp *config;
	struct bfd *bfd;               /* NULL: no peer wants it */
	struct metrics_shard *metrics; /* the control thread's */
	/* A peer's state or announcements changed; for status. May be called inside any function
	   below that is not const; NULL: nobody listens. */
	void (*on_change)(void *ctx);
	void *ctx;
};

/* Opens the listeners and begins to connect. NULL with a reason that names the key or address. */
struct speaker *speaker_start(const struct speaker_options *options, char *error,
			      size_t error_size);

/* Closes whatever is left, at once. NULL is allowed. */
void speaker_destroy(struct speaker *speaker);

/*
 * All that is to be announced from now on; copies. Sends the difference at once, withdrawals first.
 */
void speaker_set_announcements(struct speaker *speaker, const struct announcement *list,
			       size_t count);

/*
 * The host's addresses have changed, or may have: next hops that are an interface's address are
 * looked up again, and what has become different is announced anew.
 */
void speaker_note_host_addresses(struct speaker *speaker);

/* True when a session is established: somebody hears what is announced. */
bool speaker_is_heard(const struct speaker *speaker);

/* True when every established peer has acknowledged (TCP) all that was sent to it. */
bool speaker_is_flushed(const struct speaker *speaker);

/*
 * Ends all sessions with Cease, Administrative Shutdown and `message` (RFC 9003) and tries none
 * again. speaker_is_closed tells when all connections are closed, or could not be in time.
 */
void speaker_shutdown(struct speaker *speaker, const char *message);
bool speaker_is_closed(const struct speaker *speaker);

size_t speaker_peer_count(const struct speaker *speaker);
void speaker_read_peer(const struct speaker *speaker, size_t index, struct peer_status *out);

/* True when the prefix is announced in peer `index`'s session now. */
bool speaker_has_announced(const struct speaker *speaker, size_t index,
			   const struct prefix *prefix);

/* "Established", "OpenSent", ...: RFC 4271's names. */
const char *peer_state_name(enum peer_state state);

#endif
