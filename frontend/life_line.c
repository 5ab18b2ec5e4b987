/*
 * One event loop: the listener, the clients, a timer that looks whether the front end serves, and
 * an eventfd by which other threads say that it drains or ends. What they ask for stands in
 * atomics.
 */
#include "frontend/life_line.h"

#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LIFE_LINE_LOOK_MS 50      /* between looks whether the front end serves */
#define LIFE_LINE_LOOKS_A_FILE 20 /* looks between looks for the socket's file */
#define LIFE_LINE_PAUSE_MS 200    /* after a connection could not be accepted */
#define LIFE_LINE_INPUT_MAX 4096  /* octets that a client may write in its life */
#define LIFE_LINE_TEXT_MAX 32     /* octets of a line that could mean something */
#define LIFE_LINE_BACKLOG 16

enum life_line_phase { PHASE_UNKNOWN, PHASE_NOT_SERVING, PHASE_SERVING, PHASE_DRAINING };

/* A place in the table; fd -1: nobody. */
struct life_line_client {
	struct life_line *line;
	struct event *event;
	int fd;
	size_t heard; /* octets in all */
	char text[LIFE_LINE_TEXT_MAX];
	size_t text_size; /* octets of the line so far; more than fit are only counted */
	bool withdrawn;
};

struct life_line {
	char path[LIFE_LINE_PATH_MAX];
	life_line_ready_fn ready;
	void *ctx;
	struct heartbeat *heartbeat;
	pthread_t thread;
	bool running;

	_Atomic bool draining; /* asked for by other threads, who then write to wake_fd */
	_Atomic bool stopping;
	_Atomic bool told; /* "draining" was said */
	_Atomic unsigned int count;
	_Atomic unsigned int waiting;
	_Atomic uint64_t refused;

	/* The thread's own. */
	struct event_base *base;
	struct event *wake_event;
	struct event *look_event;
	struct event *resume_event;
	struct evconnlistener *listener;
	int wake_fd;
	struct stat file; /* the socket's, to know it again */
	enum life_line_phase phase;
	unsigned int looks;
	struct life_line_client clients[LIFE_LINE_CLIENTS_MAX];
};

/* After any change of the table. */
static void life_line_recount(struct life_line *line)
{
	unsigned int count = 0;
	unsigned int waiting = 0;

	for (size_t i = 0; i < LIFE_LINE_CLIENTS_MAX; i++) {
		const struct life_line_client *client = &line->clients[i];
		count += client->fd >= 0;
		waiting += client->fd >= 0 && !client->withdrawn;
	}
	atomic_store(&line->count, count);
	atomic_store(&line->waiting, waiting);
}

/* `problem` NULL: it has closed by itself. */
static void life_line_close_client(struct life_line_client *client, const char *problem)
{
	if (problem) {
		atomic_fetch_add(&client->line->refused, 1);
		log_warning_limited("life line closed", "reason=%s", problem);
	}
	event_free(client->event);
	close(client->fd);
	*client = (struct life_line_client){.line = client->line, .fd = -1};
	life_line_recount(client->line);
}

/* A line to one client, whole or not at all: it is short, and nobody leaves many unread. */
static void life_line_say(struct life_line_client *client)
{
	static const char *const texts[] = {
		[PHASE_UNKNOWN] = "",
		[PHASE_NOT_SERVING] = "not serving\n",
		[PHASE_SERVING] = "serving\n",
		[PHASE_DRAINING] = "draining\n",
	};
	const char *text = texts[client->line->phase];
	size_t size = strlen(text);

	if (send(client->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size)
		return;
	/* Gone, as the next read will tell too, or it does not read. */
	bool stuck = errno == EAGAIN || errno == EWOULDBLOCK;
	life_line_close_client(client, stuck ? "the announcer does not read" : NULL);
}

/* Finds out what is to be said, and says it to all when it is new. */
static void life_line_update(struct life_line *line)
{
	char reason[256];
	enum life_line_phase phase = PHASE_DRAINING;

	if (!atomic_load(&line->draining))
		phase = line->ready(line->ctx, reason, sizeof(reason)) ? PHASE_SERVING
								       : PHASE_NOT_SERVING;
	if (phase != line->phase) {
		line->phase = phase;
		for (size_t i = 0; i < LIFE_LINE_CLIENTS_MAX; i++)
			if (line->clients[i].fd >= 0)
				life_line_say(&line->clients[i]);
	}
	if (phase == PHASE_DRAINING)
		atomic_store(&line->told, true);
}

/* One octet of what a client says. */
static void life_line_hear(struct life_line_client *client, char octet)
{
	static const char withdrawn[] = "withdrawn";

	if (octet != '\n') {
		if (client->text_size < sizeof(client->text))
			client->text[client->text_size] = octet;
		client->text_size++;
		return;
	}
	if (client->text_size == strlen(withdrawn) &&
	    memcmp(client->text, withdrawn, client->text_size) == 0 && !client->withdrawn) {
		client->withdrawn = true;
		life_line_recount(client->line);
		log_info("an announcer has withdrawn", "waiting=%u",
			 atomic_load(&client->line->waiting));
	}
	client->text_size = 0;
}

static void life_line_on_client(evutil_socket_t fd, short what, void *ctx)
{
	struct life_line_client *client = ctx;
	char octets[512];
	ssize_t size = recv(fd, octets, sizeof(octets), MSG_DONTWAIT);
	(void)what;

	if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (size <= 0) {
		life_line_close_client(client, NULL);
		return;
	}
	client->heard += (size_t)size;
	if (client->heard > LIFE_LINE_INPUT_MAX) {
		life_line_close_client(client, "the announcer writes too much");
		return;
	}
	for (ssize_t i = 0; i < size; i++)
		life_line_hear(client, octets[i]);
}

static void life_line_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
				struct sockaddr *address, int address_size, void *ctx)
{
	struct life_line *line = ctx;
	struct life_line_client *client = NULL;
	(void)listener;
	(void)address;
	(void)address_size;

