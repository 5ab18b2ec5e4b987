/*
 * What the load generator asks: queries made from a pattern, or read from a file.
 *
 * A pattern is a domain name in which a run of "#" stands for a number below `names`, with leading
 * zeros, and a run of "?" for random hexadecimal digits: "h#######.example.com" asks for names that
 * are there, "x????????????.example.com" for names nobody has. All queries of a pattern are of one
 * size. A file has one "NAME TYPE" a line, as dnsperf's files do.
 *
 * Names are chosen at random, evenly. questions_write is the hot path: it copies and allocates
 * nothing. One thread.
 */
#ifndef GODWIT_BENCH_QUESTIONS_H
#define GODWIT_BENCH_QUESTIONS_H

#include <stddef.h>
#include <stdint.h>

#define QUESTIONS_SIZE_MAX 320 /* octets of the longest query */
#define QUESTIONS_TYPES_MAX 8

struct questions;

struct questions_options {
	const char *pattern;
	const char *file; /* in place of a pattern */
	uint64_t names;
	uint16_t types[QUESTIONS_TYPES_MAX]; /* of a pattern's names, chosen at random */
	unsigned int type_count;
	uint16_t edns_size; /* 0: no OPT record */
	uint64_t seed;
};

/* NULL with a reason in `error`. */
struct questions *questions_create(const struct questions_options *options, char *error,
				   size_t error_size);
void questions_destroy(struct questions *questions);

/* Writes one query with that ID and returns its octets, at most QUESTIONS_SIZE_MAX. */
size_t questions_write(struct questions *questions, uint16_t id, uint8_t *out);

#endif
