/* Helpers of the speaker's tests; see the header. */
#include "speaker_fixture.h"

#include "common/clock.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOP_TICK_MS 2
#define MESSAGE_HEADER 19

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "the test cannot run: %s: %s\n", what, strerror(errno));
	abort();
}

/* --- the loop --------------------------------------------------------------------------------- */

static void loop_on_tick(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	struct loop *loop = ctx;
	int64_t now_ms = clock_now_ms();
	int64_t gap_ms = now_ms - loop->tick_ms;
	loop->machine_ms += gap_ms < 5 * LOOP_TICK_MS ? gap_ms : 5 * LOOP_TICK_MS;
	loop->tick_ms = now_ms;
}

void loop_start(struct loop *loop)
{
	const struct timeval tick = {.tv_usec = LOOP_TICK_MS * 1000};
	loop->base = event_base_new();
	need(loop->base, "event loop");
	loop->tick_ms = clock_now_ms();
	loop->machine_ms = 0;
	loop->tick = event_new(loop->base, -1, EV_PERSIST, loop_on_tick, loop);
	need(loop->tick && event_add(loop->tick, &tick) == 0, "timer");
	loop->metrics = metrics_create(announcer_metric_defs, ANNOUNCER_METRIC_COUNT);
	loop->shard = metrics_shard_create(loop->metrics);
}

void loop_stop(struct loop *loop)
{
	event_free(loop->tick);
	event_base_free(loop->base);
	metrics_destroy(loop->metrics);
}

bool loop_until(struct loop *loop, bool (*is_true)(void *ctx), void *ctx)
{
	int64_t end_ms = loop->machine_ms + FIXTURE_DEADLINE_MS;
	while (!is_true(ctx)) {
		if (loop->machine_ms > end_ms)
			return false;
		event_base_loop(loop->base, EVLOOP_ONCE);
	}
	return true;
}

void loop_for(struct loop *loop, int ms)
{
	int64_t end_ms = clock_now_ms() + ms;
	while (clock_now_ms() < end_ms)
		event_base_loop(loop->base, EVLOOP_ONCE);
}

uint64_t loop_count(struct loop *loop, enum announcer_metric id)
{
	return metrics_read(loop->metrics, id);
}

/* --- addresses -------------------------------------------------------------------------------- */

struct address fixture_address(const char *host, unsigned short port)
{
	struct address address;
	char text[ADDRESS_TEXT_MAX];
	char error[256];
	snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
		 port == 0 ? 1U : port);
	need(address_parse(text, &address, error, sizeof(error)) == 0, text);
	((struct sockaddr_in *)&address.addr)->sin_port = htons(port); /* IPv6's is there too */
	return address;
}

unsigned short fixture_find_port(const char *host)
{
	struct address address = fixture_address(host, 0);
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address.addr;
	socklen_t size = address.addr_size;
	int fd = socket(address.addr.ss_family, SOCK_STREAM, 0);
	need(fd >= 0 && bind(fd, (struct sockaddr *)&address.addr, size) == 0 &&
		     getsockname(fd, (struct sockaddr *)&address.addr, &size) == 0,
	     "no free port");
	close(fd);
	return ntohs(v4->sin_port);
}

/* --- nodes ------------------------------------------------------------------------------------ */

void node_init(struct node *node, struct loop *loop, uint32_t as, uint32_t router_id,
	       struct address listen, uint32_t peer_as, struct address peer)
{
	memset(node, 0, sizeof(*node));
	node->loop = loop;
	node->listen = listen;
	snprintf(node->description, sizeof(node->description), "peer of %u", as);
	snprintf(node->message, sizeof(node->message), "maintenance");
	node->peer = (struct announcer_peer){
		.address = peer,
		.as = peer_as,
		.description = node->description,
		.multihop = 1,
		.ipv4 = true,
		.ipv6 = true,
	};
	memcpy(&node->peer.source, &listen.addr, sizeof(node->peer.source));
	((struct sockaddr_in *)&node->peer.source)->sin_port = 0;
	node->config = (struct announcer_bgp){
		.router_id = router_id,
		.as = as,
		.hold_time_s = 9,
		.connect_retry_ms = 400,
		.listen = &node->listen,
		.listen_count = 1,
		.shutdown_message = node->message,
		.peers = &node->peer,
		.peer_count = 1,
	};
}

void node_start(struct node *node)
{
	char error[256] = "";
	const struct speaker_options options = {
		.base = node->loop->base,
		.config = &node->config,
		.bfd = node->bfd,
		.metrics = node->loop->shard,
	};
	node->speaker = speaker_start(&options, error, sizeof(error));
	need(node->speaker != NULL, error);
}

void node_stop(struct node *node)
{
	speaker_destroy(node->speaker);
	node->speaker = NULL;
}

struct peer_status node_status(const struct node *node)
{
	struct peer_status status;
	speaker_read_peer(node->speaker, 0, &status);
	return status;
}

void node_announce(struct node *node, const char *const *prefixes)
{
	struct announcement list[16];
	size_t count = 0;
	char error[256];
	for (; prefixes[count]; count++) {
		list[count] = (struct announcement){.local_pref = 100};
		need(prefix_parse(prefixes[count], &list[count].prefix, error, sizeof(error)) == 0,
		     error);
	}
	speaker_set_announcements(node->speaker, list, count);
}

bool node_is_established(void *ctx)
{
	return node_status(ctx).state == PEER_ESTABLISHED;
}

/* --- a raw peer ------------------------------------------------------------------------------- */

int raw_listen(const struct address *address)
{
	int one = 1;
	int fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	need(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
		     bind(fd, (const struct sockaddr *)&address->addr, address->addr_size) == 0 &&
		     listen(fd, 16) == 0,
	     "listen");
	return fd;
}

