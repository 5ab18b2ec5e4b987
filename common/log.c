/*
 * The logger. A line is put together in a buffer on the caller's stack and written with one
 * write(2); lines are no longer than PIPE_BUF, so that they stay whole in a pipe too, and one that
 * would be longer is cut at a value and marked `truncated=true`.
 *
 * Standard error may be a pipe or socket that nobody empties. Nobody waits for it: a service is not
 * to stand still with its log. A line that finds no room is lost and counted, and the next that
 * finds some says how many were.
 *
 * The field string is walked pair by pair; each conversion takes its argument by its own type, so a
 * value can be escaped before it reaches the line. A value that is one plain number stays a number
 * in JSON; all others are strings. Octets that are not UTF-8 come out as U+FFFD, control characters
 * as \uXXXX, in both formats: a hostile name in a log can neither break a line nor drive a
 * terminal.
 */
#include "common/log.h"

#include "common/clock.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Settings and state of the one log of the process. The only global state in common/. */
static _Atomic int log_level_now = LOG_LEVEL_INFO;
static _Atomic int log_format_now = LOG_FORMAT_LOGFMT;
static _Atomic uint64_t log_lost;   /* lines, since the start */
static _Atomic uint64_t log_unsaid; /* of these, not told of in the log yet */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER; /* for standard error */

static const char *const log_level_names[] = {"error", "warning", "info", "debug"};

#define LOG_VALUE_MAX 1024 /* octets of one value before escaping */
#define LOG_RESERVE 32     /* octets kept for closing quotes, the truncation mark, '}' and '\n' */

struct log_line {
	enum log_format format;
	size_t size;
	bool full; /* something did not fit: nothing but closing characters may follow */
	bool cut;  /* a value was longer than LOG_VALUE_MAX */
	char data[PIPE_BUF];
};

/* One value on its way: formatted, not yet escaped. */
struct log_value {
	size_t size;
	bool is_number;
	bool cut;
	char data[LOG_VALUE_MAX];
};

