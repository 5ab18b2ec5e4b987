/* A session, its socket, and what it says in the log. */
#include "announcer/bfd_link.h"

#include "announcer/bfd_socket.h"
#include "common/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define LINK_REOPEN_US 250000
#define LINK_REPEAT_MS 10000 /* between lines about what goes on and on */
#define LINK_PORTS (BFD_SOURCE_PORT_MAX - BFD_SOURCE_PORT_MIN + 1)

static struct bfd_report link_report(const struct bfd_link *link, enum log_level level,
				     const char *event)
{
	struct bfd_report report = {.level = level, .event = event};

	memcpy(report.peer, link->peer, sizeof(report.peer));
	return report;
}

/* A peer that goes up and down as fast as it can must not fill the disk. */
static bool link_may_log(struct bfd_link *link, int64_t now_us)
{
	int64_t earned = (now_us - link->lines_us) / 1000000;

	if (earned > 0) {
		int64_t lines = link->lines + earned;
		link->lines = lines < BFD_LINK_BURST ? (unsigned int)lines : BFD_LINK_BURST;
		link->lines_us += earned * 1000000;
	}
	if (link->lines == 0) {
		link->suppressed++;
		return false;
	}
	link->lines--;
	return true;
}

/* Why the state is what it is, for people. */
static void link_explain(const struct bfd_link *link, int64_t late_us, char *out, size_t size)
{
	const struct bfd_session *session = &link->session;

	switch (session->cause) {
	case BFD_CAUSE_STARTED:
		snprintf(out, size, "started");
		break;
	case BFD_CAUSE_EXPIRED:
		snprintf(out, size, "no packet for %lld ms",
			 (long long)(session->silence_us / 1000));
		if (late_us >= 50000) {
			size_t used = strlen(out);
			snprintf(out + used, size - used,
				 "; this process was held up for the last %lld of them",
				 (long long)(late_us / 1000));
		}
		break;
	case BFD_CAUSE_PEER_FOUND:
		snprintf(out, size, "the peer is there");
		break;
	case BFD_CAUSE_AGREED:
		snprintf(out, size, "both hear each other");
		break;
	case BFD_CAUSE_PEER_DOWN:
		snprintf(out, size, "the peer says it is down");
		break;
	case BFD_CAUSE_PEER_ADMIN_DOWN:
		snprintf(out, size, "the peer was taken down by its administrator");
		break;
	case BFD_CAUSE_SHUT:
		snprintf(out, size, "we are stopping");
		break;
	}
}

/* After each change of state: the counts, and the line. */
static void link_tell_change(struct bfd_link *link, enum bfd_state before, int64_t now_us,
			     int64_t late_us)
{
	static const char *const events[] = {"bfd session admin down", "bfd session down",
					     "bfd session init", "bfd session up"};
	const struct bfd_session *session = &link->session;
	bool lost = before == BFD_UP && session->cause != BFD_CAUSE_SHUT;

	link->ups += session->state == BFD_UP;
	link->downs += before == BFD_UP;
	if (!link_may_log(link, now_us))
		return;
	struct bfd_report report = link_report(link, lost ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
					       events[session->state & 3]);
	link_explain(link, late_us, report.reason, sizeof(report.reason));
	report.has_states = true;
	report.state = session->state;
	report.diagnostic = session->diagnostic;
	report.remote_state = session->remote_state;
	report.remote_diagnostic = session->remote_diagnostic;
	report.suppressed = link->suppressed;
	link->suppressed = 0;
	bfd_report(link->reporter, &report);
}

/* A warning that may come again and again, now and then. */
static void link_warn(struct bfd_link *link, struct log_limit *limit, const char *event,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));

static void link_warn(struct bfd_link *link, struct log_limit *limit, const char *event,
		      const char *format, ...)
{
	struct bfd_report report = link_report(link, LOG_LEVEL_WARNING, event);
	va_list args;

	if (!log_limit_pass(limit, LINK_REPEAT_MS, &report.suppressed))
		return;
	va_start(args, format);
	vsnprintf(report.reason, sizeof(report.reason), format, args);
	va_end(args);
	bfd_report(link->reporter, &report);
}

/* Its ports are those that leave `number` when divided by BFD_LINKS_MAX: no two links share one. */
static int link_open(struct bfd_link *link)
{
	for (int i = 0; i < LINK_PORTS / BFD_LINKS_MAX; i++) {
		int fd = bfd_socket_open_sender(&link->options, link->source_port);
		if (fd >= 0 || errno != EADDRINUSE)
			return fd;
		uint32_t next = (uint32_t)link->source_port + BFD_LINKS_MAX;
		link->source_port =
			(uint16_t)(next <= BFD_SOURCE_PORT_MAX ? next : next - LINK_PORTS);
	}
	return -1;
}

static void link_reopen(struct bfd_link *link, int64_t now_us)
{
	if (link->fd >= 0)
		close(link->fd);
	link->reopen_us = now_us + LINK_REOPEN_US;
	link->interface = bfd_socket_interface(&link->options);
	link->fd = link_open(link);
	if (link->fd >= 0)
		return;
	link->send_failures++;
	if (link->broken_us == 0)
		link->broken_us = now_us;
	link_warn(link, &link->send_limit, "bfd packets cannot be sent", "no socket: %s",
		  strerror(errno));
}

