#include "backend/counters.h"

#include "dns/protocol.h"

#define QUERIES "godwit_backend_queries_total"
#define QUERIES_HELP "DNS queries answered, by response code."
#define BY_TYPE "godwit_backend_queries_by_type_total"
#define BY_TYPE_HELP "DNS queries answered, by query type."
#define CALLS "godwit_backend_calls_total"
#define CALLS_HELP "gRPC calls served, by method and the status given."

#define COUNT(id, name_, labels_, help_)                                                           \
	[id] = {.name = name_, .labels = labels_, .help = help_, .kind = METRIC_COUNTER}

const struct metric_def backend_counter_defs[] = {
	COUNT(BACKEND_QUERIES_NOERROR, QUERIES, "rcode=\"NOERROR\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_FORMERR, QUERIES, "rcode=\"FORMERR\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_SERVFAIL, QUERIES, "rcode=\"SERVFAIL\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_NXDOMAIN, QUERIES, "rcode=\"NXDOMAIN\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_NOTIMP, QUERIES, "rcode=\"NOTIMP\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_REFUSED, QUERIES, "rcode=\"REFUSED\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_YXDOMAIN, QUERIES, "rcode=\"YXDOMAIN\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_BADVERS, QUERIES, "rcode=\"BADVERS\"", QUERIES_HELP),
	COUNT(BACKEND_QUERIES_RCODE_OTHER, QUERIES, "rcode=\"other\"", QUERIES_HELP),

	COUNT(BACKEND_QUERIES_A, BY_TYPE, "type=\"A\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_AAAA, BY_TYPE, "type=\"AAAA\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_NS, BY_TYPE, "type=\"NS\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_SOA, BY_TYPE, "type=\"SOA\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_PTR, BY_TYPE, "type=\"PTR\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_MX, BY_TYPE, "type=\"MX\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_TXT, BY_TYPE, "type=\"TXT\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_SRV, BY_TYPE, "type=\"SRV\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_HTTPS, BY_TYPE, "type=\"HTTPS\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_ANY, BY_TYPE, "type=\"ANY\"", BY_TYPE_HELP),
	COUNT(BACKEND_QUERIES_TYPE_OTHER, BY_TYPE, "type=\"other\"", BY_TYPE_HELP),

	COUNT(BACKEND_CALLS_QUERY_OK, CALLS, "method=\"Query\",status=\"OK\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_QUERY_INVALID_ARGUMENT, CALLS,
	      "method=\"Query\",status=\"INVALID_ARGUMENT\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_QUERY_UNAVAILABLE, CALLS, "method=\"Query\",status=\"UNAVAILABLE\"",
	      CALLS_HELP),
	COUNT(BACKEND_CALLS_CHECK_OK, CALLS, "method=\"Check\",status=\"OK\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_CHECK_INVALID_ARGUMENT, CALLS,
	      "method=\"Check\",status=\"INVALID_ARGUMENT\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_CHECK_NOT_FOUND, CALLS, "method=\"Check\",status=\"NOT_FOUND\"",
	      CALLS_HELP),
	COUNT(BACKEND_CALLS_WATCH_OK, CALLS, "method=\"Watch\",status=\"OK\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_WATCH_INVALID_ARGUMENT, CALLS,
	      "method=\"Watch\",status=\"INVALID_ARGUMENT\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_WATCH_RESOURCE_EXHAUSTED, CALLS,
	      "method=\"Watch\",status=\"RESOURCE_EXHAUSTED\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_EXCHANGE_OK, CALLS, "method=\"Exchange\",status=\"OK\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_EXCHANGE_INVALID_ARGUMENT, CALLS,
	      "method=\"Exchange\",status=\"INVALID_ARGUMENT\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_EXCHANGE_RESOURCE_EXHAUSTED, CALLS,
	      "method=\"Exchange\",status=\"RESOURCE_EXHAUSTED\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_EXCHANGE_UNAVAILABLE, CALLS,
	      "method=\"Exchange\",status=\"UNAVAILABLE\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_CHANGES_OK, CALLS, "method=\"Backend/Watch\",status=\"OK\"",
	      CALLS_HELP),
	COUNT(BACKEND_CALLS_CHANGES_INVALID_ARGUMENT, CALLS,
	      "method=\"Backend/Watch\",status=\"INVALID_ARGUMENT\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_CHANGES_RESOURCE_EXHAUSTED, CALLS,
	      "method=\"Backend/Watch\",status=\"RESOURCE_EXHAUSTED\"", CALLS_HELP),
	COUNT(BACKEND_CALLS_UNIMPLEMENTED, CALLS, "method=\"unknown\",status=\"UNIMPLEMENTED\"",
	      CALLS_HELP),

	COUNT(BACKEND_EXCHANGE_MESSAGES, "godwit_backend_exchange_messages_total", NULL,
	      "Messages of questions read from Exchange streams."),
	COUNT(BACKEND_EXCHANGE_QUESTIONS, "godwit_backend_exchange_questions_total", NULL,
	      "Questions read from Exchange streams."),
	COUNT(BACKEND_EXCHANGE_UNANSWERED, "godwit_backend_exchange_unanswered_total", NULL,
	      "Questions on Exchange streams that got no reply: records not loaded yet, or not "
	      "a query."),
	COUNT(BACKEND_WATCH_MESSAGES, "godwit_backend_watch_messages_total", NULL,
	      "Messages written to Watch streams, heartbeats included."),
	COUNT(BACKEND_WATCH_FACTS, "godwit_backend_watch_facts_total", NULL,
	      "Changed facts told on Watch streams."),
	COUNT(BACKEND_WATCH_EVERYTHING, "godwit_backend_watch_everything_total", NULL,
	      "Times a Watch stream was told that anything may have changed."),

	COUNT(BACKEND_CALLS_CANCELLED, "godwit_backend_calls_cancelled_total", NULL,
	      "gRPC calls that were over before their reply could be sent: cancelled by the "
	      "client, past their deadline, or cut off."),
	COUNT(BACKEND_CALLS_STALLED, "godwit_backend_calls_stalled_total", NULL,
	      "gRPC calls given up because the client did not take the reply in time."),

	[BACKEND_ANSWER_SECONDS] = {.name = "godwit_backend_answer_seconds",
				    .help = "Time from a gRPC call's arrival in our hands to its "
					    "reply handed to gRPC.",
				    .kind = METRIC_HISTOGRAM},

	COUNT(BACKEND_RECORDS_REJECTED, "godwit_backend_records_rejected_total", NULL,
	      "Stored records that were left out because they make no sense."),
	COUNT(BACKEND_STORE_LOADS, "godwit_backend_store_loads_total", NULL,
	      "Times the whole store was loaded."),
	COUNT(BACKEND_STORE_RESUMES, "godwit_backend_store_resumes_total", NULL,
	      "Times the store was followed on after an outage, without loading it."),
	COUNT(BACKEND_STORE_CHANGES, "godwit_backend_store_changes_total", NULL,
	      "Batches of changes taken over from the store."),
	COUNT(BACKEND_STORE_OUTAGES, "godwit_backend_store_outages_total", NULL,
	      "Times the store was lost or found unusable."),
	COUNT(BACKEND_STORE_GUARDED, "godwit_backend_store_guarded_total", NULL,
	      "Loads not taken over because too many records would have been lost."),
	COUNT(BACKEND_SNAPSHOTS_SAVED, "godwit_backend_snapshots_saved_total", NULL,
	      "Snapshots written."),
	COUNT(BACKEND_SNAPSHOTS_FAILED, "godwit_backend_snapshots_failed_total", NULL,
	      "Snapshots that could not be written."),
};

