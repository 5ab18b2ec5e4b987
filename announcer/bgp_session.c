/*
 * The session's states and timers (RFC 4271 section 8): see the header.
 *
 * What comes in is collected into one message at a time, its header checked as soon as it is there.
 * What is to be announced is bgp_advertise.h's; the session asks it for UPDATEs whenever something
 * may have changed, after each piece of input once, however many refreshes that held.
 */
#include "announcer/bgp_session.h"

#include "announcer/bgp_advertise.h"
#include "announcer/bgp_message.h"
#include "announcer/bgp_octets.h"
#include "announcer/bgp_open.h"
#include "announcer/bgp_update.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BGP_NEVER INT64_MAX
#define BGP_KEEPALIVE_MIN_MS 1000 /* not more often than this (RFC 4271 section 4.4) */

struct bgp_session {
	struct bgp_session_options options;
	enum bgp_state state;
	char error[BGP_ERROR_MAX];
	char warning[96];
	struct bgp_session_counts counts;
	struct evbuffer *output;

	/* The message that is coming in, and its size once its header has come; 0. */
	uint8_t input[BGP_MESSAGE_MAX];
	size_t input_size;
	size_t message_size;

	bool has_open; /* the peer's OPEN is good */
	uint32_t peer_id;
	unsigned int hold_time_s;
	struct bgp_agreement agreement;
	struct bgp_advertise advertise;

	/* Timers, BGP_NEVER when they do not run. */
	int64_t hold_at;
	int64_t keepalive_at;
	int64_t stalled_since; /* output waits, and none of it has been sent since */
	uint64_t queued;       /* octets ever put into the output */
	uint64_t drained;      /* and sent, as of stalled_since */
};

/* ---- The end ---- */

static void bgp_session_end(struct bgp_session *session, const char *words)
{
	if (session->state == BGP_CLOSED)
		return;
	session->state = BGP_CLOSED;
	session->hold_at = BGP_NEVER;
	session->keepalive_at = BGP_NEVER;
	session->stalled_since = BGP_NEVER;
	snprintf(session->error, sizeof(session->error), "%s", words);
}

/* Ends the session and tells the peer. When there is no memory for that, the close has to do. */
static void bgp_session_end_with(struct bgp_session *session, uint8_t code, uint8_t subcode,
				 const uint8_t *data, size_t data_size, const char *words)
{
	uint8_t message[BGP_MESSAGE_MAX];
	size_t size = bgp_message_write_notification(message, code, subcode, data, data_size);

	if (session->state == BGP_CLOSED)
		return;
	bgp_session_end(session, words);
	if (evbuffer_add(session->output, message, size) == 0)
		session->counts.messages_sent++;
}

static void bgp_session_end_fault(struct bgp_session *session, const struct bgp_fault *fault)
{
	bgp_session_end_with(session, fault->code, fault->subcode, fault->data, fault->data_size,
			     fault->words);
}

void bgp_session_close(struct bgp_session *session, uint8_t code, uint8_t subcode,
		       const char *message, const char *words)
{
	uint8_t data[BGP_SHUTDOWN_MESSAGE_MAX + 1];
	char code_words[BGP_ERROR_MAX];
	bool tells = message && code == BGP_ERROR_CEASE &&
		     (subcode == BGP_CEASE_ADMIN_SHUTDOWN || subcode == BGP_CEASE_ADMIN_RESET);
	size_t size = tells ? bgp_shutdown_write(message, data) : 0;

	if (!words)
		words = bgp_error_format(code, subcode, code_words, sizeof(code_words));
	bgp_session_end_with(session, code, subcode, data, size, words);
}

void bgp_session_lost(struct bgp_session *session, const char *reason)
{
	bgp_session_end(session, reason);
}

/* ---- Sending ---- */

/* False: the session is over. */
static bool bgp_session_send(struct bgp_session *session, const uint8_t *message, size_t size)
{
	if (evbuffer_get_length(session->output) + size > BGP_OUTPUT_MAX) {
		bgp_session_close(session, BGP_ERROR_SEND_HOLD, 0, NULL,
				  "peer does not read: 1 MiB waits to be sent");
		return false;
	}
	if (evbuffer_add(session->output, message, size) != 0) {
		bgp_session_close(session, BGP_ERROR_CEASE, BGP_CEASE_OUT_OF_RESOURCES, NULL,
				  "out of memory");
		return false;
	}
	session->queued += size;
	session->counts.messages_sent++;
	return true;
}

