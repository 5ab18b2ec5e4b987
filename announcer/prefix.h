/*
 * An IP prefix: the anycast address that is announced, with its length.
 */
#ifndef GODWIT_ANNOUNCER_PREFIX_H
#define GODWIT_ANNOUNCER_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text prefix_format writes, its NUL included. */
#define PREFIX_TEXT_MAX 52

struct prefix {
	int family;          /* AF_INET or AF_INET6 */
	uint8_t length;      /* bits: at most 32 or 128 */
	uint8_t address[16]; /* network order; the first 4 octets for AF_INET; the rest zero */
};

/*
 * Reads "192.0.2.53/32" or "2001:db8::53/128"; without a length it is a host's. Bits set behind the
 * length are an error. Returns 0, or -1 with a reason for a person.
 */
int prefix_parse(const char *text, struct prefix *out, char *error, size_t error_size);

/* Writes what prefix_parse reads, the length always with it. Returns `out`. */
char *prefix_format(const struct prefix *prefix, char out[PREFIX_TEXT_MAX]);

bool prefix_equal(const struct prefix *a, const struct prefix *b);

/* True for a single host's: /32, /128. */
bool prefix_is_host(const struct prefix *prefix);

#endif
