/*
 * The edge of BFD: one thread that waits for packets, the next deadline and its own end.
 *
 * Each round reads all packets that have arrived first, then judges the time, then sends what is
 * due and sets the timer: a process that was stopped, or not run for long, finds its peers' packets
 * waiting and keeps its sessions. A round reads a bounded number of packets; under a flood the
 * thread takes a short break after each, so that its priority does not starve the machine.
 *
 * A packet is for the link whose discriminator it carries, wherever it comes from (RFC 5880
 * section 6.3); one that carries none for the link of its source address and interface. Nothing
 * with a TTL below 255 is looked at over a single hop (RFC 5881 section 5).
 *
 * One lock guards all links, held for no longer than it takes to send a few datagrams; who waits
 * for it lends its priority to the holder. Log lines go by way of bfd_report.h.
 */
#include "announcer/bfd.h"

#include "announcer/bfd_link.h"
#include "announcer/bfd_socket.h"
#include "common/clock.h"
#include "common/heartbeat.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BFD_ROUND_PACKETS 256 /* read from one socket in a round */
#define BFD_BREAK_NS 1000000  /* under a flood, between rounds */
#define BFD_FAREWELLS 3       /* AdminDown packets at the end, for one may be lost */
#define BFD_FAREWELL_GAP_NS 10000000
#define BFD_MIN_TX_US 10000
#define BFD_DROP_REPEAT_MS 10000 /* between lines about packets from strangers */
#define BFD_RECEIVERS 4          /* one hop or several, IPv4 or IPv6 */

struct bfd {
	struct heartbeat *heartbeat;
	struct bfd_ports ports;
	int epoll_fd;
	int timer_fd;
	int wake_fd;  /* an eventfd: links were added, or the end */
	int event_fd; /* an eventfd: links have changed */
	struct bfd_reporter *reporter;
	pthread_t thread;
	bool running;
	_Atomic uint64_t unknown;
	struct log_limit unknown_limit;

	pthread_mutex_t lock;         /* for all below */
	int receivers[BFD_RECEIVERS]; /* -1: not open */
	struct bfd_link *links[BFD_LINKS_MAX];
	unsigned int link_count;
	int64_t armed_us; /* what the timer is set to */
	bool stopping;
};

static int64_t bfd_now_us(void)
{
	return clock_now_ns() / 1000;
}

static unsigned int bfd_receiver_number(bool multihop, int family)
{
	return (multihop ? 2U : 0U) + (family == AF_INET6 ? 1U : 0U);
}

/*
 * An eventfd takes eight octets whole; only a full counter refuses them, and then it is readable.
 */
static void bfd_signal(int fd)
{
	const uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));
	(void)written;
}

static struct bfd_link *bfd_find_by_discriminator(struct bfd *bfd, uint32_t discriminator,
						  bool multihop, int family)
{
	for (unsigned int i = 0; i < bfd->link_count; i++) {
		struct bfd_link *link = bfd->links[i];
		if (link->session.options.discriminator == discriminator &&
		    link->options.multihop == multihop && link->options.peer.ss_family == family)
			return link;
	}
	return NULL;
}

static struct bfd_link *bfd_find_by_source(struct bfd *bfd, const struct bfd_datagram *datagram,
					   bool multihop)
{
	for (unsigned int i = 0; i < bfd->link_count; i++) {
		struct bfd_link *link = bfd->links[i];
		if (link->options.multihop == multihop &&
		    bfd_socket_same_host(&link->options.peer, &datagram->source) &&
		    (link->interface == 0 || link->interface == datagram->interface))
			return link;
	}
	return NULL;
}

/* Of no use: counted, and told now and then. `peer` is the link of its source, or NULL. */
static void bfd_drop(struct bfd *bfd, struct bfd_link *peer, const struct bfd_datagram *datagram,
		     const char *reason)
{
	struct bfd_report report = {.level = LOG_LEVEL_WARNING, .event = "bfd packet dropped"};
	const struct bfd_options source = {.peer = datagram->source};

	if (peer) {
		bfd_link_drop(peer, reason);
		return;
	}
	atomic_fetch_add_explicit(&bfd->unknown, 1, memory_order_relaxed);
	if (!log_limit_pass(&bfd->unknown_limit, BFD_DROP_REPEAT_MS, &report.suppressed))
		return;
	bfd_socket_format_peer(&source, report.peer, sizeof(report.peer));
	snprintf(report.reason, sizeof(report.reason), "%s", reason);
	bfd_report(bfd->reporter, &report);
}

