/* Log lines, byte for byte: standard error is a temporary file while they are written. */
#include "common/log.h"
#include "suite.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPTURE_MAX (1 << 20)

static int saved_stderr;
static FILE *capture_file;
static char captured[CAPTURE_MAX];

static void capture_begin(enum log_level level, enum log_format format)
{
	log_setup(level, format);
	saved_stderr = dup(STDERR_FILENO);
	capture_file = tmpfile();
	if (saved_stderr < 0 || !capture_file || dup2(fileno(capture_file), STDERR_FILENO) < 0)
		abort();
}

/* Ends the capture; everything written is in `captured`. */
static void capture_end(void)
{
	rewind(capture_file);
	size_t size = fread(captured, 1, sizeof(captured) - 1, capture_file);
	captured[size] = '\0';
	if (dup2(saved_stderr, STDERR_FILENO) < 0)
		abort();
	close(saved_stderr);
	fclose(capture_file);
}

/* The captured line without its time, which must be well formed. */
static const char *line_after_time(const char *before, const char *after)
{
	int year, month, day, hour, minute, second, millisecond, size = 0;
	char pattern[64];

	CU_ASSERT_EQUAL_FATAL(strncmp(captured, before, strlen(before)), 0);
	const char *time = captured + strlen(before);
	CU_ASSERT_EQUAL(sscanf(time, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour,
			       &minute, &second, &millisecond, &size),
			7);
	CU_ASSERT_EQUAL(size, 24);
	snprintf(pattern, sizeof(pattern), "%s", after);
	CU_ASSERT_EQUAL_FATAL(strncmp(time + 24, pattern, strlen(pattern)), 0);
	return time + 24 + strlen(pattern);
}

#define ASSERT_LOGFMT(expected, ...)                                                               \
	do {                                                                                       \
		capture_begin(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);                                 \
		__VA_ARGS__;                                                                       \
		capture_end();                                                                     \
		CU_ASSERT_STRING_EQUAL(line_after_time("time=", " "), expected);                   \
	} while (0)

#define ASSERT_JSON(expected, ...)                                                                 \
	do {                                                                                       \
		capture_begin(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);                                   \
		__VA_ARGS__;                                                                       \
		capture_end();                                                                     \
		CU_ASSERT_STRING_EQUAL(line_after_time("{\"time\":\"", "\","), expected);          \
	} while (0)

static void test_plain_values_stand_bare(void)
{
	ASSERT_LOGFMT("level=info msg=started\n", log_info("started", NULL));
	ASSERT_LOGFMT(
		"level=warning msg=\"store opened\" url=sqlite:godwit.db zones=3\n",
		log_warning("store opened", "url=%s zones=%zu", "sqlite:godwit.db", (size_t)3));
	ASSERT_LOGFMT("level=error msg=x to=192.0.2.1:53 ratio=0.50 part=ab mask=ff\n",
		      log_error("x", "to=%s:%hu ratio=%.2f part=%.*s mask=%x", "192.0.2.1",
				(unsigned short)53, 0.5, 2, "abcdef", 255U));
}

static void test_other_values_are_quoted(void)
{
	const char *volatile none = NULL; /* unseen by the compiler's own check of formats */

	ASSERT_LOGFMT("level=info msg=x a=\"\" b=\"two words\" c=\"k=v\" d=\"say \\\"hi\\\"\" "
		      "e=\"back\\\\slash\" f=(null)\n",
		      log_info("x", "a=%s b=%s c=%s d=%s e=%s f=%s", "", "two words", "k=v",
			       "say \"hi\"", "back\\slash", none));
}

static void test_control_octets_cannot_break_a_line(void)
{
	ASSERT_LOGFMT("level=info msg=x a=\"1\\n2\\u000d\\u0009\\u001b[31m\\u007f\\u0001\"\n",
		      log_info("x", "a=%s", "1\n2\r\t\033[31m\177\001"));
	ASSERT_JSON("\"level\":\"info\",\"msg\":\"x\",\"a\":\"1\\n2\\u0000\"}\n",
		    log_info("x", "a=%s%c", "1\n2", 0));
}

static void test_text_that_is_not_utf8_is_replaced(void)
{
	/* A stray continuation, an overlong form, a surrogate, past U+10FFFF, a cut sequence. */
	ASSERT_JSON("\"level\":\"info\",\"msg\":\"x\",\"a\":\"\\ufffd\",\"b\":\"\\ufffd\\ufffd\","
		    "\"c\":\"\\ufffd\\ufffd\\ufffd\",\"d\":\"\\ufffd\\ufffd\\ufffd\\ufffd\","
		    "\"e\":\"\\ufffd\\ufffd\"}\n",
		    log_info("x", "a=%s b=%s c=%s d=%s e=%s", "\x80", "\xc0\xaf", "\xed\xa0\x80",
			     "\xf4\x90\x80\x80", "\xe2\x82"));
	ASSERT_LOGFMT("level=info msg=x a=\"\\ufffd\"\n", log_info("x", "a=%s", "\xff"));
}