	for (size_t i = 0; i < LIFE_LINE_CLIENTS_MAX && !client; i++)
		if (line->clients[i].fd < 0)
			client = &line->clients[i];
	if (client)
		client->event = event_new(line->base, fd, EV_READ | EV_PERSIST, life_line_on_client,
					  client);
	if (!client || !client->event || event_add(client->event, NULL) != 0) {
		atomic_fetch_add(&line->refused, 1);
		log_warning_limited("life line refused", "reason=%s",
				    client ? "out of memory" : "too many announcers connected");
		if (client && client->event)
			event_free(client->event);
		if (client)
			client->event = NULL;
		close(fd);
		return;
	}
	client->fd = fd;
	life_line_recount(line);
	life_line_say(client);
}

static void life_line_on_resume(evutil_socket_t fd, short what, void *ctx)
{
	struct life_line *line = ctx;
	(void)fd;
	(void)what;
	if (line->listener)
		evconnlistener_enable(line->listener);
}

/* Out of descriptors: what waits is accepted later, and the loop does not spin meanwhile. */
static void life_line_on_accept_error(struct evconnlistener *listener, void *ctx)
{
	struct life_line *line = ctx;
	const struct timeval pause = clock_timeval(LIFE_LINE_PAUSE_MS);

	log_warning_limited("life line not accepted", "reason=%s", strerror(errno));
	if (event_add(line->resume_event, &pause) == 0)
		evconnlistener_disable(listener);
}

/* True when the path is the very socket that `line` listens at. */
static bool life_line_owns_file(const struct life_line *line)
{
	struct stat now;
	return line->file.st_ino != 0 && lstat(line->path, &now) == 0 &&
	       now.st_ino == line->file.st_ino && now.st_dev == line->file.st_dev;
}

/*
 * Makes the way free for bind: removes a socket at which nobody answers. 0, or -1 with a reason.
 */
static int life_line_clear_path(const struct sockaddr_un *address, char *error, size_t error_size)
{
	struct stat file;
	int fd = -1;

	if (lstat(address->sun_path, &file) != 0)
		return 0; /* not there, or bind says what is wrong */
	if (!S_ISSOCK(file.st_mode)) {
		snprintf(error, error_size, "%s is there and no socket", address->sun_path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool stale = fd >= 0 &&
		     connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		     errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	if (stale && unlink(address->sun_path) == 0)
		return 0;
	snprintf(error, error_size, "%s: %s", address->sun_path,
		 stale ? strerror(errno) : "another process answers there");
	return -1;
}

/* A listening socket at the path, or -1 with a reason. */
static int life_line_bind(struct life_line *line, char *error, size_t error_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, line->path, sizeof(address.sun_path));
	if (life_line_clear_path(&address, error, error_size) != 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The mode goes to the file when it is made, less the umask: never is it open to all. */
	if (fd >= 0 && fchmod(fd, 0660) == 0 &&
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	    chmod(line->path, 0660) == 0 && lstat(line->path, &line->file) == 0 &&
	    listen(fd, LIFE_LINE_BACKLOG) == 0)
		return fd;
	snprintf(error, error_size, "cannot listen at %s: %s", line->path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int life_line_listen(struct life_line *line, char *error, size_t error_size)
{
	int fd = life_line_bind(line, error, error_size);

	if (fd < 0)
		return -1;
	line->listener = evconnlistener_new(line->base, life_line_on_accept, line,
					    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!line->listener) {
		snprintf(error, error_size, "cannot listen at %s: out of memory", line->path);
		close(fd);
		return -1;
	}
	evconnlistener_set_error_cb(line->listener, life_line_on_accept_error);
	return 0;
}

/* Somebody may have tidied up the directory: those connected do not mind, new ones would. */
static void life_line_keep_file(struct life_line *line)
{
	char error[256] = "";

	if (line->listener && life_line_owns_file(line))
		return;
	if (line->listener)
		evconnlistener_free(line->listener);
	line->listener = NULL;
	memset(&line->file, 0, sizeof(line->file));
	if (life_line_listen(line, error, sizeof(error)) == 0)
		log_warning("life line socket was gone: made again", "path=%s", line->path);
	else
		log_warning_limited("life line socket is gone", "reason=%s", error);
}

static void life_line_on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct life_line *line = ctx;
	(void)fd;
	(void)what;

	heartbeat_beat(line->heartbeat);
	life_line_update(line);
	if (++line->looks % LIFE_LINE_LOOKS_A_FILE == 0)
		life_line_keep_file(line);
}

static void life_line_on_wake(evutil_socket_t fd, short what, void *ctx)
{
	struct life_line *line = ctx;
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));
	(void)got;
	(void)what;

	if (atomic_load(&line->stopping))
		event_base_loopbreak(line->base);
	else
		life_line_update(line);
}

static void *life_line_run(void *arg)
{
	struct life_line *line = arg;

	if (event_base_dispatch(line->base) < 0)
		log_error("life line ended by itself", "reason=%s", strerror(errno));
	if (atomic_load(&line->stopping))
		heartbeat_end(line->heartbeat);
	return NULL;
}

static int life_line_setup(struct life_line *line)
{
	const struct timeval look = clock_timeval(LIFE_LINE_LOOK_MS);

	line->base = event_base_new();
	line->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!line->base || line->wake_fd < 0)
		return -1;
	line->wake_event =
		event_new(line->base, line->wake_fd, EV_READ | EV_PERSIST, life_line_on_wake, line);
	line->look_event = event_new(line->base, -1, EV_PERSIST, life_line_on_look, line);
	line->resume_event = evtimer_new(line->base, life_line_on_resume, line);
	if (!line->wake_event || !line->look_event || !line->resume_event ||
	    event_add(line->wake_event, NULL) != 0)
		return -1;
	return event_add(line->look_event, &look);
}

