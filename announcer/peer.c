/*
 * What happens to a peer. All its connections report to peer_on_change; where one ends, peer_over
 * takes it away, says why, and plans the next try.
 */
#include "announcer/peer.h"

#include "announcer/bfd_packet.h"
#include "announcer/bgp_error.h"
#include "announcer/metrics.h"
#include "announcer/peer_internal.h"
#include "common/clock.h"
#include "common/log.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void peer_connect(struct peer *peer);

void peer_notify(struct peer *peer)
{
	peer->world->on_change(peer->world->ctx);
}

static struct peer_connection *peer_other(const struct peer *peer,
					  const struct peer_connection *connection)
{
	return connection == peer->made ? peer->accepted : peer->made;
}

bool peer_is_past(const struct peer_connection *connection, enum peer_state state)
{
	return connection && peer_connection_state(connection) >= state;
}

/* --- trying ----------------------------------------------------------------------------------- */

/*
 * Plans the next try unless there is no need: a connection is on its way. One that was accepted but
 * has not brought an OPEN may never bring it, and does not keep us from trying.
 */
void peer_plan_retry(struct peer *peer)
{
	if (peer->stopped || peer->config->passive || peer->made ||
	    peer_is_past(peer->accepted, PEER_OPEN_CONFIRM) || evtimer_pending(peer->retry, NULL))
		return;
	int64_t wait_ms = backoff_next(&peer->backoff);
	const struct timeval wait = clock_timeval(wait_ms);
	if (event_add(peer->retry, &wait) != 0)
		log_error("a BGP peer cannot be tried again: no timer", "peer=%s", peer->name);
}

void peer_note_failure(struct peer *peer, const char *cause)
{
	snprintf(peer->last_error, sizeof(peer->last_error), "%s", cause);
	peer_report_failure(&peer->report, peer->name, cause);
}

static void peer_on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct peer *peer = ctx;
	(void)fd;
	(void)what;
	if (peer->stopped || peer->made || peer_is_past(peer->accepted, PEER_OPEN_CONFIRM))
		return;
	peer_connect(peer);
	peer_plan_retry(peer);
	peer_notify(peer);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void peer_note_lost(struct peer *peer, const char *cause)
{
	int64_t now_ms = clock_now_ms();
	int64_t up_ms = now_ms - peer->since_ms;
	peer->established = NULL;
	peer->since_ms = now_ms;
	peer->held_back[0] = '\0';
	peer_report_reset(&peer->report);
	/* Only a session that has stood a while makes the next try come soon: else two speakers
	   that cannot agree would meet ten times a second. */
	if (up_ms >= peer->world->config->connect_retry_ms)
		backoff_reset(&peer->backoff);
	metrics_add(peer->world->metrics, METRIC_BGP_LOST, 1);
	snprintf(peer->last_error, sizeof(peer->last_error), "%s", cause);
	if (peer->stopped)
		log_info("BGP session ended", "peer=%s reason=%s up_s=%.1f", peer->name, cause,
			 (double)up_ms / 1000);
	else
		log_warning("BGP session lost", "peer=%s reason=%s up_s=%.1f", peer->name, cause,
			    (double)up_ms / 1000);
}

/* A connection has ended: takes it away, says why. */
static void peer_over(struct peer *peer, struct peer_connection *connection)
{
	const char *cause = peer_connection_error(connection);
	bool stood = peer_connection_session(connection) != NULL;
	if (!stood && peer_connection_is_outgoing(connection))
		metrics_add(peer->world->metrics, METRIC_BGP_CONNECT_FAILURES, 1);
	if (connection == peer->established)
		peer_note_lost(peer, cause);
	else if (peer->stopped || peer_is_past(peer_other(peer, connection), PEER_OPEN_SENT))
		log_debug("a BGP connection has ended", "peer=%s reason=%s", peer->name, cause);
	else
		peer_note_failure(peer, cause);

	peer_counts_add(&peer->past, connection);
	if (connection == peer->made)
		peer->made = NULL;
	else
		peer->accepted = NULL;
	peer_connection_end(connection, peer->world->lingers);
}

void peer_end(struct peer *peer, struct peer_connection *connection, enum bgp_cease subcode,
	      const char *message, const char *words)
{
	if (!connection)
		return;
	peer_connection_close(connection, BGP_ERROR_CEASE, (uint8_t)subcode, message, words);
	peer_over(peer, connection);
}

/* --- routes ----------------------------------------------------------------------------------- */

/* Names what the peer's own configuration keeps it from hearing, if nothing else does. */
static void peer_explain_families(struct peer *peer, const struct bgp_session *session)
{
	static const int families[] = {AF_INET, AF_INET6};
	for (size_t f = 0; f < 2 && peer->held_back[0] == '\0'; f++) {
		for (size_t i = 0; i < peer->world->count; i++) {
			if (peer->world->list[i].prefix.family != families[f] ||
			    bgp_session_has_family(session, families[f]))
				continue;
			snprintf(peer->held_back, sizeof(peer->held_back),
				 "%s: not agreed on with the peer",
				 families[f] == AF_INET ? "IPv4" : "IPv6");
			break;
		}
	}
}

