/* The announcer's end of the life line: connect, listen to lines, connect again. */
#include "announcer/life_line.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIFE_LINE_RETRY_MIN_MS 50
#define LIFE_LINE_RETRY_MAX_MS 250
#define LIFE_LINE_TEXT_MAX 32     /* octets of a line that could mean something */
#define LIFE_LINE_READS_MAX 16    /* in a row, before others on the loop have their turn */
#define LIFE_LINE_REPEAT_MS 60000 /* between lines that say why there is no connection */

struct life_line {
	struct event_base *base;
	const char *path;
	life_line_change_fn on_change;
	void *ctx;
	enum life_line_state state;
	int fd; /* -1: not connected */
	struct event *read_event;
	struct event *retry_event;
	struct log_limit failure_limit;
	char text[LIFE_LINE_TEXT_MAX];
	size_t text_size; /* octets of the line so far; more than fit are only counted */
};

const char *life_line_state_name(enum life_line_state state)
{
	static const char *const names[] = {"lost", "silent", "serving", "draining"};
	return (unsigned int)state < 4 ? names[state] : "unknown";
}

static void life_line_change(struct life_line *line, enum life_line_state state, const char *cause)
{
	if (state == line->state)
		return;
	bool bad = state == LIFE_LINE_LOST;
	log_write(bad ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "life line",
		  "path=%s state=%s was=%s reason=%s", line->path, life_line_state_name(state),
		  life_line_state_name(line->state), cause);
	line->state = state;
	if (line->on_change)
		line->on_change(line->ctx, state);
}

/* Not in step with other announcers of the host; how random it is does not matter. */
static void life_line_retry_later(struct life_line *line)
{
	uint16_t random = 0;
	ssize_t got = getrandom(&random, sizeof(random), GRND_NONBLOCK);
	long span = LIFE_LINE_RETRY_MAX_MS - LIFE_LINE_RETRY_MIN_MS + 1;
	long wait_ms = LIFE_LINE_RETRY_MIN_MS + (got > 0 ? random % span : span / 2);
	const struct timeval wait = clock_timeval(wait_ms);

	event_add(line->retry_event, &wait);
}

static void life_line_close(struct life_line *line)
{
	if (line->read_event)
		event_free(line->read_event);
	line->read_event = NULL;
	if (line->fd >= 0)
		close(line->fd);
	line->fd = -1;
	line->text_size = 0;
}

static void life_line_lose(struct life_line *line, const char *cause)
{
	life_line_close(line);
	life_line_retry_later(line);
	life_line_change(line, LIFE_LINE_LOST, cause);
}

/* A whole line. */
static void life_line_take(struct life_line *line)
{
	static const struct {
		const char *text;
		enum life_line_state state;
	} known[] = {
		{"serving", LIFE_LINE_SERVING},
		{"not serving", LIFE_LINE_SILENT},
		{"draining", LIFE_LINE_DRAINING},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (line->text_size == strlen(known[i].text) &&
		    memcmp(line->text, known[i].text, line->text_size) == 0)
			life_line_change(line, known[i].state, "the front end says so");
	line->text_size = 0;
}

static void life_line_hear(struct life_line *line, const char *octets, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (octets[i] == '\n') {
			life_line_take(line);
			continue;
		}
		if (line->text_size < sizeof(line->text))
			line->text[line->text_size] = octets[i];
		line->text_size++;
	}
}

/* Reads up to the end of file, if it is there: what was said before it must not delay it. */
static void life_line_on_read(evutil_socket_t fd, short what, void *ctx)
{
	struct life_line *line = ctx;
	char octets[256];
	(void)what;

	for (int i = 0; i < LIFE_LINE_READS_MAX && line->fd >= 0; i++) {
		ssize_t size = recv(fd, octets, sizeof(octets), MSG_DONTWAIT);
		if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return;
		if (size > 0)
			life_line_hear(line, octets, (size_t)size);
		else if (size == 0)
			life_line_lose(line, "end of file: the front end has ended");
		else
			life_line_lose(line, strerror(errno));
	}
}

static int life_line_connect(struct life_line *line)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(line->path);

	if (size >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, line->path, size);
	line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (line->fd < 0 ||
	    connect(line->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -1;
	line->read_event =
		event_new(line->base, line->fd, EV_READ | EV_PERSIST, life_line_on_read, line);
	if (line->read_event && event_add(line->read_event, NULL) == 0)
		return 0;
	errno = ENOMEM;
	return -1;
}

static void life_line_on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct life_line *line = ctx;
	uint64_t suppressed;
	(void)fd;
	(void)what;

	if (life_line_connect(line) == 0) {
		life_line_change(line, LIFE_LINE_SILENT, "connected");
		return;
	}
	if (log_limit_pass(&line->failure_limit, LIFE_LINE_REPEAT_MS, &suppressed))
		log_warning("no life line to the front end", "path=%s reason=%s suppressed=%llu",
			    line->path, strerror(errno), (unsigned long long)suppressed);
	life_line_close(line);
	life_line_retry_later(line);
}

struct life_line *life_line_create(struct event_base *base, const char *path,
				   life_line_change_fn on_change, void *ctx)
{
	const struct timeval now = {0, 0};
	struct life_line *line = calloc(1, sizeof(*line));

	if (!line)
		return NULL;
	line->base = base;
	line->path = path;
	line->on_change = on_change;
	line->ctx = ctx;
	line->state = LIFE_LINE_LOST;
	line->fd = -1;
	line->retry_event = evtimer_new(base, life_line_on_retry, line);
	if (line->retry_event && event_add(line->retry_event, &now) == 0)
		return line;
	life_line_destroy(line);
	return NULL;
}

void life_line_destroy(struct life_line *line)
{
	if (!line)
		return;
	life_line_close(line);
	if (line->retry_event)
		event_free(line->retry_event);
	free(line);
}

enum life_line_state life_line_state(const struct life_line *line)
{
	return line->state;
}

void life_line_say_withdrawn(struct life_line *line)
{
	static const char text[] = "withdrawn\n";

	if (line->fd < 0)
		return;
	if (send(line->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) ==
	    (ssize_t)strlen(text))
		return;
	/*
	 * The reason comes with the next read. A front end that does not read ends by its own time.
	 */
	log_warning_limited("the front end was not told of the withdrawal", "path=%s reason=%s",
			    line->path, strerror(errno));
}