/* One datagram. True when a link has changed its state. */
static bool bfd_take_datagram(struct bfd *bfd, const struct bfd_datagram *datagram, bool multihop)
{
	struct bfd_link *peer = bfd_find_by_source(bfd, datagram, multihop);
	struct bfd_packet packet;

	if (!multihop && datagram->ttl != 255) {
		bfd_drop(bfd, peer, datagram, "its TTL is not 255: it has come over a router");
		return false;
	}
	enum bfd_packet_error error = bfd_packet_parse(datagram->octets, datagram->size, &packet);
	if (error != BFD_PACKET_GOOD) {
		bfd_drop(bfd, peer, datagram, bfd_packet_error_text(error));
		return false;
	}
	struct bfd_link *link = peer;
	if (packet.your_discriminator != 0)
		link = bfd_find_by_discriminator(bfd, packet.your_discriminator, multihop,
						 datagram->source.ss_family);
	if (!link) {
		bfd_drop(bfd, peer, datagram,
			 packet.your_discriminator != 0
				 ? "it is for a session that is not there, or not any more"
				 : "its source is no peer of ours");
		return false;
	}
	if (multihop && datagram->ttl < link->options.min_ttl) {
		bfd_drop(bfd, link, datagram, "its TTL is too low: it has come too far");
		return false;
	}
	return bfd_link_receive(link, &packet, bfd_now_us());
}

/* Reads what has arrived. True when more may be waiting than a round takes. */
static bool bfd_read_packets(struct bfd *bfd, bool *changed)
{
	struct bfd_datagram datagram;
	bool flooded = false;

	for (unsigned int i = 0; i < BFD_RECEIVERS; i++) {
		int count = 0;
		while (bfd->receivers[i] >= 0 && count < BFD_ROUND_PACKETS &&
		       bfd_socket_receive(bfd->receivers[i], &datagram)) {
			*changed |= bfd_take_datagram(bfd, &datagram, i >= 2);
			count++;
		}
		flooded |= count == BFD_ROUND_PACKETS;
	}
	return flooded;
}

/* Sets the timer to the first deadline of all. */
static void bfd_arm(struct bfd *bfd)
{
	int64_t deadline = INT64_MAX;
	struct itimerspec when = {.it_value = {0, 0}};

	for (unsigned int i = 0; i < bfd->link_count; i++) {
		int64_t next = bfd_session_deadline_us(&bfd->links[i]->session);
		if (next < deadline)
			deadline = next;
	}
	bfd->armed_us = deadline;
	if (deadline != INT64_MAX) {
		/* Not 0, which would disarm it. */
		int64_t at = deadline > 1 ? deadline : 1;
		when.it_value.tv_sec = at / 1000000;
		when.it_value.tv_nsec = at % 1000000 * 1000;
	}
	timerfd_settime(bfd->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* One round. True when the thread should take a break. */
static bool bfd_run_round(struct bfd *bfd)
{
	bool changed = false;
	/* Before the packets are read: the process may be stopped at any point here, and what has
	   arrived until the time that is judged must have been seen. */
	int64_t now_us = bfd_now_us();
	bool flooded = bfd_read_packets(bfd, &changed);
	int64_t late_us = now_us > bfd->armed_us ? now_us - bfd->armed_us : 0;

	for (unsigned int i = 0; i < bfd->link_count; i++)
		changed |= bfd_link_run(bfd->links[i], now_us, late_us);
	bfd_arm(bfd);
	if (changed)
		bfd_signal(bfd->event_fd);
	return flooded;
}

/* Without it the sessions work too, as long as the machine is not too busy. */
static void bfd_raise_priority(void)
{
	const struct sched_param param = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};
	int reason = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);

	if (reason == 0)
		return;
	log_debug("bfd runs without real-time priority", "reason=%s", strerror(reason));
	if (setpriority(PRIO_PROCESS, 0, -20) != 0) /* this thread's alone */
		log_debug("bfd runs without a raised priority", "reason=%s", strerror(errno));
}

static void bfd_say_farewell(struct bfd *bfd)
{
	const struct timespec gap = {.tv_nsec = BFD_FAREWELL_GAP_NS};

	for (int i = 0; i < BFD_FAREWELLS; i++) {
		if (i > 0)
			nanosleep(&gap, NULL);
		pthread_mutex_lock(&bfd->lock);
		for (unsigned int j = 0; j < bfd->link_count; j++)
			bfd_link_say_farewell(bfd->links[j], bfd_now_us());
		pthread_mutex_unlock(&bfd->lock);
	}
}

