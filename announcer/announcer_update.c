/* From what is seen to what is announced: the announcer's one decision. */
#include "announcer/announcer_internal.h"

#include "announcer/metrics.h"
#include "common/clock.h"
#include "common/log.h"

#include <event2/event.h>
#include <stdlib.h>

/* How long a router may take to acknowledge a withdrawal before it is waited for no more. */
#define FLUSH_MAX_MS 2000

/* How often what waits for routers is looked at. */
#define SETTLE_MS 10

/* --- announcing ------------------------------------------------------------------------------- */

/* True when a service is not announced and routers have had the time to act on it. */
static bool announcer_is_settled(const struct service *service)
{
	return !service_state_is_announced(&service->state) &&
	       (service->state.withdrawn_ms == INT64_MIN || clock_now_ms() >= service->settled_ms);
}

/* An address of ANNOUNCER_ASSIGN_HEALTHY stays until routers send nobody there any more. */
static bool announcer_wants_address(const struct service *service)
{
	if (service_state_is_announced(&service->state))
		return true;
	return service->state.phase == SERVICE_DRAINED &&
	       service->state.withdrawn_ms != INT64_MIN && !announcer_is_settled(service);
}

/* Assigns the addresses that are wanted (`wanted`), or takes away those that are not any more. */
static void announcer_assign(struct announcer *announcer, bool wanted)
{
	bool changed = false;
	for (size_t i = 0; i < announcer->addresses.count; i++) {
		struct address_entry *entry = &announcer->addresses.entries[i];
		if (entry->config->assign != ANNOUNCER_ASSIGN_HEALTHY || entry->wanted == wanted ||
		    announcer_wants_address(announcer->services[entry->service]) != wanted)
			continue;
		entry->wanted = wanted;
		changed = true;
	}
	if (changed)
		addresses_check(&announcer->addresses);
}

/* Hands the routes to the speaker. Without the memory for them nothing is announced: safe. */
static void announcer_announce(struct announcer *announcer)
{
	const struct service_state **states = NULL;
	struct announcement *list = NULL;
	struct routes routes = {0};
	size_t count = 0;
	states = calloc(announcer->config->service_count, sizeof(states[0]));
	for (size_t i = 0; states && i < announcer->config->service_count; i++)
		states[i] = &announcer->services[i]->state;
	const struct routes_input input = {
		.config = announcer->config,
		.states = states,
		.addresses = &announcer->addresses,
		.hosts = announcer->hosts,
		.host_count = announcer->host_count,
	};
	if (states && routes_build(&routes, &input) == 0)
		list = routes_list(&routes, &count);
	speaker_set_announcements(announcer->speaker, list, count);
	if (!list)
		routes_clear(&routes);
	if (!list) /* tried again each second */
		log_warning_limited("nothing announced", "reason=%s", "out of memory");
	for (size_t i = 0; i < announcer->config->service_count; i++)
		service_report(announcer->services[i]);
	routes_report(&announcer->routes, &routes, announcer->config);
	routes_clear(&announcer->routes);
	announcer->routes = routes;
	free(list);
	free(states);
}

void announcer_update(struct announcer *announcer)
{
	announcer->again = true;
	if (announcer->updating || !announcer->speaker)
		return;
	announcer->updating = true;
	while (announcer->again) {
		announcer->again = false;
		for (size_t i = 0; i < announcer->config->service_count; i++) {
			struct service *service = announcer->services[i];
			service->unheard = !speaker_is_heard(announcer->speaker);
			service_update(service);
			if (service_state_is_announced(&service->state))
				service->settled_ms = INT64_MAX;
		}
		announcer_assign(announcer, true);
		announcer_announce(announcer);
		announcer_assign(announcer, false);
	}
	announcer->updating = false;
	event_active(announcer->publish, 0, 0);
	event_active(announcer->settle, 0, 0);
}

/* --- this host's addresses -------------------------------------------------------------------- */

static bool announcer_has_labels(const struct announcer *announcer)
{
	for (size_t i = 0; i < announcer->config->service_count; i++)
		if (announcer->config->services[i].labels.enabled)
			return true;
	return false;
}

void announcer_on_hosts(void *ctx)
{
	struct announcer *announcer = ctx;
	struct netlink_address *hosts;
	size_t count;
	char error[200];
	if (!announcer->speaker)
		return; /* at the end, or not yet at the beginning */
	addresses_check(&announcer->addresses);
	if (announcer_has_labels(announcer)) {
		if (netlink_list_addresses(announcer->netlink, "", &hosts, &count, error,
					   sizeof(error)) == 0) {
			free(announcer->hosts);
			announcer->hosts = hosts;
			announcer->host_count = count;
		} else {
			metrics_add(announcer->shard, METRIC_NETLINK_ERRORS, 1);
			log_warning_limited("labels not looked at", "reason=%s", error);
		}
	}
	speaker_note_host_addresses(announcer->speaker); /* next hops may be others now */
	announcer_update(announcer);
}

/* --- waiting for routers ---------------------------------------------------------------------- */

/* Notes from when on a withdrawn service is settled. True: not yet. */
static bool announcer_wait_for(struct announcer *announcer, struct service *service)
{
	if (service_state_is_announced(&service->state) || announcer_is_settled(service))
		return false;
	int64_t now = clock_now_ms();
	bool late = now - service->state.withdrawn_ms > FLUSH_MAX_MS;
	if (service->settled_ms != INT64_MAX)
		return true;
	if (late)
		log_warning("a router has not acknowledged the withdrawal: waited for no more",
			    "service=%s", service->options.config->name);
	if (late || speaker_is_flushed(announcer->speaker))
		service->settled_ms = now + announcer->config->bgp.shutdown_wait_ms;
	return true;
}

/* Ends the loop, with sessions, BFD and addresses left in order. */
static void announcer_finish(struct announcer *announcer)
{
	speaker_destroy(announcer->speaker);
	announcer->speaker = NULL;
	if (announcer->bfd)
		bfd_stop(announcer->bfd);
	announcer->bfd = NULL;
	addresses_remove(&announcer->addresses);
	event_base_loopbreak(announcer->base);
}

/* The end, step by step. True while there is something to wait for. */
static bool announcer_move_end(struct announcer *announcer, bool waiting)
{
	int64_t now = clock_now_ms();
	if (announcer->end == ANNOUNCER_RUNS)
		return false;
	if (announcer->end == ANNOUNCER_DRAINS) {
		for (size_t i = 0; i < announcer->config->service_count; i++)
			waiting |= service_state_is_announced(&announcer->services[i]->state);
		if (waiting)
			return true;
		announcer->end = ANNOUNCER_CLOSES;
		announcer->close_by_ms = now + FLUSH_MAX_MS;
		speaker_shutdown(announcer->speaker, announcer->config->bgp.shutdown_message);
	}
	if (!speaker_is_closed(announcer->speaker) && now < announcer->close_by_ms)
		return true;
	announcer_finish(announcer);
	return false;
}

void announcer_settle(struct announcer *announcer)
{
	const struct timeval soon = clock_timeval(SETTLE_MS);
	bool waiting = false;
	if (!announcer->speaker)
		return;
	for (size_t i = 0; i < announcer->config->service_count; i++) {
		struct service *service = announcer->services[i];
		if (announcer_wait_for(announcer, service))
			waiting = true;
		else if (service_wants_release(service))
			service_release(service);
	}
	if (!waiting)
		announcer_assign(announcer, false);
	if (announcer_move_end(announcer, waiting) || waiting)
		event_add(announcer->settle, &soon);
}
