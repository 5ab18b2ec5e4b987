/* The last steps of every reply before it leaves. */
#ifndef GODWIT_FRONTEND_REPLY_H
#define GODWIT_FRONTEND_REPLY_H

#include "frontend/config.h"
#include "frontend/metrics.h"
#include "frontend/query.h"

/*
 * Makes a datagram's reply fit the client's payload size and ours (RFC 6891 section 6.2.3, RFC 2181
 * section 9), in place, and counts it if that truncates it. Returns its size. Hot path.
 */
size_t reply_fit(const struct frontend_config *config, struct metrics_shard *shard,
		 const struct dns_query *dns, uint8_t *reply, size_t size);

/*
 * Makes a reply ready for its transport, in place: our own UDP payload size in its OPT record, and
 * on datagrams reply_fit. Counts it. Returns its size, which may be smaller. Hot path.
 */
size_t reply_prepare(const struct frontend_config *config, struct metrics_shard *shard,
		     const struct query *query, uint8_t *reply, size_t size);

#endif
