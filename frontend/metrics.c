/* The table of the front end's counters. */
#include "frontend/metrics.h"

#include "dns/protocol.h"

#define QUERIES(protocol)                                                                          \
	{                                                                                          \
		"godwit_frontend_queries_total", "protocol=\"" protocol "\"",                      \
			"Messages received from clients.", METRIC_COUNTER                          \
	}
#define REPLIES(rcode)                                                                             \
	{                                                                                          \
		"godwit_frontend_replies_total", "rcode=\"" rcode "\"",                            \
			"Replies sent to clients.", METRIC_COUNTER                                 \
	}
#define DROPS(reason)                                                                              \
	{                                                                                          \
		"godwit_frontend_drops_total", "reason=\"" reason "\"",                            \
			"Messages that got no reply.", METRIC_COUNTER                              \
	}
#define CONNECTION(protocol, what)                                                                 \
	{                                                                                          \
		"godwit_frontend_" protocol "_connections_total", "event=\"" what "\"",            \
			"Connections opened, and those the server closed or refused, by cause.",   \
			METRIC_COUNTER                                                             \
	}
#define CONNECTIONS(base, protocol)                                                                \
	[base + CONNECTION_ACCEPTED] = CONNECTION(protocol, "accepted"),                           \
		[base + CONNECTION_REFUSED] = CONNECTION(protocol, "refused"),                     \
		[base + CONNECTION_EVICTED] = CONNECTION(protocol, "evicted"),                     \
		[base + CONNECTION_IDLE] = CONNECTION(protocol, "idle"),                           \
		[base + CONNECTION_ERROR] = CONNECTION(protocol, "error"),                         \
		[base + CONNECTION_CROWDED] = CONNECTION(protocol, "crowded"),                     \
		[base + CONNECTION_HANDSHAKE_FAILED] = CONNECTION(protocol, "handshake_failed"),   \
		[base + CONNECTION_HANDSHAKE_SLOW] = CONNECTION(protocol, "handshake_slow")
#define HTTP(status)                                                                               \
	{                                                                                          \
		"godwit_frontend_http_replies_total", "status=\"" status "\"",                     \
			"Replies sent over HTTPS.", METRIC_COUNTER                                 \
	}
#define QUIC(event)                                                                                \
	{                                                                                          \
		"godwit_frontend_quic_datagrams_total", "event=\"" event "\"",                     \
			"QUIC datagrams that no connection sent or got, by what they were.",       \
			METRIC_COUNTER                                                             \
	}
#define FAILED(cause)                                                                              \
	{                                                                                          \
		"godwit_frontend_unanswered_total", "cause=\"" cause "\"",                         \
			"Queries answered SERVFAIL because no backend answered them.",             \
			METRIC_COUNTER                                                             \
	}

