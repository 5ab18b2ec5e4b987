/* The limits on a peer's lines; see the header. */
#include "announcer/peer_report.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <string.h>

bool peer_report_pass(struct peer_report *report, const char *cause, int64_t now_ms,
		      uint64_t *suppressed)
{
	bool first = report->cause[0] == '\0';
	bool same = !first && strncmp(report->cause, cause, sizeof(report->cause) - 1) == 0;
	int64_t pause_ms = same ? PEER_REPORT_SAME_MS : PEER_REPORT_NEW_MS;
	if (!first && now_ms - report->last_ms < pause_ms) {
		report->suppressed++;
		return false;
	}
	*suppressed = report->suppressed;
	report->suppressed = 0;
	report->last_ms = now_ms;
	snprintf(report->cause, sizeof(report->cause), "%s", cause);
	return true;
}

void peer_report_failure(struct peer_report *report, const char *peer, const char *cause)
{
	uint64_t suppressed = 0;
	if (peer_report_pass(report, cause, clock_now_ms(), &suppressed))
		log_warning("no BGP session", "peer=%s reason=%s suppressed=%llu", peer, cause,
			    (unsigned long long)suppressed);
}

void peer_report_reset(struct peer_report *report)
{
	memset(report, 0, sizeof(*report));
}
