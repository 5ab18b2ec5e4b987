/*
 * One query in flight: what the client asked, where the reply goes, and how far it has come.
 *
 * Queries live in a fixed pool, one per worker, used by that worker's thread alone. The pool is
 * the bound on everything a client can make the front end hold: when it is empty, messages are
 * dropped. A query belongs to exactly one holder at a time: serve.c while it is being read or
 * answered, upstream.c while a backend is asked.
 */
#ifndef GODWIT_FRONTEND_QUERY_H
#define GODWIT_FRONTEND_QUERY_H

#include "dns/query.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * Queries a worker can have in flight: every call to a few replicas and a full line of waiting
 * ones besides. Memory is touched only as far as the pool is really used.
 */
#define QUERY_POOL_SIZE 8192

/*
 * A message up to this size is kept inside the query. Longer ones, hardly ever seen, are
 * malloced.
 */
#define QUERY_INLINE_SIZE 512

struct query;
struct connection;
struct connection_server;
struct quic_connection;
struct quic_server;
struct quic_stream;
struct udp_socket;

/*
 * How a query came and how its reply goes back. One constant object per protocol.
 */
struct transport {
	const char *name;     /* "udp" */
	unsigned int queries; /* the frontend_metric that counts its queries */
	bool datagram;        /* replies must fit the client's UDP payload size */
	/* Sends a reply, copying it. Called once per query at most; then query_pool_put. */
	void (*send)(struct query *query, const uint8_t *reply, size_t size);
	/* Writes the client's address ("192.0.2.7:53") into ADDRESS_TEXT_MAX octets. */
	void (*format_client)(const struct query *query, char *out, size_t size);
};

/* Where a UDP reply goes, and the address it has to leave from (RFC 2181 section 4). */
struct udp_path {
	struct udp_socket *socket;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} client;
	union {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
	} local;
};

/*
 * A query's connection, its place in that connection's list, and what the protocol needs to know.
 */
struct stream_path {
	struct connection_server *server;
	struct connection *connection; /* NULL once the client has gone */
	LIST_ENTRY(query) link;
	int32_t stream; /* HTTP/2's */
	uint8_t form;   /* of the reply: the protocol's own enum */
};

/* A query's QUIC stream, which may go before its connection does. */
struct quic_path {
	struct quic_server *server;
	struct quic_connection *connection; /* NULL once it has ended */
	struct quic_stream *stream;         /* NULL once it has been closed */
	LIST_ENTRY(query) link;             /* in its connection */
};

struct query {
	struct dns_query dns;              /* leads into `message` */
	int verdict;                       /* what dns_query_parse said */
	const struct transport *transport; /* NULL: nobody waits, the cache wants it refreshed */
	union {
		struct udp_path udp;
		struct stream_path stream;
		struct quic_path quic;
		struct query *next_free;
	} path;
	TAILQ_ENTRY(query) waiting; /* in its route's line (upstream.c) */
	unsigned int plan;          /* the number of the plan it was routed by (serve.c) */
	bool denial_too;            /* cache_note_miss's word on its answer */
	uint8_t zone_size;          /* of its answer, as channel_result's */
	uint64_t key_hash;          /* of its key in the cache; 0: it has none */
	struct query *joined;       /* those that wait for the same answer (flights.h) */
	unsigned int joined_count;
	int64_t received_ns;
	int64_t deadline_ms;  /* when the client gets SERVFAIL at the latest */
	uint64_t avoid[2];    /* ids of replicas that failed it, the last one first; 0: none */
	unsigned int attempt; /* attempts begun */
	bool broke;           /* a connection broke in an attempt */
	bool timed_out;       /* its last attempt was given up rather than refused */
	uint8_t *message;
	uint8_t inline_message[QUERY_INLINE_SIZE];
};

struct query_pool {
	struct query *queries;
	size_t touched;      /* queries below this index have been used before */
	struct query *free;  /* of those, the ones at rest; the last used is the first out */
	_Atomic size_t used; /* in flight; written by the worker, readable by any thread */
};

/* Makes the pool. 0, or -1 when memory is short. */
int query_pool_init(struct query_pool *pool);
/* Frees everything, queries in flight included. */
void query_pool_clear(struct query_pool *pool);

/*
 * Takes a query, copies a parsed message into it, and makes its `dns` lead there. NULL when the
 * pool is empty. Hot path.
 */
struct query *query_pool_get(struct query_pool *pool, const struct dns_query *dns);

/* Puts a query back. Hot path. */
void query_pool_put(struct query_pool *pool, struct query *query);

#endif
