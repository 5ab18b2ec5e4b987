/* A BGP session against a peer that is played by the test: messages, hostile octets and time. */
#include "announcer/bgp_error.h"
#include "announcer/bgp_session.h"
#include "bgp_wire.h"
#include "suite.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdlib.h>

#define KEEPALIVE MARKER "0013 04"
#define START_MS 1000000 /* when each session begins */

/* The peer's OPEN: AS 64513, 192.0.2.2, both families, route refresh, 4-octet AS numbers. */
#define PEER_OPEN(hold)                                                                            \
	"04 fc01 " hold " c0000202 16 0214 0104 00010001 0104 00020001 0200"                       \
	" 4104 0000fc01"

static const struct bgp_session_options external = {
	.local_as = 64512,
	.peer_as = 64513,
	.router_id = 0xc0000201,
	.hold_time_s = 9,
	.ipv4 = true,
	.ipv6 = true,
};

static struct bgp_session *session;
static int64_t now_ms;

/* ---- The peer ---- */

static void start(const struct bgp_session_options *options)
{
	now_ms = START_MS;
	session = bgp_session_create(options, now_ms);
	CU_ASSERT_PTR_NOT_NULL_FATAL(session);
}

/* Everything that waits is read by the peer, and has to be these octets. */
static int reads(const char *expected)
{
	struct evbuffer *output = bgp_session_output(session);
	size_t size = evbuffer_get_length(output);
	int same = wire_is(evbuffer_pullup(output, -1), size, expected);

	evbuffer_drain(output, size);
	return same;
}

static void reads_all(void)
{
	struct evbuffer *output = bgp_session_output(session);
	evbuffer_drain(output, evbuffer_get_length(output));
}

static void sends(uint8_t type, const char *body)
{
	uint8_t message[WIRE_MAX];
	size_t size = wire_message(type, body, message);
	bgp_session_receive(session, message, size, now_ms);
}

/* A session whose OPENs and KEEPALIVEs have gone both ways; what we sent is read. */
static void establish(const struct bgp_session_options *options, const char *peer_open)
{
	start(options);
	sends(1, peer_open);
	sends(4, "");
	CU_ASSERT_EQUAL_FATAL(bgp_session_state(session), BGP_ESTABLISHED);
	reads_all();
}

static struct bgp_session_counts counts(void)
{
	struct bgp_session_counts out;
	bgp_session_read_counts(session, &out);
	return out;
}

static void assert_closed(const char *error, const char *notification)
{
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_CLOSED);
	CU_ASSERT_STRING_EQUAL(bgp_session_error(session), error);
	CU_ASSERT_TRUE(reads(notification));
	CU_ASSERT_EQUAL(bgp_session_deadline(session), INT64_MAX);
	CU_ASSERT_EQUAL(bgp_session_announced(session), 0);
	/* It stays so, whatever comes. */
	sends(4, "");
	bgp_session_tick(session, INT64_MAX);
	bgp_session_lost(session, "too late");
	bgp_session_close(session, BGP_ERROR_CEASE, 0, NULL, "too late");
	CU_ASSERT_STRING_EQUAL(bgp_session_error(session), error);
	CU_ASSERT_TRUE(reads(""));
	bgp_session_destroy(session);
}

static struct bgp_route make_route(const char *text)
{
	struct bgp_route route = {0};
	char error[128];

	CU_ASSERT_EQUAL_FATAL(prefix_parse(text, &route.prefix, error, sizeof(error)), 0);
	inet_pton(route.prefix.family,
		  route.prefix.family == AF_INET ? "198.51.100.1" : "2001:db8:1::1",
		  route.next_hop);
	return route;
}

#define UPDATE_53                                                                                  \
	MARKER "0030 02 0000 0014 400101 00 400206 0201 0000fc00 400304 c6336401 20c0000235"

/* ---- From the connection to Established ---- */

