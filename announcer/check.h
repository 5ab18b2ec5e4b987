/*
 * When a row of good and bad results means "up" and when "down": rise and fall, silence, and how
 * soon to look again. Pure.
 *
 * A check begins down and unknown. `rise` good results in a row bring it up, `fall` failures in a
 * row down. While the last result disagrees with the state, or a question of an up check has not
 * been answered when the next one could come, the state is in doubt and the fast interval counts:
 * so that by the time the first question has run out of time, several others have too.
 *
 * They need not all run out. DNS answers in about the order it is asked in: when a question is not
 * answered in time, and none asked after it was answered either, those are as good as lost. All of
 * them that have waited for at least a fast interval count as failures together with it. So silence
 * counts as soon as the first question's timeout is over and `fall` have been asked - within one
 * interval and one timeout of the last answer, 700 ms with the defaults -, while DNS that answers
 * everything in time, however close to the timeout, is never called down, nor is DNS that loses
 * fewer than `fall` questions in a row.
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
	unsigned int row; /* results equal to the last one, in a row; 0: none yet */
};

void check_init(struct check *check, unsigned int rise, unsigned int fall, int interval_ms,
		int fast_interval_ms);

/* Counts a result. Returns true when `up` has changed. */
bool check_add(struct check *check, bool good);

/*
 * True while the last result disagrees with the state or there is none yet; or the check is up and
 * questions are `waiting` for their answers.
 */
bool check_in_doubt(const struct check *check, bool waiting);

/*
 * Milliseconds from the start of the last probe to the start of the next; with up to a tenth taken
 * off by `random`, so that many announcers do not ask in step. At least 1.
 */
int check_next_ms(const struct check *check, bool waiting, uint32_t random);

/*
 * Whether a question that was asked `age_ms` ago counts as failed along with an older one that has
 * run out of time, nothing having been answered since.
 */
bool check_is_silence(const struct check *check, int64_t age_ms);

#endif
