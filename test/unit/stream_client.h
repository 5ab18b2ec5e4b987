/*
 * A client of a stream server, plain or in TLS, that does everything in steps of the caller's
 * choice: octets are said, sealed into records of any size, sent in any cuts, and read in any.
 *
 *     `plain` --seal--> `wire` --send--> the socket --receive--> `input`
 *
 * It knows which of its octets the server has been given so far that it can have opened them. One
 * thread; nothing waits.
 */
#ifndef GODWIT_TEST_UNIT_STREAM_CLIENT_H
#define GODWIT_TEST_UNIT_STREAM_CLIENT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#define STREAM_CLIENT_RECORDS_MAX 4096

struct evbuffer;

struct stream_client {
	int fd;
	SSL *ssl;               /* NULL: plain */
	struct evbuffer *plain; /* said, not sealed yet */
	struct evbuffer *wire;  /* sealed, not given to the socket yet */
	struct evbuffer *input; /* opened */
	size_t plain_end;       /* octets sealed so far */
	size_t wire_end;        /* octets that stood in `wire` so far */
	struct {
		size_t plain_end;
		size_t wire_end;
	} records[STREAM_CLIENT_RECORDS_MAX];
	unsigned int record_count;
	bool said_goodbye;
	bool closed; /* by the server */
	bool failed; /* TLS has */
};

/*
 * Takes over a connected socket, which does not block. `version` is TLS1_2_VERSION or
 * TLS1_3_VERSION, 0 for a plain client. The struct is zeroed.
 */
void stream_client_open(struct stream_client *client, int fd, int version);
void stream_client_clear(struct stream_client *client);

/* Closes the socket, without a word. */
void stream_client_vanish(struct stream_client *client);

/* Makes a record of up to `most` octets of what is said. False: there is none to be made. */
bool stream_client_seal(struct stream_client *client, size_t most);

/*
 * Has new keys used from here on, where the version knows that, and asks the server for the same.
 */
void stream_client_change_keys(struct stream_client *client, bool ask);

/* Up to `most` octets, as far as the socket takes them. False: none. */
bool stream_client_send(struct stream_client *client, size_t most);
bool stream_client_receive(struct stream_client *client, size_t most);

/* After all that is sealed, says that nothing follows; then only receives. */
void stream_client_say_goodbye(struct stream_client *client);

/* How many of the octets said the server has been given, whole records only. */
size_t stream_client_arrived(const struct stream_client *client);

#endif
