/* The control thread: put together in order, and taken apart in the opposite one. */
#include "announcer/announcer.h"

#include "announcer/announcer_internal.h"
#include "announcer/metrics.h"
#include "common/admin.h"
#include "common/heartbeat.h"
#include "common/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- events ----------------------------------------------------------------------------------- */

/* Makes a snapshot of everything; without the memory for one the last stays. */
static void announcer_publish(struct announcer *announcer)
{
	const struct announcer_config *config = announcer->config;
	if (!announcer->speaker)
		return;
	size_t peers = speaker_peer_count(announcer->speaker);
	struct status_snapshot *snapshot =
		status_create_snapshot(config->service_count, announcer->routes.count, peers);
	if (!snapshot) {
		log_warning_limited("status not brought up to date", "reason=%s", "out of memory");
		return;
	}
	snapshot->as = config->bgp.as;
	snapshot->router_id = config->bgp.router_id;
	snapshot->stopping = announcer->end != ANNOUNCER_RUNS;
	snapshot->bfd_unknown = announcer->bfd ? bfd_packets_unknown(announcer->bfd) : 0;
	for (size_t i = 0; i < config->service_count; i++) {
		snapshot->services[i].name = config->services[i].name;
		snapshot->services[i].state = announcer->services[i]->state;
		snapshot->services[i].view = announcer->services[i]->view;
	}
	for (size_t i = 0; i < peers; i++)
		speaker_read_peer(announcer->speaker, i, &snapshot->peers[i]);
	for (size_t r = 0; r < announcer->routes.count; r++) {
		const struct route *route = &announcer->routes.rows[r];
		bool *told = &snapshot->told[r * peers];
		snapshot->routes[r] = *route;
		for (size_t i = 0; i < peers; i++)
			told[i] = speaker_has_announced(announcer->speaker, i,
							&route->announcement.prefix);
		snapshot->services[route->service].told += status_count_told(snapshot, r) > 0;
	}
	status_publish(&announcer->status, snapshot);
}

static void announcer_on_publish(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	announcer_publish(ctx);
}

static void announcer_on_settle(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	announcer_settle(ctx);
}

/* What could not be done for want of memory or privilege is tried again, without being told to. */
static void announcer_on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct announcer *announcer = ctx;
	(void)fd;
	(void)what;
	heartbeat_beat(announcer->heartbeat);
	for (size_t i = 0; i < announcer->addresses.count; i++)
		if (announcer->addresses.entries[i].wanted &&
		    !announcer->addresses.entries[i].present) {
			announcer_on_hosts(announcer);
			break;
		}
	announcer_update(announcer);
}

static void announcer_on_wake(evutil_socket_t fd, short what, void *ctx)
{
	struct announcer *announcer = ctx;
	uint64_t count;
	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading an eventfd failed", "reason=%s", strerror(errno));
	if (atomic_load(&announcer->stopping) && announcer->end == ANNOUNCER_RUNS) {
		announcer->end = ANNOUNCER_DRAINS;
		for (size_t i = 0; i < announcer->config->service_count; i++)
			service_stop(announcer->services[i]);
	}
	announcer_update(announcer);
}

static void announcer_on_service(void *ctx)
{
	struct announcer *announcer = ctx;
	if (announcer->thread_runs)
		announcer_update(announcer);
}

static void announcer_on_speaker(void *ctx)
{
	struct announcer *announcer = ctx;
	event_active(announcer->publish, 0, 0);
}

/*
 * A control loop that has ended by itself leaves nobody to withdraw anything: the process ends with
 * it, which closes every session.
 */
static void *announcer_run(void *ctx)
{
	struct announcer *announcer = ctx;
	announcer_on_hosts(announcer);
	if (event_base_dispatch(announcer->base) != 0 || announcer->speaker) {
		log_error("the control loop has ended by itself: giving up", NULL);
		_exit(EXIT_FAILURE);
	}
	heartbeat_end(announcer->heartbeat);
	atomic_store(&announcer->stopped, true);
	return NULL;
}

/* --- the start -------------------------------------------------------------------------------- */

static int announcer_fail(char *error, size_t error_size, const char *problem)
{
	snprintf(error, error_size, "%s", problem);
	return -1;
}

static int announcer_open_heart(struct announcer *announcer)
{
	announcer->heartbeats = heartbeats_create("announcer");
	if (!announcer->heartbeats)
		return -1;
	announcer->heartbeat = heartbeats_add(announcer->heartbeats, "control", HEARTBEAT_VITAL,
					      ANNOUNCER_SILENT_MS);
	return announcer->heartbeat ? 0 : -1;
}

