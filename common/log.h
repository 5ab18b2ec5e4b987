/*
 * Structured log lines on standard error, one event a line.
 *
 * A line is an event in plain words and fields: `log_info("store opened", "url=%s zones=%zu", url,
 * n)` prints, as logfmt,
 *
 *     time=2026-01-02T03:04:05.678Z level=info msg="store opened" url=sqlite:godwit.db zones=3
 *
 * and the same as one JSON object when the format says so. The field string is `key=%conversion`
 * pairs with single spaces between; values are quoted and escaped by the logger, never by the
 * caller. Any thread may log; a line is written with one write(2), so lines never mix. Nobody waits
 * for standard error: what it does not take at once is lost, counted, and told of later. Nothing on
 * the query hot path logs.
 */
#ifndef GODWIT_COMMON_LOG_H
#define GODWIT_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* Sets the level and format of all lines from now on. Any thread. Before it: info, logfmt. */
void log_setup(enum log_level level, enum log_format format);

/* True when a line of this level would be written. */
bool log_enabled(enum log_level level);

/* Lines that were lost since the start. Any thread. */
uint64_t log_lines_lost(void);

/* Writes one line. `fields` may be NULL. Use the macros below. */
void log_write(enum log_level level, const char *event, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * State of a rate limit: at most one line per `interval_ms` passes; how many were held back is
 * added to the next one as `suppressed=N`. Zero-initialise and keep one per place (static).
 * Any thread.
 */
struct log_limit {
	_Atomic int64_t next_ms;
	_Atomic uint64_t suppressed;
};

/* True when the line may pass now; `*suppressed` is then how many did not since the last. */
bool log_limit_pass(struct log_limit *limit, int64_t interval_ms, uint64_t *suppressed);

#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_write(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...) log_write(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_write(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/*
 * A warning at most once a second from this place, for whatever a client or a store can cause
 * again and again. `fields` must be a string literal.
 */
#define log_warning_limited(event, fields, ...)                                                    \
	do {                                                                                       \
		static struct log_limit limit_;                                                    \
		uint64_t suppressed_;                                                              \
		if (log_limit_pass(&limit_, 1000, &suppressed_))                                   \
			log_write(LOG_LEVEL_WARNING, event, fields " suppressed=%llu",             \
				  __VA_ARGS__, (unsigned long long)suppressed_);                   \
	} while (0)

#endif
