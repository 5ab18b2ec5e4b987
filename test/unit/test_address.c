/* Addresses as configuration files have them. */
#include "common/address.h"
#include "suite.h"

#include <string.h>
#include <sys/un.h>

static void assert_round_trip(const char *text)
{
	struct address address;
	char error[256] = "";
	char back[ADDRESS_TEXT_MAX];

	CU_ASSERT_EQUAL_FATAL(address_parse(text, &address, error, sizeof(error)), 0);
	CU_ASSERT_EQUAL(address.kind, ADDRESS_IP);
	address_format((const struct sockaddr *)&address.addr, back, sizeof(back));
	CU_ASSERT_STRING_EQUAL(back, text);
}

static void assert_refused(const char *text, const char *reason)
{
	struct address address;
	char error[512] = "";

	CU_ASSERT_EQUAL(address_parse(text, &address, error, sizeof(error)), -1);
	CU_ASSERT_STRING_EQUAL(error, reason);
}

static void test_literals_come_back_as_written(void)
{
	assert_round_trip("192.0.2.1:53");
	assert_round_trip("0.0.0.0:65535");
	assert_round_trip("[2001:db8::1]:8053");
	assert_round_trip("[::]:1");
	assert_round_trip("[fe80::1%lo]:53");
}

static void test_names_are_split_and_not_looked_up(void)
{
	struct address address;
	char error[256];

	CU_ASSERT_EQUAL(
		address_parse("godwit_backend.example.:8053", &address, error, sizeof(error)), 0);
	CU_ASSERT_EQUAL(address.kind, ADDRESS_HOST);
	CU_ASSERT_STRING_EQUAL(address.host, "godwit_backend.example.");
	CU_ASSERT_EQUAL(address.port, 8053);
	CU_ASSERT_EQUAL(address.addr_size, 0);
}

static void test_unix_sockets_have_paths(void)
{
	struct address address;
	char error[256];
	char back[ADDRESS_TEXT_MAX];

	CU_ASSERT_EQUAL(address_parse("unix:/run/godwit.sock", &address, error, sizeof(error)), 0);
	CU_ASSERT_EQUAL(address.kind, ADDRESS_UNIX);
	CU_ASSERT_STRING_EQUAL(address.host, "/run/godwit.sock");
	CU_ASSERT_EQUAL(address.addr_size, sizeof(struct sockaddr_un));
	address_format((const struct sockaddr *)&address.addr, back, sizeof(back));
	CU_ASSERT_STRING_EQUAL(back, "unix:/run/godwit.sock");
}

static void test_what_is_no_address_is_refused(void)
{
	assert_refused("", "\"\" has no port: write HOST:PORT");
	assert_refused("192.0.2.1", "\"192.0.2.1\" has no port: write HOST:PORT");
	assert_refused("[::1]", "\"[::1]\" has no port: write HOST:PORT");
	assert_refused("192.0.2.1:", "\"192.0.2.1:\" needs a port from 1 to 65535");
	assert_refused("192.0.2.1:0", "\"192.0.2.1:0\" needs a port from 1 to 65535");
	assert_refused("192.0.2.1:65536", "\"192.0.2.1:65536\" needs a port from 1 to 65535");
	assert_refused("192.0.2.1:+53", "\"192.0.2.1:+53\" needs a port from 1 to 65535");
	assert_refused("192.0.2.1:53x", "\"192.0.2.1:53x\" needs a port from 1 to 65535");
	assert_refused("2001:db8::1:53",
		       "\"2001:db8::1:53\" is ambiguous: write an IPv6 address as [ADDRESS]:PORT");
	assert_refused("[2001:db8::g]:53",
		       "\"[2001:db8::g]:53\" has no IPv6 address in its brackets");
	assert_refused("[192.0.2.1]:53", "\"[192.0.2.1]:53\" has no IPv6 address in its brackets");
	assert_refused(":53", "\":53\" has no host: write 0.0.0.0 or [::] for all addresses");
	assert_refused("192.0.2.256:53", "\"192.0.2.256:53\" names no IP address or host");
	assert_refused("127.1:53", "\"127.1:53\" names no IP address or host");
	assert_refused("a b:53", "\"a b:53\" names no IP address or host");
	assert_refused("a..b:53", "\"a..b:53\" names no IP address or host");
	assert_refused("unix:", "\"unix:\" names no path after \"unix:\"");
}

static void test_too_long_is_refused(void)
{
	struct address address;
	char error[512];
	char text[512];

	memset(text, 'a', 300);
	memcpy(text + 300, ":53", 4);
	CU_ASSERT_EQUAL(address_parse(text, &address, error, sizeof(error)), -1);
	memcpy(text, "unix:/", 6);
	CU_ASSERT_EQUAL(address_parse(text, &address, error, sizeof(error)), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "is too long"));
}

static bool is_loopback(const char *text)
{
	struct address address;
	char error[256];

	CU_ASSERT_EQUAL_FATAL(address_parse(text, &address, error, sizeof(error)), 0);
	return address_is_loopback(&address);
}

static void test_loopback_is_told_from_the_rest(void)
{
	CU_ASSERT_TRUE(is_loopback("127.0.0.1:53"));
	CU_ASSERT_TRUE(is_loopback("127.255.0.2:53"));
	CU_ASSERT_TRUE(is_loopback("[::1]:53"));
	CU_ASSERT_TRUE(is_loopback("[::ffff:127.0.0.1]:53"));
	CU_ASSERT_TRUE(is_loopback("unix:/run/godwit.sock"));
	CU_ASSERT_FALSE(is_loopback("0.0.0.0:53"));
	CU_ASSERT_FALSE(is_loopback("128.0.0.1:53"));
	CU_ASSERT_FALSE(is_loopback("[::]:53"));
	CU_ASSERT_FALSE(is_loopback("[::ffff:192.0.2.1]:53"));
	CU_ASSERT_TRUE(is_loopback("localhost:53")); /* RFC 6761 section 6.3 */
	CU_ASSERT_FALSE(is_loopback("localhost.example:53"));
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"literals come back as written", test_literals_come_back_as_written},
		{"names are split and not looked up", test_names_are_split_and_not_looked_up},
		{"unix sockets have paths", test_unix_sockets_have_paths},
		{"what is no address is refused", test_what_is_no_address_is_refused},
		{"too long is refused", test_too_long_is_refused},
		{"loopback is told from the rest", test_loopback_is_told_from_the_rest},
	};
	return SUITE_RUN("address", tests);
}
