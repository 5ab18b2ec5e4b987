/* What the announcer counts; gauges per peer, service and address are in status.h. */
#ifndef GODWIT_ANNOUNCER_METRICS_H
#define GODWIT_ANNOUNCER_METRICS_H

#include "common/metrics.h"

enum announcer_metric {
	METRIC_PROBES_GOOD_UDP,
	METRIC_PROBES_GOOD_TCP,
	METRIC_PROBES_GOOD_TLS,
	METRIC_PROBES_FAILED_UDP,
	METRIC_PROBES_FAILED_TCP,
	METRIC_PROBES_FAILED_TLS,
	METRIC_PROBE_SECONDS,
	METRIC_LIFE_LINE_LOST,
	METRIC_SERVICE_UPS,
	METRIC_SERVICE_DOWNS,
	METRIC_BGP_CONNECTS,
	METRIC_BGP_CONNECT_FAILURES,
	METRIC_BGP_ACCEPTED,
	METRIC_BGP_REFUSED, /* connections from nobody we know, or over the limits */
	METRIC_BGP_COLLISIONS,
	METRIC_BGP_REPLACED, /* established sessions given up for a newer connection */
	METRIC_BGP_ESTABLISHED,
	METRIC_BGP_LOST, /* sessions that were established */
	METRIC_BGP_BFD_CLOSED,
	METRIC_NETLINK_ERRORS,
	ANNOUNCER_METRIC_COUNT,
};

extern const struct metric_def announcer_metric_defs[ANNOUNCER_METRIC_COUNT];

#endif