static void test_a_session_comes_up(void)
{
	uint32_t peer_id = 0;

	start(&external);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_OPEN_SENT);
	CU_ASSERT_FALSE(bgp_session_peer_id(session, &peer_id));
	CU_ASSERT_FALSE(bgp_session_has_family(session, AF_INET));
	CU_ASSERT_TRUE(reads(MARKER "0033 01 04 fc00 0009 c0000201 16 0214"
				    "0104 00010001 0104 00020001 0200 4104 0000fc00"));
	sends(1, PEER_OPEN("0006"));
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_OPEN_CONFIRM);
	CU_ASSERT_TRUE(bgp_session_peer_id(session, &peer_id));
	CU_ASSERT_EQUAL(peer_id, 0xc0000202);
	CU_ASSERT_EQUAL(bgp_session_hold_time(session), 6);
	CU_ASSERT_TRUE(bgp_session_has_family(session, AF_INET));
	CU_ASSERT_TRUE(bgp_session_has_family(session, AF_INET6));
	CU_ASSERT_TRUE(reads(KEEPALIVE));
	sends(4, "");
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	CU_ASSERT_TRUE(reads(""));
	CU_ASSERT_STRING_EQUAL(bgp_session_error(session), "");
	CU_ASSERT_EQUAL(counts().messages_received, 2);
	CU_ASSERT_EQUAL(counts().messages_sent, 2);
	bgp_session_destroy(session);
	bgp_session_destroy(NULL);
}

static void test_octets_may_come_one_by_one_or_all_at_once(void)
{
	uint8_t octets[WIRE_MAX];
	size_t size = wire_message(1, PEER_OPEN("0009"), octets);

	size += wire_hex(KEEPALIVE, octets + size);
	size += wire_hex(MARKER "0017 02 00000000", octets + size);
	size += wire_hex(KEEPALIVE, octets + size);
	start(&external);
	for (size_t i = 0; i < size; i++)
		bgp_session_receive(session, octets + i, 1, now_ms);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	CU_ASSERT_EQUAL(counts().messages_received, 4);
	CU_ASSERT_EQUAL(counts().updates_received, 1);
	bgp_session_destroy(session);

	start(&external);
	bgp_session_receive(session, octets, size, now_ms);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	CU_ASSERT_EQUAL(counts().messages_received, 4);
	bgp_session_destroy(session);
}

static void test_a_bad_open_is_told_why(void)
{
	start(&external);
	reads_all();
	sends(1, "04 fc02 0009 c0000202 00");
	assert_closed("bad peer AS: its OPEN says 64514, expected 64513", MARKER "0015 03 0202");

	start(&external);
	reads_all();
	sends(1, "03 fc01 0009 c0000202 00");
	assert_closed("peer speaks BGP version 3, not 4", MARKER "0017 03 0201 0004");

	start(&external);
	reads_all();
	sends(1, "04 fc01 0002 c0000202 00");
	assert_closed("unacceptable hold time: peer offers 2 s", MARKER "0015 03 0206");
}

static void test_what_is_not_bgp_is_told_so(void)
{
	const char *http = "GET /metrics HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n";

	start(&external);
	reads_all();
	bgp_session_receive(session, (const uint8_t *)http, strlen(http), now_ms);
	assert_closed("peer sent no BGP: a message without its marker", MARKER "0015 03 0101");
}

static void test_a_message_at_the_wrong_time_is_refused(void)
{
	start(&external);
	reads_all();
	sends(4, "");
	assert_closed("peer sent a message KEEPALIVE, unexpected in OpenSent",
		      MARKER "0016 03 0501 04");
	start(&external);
	reads_all();
	sends(2, "0000 0000");
	assert_closed("peer sent a message UPDATE, unexpected in OpenSent",
		      MARKER "0016 03 0501 02");
	start(&external);
	sends(1, PEER_OPEN("0009"));
	reads_all();
	sends(1, PEER_OPEN("0009"));
	assert_closed("peer sent a message OPEN, unexpected in OpenConfirm",
		      MARKER "0016 03 0502 01");
	start(&external);
	sends(1, PEER_OPEN("0009"));
	reads_all();
	sends(5, "0001 00 01");
	assert_closed("peer sent a message ROUTE-REFRESH, unexpected in OpenConfirm",
		      MARKER "0016 03 0502 05");
	establish(&external, PEER_OPEN("0009"));
	sends(1, PEER_OPEN("0009"));
	assert_closed("peer sent a message OPEN, unexpected in Established",
		      MARKER "0016 03 0503 01");
}

/* ---- Routes ---- */

