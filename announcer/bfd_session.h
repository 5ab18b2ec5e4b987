/*
 * The state machine of one BFD session in asynchronous mode (RFC 5880 section 6.8): packets and
 * time in, packets and deadlines out. Pure; not for several threads at once.
 *
 * The caller hands in each packet that is for the session (bfd_session_receive), and at the
 * deadline (bfd_session_deadline_us) lets the session judge the time (bfd_session_tick); after
 * either, it sends what bfd_session_next_packet gives until there is no more. Packets that have
 * arrived go in before time is judged, so that a process that was stopped for a while does not
 * take its own sleep for the peer's death.
 *
 * What is kept of the RFC: one packet a second at most while not up (6.8.3), a poll sequence when
 * our interval changes (6.5), the final bit answered at once (6.8.7), state changes told at once
 * (6.8.7), the detection time from the peer's multiplier (6.8.4), jitter (6.8.7), AdminDown
 * (6.8.16). A peer in demand mode is respected: while both are up and no poll sequence runs,
 * nothing is sent to it but final bits. We never ask for demand mode, echo packets or
 * authentication.
 *
 * Times are microseconds of any clock that only goes forward.
 */
#ifndef GODWIT_ANNOUNCER_BFD_SESSION_H
#define GODWIT_ANNOUNCER_BFD_SESSION_H

#include "announcer/bfd_packet.h"

#include <stdbool.h>
#include <stdint.h>

/* The transmit interval while not up, at least (RFC 5880 section 6.8.3). */
#define BFD_SLOW_US 1000000

struct bfd_session_options {
	uint32_t discriminator; /* ours; not 0 */
	uint32_t min_tx_us;     /* desired minimum transmit interval; not 0 */
	uint32_t min_rx_us;     /* required minimum receive interval; not 0 */
	uint8_t multiplier;     /* not 0 */
	uint32_t seed;          /* for the jitter; any */
};

/* Why the state was changed the last time. */
enum bfd_cause {
	BFD_CAUSE_STARTED,
	BFD_CAUSE_EXPIRED,         /* no packet within the detection time */
	BFD_CAUSE_PEER_FOUND,      /* it is there, and down as we are */
	BFD_CAUSE_AGREED,          /* it has heard us */
	BFD_CAUSE_PEER_DOWN,       /* it says that it is down */
	BFD_CAUSE_PEER_ADMIN_DOWN, /* it says that it was taken down */
	BFD_CAUSE_SHUT,            /* bfd_session_shut */
};

/* Names are the RFC's state variables (section 6.8.1). Read them; change them by functions. */
struct bfd_session {
	struct bfd_session_options options;
	enum bfd_state state;
	enum bfd_state remote_state;
	uint8_t diagnostic;        /* why we were last down; 0 while up */
	uint8_t remote_diagnostic; /* as the peer tells it */
	enum bfd_cause cause;
	int64_t changed_us; /* when `state` was changed */

	uint32_t remote_discriminator; /* 0: the peer is not known, or forgotten */
	uint32_t remote_min_tx_us;
	uint32_t remote_min_rx_us;
	uint8_t remote_multiplier;
	bool remote_demand;
	int64_t received_us; /* when the last good packet came, while the peer is known */
	int64_t silence_us;  /* how long none had come when the peer was last forgotten */

	bool polling;         /* our poll sequence runs */
	bool final_wanted;    /* a packet with the final bit is to go out */
	bool change_wanted;   /* a packet is to go out at once: something has changed */
	int64_t sent_us;      /* when the last periodic packet went out */
	int64_t send_at_us;   /* when the next one does */
	uint32_t interval_us; /* between them, before jitter */
	uint32_t random;
};

void bfd_session_init(struct bfd_session *session, const struct bfd_session_options *options,
		      int64_t now_us);

/*
 * A packet for this session: its discriminator names it, or it carries none and its source does.
 * True when the state has changed.
 */
bool bfd_session_receive(struct bfd_session *session, const struct bfd_packet *packet,
			 int64_t now_us);

/* Judges the detection time. True when the state has changed. */
bool bfd_session_tick(struct bfd_session *session, int64_t now_us);

/*
 * Goes to AdminDown for good and tells the peer; called again, tells it again. True when the state
 * has changed.
 */
bool bfd_session_shut(struct bfd_session *session, int64_t now_us);

/* The next packet that is due, into `out`; false: none. */
bool bfd_session_next_packet(struct bfd_session *session, int64_t now_us, struct bfd_packet *out);

/* When to call bfd_session_tick and bfd_session_next_packet at the latest; INT64_MAX: no need. */
int64_t bfd_session_deadline_us(const struct bfd_session *session);

/* The detection time in force; 0 while the peer is not known (RFC 5880 section 6.8.4). */
int64_t bfd_session_detection_us(const struct bfd_session *session);

#endif
