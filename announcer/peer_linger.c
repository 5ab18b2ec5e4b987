/* A list of sockets on their way out; see the header. */
#include "announcer/peer_linger.h"

#include "announcer/peer_write.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is read is not looked at; a peer that sends without end is heard until the time is over. */
#define LINGER_READ_SIZE 4096

struct peer_linger {
	TAILQ_ENTRY(peer_linger) entry;
	struct peer_lingers *owner;
	int fd;
	struct evbuffer *rest;
	struct event *readable;
	struct event *writable; /* pending while `rest` does not fit into the socket */
	struct event *end;
};

struct peer_lingers {
	struct event_base *base;
	TAILQ_HEAD(, peer_linger) list; /* the oldest first */
	size_t count;
};

static void linger_destroy(struct peer_linger *linger)
{
	if (linger->readable)
		event_free(linger->readable);
	if (linger->writable)
		event_free(linger->writable);
	if (linger->end)
		event_free(linger->end);
	if (linger->rest)
		evbuffer_free(linger->rest);
	close(linger->fd);
	free(linger);
}

static void linger_end(struct peer_linger *linger)
{
	TAILQ_REMOVE(&linger->owner->list, linger, entry);
	linger->owner->count--;
	linger_destroy(linger);
}

static void linger_on_time(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	linger_end(ctx);
}

/* True when the peer has closed, or the connection is broken. */
static bool linger_has_ended(const struct peer_linger *linger)
{
	char unread[LINGER_READ_SIZE];
	ssize_t size = read(linger->fd, unread, sizeof(unread));
	return size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
}

/* Sends, then says that there is no more. False when the connection is broken. */
static bool linger_send(struct peer_linger *linger)
{
	if (peer_write(linger->fd, linger->rest) != 0)
		return false;
	if (evbuffer_get_length(linger->rest) > 0)
		return event_add(linger->writable, NULL) == 0;
	return shutdown(linger->fd, SHUT_WR) == 0;
}

static void linger_on_readable(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	if (linger_has_ended(ctx))
		linger_end(ctx);
}

static void linger_on_writable(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	if (!linger_send(ctx))
		linger_end(ctx);
}

struct peer_lingers *peer_lingers_create(struct event_base *base)
{
	struct peer_lingers *lingers = calloc(1, sizeof(*lingers));
	if (!lingers)
		return NULL;
	lingers->base = base;
	TAILQ_INIT(&lingers->list);
	return lingers;
}

void peer_lingers_destroy(struct peer_lingers *lingers)
{
	if (!lingers)
		return;
	while (!TAILQ_EMPTY(&lingers->list))
		linger_end(TAILQ_FIRST(&lingers->list));
	free(lingers);
}

void peer_linger_start(struct peer_lingers *lingers, int fd, struct evbuffer *rest)
{
	const struct timeval end = clock_timeval(PEER_LINGER_MS);
	struct peer_linger *linger = calloc(1, sizeof(*linger));
	if (!linger) {
		close(fd);
		return;
	}
	linger->owner = lingers;
	linger->fd = fd;
	linger->rest = evbuffer_new();
	linger->readable =
		event_new(lingers->base, fd, EV_READ | EV_PERSIST, linger_on_readable, linger);
	linger->writable = event_new(lingers->base, fd, EV_WRITE, linger_on_writable, linger);
	linger->end = evtimer_new(lingers->base, linger_on_time, linger);
	if (!linger->rest || !linger->readable || !linger->writable || !linger->end ||
	    evbuffer_add_buffer(linger->rest, rest) != 0 ||
	    event_add(linger->readable, NULL) != 0 || event_add(linger->end, &end) != 0) {
		log_warning_limited("a BGP connection is closed at once", "reason=%s",
				    "out of memory");
		linger_destroy(linger);
		return;
	}
	if (lingers->count == PEER_LINGER_MAX)
		linger_end(TAILQ_FIRST(&lingers->list));
	TAILQ_INSERT_TAIL(&lingers->list, linger, entry);
	lingers->count++;
	/* The peer hears of the end now, not at the loop's next turn. */
	if (!linger_send(linger))
		linger_end(linger);
}

size_t peer_lingers_count(const struct peer_lingers *lingers)
{
	return lingers->count;
}
