/*
 * Log lines about single queries, when `log.queries` asks for them: `errors` logs those answered
 * SERVFAIL, FORMERR, NOTIMP or BADVERS, `all` every one. At most QUERY_LOG_PER_SECOND lines a
 * second and worker are written; how many more there would have been stands in the next second's
 * first line as `suppressed`. One thread.
 */
#ifndef GODWIT_FRONTEND_QUERY_LOG_H
#define GODWIT_FRONTEND_QUERY_LOG_H

#include "frontend/config.h"
#include "frontend/query.h"

#define QUERY_LOG_PER_SECOND 200

struct query_log {
	enum frontend_query_log mode;
	int64_t second; /* the one that `lines` counts */
	unsigned int lines;
	unsigned long long suppressed;
};

void query_log_init(struct query_log *log, enum frontend_query_log mode);

/* Logs a query that has been answered, if it is to be logged. */
void query_log_reply(struct query_log *log, const struct query *query, const uint8_t *reply,
		     size_t size);

#endif