static void test_utf8_is_kept_but_for_controls(void)
{
	ASSERT_JSON(
		"\"level\":\"info\",\"msg\":\"x\",\"a\":\"gr\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xa6\","
		"\"b\":\"\\u009b\"}\n",
		log_info("x", "a=%s b=%s", "gr\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\xa6", "\xc2\x9b"));
}

static void test_json_shows_numbers_as_numbers(void)
{
	ASSERT_JSON("\"level\":\"debug\",\"msg\":\"x\",\"a\":-5,\"b\":18446744073709551615,"
		    "\"c\":0.5,\"d\":\"1/2\",\"e\":\"ff\",\"f\":\"nan\",\"g\":\"7\"}\n",
		    log_debug("x", "a=%d b=%llu c=%g d=%d/%d e=%x f=%f g=%s", -5,
			      18446744073709551615ULL, 0.5, 1, 2, 255U, (double)NAN, "7"));
}

static void test_json_quotes_the_event(void)
{
	ASSERT_JSON("\"level\":\"info\",\"msg\":\"say \\\"hi\\\"\"}\n",
		    log_info("say \"hi\"", NULL));
}

static void test_every_integer_size_is_taken_right(void)
{
	ASSERT_LOGFMT(
		"level=info msg=x a=-1 b=255 c=65535 d=-9223372036854775808 e=-2 f=7 g=8 h=9\n",
		log_info("x", "a=%hhd b=%hhu c=%hu d=%ld e=%zd f=%jd g=%td h=%s", -1, 255U, 65535U,
			 LONG_MIN, (ssize_t)-2, (intmax_t)7, (ptrdiff_t)8, "9"));
}

static void test_lines_above_the_level_are_not_written(void)
{
	capture_begin(LOG_LEVEL_WARNING, LOG_FORMAT_LOGFMT);
	log_info("quiet", NULL);
	log_debug("quiet", NULL);
	CU_ASSERT_FALSE(log_enabled(LOG_LEVEL_INFO));
	CU_ASSERT_TRUE(log_enabled(LOG_LEVEL_WARNING));
	capture_end();
	CU_ASSERT_STRING_EQUAL(captured, "");
}

/* Whatever is too long, the line has at most PIPE_BUF octets and its quotes and brace closed. */
static void assert_cut_line(enum log_format format, const char *value, const char *end)
{
	capture_begin(LOG_LEVEL_INFO, format);
	log_info("x", "a=%s b=%s c=%s d=%s e=%s f=%s", value, value, value, value, value, value);
	capture_end();
	size_t size = strlen(captured);
	size_t quotes = 0;
	for (const char *p = captured; *p; p++) {
		quotes += *p == '"';
		p += *p == '\\';
	}
	CU_ASSERT(size <= PIPE_BUF);
	CU_ASSERT(size > PIPE_BUF / 2);
	CU_ASSERT_EQUAL(quotes % 2, 0);
	CU_ASSERT_EQUAL(strchr(captured, '\n'), captured + size - 1);
	CU_ASSERT_STRING_EQUAL(captured + size - strlen(end), end);
}

static void test_long_values_are_cut_and_marked(void)
{
	char value[1100];
	char expected[1200];

	memset(value, 'a', sizeof(value));
	value[1024] = '\0';
	snprintf(expected, sizeof(expected), "level=info msg=x a=%s b=1\n", value);
	ASSERT_LOGFMT(expected, log_info("x", "a=%s b=1", value));
	value[1024] = 'a';
	snprintf(expected, sizeof(expected), "level=info msg=x a=%.1024s b=1 truncated=true\n",
		 value);
	value[1025] = '\0';
	ASSERT_LOGFMT(expected, log_info("x", "a=%s b=1", value));
}

static void test_long_lines_are_cut_and_marked(void)
{
	char value[2000];

	/* Each length moves the place of the cut by a little. */
	for (size_t length = 700; length < 1030; length++) {
		memset(value, ' ', length);
		value[length] = '\0';
		assert_cut_line(LOG_FORMAT_LOGFMT, value, " truncated=true\n");
		memset(value, '\001', length);
		assert_cut_line(LOG_FORMAT_JSON, value, ",\"truncated\":true}\n");
	}
	memset(value, 'a', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	assert_cut_line(LOG_FORMAT_LOGFMT, value, " truncated=true\n");
	assert_cut_line(LOG_FORMAT_JSON, value, ",\"truncated\":true}\n");
}

#define THREADS 4
#define LINES 500

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("line", "thread=%d number=%d", *(const int *)arg, i);
	return NULL;
}

