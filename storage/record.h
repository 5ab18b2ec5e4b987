/*
 * Stored text into wire format: what every reader of a store does with a record, so that the
 * backend serves exactly what godwitctl would accept. Any thread. Allocates little.
 */
#ifndef GODWIT_STORAGE_RECORD_H
#define GODWIT_STORAGE_RECORD_H

#include "storage/storage.h"

/*
 * Parses one stored record: its type into `*type`, its data as uncompressed wire format into
 * `rdata` (`capacity` octets). Names without a trailing dot are absolute. Two conventions of
 * PowerDNS are understood besides: an SOA with fields missing from the end gets PowerDNS's defaults
 * (refresh 10800, retry 3600, expire 604800, minimum 3600), and "@" in its mailbox means the first
 * dot. Returns the size, or a negative dns_error with a reason for a person in `reason`.
 */
int storage_record_parse(const struct storage_record *record, uint16_t *type, uint8_t *rdata,
			 size_t capacity, char *reason, size_t reason_size);

#endif
