/* The status for programs: one JSON object. */
#include "announcer/status.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <event2/buffer.h>

/* A string with its quotes. What a peer has sent may stand in it: nothing is taken on trust. */
static void json_print_string(struct evbuffer *out, const char *text)
{
	evbuffer_add(out, "\"", 1);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			evbuffer_add_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			evbuffer_add_printf(out, "\\u%04x", c);
		else
			evbuffer_add(out, text, 1);
	}
	evbuffer_add(out, "\"", 1);
}

/* One member of an object; the first has no comma before it. */
static void json_print_key(struct evbuffer *out, const char *key, bool first)
{
	evbuffer_add_printf(out, "%s\"%s\":", first ? "" : ",", key);
}

static void json_add_string(struct evbuffer *out, const char *key, const char *text)
{
	json_print_key(out, key, false);
	json_print_string(out, text);
}

static void json_add_number(struct evbuffer *out, const char *key, uint64_t number)
{
	json_print_key(out, key, false);
	evbuffer_add_printf(out, "%llu", (unsigned long long)number);
}

static void json_add_seconds(struct evbuffer *out, const char *key, int64_t ms)
{
	json_print_key(out, key, false);
	evbuffer_add_printf(out, "%.3f", (double)ms / 1000);
}

static void json_add_bool(struct evbuffer *out, const char *key, bool value)
{
	json_print_key(out, key, false);
	evbuffer_add_printf(out, value ? "true" : "false");
}

static void json_print_service(const struct status_snapshot *snapshot, size_t at,
			       struct evbuffer *out)
{
	const struct status_service *service = &snapshot->services[at];
	json_print_key(out, "name", true);
	json_print_string(out, service->name);
	json_add_string(out, "state", service_phase_name(service->state.phase));
	json_add_seconds(out, "since_seconds", clock_now_ms() - service->state.since_ms);
	json_add_string(out, "cause", service->state.cause);
	json_add_bool(out, "announced", service->told > 0);
	json_add_bool(out, "probe_up", service->view.probe_up);
	json_add_string(out, "probe", service->view.probe_reason);
	json_add_string(out, "life_line",
			service->view.has_life_line ? status_life_line_name(service->view.life_line)
						    : "none");
}

static void json_print_route(const struct status_snapshot *snapshot, size_t at,
			     struct evbuffer *out)
{
	const struct route *route = &snapshot->routes[at];
	char text[PREFIX_TEXT_MAX];
	bool first = true;
	json_print_key(out, "prefix", true);
	json_print_string(out, prefix_format(&route->announcement.prefix, text));
	json_add_string(out, "service", snapshot->services[route->service].name);
	json_add_string(out, "interface", route->interface);
	json_add_bool(out, "labelled", route->labelled);
	json_add_bool(out, "on_interface", route->present && route->interface[0]);
	json_add_bool(out, "put_there_by_us", route->ours);
	json_add_number(out, "local_pref", route->announcement.local_pref);
	json_add_bool(out, "announced", route->announced);
	json_add_bool(out, "graceful_shutdown", route->announcement.graceful_shutdown);
	json_add_string(out, "why", route->why);
	json_print_key(out, "announced_to", false);
	evbuffer_add_printf(out, "[");
	for (size_t i = 0; i < snapshot->peer_count; i++) {
		if (!snapshot->told[at * snapshot->peer_count + i])
			continue;
		evbuffer_add_printf(out, first ? "" : ",");
		json_print_string(out, snapshot->peers[i].address);
		first = false;
	}
	evbuffer_add_printf(out, "]");
}

static void json_print_bfd(const struct bfd_status *bfd, struct evbuffer *out)
{
	json_print_key(out, "bfd", false);
	evbuffer_add_printf(out, "{");
	json_print_key(out, "state", true);
	json_print_string(out, bfd_state_name(bfd->state));
	json_add_seconds(out, "since_seconds", clock_now_ms() - bfd->since_ms);
	json_add_string(out, "diagnostic", bfd_diagnostic_name(bfd->diagnostic));
	json_add_string(out, "remote_state", bfd_state_name(bfd->remote_state));
	json_add_string(out, "remote_diagnostic", bfd_diagnostic_name(bfd->remote_diagnostic));
	json_add_number(out, "tx_interval_us", bfd->tx_interval_us);
	json_add_number(out, "detection_us", bfd->detection_us);
	json_add_number(out, "packets_sent", bfd->packets_sent);
	json_add_number(out, "packets_received", bfd->packets_received);
	json_add_number(out, "packets_dropped", bfd->packets_dropped);
	json_add_number(out, "ups", bfd->ups);
	json_add_number(out, "downs", bfd->downs);
	evbuffer_add_printf(out, "}");
}

static void json_print_peer(const struct status_snapshot *snapshot, size_t at, struct evbuffer *out)
{
	const struct peer_status *peer = &snapshot->peers[at];
	const struct bgp_session_counts *counts = &peer->counts;
	json_print_key(out, "address", true);
	json_print_string(out, peer->address);
	json_add_string(out, "description", peer->description);
	json_add_number(out, "as", peer->as);
	json_add_string(out, "state", peer_state_name(peer->state));
	json_add_seconds(out, "since_seconds", clock_now_ms() - peer->since_ms);
	json_add_string(out, "last_error", peer->last_error);
	json_add_string(out, "local_address", peer->local_address);
	json_add_number(out, "hold_time_seconds", peer->hold_time_s);
	json_add_number(out, "established", peer->established);
	json_add_bool(out, "ipv4", peer->ipv4);
	json_add_bool(out, "ipv6", peer->ipv6);
	json_add_number(out, "announced", peer->announced);
	json_add_string(out, "held_back", peer->held_back);
	json_add_number(out, "messages_sent", counts->messages_sent);
	json_add_number(out, "messages_received", counts->messages_received);
	json_add_number(out, "updates_sent", counts->updates_sent);
	json_add_number(out, "updates_received", counts->updates_received);
	json_add_number(out, "routes_received", counts->routes_received);
	json_add_number(out, "malformed_received", counts->malformed_received);
	json_add_number(out, "refreshes_received", counts->refreshes_received);
	if (peer->has_bfd)
		json_print_bfd(&peer->bfd, out);
}

/* A list of objects, one for each of `count`. */
static void json_add_list(const struct status_snapshot *snapshot, struct evbuffer *out,
			  const char *key, size_t count,
			  void (*print)(const struct status_snapshot *, size_t, struct evbuffer *))
{
	json_print_key(out, key, false);
	evbuffer_add_printf(out, "[");
	for (size_t i = 0; i < count; i++) {
		evbuffer_add_printf(out, i ? ",\n{" : "\n{");
		print(snapshot, i, out);
		evbuffer_add_printf(out, "}");
	}
	evbuffer_add_printf(out, "]");
}

void status_print_json(const struct status_snapshot *snapshot, struct evbuffer *out)
{
	const struct in_addr id = {htonl(snapshot->router_id)};
	char text[INET_ADDRSTRLEN];
	evbuffer_add_printf(out, "{\"as\":%u", snapshot->as);
	json_add_string(out, "router_id", inet_ntop(AF_INET, &id, text, sizeof(text)));
	json_add_bool(out, "stopping", snapshot->stopping);
	json_add_list(snapshot, out, "services", snapshot->service_count, json_print_service);
	json_add_list(snapshot, out, "addresses", snapshot->route_count, json_print_route);
	json_add_list(snapshot, out, "peers", snapshot->peer_count, json_print_peer);
	evbuffer_add_printf(out, "}");
}
