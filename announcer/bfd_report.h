/*
 * Log lines of the BFD thread, written by another one.
 *
 * The logger does not wait for a pipe that nobody empties, but a file on a disk that stalls it does
 * wait for, and threads of lower priority that hold its lock. The BFD thread must not: its peers
 * would take us for dead. So it puts what it has to say into a short queue, and a thread that may
 * wait writes the lines. A full queue loses the new ones, and says how many with the next that
 * fits.
 */
#ifndef GODWIT_ANNOUNCER_BFD_REPORT_H
#define GODWIT_ANNOUNCER_BFD_REPORT_H

#include "announcer/bfd.h"
#include "common/log.h"

#include <stdbool.h>
#include <stdint.h>

#define BFD_PEER_TEXT_MAX 64 /* an address, '%', an interface, NUL */
#define BFD_REASON_MAX 160

/* One line. */
struct bfd_report {
	enum log_level level;
	const char *event; /* in plain words; a literal */
	char peer[BFD_PEER_TEXT_MAX];
	char reason[BFD_REASON_MAX];
	bool has_states; /* the next four are told */
	enum bfd_state state;
	enum bfd_state remote_state;
	uint8_t diagnostic;
	uint8_t remote_diagnostic;
	uint64_t suppressed; /* lines of this kind held back before it */
};

struct bfd_reporter;

/* Starts the thread. NULL: out of memory or threads. */
struct bfd_reporter *bfd_reporter_start(void);

/* Writes what is queued, ends the thread, frees all. NULL is allowed. */
void bfd_reporter_stop(struct bfd_reporter *reporter);

/* Queues a copy. Any thread; never waits for a line to be written. */
void bfd_report(struct bfd_reporter *reporter, const struct bfd_report *report);

#endif
