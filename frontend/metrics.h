/*
 * What the front end counts. One shard per worker; see common/metrics.h.
 *
 * Figures per backend and what is not a count of events come from collectors in status.c.
 */
#ifndef GODWIT_FRONTEND_METRICS_H
#define GODWIT_FRONTEND_METRICS_H

#include "common/metrics.h"

/* What can become of a connection. The last three only with encryption. */
enum connection_event {
	CONNECTION_ACCEPTED,
	CONNECTION_REFUSED, /* the limit was reached and no idle connection could make room */
	CONNECTION_EVICTED, /* idle, closed to make room for a new one */
	CONNECTION_IDLE,    /* closed after the idle timeout */
	CONNECTION_ERROR,   /* closed for a broken protocol, a reset or a reader too slow */
	CONNECTION_CROWDED, /* refused: its client has too many */
	CONNECTION_HANDSHAKE_FAILED,
	CONNECTION_HANDSHAKE_SLOW, /* closed: not done in time */
	CONNECTION_EVENTS,
};

enum frontend_metric {
	FRONTEND_QUERIES_UDP,
	FRONTEND_QUERIES_TCP,
	FRONTEND_QUERIES_TLS,
	FRONTEND_QUERIES_HTTPS,
	FRONTEND_QUERIES_QUIC,
	/* Replies by response code; metrics_of_rcode finds the right one. */
	FRONTEND_REPLIES_NOERROR,
	FRONTEND_REPLIES_FORMERR,
	FRONTEND_REPLIES_SERVFAIL,
	FRONTEND_REPLIES_NXDOMAIN,
	FRONTEND_REPLIES_NOTIMP,
	FRONTEND_REPLIES_REFUSED,
	FRONTEND_REPLIES_BADVERS,
	FRONTEND_REPLIES_OTHER,
	FRONTEND_DROPS_NOT_A_QUERY, /* shorter than a header, or a response */
	FRONTEND_DROPS_OVERLOAD,    /* every query of the worker's pool was in flight */
	FRONTEND_DROPS_SEND,        /* the kernel did not take a UDP reply */
	FRONTEND_DROPS_CLIENT_GONE, /* the connection closed before the reply */
	FRONTEND_DROPS_SHUTDOWN,    /* unanswered when the deadline of the shutdown passed */
	FRONTEND_TRUNCATED,
	/* Connections, by protocol and enum connection_event. */
	FRONTEND_CONNECTIONS_TCP,
	FRONTEND_CONNECTIONS_TLS = FRONTEND_CONNECTIONS_TCP + CONNECTION_EVENTS,
	FRONTEND_CONNECTIONS_HTTPS = FRONTEND_CONNECTIONS_TLS + CONNECTION_EVENTS,
	FRONTEND_CONNECTIONS_QUIC = FRONTEND_CONNECTIONS_HTTPS + CONNECTION_EVENTS,
	FRONTEND_TLS_RESUMED = FRONTEND_CONNECTIONS_QUIC + CONNECTION_EVENTS, /* handshakes */
	/* Replies over HTTPS by status. */
	FRONTEND_HTTP_200,
	FRONTEND_HTTP_400,
	FRONTEND_HTTP_404,
	FRONTEND_HTTP_405,
	FRONTEND_HTTP_413,
	FRONTEND_HTTP_415,
	FRONTEND_HTTP_503,
	FRONTEND_HTTP_OTHER,
	FRONTEND_HTTP2_FLOODS, /* connections closed */
	/* What QUIC says without a connection, and datagrams that come to nothing. */
	FRONTEND_QUIC_RETRIES,      /* new clients asked to prove their address */
	FRONTEND_QUIC_RESETS,       /* packets of connections that are not there */
	FRONTEND_QUIC_NEGOTIATIONS, /* other versions */
	FRONTEND_QUIC_REFUSALS,     /* new clients turned away */
	FRONTEND_QUIC_IGNORED,      /* no QUIC, or cannot begin a connection */
	FRONTEND_QUIC_UNSENT,       /* not taken by the kernel; QUIC sends them again */
	FRONTEND_RETRIES,
	FRONTEND_OVERLOADS,   /* SERVFAIL because a route's line was full */
	FRONTEND_UNREACHABLE, /* SERVFAIL because no backend could answer */
	FRONTEND_EXPIRED,     /* SERVFAIL because the query's deadline passed */
	FRONTEND_CACHE_HITS,
	FRONTEND_CACHE_MISSES,
	FRONTEND_CACHE_INVALID,   /* of the misses: there, but something it rests on changed */
	FRONTEND_CACHE_STALE,     /* served because no backend answered */
	FRONTEND_CACHE_FILLS,     /* replies stored */
	FRONTEND_CACHE_EVICTIONS, /* of the fills: another reply had to leave */
	FRONTEND_CACHE_PUT_OFF,   /* denials not stored: asked for the first time */
	FRONTEND_CACHE_REFRESHES, /* asked for anew before they expired */
	FRONTEND_JOINED,          /* queries that waited for another's answer */
	FRONTEND_STREAM_MESSAGES,
	FRONTEND_STREAM_QUESTIONS,
	FRONTEND_STREAM_STRAYS,  /* answers to no question in flight: late, twice, out of nowhere */
	FRONTEND_STREAMS_BROKEN, /* streams that ended and could not be expected to */
	FRONTEND_WATCH_MESSAGES,
	FRONTEND_WATCH_FACTS,
	FRONTEND_WATCHES_BROKEN, /* watches that ended or fell silent */
	FRONTEND_BACKEND_CERTIFICATE_RELOADS,
	FRONTEND_BACKEND_CERTIFICATE_FAILURES,
	FRONTEND_LATENCY,
	FRONTEND_METRIC_COUNT,
};

extern const struct metric_def frontend_metric_defs[FRONTEND_METRIC_COUNT];

/* The counter of replies with an (extended) response code. */
enum frontend_metric metrics_of_rcode(int rcode);

#endif
