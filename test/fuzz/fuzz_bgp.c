/*
 * A BGP session with a hostile peer: octets in pieces, messages whose header is good and whose body
 * is not, time that leaps, routes that come and go. The input says who the peer is and then, step
 * by step, what happens.
 *
 * Two sessions live through it, one handed each piece whole and one octet by octet: they have to
 * end alike. Everything they send has to be BGP as we would take it ourselves.
 */
#include "announcer/bgp_message.h"
#include "announcer/bgp_open.h"
#include "announcer/bgp_session.h"
#include "announcer/bgp_update.h"
#include "fuzz.h"

#include <event2/buffer.h>
#include <string.h>
#include <sys/socket.h>

#define ROUTES 4

/* The input's first octet. */
enum { INTERNAL = 1, LARGE_AS = 2, OLD_PEER = 4, ESTABLISHED = 8, NO_HOLD_TIME = 16, NO_IPV6 = 32 };

/* What is left of the input. */
struct input {
	const uint8_t *data;
	size_t size;
};

static uint8_t input_take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

struct run {
	struct bgp_session *session;
	struct bgp_agreement agreement;
	bool by_octet;
	bool notified; /* a NOTIFICATION was sent: nothing may follow */
};

static void run_receive(struct run *run, const uint8_t *data, size_t size, int64_t now_ms)
{
	if (!run->by_octet || size == 0) {
		bgp_session_receive(run->session, data, size, now_ms);
		return;
	}
	for (size_t i = 0; i < size; i++)
		bgp_session_receive(run->session, data + i, 1, now_ms);
}

/* All that was sent so far, read as a peer would. */
static void run_read_output(struct run *run)
{
	struct evbuffer *output = bgp_session_output(run->session);
	struct bgp_fault fault;
	struct bgp_update update;

	run->agreement.ipv4 = bgp_session_has_family(run->session, AF_INET);
	run->agreement.ipv6 = bgp_session_has_family(run->session, AF_INET6);
	while (evbuffer_get_length(output) > 0) {
		const uint8_t *message = evbuffer_pullup(output, -1);
		FUZZ_CHECK(!run->notified);
		FUZZ_CHECK(evbuffer_get_length(output) >= BGP_HEADER_SIZE);
		int size = bgp_message_check_header(message, &fault);
		FUZZ_CHECK(size > 0 && (size_t)size <= evbuffer_get_length(output));
		run->notified = bgp_message_type(message) == BGP_MESSAGE_NOTIFICATION;
		if (bgp_message_type(message) == BGP_MESSAGE_UPDATE) {
			FUZZ_CHECK(bgp_update_read(message, (size_t)size, &run->agreement, &update,
						   &fault) == 0);
			FUZZ_CHECK(update.problem[0] == '\0');
			FUZZ_CHECK(update.announced + update.withdrawn > 0);
		}
		evbuffer_drain(output, (size_t)size);
	}
	FUZZ_CHECK(!run->notified || bgp_session_state(run->session) == BGP_CLOSED);
}

static void run_check(const struct run *run)
{
	const struct bgp_session *session = run->session;
	const char *error = bgp_session_error(session);
	bool closed = bgp_session_state(session) == BGP_CLOSED;

	FUZZ_CHECK(closed == (error[0] != '\0'));
	for (; *error; error++)
		FUZZ_CHECK((uint8_t)*error >= 0x20 && *error != 0x7f);
	FUZZ_CHECK(!closed || bgp_session_deadline(session) == INT64_MAX);
	FUZZ_CHECK(bgp_session_announced(session) <= ROUTES);
	FUZZ_CHECK(bgp_session_announced(session) == 0 ||
		   bgp_session_state(session) == BGP_ESTABLISHED);
}

static void run_set_routes(struct run *run, uint8_t choice)
{
	struct bgp_route routes[ROUTES] = {0};
	size_t count = 0;

	for (unsigned int i = 0; i < ROUTES; i++) {
		if (!(choice & (1u << i)))
			continue;
		struct bgp_route *route = &routes[count++];
		route->prefix.family = i % 2 ? AF_INET6 : AF_INET;
		route->prefix.length = i % 2 ? 128 : 32;
		route->prefix.address[3] = (uint8_t)(i + 1);
		route->next_hop[0] = 192;
		route->has_med = choice & 0x10;
		route->prepend = choice & 0x20 ? BGP_PREPEND_MAX : 0;
		route->community_count = choice & 0x40 ? BGP_COMMUNITIES_MAX : 0;
		route->large_count = choice & 0x80 ? BGP_LARGE_COMMUNITIES_MAX : 0;
	}
	FUZZ_CHECK(bgp_session_set_routes(run->session, routes, count) == 0);
}

/* A message with a good header around the body that is next in the input, cut where that ends. */
static void run_message(struct run *run, uint8_t type, const uint8_t *body, size_t size,
			int64_t now_ms)
{
	uint8_t message[BGP_MESSAGE_MAX];

	memcpy(bgp_message_put_header(message, type, BGP_HEADER_SIZE + size), body, size);
	run_receive(run, message, BGP_HEADER_SIZE + size, now_ms);
}

