/*
 * A progress bar for people: one line on standard error, drawn over and over, only when that is a
 * terminal. One thread.
 */
#ifndef GODWIT_CTL_PROGRESS_H
#define GODWIT_CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;       /* standard error is a terminal */
	bool drawn;       /* a line stands there */
	int64_t begin_ms; /* of this phase */
	int64_t next_ms;  /* not to be drawn before */
	const char *phase;
	uint64_t first_records; /* the count when the phase began */
};

void progress_init(struct progress *progress);

/*
 * Says how far it is: `done` of `total` of whatever (0: nobody knows, and there is no bar), and the
 * records so far, for the rate since the phase began ("reading", "writing": a string constant).
 * Cheap; call for every record.
 */
void progress_update(struct progress *progress, const char *phase, uint64_t done, uint64_t total,
		     uint64_t records);

/* Says what goes on while nobody can say how far it is. */
void progress_say(struct progress *progress, const char *text);

/* Takes the line away. */
void progress_clear(struct progress *progress);

#endif
