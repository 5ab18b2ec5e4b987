/*
 * $GENERATE of BIND: a line that stands for many records, one for each number of a range. This is
 * its arithmetic: the range, and the text with the numbers filled in. What the text means is the
 * zone-file reader's business (ctl/zonefile.h).
 *
 * In a text, "$" is the number, "${OFFSET[,WIDTH[,BASE]]}" the number plus OFFSET, filled with
 * zeros to WIDTH characters, in BASE d (decimal), o (octal), x or X (hexadecimal), n or N (the
 * hexadecimal digits as labels, last digit first, as ip6.arpa wants them; WIDTH counts their dots
 * too). "$$" is a dollar sign; so is "\$", whose backslash stays for who reads the text.
 *
 * Pure; any thread.
 */
#ifndef GODWIT_CTL_GENERATE_H
#define GODWIT_CTL_GENERATE_H

#include <stddef.h>
#include <stdint.h>

#define GENERATE_RECORDS_MAX 1000000 /* numbers in one range */
#define GENERATE_WIDTH_MAX 255       /* characters that a number is filled to at most */
#define GENERATE_TEXT_MAX 4096       /* octets of a filled text, its NUL included */

/* START-STOP[/STEP]: `start`, `start` + `step` and so on, up to `stop` at most. */
struct generate_range {
	uint32_t start;
	uint32_t stop; /* not below start, 2147483647 at most */
	uint32_t step; /* 1 at least */
};

/* Reads a range. 0, or -1 with a reason for a person in `error`. */
int generate_parse_range(const char *text, struct generate_range *range, char *error,
			 size_t error_size);

/* How many numbers a range holds: at least 1. */
uint32_t generate_count(const struct generate_range *range);

/*
 * Writes `text` with `number` filled in into `out`, GENERATE_TEXT_MAX octets. 0, or -1 with a
 * reason for a person in `error`: braces that are wrong, a number below 0, a text too long.
 */
int generate_fill(const char *text, uint32_t number, char *out, char *error, size_t error_size);

#endif
