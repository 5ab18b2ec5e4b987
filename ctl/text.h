/* Names and messages as godwitctl takes and gives them. Any thread, but for the messages. */
#ifndef GODWIT_CTL_TEXT_H
#define GODWIT_CTL_TEXT_H

#include <stdint.h>
#include <stdio.h>

/*
 * Prints one line on standard error, control characters replaced so that nothing a file holds can
 * play with the terminal. Returns 1, the exit code of a failed command.
 */
int text_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line, as text_fail does; nothing has failed. */
void text_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Replaces control characters, so that the text cannot play with the terminal. */
void text_tame(char *text);

/*
 * Reads a name that a person gave, absolute with or without the trailing dot, into `out`
 * (DNS_NAME_MAX octets). 0, or -1 after text_fail; `what` says which name ("zone").
 */
int text_read_name(const char *text, const char *what, uint8_t *out);

/*
 * Writes a wire name as the store has it (storage/storage.h): lower case, no trailing dot, the root
 * ".". `out` has DNS_NAME_TEXT_MAX octets.
 */
void text_store_name(const uint8_t *name, char *out);

/*
 * Writes a name relative to `apex`, which it must be within: "www", "@" for the apex itself. A
 * master file reads it back. `out` has DNS_NAME_TEXT_MAX octets.
 */
void text_relative_name(const uint8_t *name, const uint8_t *apex, char *out);

/*
 * Writes a JSON string, quotes included. Octets outside of ASCII become \DDD first, as in a master
 * file: the same data, and always valid JSON.
 */
void text_print_json(FILE *out, const char *text);

#endif