static int announcer_open_loop(struct announcer *announcer)
{
	const struct timeval second = {.tv_sec = 1};
	struct event_config *loop = event_config_new();
	if (!loop)
		return -1;
	event_config_set_flag(loop, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
	announcer->base = event_base_new_with_config(loop);
	event_config_free(loop);
	announcer->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!announcer->base || announcer->wake_fd < 0)
		return -1;
	announcer->wake = event_new(announcer->base, announcer->wake_fd, EV_READ | EV_PERSIST,
				    announcer_on_wake, announcer);
	announcer->tick = event_new(announcer->base, -1, EV_PERSIST, announcer_on_tick, announcer);
	announcer->publish = evtimer_new(announcer->base, announcer_on_publish, announcer);
	announcer->settle = evtimer_new(announcer->base, announcer_on_settle, announcer);
	if (!announcer->wake || !announcer->tick || !announcer->publish || !announcer->settle)
		return -1;
	return event_add(announcer->wake, NULL) == 0 ? event_add(announcer->tick, &second) : -1;
}

/* True when an address may be a router's name: no other router has it. */
static bool announcer_may_be_router_id(const struct announcer *announcer,
				       const struct netlink_address *address)
{
	if (address->prefix.family != AF_INET || address->link_local)
		return false;
	for (size_t i = 0; i < announcer->addresses.count; i++) {
		const struct prefix *prefix = &announcer->addresses.entries[i].config->prefix;
		if (prefix->family == AF_INET &&
		    memcmp(prefix->address, address->prefix.address, 4) == 0)
			return false;
	}
	return true;
}

/* The router ID, where the configuration leaves it to next_hop_interface. */
static int announcer_find_router_id(struct announcer *announcer, char *error, size_t error_size)
{
	struct announcer_bgp *bgp = &announcer->config->bgp;
	struct netlink_address *list;
	size_t count;
	if (bgp->router_id != 0)
		return 0;
	if (netlink_list_addresses(announcer->netlink, bgp->next_hop_interface, &list, &count,
				   error, error_size) != 0)
		return -1;
	for (size_t i = 0; i < count && bgp->router_id == 0; i++) {
		uint32_t ip;
		memcpy(&ip, list[i].prefix.address, sizeof(ip));
		if (announcer_may_be_router_id(announcer, &list[i]))
			bgp->router_id = ntohl(ip);
	}
	free(list);
	if (bgp->router_id != 0)
		return 0;
	snprintf(error, error_size,
		 "bgp.router_id: %s has no IPv4 address of its own to take it from: give it",
		 bgp->next_hop_interface);
	return -1;
}

static int announcer_start_bfd(struct announcer *announcer, char *error, size_t error_size)
{
	const struct announcer_bgp *bgp = &announcer->config->bgp;
	bool wanted = false;
	for (size_t i = 0; i < bgp->peer_count; i++)
		wanted |= bgp->peers[i].bfd.enabled;
	if (!wanted)
		return 0;
	struct heartbeat *heartbeat =
		heartbeats_add(announcer->heartbeats, "bfd", HEARTBEAT_VITAL, ANNOUNCER_SILENT_MS);
	announcer->bfd = bfd_start(heartbeat, error, error_size);
	return announcer->bfd ? 0 : -1;
}

static int announcer_start_services(struct announcer *announcer, char *error, size_t error_size)
{
	const struct announcer_config *config = announcer->config;
	announcer->services = calloc(config->service_count, sizeof(announcer->services[0]));
	if (!announcer->services)
		return announcer_fail(error, error_size, "out of memory");
	for (size_t i = 0; i < config->service_count; i++) {
		const struct service_options options = {
			.base = announcer->base,
			.config = &config->services[i],
			.graceful_ms = config->bgp.graceful_shutdown_ms,
			.metrics = announcer->shard,
			.on_change = announcer_on_service,
			.ctx = announcer,
		};
		announcer->services[i] = service_create(&options, error, error_size);
		if (!announcer->services[i])
			return -1;
	}
	return 0;
}

