/*
 * A QUIC connection: what ngtcp2 and GnuTLS know of it, its streams, its timer, and the server it
 * is one of. For quic.c and quic_stream.c; others see quic.h.
 *
 * ngtcp2 must not be asked to write from within its callbacks, and a callback may lead as far as
 * a reply. So nothing is written where it comes about: a connection with something to say, or to
 * end for, is marked, and quic_server_flush, called from the event loop, deals with those marked.
 *
 * A connection that has ended stays for QUIC_CLOSING_MS without TLS, streams or a place in any
 * limit, to repeat its end to packets that were still on their way (RFC 9000 section 10.2).
 */
#ifndef GODWIT_FRONTEND_QUIC_CONNECTION_H
#define GODWIT_FRONTEND_QUIC_CONNECTION_H

#include "frontend/metrics.h"
#include "frontend/quic.h"
#include "frontend/quic_ids.h"
#include "frontend/quic_socket.h"
#include "frontend/quic_tls.h"
#include "frontend/quic_token.h"

#include <ngtcp2/ngtcp2.h>
#include <stdint.h>
#include <sys/queue.h>

#define QUIC_CLOSING_MS 1000

/* RFC 9250 section 4.3. */
enum doq_error {
	DOQ_NO_ERROR = 0,
	DOQ_INTERNAL_ERROR = 1,
	DOQ_PROTOCOL_ERROR = 2,
	DOQ_REQUEST_CANCELLED = 3,
	DOQ_EXCESSIVE_LOAD = 4,
};

enum quic_state {
	QUIC_HANDSHAKING,
	QUIC_OPEN,
	QUIC_CLOSING, /* has ended, and repeats it */
};

struct quic_stream;
TAILQ_HEAD(quic_stream_list, quic_stream);
TAILQ_HEAD(quic_connection_list, quic_connection);

struct quic_server {
	struct quic_options options;
	struct metrics_shard *shard;
	struct quic_secrets secrets;
	struct quic_tls *tls;
	struct quic_ids *ids;
	struct quic_sockets *sockets;
	struct quic_connection_list connections[3]; /* by state, by time of progress */
	struct quic_connection_list marked;
	struct event *flush;
	unsigned int unproved; /* handshakes with addresses not proved */
	unsigned int closing;
	int64_t idle_ms;
	bool stopping;
	/* What may be said this second without a connection, but for Retry. */
	int64_t words_ms;
	unsigned int words;
};

struct quic_connection {
	TAILQ_ENTRY(quic_connection) link; /* in the list of its state */
	TAILQ_ENTRY(quic_connection) mark;
	struct quic_server *server;
	enum quic_state state;
	ngtcp2_conn *conn; /* NULL when closing */
	struct quic_session session;
	struct quic_id_list ids;
	struct event *timer;
	int64_t progress_ms;
	bool marked;
	bool counted;  /* one of `open` */
	bool unproved; /* counted in the server's */
	bool entered;  /* counted in its client's share */
	bool failed;   /* to be ended for `error` */
	enum doq_error error;
	/* When closing. */
	uint8_t *goodbye; /* the last packet; NULL: nothing is said any more */
	size_t goodbye_size;
	unsigned int strays; /* packets that have come since */
	/* quic_stream.c's. */
	struct quic_stream_list streams;  /* all */
	struct quic_stream_list waiting;  /* with a whole query that there is no room for */
	struct quic_stream_list sendable; /* with octets to send */
	struct quic_stream_list blocked;  /* the same, held back by flow control */
	LIST_HEAD(, query) queries;       /* in flight, also those whose stream has gone */
	unsigned int query_count;
	size_t output_size; /* octets of replies not acknowledged to the last */
	ngtcp2_sockaddr_union client;
};

/* --- the server's (quic.c) -------------------------------------------------------------------- */

void quic_count(const struct quic_server *server, enum connection_event event);

/* Counts a connection in its client's share, if that has room. */
bool quic_enter_client(struct quic_connection *connection);

/* Gives back what counting a connection took. */
void quic_leave(struct quic_connection *connection);

/* Its address is proved, or it is gone. */
void quic_prove(struct quic_connection *connection);

/* Makes the server look after the connection once the event in hand has been dealt with. */
void quic_mark(struct quic_connection *connection);

/* --- the connection's (quic_connection.c) ----------------------------------------------------- */

/*
 * Makes a connection for an Initial packet, which is still to be received. `original` is what the
 * client's first ID was before a Retry; NULL: there was none. NULL: out of memory. Counts nothing.
 */
struct quic_connection *quic_connection_create(struct quic_server *server, const ngtcp2_path *path,
					       const ngtcp2_pkt_hd *header,
					       const ngtcp2_cid *original);

/* A datagram has come for it. It may be ended, but is not freed. */
void quic_connection_receive(struct quic_connection *connection, const ngtcp2_path *path,
			     const uint8_t *data, size_t size);

/* Writes what there is to be said, ends the connection if that is due, and sets its timer. */
void quic_connection_flush(struct quic_connection *connection);

/* Ends an open or handshaking one and tells the client. Not from within ngtcp2's callbacks. */
void quic_connection_end(struct quic_connection *connection, enum doq_error error);

/* The same, and counts the cause. */
void quic_connection_end_for(struct quic_connection *connection, enum connection_event cause,
			     enum doq_error error);

/* Frees it, whatever its state, without another word. */
void quic_connection_free(struct quic_connection *connection);

/* Makes it the one of its state that had progress last. */
void quic_connection_note_progress(struct quic_connection *connection);

/* Is to end with an error, once the callback in hand has returned. The cause is counted. */
void quic_connection_fail(struct quic_connection *connection, enum connection_event cause,
			  enum doq_error error);

/* True when it waits for nothing: no query in flight, no reply on its way. */
bool quic_connection_is_idle(const struct quic_connection *connection);

#endif
