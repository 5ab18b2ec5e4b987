/*
 * When a row of good and bad results means "up" and when "down": rise and fall, and how soon to
 * look again. Pure.
 *
 * A check begins down and unknown. `rise` good results in a row bring it up, `fall` failures in a
 * row down. While the last result disagrees with the state, the state is in doubt and the fast
 * interval counts.
 */
#ifndef GODWIT_ANNOUNCER_CHECK_H
#define GODWIT_ANNOUNCER_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct check {
	unsigned int rise;
	unsigned int fall;
	int interval_ms;
	int fast_interval_ms;
	bool up;
	bool last_good;
	unsigned int row; /* results equal to the last one, in a row */
};

void check_init(struct check *check, unsigned int rise, unsigned int fall, int interval_ms,
		int fast_interval_ms);

/* Counts a result. Returns true when `up` has changed. */
bool check_add(struct check *check, bool good);

/* True while the last result disagrees with the state, or a down check has not failed yet. */
bool check_in_doubt(const struct check *check);

/*
 * Milliseconds from the start of the last probe to the start of the next; with up to a tenth taken
 * off by `random`, so that many announcers do not ask in step.
 */
int check_next_ms(const struct check *check, uint32_t random);

#endif