/* clang-format off */
const struct metric_def frontend_metric_defs[FRONTEND_METRIC_COUNT] = {
	[FRONTEND_QUERIES_UDP] = QUERIES("udp"),
	[FRONTEND_QUERIES_TCP] = QUERIES("tcp"),
	[FRONTEND_QUERIES_TLS] = QUERIES("tls"),
	[FRONTEND_QUERIES_HTTPS] = QUERIES("https"),
	[FRONTEND_QUERIES_QUIC] = QUERIES("quic"),
	[FRONTEND_REPLIES_NOERROR] = REPLIES("NOERROR"),
	[FRONTEND_REPLIES_FORMERR] = REPLIES("FORMERR"),
	[FRONTEND_REPLIES_SERVFAIL] = REPLIES("SERVFAIL"),
	[FRONTEND_REPLIES_NXDOMAIN] = REPLIES("NXDOMAIN"),
	[FRONTEND_REPLIES_NOTIMP] = REPLIES("NOTIMP"),
	[FRONTEND_REPLIES_REFUSED] = REPLIES("REFUSED"),
	[FRONTEND_REPLIES_BADVERS] = REPLIES("BADVERS"),
	[FRONTEND_REPLIES_OTHER] = REPLIES("other"),
	[FRONTEND_DROPS_NOT_A_QUERY] = DROPS("not_a_query"),
	[FRONTEND_DROPS_OVERLOAD] = DROPS("overload"),
	[FRONTEND_DROPS_SEND] = DROPS("send"),
	[FRONTEND_DROPS_CLIENT_GONE] = DROPS("client_gone"),
	[FRONTEND_DROPS_SHUTDOWN] = DROPS("shutdown"),
	[FRONTEND_TRUNCATED] = { "godwit_frontend_truncated_total", NULL,
		"UDP replies that did not fit and were sent with TC set.", METRIC_COUNTER },
	CONNECTIONS(FRONTEND_CONNECTIONS_TCP, "tcp"),
	CONNECTIONS(FRONTEND_CONNECTIONS_TLS, "tls"),
	CONNECTIONS(FRONTEND_CONNECTIONS_HTTPS, "https"),
	CONNECTIONS(FRONTEND_CONNECTIONS_QUIC, "quic"),
	[FRONTEND_TLS_RESUMED] = { "godwit_frontend_tls_resumed_total", NULL,
		"TLS handshakes that resumed an earlier session.", METRIC_COUNTER },
	[FRONTEND_HTTP_200] = HTTP("200"),
	[FRONTEND_HTTP_400] = HTTP("400"),
	[FRONTEND_HTTP_404] = HTTP("404"),
	[FRONTEND_HTTP_405] = HTTP("405"),
	[FRONTEND_HTTP_413] = HTTP("413"),
	[FRONTEND_HTTP_415] = HTTP("415"),
	[FRONTEND_HTTP_503] = HTTP("503"),
	[FRONTEND_HTTP_OTHER] = HTTP("other"),
	[FRONTEND_HTTP2_FLOODS] = { "godwit_frontend_http2_floods_total", NULL,
		"HTTP/2 connections closed for a flood of frames or resets.", METRIC_COUNTER },
	[FRONTEND_QUIC_RETRIES] = QUIC("retry"),
	[FRONTEND_QUIC_RESETS] = QUIC("reset"),
	[FRONTEND_QUIC_NEGOTIATIONS] = QUIC("version_negotiation"),
	[FRONTEND_QUIC_REFUSALS] = QUIC("refusal"),
	[FRONTEND_QUIC_IGNORED] = QUIC("ignored"),
	[FRONTEND_QUIC_UNSENT] = QUIC("unsent"),
	[FRONTEND_RETRIES] = { "godwit_frontend_retries_total", NULL,
		"Queries asked a second time after a backend failed.", METRIC_COUNTER },
	[FRONTEND_OVERLOADS] = FAILED("overload"),
	[FRONTEND_UNREACHABLE] = FAILED("unreachable"),
	[FRONTEND_EXPIRED] = FAILED("timeout"),
	[FRONTEND_CACHE_HITS] = { "godwit_frontend_cache_hits_total", NULL,
		"Queries answered from the cache.", METRIC_COUNTER },
	[FRONTEND_CACHE_MISSES] = { "godwit_frontend_cache_misses_total", NULL,
		"Queries that the cache had no good answer for.", METRIC_COUNTER },
	[FRONTEND_CACHE_INVALID] = { "godwit_frontend_cache_invalid_total", NULL,
		"Misses because what a cached answer rests on has changed, or may have.",
		METRIC_COUNTER },
	[FRONTEND_CACHE_STALE] = { "godwit_frontend_cache_stale_total", NULL,
		"Stale answers served because no backend answered.", METRIC_COUNTER },
	[FRONTEND_CACHE_FILLS] = { "godwit_frontend_cache_fills_total", NULL,
		"Replies of backends stored in the cache.", METRIC_COUNTER },
	[FRONTEND_CACHE_EVICTIONS] = { "godwit_frontend_cache_evictions_total", NULL,
		"Replies that left the cache to make room for others.", METRIC_COUNTER },
	[FRONTEND_CACHE_PUT_OFF] = { "godwit_frontend_cache_put_off_total", NULL,
		"Denials not stored because nobody had asked for the same lately.", METRIC_COUNTER },
	[FRONTEND_CACHE_REFRESHES] = { "godwit_frontend_cache_refreshes_total", NULL,
		"Cached answers asked for anew before they expired.", METRIC_COUNTER },
	[FRONTEND_JOINED] = { "godwit_frontend_joined_total", NULL,
		"Queries not put to a backend because the same question was in flight.",
		METRIC_COUNTER },
	[FRONTEND_STREAM_MESSAGES] = { "godwit_frontend_stream_messages_total", NULL,
		"Messages of questions sent on streams to backends.", METRIC_COUNTER },
	[FRONTEND_STREAM_QUESTIONS] = { "godwit_frontend_stream_questions_total", NULL,
		"Questions sent on streams to backends.", METRIC_COUNTER },
	[FRONTEND_STREAM_STRAYS] = { "godwit_frontend_stream_strays_total", NULL,
		"Answers on streams that belong to no question in flight.", METRIC_COUNTER },
	[FRONTEND_STREAMS_BROKEN] = { "godwit_frontend_streams_broken_total", NULL,
		"Streams to backends that broke, could not be opened or were given up.",
		METRIC_COUNTER },
	[FRONTEND_WATCH_MESSAGES] = { "godwit_frontend_watch_messages_total", NULL,
		"Messages read from backends' Watch streams, heartbeats included.",
		METRIC_COUNTER },
	[FRONTEND_WATCH_FACTS] = { "godwit_frontend_watch_facts_total", NULL,
		"Changed facts that backends have told.", METRIC_COUNTER },
	[FRONTEND_WATCHES_BROKEN] = { "godwit_frontend_watches_broken_total", NULL,
		"Watch streams that ended or fell silent: the backend's answers are suspect.",
		METRIC_COUNTER },
	[FRONTEND_BACKEND_CERTIFICATE_RELOADS] = {
		"godwit_frontend_backend_certificate_reloads_total", NULL,
		"Changed certificates for backends taken over.", METRIC_COUNTER },
	[FRONTEND_BACKEND_CERTIFICATE_FAILURES] = {
		"godwit_frontend_backend_certificate_failures_total", NULL,
		"Looks at certificate files for backends that could not be used.", METRIC_COUNTER },
	[FRONTEND_LATENCY] = { "godwit_frontend_reply_seconds", NULL,
		"Time from a query's arrival to its reply.", METRIC_HISTOGRAM },
};
/* clang-format on */

enum frontend_metric metrics_of_rcode(int rcode)
{
	switch (rcode) {
	case DNS_RCODE_NOERROR:
		return FRONTEND_REPLIES_NOERROR;
	case DNS_RCODE_FORMERR:
		return FRONTEND_REPLIES_FORMERR;
	case DNS_RCODE_SERVFAIL:
		return FRONTEND_REPLIES_SERVFAIL;
	case DNS_RCODE_NXDOMAIN:
		return FRONTEND_REPLIES_NXDOMAIN;
	case DNS_RCODE_NOTIMP:
		return FRONTEND_REPLIES_NOTIMP;
	case DNS_RCODE_REFUSED:
		return FRONTEND_REPLIES_REFUSED;
	case DNS_RCODE_BADVERS:
		return FRONTEND_REPLIES_BADVERS;
	default:
		return FRONTEND_REPLIES_OTHER;
	}
}