struct raw_waiting {
	int listener;
	int fd;
};

static bool raw_has_come(void *ctx)
{
	struct raw_waiting *waiting = ctx;
	waiting->fd = accept4(waiting->listener, NULL, NULL, SOCK_NONBLOCK);
	return waiting->fd >= 0;
}

void raw_accept(struct raw *raw, struct loop *loop, int listener)
{
	struct raw_waiting waiting = {.listener = listener, .fd = -1};
	need(loop_until(loop, raw_has_come, &waiting), "nobody connects");
	*raw = (struct raw){.loop = loop, .fd = waiting.fd};
}

void raw_connect(struct raw *raw, struct loop *loop, const char *source, const struct address *to,
		 void (*set_up)(int fd))
{
	struct address from = fixture_address(source, 0);
	*raw = (struct raw){.loop = loop};
	raw->fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	need(raw->fd >= 0 &&
		     bind(raw->fd, (const struct sockaddr *)&from.addr, from.addr_size) == 0,
	     source);
	if (set_up)
		set_up(raw->fd);
	need(connect(raw->fd, (const struct sockaddr *)&to->addr, to->addr_size) == 0 ||
		     errno == EINPROGRESS,
	     "connect");
}

void raw_close(struct raw *raw)
{
	close(raw->fd);
	raw->fd = -1;
}

void raw_send(struct raw *raw, const void *data, size_t size)
{
	/* What the other side has closed meanwhile is for the test to find. */
	if (send(raw->fd, data, size, MSG_NOSIGNAL) < 0)
		need(errno == EPIPE || errno == ECONNRESET, "send");
}

void raw_send_open(struct raw *raw, uint16_t as, uint32_t router_id)
{
	uint8_t open[29] = {[17] = 29, [18] = 1, [19] = 4, [23] = 90};
	memset(open, 0xff, 16);
	open[20] = (uint8_t)(as >> 8);
	open[21] = (uint8_t)as;
	for (int i = 0; i < 4; i++)
		open[24 + i] = (uint8_t)(router_id >> (24 - 8 * i));
	raw_send(raw, open, sizeof(open));
}

void raw_send_keepalive(struct raw *raw)
{
	uint8_t keepalive[MESSAGE_HEADER] = {[17] = MESSAGE_HEADER, [18] = 4};
	memset(keepalive, 0xff, 16);
	raw_send(raw, keepalive, sizeof(keepalive));
}

static bool raw_has_message(const struct raw *raw)
{
	return raw->size >= MESSAGE_HEADER &&
	       raw->size >= (size_t)(raw->data[16] << 8 | raw->data[17]);
}

static void raw_read(struct raw *raw)
{
	ssize_t size =
		recv(raw->fd, raw->data + raw->size, sizeof(raw->data) - raw->size, MSG_DONTWAIT);
	if (size > 0)
		raw->size += (size_t)size;
	else if (size == 0 || (errno != EAGAIN && errno != ENOTCONN))
		raw->ended = true;
}

static bool raw_has_something(void *ctx)
{
	struct raw *raw = ctx;
	if (!raw_has_message(raw))
		raw_read(raw);
	return raw_has_message(raw) || raw->ended;
}

static int raw_take(struct raw *raw, uint8_t *out)
{
	if (!raw_has_message(raw))
		return 0;
	size_t size = (size_t)(raw->data[16] << 8 | raw->data[17]);
	memcpy(out, raw->data, size);
	raw->size -= size;
	memmove(raw->data, raw->data + size, raw->size);
	return out[18];
}

int raw_receive(struct raw *raw, uint8_t *out)
{
	loop_until(raw->loop, raw_has_something, raw);
	return raw_take(raw, out);
}

int raw_receive_now(struct raw *raw, uint8_t *out)
{
	raw_has_something(raw);
	return raw_take(raw, out);
}

bool raw_expect(struct raw *raw, int type, uint8_t *out)
{
	int got = 0;
	do {
		got = raw_receive(raw, out);
	} while (got != 0 && got != type);
	return got == type;
}

bool raw_expect_notification(struct raw *raw, uint8_t code, uint8_t subcode)
{
	uint8_t message[4096];
	return raw_expect(raw, 3, message) && message[19] == code && message[20] == subcode;
}

bool raw_expect_end(struct raw *raw)
{
	uint8_t message[4096];
	while (raw_receive(raw, message) != 0)
		continue;
	return raw->ended;
}

/* --- a speaker and a raw peer ----------------------------------------------------------------- */

void lab_init(struct lab *lab)
{
	struct address here = fixture_address("127.0.0.1", fixture_find_port("127.0.0.1"));
	lab->there = fixture_address("127.0.0.2", fixture_find_port("127.0.0.2"));
	lab->listener = raw_listen(&lab->there);
	loop_start(&lab->loop);
	node_init(&lab->node, &lab->loop, 64512, LOW_ID, here, 64513, lab->there);
}

void lab_start(struct lab *lab)
{
	lab_init(lab);
	node_start(&lab->node);
}

void lab_stop(struct lab *lab)
{
	node_stop(&lab->node);
	close(lab->listener);
	loop_stop(&lab->loop);
}

void lab_establish(struct lab *lab, struct raw *raw, uint32_t id)
{
	uint8_t message[4096];
	raw_send_open(raw, 64513, id);
	raw_send_keepalive(raw);
	CU_ASSERT_TRUE_FATAL(raw_expect(raw, 1, message));
	CU_ASSERT_TRUE_FATAL(raw_expect(raw, 4, message));
	CU_ASSERT_TRUE_FATAL(loop_until(&lab->loop, node_is_established, &lab->node));
}
