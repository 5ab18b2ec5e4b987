/*
 * Which numbers of godwit_changes were seen, when they do not come in order.
 *
 * A number is given out when a change is written and becomes visible when its transaction commits.
 * So while 8 is seen, 7 may still be on its way - for an hour, or for ever, when its transaction
 * was rolled back. What is missing below the highest number seen is remembered here, as ranges: a
 * follower asks for them again each time it looks, and closes those it knows nobody will fill.
 *
 * Pure but for memory. One thread at a time.
 */
#ifndef GODWIT_STORAGE_MYSQL_GAPS_H
#define GODWIT_STORAGE_MYSQL_GAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many ranges are remembered; 24 octets each. */
#define MYSQL_GAPS_MAX 65536

struct mysql_gap {
	uint64_t first; /* and `last` included */
	uint64_t last;
	int64_t since_ms; /* when it was noticed, by the caller's clock */
};

struct mysql_gaps {
	struct mysql_gap *list; /* ascending, apart from each other, all below `next` */
	size_t count;
	size_t capacity;
	uint64_t next; /* one more than the highest number seen */
};

enum mysql_gaps_result {
	MYSQL_GAPS_NEW,   /* the number was not seen before; now it was */
	MYSQL_GAPS_KNOWN, /* it was seen before, closed, or lies before the start */
	MYSQL_GAPS_FULL,  /* more ranges than are remembered, or no memory: nothing was noted */
};

/* Begins anew: nothing below `next` is missing. Starts with zeroes or from any earlier state. */
void mysql_gaps_start(struct mysql_gaps *gaps, uint64_t next);

/* Frees the memory; the same as zeroes afterwards. */
void mysql_gaps_clear(struct mysql_gaps *gaps);

/* Makes `to`, zeroes or any earlier state, the same as `from`. False, and no change: no memory. */
bool mysql_gaps_copy(struct mysql_gaps *to, const struct mysql_gaps *from);

/* Notes that a number was seen, at `now_ms`. */
enum mysql_gaps_result mysql_gaps_see(struct mysql_gaps *gaps, uint64_t number, int64_t now_ms);

/*
 * How many ranges were noticed no later than `since_ms`. They are the first ones: what is noticed
 * later is about higher numbers.
 */
size_t mysql_gaps_count_older(const struct mysql_gaps *gaps, int64_t since_ms);

/* The index of the first range that does not end before `number`. */
size_t mysql_gaps_find(const struct mysql_gaps *gaps, uint64_t number);

/* Forgets the ranges from index `first` up to `end`: their numbers will never be seen. */
void mysql_gaps_close(struct mysql_gaps *gaps, size_t first, size_t end);

#endif
