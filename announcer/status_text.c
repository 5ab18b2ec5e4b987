/* The status for people: `godwitctl announcer status`. */
#include "announcer/status.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <stdio.h>

/* "3d4h", "2h5m", "7m12s", "9s". */
static const char *status_format_time(int64_t ms, char *out, size_t size)
{
	long long s = ms / 1000;
	if (s >= 86400)
		snprintf(out, size, "%lldd%lldh", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(out, size, "%lldh%lldm", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(out, size, "%lldm%llds", s / 60, s % 60);
	else
		snprintf(out, size, "%llds", s);
	return out;
}

static void status_print_route(const struct status_snapshot *snapshot, size_t at,
			       struct evbuffer *out)
{
	const struct route *route = &snapshot->routes[at];
	char text[PREFIX_TEXT_MAX];
	evbuffer_add_printf(out, "  %s", prefix_format(&route->announcement.prefix, text));
	if (route->interface[0])
		evbuffer_add_printf(out, " on %s", route->interface);
	if (route->labelled)
		evbuffer_add_printf(out, " by label");
	evbuffer_add_printf(out, ", local preference %u: ", route->announcement.local_pref);
	if (route->announced)
		evbuffer_add_printf(out, "announced%s to %zu of %zu peers\n",
				    route->announcement.graceful_shutdown ? " as a last resort"
									  : "",
				    status_count_told(snapshot, at), snapshot->peer_count);
	else
		evbuffer_add_printf(out, "not announced: %s\n", route->why);
}

static void status_print_service(const struct status_snapshot *snapshot, size_t at,
				 struct evbuffer *out)
{
	const struct status_service *service = &snapshot->services[at];
	char age[32];
	evbuffer_add_printf(
		out, "service %s: %s for %s: %s\n", service->name,
		service_phase_name(service->state.phase),
		status_format_time(clock_now_ms() - service->state.since_ms, age, sizeof(age)),
		service->state.cause);
	if (service->view.has_life_line)
		evbuffer_add_printf(out, "  life line: %s\n",
				    status_life_line_name(service->view.life_line));
	if (service->state.phase != SERVICE_UP && service->state.phase != SERVICE_DOWN)
		evbuffer_add_printf(out, "  probe: %s\n", service->view.probe_reason);
	size_t rows = 0;
	for (size_t i = 0; i < snapshot->route_count; i++)
		if (snapshot->routes[i].service == at) {
			status_print_route(snapshot, i, out);
			rows++;
		}
	if (rows == 0)
		evbuffer_add_printf(out, "  no address to announce\n");
}

static void status_print_bfd(const struct bfd_status *bfd, struct evbuffer *out)
{
	char age[32];
	evbuffer_add_printf(out, "  BFD %s for %s", bfd_state_name(bfd->state),
			    status_format_time(clock_now_ms() - bfd->since_ms, age, sizeof(age)));
	if (bfd->state == BFD_UP)
		evbuffer_add_printf(out, ": a packet every %u ms, down after %u ms of silence",
				    bfd->tx_interval_us / 1000, bfd->detection_us / 1000);
	else
		evbuffer_add_printf(out, ": %s; the peer says %s, %s",
				    bfd_diagnostic_name(bfd->diagnostic),
				    bfd_state_name(bfd->remote_state),
				    bfd_diagnostic_name(bfd->remote_diagnostic));
	evbuffer_add_printf(out, "\n");
}

static void status_print_peer(const struct status_snapshot *snapshot, size_t at,
			      struct evbuffer *out)
{
	const struct peer_status *peer = &snapshot->peers[at];
	char age[32];
	evbuffer_add_printf(out, "peer %s (%s), AS %u: %s for %s", peer->address, peer->description,
			    peer->as, peer_state_name(peer->state),
			    status_format_time(clock_now_ms() - peer->since_ms, age, sizeof(age)));
	if (peer->state == PEER_ESTABLISHED)
		evbuffer_add_printf(out, ", %zu prefix%s announced, %s%s%s, hold time %u s",
				    peer->announced, peer->announced == 1 ? "" : "es",
				    peer->ipv4 ? "IPv4" : "", peer->ipv4 && peer->ipv6 ? "+" : "",
				    peer->ipv6 ? "IPv6" : "", peer->hold_time_s);
	evbuffer_add_printf(out, "\n");
	if (peer->held_back[0])
		evbuffer_add_printf(out, "  held back: %s\n", peer->held_back);
	if (peer->last_error[0])
		evbuffer_add_printf(out, "  last error: %s\n", peer->last_error);
	if (peer->has_bfd)
		status_print_bfd(&peer->bfd, out);
}

void status_print_text(const struct status_snapshot *snapshot, struct evbuffer *out)
{
	const struct in_addr id = {htonl(snapshot->router_id)};
	char text[INET_ADDRSTRLEN];
	evbuffer_add_printf(out, "AS %u, router ID %s%s\n", snapshot->as,
			    inet_ntop(AF_INET, &id, text, sizeof(text)),
			    snapshot->stopping ? ", stopping" : "");
	for (size_t i = 0; i < snapshot->service_count; i++)
		status_print_service(snapshot, i, out);
	for (size_t i = 0; i < snapshot->peer_count; i++)
		status_print_peer(snapshot, i, out);
	if (snapshot->peer_count == 0)
		evbuffer_add_printf(out, "no peers are configured\n");
}
