/*
 * A peer from the inside: shared by peer.c, what happens to it, peer_accept.c, who may connect to
 * us, and peer_status.c, how it looks.
 */
#ifndef GODWIT_ANNOUNCER_PEER_INTERNAL_H
#define GODWIT_ANNOUNCER_PEER_INTERNAL_H

#include "announcer/bgp_error.h"
#include "announcer/bgp_session.h"
#include "announcer/peer.h"
#include "announcer/peer_connection.h"
#include "announcer/peer_report.h"
#include "announcer/peer_routes.h"
#include "announcer/peer_socket.h"
#include "common/backoff.h"

struct event;

struct peer {
	const struct peer_world *world;
	const struct announcer_peer *config;
	char name[PEER_SOCKET_TEXT_MAX + IFNAMSIZ]; /* its address, for people */
	struct peer_connection *made;
	struct peer_connection *accepted;
	struct peer_connection *established; /* one of both, or NULL */
	struct event *retry;
	struct backoff backoff;
	bool stopped;         /* by peer_shutdown */
	int64_t accept_at_ms; /* rises by PEER_ACCEPT_INTERVAL_MS with each connection */
	/* A connection that waits while the established session is tested; -1: none. */
	int newcomer_fd;
	struct event *newcomer_timer;
	int64_t newcomer_until_ms;
	uint64_t newcomer_heard; /* messages that had been received when the test began */

	struct bfd_link *link;
	uint64_t link_ups, link_downs; /* as last seen */

	struct peer_report report;
	int64_t since_ms;
	uint64_t times_established;
	char last_error[BGP_ERROR_MAX];
	char held_back[PEER_HELD_BACK_MAX];
	struct bgp_session_counts past; /* of sessions that are over */
};

enum peer_state peer_state(const struct peer *peer);

/* True when a connection has come so far; NULL never has. */
bool peer_is_past(const struct peer_connection *connection, enum peer_state state);

void peer_notify(struct peer *peer);
void peer_note_failure(struct peer *peer, const char *cause);

/* Makes a connection of `fd`, which it owns from here. NULL when out of memory. */
struct peer_connection *peer_take(struct peer *peer, int fd, bool outgoing);

/* Ends a connection from our side. NULL is allowed. */
void peer_end(struct peer *peer, struct peer_connection *connection, enum bgp_cease subcode,
	      const char *message, const char *words);

/* See peer.c. */
void peer_plan_retry(struct peer *peer);

/* The newcomer's part of a peer's life: -1 when out of memory. _drop closes one that waits. */
int peer_newcomer_init(struct peer *peer);
void peer_newcomer_drop(struct peer *peer);
void peer_newcomer_clear(struct peer *peer);

/* Adds what a session has counted. */
void peer_counts_add(struct bgp_session_counts *sum, const struct peer_connection *connection);

#endif
