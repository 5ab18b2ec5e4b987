/* RFC 5880 section 6.8, the parts that asynchronous mode needs. */
#include "announcer/bfd_session.h"

#include <string.h>

/* What is not known of a peer that is not there: RFC 5880 section 6.8.1. */
static void session_forget_peer(struct bfd_session *session)
{
	session->remote_discriminator = 0;
	session->remote_state = BFD_DOWN;
	session->remote_min_tx_us = 0;
	session->remote_min_rx_us = 1;
	session->remote_multiplier = 0;
	session->remote_demand = false;
	session->polling = false; /* nobody would answer */
}

/* xorshift: jitter needs no better. */
static uint32_t session_random(struct bfd_session *session)
{
	uint32_t x = session->random;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	session->random = x;
	return x;
}

/*
 * Section 6.8.7: each interval is reduced by 0 to 25 %; with a multiplier of 1 by 10 to 25 %, so
 * that the one packet that may not be late is not.
 */
static int64_t session_jitter(struct bfd_session *session)
{
	uint32_t most = session->options.multiplier == 1 ? 15000 : 25000;
	uint32_t part = 75000 + session_random(session) % (most + 1);
	return (int64_t)session->interval_us * part / 100000;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* What we say we want to send at: section 6.8.3. */
static uint32_t session_desired_min_tx(const struct bfd_session *session)
{
	if (session->state == BFD_UP)
		return session->options.min_tx_us;
	return larger(session->options.min_tx_us, BFD_SLOW_US);
}

/* After anything it depends on may have changed. Counts from the last packet, not from now. */
static void session_update_interval(struct bfd_session *session)
{
	uint32_t interval = larger(session_desired_min_tx(session), session->remote_min_rx_us);
	if (interval == session->interval_us)
		return;
	session->interval_us = interval;
	session->send_at_us = session->sent_us + session_jitter(session);
}

static bool session_change(struct bfd_session *session, enum bfd_state state, enum bfd_cause cause,
			   int64_t now_us)
{
	uint32_t before = session_desired_min_tx(session);

	session->state = state;
	session->cause = cause;
	session->changed_us = now_us;
	session->change_wanted = true;
	if (state == BFD_UP)
		session->diagnostic = BFD_DIAG_NONE;
	if (session_desired_min_tx(session) != before && session->remote_discriminator != 0)
		session->polling = true;
	session_update_interval(session);
	return true;
}

void bfd_session_init(struct bfd_session *session, const struct bfd_session_options *options,
		      int64_t now_us)
{
	memset(session, 0, sizeof(*session));
	session->options = *options;
	session->random = options->seed ? options->seed : 1; /* 0 would stay 0 */
	session->state = BFD_DOWN;
	session->changed_us = now_us;
	session_forget_peer(session);
	session->interval_us = session_desired_min_tx(session);
	session->sent_us = now_us;
	session->send_at_us = now_us;
}

/* The second half of section 6.8.6: what the peer's state makes of ours. */
static bool session_follow_peer(struct bfd_session *session, int64_t now_us)
{
	enum bfd_state remote = session->remote_state;

	if (remote == BFD_ADMIN_DOWN || (remote == BFD_DOWN && session->state == BFD_UP)) {
		if (session->state == BFD_DOWN)
			return false;
		session->diagnostic = BFD_DIAG_NEIGHBOR_DOWN;
		return session_change(session, BFD_DOWN,
				      remote == BFD_ADMIN_DOWN ? BFD_CAUSE_PEER_ADMIN_DOWN
							       : BFD_CAUSE_PEER_DOWN,
				      now_us);
	}
	if (session->state == BFD_DOWN && remote == BFD_DOWN)
		return session_change(session, BFD_INIT, BFD_CAUSE_PEER_FOUND, now_us);
	if ((session->state == BFD_DOWN && remote == BFD_INIT) ||
	    (session->state == BFD_INIT && remote >= BFD_INIT))
		return session_change(session, BFD_UP, BFD_CAUSE_AGREED, now_us);
	return false;
}

bool bfd_session_receive(struct bfd_session *session, const struct bfd_packet *packet,
			 int64_t now_us)
{
	if (session->state == BFD_ADMIN_DOWN)
		return false;
	session->received_us = now_us;
	session->remote_discriminator = packet->my_discriminator;
	session->remote_state = packet->state;
	session->remote_diagnostic = packet->diagnostic;
	session->remote_demand = packet->demand;
	session->remote_min_tx_us = packet->desired_min_tx_us;
	session->remote_min_rx_us = packet->required_min_rx_us;
	session->remote_multiplier = packet->multiplier;
	if (packet->final)
		session->polling = false;
	session_update_interval(session);
	bool changed = session_follow_peer(session, now_us);
	/* A packet has one of the two bits (section 6.5): one with both asks for nothing. */
	if (packet->poll && !packet->final)
		session->final_wanted = true;
	return changed;
}

int64_t bfd_session_detection_us(const struct bfd_session *session)
{
	if (session->remote_discriminator == 0)
		return 0;
	return (int64_t)session->remote_multiplier *
	       larger(session->options.min_rx_us, session->remote_min_tx_us);
}

bool bfd_session_tick(struct bfd_session *session, int64_t now_us)
{
	if (session->remote_discriminator == 0 || session->state == BFD_ADMIN_DOWN ||
	    now_us < session->received_us + bfd_session_detection_us(session))
		return false;
	session->silence_us = now_us - session->received_us;
	session_forget_peer(session);
	if (session->state == BFD_DOWN) {
		session_update_interval(session);
		return false;
	}
	session->diagnostic = BFD_DIAG_EXPIRED;
	return session_change(session, BFD_DOWN, BFD_CAUSE_EXPIRED, now_us);
}

bool bfd_session_shut(struct bfd_session *session, int64_t now_us)
{
	session->change_wanted = true;
	if (session->state == BFD_ADMIN_DOWN)
		return false;
	session->diagnostic = BFD_DIAG_ADMINISTRATIVELY;
	session_change(session, BFD_ADMIN_DOWN, BFD_CAUSE_SHUT, now_us);
	session->polling = false; /* its answer would not be read */
	session->final_wanted = false;
	return true;
}

/* Section 6.8.7: the peer wants no periodic packets, at all or in demand mode. */
static bool session_is_hushed(const struct bfd_session *session)
{
	if (session->remote_min_rx_us == 0)
		return true;
	return session->remote_demand && session->state == BFD_UP &&
	       session->remote_state == BFD_UP && !session->polling;
}

/* Section 6.8.7, field by field, but for the two bits. */
static void session_fill_packet(const struct bfd_session *session, struct bfd_packet *out)
{
	*out = (struct bfd_packet){
		.state = session->state,
		.diagnostic = session->diagnostic,
		.multiplier = session->options.multiplier,
		.my_discriminator = session->options.discriminator,
		.your_discriminator = session->remote_discriminator,
		.desired_min_tx_us = session_desired_min_tx(session),
		.required_min_rx_us = session->options.min_rx_us,
	};
}

bool bfd_session_next_packet(struct bfd_session *session, int64_t now_us, struct bfd_packet *out)
{
	if (session->final_wanted) {
		/* Besides the periodic ones and not in their place: a peer that polls without end
		   would hold up our own poll. */
		session_fill_packet(session, out);
		out->final = true;
		session->final_wanted = false;
		return true;
	}
	bool due = now_us >= session->send_at_us && !session_is_hushed(session);
	if (!session->change_wanted && !due)
		return false;
	session_fill_packet(session, out);
	out->poll = session->polling;
	session->change_wanted = false;
	session->sent_us = now_us;
	session->send_at_us = now_us + session_jitter(session);
	return true;
}

int64_t bfd_session_deadline_us(const struct bfd_session *session)
{
	int64_t deadline = INT64_MAX;

	if (session->change_wanted || session->final_wanted)
		return INT64_MIN;
	if (!session_is_hushed(session))
		deadline = session->send_at_us;
	if (session->remote_discriminator != 0 && session->state != BFD_ADMIN_DOWN) {
		int64_t expiry = session->received_us + bfd_session_detection_us(session);
		if (expiry < deadline)
			deadline = expiry;
	}
	return deadline;
}