_Static_assert(sizeof(backend_counter_defs) / sizeof(*backend_counter_defs) ==
		       BACKEND_COUNTER_COUNT,
	       "every counter has a definition");

enum backend_counter backend_counter_of_rcode(int rcode)
{
	switch (rcode) {
	case DNS_RCODE_NOERROR:
		return BACKEND_QUERIES_NOERROR;
	case DNS_RCODE_FORMERR:
		return BACKEND_QUERIES_FORMERR;
	case DNS_RCODE_SERVFAIL:
		return BACKEND_QUERIES_SERVFAIL;
	case DNS_RCODE_NXDOMAIN:
		return BACKEND_QUERIES_NXDOMAIN;
	case DNS_RCODE_NOTIMP:
		return BACKEND_QUERIES_NOTIMP;
	case DNS_RCODE_REFUSED:
		return BACKEND_QUERIES_REFUSED;
	case DNS_RCODE_YXDOMAIN:
		return BACKEND_QUERIES_YXDOMAIN;
	case DNS_RCODE_BADVERS:
		return BACKEND_QUERIES_BADVERS;
	default:
		return BACKEND_QUERIES_RCODE_OTHER;
	}
}

enum backend_counter backend_counter_of_qtype(uint16_t qtype)
{
	switch (qtype) {
	case DNS_TYPE_A:
		return BACKEND_QUERIES_A;
	case DNS_TYPE_AAAA:
		return BACKEND_QUERIES_AAAA;
	case DNS_TYPE_NS:
		return BACKEND_QUERIES_NS;
	case DNS_TYPE_SOA:
		return BACKEND_QUERIES_SOA;
	case DNS_TYPE_PTR:
		return BACKEND_QUERIES_PTR;
	case DNS_TYPE_MX:
		return BACKEND_QUERIES_MX;
	case DNS_TYPE_TXT:
		return BACKEND_QUERIES_TXT;
	case DNS_TYPE_SRV:
		return BACKEND_QUERIES_SRV;
	case DNS_TYPE_HTTPS:
		return BACKEND_QUERIES_HTTPS;
	case DNS_TYPE_ANY:
		return BACKEND_QUERIES_ANY;
	default:
		return BACKEND_QUERIES_TYPE_OTHER;
	}
}