/* Tells one connection all there is to announce. False when it had to be ended for that. */
static bool peer_give_routes(struct peer *peer, struct peer_connection *connection)
{
	const struct peer_world *world = peer->world;
	struct peer_next_hops hops;
	struct bgp_route *routes = calloc(world->count + 1, sizeof(*routes));
	int status = -1;
	if (routes) {
		peer_next_hop_choose(world->config, peer->config, peer_connection_local(connection),
				     world->host, world->list, world->count, &hops);
		size_t count = peer_routes_build(peer->config, &hops, world->list, world->count,
						 routes, peer->held_back);
		status = peer_connection_set_routes(connection, routes, count);
	}
	free(routes);
	if (status == 0) {
		if (connection == peer->established)
			peer_explain_families(peer, peer_connection_session(connection));
		return true;
	}
	/* A withdrawal that cannot be sent must not be lost: the session's end withdraws all. */
	peer_end(peer, connection, BGP_CEASE_OUT_OF_RESOURCES, NULL, "out of memory");
	return false;
}

void peer_update_routes(struct peer *peer)
{
	struct peer_connection *both[] = {peer->made, peer->accepted};
	for (size_t i = 0; i < 2; i++) {
		if (peer_is_past(both[i], PEER_OPEN_SENT))
			peer_give_routes(peer, both[i]);
	}
	peer_plan_retry(peer);
}

/* --- progress --------------------------------------------------------------------------------- */

bool peer_keeps_outgoing(uint32_t our_id, uint32_t our_as, uint32_t peer_id, uint32_t peer_as)
{
	return our_id != peer_id ? our_id > peer_id : our_as > peer_as;
}

/*
 * A good OPEN has come on `connection`: of two connections that have one, one is to go (RFC 4271
 * section 6.8). True when this is not that one.
 */
static bool peer_resolve_collision(struct peer *peer, struct peer_connection *connection)
{
	static const char words[] = "closed here: another connection with this peer stays";
	struct peer_connection *other = peer_other(peer, connection);
	const struct announcer_bgp *bgp = peer->world->config;
	uint32_t peer_id = 0;
	if (!peer_is_past(other, PEER_OPEN_CONFIRM))
		return true;
	metrics_add(peer->world->metrics, METRIC_BGP_COLLISIONS, 1);
	bgp_session_peer_id(peer_connection_session(connection), &peer_id);
	bool keeps_outgoing =
		peer_keeps_outgoing(bgp->router_id, bgp->as, peer_id, peer->config->as);
	bool stays = other != peer->established &&
		     peer_connection_is_outgoing(connection) == keeps_outgoing;
	peer_end(peer, stays ? other : connection, BGP_CEASE_COLLISION, NULL, words);
	return stays;
}

static void peer_note_established(struct peer *peer, struct peer_connection *connection)
{
	const struct bgp_session *session = peer_connection_session(connection);
	char local[PEER_SOCKET_TEXT_MAX];
	int64_t now_ms = clock_now_ms();
	int64_t down_ms = now_ms - peer->since_ms;
	bool ipv4 = bgp_session_has_family(session, AF_INET);
	bool ipv6 = bgp_session_has_family(session, AF_INET6);
	peer->established = connection;
	peer->since_ms = now_ms;
	peer->times_established++;
	event_del(peer->retry);
	peer_report_reset(&peer->report);
	metrics_add(peer->world->metrics, METRIC_BGP_ESTABLISHED, 1);
	log_info("BGP session established",
		 "peer=%s as=%u local=%s hold_time_s=%u families=%s announced=%zu down_s=%.1f",
		 peer->name, peer->config->as,
		 peer_socket_format(peer_connection_local(connection), PEER_SOCKET_NO_PORT, local),
		 bgp_session_hold_time(session),
		 ipv4 && ipv6 ? "ipv4,ipv6"
		 : ipv4       ? "ipv4"
		 : ipv6       ? "ipv6"
			      : "none",
		 bgp_session_announced(session), (double)down_ms / 1000);
	peer_explain_families(peer, session);
	/* The other one can only lose from now on. */
	peer_end(peer, peer_other(peer, connection), BGP_CEASE_COLLISION, NULL,
		 "closed here: another connection with this peer stays");
}

/* From peer_connection.h: a connection is in another state than before. */
static void peer_on_change(void *ctx, struct peer_connection *connection, enum peer_state before)
{
	struct peer *peer = ctx;
	bool stays = true;
	if (peer_connection_state(connection) == PEER_IDLE) {
		peer_over(peer, connection);
		stays = false;
	}
	/* Routes are given before the peer's OPEN: they go out in the turn that establishes. */
	if (stays && before == PEER_CONNECT)
		stays = peer_give_routes(peer, connection);
	if (stays && before < PEER_OPEN_CONFIRM && peer_is_past(connection, PEER_OPEN_CONFIRM))
		stays = peer_resolve_collision(peer, connection);
	if (stays && peer_is_past(connection, PEER_ESTABLISHED))
		peer_note_established(peer, connection);
	peer_plan_retry(peer);
	peer_notify(peer);
}

