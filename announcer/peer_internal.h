/* A peer from the inside: shared by peer.c, what happens to it, and peer_status.c, how it looks. */
#ifndef GODWIT_ANNOUNCER_PEER_INTERNAL_H
#define GODWIT_ANNOUNCER_PEER_INTERNAL_H

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

/* Adds what a session has counted. */
void peer_counts_add(struct bgp_session_counts *sum, const struct peer_connection *connection);

#endif
