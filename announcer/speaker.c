/*
 * The peers of one program, what they share, and what all of them are told. A peer's own story is
 * peer.c's.
 */
#include "announcer/speaker.h"

#include "announcer/metrics.h"
#include "announcer/peer.h"
#include "announcer/peer_linger.h"
#include "announcer/peer_next_hop.h"
#include "announcer/peer_socket.h"
#include "announcer/speaker_listen.h"
#include "common/log.h"

#include <errno.h>
#include <event2/event.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct speaker {
	struct speaker_options options;
	struct peer_world world;
	struct peer **peers;
	size_t peer_count;
	struct speaker_listener **listeners;
	size_t listener_count;
	struct event *bfd_event;
	bool uses_host; /* some peer's next hop is an interface's address */
};

/* --- the host's addresses --------------------------------------------------------------------- */

/* When they cannot be had, what was known stays: that is no reason to withdraw. */
static void speaker_read_host(struct speaker *speaker)
{
	struct ifaddrs *host = NULL;
	if (!speaker->uses_host)
		return;
	if (getifaddrs(&host) != 0) {
		log_warning_limited("the host's addresses cannot be read", "reason=%s",
				    strerror(errno));
		return;
	}
	if (speaker->world.host)
		freeifaddrs(speaker->world.host);
	speaker->world.host = host;
}

void speaker_note_host_addresses(struct speaker *speaker)
{
	if (!speaker->uses_host)
		return;
	speaker_read_host(speaker);
	for (size_t i = 0; i < speaker->peer_count; i++)
		peer_update_routes(speaker->peers[i]);
	speaker->options.on_change(speaker->options.ctx);
}

/* --- BFD -------------------------------------------------------------------------------------- */

static struct bfd_link *speaker_add_link(struct speaker *speaker, const struct announcer_peer *peer,
					 char *error, size_t error_size)
{
	struct bfd_options options = {
		.local = peer->source,
		.multihop = peer->multihop > 1,
		.min_tx_us = peer->bfd.min_tx_ms * 1000,
		.min_rx_us = peer->bfd.min_rx_ms * 1000,
		.multiplier = peer->bfd.multiplier,
	};
	memcpy(&options.peer, &peer->address.addr, sizeof(options.peer));
	memcpy(options.interface, peer->interface, sizeof(options.interface));
	if (options.multihop && peer->ttl_security && peer->multihop < 256)
		options.min_ttl = (uint8_t)(256 - peer->multihop);
	return bfd_add(speaker->options.bfd, &options, error, error_size);
}

static void speaker_on_bfd(evutil_socket_t fd, short what, void *ctx)
{
	struct speaker *speaker = ctx;
	uint64_t changes;
	(void)what;
	/* How many is of no interest: each link is looked at. */
	while (read(fd, &changes, sizeof(changes)) < 0 && errno == EINTR)
		continue;
	for (size_t i = 0; i < speaker->peer_count; i++)
		peer_look_at_bfd(speaker->peers[i]);
}

static int speaker_watch_bfd(struct speaker *speaker, char *error, size_t error_size)
{
	if (!speaker->options.bfd)
		return 0;
	speaker->bfd_event = event_new(speaker->options.base, bfd_event_fd(speaker->options.bfd),
				       EV_READ | EV_PERSIST, speaker_on_bfd, speaker);
	if (speaker->bfd_event && event_add(speaker->bfd_event, NULL) == 0)
		return 0;
	snprintf(error, error_size, "out of memory");
	return -1;
}

/* --- peers and listeners ---------------------------------------------------------------------- */

static void speaker_on_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	struct speaker *speaker = ctx;
	char text[PEER_SOCKET_TEXT_MAX];
	for (size_t i = 0; i < speaker->peer_count; i++) {
		if (peer_socket_is_from(peer_config(speaker->peers[i]), from)) {
			peer_accept(speaker->peers[i], fd);
			return;
		}
	}
	close(fd);
	metrics_add(speaker->options.metrics, METRIC_BGP_REFUSED, 1);
	log_warning_limited("BGP connection refused", "from=%s reason=%s",
			    peer_socket_format(from, PEER_SOCKET_NO_PORT, text),
			    "no such peer is configured");
}

static int speaker_add_peers(struct speaker *speaker, char *error, size_t error_size)
{
	const struct announcer_bgp *bgp = speaker->options.config;
	for (size_t i = 0; i < bgp->peer_count; i++) {
		const struct announcer_peer *config = &bgp->peers[i];
		struct bfd_link *link = NULL;
		if (config->bfd.enabled && speaker->options.bfd) {
			link = speaker_add_link(speaker, config, error, error_size);
			if (!link)
				return -1;
		}
		speaker->peers[i] = peer_create(&speaker->world, config, link);
		if (!speaker->peers[i]) {
			snprintf(error, error_size, "out of memory");
			return -1;
		}
		speaker->peer_count++;
	}
	return 0;
}