void log_setup(enum log_level level, enum log_format format)
{
	atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
	atomic_store_explicit(&log_format_now, (int)format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

/* --- the line --------------------------------------------------------------------------------- */

/* Octets that still fit before the reserve. */
static size_t log_line_room(const struct log_line *line)
{
	size_t limit = sizeof(line->data) - LOG_RESERVE;
	return line->full || line->size > limit ? 0 : limit - line->size;
}

/* Appends all of the octets or none. */
static void log_line_put(struct log_line *line, const char *data, size_t size)
{
	if (size > log_line_room(line)) {
		line->full = true;
		return;
	}
	memcpy(line->data + line->size, data, size);
	line->size += size;
}

/* Appends what must not be missing, from the reserve. */
static void log_line_close(struct log_line *line, const char *text)
{
	size_t size = strlen(text);
	memcpy(line->data + line->size, text, size);
	line->size += size;
}

/*
 * Octets of the UTF-8 sequence at `p` (RFC 3629 section 4: shortest forms only, no surrogates, up
 * to U+10FFFF), or 0 when there is none.
 */
static size_t log_utf8_size(const unsigned char *p, size_t left)
{
	static const struct {
		unsigned char first, last, low, high; /* lead octet range, second octet range */
		size_t size;
	} forms[] = {
		{0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t size = forms[i].size;
		if (*p < forms[i].first || *p > forms[i].last)
			continue;
		if (size > left || (size > 1 && (p[1] < forms[i].low || p[1] > forms[i].high)))
			return 0;
		for (size_t k = 2; k < size; k++) {
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		}
		return size;
	}
	return 0;
}

/* Appends the inside of a quoted string, escaped the way JSON wants it (RFC 8259 section 7). */
static void log_line_put_escaped(struct log_line *line, const char *text, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + size;
	char escape[8];

	while (p < end) {
		size_t step = log_utf8_size(p, (size_t)(end - p));
		if (step == 0) {
			log_line_put(line, "\\ufffd", 6);
			step = 1;
		} else if (*p == '"' || *p == '\\') {
			log_line_put(line, (const char[]){'\\', (char)*p}, 2);
		} else if (*p == '\n') {
			log_line_put(line, "\\n", 2);
		} else if (*p < 0x20 || *p == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", *p);
			log_line_put(line, escape, 6);
		} else if (step == 2 && p[0] == 0xc2 && p[1] < 0xa0) { /* C1 controls */
			snprintf(escape, sizeof(escape), "\\u%04x", p[1]);
			log_line_put(line, escape, 6);
		} else {
			log_line_put(line, (const char *)p, step);
		}
		p += step;
	}
}

/* True for a value that logfmt can show without quotes. */
static bool log_value_is_plain(const struct log_value *value)
{
	for (size_t i = 0; i < value->size; i++) {
		char c = value->data[i];
		if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return value->size > 0;
}

/* Appends one pair, or nothing at all when not even an empty value would fit. */
static void log_line_put_pair(struct log_line *line, const char *key, size_t key_size,
			      const struct log_value *value)
{
	bool json = line->format == LOG_FORMAT_JSON;
	bool quoted = json ? !value->is_number : !log_value_is_plain(value);
	size_t needed = key_size + 6 + (quoted ? 0 : value->size);

	if (needed > log_line_room(line)) {
		line->full = true;
		return;
	}
	if (json) {
		log_line_put(line, line->size ? ",\"" : "{\"", 2);
		log_line_put(line, key, key_size);
		log_line_put(line, "\":", 2);
	} else {
		log_line_put(line, " ", line->size ? 1 : 0);
		log_line_put(line, key, key_size);
		log_line_put(line, "=", 1);
	}
	if (!quoted) {
		log_line_put(line, value->data, value->size);
		return;
	}
	log_line_put(line, "\"", 1);
	log_line_put_escaped(line, value->data, value->size);
	log_line_close(line, "\"");
}

static void log_line_put_text(struct log_line *line, const char *key, const char *text)
{
	struct log_value value = {.size = strnlen(text, LOG_VALUE_MAX)};
	memcpy(value.data, text, value.size);
	log_line_put_pair(line, key, strlen(key), &value);
}

static void log_line_put_time(struct log_line *line)
{
	struct timespec now;
	struct tm parts;
	char date[32];
	char text[48];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text, sizeof(text), "%s.%03ldZ", date, now.tv_nsec / 1000000);
	log_line_put_text(line, "time", text);
}

/* True when standard error takes a line now: POLLOUT stands for room for PIPE_BUF at least. */
static bool log_has_room(void)
{
	struct pollfd poll_stderr = {.fd = STDERR_FILENO, .events = POLLOUT};
	return poll(&poll_stderr, 1, 0) == 1 && (poll_stderr.revents & POLLOUT);
}

/*
 * Ends the line and writes it, unless that would mean to wait: then false. The lock is for two that
 * see the same room; who holds it does not wait either.
 */
static bool log_line_write(struct log_line *line)
{
	bool json = line->format == LOG_FORMAT_JSON;
	if (line->full || line->cut)
		log_line_close(line, json ? ",\"truncated\":true" : " truncated=true");
	log_line_close(line, json ? "}\n" : "\n");

	const char *p = line->data;
	size_t left = line->size;
	pthread_mutex_lock(&log_lock);
	bool room = log_has_room();
	while (room && left > 0) {
		ssize_t written = write(STDERR_FILENO, p, left);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;
		p += written;
		left -= (size_t)written;
	}
	pthread_mutex_unlock(&log_lock);
	return left == 0;
}

/* --- values from a format and its arguments --------------------------------------------------- */

/*
 * One conversion of a field string: "%.3f", "%llu", "%.*s". Widths and flags are of no use here and
 * not understood.
 */
struct log_conversion {
	char type;
	char length; /* h, H (hh), l, L (ll), z, j, t, or 0 */
	int precision;
	bool precision_given;
	bool precision_argument; /* ".*" */
};

static const char *log_parse_conversion(const char *p, struct log_conversion *out)
{
	*out = (struct log_conversion){0};
	if (*p == '.') {
		out->precision_given = true;
		if (*++p == '*') {
			out->precision_argument = true;
			p++;
		}
		for (; *p >= '0' && *p <= '9' && out->precision < LOG_VALUE_MAX; p++)
			out->precision = out->precision * 10 + (*p - '0');
	}
	for (; *p && strchr("hlzjt", *p); p++)
		out->length = out->length == *p ? (char)(*p - 'a' + 'A') : *p;
	out->type = *p;
	return *p ? p + 1 : p;
}

static long long log_take_signed(char length, va_list *args)
{
	switch (length) {
	case 'l':
		return va_arg(*args, long);
	case 'L':
		return va_arg(*args, long long);
	case 'z':
		return va_arg(*args, ssize_t);
	case 'j':
		return va_arg(*args, intmax_t);
	case 't':
		return va_arg(*args, ptrdiff_t);
	default: /* hh and h arrive as int */
		return va_arg(*args, int);
	}
}

static unsigned long long log_take_unsigned(char length, va_list *args)
{
	switch (length) {
	case 'l':
		return va_arg(*args, unsigned long);
	case 'L':
		return va_arg(*args, unsigned long long);
	case 'z':
		return va_arg(*args, size_t);
	case 'j':
		return va_arg(*args, uintmax_t);
	case 't':
		return (unsigned long long)va_arg(*args, ptrdiff_t);
	case 'h':
		return (unsigned short)va_arg(*args, unsigned int);
	case 'H':
		return (unsigned char)va_arg(*args, unsigned int);
	default:
		return va_arg(*args, unsigned int);
	}
}

static void log_value_put(struct log_value *value, const char *data, size_t size)
{
	size_t room = sizeof(value->data) - value->size;
	if (size > room) {
		value->cut = true;
		size = room;
	}
	memcpy(value->data + value->size, data, size);
	value->size += size;
}

static void log_value_put_string(struct log_value *value, const struct log_conversion *conversion,
				 const char *text)
{
	size_t most = conversion->precision_given && conversion->precision >= 0
			      ? (size_t)conversion->precision
			      : sizeof(value->data) + 1;
	if (!text)
		log_value_put(value, "(null)", 6);
	else
		log_value_put(value, text, strnlen(text, most));
}

/* Formats one conversion's argument. Returns whether it is a number JSON can show bare. */
static bool log_value_put_conversion(struct log_value *value, struct log_conversion *conversion,
				     va_list *args)
{
	char text[352]; /* the longest %f of a double has 309 digits before the point */
	int precision;
	double real;

	if (conversion->precision_argument)
		conversion->precision = va_arg(*args, int);
	precision = conversion->precision_given && conversion->precision < 20
			    ? conversion->precision
			    : 6;
	switch (conversion->type) {
	case 's':
		log_value_put_string(value, conversion, va_arg(*args, const char *));
		return false;
	case 'c':
		log_value_put(value, (const char[]){(char)va_arg(*args, int)}, 1);
		return false;
	case 'p':
		snprintf(text, sizeof(text), "%p", va_arg(*args, void *));
		break;
	case 'd':
	case 'i':
		snprintf(text, sizeof(text), "%lld", log_take_signed(conversion->length, args));
		break;
	case 'u':
		snprintf(text, sizeof(text), "%llu", log_take_unsigned(conversion->length, args));
		break;
	case 'x':
		snprintf(text, sizeof(text), "%llx", log_take_unsigned(conversion->length, args));
		break;
	case 'f':
	case 'g':
		real = va_arg(*args, double);
		snprintf(text, sizeof(text), conversion->type == 'f' ? "%.*f" : "%.*g", precision,
			 real);
		log_value_put(value, text, strlen(text));
		return isfinite(real);
	default: /* "%%", or what only a new kind of caller could bring */
		log_value_put(value, &conversion->type, conversion->type ? 1 : 0);
		return false;
	}
	log_value_put(value, text, strlen(text));
	return strchr("diu", conversion->type) != NULL;
}

/* Formats the value template at `p`, up to the next space, into `value`; returns its end. */
static const char *log_value_format(struct log_value *value, const char *p, va_list *args)
{
	struct log_conversion conversion;
	unsigned int parts = 0;

	value->size = 0;
	value->is_number = false;
	value->cut = false;
	while (*p && *p != ' ') {
		if (*p != '%') {
			log_value_put(value, p++, 1);
		} else {
			p = log_parse_conversion(p + 1, &conversion);
			value->is_number = log_value_put_conversion(value, &conversion, args);
		}
		parts++;
	}
	if (parts != 1)
		value->is_number = false;
	return p;
}

void log_write(enum log_level level, const char *event, const char *fields, ...)
{
	struct log_line line;
	struct log_value value;
	va_list args;

	if (!log_enabled(level))
		return;
	uint64_t unsaid = atomic_exchange(&log_unsaid, 0);
	if (unsaid > 0 && log_has_room())
		log_write(LOG_LEVEL_WARNING, "log lines lost: nobody took them", "lines=%llu",
			  (unsigned long long)unsaid);
	else if (unsaid > 0)
		atomic_fetch_add(&log_unsaid, unsaid);
	line.format = (enum log_format)atomic_load_explicit(&log_format_now, memory_order_relaxed);
	line.size = 0;
	line.full = false;
	line.cut = false;
	log_line_put_time(&line);
	log_line_put_text(&line, "level", log_level_names[level]);
	log_line_put_text(&line, "msg", event);

	va_start(args, fields);
	for (const char *p = fields ? fields : ""; *p;) {
		size_t key_size = strcspn(p, "= ");
		if (p[key_size] != '=') { /* no pair: a stray word or an extra space */
			p += key_size + (p[key_size] == ' ');
			continue;
		}
		const char *key = p;
		p = log_value_format(&value, p + key_size + 1, &args);
		p += *p == ' ';
		log_line_put_pair(&line, key, key_size, &value);
		line.cut |= value.cut;
	}
	va_end(args);
	if (!log_line_write(&line)) {
		atomic_fetch_add(&log_lost, 1);
		atomic_fetch_add(&log_unsaid, 1);
	}
}

uint64_t log_lines_lost(void)
{
	return atomic_load(&log_lost);
}

bool log_limit_pass(struct log_limit *limit, int64_t interval_ms, uint64_t *suppressed)
{
	int64_t now = clock_now_ms();
	int64_t next = atomic_load(&limit->next_ms);

	/* One of several threads that come at the same time wins the exchange and logs. */
	if (now < next ||
	    !atomic_compare_exchange_strong(&limit->next_ms, &next, now + interval_ms)) {
		atomic_fetch_add(&limit->suppressed, 1);
		return false;
	}
	*suppressed = atomic_exchange(&limit->suppressed, 0);
	return true;
}
