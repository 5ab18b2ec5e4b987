/* Datagrams to the service manager, one socket each: they are few. */
#include "common/notify.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTIFY_STATUS_MS 5000 /* between status lines, unless the watchdog is more impatient */
#define NOTIFY_TEXT_MAX 1024

/* Reads $NOTIFY_SOCKET: a path, or "@" and an abstract name. False when there is none. */
static bool notify_find_socket(struct sockaddr_un *address, socklen_t *size)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	if (length < 2 || length >= sizeof(address->sun_path) || (*path != '/' && *path != '@'))
		return false;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, length);
	if (*path == '@')
		address->sun_path[0] = '\0';
	*size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return true;
}

static void notify_send(const char *text)
{
	struct sockaddr_un address;
	socklen_t size;

	if (!notify_find_socket(&address, &size))
		return;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL,
			     (const struct sockaddr *)&address, size) < 0)
		log_warning_limited("service manager not told", "reason=%s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

void notify_ready(void)
{
	notify_send("READY=1");
}

void notify_reloading(void)
{
	char text[NOTIFY_TEXT_MAX];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)(clock_now_ns() / 1000));
	notify_send(text);
}

void notify_stopping(void)
{
	notify_send("STOPPING=1");
}

void notify_status(const char *line, bool alive)
{
	char text[NOTIFY_TEXT_MAX];

	/* A second line would be another variable. */
	snprintf(text, sizeof(text), "%sSTATUS=%.*s", alive ? "WATCHDOG=1\n" : "",
		 (int)strcspn(line, "\n"), line);
	notify_send(text);
}

int notify_interval_ms(void)
{
	struct sockaddr_un address;
	socklen_t size;
	const char *time = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	if (!notify_find_socket(&address, &size))
		return 0;
	long long watchdog_ms = time ? atoll(time) / 1000 : 0;
	if (watchdog_ms <= 0 || (pid && atoll(pid) != getpid()) ||
	    watchdog_ms / 3 > NOTIFY_STATUS_MS)
		return NOTIFY_STATUS_MS;
	return watchdog_ms >= 3 ? (int)(watchdog_ms / 3) : 1;
}