/* Everything but the thread: in the order in which one part needs another. */
static int announcer_start_parts(struct announcer *announcer, char *error, size_t error_size)
{
	const struct announcer_config *config = announcer->config;
	if (announcer_open_heart(announcer) != 0 || announcer_open_loop(announcer) != 0)
		return announcer_fail(error, error_size, "out of memory or descriptors");
	announcer->netlink =
		netlink_create(announcer->base, announcer_on_hosts, announcer, error, error_size);
	if (!announcer->netlink)
		return -1;
	if (addresses_init(&announcer->addresses, config, announcer->netlink, announcer->shard) !=
	    0)
		return announcer_fail(error, error_size, "out of memory");
	if (announcer_find_router_id(announcer, error, error_size) != 0)
		return -1;
	addresses_check(&announcer->addresses);
	if (!addresses_are_allowed(&announcer->addresses, error, error_size) ||
	    announcer_start_bfd(announcer, error, error_size) != 0)
		return -1;
	const struct speaker_options speaker = {
		.base = announcer->base,
		.config = &config->bgp,
		.bfd = announcer->bfd,
		.metrics = announcer->shard,
		.on_change = announcer_on_speaker,
		.ctx = announcer,
	};
	announcer->speaker = speaker_start(&speaker, error, error_size);
	if (!announcer->speaker || announcer_start_services(announcer, error, error_size) != 0)
		return -1;
	announcer_publish(announcer); /* so that the first who asks finds something */
	return announcer_start_admin(announcer, error, error_size);
}

struct announcer *announcer_start(struct announcer_config *config, char *error, size_t error_size)
{
	struct announcer *announcer = calloc(1, sizeof(*announcer));
	if (!announcer) {
		announcer_config_free(config);
		announcer_fail(error, error_size, "out of memory");
		return NULL;
	}
	announcer->config = config;
	announcer->wake_fd = -1;
	announcer->metrics = metrics_create(announcer_metric_defs, ANNOUNCER_METRIC_COUNT);
	announcer->shard = metrics_shard_create(announcer->metrics);
	status_init(&announcer->status);
	if (announcer_start_parts(announcer, error, error_size) == 0) {
		announcer->thread_runs = true;
		if (pthread_create(&announcer->thread, NULL, announcer_run, announcer) == 0) {
			pthread_setname_np(announcer->thread, "control");
			return announcer;
		}
		announcer->thread_runs = false;
		announcer_fail(error, error_size, "cannot start a thread");
	}
	addresses_remove(&announcer->addresses);
	announcer_destroy(announcer);
	return NULL;
}

/* --- the end ---------------------------------------------------------------------------------- */

void announcer_reload(struct announcer *announcer, struct announcer_config *config)
{
	bool reloadable = announcer_config_is_reloadable(announcer->config, config);
	log_setup(config->log.level, config->log.format);
	log_info("configuration read anew", "log=applied other_changes=%s",
		 reloadable ? "none" : "need restart");
	announcer_config_free(config);
}

void announcer_begin_stop(struct announcer *announcer)
{
	const uint64_t one = 1;
	atomic_store(&announcer->stopping, true);
	if (write(announcer->wake_fd, &one, sizeof(one)) != sizeof(one))
		log_error("control thread not told to stop", "reason=%s", strerror(errno));
}

bool announcer_has_stopped(const struct announcer *announcer)
{
	return atomic_load(&announcer->stopped);
}

bool announcer_moves(const struct announcer *announcer, char *reason, size_t reason_size)
{
	return heartbeats_describe(announcer->heartbeats, reason, reason_size);
}

static void announcer_free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void announcer_destroy(struct announcer *announcer)
{
	if (announcer->thread_runs)
		pthread_join(announcer->thread, NULL);
	admin_stop(announcer->admin);
	for (size_t i = 0; announcer->services && i < announcer->config->service_count; i++)
		service_destroy(announcer->services[i]);
	free(announcer->services);
	speaker_destroy(announcer->speaker);
	if (announcer->bfd)
		bfd_stop(announcer->bfd);
	routes_clear(&announcer->routes);
	addresses_clear(&announcer->addresses);
	free(announcer->hosts);
	netlink_destroy(announcer->netlink);
	announcer_free_event(announcer->wake);
	announcer_free_event(announcer->tick);
	announcer_free_event(announcer->publish);
	announcer_free_event(announcer->settle);
	if (announcer->wake_fd >= 0)
		close(announcer->wake_fd);
	if (announcer->base)
		event_base_free(announcer->base);
	status_clear(&announcer->status);
	heartbeats_destroy(announcer->heartbeats);
	metrics_destroy(announcer->metrics);
	announcer_config_free(announcer->config);
	free(announcer);
}