static void test_threads_do_not_mix_lines(void)
{
	pthread_t threads[THREADS];
	int ids[THREADS];
	int next[THREADS] = {0};
	int lines = 0, thread, number;
	char *rest = captured;

	capture_begin(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	for (int i = 0; i < THREADS; i++) {
		ids[i] = i;
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, write_lines, &ids[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	capture_end();

	for (char *line; (line = strsep(&rest, "\n")) && *line; lines++) {
		CU_ASSERT_EQUAL_FATAL(sscanf(line,
					     "time=%*s level=info msg=line thread=%d number=%d",
					     &thread, &number),
				      2);
		CU_ASSERT_EQUAL(number, next[thread]++);
	}
	CU_ASSERT_EQUAL(lines, THREADS * LINES);
}

static void test_a_limit_counts_what_it_holds_back(void)
{
	struct log_limit limit = {0};
	uint64_t suppressed = 99;

	CU_ASSERT_TRUE(log_limit_pass(&limit, 60000, &suppressed));
	CU_ASSERT_EQUAL(suppressed, 0);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_FALSE(log_limit_pass(&limit, 60000, &suppressed));
	limit.next_ms = 0; /* the interval is over */
	CU_ASSERT_TRUE(log_limit_pass(&limit, 60000, &suppressed));
	CU_ASSERT_EQUAL(suppressed, 3);
}

static void test_a_limited_warning_shows_once(void)
{
	capture_begin(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	for (int i = 0; i < 10; i++)
		log_warning_limited("odd", "number=%d", i);
	capture_end();
	CU_ASSERT_STRING_EQUAL(line_after_time("time=", " "),
			       "level=warning msg=odd number=0 suppressed=0\n");
}

/* Standard error is a pipe that nobody empties, until somebody does. */
static void test_a_pipe_that_is_full_holds_nobody_up(void)
{
	int ends[2];
	size_t used = 0;
	ssize_t got;
	uint64_t before = log_lines_lost();
	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	CU_ASSERT_EQUAL(fcntl(ends[1], F_SETFL, 0), 0); /* the end we write to may block */
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	saved_stderr = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	for (int i = 0; i < 5000; i++)
		log_info("a line of many, and nobody reads any of them", "number=%d", i);
	uint64_t lost = log_lines_lost() - before;
	while ((got = read(ends[0], captured + used, sizeof(captured) - 1 - used)) > 0)
		used += (size_t)got;
	log_info("room again", NULL);
	got = read(ends[0], captured, sizeof(captured) - 1);
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(ends[0]);
	close(ends[1]);
	CU_ASSERT(lost > 0 && lost < 5000);
	CU_ASSERT_FATAL(got > 0);
	captured[got] = '\0';
	char expected[64];
	snprintf(expected, sizeof(expected), " lines=%llu\n", (unsigned long long)lost);
	CU_ASSERT_PTR_NOT_NULL(strstr(captured, expected));
	CU_ASSERT_PTR_NOT_NULL(strstr(captured, "msg=\"room again\"\n"));
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"plain values stand bare", test_plain_values_stand_bare},
		{"other values are quoted", test_other_values_are_quoted},
		{"control octets cannot break a line", test_control_octets_cannot_break_a_line},
		{"text that is not UTF-8 is replaced", test_text_that_is_not_utf8_is_replaced},
		{"UTF-8 is kept but for controls", test_utf8_is_kept_but_for_controls},
		{"JSON shows numbers as numbers", test_json_shows_numbers_as_numbers},
		{"JSON quotes the event", test_json_quotes_the_event},
		{"every integer size is taken right", test_every_integer_size_is_taken_right},
		{"lines above the level are not written",
		 test_lines_above_the_level_are_not_written},
		{"long values are cut and marked", test_long_values_are_cut_and_marked},
		{"long lines are cut and marked", test_long_lines_are_cut_and_marked},
		{"threads do not mix lines", test_threads_do_not_mix_lines},
		{"a limit counts what it holds back", test_a_limit_counts_what_it_holds_back},
		{"a limited warning shows once", test_a_limited_warning_shows_once},
		{"a pipe that is full holds nobody up", test_a_pipe_that_is_full_holds_nobody_up},
	};
	return SUITE_RUN("log", tests);
}
