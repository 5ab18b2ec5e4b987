/* The arithmetic of $GENERATE: ranges, and numbers filled into texts. */
#include "ctl/generate.h"
#include "suite.h"

#include <string.h>

static char error[256];

static void expect_range(const char *text, uint32_t start, uint32_t stop, uint32_t step,
			 uint32_t count)
{
	struct generate_range range = {0};
	CU_ASSERT_EQUAL(generate_parse_range(text, &range, error, sizeof(error)), 0);
	CU_ASSERT_EQUAL(range.start, start);
	CU_ASSERT_EQUAL(range.stop, stop);
	CU_ASSERT_EQUAL(range.step, step);
	CU_ASSERT_EQUAL(generate_count(&range), count);
}

static void expect_no_range(const char *text, const char *words)
{
	struct generate_range range;
	CU_ASSERT_EQUAL(generate_parse_range(text, &range, error, sizeof(error)), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, words));
}

static void expect_text(const char *text, uint32_t number, const char *filled)
{
	char out[GENERATE_TEXT_MAX];
	CU_ASSERT_EQUAL(generate_fill(text, number, out, error, sizeof(error)), 0);
	if (strcmp(out, filled) != 0)
		printf("\n  %s with %u: wanted %s, got %s\n", text, number, filled, out);
	CU_ASSERT_STRING_EQUAL(out, filled);
}

static void expect_no_text(const char *text, uint32_t number, const char *words)
{
	char out[GENERATE_TEXT_MAX];
	CU_ASSERT_EQUAL(generate_fill(text, number, out, error, sizeof(error)), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, words));
}

static void test_ranges(void)
{
	expect_range("1-254", 1, 254, 1, 254);
	expect_range("0-255/2", 0, 255, 2, 128);
	expect_range("7-7", 7, 7, 1, 1);
	expect_range("1-2/2147483647", 1, 2, 2147483647, 1);
	expect_range("0-2147483647/100000", 0, 2147483647, 100000, 21475);
	expect_range("1-1000000", 1, 1000000, 1, 1000000);
}

static void test_wrong_ranges(void)
{
	static const char *const wrong[] = {
		"",     "1",    "1-",  "-1",   "2-1",    "1-2/",         "1-2/0", "1-2/x",
		"1-2 ", "1--2", "a-b", "+1-2", "1-2/-1", "1-2147483648", "1/2-3", "1-2/3/4"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_no_range(wrong[i], "is not a range");
	expect_no_range("0-1000000", "more than 1000000 records");
	expect_no_range("0-2147483647", "more than 1000000 records");
}

static void test_numbers(void)
{
	expect_text("", 1, "");
	expect_text("plain", 1, "plain");
	expect_text("a$b$", 12, "a12b12");
	expect_text("${5}", 12, "17");
	expect_text("${+5}", 12, "17");
	expect_text("${-2}", 12, "10");
	expect_text("${-12}", 12, "0");
	expect_text("${0,4}", 12, "0012");
	expect_text("${0,1}", 12, "12");
	expect_text("${0,4,d}", 12, "0012");
	expect_text("${0,4,o}", 12, "0014");
	expect_text("${0,4,x}", 171, "00ab");
	expect_text("${0,0,X}", 171, "AB");
	expect_text("${2147483647,0,x}", 2147483647, "fffffffe");
}

static void test_nibbles(void)
{
	expect_text("${0,0,n}", 0, "0");
	expect_text("${0,0,n}", 0x1ab, "b.a.1");
	expect_text("${0,0,N}", 0x1ab, "B.A.1");
	expect_text("${0,3,n}", 5, "5.0");
	expect_text("${0,4,n}ip6", 5, "5.0.ip6");
	expect_text("${0,7,n}", 0x1ab, "b.a.1.0");
	expect_text("${1,1,n}", 0xff, "0.0.1");
}

static void test_dollars_and_escapes(void)
{
	expect_text("$$", 1, "$");
	expect_text("$$$", 1, "$1");
	expect_text("\\$", 1, "\\$");
	expect_text("\\\\$", 1, "\\\\1");
	expect_text("\\# 1 0$", 1, "\\# 1 01");
	expect_text("\\", 1, "\\");
	expect_text("{1}$", 1, "{1}1");
}

static void test_wrong_texts(void)
{
	static const char *const wrong[] = {"${",       "${}",       "${1",     "${1,",
					    "${1,2",    "${1,}",     "${a}",    "${1,2,}",
					    "${1,2,b}", "${1,2,dd}", "${1,-2}", "${ 1}",
					    "${1,256}", "${--1}",    "${1,2,x", "${2147483648}"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_no_text(wrong[i], 1, "${OFFSET");
	expect_no_text("${-2}", 1, "below 0");
	expect_no_text("${-2,2,n}", 1, "below 0");
}

static void test_long_texts(void)
{
	char text[GENERATE_TEXT_MAX + 1];
	memset(text, 'a', sizeof(text));
	text[GENERATE_TEXT_MAX - 2] = '$';
	text[GENERATE_TEXT_MAX - 1] = '\0';
	char filled[GENERATE_TEXT_MAX];
	memcpy(filled, text, sizeof(filled));
	filled[GENERATE_TEXT_MAX - 2] = '7';
	expect_text(text, 7, filled);
	expect_no_text(text, 17, "more than 4095 octets");
}

static const struct suite_test tests[] = {
	{"ranges with and without a step", test_ranges},
	{"what is no range, and ranges too long", test_wrong_ranges},
	{"numbers with offset, width and base", test_numbers},
	{"nibbles, as ip6.arpa wants them", test_nibbles},
	{"dollar signs and escapes", test_dollars_and_escapes},
	{"braces that are wrong, numbers below 0", test_wrong_texts},
	{"a filled text has a largest size", test_long_texts},
};

int main(void)
{
	return SUITE_RUN("generate", tests);
}
