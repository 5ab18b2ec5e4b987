/*
 * The text of an entry's tokens stands in one buffer, each token followed by a NUL: lexer_join only
 * has to put spaces in place of the NULs. While an entry is being read tokens are offsets, since
 * the buffer may move; they become pointers when it is complete.
 */
#include "ctl/lexer.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_SIZE 65536

/* What lexer_get returns besides octets. */
enum { INPUT_END = -1, INPUT_FAILED = -2 };

struct lexer {
	FILE *file;
	uint64_t bytes_read;
	size_t input_used; /* octets of `input` consumed */
	size_t input_size;
	uint32_t line; /* of the next octet */

	uint32_t open_line;       /* where the outermost open parenthesis stands */
	unsigned int parentheses; /* how many are open */
	char *text;               /* tokens, each with its NUL */
	size_t text_size;
	size_t text_capacity;
	size_t *starts; /* offset of each token in `text` */
	struct lexer_token *tokens;
	size_t token_count;
	size_t token_capacity;

	char *error;
	size_t error_size;
	uint32_t error_line;

	unsigned char input[INPUT_SIZE];
};

struct lexer *lexer_create(FILE *file)
{
	struct lexer *lexer = calloc(1, sizeof(*lexer));
	if (!lexer)
		return NULL;
	lexer->file = file;
	lexer->line = 1;
	return lexer;
}

void lexer_destroy(struct lexer *lexer)
{
	if (!lexer)
		return;
	free(lexer->text);
	free(lexer->starts);
	free(lexer->tokens);
	free(lexer);
}

uint64_t lexer_bytes_read(const struct lexer *lexer)
{
	return lexer->bytes_read;
}