static int speaker_add_listeners(struct speaker *speaker, char *error, size_t error_size)
{
	const struct announcer_bgp *bgp = speaker->options.config;
	for (size_t i = 0; i < bgp->listen_count; i++) {
		speaker->listeners[i] =
			speaker_listener_create(speaker->options.base, bgp, &bgp->listen[i],
						speaker_on_accept, speaker, error, error_size);
		if (!speaker->listeners[i])
			return -1;
		speaker->listener_count++;
	}
	return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

static void speaker_ignore_change(void *ctx)
{
	(void)ctx;
}

static struct speaker *speaker_allocate(const struct speaker_options *options)
{
	const struct announcer_bgp *bgp = options->config;
	struct speaker *speaker = calloc(1, sizeof(*speaker));
	if (!speaker)
		return NULL;
	speaker->options = *options;
	if (!speaker->options.on_change)
		speaker->options.on_change = speaker_ignore_change;
	speaker->peers = calloc(bgp->peer_count + 1, sizeof(struct peer *));
	speaker->listeners = calloc(bgp->listen_count + 1, sizeof(struct speaker_listener *));
	speaker->world = (struct peer_world){
		.base = options->base,
		.config = bgp,
		.metrics = options->metrics,
		.lingers = peer_lingers_create(options->base),
		.on_change = speaker->options.on_change,
		.ctx = options->ctx,
	};
	for (size_t i = 0; i < bgp->peer_count; i++)
		speaker->uses_host |= peer_next_hop_uses_host(bgp, &bgp->peers[i]);
	if (speaker->peers && speaker->listeners && speaker->world.lingers)
		return speaker;
	speaker_destroy(speaker);
	return NULL;
}

struct speaker *speaker_start(const struct speaker_options *options, char *error, size_t error_size)
{
	struct speaker *speaker = speaker_allocate(options);
	if (!speaker) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	speaker_read_host(speaker);
	if (speaker_add_listeners(speaker, error, error_size) == 0 &&
	    speaker_add_peers(speaker, error, error_size) == 0 &&
	    speaker_watch_bfd(speaker, error, error_size) == 0)
		return speaker;
	speaker_destroy(speaker);
	return NULL;
}

static void speaker_close_listeners(struct speaker *speaker)
{
	for (size_t i = 0; i < speaker->listener_count; i++)
		speaker_listener_destroy(speaker->listeners[i]);
	speaker->listener_count = 0;
}

void speaker_destroy(struct speaker *speaker)
{
	if (!speaker)
		return;
	if (speaker->bfd_event)
		event_free(speaker->bfd_event);
	speaker_close_listeners(speaker);
	for (size_t i = 0; i < speaker->peer_count; i++)
		peer_destroy(speaker->peers[i]);
	peer_lingers_destroy(speaker->world.lingers);
	if (speaker->world.host)
		freeifaddrs(speaker->world.host);
	free(speaker->world.list);
	free(speaker->listeners);
	free(speaker->peers);
	free(speaker);
}

/* --- what is announced ------------------------------------------------------------------------ */

void speaker_set_announcements(struct speaker *speaker, const struct announcement *list,
			       size_t count)
{
	struct announcement *copy = calloc(count + 1, sizeof(*copy));
	if (copy) {
		if (count > 0)
			memcpy(copy, list, count * sizeof(*copy));
	} else {
		/* Better to announce nothing than what may have to be withdrawn. */
		log_error("nothing is announced until the next change", "reason=%s",
			  "out of memory");
		count = 0;
	}
	free(speaker->world.list);
	speaker->world.list = copy;
	speaker->world.count = count;
	for (size_t i = 0; i < speaker->peer_count; i++)
		peer_update_routes(speaker->peers[i]);
	speaker->options.on_change(speaker->options.ctx);
}

bool speaker_is_heard(const struct speaker *speaker)
{
	for (size_t i = 0; i < speaker->peer_count; i++) {
		if (peer_is_established(speaker->peers[i]))
			return true;
	}
	return false;
}

bool speaker_is_flushed(const struct speaker *speaker)
{
	for (size_t i = 0; i < speaker->peer_count; i++) {
		if (!peer_is_flushed(speaker->peers[i]))
			return false;
	}
	return true;
}

bool speaker_has_announced(const struct speaker *speaker, size_t index, const struct prefix *prefix)
{
	return peer_has_announced(speaker->peers[index], prefix);
}

/* --- the end ---------------------------------------------------------------------------------- */

void speaker_shutdown(struct speaker *speaker, const char *message)
{
	speaker_close_listeners(speaker);
	for (size_t i = 0; i < speaker->peer_count; i++)
		peer_shutdown(speaker->peers[i], message);
	speaker->options.on_change(speaker->options.ctx);
}

bool speaker_is_closed(const struct speaker *speaker)
{
	for (size_t i = 0; i < speaker->peer_count; i++) {
		if (peer_has_connection(speaker->peers[i]))
			return false;
	}
	return peer_lingers_count(speaker->world.lingers) == 0;
}

/* --- status ----------------------------------------------------------------------------------- */

size_t speaker_peer_count(const struct speaker *speaker)
{
	return speaker->peer_count;
}

void speaker_read_peer(const struct speaker *speaker, size_t index, struct peer_status *out)
{
	peer_read_status(speaker->peers[index], out);
}