static void link_send(struct bfd_link *link, const struct bfd_packet *packet, int64_t now_us)
{
	uint8_t octets[BFD_PACKET_SIZE];

	if ((link->fd < 0 || link->broken_us != 0) && now_us >= link->reopen_us)
		link_reopen(link, now_us);
	if (link->fd < 0)
		return;
	bfd_packet_build(packet, octets);
	if (bfd_socket_send(link->fd, &link->options, link->port, octets, sizeof(octets)) == 0) {
		link->sent++;
		if (link->broken_us != 0) {
			struct bfd_report report =
				link_report(link, LOG_LEVEL_INFO, "bfd packets are sent again");
			snprintf(report.reason, sizeof(report.reason), "after %lld ms",
				 (long long)((now_us - link->broken_us) / 1000));
			bfd_report(link->reporter, &report);
			link->broken_us = 0;
		}
		return;
	}
	link->send_failures++;
	if (link->broken_us == 0) {
		link->broken_us = now_us;
		link->reopen_us = now_us + LINK_REOPEN_US;
	}
	link_warn(link, &link->send_limit, "bfd packets cannot be sent", "%s", strerror(errno));
}

static void link_send_due(struct bfd_link *link, int64_t now_us)
{
	struct bfd_packet packet;

	while (bfd_session_next_packet(&link->session, now_us, &packet))
		link_send(link, &packet, now_us);
}

struct bfd_link *bfd_link_create(const struct bfd_options *options, uint32_t discriminator,
				 unsigned int number, uint16_t port, struct bfd_reporter *reporter)
{
	struct bfd_link *link = calloc(1, sizeof(*link));
	int64_t now_us = clock_now_ns() / 1000;
	uint32_t random[2] = {discriminator, number};

	if (!link)
		return NULL;
	/* Guessable ports and jitter would do too: what must be random is the discriminator. */
	if (getrandom(random, sizeof(random), GRND_NONBLOCK) < 0)
		random[0] ^= (uint32_t)now_us;
	link->options = *options;
	link->reporter = reporter;
	link->number = number;
	link->port = port;
	link->lines = BFD_LINK_BURST;
	link->lines_us = now_us;
	link->fd = -1;
	link->source_port = (uint16_t)(BFD_SOURCE_PORT_MIN + number % BFD_LINKS_MAX +
				       random[1] % (LINK_PORTS / BFD_LINKS_MAX) * BFD_LINKS_MAX);
	bfd_socket_format_peer(options, link->peer, sizeof(link->peer));
	const struct bfd_session_options session = {
		.discriminator = discriminator,
		.min_tx_us = options->min_tx_us,
		.min_rx_us = options->min_rx_us,
		.multiplier = options->multiplier,
		.seed = random[0],
	};
	bfd_session_init(&link->session, &session, now_us);
	link_reopen(link, now_us);
	return link;
}

void bfd_link_destroy(struct bfd_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	free(link);
}

bool bfd_link_receive(struct bfd_link *link, const struct bfd_packet *packet, int64_t now_us)
{
	enum bfd_state before = link->session.state;

	link->received++;
	bool changed = bfd_session_receive(&link->session, packet, now_us);
	if (changed)
		link_tell_change(link, before, now_us, 0);
	/* At once: a poll's answer belongs to the packet that asked, not to the last of many. */
	link_send_due(link, now_us);
	return changed;
}

void bfd_link_drop(struct bfd_link *link, const char *reason)
{
	link->dropped++;
	link_warn(link, &link->drop_limit, "bfd packet dropped", "%s", reason);
}

bool bfd_link_run(struct bfd_link *link, int64_t now_us, int64_t late_us)
{
	enum bfd_state before = link->session.state;
	bool changed = bfd_session_tick(&link->session, now_us);

	if (changed)
		link_tell_change(link, before, now_us, late_us);
	link_send_due(link, now_us);
	return changed;
}

void bfd_link_say_farewell(struct bfd_link *link, int64_t now_us)
{
	enum bfd_state before = link->session.state;

	if (bfd_session_shut(&link->session, now_us))
		link_tell_change(link, before, now_us, 0);
	link_send_due(link, now_us);
}

void bfd_link_read_status(const struct bfd_link *link, struct bfd_status *out)
{
	const struct bfd_session *session = &link->session;

	*out = (struct bfd_status){
		.state = session->state,
		.remote_state = session->remote_state,
		.diagnostic = session->diagnostic,
		.remote_diagnostic = session->remote_diagnostic,
		.since_ms = session->changed_us / 1000,
		.tx_interval_us = session->interval_us,
		.packets_sent = link->sent,
		.packets_received = link->received,
		.packets_dropped = link->dropped,
		.ups = link->ups,
		.downs = link->downs,
	};
	if (session->state == BFD_UP) {
		int64_t detection = bfd_session_detection_us(session);
		out->detection_us = detection < UINT32_MAX ? (uint32_t)detection : UINT32_MAX;
	}
}
