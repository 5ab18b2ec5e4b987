/* A zone's name out of the name of the file it stands in. Pure; any thread. */
#ifndef GODWIT_CTL_ORIGIN_H
#define GODWIT_CTL_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Takes the directory, a leading "db." and a trailing ".zone", ".db" or ".txt" off `path`; what is
 * left must look like a domain name: letters, digits, "-" and "_" in labels, and two labels at
 * least unless there was such a beginning or ending. Writes it into `origin` (DNS_NAME_MAX octets,
 * wire format); false if there is none.
 */
bool origin_from_path(const char *path, uint8_t *origin);

#endif