static void test_routes_wait_for_established(void)
{
	struct bgp_route route = make_route("192.0.2.53/32");

	start(&external);
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, &route, 1), 0);
	sends(1, PEER_OPEN("0009"));
	reads_all();
	CU_ASSERT_EQUAL(bgp_session_announced(session), 0);
	sends(4, "");
	CU_ASSERT_TRUE(reads(UPDATE_53));
	CU_ASSERT_EQUAL(bgp_session_announced(session), 1);
	CU_ASSERT_TRUE(bgp_session_has_announced(session, &route.prefix));
	CU_ASSERT_EQUAL(counts().updates_sent, 1);

	CU_ASSERT_EQUAL(bgp_session_set_routes(session, NULL, 0), 0);
	CU_ASSERT_TRUE(reads(MARKER "001c 02 0005 20c0000235 0000"));
	CU_ASSERT_FALSE(bgp_session_has_announced(session, &route.prefix));
	bgp_session_destroy(session);
}

static void test_a_family_the_peer_does_not_offer_is_kept_from_it(void)
{
	struct bgp_route routes[] = {make_route("2001:db8::53/128"), make_route("192.0.2.53/32")};

	/* No capabilities at all: IPv4, and AS numbers of 2 octets. */
	establish(&external, "04 fc01 0009 c0000202 00");
	CU_ASSERT_TRUE(bgp_session_has_family(session, AF_INET));
	CU_ASSERT_FALSE(bgp_session_has_family(session, AF_INET6));
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, routes, 2), 0);
	CU_ASSERT_TRUE(reads(MARKER "002e 02 0000 0012 400101 00 400204 0201 fc00"
				    "400304 c6336401 20c0000235"));
	CU_ASSERT_EQUAL(bgp_session_announced(session), 1);
	CU_ASSERT_FALSE(bgp_session_has_announced(session, &routes[0].prefix));
	bgp_session_destroy(session);
}

static void test_internal_peers_get_local_preference(void)
{
	struct bgp_session_options internal = external;
	struct bgp_route route = make_route("192.0.2.53/32");

	internal.peer_as = internal.local_as;
	route.local_pref = 200;
	establish(&internal, "04 fc00 0009 c0000202 08 0206 4104 0000fc00");
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, &route, 1), 0);
	CU_ASSERT_TRUE(reads(MARKER "0031 02 0000 0015 400101 00 400200 400304 c6336401"
				    "400504 000000c8 20c0000235"));
	bgp_session_destroy(session);
}

static void test_refresh_is_answered_once_for_each_piece_of_input(void)
{
	struct bgp_route routes[] = {make_route("192.0.2.53/32"), make_route("2001:db8::53/128")};
	uint8_t octets[WIRE_MAX];
	size_t size = 0;

	establish(&external, PEER_OPEN("0009"));
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, routes, 2), 0);
	reads_all();
	sends(5, "0001 00 01");
	CU_ASSERT_TRUE(reads(UPDATE_53));
	for (int i = 0; i < 100; i++)
		size += wire_message(5, "0001 00 01", octets + size);
	bgp_session_receive(session, octets, size, now_ms);
	CU_ASSERT_TRUE(reads(UPDATE_53));
	CU_ASSERT_EQUAL(counts().refreshes_received, 101);

	/* Not asked for: another AFI, another SAFI, RFC 7313's marks, filters behind it. */
	sends(5, "4004 00 01");
	sends(5, "0001 00 80");
	sends(5, "0001 01 01");
	sends(5, "0001 02 01");
	sends(5, "0001 ff 01");
	CU_ASSERT_TRUE(reads(""));
	sends(5, "0001 00 01 01 80 0001 00");
	CU_ASSERT_TRUE(reads(UPDATE_53));
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	bgp_session_destroy(session);
}

static void test_routes_of_the_peer_are_counted_and_dropped(void)
{
	establish(&external, PEER_OPEN("0009"));
	sends(2, "0000 0014 400101 00 400206 0201 0000fc01 400304 c0000202 18c63364 18c63365");
	CU_ASSERT_EQUAL(counts().routes_received, 2);
	CU_ASSERT_EQUAL(counts().malformed_received, 0);
	CU_ASSERT_STRING_EQUAL(bgp_session_warning(session), "");
	/* No ORIGIN: the routes are taken for withdrawn, the session stays. */
	sends(2, "0000 0010 400206 0201 0000fc01 400304 c0000202 18c63364");
	CU_ASSERT_EQUAL(counts().routes_received, 2);
	CU_ASSERT_EQUAL(counts().malformed_received, 1);
	CU_ASSERT_EQUAL(counts().updates_received, 2);
	CU_ASSERT_STRING_EQUAL(bgp_session_warning(session), "no ORIGIN");
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	CU_ASSERT_TRUE(reads(""));
	/* A prefix of 33 bits: nobody knows what it was to be. */
	sends(2, "0000 0000 21c633640100");
	assert_closed("peer's UPDATE has a prefix that cannot be", MARKER "0015 03 030a");
}

