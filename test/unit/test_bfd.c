/*
 * BFD over real sockets on loopback: two of ours at ports that cross, and a peer that is a bare
 * socket and says what a test wants.
 */
#include "announcer/bfd.h"
#include "announcer/bfd_packet.h"
#include "common/clock.h"
#include "suite.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 5000

/* A UDP port that was free a moment ago, for both families. */
static uint16_t find_port(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		abort();
	close(fd);
	return ntohs(address.sin6_port);
}

static struct bfd_options options_for(const char *peer, bool multihop)
{
	struct bfd_options options = {
		.multihop = multihop, .min_tx_us = 20000, .min_rx_us = 20000, .multiplier = 50};
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&options.peer;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&options.peer;

	if (inet_pton(AF_INET, peer, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
	} else {
		inet_pton(AF_INET6, peer, &ipv6->sin6_addr);
		ipv6->sin6_family = AF_INET6;
	}
	return options;
}

static struct bfd *start(uint16_t receive, uint16_t send)
{
	const struct bfd_ports ports = {{receive, receive}, {send, send}};
	char error[256] = "";
	struct bfd *bfd = bfd_start_on(&ports, NULL, error, sizeof(error));

	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(bfd);
	return bfd;
}

static struct bfd_link *add(struct bfd *bfd, const struct bfd_options *options)
{
	char error[256] = "";
	struct bfd_link *link = bfd_add(bfd, options, error, sizeof(error));

	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(link);
	return link;
}

/* Waits by the event descriptor until the link has the state. */
static bool wait_for(struct bfd *bfd, struct bfd_link *link, enum bfd_state state)
{
	int64_t end = clock_now_ms() + WAIT_MS;
	struct bfd_status status;
	uint64_t count;

	for (;;) {
		bfd_read_status(link, &status);
		if (status.state == state)
			return true;
		int64_t left = end - clock_now_ms();
		struct pollfd event = {.fd = bfd_event_fd(bfd), .events = POLLIN};
		if (left <= 0 || poll(&event, 1, (int)left) != 1)
			return false;
		CU_ASSERT_EQUAL(read(event.fd, &count, sizeof(count)), (ssize_t)sizeof(count));
	}
}

/* False when a session does not send and hear some packets more soon. */
static bool wait_for_packets(struct bfd_link *link, uint64_t count)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t end = clock_now_ms() + 5000;
	struct bfd_status status;

	do {
		bfd_read_status(link, &status);
		if (status.packets_sent >= count && status.packets_received >= count)
			return true;
		nanosleep(&pause, NULL);
	} while (clock_now_ms() < end);
	return false;
}

static void check_two_come_up(const char *address, bool multihop)
{
	const struct bfd_options options = options_for(address, multihop);
	uint16_t here = find_port();
	uint16_t there = find_port();
	struct bfd_status status;

	struct bfd *a = start(here, there);
	struct bfd *b = start(there, here);
	struct bfd_link *link_a = add(a, &options);
	struct bfd_link *link_b = add(b, &options);
	CU_ASSERT_TRUE(wait_for(a, link_a, BFD_UP));
	CU_ASSERT_TRUE(wait_for(b, link_b, BFD_UP));
	bfd_read_status(link_a, &status);
	CU_ASSERT_EQUAL(status.ups, 1);
	CU_ASSERT_EQUAL(status.tx_interval_us, 20000);
	CU_ASSERT_EQUAL(status.packets_dropped, 0);
	CU_ASSERT_TRUE(wait_for_packets(link_a, 2)); /* it may be up by the first it hears */
	/* The orderly end of one is told to the other, and in words. */
	bfd_stop(b);
	CU_ASSERT_TRUE(wait_for(a, link_a, BFD_DOWN));
	bfd_read_status(link_a, &status);
	CU_ASSERT_EQUAL(status.diagnostic, BFD_DIAG_NEIGHBOR_DOWN);
	CU_ASSERT_EQUAL(status.remote_state, BFD_ADMIN_DOWN);
	CU_ASSERT_EQUAL(status.remote_diagnostic, BFD_DIAG_ADMINISTRATIVELY);
	CU_ASSERT_EQUAL(status.downs, 1);
	CU_ASSERT_EQUAL(status.detection_us, 0);
	bfd_stop(a);
}

