/*
 * Stream connections of clients - TCP, and TLS over it - whatever protocol they speak: accepted,
 * counted, kept in bounds and closed here; what their octets mean is a connection_protocol's.
 *
 * What keeps clients in bounds:
 *  - connections: a limit over all workers. At the limit a worker closes its own longest idle
 *    connection to make room; if none of its connections is idle, the new one is closed at once.
 *    Encrypted ones also have a limit per client (clients.h).
 *  - time: a TLS handshake must be done within its time limit. After it a connection is closed when
 *    for the idle time it has made no progress: no whole query has come, and the replies have not
 *    been read to the last octet. Dripping single octets is no progress.
 *  - work: with CONNECTION_QUERIES_MAX queries of a connection in flight, or CONNECTION_OUTPUT_MAX
 *    octets of replies not yet taken by the client, nothing more is read from it.
 *
 * What has been written while the loop served what had come leaves together at the end of that: in
 * as few system calls, and with TLS as few records, as it fits into. Only what the kernel does not
 * take then waits for libevent to say that it may be written.
 *
 * A client that closes its sending side still gets all its replies. One server per worker and
 * protocol, used by the worker's thread alone; counts of connections are shared.
 */
#ifndef GODWIT_FRONTEND_CONNECTION_H
#define GODWIT_FRONTEND_CONNECTION_H

#include "frontend/clients.h"
#include "frontend/metrics.h"
#include "frontend/query.h"
#include "frontend/serve.h"
#include "frontend/tls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define CONNECTION_QUERIES_MAX 64
#define CONNECTION_OUTPUT_MAX (64 * 1024)

struct bufferevent;
struct connection;
struct connection_server;
struct evbuffer;
struct event_base;
struct tls_stream;

/* What octets mean: one constant object per protocol. All functions run on the worker's thread. */
struct connection_protocol {
	size_t size;      /* of the protocol's own struct, which begins with struct connection */
	size_t input_max; /* octets read ahead; the kernel holds the client back beyond it (with
			     TLS, beyond twice as many) */
	/* The connection can be used: accepted, and with TLS, after the handshake. May be NULL. 0,
	   or -1: it is closed. */
	int (*begin)(struct connection *connection);
	/* Takes what stands in the input while connection_is_full is not true. False: it is broken,
	   and closed once what is in the output has been sent. Must not free the connection. */
	bool (*take)(struct connection *connection);
	/* Tells the client that no more is taken (HTTP/2's GOAWAY). May be NULL. */
	void (*stop)(struct connection *connection);
	/* Frees what begin made. Called for every connection whose begin was called. May be NULL.
	 */
	void (*end)(struct connection *connection);
};

struct connection {
	TAILQ_ENTRY(connection) link; /* by time of progress, longest ago first */
	struct connection_server *server;
	struct bufferevent *stream; /* what the socket brings and takes */
	struct tls_stream *tls;     /* what is inside; NULL: plain TCP */
	struct evbuffer *output;    /* plain TCP's; TLS has one of its own */
	LIST_ENTRY(connection) unsent_link;
	bool unsent;                /* there is output to be sent, and the server knows */
	LIST_HEAD(, query) queries; /* in flight */
	unsigned int query_count;
	int64_t progress_ms;
	/* Octets of replies that the protocol cannot send yet: not idle, but read from all the
	   same, for it is the client that has to say more (HTTP/2's windows). */
	size_t held;
	bool replying;    /* there is part of a reply in the output */
	bool open;        /* begin has been called: no handshake any more */
	bool paused;      /* not read from: too much in flight */
	bool end_of_file; /* nothing more is taken: the client sends no more, or is broken */
	bool reading;     /* inside `take`, which must not be entered again */
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	} client;
};

/* What differs between TCP, TLS and HTTPS servers. All borrowed. */
struct connection_options {
	struct event_base *base;
	struct serve *serve;
	const struct connection_protocol *protocol;
	unsigned int events;    /* the first of this protocol's connection metrics (metrics.h) */
	_Atomic unsigned *open; /* connections of all workers that share `limit` */
	unsigned int limit;
	int idle_s;
	struct tls *tls;          /* NULL: plain TCP */
	enum tls_purpose purpose; /* with tls */
	int handshake_s;          /* with tls */
	struct clients *clients;  /* NULL: no limit per client */
};

/* Makes a server without listeners. NULL when memory is short. */
struct connection_server *connection_server_create(const struct connection_options *options);
/* Closes everything. Queries in flight must have been answered or be about to be freed. */
void connection_server_destroy(struct connection_server *server);

/* Takes over a socket of listen_open_tcp and accepts from it. 0, or -1: the socket is closed. */
int connection_server_listen(struct connection_server *server, int fd);

/*
 * Accepts and reads no more, closes connections that are idle now, and the others once they have
 * got their replies.
 */
void connection_server_stop(struct connection_server *server);

/* True when no connection is left. */
bool connection_server_is_empty(const struct connection_server *server);

/* --- for protocols ---------------------------------------------------------------------------- */

struct serve *connection_serve(const struct connection *connection);

/* Plain octets from the client, to be drained by who takes them. */
struct evbuffer *connection_input(const struct connection *connection);

/* True while nothing more may be taken from the input. */
bool connection_is_full(const struct connection *connection);

/* A whole query has come, or been replied to: the client is not idle. */
void connection_note_progress(struct connection *connection);

/* The query belongs to the connection until it is answered; fills in its path. */
void connection_add_query(struct connection *connection, struct query *query);

/*
 * Takes an answered query off its connection, which goes on reading if it had paused. Returns the
 * connection; NULL when the client has gone, which is counted.
 */
struct connection *connection_take_query(struct query *query);

/*
 * Appends a reply, or part of one, to what is sent. When memory is short the connection is given
 * up, and says so.
 */
void connection_write(struct connection *connection, const void *data, size_t size);

/* The same for what is no reply (HTTP/2's acknowledgements): a client that reads it may be idle. */
void connection_write_aside(struct connection *connection, const void *data, size_t size);

/* Takes nothing more from the client, which still gets what it has asked for. */
void connection_finish(struct connection *connection);

/* Part of a reply is lost for want of memory: nothing else must follow it. Says so. */
void connection_give_up(struct connection *connection);

/* Has the protocol's `take` called again soon: what stopped it is over. */
void connection_resume(struct connection *connection);

/* A transport's format_client for queries with a stream path. */
void connection_format_client(const struct query *query, char *out, size_t size);

#endif
