/*
 * One connection to a Redis server: a non-blocking socket, with TLS or without, commands formatted
 * and replies parsed by hiredis. hiredis' own connections cannot be interrupted, and in Debian 12
 * have no TLS.
 *
 * Commands are appended to a buffer (redis_link_send) and leave whenever something is received;
 * replies come in the order of the commands. Every wait ends at once on storage_interrupt, and with
 * STORAGE_UNAVAILABLE when the peer keeps silent for REDIS_SILENCE_MS. Functions that fail set the
 * store's error line; a link that failed is only good for redis_link_close.
 *
 * One thread at a time.
 */
#ifndef GODWIT_STORAGE_REDIS_LINK_H
#define GODWIT_STORAGE_REDIS_LINK_H

#include "storage/driver.h"
#include "storage/redis_url.h"

#include <hiredis/hiredis.h>
#include <openssl/types.h>
#include <sys/types.h>

#define REDIS_CONNECT_MS 2000 /* for TCP and TLS together */
#define REDIS_SILENCE_MS 3000 /* without an octet of an awaited reply */
#define REDIS_LINK_NAME_MAX 288

struct redis_link {
	struct storage *storage;        /* whose error line and wake_fd are used; NULL: closed */
	char name[REDIS_LINK_NAME_MAX]; /* "127.0.0.1:6379", for error lines */
	int fd;
	SSL *tls;             /* NULL: none */
	bool tls_wants_write; /* before it can go on reading */
	redisReader *reader;
	char *out; /* what is still to be written, from out_sent to out_size */
	size_t out_size, out_sent, out_capacity;
	char *in;         /* where octets are read to */
	int64_t heard_ms; /* when the peer last said something */
	int64_t asked_ms; /* when redis_link_ping was called, if it said nothing since; else 0 */
	unsigned int unasked; /* replies to come that are of no interest */
};

/* Connects. `tls` is NULL without; `url` says what the certificate must name. */
int redis_link_open(struct redis_link *link, struct storage *storage, const struct redis_url *url,
		    const struct redis_host *host, SSL_CTX *tls);
/* Also for links that are closed, or all zeroes. */
void redis_link_close(struct redis_link *link);
static inline bool redis_link_is_open(const struct redis_link *link)
{
	return link->storage != NULL;
}

/* Appends a command. `sizes` may be NULL when all are C strings. */
int redis_link_send(struct redis_link *link, int count, const char *const *words,
		    const size_t *sizes);
/* The same for few words: redis_link_say(link, "CLIENT", "ID", NULL). */
int redis_link_say(struct redis_link *link, const char *word, ...) __attribute__((sentinel));

/*
 * Sends what is waiting, as far as it can now, and gives the next reply that is there already, or
 * NULL: then poll(2) for redis_link_events before trying again. The reply is the caller's, for
 * freeReplyObject.
 */
int redis_link_take(struct redis_link *link, redisReply **reply);
short redis_link_events(const struct redis_link *link);
/* Waits for the next reply. */
int redis_link_receive(struct redis_link *link, redisReply **reply);

/*
 * Appends a PING, to see whether the peer is alive. Its answer is a reply like any other; with
 * `unasked` increased, redis_link_take swallows it.
 */
int redis_link_ping(struct redis_link *link);

/* STORAGE_UNAVAILABLE with an error line "redis NAME: ..." */
int redis_link_fail(struct redis_link *link, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* --- redis_tls.c ------------------------------------------------------------------------------ */

/* Makes what the TLS connections of a store share. NULL with the store's error line set. */
SSL_CTX *redis_tls_create(struct storage *storage, const struct redis_url *url);
/* A TLS connection on the link's socket; NULL with the error line set. */
SSL *redis_tls_start(struct redis_link *link, SSL_CTX *context, const char *server_name);
/* Goes on with the handshake: 1 when it is done, 0: wait, -1: failed, the error line is set. */
int redis_tls_shake(struct redis_link *link);
/* Octets that were moved, 0: wait, -1: failed, the error line is set. */
ssize_t redis_tls_read(struct redis_link *link, char *data, size_t size);
ssize_t redis_tls_write(struct redis_link *link, const char *data, size_t size);

#endif