/* Empties what has woken the thread. */
static void bfd_clear(int fd)
{
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));
	(void)got;
}

static void *bfd_run(void *arg)
{
	struct bfd *bfd = arg;
	const struct timespec rest = {.tv_nsec = BFD_BREAK_NS};
	struct epoll_event events[8];
	bool stopping = false;

	pthread_setname_np(pthread_self(), "bfd");
	bfd_raise_priority();
	while (!stopping) {
		if (epoll_wait(bfd->epoll_fd, events, 8, HEARTBEAT_MS) < 0 && errno != EINTR)
			nanosleep(&rest, NULL); /* nothing of ours can cause it; do not spin */
		heartbeat_beat(bfd->heartbeat);
		bfd_clear(bfd->timer_fd);
		bfd_clear(bfd->wake_fd);
		pthread_mutex_lock(&bfd->lock);
		bool flooded = bfd_run_round(bfd);
		stopping = bfd->stopping;
		pthread_mutex_unlock(&bfd->lock);
		if (flooded)
			nanosleep(&rest, NULL);
	}
	bfd_say_farewell(bfd);
	heartbeat_end(bfd->heartbeat);
	return NULL;
}

static int bfd_watch(struct bfd *bfd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
	return epoll_ctl(bfd->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int bfd_open(struct bfd *bfd)
{
	bfd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	bfd->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	bfd->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bfd->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (bfd->epoll_fd < 0 || bfd->timer_fd < 0 || bfd->wake_fd < 0 || bfd->event_fd < 0)
		return -1;
	return bfd_watch(bfd, bfd->timer_fd) == 0 ? bfd_watch(bfd, bfd->wake_fd) : -1;
}

static void bfd_init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

struct bfd *bfd_start_on(const struct bfd_ports *ports, struct heartbeat *heartbeat, char *error,
			 size_t error_size)
{
	struct bfd *bfd = calloc(1, sizeof(*bfd));

	if (!bfd) {
		snprintf(error, error_size, "BFD not started: out of memory");
		return NULL;
	}
	bfd_init_lock(&bfd->lock);
	bfd->heartbeat = heartbeat;
	bfd->ports = *ports;
	bfd->armed_us = INT64_MAX;
	for (int i = 0; i < BFD_RECEIVERS; i++)
		bfd->receivers[i] = -1;
	bfd->epoll_fd = bfd->timer_fd = bfd->wake_fd = bfd->event_fd = -1;
	errno = ENOMEM;
	if (bfd_open(bfd) == 0 && (bfd->reporter = bfd_reporter_start()) != NULL) {
		errno = pthread_create(&bfd->thread, NULL, bfd_run, bfd);
		bfd->running = errno == 0;
	}
	if (bfd->running)
		return bfd;
	snprintf(error, error_size, "BFD not started: %s", strerror(errno));
	bfd_stop(bfd);
	return NULL;
}

struct bfd *bfd_start(struct heartbeat *heartbeat, char *error, size_t error_size)
{
	static const struct bfd_ports ports = {
		.receive = {BFD_PORT_SINGLE_HOP, BFD_PORT_MULTIHOP},
		.send = {BFD_PORT_SINGLE_HOP, BFD_PORT_MULTIHOP},
	};
	return bfd_start_on(&ports, heartbeat, error, error_size);
}

static void bfd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void bfd_stop(struct bfd *bfd)
{
	if (!bfd)
		return;
	if (bfd->running) {
		pthread_mutex_lock(&bfd->lock);
		bfd->stopping = true;
		pthread_mutex_unlock(&bfd->lock);
		bfd_signal(bfd->wake_fd);
		pthread_join(bfd->thread, NULL);
	}
	bfd_reporter_stop(bfd->reporter);
	for (unsigned int i = 0; i < bfd->link_count; i++)
		bfd_link_destroy(bfd->links[i]);
	for (int i = 0; i < BFD_RECEIVERS; i++)
		bfd_close(bfd->receivers[i]);
	bfd_close(bfd->event_fd);
	bfd_close(bfd->wake_fd);
	bfd_close(bfd->timer_fd);
	bfd_close(bfd->epoll_fd);
	pthread_mutex_destroy(&bfd->lock);
	free(bfd);
}

int bfd_event_fd(const struct bfd *bfd)
{
	return bfd->event_fd;
}

/* What no session could work with. */
static const char *bfd_check_options(const struct bfd_options *options)
{
	int family = options->peer.ss_family;

	if (family != AF_INET && family != AF_INET6)
		return "it has no IP address";
	if (options->local.ss_family != AF_UNSPEC && options->local.ss_family != family)
		return "its address and our own are of different families";
	if (options->min_tx_us < BFD_MIN_TX_US)
		return "min_tx is less than 10 ms";
	if (options->min_rx_us == 0)
		return "min_rx is 0";
	if (options->multiplier == 0)
		return "multiplier is 0";
	return NULL;
}

/* Random, so that nobody who does not see the packets can guess it; 0 when there is none. */
static uint32_t bfd_choose_discriminator(struct bfd *bfd)
{
	uint32_t value = 0;

	for (int i = 0; i < 64; i++) {
		if (getrandom(&value, sizeof(value), 0) != sizeof(value))
			continue;
		bool taken = value == 0;
		for (unsigned int j = 0; j < bfd->link_count; j++)
			taken |= bfd->links[j]->session.options.discriminator == value;
		if (!taken)
			return value;
	}
	return 0;
}

static int bfd_open_receiver(struct bfd *bfd, const struct bfd_options *options, char *error,
			     size_t error_size)
{
	int family = options->peer.ss_family;
	int *fd = &bfd->receivers[bfd_receiver_number(options->multihop, family)];

	if (*fd >= 0)
		return 0;
	*fd = bfd_socket_open_receiver(family, bfd->ports.receive[options->multihop], error,
				       error_size);
	if (*fd < 0)
		return -1;
	if (bfd_watch(bfd, *fd) == 0)
		return 0;
	snprintf(error, error_size, "%s", strerror(errno));
	close(*fd);
	*fd = -1;
	return -1;
}

static bool bfd_has_peer(const struct bfd *bfd, const struct bfd_options *options)
{
	for (unsigned int i = 0; i < bfd->link_count; i++) {
		const struct bfd_options *other = &bfd->links[i]->options;
		if (other->multihop == options->multihop &&
		    strcmp(other->interface, options->interface) == 0 &&
		    bfd_socket_same_host(&other->peer, &options->peer) &&
		    bfd_socket_interface(other) == bfd_socket_interface(options))
			return true;
	}
	return false;
}

/* Under the lock. NULL with a reason. */
static struct bfd_link *bfd_add_checked(struct bfd *bfd, const struct bfd_options *options,
					char *error, size_t error_size)
{
	snprintf(error, error_size, "out of memory");
	if (bfd->link_count == BFD_LINKS_MAX) {
		snprintf(error, error_size, "there are %d sessions already", BFD_LINKS_MAX);
		return NULL;
	}
	if (bfd_has_peer(bfd, options)) {
		snprintf(error, error_size, "it has a session already");
		return NULL;
	}
	if (bfd_open_receiver(bfd, options, error, error_size) != 0)
		return NULL;
	uint32_t discriminator = bfd_choose_discriminator(bfd);
	struct bfd_link *link = NULL;
	if (discriminator != 0)
		link = bfd_link_create(options, discriminator, bfd->link_count,
				       bfd->ports.send[options->multihop], bfd->reporter);
	if (!link)
		return NULL;
	link->bfd = bfd;
	bfd->links[bfd->link_count++] = link;
	return link;
}

struct bfd_link *bfd_add(struct bfd *bfd, const struct bfd_options *options, char *error,
			 size_t error_size)
{
	char peer[BFD_PEER_TEXT_MAX];
	char reason[200] = "";
	struct bfd_link *link = NULL;
	const char *problem = bfd_check_options(options);

	if (problem) {
		snprintf(reason, sizeof(reason), "%s", problem);
	} else {
		pthread_mutex_lock(&bfd->lock);
		link = bfd_add_checked(bfd, options, reason, sizeof(reason));
		pthread_mutex_unlock(&bfd->lock);
	}
	if (link) {
		bfd_signal(bfd->wake_fd);
		return link;
	}
	bfd_socket_format_peer(options, peer, sizeof(peer));
	snprintf(error, error_size, "BFD with peer %s: %s", peer, reason);
	return NULL;
}

void bfd_read_status(struct bfd_link *link, struct bfd_status *out)
{
	pthread_mutex_lock(&link->bfd->lock);
	bfd_link_read_status(link, out);
	pthread_mutex_unlock(&link->bfd->lock);
}

uint64_t bfd_packets_unknown(const struct bfd *bfd)
{
	return atomic_load_explicit(&bfd->unknown, memory_order_relaxed);
}
