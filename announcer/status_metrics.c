/* The status for Prometheus: gauges and counts per peer, service and address. */
#include "announcer/status.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"

#include <event2/buffer.h>
#include <stdio.h>

#define NAME(metric) "godwit_announcer_" metric

static void status_print_head(struct evbuffer *out, const char *name, const char *type,
			      const char *help)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A family with one sample for each peer. Addresses need no escaping. */
#define PRINT_PEERS(out, snapshot, metric, type, help, value)                                      \
	do {                                                                                       \
		status_print_head(out, NAME(metric), type, help);                                  \
		for (size_t i_ = 0; i_ < (snapshot)->peer_count; i_++) {                           \
			const struct peer_status *peer = &(snapshot)->peers[i_];                   \
			evbuffer_add_printf(out, NAME(metric) "{peer=\"%s\"} %.15g\n",             \
					    peer->address, (double)(value));                       \
		}                                                                                  \
	} while (0)

/* The same for peers with BFD. */
#define PRINT_BFD(out, snapshot, metric, type, help, value)                                        \
	do {                                                                                       \
		status_print_head(out, NAME(metric), type, help);                                  \
		for (size_t i_ = 0; i_ < (snapshot)->peer_count; i_++) {                           \
			const struct peer_status *peer = &(snapshot)->peers[i_];                   \
			if (peer->has_bfd)                                                         \
				evbuffer_add_printf(out, NAME(metric) "{peer=\"%s\"} %.15g\n",     \
						    peer->address, (double)(value));               \
		}                                                                                  \
	} while (0)

#define PRINT_SERVICES(out, snapshot, metric, help, value)                                         \
	do {                                                                                       \
		status_print_head(out, NAME(metric), "gauge", help);                               \
		for (size_t i_ = 0; i_ < (snapshot)->service_count; i_++) {                        \
			const struct status_service *service = &(snapshot)->services[i_];          \
			evbuffer_add_printf(out, NAME(metric) "{service=\"%s\"} %d\n",             \
					    service->name, (int)(value));                          \
		}                                                                                  \
	} while (0)

#define PRINT_ROUTES(out, snapshot, metric, help, value)                                           \
	do {                                                                                       \
		status_print_head(out, NAME(metric), "gauge", help);                               \
		for (size_t i_ = 0; i_ < (snapshot)->route_count; i_++) {                          \
			const struct route *route = &(snapshot)->routes[i_];                       \
			char text_[PREFIX_TEXT_MAX];                                               \
			evbuffer_add_printf(out,                                                   \
					    NAME(metric) "{service=\"%s\",prefix=\"%s\"} %zu\n",   \
					    (snapshot)->services[route->service].name,             \
					    prefix_format(&route->announcement.prefix, text_),     \
					    (size_t)(value));                                      \
		}                                                                                  \
	} while (0)

static void status_print_peers(const struct status_snapshot *snapshot, struct evbuffer *out)
{
	PRINT_PEERS(out, snapshot, "peer_up", "gauge", "1 while the BGP session is established.",
		    peer->state == PEER_ESTABLISHED);
	PRINT_PEERS(out, snapshot, "peer_state", "gauge",
		    "State of the BGP session: 0 Idle, 1 Connect, 2 Active, 3 OpenSent, "
		    "4 OpenConfirm, 5 Established.",
		    peer->state);
	PRINT_PEERS(out, snapshot, "peer_uptime_seconds", "gauge",
		    "Time since the BGP session was established; 0 while it is not.",
		    peer->state == PEER_ESTABLISHED
			    ? (double)(clock_now_ms() - peer->since_ms) / 1000
			    : 0);
	PRINT_PEERS(out, snapshot, "peer_announced_prefixes", "gauge",
		    "Prefixes announced to the peer.", peer->announced);
	PRINT_PEERS(out, snapshot, "peer_held_back", "gauge",
		    "1 while some routes cannot be announced to the peer.",
		    peer->held_back[0] != '\0');
	PRINT_PEERS(out, snapshot, "peer_established_total", "counter",
		    "Times the BGP session was established.", peer->established);
	PRINT_PEERS(out, snapshot, "peer_messages_sent_total", "counter", "BGP messages sent.",
		    peer->counts.messages_sent);
	PRINT_PEERS(out, snapshot, "peer_messages_received_total", "counter",
		    "BGP messages received.", peer->counts.messages_received);
	PRINT_PEERS(out, snapshot, "peer_updates_sent_total", "counter", "BGP UPDATEs sent.",
		    peer->counts.updates_sent);
	PRINT_PEERS(out, snapshot, "peer_routes_received_total", "counter",
		    "Routes the peer has announced to us: counted and dropped.",
		    peer->counts.routes_received);
	PRINT_PEERS(out, snapshot, "peer_malformed_updates_total", "counter",
		    "UPDATEs from the peer that were malformed (RFC 7606).",
		    peer->counts.malformed_received);
}