/* A third of the hold time, with jitter (RFC 4271 section 10): 0.75 to 1 of it. */
static int64_t bgp_session_keepalive_interval(const struct bgp_session *session)
{
	uint32_t third_ms = session->hold_time_s * 1000 / 3;
	int64_t interval_ms = third_ms - arc4random_uniform(third_ms / 4 + 1);

	return interval_ms > BGP_KEEPALIVE_MIN_MS ? interval_ms : BGP_KEEPALIVE_MIN_MS;
}

static void bgp_session_send_keepalive(struct bgp_session *session, int64_t now_ms)
{
	uint8_t message[BGP_MESSAGE_MAX];

	if (!bgp_session_send(session, message, bgp_message_write_keepalive(message)))
		return;
	if (session->hold_time_s > 0)
		session->keepalive_at = now_ms + bgp_session_keepalive_interval(session);
}

/*
 * Sends what the peer does not know yet. The KEEPALIVE timer is left alone: RFC 4271 would restart
 * it, but one too many does no harm.
 */
static void bgp_session_send_routes(struct bgp_session *session)
{
	uint8_t message[BGP_MESSAGE_MAX];
	size_t size;

	if (session->state != BGP_ESTABLISHED)
		return;
	while ((size = bgp_advertise_next(&session->advertise, &session->agreement, message)) > 0) {
		if (!bgp_session_send(session, message, size))
			return;
		session->counts.updates_sent++;
	}
}

/* RFC 9687 section 3: 8 minutes, or twice the hold time where that is more. */
static int64_t bgp_session_send_hold(const struct bgp_session *session)
{
	int64_t twice_ms = 2000 * (int64_t)session->hold_time_s;

	return twice_ms > BGP_SEND_HOLD_MS ? twice_ms : BGP_SEND_HOLD_MS;
}

/* Notices whether the output moves; ends the session when it has not for too long (RFC 9687). */
static void bgp_session_watch_output(struct bgp_session *session, int64_t now_ms)
{
	size_t waiting = evbuffer_get_length(session->output);
	uint64_t drained = session->queued - waiting;

	if (session->state == BGP_CLOSED)
		return;
	if (waiting == 0) {
		session->stalled_since = BGP_NEVER;
		return;
	}
	if (session->stalled_since == BGP_NEVER || drained != session->drained) {
		session->stalled_since = now_ms;
		session->drained = drained;
	}
	if (now_ms - session->stalled_since >= bgp_session_send_hold(session))
		bgp_session_close(session, BGP_ERROR_SEND_HOLD, 0, NULL,
				  "peer does not read: send hold timer expired");
}

/* ---- Receiving ---- */

static void bgp_session_restart_hold(struct bgp_session *session, int64_t now_ms)
{
	session->hold_at = session->hold_time_s > 0 ? now_ms + 1000 * (int64_t)session->hold_time_s
						    : BGP_NEVER;
}

/* A message the state has no use for (RFC 4271 section 8.2.2, RFC 6608). */
static void bgp_session_refuse(struct bgp_session *session, enum bgp_message_type type)
{
	static const struct {
		uint8_t subcode;
		const char *name;
	} states[] = {
		[BGP_OPEN_SENT] = {BGP_FSM_OPEN_SENT, "OpenSent"},
		[BGP_OPEN_CONFIRM] = {BGP_FSM_OPEN_CONFIRM, "OpenConfirm"},
		[BGP_ESTABLISHED] = {BGP_FSM_ESTABLISHED, "Established"},
	};
	uint8_t unexpected = (uint8_t)type; /* RFC 6608 section 3: the data */
	char words[BGP_ERROR_MAX];

	snprintf(words, sizeof(words), "peer sent a message %s, unexpected in %s",
		 bgp_message_name(type), states[session->state].name);
	bgp_session_end_with(session, BGP_ERROR_FSM, states[session->state].subcode, &unexpected, 1,
			     words);
}

static void bgp_session_handle_open(struct bgp_session *session, int64_t now_ms)
{
	const struct bgp_session_options *options = &session->options;
	struct bgp_fault fault;
	struct bgp_open open;

	if (bgp_open_read(session->input, session->message_size, options, &open, &fault) != 0) {
		bgp_session_end_fault(session, &fault);
		return;
	}
	session->has_open = true;
	session->peer_id = open.router_id;
	session->hold_time_s =
		open.hold_time_s < options->hold_time_s ? open.hold_time_s : options->hold_time_s;
	session->agreement.as4 = open.as4;
	session->agreement.ipv4 = open.ipv4 && options->ipv4;
	session->agreement.ipv6 = open.ipv6 && options->ipv6;
	session->state = BGP_OPEN_CONFIRM;
	/* Without a hold time the long wait for the OPEN goes on until the first KEEPALIVE: nothing
	 * else would ever end this state. */
	if (session->hold_time_s > 0)
		bgp_session_restart_hold(session, now_ms);
	bgp_session_send_keepalive(session, now_ms);
}

