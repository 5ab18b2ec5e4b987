/* Snapshots: made, exchanged, judged. */
#include "announcer/status.h"

#include <stdio.h>
#include <stdlib.h>

void status_init(struct status *status)
{
	pthread_mutex_init(&status->lock, NULL);
	status->snapshot = NULL;
}

static void status_free_snapshot(struct status_snapshot *snapshot)
{
	if (!snapshot)
		return;
	free(snapshot->services);
	free(snapshot->routes);
	free(snapshot->peers);
	free(snapshot->told);
	free(snapshot);
}

void status_clear(struct status *status)
{
	status_free_snapshot(status->snapshot);
	pthread_mutex_destroy(&status->lock);
}

struct status_snapshot *status_create_snapshot(size_t services, size_t routes, size_t peers)
{
	struct status_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	if (!snapshot)
		return NULL;
	snapshot->references = 1;
	snapshot->services = calloc(services + 1, sizeof(snapshot->services[0]));
	snapshot->routes = calloc(routes + 1, sizeof(snapshot->routes[0]));
	snapshot->peers = calloc(peers + 1, sizeof(snapshot->peers[0]));
	snapshot->told = calloc(routes * peers + 1, sizeof(snapshot->told[0]));
	if (!snapshot->services || !snapshot->routes || !snapshot->peers || !snapshot->told) {
		status_free_snapshot(snapshot);
		return NULL;
	}
	snapshot->service_count = services;
	snapshot->route_count = routes;
	snapshot->peer_count = peers;
	return snapshot;
}

/* --- exchange --------------------------------------------------------------------------------- */

void status_give_back(struct status *status, struct status_snapshot *snapshot)
{
	if (!snapshot)
		return;
	pthread_mutex_lock(&status->lock);
	bool last = --snapshot->references == 0;
	pthread_mutex_unlock(&status->lock);
	if (last)
		status_free_snapshot(snapshot);
}

void status_publish(struct status *status, struct status_snapshot *snapshot)
{
	pthread_mutex_lock(&status->lock);
	struct status_snapshot *old = status->snapshot;
	status->snapshot = snapshot;
	pthread_mutex_unlock(&status->lock);
	status_give_back(status, old);
}

struct status_snapshot *status_take(struct status *status)
{
	pthread_mutex_lock(&status->lock);
	struct status_snapshot *snapshot = status->snapshot;
	if (snapshot)
		snapshot->references++;
	pthread_mutex_unlock(&status->lock);
	return snapshot;
}

/* --- judgement -------------------------------------------------------------------------------- */

size_t status_count_told(const struct status_snapshot *snapshot, size_t route)
{
	size_t count = 0;
	for (size_t i = 0; i < snapshot->peer_count; i++)
		count += snapshot->told[route * snapshot->peer_count + i];
	return count;
}

/* Peers whose sessions are established. */
static size_t status_count_established(const struct status_snapshot *snapshot)
{
	size_t count = 0;
	for (size_t i = 0; i < snapshot->peer_count; i++)
		count += snapshot->peers[i].state == PEER_ESTABLISHED;
	return count;
}

/* Why a service that is up has been told to nobody. */
static void status_explain_silence(const struct status_snapshot *snapshot, size_t service,
				   char *reason, size_t reason_size)
{
	const char *name = snapshot->services[service].name;
	const struct route *missing = NULL;
	bool any = false;
	for (size_t i = 0; i < snapshot->route_count; i++) {
		const struct route *route = &snapshot->routes[i];
		if (route->service != service)
			continue;
		any |= route->announced;
		missing = route->announced ? missing : route;
	}
	char text[PREFIX_TEXT_MAX];
	if (!any && missing)
		snprintf(reason, reason_size, "%s: %s: %s", name,
			 prefix_format(&missing->announcement.prefix, text), missing->why);
	else if (!any)
		snprintf(reason, reason_size, "%s: no address to announce", name);
	else if (snapshot->peer_count == 0)
		snprintf(reason, reason_size, "%s: no peers are configured", name);
	else if (status_count_established(snapshot) == 0)
		snprintf(reason, reason_size, "%s: no BGP session is established (%s: %s)", name,
			 snapshot->peers[0].address,
			 snapshot->peers[0].last_error[0] ? snapshot->peers[0].last_error
							  : "not yet");
	else
		snprintf(reason, reason_size, "%s: no peer takes its routes", name);
}

bool status_is_ready(const struct status_snapshot *snapshot, char *reason, size_t reason_size)
{
	if (snapshot->stopping) {
		snprintf(reason, reason_size, "shutting down");
		return false;
	}
	size_t drained = 0;
	for (size_t i = 0; i < snapshot->service_count; i++) {
		const struct status_service *service = &snapshot->services[i];
		if (service_state_is_draining(&service->state)) {
			drained++;
			continue;
		}
		if (service->state.phase == SERVICE_DOWN) {
			snprintf(reason, reason_size, "%s: down: %s", service->name,
				 service->state.cause);
			return false;
		}
		if (service->told == 0) {
			status_explain_silence(snapshot, i, reason, reason_size);
			return false;
		}
	}
	if (drained)
		snprintf(reason, reason_size, "%zu announced, %zu drained",
			 snapshot->service_count - drained, drained);
	else
		snprintf(reason, reason_size, "announced to %zu of %zu peers",
			 status_count_established(snapshot), snapshot->peer_count);
	return true;
}

const char *status_life_line_name(enum life_line_state state)
{
	switch (state) {
	case LIFE_LINE_LOST:
		return "lost";
	case LIFE_LINE_SERVING:
		return "serving";
	case LIFE_LINE_DRAINING:
		return "draining";
	default:
		return "silent";
	}
}
