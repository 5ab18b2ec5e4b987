/* Names: from hostile messages, from text and back, and compared. */
#include "dns/name.h"
#include "suite.h"

#include <string.h>

static int parse(const char *message, size_t size, size_t offset, uint8_t *out)
{
	return dns_name_parse((const uint8_t *)message, size, &offset, out);
}

static void test_compressed_names_are_put_together(void)
{
	static const char message[] = "\3com\0\7example\300\0\3www\300\5";
	uint8_t name[DNS_NAME_MAX];
	size_t offset = 15;

	int size = dns_name_parse((const uint8_t *)message, sizeof(message) - 1, &offset, name);
	CU_ASSERT_EQUAL_FATAL(size, 17);
	CU_ASSERT_EQUAL(memcmp(name, "\3www\7example\3com", 17), 0);
	CU_ASSERT_EQUAL(offset, 21); /* behind the first pointer */
}

static void test_loops_and_forward_pointers_are_refused(void)
{
	uint8_t name[DNS_NAME_MAX];

	CU_ASSERT_EQUAL(parse("\300\0", 2, 0, name), DNS_ERROR_BAD_POINTER);    /* itself */
	CU_ASSERT_EQUAL(parse("\1a\300\0", 4, 0, name), DNS_ERROR_BAD_POINTER); /* its own start */
	CU_ASSERT_EQUAL(parse("\300\2\300\0", 4, 0, name), DNS_ERROR_BAD_POINTER); /* forward */
	CU_ASSERT_EQUAL(parse("\300\2\300\0", 4, 2, name), DNS_ERROR_BAD_POINTER); /* a ring */
	CU_ASSERT_EQUAL(parse("\1a\300\2\0", 5, 0, name), DNS_ERROR_BAD_POINTER);
}

static void test_cut_off_names_are_refused(void)
{
	uint8_t name[DNS_NAME_MAX];
	size_t offset = 0;

	CU_ASSERT_EQUAL(parse("", 0, 0, name), DNS_ERROR_TRUNCATED);
	CU_ASSERT_EQUAL(parse("\3ab", 3, 0, name), DNS_ERROR_TRUNCATED);
	CU_ASSERT_EQUAL(parse("\1a", 2, 0, name), DNS_ERROR_TRUNCATED);
	CU_ASSERT_EQUAL(parse("\300", 1, 0, name), DNS_ERROR_TRUNCATED);
	CU_ASSERT_EQUAL(parse("\100a", 2, 0, name), DNS_ERROR_BAD_LABEL);
	CU_ASSERT_EQUAL(parse("\200a", 2, 0, name), DNS_ERROR_BAD_LABEL);
	CU_ASSERT_EQUAL(dns_name_skip((const uint8_t *)"\3ab", 3, &offset), DNS_ERROR_TRUNCATED);
	CU_ASSERT_EQUAL(offset, 0);
}

/* `labels` labels of 63 octets, then one of `last`, then the root. */
static size_t make_long_name(uint8_t *out, unsigned int labels, uint8_t last)
{
	size_t size = 0;

	for (unsigned int i = 0; i <= labels; i++) {
		uint8_t length = i < labels ? 63 : last;
		out[size++] = length;
		memset(out + size, 'a', length);
		size += length;
	}
	out[size++] = 0;
	return size;
}

static void test_names_over_255_octets_are_refused(void)
{
	uint8_t message[400];
	uint8_t name[DNS_NAME_MAX];
	size_t offset = 0;
	size_t size = make_long_name(message, 3, 61);

	CU_ASSERT_EQUAL(size, 255);
	CU_ASSERT_EQUAL(dns_name_parse(message, size, &offset, name), 255);
	size = make_long_name(message, 3, 62);
	offset = 0;
	CU_ASSERT_EQUAL(dns_name_parse(message, size, &offset, name), DNS_ERROR_NAME_TOO_LONG);
	offset = 0;
	CU_ASSERT_EQUAL(dns_name_skip(message, size, &offset), DNS_ERROR_NAME_TOO_LONG);

	/* Grown by a pointer: 4 labels of 63 do not fit before a name of two octets more. */
	size = make_long_name(message, 3, 61);
	message[size] = 2;
	memcpy(message + size + 1, "xx\300\0", 4);
	offset = size;
	CU_ASSERT_EQUAL(dns_name_parse(message, size + 5, &offset, name), DNS_ERROR_NAME_TOO_LONG);
}

static int from_text(const char *text, const char *origin, uint8_t *out)
{
	return dns_name_from_text(text, strlen(text), (const uint8_t *)origin, out);
}

static void test_text_is_read(void)
{
	uint8_t name[DNS_NAME_MAX];

	CU_ASSERT_EQUAL(from_text("www.Example.com.", NULL, name), 17);
	CU_ASSERT_EQUAL(memcmp(name, "\3www\7Example\3com", 17), 0);
	CU_ASSERT_EQUAL(from_text("www", "\7example\3com", name), 17);
	CU_ASSERT_EQUAL(memcmp(name, "\3www\7example\3com", 17), 0);
	CU_ASSERT_EQUAL(from_text("@", "\3com", name), 5);
	CU_ASSERT_EQUAL(from_text(".", "\3com", name), 1);
	CU_ASSERT_EQUAL(from_text("a\\.b.\\001\\255c", NULL, name), 9);
	CU_ASSERT_EQUAL(memcmp(name, "\3a.b\3\1\377c", 9), 0);
}