static void test_a_fault_gets_its_attribute_back(void)
{
	establish(&external, PEER_OPEN("0009"));
	sends(2, "0000 0007 800e04 00020100");
	assert_closed("peer's UPDATE has multiprotocol routes that are cut off (attribute 14)",
		      MARKER "001c 03 0309 800e04 00020100");
}

/* ---- The end ---- */

static void test_a_notification_ends_it_in_words(void)
{
	establish(&external, PEER_OPEN("0009"));
	sends(3, "04 00");
	assert_closed("peer closed: hold timer expired", "");
	establish(&external, PEER_OPEN("0009"));
	sends(3, "06 02 09 6d61696e740a6e6f77");
	assert_closed("peer closed: administrative shutdown \"maint?now\"", "");
	start(&external);
	reads_all();
	sends(3, "02 02 fc00");
	assert_closed("peer closed: bad OPEN: bad peer AS", "");
	start(&external);
	sends(1, PEER_OPEN("0009"));
	reads_all();
	sends(3, "06 07");
	assert_closed("peer closed: connection collision resolution", "");
}

static void test_closing_tells_the_peer_why(void)
{
	establish(&external, PEER_OPEN("0009"));
	bgp_session_close(session, BGP_ERROR_CEASE, BGP_CEASE_ADMIN_SHUTDOWN, "bye", "shut down");
	assert_closed("shut down", MARKER "0019 03 0602 03 627965");
	establish(&external, PEER_OPEN("0009"));
	bgp_session_close(session, BGP_ERROR_CEASE, BGP_CEASE_BFD_DOWN, "not sent", NULL);
	assert_closed("BFD down", MARKER "0015 03 060a");
	start(&external);
	reads_all();
	bgp_session_close(session, BGP_ERROR_CEASE, BGP_CEASE_COLLISION, NULL, "another one won");
	assert_closed("another one won", MARKER "0015 03 0607");
}

static void test_a_lost_connection_has_its_reason(void)
{
	establish(&external, PEER_OPEN("0009"));
	bgp_session_lost(session, "Connection reset by peer");
	assert_closed("Connection reset by peer", "");
	/* What the peer said before it hung up is the better reason. */
	establish(&external, PEER_OPEN("0009"));
	sends(3, "06 04");
	bgp_session_lost(session, "Connection reset by peer");
	assert_closed("peer closed: administrative reset", "");
}

static void test_what_follows_the_end_is_not_looked_at(void)
{
	uint8_t octets[WIRE_MAX];

	establish(&external, PEER_OPEN("0009"));
	size_t size = wire_message(3, "06 04", octets);
	memset(octets + size, 0xaa, 1000);
	bgp_session_receive(session, octets, size + 1000, now_ms);
	assert_closed("peer closed: administrative reset", "");
}

/* ---- Time ---- */

static void test_silence_before_the_open_ends_after_4_minutes(void)
{
	start(&external);
	reads_all();
	CU_ASSERT_EQUAL(bgp_session_deadline(session), START_MS + 240000);
	bgp_session_tick(session, START_MS + 239999);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_OPEN_SENT);
	/* Half an OPEN is silence. */
	bgp_session_receive(session, (const uint8_t *)"\xff\xff", 2, START_MS + 239999);
	bgp_session_tick(session, START_MS + 240000);
	assert_closed("hold timer expired: peer sent no OPEN", MARKER "0015 03 0400");
}

static void test_silence_ends_it_after_the_hold_time(void)
{
	struct bgp_session_options options = external;

	options.hold_time_s = 90;
	establish(&options, PEER_OPEN("0006"));
	now_ms += 5999;
	bgp_session_tick(session, now_ms);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	reads_all();
	/* KEEPALIVE and UPDATE start it again; ROUTE-REFRESH does not. */
	sends(4, "");
	now_ms += 5999;
	sends(2, "0000 0000");
	now_ms += 5999;
	bgp_session_tick(session, now_ms);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	reads_all();
	sends(5, "0001 00 01");
	now_ms += 1;
	bgp_session_tick(session, now_ms);
	assert_closed("hold timer expired: nothing heard from peer", MARKER "0015 03 0400");
}

static void test_open_confirm_has_the_hold_time_too(void)
{
	start(&external);
	sends(1, PEER_OPEN("0009"));
	reads_all();
	now_ms += 9000;
	bgp_session_tick(session, now_ms);
	assert_closed("hold timer expired: nothing heard from peer", MARKER "0015 03 0400");
}

