/* Prefixes as configuration files have them. */
#include "announcer/prefix.h"
#include "suite.h"

#include <string.h>
#include <sys/socket.h>

static void assert_written(const char *text, const char *expected, int family, bool host)
{
	struct prefix prefix;
	char error[128] = "";
	char back[PREFIX_TEXT_MAX];

	CU_ASSERT_EQUAL_FATAL(prefix_parse(text, &prefix, error, sizeof(error)), 0);
	CU_ASSERT_STRING_EQUAL(prefix_format(&prefix, back), expected);
	CU_ASSERT_EQUAL(prefix.family, family);
	CU_ASSERT_EQUAL(prefix_is_host(&prefix), host);
}

static void assert_refused(const char *text, const char *reason)
{
	struct prefix prefix;
	char error[256] = "";

	CU_ASSERT_EQUAL(prefix_parse(text, &prefix, error, sizeof(error)), -1);
	CU_ASSERT_STRING_EQUAL(error, reason);
}

static void test_prefixes_come_back_as_written(void)
{
	assert_written("192.0.2.53/32", "192.0.2.53/32", AF_INET, true);
	assert_written("192.0.2.0/24", "192.0.2.0/24", AF_INET, false);
	assert_written("0.0.0.0/0", "0.0.0.0/0", AF_INET, false);
	assert_written("192.0.2.128/25", "192.0.2.128/25", AF_INET, false);
	assert_written("2001:db8::53/128", "2001:db8::53/128", AF_INET6, true);
	assert_written("2001:DB8:0::/32", "2001:db8::/32", AF_INET6, false);
	assert_written("::/0", "::/0", AF_INET6, false);
	assert_written("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128",
		       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", AF_INET6, true);
}

static void test_without_a_length_it_is_a_hosts(void)
{
	assert_written("192.0.2.53", "192.0.2.53/32", AF_INET, true);
	assert_written("2001:db8::53", "2001:db8::53/128", AF_INET6, true);
}

static void test_bits_behind_the_length_are_refused(void)
{
	assert_refused("192.0.2.53/24", "\"192.0.2.53/24\" has bits set behind its length");
	assert_refused("192.0.2.1/31", "\"192.0.2.1/31\" has bits set behind its length");
	assert_refused("2001:db8::1/127", "\"2001:db8::1/127\" has bits set behind its length");
	assert_refused("128.0.0.0/0", "\"128.0.0.0/0\" has bits set behind its length");
}

static void test_what_is_no_prefix_is_refused(void)
{
	const char *addresses[] = {"",
				   "/32",
				   "192.0.2",
				   "192.0.2.256/32",
				   "010.0.0.1/32",
				   "dns/32",
				   "2001:db8:::1/128",
				   "fe80::1%lo/128",
				   "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/128"};
	const char *lengths[] = {"192.0.2.53/",     "192.0.2.53/33",  "192.0.2.53/-1",
				 "192.0.2.53/032",  "192.0.2.53/32 ", "192.0.2.53/4294967328",
				 "192.0.2.53/32/32"};
	char reason[256];

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		snprintf(reason, sizeof(reason), "\"%s\" is no IP address or prefix", addresses[i]);
		assert_refused(addresses[i], reason);
	}
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		snprintf(reason, sizeof(reason), "\"%s\" needs a length from 0 to 32", lengths[i]);
		assert_refused(lengths[i], reason);
	}
	assert_refused("2001:db8::/129", "\"2001:db8::/129\" needs a length from 0 to 128");
}

static void test_equal_is_the_same_address_and_length(void)
{
	struct prefix a, b;
	char error[128];

	prefix_parse("192.0.2.0/24", &a, error, sizeof(error));
	prefix_parse("192.0.2.0/24", &b, error, sizeof(error));
	CU_ASSERT_TRUE(prefix_equal(&a, &b));
	prefix_parse("192.0.2.0/25", &b, error, sizeof(error));
	CU_ASSERT_FALSE(prefix_equal(&a, &b));
	prefix_parse("192.0.3.0/24", &b, error, sizeof(error));
	CU_ASSERT_FALSE(prefix_equal(&a, &b));
	prefix_parse("0.0.0.0/0", &a, error, sizeof(error));
	prefix_parse("::/0", &b, error, sizeof(error));
	CU_ASSERT_FALSE(prefix_equal(&a, &b));
}

int main(void)
{
	const struct suite_test tests[] = {
		{"prefixes come back as written", test_prefixes_come_back_as_written},
		{"without a length it is a host's", test_without_a_length_it_is_a_hosts},
		{"bits behind the length are refused", test_bits_behind_the_length_are_refused},
		{"what is no prefix is refused", test_what_is_no_prefix_is_refused},
		{"equal is the same address and length", test_equal_is_the_same_address_and_length},
	};
	return SUITE_RUN("prefix", tests);
}
