/*
 * The lexical layer of a master file (RFC 1035 section 5.1): octets in, entries out.
 *
 * An entry is a line, or several joined by parentheses, cut into tokens. Comments are gone, line
 * ends and parentheses have done their work; quotes and backslash escapes are left in the tokens,
 * because what they mean depends on what the token is (a name, a string, a path). Input is trusted
 * with nothing: an entry has a largest size, and whatever cannot be right is an error with its
 * line. One thread at a time per lexer.
 */
#ifndef GODWIT_CTL_LEXER_H
#define GODWIT_CTL_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Octets of one entry at most, comments not counted: any record fits, its data being 65535 octets
 * of four characters each at the very worst, and an unclosed parenthesis is noticed in good time.
 */
#define LEXER_ENTRY_MAX (1024 * 1024)

struct lexer;

struct lexer_token {
	const char *text; /* NUL-terminated, quotes and escapes as written */
	size_t length;
};

/* One entry. Lives until the next lexer_next. */
struct lexer_entry {
	struct lexer_token *tokens; /* the lexer's */
	size_t count;               /* at least 1 */
	uint32_t line;              /* of the first token, from 1 */
	bool starts_blank;          /* begins with white space: the owner is the previous one */
};

/* Reads from `file`, which stays the caller's. NULL when there is no memory. */
struct lexer *lexer_create(FILE *file);
/* NULL is allowed. */
void lexer_destroy(struct lexer *lexer);

/*
 * Reads the next entry that has tokens. Returns 1; 0 at the end of the file; -1 with a reason for a
 * person in `error` and the line it is about in `entry->line` (0: the file as a whole).
 */
int lexer_next(struct lexer *lexer, struct lexer_entry *entry, char *error, size_t error_size);

/*
 * The last entry's tokens from `first` to the end as one string with single spaces between,
 * NUL-terminated: record data as it would stand on one line. Costs next to nothing; of the tokens
 * joined only the last still ends with a NUL.
 */
const char *lexer_join(struct lexer *lexer, size_t first);

/* Octets of the file read so far. */
uint64_t lexer_bytes_read(const struct lexer *lexer);

#endif