static void test_keepalives_go_out_with_jitter(void)
{
	struct bgp_session_options options = external;
	int64_t shortest = INT64_MAX;
	int64_t longest = 0;

	options.hold_time_s = 90;
	establish(&options, PEER_OPEN("005a"));
	for (int i = 0; i < 200; i++) {
		int64_t deadline = bgp_session_deadline(session);
		int64_t wait = deadline - now_ms;
		shortest = wait < shortest ? wait : shortest;
		longest = wait > longest ? wait : longest;
		bgp_session_tick(session, deadline - 1);
		CU_ASSERT_TRUE(reads(""));
		now_ms = deadline;
		bgp_session_tick(session, now_ms);
		CU_ASSERT_TRUE(reads(KEEPALIVE));
		sends(4, "");
	}
	CU_ASSERT_TRUE(shortest >= 22500 && longest <= 30000);
	CU_ASSERT_TRUE(longest - shortest > 1000); /* 200 draws from 7.5 s */
	bgp_session_destroy(session);

	/* Not more often than once a second. */
	establish(&external, PEER_OPEN("0003"));
	CU_ASSERT_EQUAL(bgp_session_deadline(session), now_ms + 1000);
	bgp_session_destroy(session);
}

static void test_hold_time_0_has_no_timers(void)
{
	start(&external);
	sends(1, PEER_OPEN("0000"));
	CU_ASSERT_EQUAL(bgp_session_hold_time(session), 0);
	reads_all();
	/* But the wait for the KEEPALIVE has an end. */
	CU_ASSERT_EQUAL(bgp_session_deadline(session), START_MS + 240000);
	sends(4, "");
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	CU_ASSERT_EQUAL(bgp_session_deadline(session), INT64_MAX);
	bgp_session_tick(session, now_ms + (int64_t)365 * 86400 * 1000);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	CU_ASSERT_TRUE(reads(""));
	bgp_session_destroy(session);
}

static void test_after_a_leap_in_time_what_was_received_counts(void)
{
	/* We were stopped for an hour; the peer's KEEPALIVE waits in the socket. */
	establish(&external, PEER_OPEN("0009"));
	now_ms += 3600 * 1000;
	sends(4, "");
	bgp_session_tick(session, now_ms);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	CU_ASSERT_TRUE(reads(KEEPALIVE)); /* one, not 1200 */
	CU_ASSERT_TRUE(bgp_session_deadline(session) > now_ms);
	/* Nothing waits: the peer is gone. */
	now_ms += 3600 * 1000;
	bgp_session_tick(session, now_ms);
	assert_closed("hold timer expired: nothing heard from peer", MARKER "0015 03 0400");
}

/* ---- A peer that does not read ---- */

static void test_output_that_grows_without_end_closes_it(void)
{
	struct bgp_route route = make_route("192.0.2.53/32");
	struct evbuffer *output;
	int refreshes = 0;

	establish(&external, PEER_OPEN("0009"));
	output = bgp_session_output(session);
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, &route, 1), 0);
	while (bgp_session_state(session) == BGP_ESTABLISHED && refreshes++ < 100000)
		sends(5, "0001 00 01");
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_CLOSED);
	CU_ASSERT_STRING_EQUAL(bgp_session_error(session),
			       "peer does not read: 1 MiB waits to be sent");
	CU_ASSERT_TRUE(evbuffer_get_length(output) <= BGP_OUTPUT_MAX + 21);
	CU_ASSERT_TRUE(evbuffer_get_length(output) > BGP_OUTPUT_MAX - 100);
	evbuffer_drain(output, evbuffer_get_length(output) - 21);
	assert_closed("peer does not read: 1 MiB waits to be sent", MARKER "0015 03 0800");
}

static void test_output_that_does_not_move_closes_it(void)
{
	struct bgp_route route = make_route("192.0.2.53/32");

	/* Also without hold time: there is always a deadline while something waits. */
	establish(&external, PEER_OPEN("0000"));
	bgp_session_tick(session, now_ms);
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, &route, 1), 0);
	CU_ASSERT_TRUE(bgp_session_deadline(session) <= now_ms);
	bgp_session_tick(session, now_ms);
	CU_ASSERT_EQUAL(bgp_session_deadline(session), now_ms + BGP_SEND_HOLD_MS);
	now_ms += BGP_SEND_HOLD_MS - 1;
	/* An octet goes: the wait begins anew. */
	evbuffer_drain(bgp_session_output(session), 1);
	bgp_session_tick(session, now_ms);
	CU_ASSERT_EQUAL(bgp_session_deadline(session), now_ms + BGP_SEND_HOLD_MS);
	now_ms += BGP_SEND_HOLD_MS;
	bgp_session_tick(session, now_ms);
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_CLOSED);
	evbuffer_drain(bgp_session_output(session), 47);
	assert_closed("peer does not read: send hold timer expired", MARKER "0015 03 0800");
}

