/*
 * What a backend counts: the ids of its metrics and the table that describes them to
 * common/metrics. Figures that are not counts of events (zones, ages, states) are printed by the
 * modules that own them.
 */
#ifndef GODWIT_BACKEND_COUNTERS_H
#define GODWIT_BACKEND_COUNTERS_H

#include "common/metrics.h"

#include <stdint.h>

enum backend_counter {
	/* godwit_backend_queries_total, by response code */
	BACKEND_QUERIES_NOERROR,
	BACKEND_QUERIES_FORMERR,
	BACKEND_QUERIES_SERVFAIL,
	BACKEND_QUERIES_NXDOMAIN,
	BACKEND_QUERIES_NOTIMP,
	BACKEND_QUERIES_REFUSED,
	BACKEND_QUERIES_YXDOMAIN,
	BACKEND_QUERIES_BADVERS,
	BACKEND_QUERIES_RCODE_OTHER,

	/* godwit_backend_queries_by_type_total */
	BACKEND_QUERIES_A,
	BACKEND_QUERIES_AAAA,
	BACKEND_QUERIES_NS,
	BACKEND_QUERIES_SOA,
	BACKEND_QUERIES_PTR,
	BACKEND_QUERIES_MX,
	BACKEND_QUERIES_TXT,
	BACKEND_QUERIES_SRV,
	BACKEND_QUERIES_HTTPS,
	BACKEND_QUERIES_ANY,
	BACKEND_QUERIES_TYPE_OTHER,

	/* godwit_backend_calls_total, by gRPC method and the status we gave it */
	BACKEND_CALLS_QUERY_OK,
	BACKEND_CALLS_QUERY_INVALID_ARGUMENT,
	BACKEND_CALLS_QUERY_UNAVAILABLE,
	BACKEND_CALLS_CHECK_OK,
	BACKEND_CALLS_CHECK_INVALID_ARGUMENT,
	BACKEND_CALLS_CHECK_NOT_FOUND,
	BACKEND_CALLS_WATCH_OK,
	BACKEND_CALLS_WATCH_INVALID_ARGUMENT,
	BACKEND_CALLS_WATCH_RESOURCE_EXHAUSTED,
	BACKEND_CALLS_UNIMPLEMENTED,

	BACKEND_CALLS_CANCELLED,
	BACKEND_CALLS_STALLED,

	BACKEND_ANSWER_SECONDS,

	BACKEND_RECORDS_REJECTED,
	BACKEND_STORE_LOADS,
	BACKEND_STORE_CHANGES,
	BACKEND_STORE_OUTAGES,
	BACKEND_STORE_GUARDED,
	BACKEND_SNAPSHOTS_SAVED,
	BACKEND_SNAPSHOTS_FAILED,

	BACKEND_COUNTER_COUNT
};

/* What metrics_create wants; BACKEND_COUNTER_COUNT entries. */
extern const struct metric_def backend_counter_defs[];

/* The counter of a response code (extended) and of a query type. Hot path. */
enum backend_counter backend_counter_of_rcode(int rcode);
enum backend_counter backend_counter_of_qtype(uint16_t qtype);

#endif