static int lexer_fail(struct lexer *lexer, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int lexer_fail(struct lexer *lexer, uint32_t line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(lexer->error, lexer->error_size, format, args);
	va_end(args);
	lexer->error_line = line;
	return -1;
}

/* Fills the input buffer. Some editors begin a UTF-8 file with a byte order mark: it is skipped. */
static bool lexer_fill(struct lexer *lexer)
{
	bool first = lexer->bytes_read == 0;
	lexer->input_size = fread(lexer->input, 1, INPUT_SIZE, lexer->file);
	lexer->input_used = 0;
	lexer->bytes_read += lexer->input_size;
	if (first && lexer->input_size >= 3 && memcmp(lexer->input, "\xef\xbb\xbf", 3) == 0)
		lexer->input_used = 3;
	return lexer->input_used < lexer->input_size;
}

/* The next octet without taking it, or INPUT_END or INPUT_FAILED. */
static int lexer_peek(struct lexer *lexer)
{
	if (lexer->input_used == lexer->input_size && !lexer_fill(lexer))
		return ferror(lexer->file) ? INPUT_FAILED : INPUT_END;
	return lexer->input[lexer->input_used];
}

static int lexer_get(struct lexer *lexer)
{
	int c = lexer_peek(lexer);
	if (c < 0)
		return c;
	lexer->input_used++;
	if (c == '\n')
		lexer->line++;
	return c;
}

static int lexer_append(struct lexer *lexer, char c)
{
	if (lexer->text_size == lexer->text_capacity) {
		size_t capacity = lexer->text_capacity ? lexer->text_capacity * 2 : 512;
		char *text = realloc(lexer->text, capacity);
		if (!text)
			return lexer_fail(lexer, lexer->line, "out of memory");
		lexer->text = text;
		lexer->text_capacity = capacity;
	}
	if (lexer->text_size == LEXER_ENTRY_MAX)
		return lexer_fail(lexer, lexer->parentheses ? lexer->open_line : lexer->line,
				  "an entry of more than %d octets: look for a missing \")\" or "
				  "line end",
				  LEXER_ENTRY_MAX);
	lexer->text[lexer->text_size++] = c;
	return 0;
}

static int lexer_start_token(struct lexer *lexer)
{
	if (lexer->token_count == lexer->token_capacity) {
		size_t capacity = lexer->token_capacity ? lexer->token_capacity * 2 : 32;
		size_t *starts = realloc(lexer->starts, capacity * sizeof(*starts));
		if (!starts)
			return lexer_fail(lexer, lexer->line, "out of memory");
		lexer->starts = starts;
		struct lexer_token *tokens = realloc(lexer->tokens, capacity * sizeof(*tokens));
		if (!tokens)
			return lexer_fail(lexer, lexer->line, "out of memory");
		lexer->tokens = tokens;
		lexer->token_capacity = capacity;
	}
	lexer->starts[lexer->token_count++] = lexer->text_size;
	return 0;
}

/* Copies a backslash and what it protects; three digits need no care here, they end no token. */
static int lexer_read_escape(struct lexer *lexer)
{
	int c = lexer_get(lexer);
	if (c < 0 || c == '\n' || c == '\r')
		return lexer_fail(lexer, c == '\n' ? lexer->line - 1 : lexer->line,
				  "a backslash at the end of the line: put what it protects behind "
				  "it, or double it");
	if (c == '\0')
		return lexer_fail(lexer, lexer->line, "a NUL octet after a backslash: write \\000");
	if (lexer_append(lexer, '\\'))
		return -1;
	return lexer_append(lexer, (char)c);
}

/* Copies a quoted string with its quotes; the opening one has been taken. */
static int lexer_read_quoted(struct lexer *lexer)
{
	uint32_t line = lexer->line;
	if (lexer_append(lexer, '"'))
		return -1;
	for (;;) {
		int c = lexer_get(lexer);
		if (c == INPUT_END || c == INPUT_FAILED || c == '\n')
			return lexer_fail(lexer, line,
					  "a quoted string is not closed on its line: add the \"");
		if (c == '\0')
			return lexer_fail(lexer, line, "a NUL octet in a string: write \\000");
		if (c == '\\') {
			if (lexer_read_escape(lexer))
				return -1;
			continue;
		}
		if (lexer_append(lexer, (char)c))
			return -1;
		if (c == '"')
			return 0;
	}
}

static bool lexer_ends_token(int c)
{
	return c < 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '(' ||
	       c == ')';
}

/*
 * Reads one token that starts with `c`. A string ends with its quote; elsewhere quotes may stand
 * inside (alpn="h2,h3" of RFC 9460), white space between them belonging to the token.
 */
static int lexer_read_token(struct lexer *lexer, int c)
{
	if (lexer_start_token(lexer))
		return -1;
	if (c == '"') {
		if (lexer_read_quoted(lexer))
			return -1;
		return lexer_append(lexer, '\0');
	}
	for (;;) {
		int status;
		if (c == '\0')
			return lexer_fail(lexer, lexer->line,
					  "a NUL octet: this is not a text file, or write \\000");
		if (c == '\\')
			status = lexer_read_escape(lexer);
		else if (c == '"')
			status = lexer_read_quoted(lexer);
		else
			status = lexer_append(lexer, (char)c);
		if (status)
			return -1;
		if (lexer_ends_token(lexer_peek(lexer)))
			return lexer_append(lexer, '\0');
		c = lexer_get(lexer);
	}
}

static void lexer_skip_comment(struct lexer *lexer)
{
	int c;
	do {
		c = lexer_peek(lexer);
	} while (c >= 0 && c != '\n' && lexer_get(lexer) >= 0);
}

/*
 * Reads tokens up to the line end that closes the entry, which is taken. Returns 1 for a line end,
 * 0 for the end of the file, -1 for an error. `*line` is where the first token stands.
 */
static int lexer_read_tokens(struct lexer *lexer, uint32_t *line)
{
	for (;;) {
		int c = lexer_get(lexer);
		switch (c) {
		case INPUT_FAILED:
			return lexer_fail(lexer, 0, "cannot read: %m");
		case INPUT_END:
			if (lexer->parentheses)
				return lexer_fail(lexer, lexer->open_line,
						  "\"(\" is never closed: add the \")\"");
			return 0;
		case '\n':
			if (lexer->parentheses == 0)
				return 1;
			break;
		case ' ':
		case '\t':
		case '\r':
			break;
		case ';':
			lexer_skip_comment(lexer);
			break;
		case '(':
			if (lexer->parentheses++ == 0)
				lexer->open_line = lexer->line;
			break;
		case ')':
			if (lexer->parentheses == 0)
				return lexer_fail(lexer, lexer->line,
						  "\")\" without a \"(\" before it: take it out");
			lexer->parentheses--;
			break;
		default:
			if (lexer->token_count == 0)
				*line = lexer->line;
			if (lexer_read_token(lexer, c))
				return -1;
		}
	}
}

static void lexer_finish_entry(struct lexer *lexer, struct lexer_entry *entry)
{
	for (size_t i = 0; i < lexer->token_count; i++) {
		size_t end = i + 1 < lexer->token_count ? lexer->starts[i + 1] : lexer->text_size;
		lexer->tokens[i].text = lexer->text + lexer->starts[i];
		lexer->tokens[i].length = end - lexer->starts[i] - 1;
	}
	entry->tokens = lexer->tokens;
	entry->count = lexer->token_count;
}

int lexer_next(struct lexer *lexer, struct lexer_entry *entry, char *error, size_t error_size)
{
	lexer->error = error;
	lexer->error_size = error_size;
	int status;
	do {
		lexer->text_size = 0;
		lexer->token_count = 0;
		lexer->parentheses = 0;
		lexer->open_line = 0;
		int c = lexer_peek(lexer);
		entry->starts_blank = c == ' ' || c == '\t';
		status = lexer_read_tokens(lexer, &entry->line);
	} while (status == 1 && lexer->token_count == 0);
	if (status < 0) {
		entry->line = lexer->error_line;
		return -1;
	}
	if (lexer->token_count == 0)
		return 0;
	lexer_finish_entry(lexer, entry);
	return 1;
}

const char *lexer_join(struct lexer *lexer, size_t first)
{
	if (first >= lexer->token_count)
		return "";
	for (size_t i = first + 1; i < lexer->token_count; i++)
		lexer->text[lexer->starts[i] - 1] = ' ';
	return lexer->text + lexer->starts[first];
}