static void test_a_peer_that_reads_slowly_is_kept(void)
{
	establish(&external, PEER_OPEN("0009"));
	for (int i = 0; i < 2000; i++) {
		now_ms += 3000;
		sends(4, "");
		bgp_session_tick(session, now_ms);
		evbuffer_drain(bgp_session_output(session), 18);
	}
	CU_ASSERT_EQUAL(bgp_session_state(session), BGP_ESTABLISHED);
	bgp_session_destroy(session);
}

/* ---- Memory ---- */

static bool out_of_memory;

static void *scarce_malloc(size_t size)
{
	return out_of_memory ? NULL : malloc(size);
}

static void *scarce_realloc(void *memory, size_t size)
{
	return out_of_memory ? NULL : realloc(memory, size);
}

static void test_out_of_memory_closes_it(void)
{
	struct bgp_route route = make_route("192.0.2.53/32");

	out_of_memory = true;
	CU_ASSERT_PTR_NULL(bgp_session_create(&external, START_MS));
	out_of_memory = false;

	/* A withdrawal that cannot be sent must not be forgotten: the session's end withdraws. Not
	 * even the NOTIFICATION can be sent. */
	establish(&external, PEER_OPEN("0009"));
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, &route, 1), 0);
	reads_all();
	out_of_memory = true;
	CU_ASSERT_EQUAL(bgp_session_set_routes(session, NULL, 0), 0);
	out_of_memory = false;
	assert_closed("out of memory", "");
}

int main(void)
{
	const struct suite_test tests[] = {
		{"a session comes up", test_a_session_comes_up},
		{"octets may come one by one or all at once",
		 test_octets_may_come_one_by_one_or_all_at_once},
		{"a bad OPEN is told why", test_a_bad_open_is_told_why},
		{"what is not BGP is told so", test_what_is_not_bgp_is_told_so},
		{"a message at the wrong time is refused",
		 test_a_message_at_the_wrong_time_is_refused},
		{"routes wait for Established", test_routes_wait_for_established},
		{"a family the peer does not offer is kept from it",
		 test_a_family_the_peer_does_not_offer_is_kept_from_it},
		{"internal peers get local preference", test_internal_peers_get_local_preference},
		{"refresh is answered once for each piece of input",
		 test_refresh_is_answered_once_for_each_piece_of_input},
		{"routes of the peer are counted and dropped",
		 test_routes_of_the_peer_are_counted_and_dropped},
		{"a fault gets its attribute back", test_a_fault_gets_its_attribute_back},
		{"a NOTIFICATION ends it, in words", test_a_notification_ends_it_in_words},
		{"closing tells the peer why", test_closing_tells_the_peer_why},
		{"a lost connection has its reason", test_a_lost_connection_has_its_reason},
		{"what follows the end is not looked at",
		 test_what_follows_the_end_is_not_looked_at},
		{"silence before the OPEN ends after 4 minutes",
		 test_silence_before_the_open_ends_after_4_minutes},
		{"silence ends it after the hold time", test_silence_ends_it_after_the_hold_time},
		{"OpenConfirm has the hold time too", test_open_confirm_has_the_hold_time_too},
		{"KEEPALIVEs go out with jitter", test_keepalives_go_out_with_jitter},
		{"hold time 0 has no timers", test_hold_time_0_has_no_timers},
		{"after a leap in time what was received counts",
		 test_after_a_leap_in_time_what_was_received_counts},
		{"output that grows without end closes it",
		 test_output_that_grows_without_end_closes_it},
		{"output that does not move closes it", test_output_that_does_not_move_closes_it},
		{"a peer that reads slowly is kept", test_a_peer_that_reads_slowly_is_kept},
		{"out of memory closes it", test_out_of_memory_closes_it},
	};
	event_set_mem_functions(scarce_malloc, scarce_realloc, free);
	return SUITE_RUN("bgp_session", tests);
}
