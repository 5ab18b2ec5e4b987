/*
 * Record types and data between presentation form and wire format, by libldns; unknown types in
 * the form of RFC 3597 (`TYPE65280`, `\# 3 010203`). Any thread. Allocates: not for the hot path.
 */
#ifndef GODWIT_DNS_RDATA_H
#define GODWIT_DNS_RDATA_H

#include "dns/error.h"

#include <stddef.h>
#include <stdint.h>

#define DNS_RDATA_MAX 65535

/*
 * The number of a type mnemonic, case ignored ("AAAA", "TYPE65280"), or DNS_ERROR_BAD_TYPE. Meta
 * types (ANY, AXFR, OPT, ...) have numbers too: see dns_type_is_data.
 */
int dns_type_from_text(const char *text);

/* Room for any type mnemonic. */
#define DNS_TYPE_TEXT_MAX 16

/* Writes the mnemonic, upper case, or "TYPEn". */
void dns_type_to_text(uint16_t type, char *out);

/* True for types a record in a zone can have: not OPT, TSIG, ANY, AXFR and the like. */
int dns_type_is_data(uint16_t type);

/*
 * Reads data in presentation form into uncompressed wire format. Names without a trailing dot are
 * completed with `origin`; NULL means the root. `out` has room for `capacity` octets. Returns the
 * size, or a negative dns_error with a reason for a person in `reason`.
 */
int dns_rdata_from_text(uint16_t type, const char *text, const uint8_t *origin, uint8_t *out,
			size_t capacity, char *reason, size_t reason_size);

/*
 * Writes wire data in presentation form, absolute names, NUL-terminated. Returns the length or
 * DNS_ERROR_NO_SPACE, or DNS_ERROR_BAD_RDATA when the octets are not data of that type.
 */
int dns_rdata_to_text(uint16_t type, const uint8_t *rdata, size_t size, char *out, size_t capacity);

/*
 * Checks octets against the type's layout: all lengths right, names uncompressed and whole, nothing
 * left over. Types without a known layout pass. 0 or DNS_ERROR_BAD_RDATA. No allocation.
 */
int dns_rdata_check(uint16_t type, const uint8_t *rdata, size_t size);

/*
 * Where the first domain name stands inside the data of types that lead to other names: NS, CNAME,
 * DNAME, PTR, MX, SRV, SVCB/HTTPS, ...: an offset in octets, or -1. No allocation.
 */
int dns_rdata_find_name(uint16_t type);

#endif
