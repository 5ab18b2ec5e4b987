/*
 * Connections that come from a peer: how often, whether one is wanted, and what one means that
 * comes while a session stands.
 *
 * A router that was switched off and on again has forgotten its session; here it may stand until
 * the hold time ends. So a newcomer is not refused out of hand (RFC 4271 section 6.8 leaves that
 * open): the established session is tested with a KEEPALIVE first. Three things can follow. The
 * router's TCP acknowledges, as it does while the session lives there: the newcomer is refused. It
 * knows nothing of the old connection and resets it: the session is lost, and the newcomer is the
 * next. Or nothing comes (with TTL security a reset from a router's kernel is not near enough to be
 * heard): after PEER_NEWCOMER_MS the newcomer counts for more. Who has not got the router's address
 * and its TCP MD5 key cannot come so far; who has can only make us ask.
 */
#include "announcer/bgp_error.h"
#include "announcer/bgp_message.h"
#include "announcer/metrics.h"
#include "announcer/peer.h"
#include "announcer/peer_internal.h"
#include "announcer/peer_linger.h"
#include "common/clock.h"
#include "common/log.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <unistd.h>

#define NEWCOMER_LOOK_MS 5 /* how often the test's outcome is looked at */

/* True when the peer may make one more connection to us now. */
static bool peer_may_come(struct peer *peer)
{
	int64_t now_ms = clock_now_ms();
	if (peer->accept_at_ms < now_ms)
		peer->accept_at_ms = now_ms;
	if (peer->accept_at_ms - now_ms > (PEER_ACCEPT_BURST - 1) * PEER_ACCEPT_INTERVAL_MS)
		return false;
	peer->accept_at_ms += PEER_ACCEPT_INTERVAL_MS;
	return true;
}

/* Tells the peer why in a NOTIFICATION, and closes. */
static void peer_refuse(struct peer *peer, int fd, enum bgp_cease subcode, const char *cause)
{
	uint8_t message[BGP_MESSAGE_MAX];
	size_t size =
		bgp_message_write_notification(message, BGP_ERROR_CEASE, (uint8_t)subcode, NULL, 0);
	struct evbuffer *output = evbuffer_new();
	metrics_add(peer->world->metrics, METRIC_BGP_REFUSED, 1);
	log_warning_limited("BGP connection refused", "peer=%s reason=%s", peer->name, cause);
	if (output && evbuffer_add(output, message, size) == 0)
		peer_linger_start(peer->world->lingers, fd, output);
	else
		close(fd);
	if (output)
		evbuffer_free(output);
}

static void peer_refuse_second(struct peer *peer, int fd)
{
	metrics_add(peer->world->metrics, METRIC_BGP_COLLISIONS, 1);
	peer_refuse(peer, fd, BGP_CEASE_COLLISION, "there is a session with this peer");
}

/* Begins BGP on a connection that the peer has made. */
static void peer_admit(struct peer *peer, int fd)
{
	/* A peer that comes anew before its OPEN has forgotten its older connection. */
	peer_end(peer, peer->accepted, BGP_CEASE_COLLISION, NULL, "the peer connected anew");
	peer->accepted = peer_take(peer, fd, false);
	if (peer->accepted)
		metrics_add(peer->world->metrics, METRIC_BGP_ACCEPTED, 1);
	else
		peer_note_failure(peer, "out of memory");
	peer_plan_retry(peer);
	peer_notify(peer);
}

/* --- newcomers -------------------------------------------------------------------------------- */

static uint64_t peer_count_heard(const struct peer *peer)
{
	struct bgp_session_counts counts;
	bgp_session_read_counts(peer_connection_session(peer->established), &counts);
	return counts.messages_received;
}

static bool peer_newcomer_look_later(struct peer *peer)
{
	const struct timeval soon = clock_timeval(NEWCOMER_LOOK_MS);
	return event_add(peer->newcomer_timer, &soon) == 0;
}

/* What has the test shown? */
static void peer_newcomer_on_timer(evutil_socket_t unused, short what, void *ctx)
{
	struct peer *peer = ctx;
	bool stands = peer->established != NULL;
	bool lives = stands && (peer_connection_is_flushed(peer->established) ||
				peer_count_heard(peer) != peer->newcomer_heard);
	(void)unused;
	(void)what;
	if (stands && !lives && clock_now_ms() < peer->newcomer_until_ms &&
	    peer_newcomer_look_later(peer))
		return;
	int fd = peer->newcomer_fd;
	peer->newcomer_fd = -1;
	if (lives || (!stands && peer_is_past(peer->accepted, PEER_OPEN_CONFIRM))) {
		peer_refuse_second(peer, fd);
		return;
	}
	if (stands) {
		metrics_add(peer->world->metrics, METRIC_BGP_REPLACED, 1);
		peer_end(peer, peer->established, BGP_CEASE_COLLISION, NULL,
			 "the peer connected anew, and no longer answers here");
	}
	peer_admit(peer, fd);
}

int peer_newcomer_init(struct peer *peer)
{
	peer->newcomer_fd = -1;
	peer->newcomer_timer = evtimer_new(peer->world->base, peer_newcomer_on_timer, peer);
	return peer->newcomer_timer ? 0 : -1;
}

void peer_newcomer_drop(struct peer *peer)
{
	if (peer->newcomer_fd >= 0)
		close(peer->newcomer_fd);
	peer->newcomer_fd = -1;
	event_del(peer->newcomer_timer);
}

void peer_newcomer_clear(struct peer *peer)
{
	if (!peer->newcomer_timer)
		return;
	peer_newcomer_drop(peer);
	event_free(peer->newcomer_timer);
	peer->newcomer_timer = NULL;
}

/* Tests the established session. A later newcomer takes an earlier one's place in the same test. */
static void peer_newcomer_begin(struct peer *peer, int fd)
{
	bool tested = peer->newcomer_fd >= 0;
	if (tested)
		close(peer->newcomer_fd);
	peer->newcomer_fd = fd;
	if (tested)
		return;
	peer->newcomer_until_ms = clock_now_ms() + PEER_NEWCOMER_MS;
	peer->newcomer_heard = peer_count_heard(peer);
	peer_connection_test(peer->established);
	if (peer_newcomer_look_later(peer))
		return;
	peer->newcomer_fd = -1;
	peer_refuse_second(peer, fd);
}

/* --- the door --------------------------------------------------------------------------------- */

void peer_accept(struct peer *peer, int fd)
{
	char cause[BGP_ERROR_MAX];
	if (peer->stopped) {
		peer_refuse(peer, fd, BGP_CEASE_ADMIN_SHUTDOWN, "we are shutting down");
		return;
	}
	if (!peer_may_come(peer)) {
		metrics_add(peer->world->metrics, METRIC_BGP_REFUSED, 1);
		log_warning_limited("BGP connection refused", "peer=%s reason=%s", peer->name,
				    "too many connections in a short time");
		close(fd);
		return;
	}
	if (peer_socket_adopt(fd, peer->world->config, peer->config, cause, sizeof(cause)) != 0) {
		close(fd);
		metrics_add(peer->world->metrics, METRIC_BGP_REFUSED, 1);
		if (peer->established)
			log_warning_limited("BGP connection refused", "peer=%s reason=%s",
					    peer->name, cause);
		else
			peer_note_failure(peer, cause);
		peer_notify(peer);
	} else if (peer->established) {
		peer_newcomer_begin(peer, fd);
	} else if (peer_is_past(peer->accepted, PEER_OPEN_CONFIRM)) {
		peer_refuse_second(peer, fd);
	} else {
		peer_admit(peer, fd);
	}
}
