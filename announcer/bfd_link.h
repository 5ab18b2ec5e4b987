/*
 * One BFD session at work: its state machine, the socket it sends from, its counters and its log
 * lines. For bfd.c, which holds its lock around every call.
 *
 * A socket that cannot be had, or does not send (the interface is gone, the address is not there
 * yet), is opened again every quarter of a second; the session goes on meanwhile, and goes down by
 * its own rules.
 */
#ifndef GODWIT_ANNOUNCER_BFD_LINK_H
#define GODWIT_ANNOUNCER_BFD_LINK_H

#include "announcer/bfd.h"
#include "announcer/bfd_report.h"
#include "announcer/bfd_session.h"

/* Each has source ports of its own to choose from: 64 of the 16384 that there are. */
#define BFD_LINKS_MAX 256

/* Lines of one kind that may follow each other at once; then one a second. */
#define BFD_LINK_BURST 12

struct bfd_link {
	struct bfd *bfd;
	struct bfd_options options;
	char peer[BFD_PEER_TEXT_MAX];
	struct bfd_session session;
	struct bfd_reporter *reporter;

	unsigned int number;    /* of the links, from 0 */
	unsigned int interface; /* index of the one packets come in by; 0: any */
	uint16_t port;          /* to send to */
	uint16_t source_port;   /* kept when the socket is opened again, if it can be */
	int fd;                 /* -1: none */
	int64_t broken_us;      /* since when nothing could be sent; 0: it can */
	int64_t reopen_us;      /* not before this */

	uint64_t sent;
	uint64_t send_failures;
	uint64_t received;
	uint64_t dropped;
	uint64_t ups;
	uint64_t downs;

	unsigned int lines;  /* that may be logged now */
	int64_t lines_us;    /* when the last was added */
	uint64_t suppressed; /* lines held back */
	struct log_limit drop_limit;
	struct log_limit send_limit;
};

/* A link with a session that begins at once. NULL: out of memory. */
struct bfd_link *bfd_link_create(const struct bfd_options *options, uint32_t discriminator,
				 unsigned int number, uint16_t port, struct bfd_reporter *reporter);
void bfd_link_destroy(struct bfd_link *link);

/* A good packet for it. True when the state has changed. */
bool bfd_link_receive(struct bfd_link *link, const struct bfd_packet *packet, int64_t now_us);

/* A packet from its peer that is not good, and why. */
void bfd_link_drop(struct bfd_link *link, const char *reason);

/* Judges the time, then sends what is due. True when the state has changed. */
bool bfd_link_run(struct bfd_link *link, int64_t now_us, int64_t late_us);

/* Tells the peer that we are administratively down. */
void bfd_link_say_farewell(struct bfd_link *link, int64_t now_us);

/* Fills `out`. */
void bfd_link_read_status(const struct bfd_link *link, struct bfd_status *out);

#endif