static void test_two_come_up_over_ipv4(void)
{
	check_two_come_up("127.0.0.1", false);
}

static void test_two_come_up_over_ipv6(void)
{
	check_two_come_up("::1", false);
}

static void test_two_come_up_over_several_hops(void)
{
	check_two_come_up("127.0.0.1", true);
}

/* The peer that is a bare socket. */
struct peer {
	struct bfd *bfd;
	struct bfd_link *link;
	int fd;
	struct sockaddr_in to;
	struct bfd_packet last; /* heard from ours */
	struct sockaddr_in from;
	int ttl;
	int traffic_class;
};

static void peer_start(struct peer *peer, bool multihop, uint8_t min_ttl)
{
	struct bfd_options options = options_for("127.0.0.1", multihop);
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	uint16_t port = find_port();
	const int on = 1;
	const int ttl = 255;

	memset(peer, 0, sizeof(*peer));
	peer->fd = socket(AF_INET, SOCK_DGRAM, 0);
	CU_ASSERT_EQUAL_FATAL(bind(peer->fd, (struct sockaddr *)&address, size), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(peer->fd, (struct sockaddr *)&address, &size), 0);
	setsockopt(peer->fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
	setsockopt(peer->fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	setsockopt(peer->fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	options.min_ttl = min_ttl;
	peer->to = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	peer->bfd = start(port, ntohs(address.sin_port));
	peer->link = add(peer->bfd, &options);
}

static void peer_stop(struct peer *peer)
{
	bfd_stop(peer->bfd);
	close(peer->fd);
}

static void peer_set_ttl(struct peer *peer, int ttl)
{
	CU_ASSERT_EQUAL(setsockopt(peer->fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
}

static void peer_send_octets(struct peer *peer, const uint8_t *octets, size_t size)
{
	CU_ASSERT_EQUAL(sendto(peer->fd, octets, size, 0, (const struct sockaddr *)&peer->to,
			       sizeof(peer->to)),
			(ssize_t)size);
}

/* Says `state`; detection at our side is `multiplier` times 20 ms. */
static void peer_send(struct peer *peer, enum bfd_state state, uint8_t multiplier)
{
	const struct bfd_packet packet = {
		.state = state,
		.multiplier = multiplier,
		.my_discriminator = 77,
		.your_discriminator = peer->last.my_discriminator,
		.desired_min_tx_us = 20000,
		.required_min_rx_us = 20000,
	};
	uint8_t octets[BFD_PACKET_SIZE];

	bfd_packet_build(&packet, octets);
	peer_send_octets(peer, octets, sizeof(octets));
}

/* Hears one packet of ours, into peer->last and what lies beside it. */
static bool peer_hear(struct peer *peer)
{
	uint8_t octets[64];
	_Alignas(struct cmsghdr) char control[128];
	struct iovec iov = {octets, sizeof(octets)};
	struct msghdr message = {.msg_name = &peer->from,
				 .msg_namelen = sizeof(peer->from),
				 .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct pollfd event = {.fd = peer->fd, .events = POLLIN};

	if (poll(&event, 1, WAIT_MS) != 1)
		return false;
	ssize_t size = recvmsg(peer->fd, &message, 0);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_type == IP_TTL)
			memcpy(&peer->ttl, CMSG_DATA(c), sizeof(int));
		if (c->cmsg_type == IP_TOS)
			peer->traffic_class = *CMSG_DATA(c);
	}
	return size == BFD_PACKET_SIZE &&
	       bfd_packet_parse(octets, (size_t)size, &peer->last) == BFD_PACKET_GOOD;
}

static bool peer_hear_state(struct peer *peer, enum bfd_state state)
{
	int64_t end = clock_now_ms() + WAIT_MS;

	while (clock_now_ms() < end && peer_hear(peer))
		if (peer->last.state == state)
			return true;
	return false;
}

static bool peer_come_up(struct peer *peer, uint8_t multiplier)
{
	bool heard = peer_hear(peer);
	peer_send(peer, BFD_INIT, multiplier);
	return heard && wait_for(peer->bfd, peer->link, BFD_UP);
}

/* Waits until our side has counted so many packets that are no good. */
static bool wait_dropped(struct peer *peer, uint64_t wanted)
{
	int64_t end = clock_now_ms() + WAIT_MS;
	const struct timespec step = {.tv_nsec = 1000000};
	struct bfd_status status;

	do {
		bfd_read_status(peer->link, &status);
		if (status.packets_dropped + bfd_packets_unknown(peer->bfd) >= wanted)
			return true;
		nanosleep(&step, NULL);
	} while (clock_now_ms() < end);
	return false;
}

static void test_packets_are_marked_and_from_a_port_of_their_own(void)
{
	struct peer peer;

	peer_start(&peer, false, 0);
	CU_ASSERT_TRUE(peer_hear(&peer));
	CU_ASSERT_EQUAL(peer.ttl, 255);
	CU_ASSERT_EQUAL(peer.traffic_class, IPTOS_CLASS_CS6);
	CU_ASSERT(ntohs(peer.from.sin_port) >= 49152);
	uint16_t port = peer.from.sin_port;
	peer_send(&peer, BFD_DOWN, 3);
	CU_ASSERT_TRUE(peer_hear_state(&peer, BFD_INIT));
	CU_ASSERT_EQUAL(peer.from.sin_port, port);
	peer_stop(&peer);
}

static void test_silence_is_seen_in_the_detection_time(void)
{
	struct peer peer;
	struct bfd_status up;
	struct bfd_status down;

	peer_start(&peer, false, 0);
	CU_ASSERT_TRUE_FATAL(peer_come_up(&peer, 25));
	bfd_read_status(peer.link, &up);
	CU_ASSERT_EQUAL(up.detection_us, 500000);
	CU_ASSERT_TRUE(wait_for(peer.bfd, peer.link, BFD_DOWN));
	bfd_read_status(peer.link, &down);
	/* Not before its time; how much later is the machine's affair. */
	CU_ASSERT(down.since_ms - up.since_ms >= 499);
	CU_ASSERT(down.since_ms - up.since_ms < 1500);
	CU_ASSERT_EQUAL(down.diagnostic, BFD_DIAG_EXPIRED);
	CU_ASSERT_EQUAL(down.downs, 1);
	CU_ASSERT_TRUE(peer_hear_state(&peer, BFD_DOWN));
	CU_ASSERT_EQUAL(peer.last.diagnostic, BFD_DIAG_EXPIRED);
	peer_stop(&peer);
}

/* Sends every 10 ms for so long. */
static void peer_keep_up(struct peer *peer, int64_t ms, uint8_t multiplier)
{
	const struct timespec step = {.tv_nsec = 10000000};
	int64_t end = clock_now_ms() + ms;

	while (clock_now_ms() < end) {
		peer_send(peer, BFD_UP, multiplier);
		nanosleep(&step, NULL);
	}
}

/* The process that is stopped: comes up, says so, and when asked tells how often it went down. */
static _Noreturn void run_stopped(uint16_t receive, uint16_t send, int fd)
{
	const struct bfd_options options = options_for("127.0.0.1", false);
	struct bfd *bfd = start(receive, send);
	struct bfd_link *link = add(bfd, &options);
	struct bfd_status status;
	char octet = (char)wait_for(bfd, link, BFD_UP);

	if (write(fd, &octet, 1) != 1 || read(fd, &octet, 1) != 1)
		_exit(1);
	bfd_read_status(link, &status);
	octet = (char)(status.state == BFD_UP ? status.downs : 100);
	if (write(fd, &octet, 1) != 1)
		_exit(1);
	bfd_stop(bfd);
	_exit(0);
}

static void test_a_stopped_process_finds_its_session_up(void)
{
	struct peer peer;
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	uint16_t port = find_port();
	int fds[2];
	char octet = 0;

	memset(&peer, 0, sizeof(peer));
	peer.fd = socket(AF_INET, SOCK_DGRAM, 0);
	peer.to = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	peer_set_ttl(&peer, 255);
	CU_ASSERT_EQUAL_FATAL(bind(peer.fd, (struct sockaddr *)&address, size), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(peer.fd, (struct sockaddr *)&address, &size), 0);
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	pid_t child = fork();
	CU_ASSERT_FATAL(child >= 0);
	if (child == 0)
		run_stopped(port, ntohs(address.sin_port), fds[1]);
	CU_ASSERT_TRUE(peer_hear(&peer));
	peer_send(&peer, BFD_INIT, 50); /* a second to detect */
	CU_ASSERT_EQUAL(read(fds[0], &octet, 1), 1);
	CU_ASSERT_EQUAL(octet, 1);
	CU_ASSERT_EQUAL(kill(child, SIGSTOP), 0);
	peer_keep_up(&peer, 1500, 50);
	CU_ASSERT_EQUAL(kill(child, SIGCONT), 0);
	CU_ASSERT_EQUAL(write(fds[0], &octet, 1), 1);
	CU_ASSERT_EQUAL(read(fds[0], &octet, 1), 1);
	CU_ASSERT_EQUAL(octet, 0);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	close(fds[0]);
	close(fds[1]);
	close(peer.fd);
}

static void test_packets_from_afar_are_dropped(void)
{
	struct peer peer;
	struct bfd_status status;

	peer_start(&peer, false, 0);
	CU_ASSERT_TRUE(peer_hear(&peer));
	peer_set_ttl(&peer, 254);
	peer_send(&peer, BFD_INIT, 3);
	CU_ASSERT_TRUE(wait_dropped(&peer, 1));
	bfd_read_status(peer.link, &status);
	CU_ASSERT_EQUAL(status.state, BFD_DOWN);
	CU_ASSERT_EQUAL(status.packets_dropped, 1);
	CU_ASSERT_EQUAL(status.packets_received, 0);
	peer_stop(&peer);
}

static void test_several_hops_have_their_own_limit(void)
{
	struct peer peer;

	peer_start(&peer, true, 250);
	CU_ASSERT_TRUE(peer_hear(&peer));
	peer_set_ttl(&peer, 249);
	peer_send(&peer, BFD_INIT, 50);
	CU_ASSERT_TRUE(wait_dropped(&peer, 1));
	peer_set_ttl(&peer, 250);
	peer_send(&peer, BFD_INIT, 50);
	CU_ASSERT_TRUE(wait_for(peer.bfd, peer.link, BFD_UP));
	peer_stop(&peer);
}

static void test_broken_packets_are_counted_and_change_nothing(void)
{
	struct peer peer;
	struct bfd_status status;
	uint8_t octets[300];

	peer_start(&peer, false, 0);
	CU_ASSERT_TRUE_FATAL(peer_come_up(&peer, 255));
	for (size_t size = 0; size < sizeof(octets); size += 23) {
		memset(octets, (int)size, sizeof(octets));
		peer_send_octets(&peer, octets, size);
	}
	CU_ASSERT_TRUE(wait_dropped(&peer, 14));
	bfd_read_status(peer.link, &status);
	CU_ASSERT_EQUAL(status.state, BFD_UP);
	CU_ASSERT_EQUAL(status.packets_dropped, 14);
	peer_stop(&peer);
}

static void test_a_wrong_discriminator_is_dropped(void)
{
	struct peer peer;
	struct bfd_status status;

	peer_start(&peer, false, 0);
	CU_ASSERT_TRUE_FATAL(peer_come_up(&peer, 255));
	uint32_t ours = peer.last.my_discriminator;
	peer.last.my_discriminator = ours + 1;
	peer_send(&peer, BFD_DOWN, 3);
	CU_ASSERT_TRUE(wait_dropped(&peer, 1));
	bfd_read_status(peer.link, &status);
	CU_ASSERT_EQUAL(status.state, BFD_UP);
	/* None at all, and down: that is a peer which has started again. */
	peer.last.my_discriminator = 0;
	peer_send(&peer, BFD_DOWN, 3);
	CU_ASSERT_TRUE(wait_for(peer.bfd, peer.link, BFD_DOWN));
	peer_stop(&peer);
}

static void test_strangers_are_counted(void)
{
	struct peer peer;
	struct bfd_status status;
	const struct sockaddr_in other = {.sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
	const int ttl = 255;

	peer_start(&peer, false, 0);
	int own = peer.fd;
	peer.fd = socket(AF_INET, SOCK_DGRAM, 0);
	CU_ASSERT_EQUAL_FATAL(bind(peer.fd, (const struct sockaddr *)&other, sizeof(other)), 0);
	setsockopt(peer.fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl));
	peer_send(&peer, BFD_DOWN, 3);
	CU_ASSERT_TRUE(wait_dropped(&peer, 1));
	CU_ASSERT_EQUAL(bfd_packets_unknown(peer.bfd), 1);
	bfd_read_status(peer.link, &status);
	CU_ASSERT_EQUAL(status.state, BFD_DOWN);
	close(peer.fd);
	peer.fd = own;
	peer_stop(&peer);
}

static void test_a_flood_does_not_take_a_session_down(void)
{
	struct peer peer;
	struct bfd_status status;
	const uint8_t junk[24] = {0};

	peer_start(&peer, false, 0);
	CU_ASSERT_TRUE_FATAL(peer_come_up(&peer, 50));
	int64_t end = clock_now_ms() + 1500;
	int64_t next = 0;
	while (clock_now_ms() < end) {
		if (clock_now_ms() >= next) {
			peer_send(&peer, BFD_UP, 50);
			next = clock_now_ms() + 10;
		}
		for (int i = 0; i < 100; i++)
			peer_send_octets(&peer, junk, sizeof(junk));
	}
	bfd_read_status(peer.link, &status);
	CU_ASSERT_EQUAL(status.state, BFD_UP);
	CU_ASSERT_EQUAL(status.downs, 0);
	CU_ASSERT(status.packets_dropped > 0);
	peer_stop(&peer);
}

/* Standard error as a pipe that is full, and that nobody reads. */
static void test_a_log_that_nobody_reads_does_not_stop_it(void)
{
	const char junk[1024] = {0};
	struct peer peer;
	struct bfd_status status;
	int fds[2];
	int before = dup(STDERR_FILENO);

	CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_NONBLOCK), 0);
	while (write(fds[1], junk, sizeof(junk)) > 0)
		continue;
	CU_ASSERT_EQUAL(fcntl(fds[1], F_SETFL, 0), 0); /* from now on a writer waits */
	CU_ASSERT_EQUAL(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	peer_start(&peer, false, 0);
	bool up = peer_come_up(&peer, 50);
	for (int i = 0; i < 100; i++) { /* each is worth a line, or would be */
		peer_send(&peer, BFD_DOWN, 50);
		peer_send(&peer, BFD_INIT, 50);
	}
	peer_keep_up(&peer, 1100, 50);
	bfd_read_status(peer.link, &status);
	CU_ASSERT_EQUAL(dup2(before, STDERR_FILENO), STDERR_FILENO);
	CU_ASSERT_TRUE(up);
	CU_ASSERT_EQUAL(status.state, BFD_UP);
	CU_ASSERT_EQUAL(status.diagnostic, BFD_DIAG_NONE);
	/* The line that still waits fails, and the rest goes where it should. */
	close(fds[0]);
	close(fds[1]);
	peer_stop(&peer);
	close(before);
}

static void test_the_end_is_told_more_than_once(void)
{
	struct peer peer;
	int count = 0;

	peer_start(&peer, false, 0);
	CU_ASSERT_TRUE_FATAL(peer_come_up(&peer, 50));
	bfd_stop(peer.bfd);
	struct pollfd event = {.fd = peer.fd, .events = POLLIN};
	while (poll(&event, 1, 0) == 1 && peer_hear(&peer))
		count += peer.last.state == BFD_ADMIN_DOWN &&
			 peer.last.diagnostic == BFD_DIAG_ADMINISTRATIVELY;
	CU_ASSERT_EQUAL(count, 3);
	close(peer.fd);
}

static void check_refused(struct bfd *bfd, const struct bfd_options *options, const char *expected)
{
	char error[256] = "";

	CU_ASSERT_PTR_NULL(bfd_add(bfd, options, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, expected);
}

static void test_what_cannot_work_is_refused_by_name(void)
{
	struct bfd_options options = options_for("127.0.0.9", false);
	uint16_t port = find_port();
	char expected[256];

	struct bfd *bfd = start(port, port);
	add(bfd, &options);
	check_refused(bfd, &options, "BFD with peer 127.0.0.9: it has a session already");
	options = options_for("2001:db8::9", false);
	options.min_tx_us = 9999;
	check_refused(bfd, &options, "BFD with peer 2001:db8::9: min_tx is less than 10 ms");
	options = options_for("127.0.0.8", false);
	options.multiplier = 0;
	check_refused(bfd, &options, "BFD with peer 127.0.0.8: multiplier is 0");
	options = options_for("127.0.0.8", false);
	options.local.ss_family = AF_INET6;
	check_refused(bfd, &options,
		      "BFD with peer 127.0.0.8: its address and our own are of different "
		      "families");
	/* The port taken, as by another daemon. */
	struct bfd *second = start(port, port);
	options = options_for("127.0.0.8", false);
	snprintf(expected, sizeof(expected),
		 "BFD with peer 127.0.0.8: cannot receive BFD on UDP port %u (IPv4): Address "
		 "already in use; does another BFD daemon run here?",
		 port);
	check_refused(second, &options, expected);
	bfd_stop(second);
	bfd_stop(bfd);
}

static void test_an_address_that_is_not_there_yet_is_no_end(void)
{
	struct bfd_options options = options_for("192.0.2.1", false);
	struct sockaddr_in *local = (struct sockaddr_in *)&options.local;
	uint16_t port = find_port();
	struct bfd_status status;

	local->sin_family = AF_INET;
	inet_pton(AF_INET, "192.0.2.77", &local->sin_addr); /* nobody has it (RFC 5737) */
	struct bfd *bfd = start(port, port);
	struct bfd_link *link = add(bfd, &options);
	bfd_read_status(link, &status);
	CU_ASSERT_EQUAL(status.state, BFD_DOWN);
	CU_ASSERT_EQUAL(status.packets_sent, 0);
	bfd_stop(bfd);
}

static void test_many_sessions_have_ports_of_their_own(void)
{
	enum { MANY = 200 };
	uint16_t port = find_port();
	char address[32];

	struct bfd *bfd = start(port, port);
	for (int i = 0; i < MANY; i++) {
		snprintf(address, sizeof(address), "127.0.1.%d", i + 1);
		struct bfd_options options = options_for(address, false);
		add(bfd, &options);
	}
	bfd_stop(bfd);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"two come up over IPv4", test_two_come_up_over_ipv4},
		{"two come up over IPv6", test_two_come_up_over_ipv6},
		{"two come up over several hops", test_two_come_up_over_several_hops},
		{"packets are marked, and from a port of their own",
		 test_packets_are_marked_and_from_a_port_of_their_own},
		{"silence is seen in the detection time",
		 test_silence_is_seen_in_the_detection_time},
		{"a stopped process finds its session up",
		 test_a_stopped_process_finds_its_session_up},
		{"packets from afar are dropped", test_packets_from_afar_are_dropped},
		{"several hops have their own limit", test_several_hops_have_their_own_limit},
		{"broken packets are counted and change nothing",
		 test_broken_packets_are_counted_and_change_nothing},
		{"a wrong discriminator is dropped", test_a_wrong_discriminator_is_dropped},
		{"strangers are counted", test_strangers_are_counted},
		{"a flood does not take a session down", test_a_flood_does_not_take_a_session_down},
		{"a log that nobody reads does not stop it",
		 test_a_log_that_nobody_reads_does_not_stop_it},
		{"the end is told more than once", test_the_end_is_told_more_than_once},
		{"what cannot work is refused by name", test_what_cannot_work_is_refused_by_name},
		{"an address that is not there yet is no end",
		 test_an_address_that_is_not_there_yet_is_no_end},
		{"many sessions have ports of their own",
		 test_many_sessions_have_ports_of_their_own},
	};
	signal(SIGPIPE, SIG_IGN); /* as the programs do */
	return SUITE_RUN("bfd", tests);
}
