/* How a peer looks from outside. */
#include "announcer/peer_internal.h"

#include <stdio.h>
#include <string.h>

static enum peer_state peer_connection_state_or_idle(const struct peer_connection *connection)
{
	return connection ? peer_connection_state(connection) : PEER_IDLE;
}

enum peer_state peer_state(const struct peer *peer)
{
	enum peer_state made = peer_connection_state_or_idle(peer->made);
	enum peer_state accepted = peer_connection_state_or_idle(peer->accepted);
	enum peer_state further = made > accepted ? made : accepted;
	if (further == PEER_IDLE && peer->config->passive && !peer->stopped)
		return PEER_ACTIVE;
	return further;
}

void peer_counts_add(struct bgp_session_counts *sum, const struct peer_connection *connection)
{
	struct bgp_session_counts counts;
	if (!connection || !peer_connection_session(connection))
		return;
	bgp_session_read_counts(peer_connection_session(connection), &counts);
	sum->messages_received += counts.messages_received;
	sum->messages_sent += counts.messages_sent;
	sum->updates_received += counts.updates_received;
	sum->updates_sent += counts.updates_sent;
	sum->routes_received += counts.routes_received;
	sum->malformed_received += counts.malformed_received;
	sum->refreshes_received += counts.refreshes_received;
}

bool peer_has_connection(const struct peer *peer)
{
	return peer->made || peer->accepted;
}

bool peer_is_established(const struct peer *peer)
{
	return peer->established != NULL;
}

bool peer_is_flushed(const struct peer *peer)
{
	return !peer->established || peer_connection_is_flushed(peer->established);
}

bool peer_has_announced(const struct peer *peer, const struct prefix *prefix)
{
	return peer->established &&
	       bgp_session_has_announced(peer_connection_session(peer->established), prefix);
}

const struct announcer_peer *peer_config(const struct peer *peer)
{
	return peer->config;
}

/* What is known only while a session stands. */
static void peer_read_session(const struct peer_connection *connection, struct peer_status *out)
{
	const struct bgp_session *session = peer_connection_session(connection);
	char local[PEER_SOCKET_TEXT_MAX];
	out->hold_time_s = bgp_session_hold_time(session);
	out->ipv4 = bgp_session_has_family(session, AF_INET);
	out->ipv6 = bgp_session_has_family(session, AF_INET6);
	out->announced = bgp_session_announced(session);
	snprintf(out->local_address, sizeof(out->local_address), "%s",
		 peer_socket_format(peer_connection_local(connection), PEER_SOCKET_NO_PORT, local));
}

void peer_read_status(const struct peer *peer, struct peer_status *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->address, sizeof(out->address), "%s", peer->name);
	snprintf(out->description, sizeof(out->description), "%s", peer->config->description);
	out->as = peer->config->as;
	out->state = peer_state(peer);
	out->since_ms = peer->since_ms;
	out->established = peer->times_established;
	snprintf(out->last_error, sizeof(out->last_error), "%s", peer->last_error);
	snprintf(out->held_back, sizeof(out->held_back), "%s", peer->held_back);
	out->counts = peer->past;
	peer_counts_add(&out->counts, peer->made);
	peer_counts_add(&out->counts, peer->accepted);
	if (peer->established)
		peer_read_session(peer->established, out);
	out->has_bfd = peer->link != NULL;
	if (peer->link)
		bfd_read_status(peer->link, &out->bfd);
}

const char *peer_state_name(enum peer_state state)
{
	static const char *const names[] = {"Idle",     "Connect",     "Active",
					    "OpenSent", "OpenConfirm", "Established"};
	return names[state];
}