static void status_print_links(const struct status_snapshot *snapshot, struct evbuffer *out)
{
	PRINT_BFD(out, snapshot, "bfd_up", "gauge", "1 while BFD with the peer is up.",
		  peer->bfd.state == BFD_UP);
	PRINT_BFD(out, snapshot, "bfd_detection_seconds", "gauge",
		  "Silence after which the peer counts as gone; 0 while BFD is not up.",
		  (double)peer->bfd.detection_us / 1e6);
	PRINT_BFD(out, snapshot, "bfd_packets_sent_total", "counter", "BFD packets sent.",
		  peer->bfd.packets_sent);
	PRINT_BFD(out, snapshot, "bfd_packets_received_total", "counter",
		  "BFD packets received and good.", peer->bfd.packets_received);
	PRINT_BFD(out, snapshot, "bfd_packets_dropped_total", "counter",
		  "BFD packets received for the session, but not good.", peer->bfd.packets_dropped);
	PRINT_BFD(out, snapshot, "bfd_ups_total", "counter", "Times BFD came up.", peer->bfd.ups);
	PRINT_BFD(out, snapshot, "bfd_downs_total", "counter", "Times BFD went down from up.",
		  peer->bfd.downs);
	status_print_head(out, NAME("bfd_packets_unknown_total"), "counter",
			  "BFD packets for no session, or not understood.");
	evbuffer_add_printf(out, NAME("bfd_packets_unknown_total") " %llu\n",
			    (unsigned long long)snapshot->bfd_unknown);
}

void status_print_metrics(const struct status_snapshot *snapshot, struct evbuffer *out)
{
	PRINT_SERVICES(out, snapshot, "service_up",
		       "1 while the service is announced: up, or draining.",
		       service_state_is_announced(&service->state));
	PRINT_SERVICES(out, snapshot, "service_announced",
		       "1 while at least one peer has been told of the service.",
		       service->told > 0);
	PRINT_SERVICES(out, snapshot, "service_drained",
		       "1 while the service is drained on purpose, or being drained.",
		       service_state_is_draining(&service->state));
	PRINT_SERVICES(out, snapshot, "service_probe_up", "1 while the probe is answered well.",
		       service->view.probe_up);
	PRINT_ROUTES(out, snapshot, "address_announced_peers",
		     "Peers that have been told of the address.", status_count_told(snapshot, i_));
	PRINT_ROUTES(out, snapshot, "address_on_interface",
		     "1 while the address stands on its interface.",
		     route->present && route->interface[0]);
	status_print_peers(snapshot, out);
	status_print_links(snapshot, out);
	status_print_head(out, NAME("log_lines_lost_total"), "counter",
			  "Lines that standard error did not take.");
	evbuffer_add_printf(out, NAME("log_lines_lost_total") " %llu\n",
			    (unsigned long long)log_lines_lost());
}