static void bgp_session_handle_keepalive(struct bgp_session *session, int64_t now_ms)
{
	if (session->state == BGP_OPEN_CONFIRM)
		session->state = BGP_ESTABLISHED;
	bgp_session_restart_hold(session, now_ms);
}

static void bgp_session_handle_update(struct bgp_session *session, int64_t now_ms)
{
	struct bgp_fault fault;
	struct bgp_update update;

	session->counts.updates_received++;
	bgp_session_restart_hold(session, now_ms);
	if (bgp_update_read(session->input, session->message_size, &session->agreement, &update,
			    &fault) != 0) {
		bgp_session_end_fault(session, &fault);
		return;
	}
	if (update.problem[0]) {
		session->counts.malformed_received++;
		snprintf(session->warning, sizeof(session->warning), "%s", update.problem);
		return;
	}
	session->counts.routes_received += update.announced;
}

/* Marks a family as to be sent again; for one that was not agreed on: nothing (RFC 2918). */
static void bgp_session_handle_refresh(struct bgp_session *session)
{
	struct bgp_refresh refresh;

	bgp_message_read_refresh(session->input, &refresh);
	if (refresh.subtype != 0 || refresh.safi != BGP_SAFI_UNICAST)
		return;
	session->counts.refreshes_received++;
	if (refresh.afi == BGP_AFI_IPV4)
		bgp_advertise_repeat(&session->advertise, AF_INET);
	else if (refresh.afi == BGP_AFI_IPV6)
		bgp_advertise_repeat(&session->advertise, AF_INET6);
}

static void bgp_session_handle_notification(struct bgp_session *session)
{
	const uint8_t *body = session->input + BGP_HEADER_SIZE;
	char words[BGP_ERROR_MAX];

	bgp_error_format_received(body[0], body[1], body + 2,
				  session->message_size - BGP_HEADER_SIZE - 2, words);
	bgp_session_end(session, words);
}

/* A whole message whose header is good. */
static void bgp_session_handle(struct bgp_session *session, int64_t now_ms)
{
	enum bgp_message_type type = bgp_message_type(session->input);

	session->counts.messages_received++;
	if (type == BGP_MESSAGE_NOTIFICATION)
		bgp_session_handle_notification(session);
	else if (session->state == BGP_OPEN_SENT && type == BGP_MESSAGE_OPEN)
		bgp_session_handle_open(session, now_ms);
	else if (session->state != BGP_OPEN_SENT && type == BGP_MESSAGE_KEEPALIVE)
		bgp_session_handle_keepalive(session, now_ms);
	else if (session->state == BGP_ESTABLISHED && type == BGP_MESSAGE_UPDATE)
		bgp_session_handle_update(session, now_ms);
	else if (session->state == BGP_ESTABLISHED && type == BGP_MESSAGE_ROUTE_REFRESH)
		bgp_session_handle_refresh(session);
	else
		bgp_session_refuse(session, type);
}

/* Takes octets into the message that is coming in, up to its end at most; returns how many. */
static size_t bgp_session_collect(struct bgp_session *session, const uint8_t *data, size_t size)
{
	size_t goal = session->message_size > 0 ? session->message_size : BGP_HEADER_SIZE;
	size_t taken = goal - session->input_size < size ? goal - session->input_size : size;
	struct bgp_fault fault;

	bgp_put_octets(session->input + session->input_size, data, taken);
	session->input_size += taken;
	if (session->message_size == 0 && session->input_size == BGP_HEADER_SIZE) {
		int message_size = bgp_message_check_header(session->input, &fault);
		if (message_size < 0)
			bgp_session_end_fault(session, &fault);
		else
			session->message_size = (size_t)message_size;
	}
	return taken;
}

