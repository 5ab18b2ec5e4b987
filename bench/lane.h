/*
 * A lane of the load generator: one connected socket, UDP, TCP, TLS or QUIC, and the queries that
 * wait for a reply on it. Many lanes make a load; a server sees a client of its own in each.
 *
 * A query's ID is made of its slot and of how often the slot was used before, so that a reply finds
 * its query by an index, and one that comes too late or twice is told from the one awaited.
 *
 * By UDP, queries of one size leave as a train: one datagram for the kernel to cut up
 * (UDP_SEGMENT), which saves most of the cost of sending. The server gets single messages all the
 * same.
 *
 * Nothing blocks after lane_open, but for connecting again when a server closes a connection.
 * Sending and receiving work on up to LANE_BATCH messages per system call and allocate nothing.
 * One thread.
 */
#ifndef GODWIT_BENCH_LANE_H
#define GODWIT_BENCH_LANE_H

#include "bench/histogram.h"
#include "bench/lane_quic.h"
#include "bench/questions.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LANE_BATCH 64
#define LANE_SLOTS_MAX 16384
#define LANE_STREAM_SIZE 65536

enum lane_transport {
	LANE_UDP,
	LANE_TCP,
	LANE_TLS,
	LANE_QUIC,
};

/* What became of all queries of all lanes. */
struct lane_counts {
	uint64_t sent;
	uint64_t answered;
	uint64_t lost;       /* not answered in time, or their connection was closed */
	uint64_t unexpected; /* replies to nothing that was still asked */
	uint64_t truncated;
	uint64_t empty; /* NOERROR without an answer record */
	uint64_t reconnects;
	int64_t idle_ns;    /* time in calls of lane_receive that brought nothing */
	int64_t silence_ns; /* the longest that a lane with queries under way heard nothing */
	uint64_t rcodes[16];
	struct histogram latency;
};

struct lane_slot {
	int64_t sent_ns; /* or when it should have been sent; 0: free */
	uint16_t id;     /* of the query that waits, or of the last one */
};

struct lane {
	int fd;
	enum lane_transport transport;
	SSL_CTX *tls;                           /* borrowed; LANE_TLS */
	SSL *ssl;                               /* LANE_TLS; NULL: connecting failed */
	struct lane_quic_context *quic_context; /* borrowed; LANE_QUIC */
	struct lane_quic *quic;                 /* LANE_QUIC; NULL: connecting failed */
	struct lane_counts *quic_counts;        /* during a call that replies may come in */
	bool trains; /* may send trains, as long as the kernel takes them */
	struct sockaddr_in server;
	struct lane_slot *slots;
	uint16_t *unused; /* a stack of indexes of slots */
	unsigned int slot_count;
	unsigned int unused_count;
	/* When the last reply came, or else the first query left; 0 when none is under way. Giving
	   queries up does not change it: that is no reply. */
	int64_t waiting_ns;
	bool told; /* that it is silent (stall.h) */
	/*
	 * Streams: what the socket did not take, and the beginning of a message that is not whole.
	 */
	uint8_t *out;
	size_t out_size;
	uint8_t *in;
	size_t in_size;
};

/* What lanes have in common. */
struct lane_options {
	struct sockaddr_in server; /* in network byte order */
	enum lane_transport transport;
	SSL_CTX *tls;                   /* for LANE_TLS; of lane_tls_create_context */
	struct lane_quic_context *quic; /* for LANE_QUIC */
	bool trains;                    /* all queries are of one size */
	unsigned int slots; /* the largest number of queries under way, a power of two */
};

/* Connects. False with errno set. */
bool lane_open(struct lane *lane, const struct lane_options *options);
void lane_close(struct lane *lane);

static inline unsigned int lane_outstanding(const struct lane *lane)
{
	return lane->slot_count - lane->unused_count;
}

/*
 * Sends up to `count` queries, which count from `first_ns` on, each `gap_ns` later than the one
 * before. Returns how many left; fewer when slots are used up or the socket is full.
 */
unsigned int lane_send(struct lane *lane, struct questions *questions, unsigned int count,
		       int64_t first_ns, int64_t gap_ns, struct lane_counts *counts);

/* Takes what has arrived, without waiting. */
void lane_receive(struct lane *lane, struct lane_counts *counts);

/* How long nothing has been heard, queries being under way; counted. */
int64_t lane_note_silence(const struct lane *lane, int64_t now_ns, struct lane_counts *counts);

/* Gives up queries of before `before_ns`. */
void lane_expire(struct lane *lane, int64_t before_ns, struct lane_counts *counts);

#endif
