/* One listening socket on the event loop; see the header. */
#include "announcer/speaker_listen.h"

#include "announcer/peer_socket.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Connections taken per event: the loop has other work. */
#define LISTEN_TAKE_MAX 16

struct speaker_listener {
	int fd;
	speaker_accept_fn on_accept;
	void *ctx;
	struct event *readable;
	struct event *resume;
};

/* What a client did, not what we lack: the next one is looked at. */
static bool listen_is_passing(int cause)
{
	return cause == EINTR || cause == ECONNABORTED || cause == EPROTO || cause == EPERM;
}

static void listen_pause(struct speaker_listener *listener, int cause)
{
	const struct timeval pause = clock_timeval(SPEAKER_LISTEN_PAUSE_MS);
	log_warning_limited("BGP connections wait", "reason=%s", strerror(cause));
	if (event_add(listener->resume, &pause) == 0)
		event_del(listener->readable);
}

static void listen_on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct speaker_listener *listener = ctx;
	(void)what;
	for (int i = 0; i < LISTEN_TAKE_MAX; i++) {
		struct sockaddr_storage from = {0};
		socklen_t size = sizeof(from);
		int taken =
			accept4(fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (taken >= 0) {
			listener->on_accept(listener->ctx, taken, &from);
		} else if (errno == EAGAIN) {
			return;
		} else if (!listen_is_passing(errno)) {
			listen_pause(listener, errno);
			return;
		}
	}
}

static void listen_on_resume(evutil_socket_t fd, short what, void *ctx)
{
	struct speaker_listener *listener = ctx;
	(void)fd;
	(void)what;
	if (event_add(listener->readable, NULL) != 0)
		listen_pause(listener, ENOMEM);
}

struct speaker_listener *speaker_listener_create(struct event_base *base,
						 const struct announcer_bgp *bgp,
						 const struct address *address,
						 speaker_accept_fn on_accept, void *ctx,
						 char *error, size_t error_size)
{
	struct speaker_listener *listener = calloc(1, sizeof(*listener));
	if (!listener) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	listener->on_accept = on_accept;
	listener->ctx = ctx;
	listener->fd = peer_socket_listen(bgp, address, error, error_size);
	if (listener->fd < 0) {
		free(listener);
		return NULL;
	}
	listener->readable =
		event_new(base, listener->fd, EV_READ | EV_PERSIST, listen_on_readable, listener);
	listener->resume = evtimer_new(base, listen_on_resume, listener);
	if (!listener->readable || !listener->resume || event_add(listener->readable, NULL) != 0) {
		snprintf(error, error_size, "out of memory");
		speaker_listener_destroy(listener);
		return NULL;
	}
	return listener;
}

void speaker_listener_destroy(struct speaker_listener *listener)
{
	if (!listener)
		return;
	if (listener->readable)
		event_free(listener->readable);
	if (listener->resume)
		event_free(listener->resume);
	close(listener->fd);
	free(listener);
}
