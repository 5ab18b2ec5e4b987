/*
 * What the speaker's tests stand on: an event loop with a deadline, configurations on loopback
 * addresses, and a raw peer: a socket on which the test speaks BGP octet by octet.
 */
#ifndef GODWIT_TEST_UNIT_SPEAKER_FIXTURE_H
#define GODWIT_TEST_UNIT_SPEAKER_FIXTURE_H

#include "announcer/config.h"
#include "announcer/metrics.h"
#include "announcer/speaker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIXTURE_DEADLINE_MS 10000

/* Router IDs: which of two is higher decides which of two connections stays. */
#define LOW_ID 0xc0000201u  /* 192.0.2.1 */
#define HIGH_ID 0xc00002c8u /* 192.0.2.200 */

struct event_base;

/*
 * One loop and its counters; the speakers of a test all run on it. `machine_ms` is the time that
 * bounds are of: it stands still while the loop does, for the machine is busy elsewhere then, and
 * never is more than the clock's.
 */
struct loop {
	struct event_base *base;
	struct event *tick;
	int64_t tick_ms; /* when the latest tick was */
	int64_t machine_ms;
	struct metrics *metrics;
	struct metrics_shard *shard;
};

void loop_start(struct loop *loop);
void loop_stop(struct loop *loop);

/* Turns the loop until `is_true`, or the deadline; returns what `is_true` said last. */
bool loop_until(struct loop *loop, bool (*is_true)(void *ctx), void *ctx);

/* Turns the loop for so long. */
void loop_for(struct loop *loop, int ms);

uint64_t loop_count(struct loop *loop, enum announcer_metric id);

/* A speaker with one peer. */
struct node {
	struct loop *loop;
	struct announcer_bgp config;
	struct announcer_peer peer;
	struct address listen;
	char description[ADDRESS_TEXT_MAX];
	char message[32];
	struct bfd *bfd;
	struct speaker *speaker;
};

/* A port that is free on `host`, a literal, for now. */
unsigned short fixture_find_port(const char *host);

/* The address of `host` and `port`. */
struct address fixture_address(const char *host, unsigned short port);

/*
 * Sets up a speaker with AS `as` and this router ID that listens on `listen` and has one peer,
 * which it connects to from `listen`'s host. The test may change the configuration before
 * node_start.
 */
void node_init(struct node *node, struct loop *loop, uint32_t as, uint32_t router_id,
	       struct address listen, uint32_t peer_as, struct address peer);
void node_start(struct node *node);
void node_stop(struct node *node);

struct peer_status node_status(const struct node *node);

/* Announces the prefixes of a list that ends with NULL. */
void node_announce(struct node *node, const char *const *prefixes);

/* For loop_until: ctx is a struct node. */
bool node_is_established(void *ctx);

/* --- a raw peer ------------------------------------------------------------------------------- */

struct raw {
	struct loop *loop;
	int fd;
	size_t size; /* octets of `data` that are there */
	uint8_t data[8192];
	bool ended; /* the other side has closed */
};

/* A socket that listens; -1 never: the test ends. */
int raw_listen(const struct address *address);

/* Takes the next connection, turning the loop until it is there. */
void raw_accept(struct raw *raw, struct loop *loop, int listener);

/* Connects from `source`; the loop is not turned. `set_up`, may be NULL, is called before. */
void raw_connect(struct raw *raw, struct loop *loop, const char *source, const struct address *to,
		 void (*set_up)(int fd));
void raw_close(struct raw *raw);
void raw_send(struct raw *raw, const void *data, size_t size);

/* An OPEN of version 4 without capabilities, hold time 90. */
void raw_send_open(struct raw *raw, uint16_t as, uint32_t router_id);
void raw_send_keepalive(struct raw *raw);

/*
 * Takes the next message into `out` (4096 octets), turning the loop until it is there; returns its
 * type, or 0 when the connection has ended.
 */
int raw_receive(struct raw *raw, uint8_t *out);

/* The same without turning the loop: 0 also when there is none yet. */
int raw_receive_now(struct raw *raw, uint8_t *out);

/* Takes messages until one of that type has come. False when the connection ended before. */
bool raw_expect(struct raw *raw, int type, uint8_t *out);

/* True when a NOTIFICATION with these codes comes next, other messages passed over. */
bool raw_expect_notification(struct raw *raw, uint8_t code, uint8_t subcode);

/* Turns the loop until the connection has ended; false when it does not. */
bool raw_expect_end(struct raw *raw);

/* --- a speaker and a raw peer ----------------------------------------------------------------- */

/* A speaker of AS 64512 whose peer, 127.0.0.2 of AS 64513, is the test. */
struct lab {
	struct loop loop;
	struct node node;
	struct address there; /* where the speaker looks for its peer */
	int listener;
};

/* The test may change the configuration before node_start; lab_start does both. */
void lab_init(struct lab *lab);
void lab_start(struct lab *lab);
void lab_stop(struct lab *lab);

/* Brings a raw connection to Established; its identifier is `id`. */
void lab_establish(struct lab *lab, struct raw *raw, uint32_t id);

#endif
