/* The words for BGP's errors: ours, and a peer's, whatever octets those are. */
#include "announcer/bgp_error.h"
#include "bgp_wire.h"
#include "suite.h"

static void assert_words(uint8_t code, uint8_t subcode, const char *expected)
{
	char words[BGP_ERROR_MAX];

	CU_ASSERT_STRING_EQUAL(bgp_error_format(code, subcode, words, sizeof(words)), expected);
}

static void test_errors_have_words(void)
{
	assert_words(1, 1, "bad message header: connection not synchronized");
	assert_words(2, 2, "bad OPEN: bad peer AS");
	assert_words(2, 0, "bad OPEN");
	assert_words(3, 11, "bad UPDATE: malformed AS_PATH");
	assert_words(4, 0, "hold timer expired");
	assert_words(5, 3, "unexpected message: in Established");
	assert_words(6, 0, "ceased, no reason given");
	assert_words(6, 2, "administrative shutdown");
	assert_words(6, 10, "BFD down");
	assert_words(6, 99, "error 6/99");
	assert_words(2, 200, "bad OPEN (2/200)");
	assert_words(8, 0, "send hold timer expired");
	assert_words(0, 0, "error 0/0");
	assert_words(255, 255, "error 255/255");
}

static void assert_received(uint8_t subcode, const char *data, const char *expected)
{
	uint8_t octets[WIRE_MAX];
	size_t size = wire_hex(data, octets);
	char words[BGP_ERROR_MAX];

	CU_ASSERT_STRING_EQUAL(bgp_error_format_received(6, subcode, octets, size, words),
			       expected);
}

static void test_a_peers_message_is_shown_and_safe(void)
{
	assert_received(2, "", "peer closed: administrative shutdown");
	assert_received(2, "00", "peer closed: administrative shutdown");
	assert_received(2, "03 62 79 65", "peer closed: administrative shutdown \"bye\"");
	assert_received(4, "03 62 79 65 ff", "peer closed: administrative reset \"bye\"");
	/* Longer than what came: the words are dropped, the close counts. */
	assert_received(2, "04 62 79 65", "peer closed: administrative shutdown");
	/* Only these two carry one. */
	assert_received(3, "03 62 79 65", "peer closed: peer de-configured");
	/* A line break, an escape, a NUL, C1, "turn the direction", half a character, overlong,
	 * a surrogate, beyond Unicode. */
	assert_received(2, "04 0a 1b 00 7f", "peer closed: administrative shutdown \"????\"");
	assert_received(2, "02 c29b", "peer closed: administrative shutdown \"?\"");
	assert_received(2, "03 e280ae", "peer closed: administrative shutdown \"?\"");
	assert_received(2, "04 61 e282 62", "peer closed: administrative shutdown \"a??b\"");
	assert_received(2, "02 c0af", "peer closed: administrative shutdown \"??\"");
	assert_received(2, "03 eda080", "peer closed: administrative shutdown \"???\"");
	assert_received(2, "04 f4908080", "peer closed: administrative shutdown \"????\"");
	assert_received(2, "03 e282ac", "peer closed: administrative shutdown \"\xe2\x82\xac\"");
	assert_received(2, "04 f09f9880",
			"peer closed: administrative shutdown \"\xf0\x9f\x98\x80\"");
}

static void test_a_peers_longest_message_is_shown_whole(void)
{
	uint8_t data[256];
	char words[BGP_ERROR_MAX];

	memset(data, 'x', sizeof(data));
	data[0] = 255;
	bgp_error_format_received(6, 2, data, sizeof(data), words);
	CU_ASSERT_EQUAL(strlen(words), strlen("peer closed: administrative shutdown \"\"") + 255);
	CU_ASSERT_EQUAL(words[strlen(words) - 1], '"');
}

static void test_our_message_is_cut_between_characters(void)
{
	char message[400];
	uint8_t out[BGP_SHUTDOWN_MESSAGE_MAX + 1];

	CU_ASSERT_TRUE(wire_is(out, bgp_shutdown_write("bye", out), "03 627965"));
	CU_ASSERT_TRUE(wire_is(out, bgp_shutdown_write("", out), "00"));
	memset(message, 'x', sizeof(message));
	message[399] = '\0';
	CU_ASSERT_EQUAL(bgp_shutdown_write(message, out), 256);
	CU_ASSERT_EQUAL(out[0], 255);
	memcpy(message + 253, "\xe2\x82\xac", 3); /* would end one octet too far */
	CU_ASSERT_EQUAL(bgp_shutdown_write(message, out), 254);
	CU_ASSERT_EQUAL(out[0], 253);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"errors have words", test_errors_have_words},
		{"a peer's message is shown, and safe", test_a_peers_message_is_shown_and_safe},
		{"a peer's longest message is shown whole",
		 test_a_peers_longest_message_is_shown_whole},
		{"our message is cut between characters",
		 test_our_message_is_cut_between_characters},
	};

	return SUITE_RUN("bgp_error", tests);
}
