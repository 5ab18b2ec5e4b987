/*
 * A witness of a history: what a follower has seen of godwit_changes lately, summed up, by which it
 * recognises after an outage that a server still has it.
 *
 * It covers the rows from `first` to the newest one seen; the numbers missing among them are the
 * caller's (mysql_gaps.h). Pure. Any thread.
 */
#ifndef GODWIT_STORAGE_MYSQL_WITNESS_H
#define GODWIT_STORAGE_MYSQL_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

struct mysql_witness {
	uint64_t first; /* the lowest number covered */
	uint64_t count; /* of rows; 0: nothing is known */
	uint64_t sum;   /* of their hashes: the order does not matter */
};

/* Adds a row that was seen: its number and when it was written, as text. */
void mysql_witness_add(struct mysql_witness *witness, uint64_t seq, const char *at);

/* True when both saw the same rows. False when either saw nothing. */
bool mysql_witness_equal(const struct mysql_witness *a, const struct mysql_witness *b);

#endif
