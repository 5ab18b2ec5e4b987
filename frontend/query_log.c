/* Optional, rate-limited lines about single queries. */
#include "frontend/query_log.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"
#include "dns/reply.h"

#include <stdio.h>

void query_log_init(struct query_log *log, enum frontend_query_log mode)
{
	*log = (struct query_log){.mode = mode};
}

static bool query_log_is_error(int rcode)
{
	return rcode == DNS_RCODE_FORMERR || rcode == DNS_RCODE_SERVFAIL ||
	       rcode == DNS_RCODE_NOTIMP || rcode == DNS_RCODE_BADVERS;
}

static bool query_log_may_write(struct query_log *log, int64_t now_ns)
{
	int64_t second = now_ns / 1000000000;
	if (second != log->second) {
		log->second = second;
		log->lines = 0;
	}
	if (log->lines < QUERY_LOG_PER_SECOND) {
		log->lines++;
		return true;
	}
	log->suppressed++;
	return false;
}

static void query_log_write(struct query_log *log, const struct query *query, int rcode,
			    size_t size, int64_t now_ns)
{
	char client[ADDRESS_TEXT_MAX];
	char name[DNS_NAME_TEXT_MAX] = "?";
	char type[DNS_TYPE_TEXT_MAX] = "?";
	query->transport->format_client(query, client, sizeof(client));
	if (query->dns.qname) {
		dns_name_to_text(query->dns.qname, name);
		dns_type_to_text(query->dns.qtype, type);
	}
	double milliseconds = (double)(now_ns - query->received_ns) / 1e6;
	if (log->suppressed == 0)
		log_info("query",
			 "client=%s protocol=%s name=%s type=%s rcode=%d size=%zu "
			 "duration_ms=%.3f attempts=%u",
			 client, query->transport->name, name, type, rcode, size, milliseconds,
			 query->attempt);
	else
		log_info("query",
			 "client=%s protocol=%s name=%s type=%s rcode=%d size=%zu "
			 "duration_ms=%.3f attempts=%u suppressed=%llu",
			 client, query->transport->name, name, type, rcode, size, milliseconds,
			 query->attempt, log->suppressed);
	log->suppressed = 0;
}

void query_log_reply(struct query_log *log, const struct query *query, const uint8_t *reply,
		     size_t size)
{
	if (log->mode == FRONTEND_QUERY_LOG_NONE)
		return;
	int rcode = dns_reply_rcode(reply, size);
	if (log->mode == FRONTEND_QUERY_LOG_ERRORS && !query_log_is_error(rcode))
		return;
	int64_t now_ns = clock_now_ns();
	if (query_log_may_write(log, now_ns))
		query_log_write(log, query, rcode, size, now_ns);
}