/* The same body alone, in memory of its size: reading past its end is seen. */
static void read_alone(const struct run *run, uint8_t type, const uint8_t *body, size_t size)
{
	static const struct bgp_session_options options = {
		.local_as = 64512, .peer_as = 64513, .router_id = 1, .ipv4 = true, .ipv6 = true};
	uint8_t *message = malloc(BGP_HEADER_SIZE + size);
	struct bgp_fault fault = {0};
	struct bgp_update update;
	struct bgp_open open;
	int result = 0;

	FUZZ_CHECK(message);
	memcpy(bgp_message_put_header(message, type, BGP_HEADER_SIZE + size), body, size);
	int total = bgp_message_check_header(message, &fault);
	if (total > 0 && type == BGP_MESSAGE_OPEN)
		result = bgp_open_read(message, (size_t)total, &options, &open, &fault);
	else if (total > 0 && type == BGP_MESSAGE_UPDATE)
		result = bgp_update_read(message, (size_t)total, &run->agreement, &update, &fault);
	FUZZ_CHECK(result == 0 || fault.words[0]);
	FUZZ_CHECK(result == 0 || fault.data_size <= BGP_HEADER_SIZE + size);
	if (result != 0 && fault.data_size > 0) /* what the peer would get is of its message */
		memmove(message, fault.data, fault.data_size);
	free(message);
}

/* One step for both sessions. */
static void step(struct run runs[2], struct input *input, uint8_t kind, int64_t *now_ms)
{
	static const uint8_t nothing[1];
	uint8_t what = input_take(input);
	uint8_t type = (what & 3) == 1 ? input_take(input) : 0;
	uint8_t choice = (what & 3) >= 2 ? input_take(input) : 0;
	size_t size = (what & 3) < 2 ? input_take(input) : 0;

	/* 0x40: the peer does not read for now. But not for long where KEEPALIVEs go out at random,
	 * or the two sessions would give up at different times. */
	bool must_read = (what & 3) == 2 && !(kind & NO_HOLD_TIME);
	if (what & 0x80)
		size *= 8;
	if (size > input->size)
		size = input->size;
	const uint8_t *data = size > 0 ? input->data : nothing;
	input->data += size;
	input->size -= size;
	if ((what & 3) == 2)
		*now_ms += (int64_t)choice * (what & 0x80 ? 100000 : 100);
	if ((what & 3) == 1)
		read_alone(&runs[0], type, data, size);
	for (int i = 0; i < 2; i++) {
		if ((what & 3) == 0)
			run_receive(&runs[i], data, size, *now_ms);
		else if ((what & 3) == 1)
			run_message(&runs[i], type, data, size, *now_ms);
		else if ((what & 3) == 2)
			bgp_session_tick(runs[i].session, *now_ms);
		else
			run_set_routes(&runs[i], choice);
		if (!(what & 0x40) || must_read)
			run_read_output(&runs[i]);
		run_check(&runs[i]);
	}
}

static void start(struct run *run, uint8_t kind, int64_t now_ms)
{
	static const uint8_t old_open[] = {4, 0xfc, 1, 0, 9, 192, 0, 2, 2,
					   8, 2,    6, 1, 4, 0,   1, 0, 1};
	static const uint8_t open[] = {4, 0xfc, 1, 0, 9, 192, 0, 2, 2, 22, 2,  20, 1, 4, 0,    1,
				       0, 1,    1, 4, 0, 2,   0, 1, 2, 0,  65, 4,  0, 0, 0xfc, 1};
	struct bgp_session_options options = {
		.local_as = kind & INTERNAL   ? 64513
			    : kind & LARGE_AS ? 4200000000
					      : 64512,
		.peer_as = 64513,
		.router_id = 1,
		.hold_time_s = kind & NO_HOLD_TIME ? 0 : 9,
		.ipv4 = true,
		.ipv6 = !(kind & NO_IPV6),
	};

	run->session = bgp_session_create(&options, now_ms);
	FUZZ_CHECK(run->session);
	run->agreement.local_as = options.local_as;
	run->agreement.internal = kind & INTERNAL;
	run->agreement.as4 = !(kind & OLD_PEER);
	if (!(kind & ESTABLISHED))
		return;
	if (kind & OLD_PEER)
		run_message(run, BGP_MESSAGE_OPEN, old_open, sizeof(old_open), now_ms);
	else
		run_message(run, BGP_MESSAGE_OPEN, open, sizeof(open), now_ms);
	run_message(run, BGP_MESSAGE_KEEPALIVE, open, 0, now_ms);
	FUZZ_CHECK(bgp_session_state(run->session) == BGP_ESTABLISHED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run runs[2] = {{.by_octet = false}, {.by_octet = true}};
	struct input input = {data, size};
	uint8_t kind = input_take(&input);
	int64_t now_ms = 1000;

	for (int i = 0; i < 2; i++)
		start(&runs[i], kind, now_ms);
	while (input.size > 0) {
		/* After an OPEN from the input AS_PATH's width is not known here: no routes. */
		if (!(kind & ESTABLISHED) && (input.data[0] & 3) == 3)
			input_take(&input);
		else
			step(runs, &input, kind, &now_ms);
	}

	struct bgp_session_counts counts[2];
	for (int i = 0; i < 2; i++)
		bgp_session_read_counts(runs[i].session, &counts[i]);
	FUZZ_CHECK(bgp_session_state(runs[0].session) == bgp_session_state(runs[1].session));
	FUZZ_CHECK(strcmp(bgp_session_error(runs[0].session), bgp_session_error(runs[1].session)) ==
		   0);
	FUZZ_CHECK(counts[0].messages_received == counts[1].messages_received);
	FUZZ_CHECK(counts[0].routes_received == counts[1].routes_received);
	FUZZ_CHECK(counts[0].malformed_received == counts[1].malformed_received);
	for (int i = 0; i < 2; i++) {
		run_read_output(&runs[i]);
		bgp_session_destroy(runs[i].session);
	}
	return 0;
}
