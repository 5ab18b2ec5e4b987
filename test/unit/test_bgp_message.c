/* The header of every BGP message octet by octet, and the messages that are little more. */
#include "announcer/bgp_message.h"
#include "bgp_wire.h"
#include "suite.h"

static void assert_header_refused(const char *header, uint8_t subcode, const char *data)
{
	uint8_t octets[WIRE_MAX];
	struct bgp_fault fault = {0};

	CU_ASSERT_EQUAL_FATAL(wire_hex(header, octets), BGP_HEADER_SIZE);
	CU_ASSERT_EQUAL(bgp_message_check_header(octets, &fault), -1);
	CU_ASSERT_EQUAL(fault.code, BGP_ERROR_HEADER);
	CU_ASSERT_EQUAL(fault.subcode, subcode);
	CU_ASSERT_TRUE(wire_is(fault.data, fault.data_size, data));
	CU_ASSERT_NOT_EQUAL(fault.words[0], '\0');
}

static void test_bad_headers_are_named(void)
{
	assert_header_refused("ffffffffffffffff fffffffffffffffe 0013 04", 1, "");
	assert_header_refused("474554202f20485454502f312e310d0a 0013 04", 1, "");
	assert_header_refused(MARKER "0012 04", 2, "0012");
	assert_header_refused(MARKER "0000 04", 2, "0000");
	assert_header_refused(MARKER "1001 02", 2, "1001");
	assert_header_refused(MARKER "ffff 02", 2, "ffff");
	assert_header_refused(MARKER "001c 01", 2, "001c");
	assert_header_refused(MARKER "0016 02", 2, "0016");
	assert_header_refused(MARKER "0014 03", 2, "0014");
	assert_header_refused(MARKER "0014 04", 2, "0014");
	assert_header_refused(MARKER "0016 05", 2, "0016");
	assert_header_refused(MARKER "0013 00", 3, "00");
	assert_header_refused(MARKER "0013 06", 3, "06");
	assert_header_refused(MARKER "0013 ff", 3, "ff");
}

static void test_good_headers_give_the_size(void)
{
	const struct {
		const char *header;
		int size;
	} headers[] = {{MARKER "001d 01", 29},   {MARKER "1000 01", 4096}, {MARKER "0017 02", 23},
		       {MARKER "1000 02", 4096}, {MARKER "0015 03", 21},   {MARKER "0013 04", 19},
		       {MARKER "0017 05", 23}};
	struct bgp_fault fault;
	uint8_t octets[WIRE_MAX];

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		wire_hex(headers[i].header, octets);
		CU_ASSERT_EQUAL(bgp_message_check_header(octets, &fault), headers[i].size);
	}
}

static void test_small_messages_are_written(void)
{
	uint8_t out[BGP_MESSAGE_MAX];
	uint8_t data[5000] = {0xab, 0xcd};
	size_t size = bgp_message_write_keepalive(out);

	CU_ASSERT_TRUE(wire_is(out, size, MARKER "0013 04"));
	size = bgp_message_write_notification(out, 2, 6, NULL, 0);
	CU_ASSERT_TRUE(wire_is(out, size, MARKER "0015 03 02 06"));
	size = bgp_message_write_notification(out, 3, 1, data, 2);
	CU_ASSERT_TRUE(wire_is(out, size, MARKER "0017 03 03 01 abcd"));
	CU_ASSERT_EQUAL(bgp_message_write_notification(out, 3, 1, data, sizeof(data)),
			BGP_MESSAGE_MAX);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"bad headers are named", test_bad_headers_are_named},
		{"good headers give the size", test_good_headers_give_the_size},
		{"small messages are written", test_small_messages_are_written},
	};

	return SUITE_RUN("bgp_message", tests);
}
