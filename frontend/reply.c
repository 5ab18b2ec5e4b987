/* Truncation and counting of replies. */
#include "frontend/reply.h"

#include "dns/protocol.h"
#include "dns/reply.h"

size_t reply_fit(const struct frontend_config *config, struct metrics_shard *shard,
		 const struct dns_query *dns, uint8_t *reply, size_t size)
{
	size_t limit = dns_reply_udp_limit(dns, config->limits.udp_payload);
	if (size <= limit)
		return size;
	size = dns_reply_truncate(reply, size, limit);
	if (dns_get16(reply + 2) & DNS_FLAG_TC)
		metrics_add(shard, FRONTEND_TRUNCATED, 1);
	return size;
}

size_t reply_prepare(const struct frontend_config *config, struct metrics_shard *shard,
		     const struct query *query, uint8_t *reply, size_t size)
{
	dns_reply_set_payload(reply, size, config->limits.udp_payload);
	if (query->transport->datagram)
		size = reply_fit(config, shard, &query->dns, reply, size);
	metrics_add(shard, metrics_of_rcode(dns_reply_rcode(reply, size)), 1);
	return size;
}