/* --- connections ------------------------------------------------------------------------------ */

struct peer_connection *peer_take(struct peer *peer, int fd, bool outgoing)
{
	const struct announcer_bgp *bgp = peer->world->config;
	const struct peer_connection_options options = {
		.base = peer->world->base,
		.peer = peer->name,
		.session =
			{
				.local_as = bgp->as,
				.peer_as = peer->config->as,
				.router_id = bgp->router_id,
				.hold_time_s = bgp->hold_time_s,
				.ipv4 = peer->config->ipv4,
				.ipv6 = peer->config->ipv6,
			},
		.on_change = peer_on_change,
		.ctx = peer,
	};
	return peer_connection_create(&options, fd, outgoing);
}

static void peer_connect(struct peer *peer)
{
	char cause[BGP_ERROR_MAX] = "out of memory";
	metrics_add(peer->world->metrics, METRIC_BGP_CONNECTS, 1);
	int fd = peer_socket_connect(peer->world->config, peer->config, cause, sizeof(cause));
	if (fd >= 0)
		peer->made = peer_take(peer, fd, true);
	if (peer->made)
		return;
	metrics_add(peer->world->metrics, METRIC_BGP_CONNECT_FAILURES, 1);
	peer_note_failure(peer, cause);
}

/* --- BFD -------------------------------------------------------------------------------------- */

/*
 * A peer that says AdminDown has stopped BFD, not routing: no reason to close (RFC 5882 section
 * 3.2). A link that went down before that was said was a failure all the same.
 */
static bool peer_link_failed(const struct bfd_status *status)
{
	return status->remote_state != BFD_ADMIN_DOWN || status->diagnostic == BFD_DIAG_EXPIRED;
}

/* The way to the peer is good again: a SYN that was lost is not waited for. */
static void peer_hurry(struct peer *peer)
{
	const struct timeval now = {0};
	if (peer->made && !peer_is_past(peer->made, PEER_OPEN_SENT)) {
		peer_connection_destroy(peer->made);
		peer->made = NULL;
	}
	if (!peer->stopped && !peer->config->passive && !peer->made)
		event_add(peer->retry, &now);
}

void peer_look_at_bfd(struct peer *peer)
{
	struct bfd_status status;
	char words[BGP_ERROR_MAX];
	if (!peer->link)
		return;
	bfd_read_status(peer->link, &status);
	bool went_down = status.downs != peer->link_downs;
	bool came_up = status.ups != peer->link_ups && status.state == BFD_UP;
	peer->link_downs = status.downs;
	peer->link_ups = status.ups;
	if (went_down && peer_link_failed(&status) && !peer->stopped) {
		snprintf(words, sizeof(words), "BFD down: %s",
			 status.state == BFD_UP ? "it was, for a moment"
						: bfd_diagnostic_name(status.diagnostic));
		if (peer->established)
			metrics_add(peer->world->metrics, METRIC_BGP_BFD_CLOSED, 1);
		peer_end(peer, peer->made, BGP_CEASE_BFD_DOWN, NULL, words);
		peer_end(peer, peer->accepted, BGP_CEASE_BFD_DOWN, NULL, words);
		peer_plan_retry(peer);
	}
	if (came_up)
		peer_hurry(peer);
	if (went_down || came_up)
		peer_notify(peer);
}

/* --- life ------------------------------------------------------------------------------------- */

struct peer *peer_create(const struct peer_world *world, const struct announcer_peer *config,
			 struct bfd_link *link)
{
	const struct timeval now = {0};
	struct peer *peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->world = world;
	peer->config = config;
	peer->link = link;
	peer->backoff.min_ms = PEER_RETRY_MIN_MS;
	peer->backoff.max_ms = world->config->connect_retry_ms;
	peer->since_ms = clock_now_ms();
	char address[PEER_SOCKET_TEXT_MAX];
	peer_socket_format(&config->address.addr, PEER_SOCKET_PORT, address);
	snprintf(peer->name, sizeof(peer->name), config->interface[0] ? "%s%%%s" : "%s", address,
		 config->interface);
	peer->retry = evtimer_new(world->base, peer_on_retry, peer);
	if (!peer->retry || peer_newcomer_init(peer) != 0 ||
	    (!config->passive && event_add(peer->retry, &now) != 0)) {
		peer_destroy(peer);
		return NULL;
	}
	return peer;
}

void peer_destroy(struct peer *peer)
{
	if (!peer)
		return;
	peer_connection_destroy(peer->made);
	peer_connection_destroy(peer->accepted);
	peer_newcomer_clear(peer);
	if (peer->retry)
		event_free(peer->retry);
	free(peer);
}

void peer_shutdown(struct peer *peer, const char *message)
{
	static const char words[] = "shut down here";
	peer->stopped = true;
	event_del(peer->retry);
	peer_newcomer_drop(peer);
	peer_end(peer, peer->made, BGP_CEASE_ADMIN_SHUTDOWN, message, words);
	peer_end(peer, peer->accepted, BGP_CEASE_ADMIN_SHUTDOWN, message, words);
}