void bgp_session_receive(struct bgp_session *session, const uint8_t *data, size_t size,
			 int64_t now_ms)
{
	while (size > 0 && session->state != BGP_CLOSED) {
		size_t taken = bgp_session_collect(session, data, size);
		data += taken;
		size -= taken;
		if (session->state == BGP_CLOSED || session->message_size == 0 ||
		    session->input_size < session->message_size)
			continue;
		bgp_session_handle(session, now_ms);
		session->input_size = 0;
		session->message_size = 0;
	}
	bgp_session_send_routes(session);
	bgp_session_watch_output(session, now_ms);
}

/* ---- Time ---- */

void bgp_session_tick(struct bgp_session *session, int64_t now_ms)
{
	if (session->state == BGP_CLOSED)
		return;
	if (now_ms >= session->hold_at) {
		bgp_session_close(session, BGP_ERROR_HOLD_TIMER, 0, NULL,
				  session->has_open ? "hold timer expired: nothing heard from peer"
						    : "hold timer expired: peer sent no OPEN");
		return;
	}
	/* One, however late: what was missed needs no making up for. */
	if (now_ms >= session->keepalive_at)
		bgp_session_send_keepalive(session, now_ms);
	bgp_session_watch_output(session, now_ms);
}

void bgp_session_test(struct bgp_session *session, int64_t now_ms)
{
	if (session->state == BGP_ESTABLISHED)
		bgp_session_send_keepalive(session, now_ms);
}

int64_t bgp_session_deadline(const struct bgp_session *session)
{
	int64_t deadline = session->hold_at;

	if (session->state == BGP_CLOSED)
		return BGP_NEVER;
	if (session->keepalive_at < deadline)
		deadline = session->keepalive_at;
	if (evbuffer_get_length(session->output) == 0)
		return deadline;
	/* Output that waits, and the time is not known since when: a tick will note it. */
	if (session->stalled_since == BGP_NEVER)
		return 0;
	int64_t stalled_until = session->stalled_since + bgp_session_send_hold(session);
	return stalled_until < deadline ? stalled_until : deadline;
}

/* ---- What is to be announced, and the rest ---- */

int bgp_session_set_routes(struct bgp_session *session, const struct bgp_route *routes,
			   size_t count)
{
	if (bgp_advertise_set(&session->advertise, routes, count) != 0)
		return -1;
	bgp_session_send_routes(session);
	return 0;
}

struct bgp_session *bgp_session_create(const struct bgp_session_options *options, int64_t now_ms)
{
	uint8_t message[BGP_MESSAGE_MAX];
	struct bgp_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->options = *options;
	session->agreement.local_as = options->local_as;
	session->agreement.internal = options->local_as == options->peer_as;
	session->hold_at = now_ms + BGP_OPEN_HOLD_MS;
	session->keepalive_at = BGP_NEVER;
	session->stalled_since = BGP_NEVER;
	session->output = evbuffer_new();
	if (!session->output ||
	    !bgp_session_send(session, message, bgp_open_write(options, message))) {
		bgp_session_destroy(session);
		return NULL;
	}
	bgp_session_watch_output(session, now_ms);
	return session;
}

void bgp_session_destroy(struct bgp_session *session)
{
	if (!session)
		return;
	if (session->output)
		evbuffer_free(session->output);
	bgp_advertise_clear(&session->advertise);
	free(session);
}

struct evbuffer *bgp_session_output(struct bgp_session *session)
{
	return session->output;
}

enum bgp_state bgp_session_state(const struct bgp_session *session)
{
	return session->state;
}

const char *bgp_session_error(const struct bgp_session *session)
{
	return session->error;
}

const char *bgp_session_warning(const struct bgp_session *session)
{
	return session->warning;
}

bool bgp_session_peer_id(const struct bgp_session *session, uint32_t *router_id)
{
	if (session->has_open)
		*router_id = session->peer_id;
	return session->has_open;
}

unsigned int bgp_session_hold_time(const struct bgp_session *session)
{
	return session->hold_time_s;
}

bool bgp_session_has_family(const struct bgp_session *session, int family)
{
	return family == AF_INET ? session->agreement.ipv4 : session->agreement.ipv6;
}

size_t bgp_session_announced(const struct bgp_session *session)
{
	return session->state == BGP_CLOSED ? 0 : bgp_advertise_count(&session->advertise);
}

bool bgp_session_has_announced(const struct bgp_session *session, const struct prefix *prefix)
{
	return session->state != BGP_CLOSED && bgp_advertise_has(&session->advertise, prefix);
}

void bgp_session_read_counts(const struct bgp_session *session, struct bgp_session_counts *out)
{
	*out = session->counts;
}
