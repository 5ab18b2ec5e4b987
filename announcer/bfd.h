/*
 * Bidirectional Forwarding Detection (RFC 5880), asynchronous mode, over one hop (RFC 5881) and
 * over several (RFC 5883): tells within a few packets' time that a router is gone, and tells the
 * router that we are.
 *
 * All sessions run on one thread of their own with real-time priority where the system grants it,
 * so that a busy event loop never makes a router believe we are dead. The packets and the state
 * machine are bfd_packet.h and bfd_session.h, pure; this is their edge: sockets, timers, the
 * thread. Each change of a session's state is one log line with its cause.
 */
#ifndef GODWIT_ANNOUNCER_BFD_H
#define GODWIT_ANNOUNCER_BFD_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct bfd;
struct heartbeat;
struct bfd_link; /* one session, as others see it */

/* RFC 5880 section 4.1, the values on the wire. */
enum bfd_state { BFD_ADMIN_DOWN = 0, BFD_DOWN = 1, BFD_INIT = 2, BFD_UP = 3 };

struct bfd_options {
	struct sockaddr_storage peer;  /* the port is not looked at */
	struct sockaddr_storage local; /* to send from; family AF_UNSPEC: what the system takes */
	char interface[IFNAMSIZ];      /* to bind to; "": none. Needed for link-local peers */
	bool multihop;                 /* port 4784, and `min_ttl`; else port 3784 and TTL 255 */
	uint8_t min_ttl;               /* multihop: packets with a lower one are dropped; 0: any */
	uint32_t min_tx_us;            /* desired minimum transmit interval, at least 10,000 */
	uint32_t min_rx_us;            /* required minimum receive interval */
	uint8_t multiplier;            /* 1 to 255 */
};

struct bfd_status {
	enum bfd_state state;
	enum bfd_state remote_state;
	uint8_t diagnostic; /* local, RFC 5880 section 4.1 */
	uint8_t remote_diagnostic;
	int64_t since_ms;        /* CLOCK_MONOTONIC, of the last change of state */
	uint32_t tx_interval_us; /* in force */
	uint32_t detection_us;   /* in force; 0 while not up */
	uint64_t packets_sent;
	uint64_t packets_received;
	uint64_t packets_dropped; /* for the right peer, but not good */
	uint64_t ups;             /* times it came up */
	uint64_t downs;           /* times it went down from up */
};

/* Starts the thread, with its heartbeat (NULL: nobody looks). NULL with a reason. */
struct bfd *bfd_start(struct heartbeat *heartbeat, char *error, size_t error_size);

/* Tells every peer AdminDown (RFC 5880 section 6.8.16), ends the thread, frees all links. */
void bfd_stop(struct bfd *bfd);

/*
 * Becomes readable when a link has changed its state; read 8 octets from it (an eventfd), then look
 * at the links. Owned by `bfd`.
 */
int bfd_event_fd(const struct bfd *bfd);

/*
 * Adds a session and starts it. NULL with a reason that names the peer. Owned by `bfd`. Any thread.
 */
struct bfd_link *bfd_add(struct bfd *bfd, const struct bfd_options *options, char *error,
			 size_t error_size);

/* Any thread. */
void bfd_read_status(struct bfd_link *link, struct bfd_status *out);

/* "up", "down", ...; the diagnostic in the words of RFC 5880. Any thread. */
const char *bfd_state_name(enum bfd_state state);
const char *bfd_diagnostic_name(uint8_t diagnostic);

/* Packets that came for no session, or could not be understood. Any thread. */
uint64_t bfd_packets_unknown(const struct bfd *bfd);

/*
 * bfd_start with other UDP ports than the standard's, for tests: two of these talk to each other on
 * one machine when each receives where the other sends to.
 */
struct bfd_ports {
	uint16_t receive[2]; /* over one hop, over several */
	uint16_t send[2];
};
struct bfd *bfd_start_on(const struct bfd_ports *ports, struct heartbeat *heartbeat, char *error,
			 size_t error_size);

#endif