struct life_line *life_line_start(const char *path, life_line_ready_fn ready, void *ctx,
				  struct heartbeat *heartbeat, char *error, size_t error_size)
{
	struct life_line *line = calloc(1, sizeof(*line));

	snprintf(error, error_size, "no life line at %s: out of memory or threads", path);
	if (!line)
		return NULL;
	line->wake_fd = -1;
	line->ready = ready;
	line->ctx = ctx;
	line->heartbeat = heartbeat;
	for (size_t i = 0; i < LIFE_LINE_CLIENTS_MAX; i++)
		line->clients[i] = (struct life_line_client){.line = line, .fd = -1};
	if ((size_t)snprintf(line->path, sizeof(line->path), "%s", path) >= sizeof(line->path)) {
		snprintf(error, error_size, "%s: too long for the path of a socket", path);
		goto failed;
	}
	if (life_line_setup(line) != 0 || life_line_listen(line, error, error_size) != 0)
		goto failed;
	life_line_update(line);
	if (pthread_create(&line->thread, NULL, life_line_run, line) != 0) {
		snprintf(error, error_size, "no life line at %s: out of threads", path);
		goto failed;
	}
	line->running = true;
	pthread_setname_np(line->thread, "life-line");
	return line;
failed:
	life_line_stop(line);
	return NULL;
}

static void life_line_wake(struct life_line *line)
{
	const uint64_t one = 1;
	/* Only a full counter refuses it, and then the loop wakes anyway. */
	ssize_t written = write(line->wake_fd, &one, sizeof(one));
	(void)written;
}

void life_line_drain(struct life_line *line)
{
	atomic_store(&line->draining, true);
	life_line_wake(line);
}

bool life_line_is_drained(const struct life_line *line)
{
	return atomic_load(&line->told) && atomic_load(&line->waiting) == 0;
}

unsigned int life_line_count(const struct life_line *line)
{
	return atomic_load(&line->count);
}

unsigned int life_line_waiting(const struct life_line *line)
{
	return atomic_load(&line->waiting);
}

uint64_t life_line_refused(const struct life_line *line)
{
	return atomic_load(&line->refused);
}

static void life_line_free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void life_line_stop(struct life_line *line)
{
	if (!line)
		return;
	if (line->running) {
		atomic_store(&line->stopping, true);
		life_line_wake(line);
		pthread_join(line->thread, NULL);
	}
	for (size_t i = 0; i < LIFE_LINE_CLIENTS_MAX; i++)
		if (line->clients[i].fd >= 0)
			life_line_close_client(&line->clients[i], NULL);
	if (life_line_owns_file(line))
		unlink(line->path);
	if (line->listener)
		evconnlistener_free(line->listener);
	life_line_free_event(line->wake_event);
	life_line_free_event(line->look_event);
	life_line_free_event(line->resume_event);
	if (line->wake_fd >= 0)
		close(line->wake_fd);
	if (line->base)
		event_base_free(line->base);
	free(line);
}
