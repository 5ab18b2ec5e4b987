/*
 * One question of the probe on its way: a fresh socket, from its opening to the verdict. How it
 * travels is a transport, a few functions; whose it is, and when it has taken too long, is
 * probe.c's business. Private to the probe.
 *
 * Nothing blocks. question_advance does whatever can be done now, and says how the matter stands;
 * it is called when the socket is ready, and may be called at any time besides: before a question
 * is given up, what waits in its socket is read. The process must ignore SIGPIPE
 * (common/program.h).
 */
#ifndef GODWIT_ANNOUNCER_PROBE_QUESTION_H
#define GODWIT_ANNOUNCER_PROBE_QUESTION_H

#include "announcer/config.h"
#include "announcer/probe_query.h"

#include <openssl/types.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct question;

enum question_state { QUESTION_WAITING, QUESTION_GOOD, QUESTION_FAILED };

/* What all questions of a probe share. */
struct question_setup {
	struct event_base *base;
	const struct announcer_probe *config;
	struct probe_expectation expectation;
	SSL_CTX *tls;        /* NULL: no TLS probe */
	bool tls_distrusted; /* a certificate was refused since `tls` was made */
	void (*on_ready)(struct question *question); /* calls question_advance */
	uint8_t buffer[DNS_MESSAGE_MAX];             /* for the datagram read at the moment */
};

/* How questions travel. All fill in `cause` when they fail. */
struct question_transport {
	const char *name; /* "udp" */
	int type;         /* SOCK_DGRAM, SOCK_STREAM */
	/* After the socket is connected, or a stream's is about to be. */
	bool (*start)(struct question *question);
	enum question_state (*advance)(struct question *question);
	/* What is missing so far: "no answer", "no TLS handshake". */
	void (*describe)(const struct question *question, char *out, size_t size);
	void (*stop)(struct question *question); /* before the socket is closed */
};

extern const struct question_transport question_udp;
extern const struct question_transport question_tcp;
extern const struct question_transport question_tls;

/* How far a question over a stream is. */
enum question_stage { STAGE_CONNECT, STAGE_HANDSHAKE, STAGE_SEND, STAGE_LENGTH, STAGE_MESSAGE };

struct question {
	TAILQ_ENTRY(question) next;
	void *owner;
	int64_t asked_ns;
	int64_t deadline_ms;
	int64_t given_ms; /* how much the deadline has been put off */
	bool counted;     /* as a failure, along with an older one */

	struct question_setup *setup;
	const struct question_transport *transport;
	int fd;
	struct event *event;
	short wanted; /* EV_READ, EV_WRITE: what `event` waits for */
	enum question_state state;
	struct probe_query query;
	char cause[PROBE_CAUSE_MAX]; /* why it failed, or what came instead of an answer */

	/* Streams only. */
	enum question_stage stage;
	SSL *tls;
	uint8_t frame[2 +
		      PROBE_QUERY_MAX]; /* the query with its length, then the answer's length */
	uint8_t *message;               /* the answer, `size` octets */
	size_t size;
	size_t done; /* octets of the frame sent, or of the length or message received */
};

/*
 * Asks. NULL when that could not even be begun, with a reason in `cause`; `*local` then says
 * whether the fault is ours (no descriptors, no memory) and not the server's.
 */
struct question *question_open(struct question_setup *setup,
			       const struct question_transport *transport, char *cause,
			       bool *local);

/* Closes the socket: one that was not answered is cut off, so that nothing of it lingers. */
void question_close(struct question *question);

/* Does what can be done. Once it is not QUESTION_WAITING it stays so. */
enum question_state question_advance(struct question *question);

/* Why it has failed after `timeout_ms` without an answer; `out` has PROBE_CAUSE_MAX octets. */
void question_describe_timeout(const struct question *question, int timeout_ms, char *out);

/* Notes why it failed: "what: strerror(error)". Returns QUESTION_FAILED. */
enum question_state question_fail(struct question *question, const char *what, int error);

/*
 * Makes or makes again the TLS context from the configuration's files. 0, or -1 with a reason; a
 * context that was there is then kept.
 */
int question_setup_load_tls(struct question_setup *setup, char *error, size_t error_size);

/* probe_tls.c, for probe_stream.c: as read(2) and write(2); 0 octets is the end. */
bool question_tls_start(struct question *question);
enum question_state question_tls_handshake(struct question *question); /* GOOD: it is done */
ssize_t question_tls_read(struct question *question, void *octets, size_t size);
ssize_t question_tls_write(struct question *question, const void *octets, size_t size);

#endif