static void test_bad_text_is_refused(void)
{
	uint8_t name[DNS_NAME_MAX];
	char text[1024];

	CU_ASSERT_EQUAL(from_text("", NULL, name), DNS_ERROR_BAD_LABEL);
	CU_ASSERT_EQUAL(from_text("a..b", NULL, name), DNS_ERROR_BAD_LABEL);
	CU_ASSERT_EQUAL(from_text(".a", NULL, name), DNS_ERROR_BAD_LABEL);
	CU_ASSERT_EQUAL(from_text("..", NULL, name), DNS_ERROR_BAD_LABEL);
	CU_ASSERT_EQUAL(from_text("a\\", NULL, name), DNS_ERROR_BAD_ESCAPE);
	CU_ASSERT_EQUAL(from_text("a\\25", NULL, name), DNS_ERROR_BAD_ESCAPE);
	CU_ASSERT_EQUAL(from_text("a\\256", NULL, name), DNS_ERROR_BAD_ESCAPE);
	memset(text, 'a', 64);
	text[64] = '\0';
	CU_ASSERT_EQUAL(from_text(text, NULL, name), DNS_ERROR_LABEL_TOO_LONG);
	CU_ASSERT_EQUAL(from_text(text + 1, NULL, name), 65);
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "a.", 3);
	CU_ASSERT_EQUAL(from_text(text, NULL, name), DNS_ERROR_NAME_TOO_LONG);
	text[2 * 127] = '\0';
	CU_ASSERT_EQUAL(from_text(text, NULL, name), 255);
	CU_ASSERT_EQUAL(dns_name_count_labels(name), 127);
}

/* Every octet a label can hold comes back from its own text, for which there is always room. */
static void test_every_octet_survives_text(void)
{
	uint8_t name[DNS_NAME_MAX];
	uint8_t back[DNS_NAME_MAX];
	char text[DNS_NAME_TEXT_MAX];

	for (unsigned int octet = 0; octet < 256; octet++) {
		size_t size = make_long_name(name, 3, 61);
		for (size_t i = 0; i < size; i++)
			name[i] = name[i] == 'a' ? (uint8_t)octet : name[i];
		size_t length = dns_name_to_text(name, text);
		CU_ASSERT_EQUAL(length, strlen(text));
		CU_ASSERT_TRUE(length < sizeof(text));
		CU_ASSERT_EQUAL(dns_name_from_text(text, length, NULL, back), (int)size);
		CU_ASSERT_EQUAL(memcmp(name, back, size), 0);
	}
}

static void test_case_does_not_matter(void)
{
	static const uint8_t *www = (const uint8_t *)"\3wWw\7eXample\3com";
	static const uint8_t *apex = (const uint8_t *)"\7Example\3COM";

	CU_ASSERT_TRUE(dns_name_equal(www, (const uint8_t *)"\3WwW\7Example\3cOm"));
	CU_ASSERT_FALSE(dns_name_equal(www, apex));
	CU_ASSERT_FALSE(dns_name_equal((const uint8_t *)"\1@", (const uint8_t *)"\1`"));
	CU_ASSERT_FALSE(dns_name_equal((const uint8_t *)"\1[", (const uint8_t *)"\1{"));
	CU_ASSERT_TRUE(dns_name_is_within(www, apex));
	CU_ASSERT_TRUE(dns_name_is_within(apex, apex));
	CU_ASSERT_TRUE(dns_name_is_within(apex, (const uint8_t *)""));
	CU_ASSERT_FALSE(dns_name_is_within(apex, www));
	/* The same octets at the end, but not at a label's start. */
	CU_ASSERT_FALSE(dns_name_is_within((const uint8_t *)"\14xx\7example\3com", apex));
}

static void test_suffixes_are_replaced(void)
{
	static const uint8_t *name = (const uint8_t *)"\1x\1y\3old";
	uint8_t out[DNS_NAME_MAX];
	uint8_t longest[DNS_NAME_MAX];

	CU_ASSERT_EQUAL(dns_name_replace_suffix(name, (const uint8_t *)"\3old",
						(const uint8_t *)"\2nu\2nu", out),
			11);
	CU_ASSERT_EQUAL(memcmp(out, "\1x\1y\2nu\2nu", 11), 0);
	CU_ASSERT_EQUAL(
		dns_name_replace_suffix(name, (const uint8_t *)"\3old", (const uint8_t *)"", out),
		5);
	make_long_name(longest, 3, 58);
	CU_ASSERT_EQUAL(dns_name_replace_suffix(name, (const uint8_t *)"\3old", longest, out),
			DNS_ERROR_NAME_TOO_LONG);
	make_long_name(longest, 3, 57);
	CU_ASSERT_EQUAL(dns_name_replace_suffix(name, (const uint8_t *)"\3old", longest, out), 255);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"compressed names are put together", test_compressed_names_are_put_together},
		{"loops and forward pointers are refused",
		 test_loops_and_forward_pointers_are_refused},
		{"cut off names are refused", test_cut_off_names_are_refused},
		{"names over 255 octets are refused", test_names_over_255_octets_are_refused},
		{"text is read", test_text_is_read},
		{"bad text is refused", test_bad_text_is_refused},
		{"every octet survives text", test_every_octet_survives_text},
		{"case does not matter", test_case_does_not_matter},
		{"suffixes are replaced", test_suffixes_are_replaced},
	};
	return SUITE_RUN("name", tests);
}
