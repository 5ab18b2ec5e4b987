/* The table of the announcer's counters. */
#include "announcer/metrics.h"

#define PROBES(result, protocol)                                                                   \
	{                                                                                          \
		"godwit_announcer_probes_total",                                                   \
			"result=\"" result "\",protocol=\"" protocol "\"",                         \
			"Probes that have ended, by result.", METRIC_COUNTER                       \
	}
#define PLAIN(name, help)                                                                          \
	{                                                                                          \
		"godwit_announcer_" name, NULL, help, METRIC_COUNTER                               \
	}

/* clang-format off */
const struct metric_def announcer_metric_defs[ANNOUNCER_METRIC_COUNT] = {
	[METRIC_PROBES_GOOD_UDP] = PROBES("good", "udp"),
	[METRIC_PROBES_GOOD_TCP] = PROBES("good", "tcp"),
	[METRIC_PROBES_GOOD_TLS] = PROBES("good", "tls"),
	[METRIC_PROBES_FAILED_UDP] = PROBES("failed", "udp"),
	[METRIC_PROBES_FAILED_TCP] = PROBES("failed", "tcp"),
	[METRIC_PROBES_FAILED_TLS] = PROBES("failed", "tls"),
	[METRIC_PROBE_SECONDS] = {
		"godwit_announcer_probe_seconds", NULL,
		"Time until a probe was answered well.", METRIC_HISTOGRAM,
	},
	[METRIC_LIFE_LINE_LOST] = PLAIN("life_line_lost_total",
		"Times a front end's life line ended."),
	[METRIC_SERVICE_UPS] = PLAIN("service_ups_total",
		"Times a service began to be announced."),
	[METRIC_SERVICE_DOWNS] = PLAIN("service_downs_total",
		"Times a service was withdrawn because it failed."),
	[METRIC_BGP_CONNECTS] = PLAIN("bgp_connects_total",
		"Connections to peers that were begun."),
	[METRIC_BGP_CONNECT_FAILURES] = PLAIN("bgp_connect_failures_total",
		"Connections to peers that failed before they stood."),
	[METRIC_BGP_ACCEPTED] = PLAIN("bgp_accepted_total",
		"Connections accepted from peers."),
	[METRIC_BGP_REFUSED] = PLAIN("bgp_refused_total",
		"Connections closed at once: from nobody configured, or too many."),
	[METRIC_BGP_COLLISIONS] = PLAIN("bgp_collisions_total",
		"Connections closed because the peer had another one (RFC 4271 section 6.8)."),
	[METRIC_BGP_REPLACED] = PLAIN("bgp_replaced_total",
		"Sessions given up because the peer connected anew and did not answer on them."),
	[METRIC_BGP_ESTABLISHED] = PLAIN("bgp_established_total",
		"Sessions established."),
	[METRIC_BGP_LOST] = PLAIN("bgp_lost_total",
		"Established sessions that ended before the announcer did."),
	[METRIC_BGP_BFD_CLOSED] = PLAIN("bgp_bfd_closed_total",
		"Sessions closed because BFD said that the peer is gone."),
	[METRIC_NETLINK_ERRORS] = PLAIN("netlink_errors_total",
		"Requests about addresses and interfaces that the kernel refused."),
};
/* clang-format on */
