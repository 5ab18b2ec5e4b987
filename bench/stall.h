/*
 * Where the octets of a silent connection are. Whether a server does not answer or the generator
 * does not look can only be told while it lasts, from what waits unread or unsent on either side.
 */
#ifndef GODWIT_BENCH_STALL_H
#define GODWIT_BENCH_STALL_H

#include "bench/lane.h"

#include <stdint.h>

/*
 * Writes one line on standard error: what lane `number`, silent for `silence_ns`, has unsent and
 * unread, and by TCP what the server has, if its socket is on this machine (/proc/net/tcp). Octets
 * that the server has not read are its fault, those that are unread here the generator's; none
 * anywhere means that the server has taken the queries and not answered.
 */
void stall_tell(const struct lane *lane, unsigned int number, int64_t silence_ns);

#endif
