/* A zone's serial, raised with each change of the zone. */
#ifndef GODWIT_CTL_SERIAL_H
#define GODWIT_CTL_SERIAL_H

#include "ctl/store.h"

enum serial_result { SERIAL_RAISED = 0, SERIAL_NO_SOA = 1, SERIAL_FAILED = -1 };

/*
 * Adds one to the serial of the zone, around its end (RFC 1982 section 3.1). Inside a transaction.
 * Prints nothing: SERIAL_FAILED comes with the line in `writer->error`. A zone without an SOA that
 * parses has no serial: nothing is written.
 */
enum serial_result serial_raise(struct storage *storage, struct store_writer *writer,
				const char *apex);

#endif
