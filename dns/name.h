/*
 * Domain names in wire format (RFC 1035 section 3.1): a sequence of labels, each one length octet
 * and 1 to 63 octets, ended by the root's zero octet; 255 octets in all at most.
 *
 * Functions that take bytes of a message (`_parse`, `_skip`) trust nothing. All others take names
 * that came out of them, uncompressed and whole, and never check again. Comparison ignores the
 * case of ASCII letters only (RFC 4343); every function keeps the case it is given unless its name
 * says otherwise. Pure functions: any thread, no allocation.
 */
#ifndef GODWIT_DNS_NAME_H
#define GODWIT_DNS_NAME_H

#include "dns/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_NAME_MAX 255   /* octets of a name in wire format, the root label included */
#define DNS_LABEL_MAX 63   /* octets of one label */
#define DNS_LABELS_MAX 127 /* labels of a name, the root not counted */

/* Room for any name in presentation form with its NUL: each octet as \DDD at worst. */
#define DNS_NAME_TEXT_MAX 1025

/*
 * Reads the name at `*offset` of a message, following compression pointers (RFC 1035 section
 * 4.1.4), into `out` (DNS_NAME_MAX octets), and moves `*offset` past it. A pointer must point
 * before the place where the part it ends began, which rules out loops and forward pointers.
 * Returns the name's size in octets or a negative dns_error.
 */
int dns_name_parse(const uint8_t *message, size_t size, size_t *offset, uint8_t *out);

/* Moves `*offset` past a name without reading it: checks lengths, not where a pointer leads. */
int dns_name_skip(const uint8_t *message, size_t size, size_t *offset);

/*
 * Reads presentation form (RFC 1035 section 5.1: `\.` and `\DDD` escapes) of `length` octets into
 * `out`. A name without a trailing dot is completed with `origin`; NULL means the root. "@" is the
 * origin itself. Returns the size in octets or a negative dns_error.
 */
int dns_name_from_text(const char *text, size_t length, const uint8_t *origin, uint8_t *out);

/*
 * Writes presentation form with a trailing dot and a NUL into `out`, DNS_NAME_TEXT_MAX octets.
 * Returns the length without the NUL.
 */
size_t dns_name_to_text(const uint8_t *name, char *out);

/* Octets of a name, its root label included: 1 for the root. */
size_t dns_name_size(const uint8_t *name);

/* Labels of a name, the root not counted. */
unsigned int dns_name_count_labels(const uint8_t *name);

/*
 * Fills `offsets` (DNS_LABELS_MAX entries) with where each label's length octet stands, first
 * label first, and returns their number: name + offsets[i] is the suffix that starts at label i.
 */
unsigned int dns_name_find_labels(const uint8_t *name, uint8_t *offsets);

/* Same name, case ignored. */
bool dns_name_equal(const uint8_t *a, const uint8_t *b);

/* `name` is `apex` or below it. */
bool dns_name_is_within(const uint8_t *name, const uint8_t *apex);

/* Copies a name, letters made lower case, into `out`; returns its size. `out` may be `name`. */
size_t dns_name_copy_lower(const uint8_t *name, uint8_t *out);

/*
 * DNAME's substitution (RFC 6672 section 2.2): `name`, which ends in `from`, with that end replaced
 * by `to`, into `out`. Returns the size or DNS_ERROR_NAME_TOO_LONG.
 */
int dns_name_replace_suffix(const uint8_t *name, const uint8_t *from, const uint8_t *to,
			    uint8_t *out);

/* Lower case of one octet, ASCII letters only. */
static inline uint8_t dns_lower(uint8_t octet)
{
	return (uint8_t)(octet - 'A') < 26 ? octet | 0x20 : octet;
}

#endif
