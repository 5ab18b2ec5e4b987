/* What a service manager hears: played here by a datagram socket. */
#include "common/admin.h"
#include "common/metrics.h"
#include "common/notify.h"
#include "suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 5000

/* Listens where $NOTIFY_SOCKET then points: an abstract name, as systemd has it in containers. */
static int listen_as_manager(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];
	int size = snprintf(name, sizeof(name), "@godwit-test-notify-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, name, (size_t)size);
	address.sun_path[0] = '\0';
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size)) != 0)
		abort();
	setenv("NOTIFY_SOCKET", name, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return fd;
}

/* The next message, or "" when none has come in time. */
static const char *hear(int fd, int wait_ms)
{
	static char text[2048];
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	ssize_t size = 0;

	if (poll(&poll_fd, 1, wait_ms) > 0)
		size = recv(fd, text, sizeof(text) - 1, 0);
	text[size > 0 ? size : 0] = '\0';
	return text;
}

static void test_states_are_told(void)
{
	int fd = listen_as_manager();

	notify_ready();
	CU_ASSERT_STRING_EQUAL(hear(fd, WAIT_MS), "READY=1");
	notify_reloading();
	CU_ASSERT_EQUAL(strncmp(hear(fd, WAIT_MS), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	notify_stopping();
	CU_ASSERT_STRING_EQUAL(hear(fd, WAIT_MS), "STOPPING=1");
	notify_status("3 zones", true);
	CU_ASSERT_STRING_EQUAL(hear(fd, WAIT_MS), "WATCHDOG=1\nSTATUS=3 zones");
	notify_status("two\nREADY=1", false);
	CU_ASSERT_STRING_EQUAL(hear(fd, WAIT_MS), "STATUS=two");
	close(fd);
}

static void test_nobody_is_told_without_a_socket(void)
{
	static const char *const bad[] = {"", "@", "relative/path", "/nowhere/at/all"};

	unsetenv("NOTIFY_SOCKET");
	notify_ready();
	CU_ASSERT_EQUAL(notify_interval_ms(), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		notify_ready();
	}
	char longest[300];
	memset(longest, '/', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	notify_ready();
	CU_ASSERT_EQUAL(notify_interval_ms(), 0);
}

static void test_the_interval_is_the_watchdogs(void)
{
	char pid[32];
	int fd = listen_as_manager();

	CU_ASSERT_EQUAL(notify_interval_ms(), 5000);
	setenv("WATCHDOG_USEC", "3000000", 1);
	CU_ASSERT_EQUAL(notify_interval_ms(), 1000);
	setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
	CU_ASSERT_EQUAL(notify_interval_ms(), 5000);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	CU_ASSERT_EQUAL(notify_interval_ms(), 1000);
	setenv("WATCHDOG_USEC", "1", 1);
	CU_ASSERT_EQUAL(notify_interval_ms(), 5000);
	setenv("WATCHDOG_USEC", "120000000", 1);
	CU_ASSERT_EQUAL(notify_interval_ms(), 5000);
	close(fd);
}

/* An address for the admin server that was free a moment ago. */
static void find_address(char *text, size_t text_size)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		abort();
	close(fd);
	snprintf(text, text_size, "127.0.0.1:%hu", ntohs(address.sin_port));
}

static atomic_bool alive_now;

static bool is_ready(void *ctx, char *reason, size_t reason_size)
{
	(void)ctx;
	snprintf(reason, reason_size, "store not loaded yet");
	return false;
}

static bool is_alive(void *ctx, char *reason, size_t reason_size)
{
	(void)ctx;
	snprintf(reason, reason_size, "%s", alive_now ? "alive" : "the loop stands still");
	return alive_now;
}

/* Hears until `text` comes, and says whether it did. */
static bool hear_text(int fd, const char *text)
{
	for (int i = 0; i < 1000; i++) {
		const char *heard = hear(fd, WAIT_MS);
		if (strcmp(heard, text) == 0)
			return true;
		if (!*heard)
			break;
	}
	return false;
}

static void test_the_watchdog_starves_when_the_program_is_not_alive(void)
{
	static const struct metric_def defs[] = {
		{"test_events_total", NULL, "Events.", METRIC_COUNTER},
	};
	char error[256] = "";
	char address[64];
	int fd = listen_as_manager();

	setenv("WATCHDOG_USEC", "30000", 1);
	alive_now = true;
	struct metrics *metrics = metrics_create(defs, 1);
	find_address(address, sizeof(address));
	struct admin *admin = admin_start(address, metrics, is_ready, NULL, error, sizeof(error));
	CU_ASSERT_PTR_NOT_NULL_FATAL(admin);
	admin_set_live(admin, is_alive, NULL);
	/* Not being ready is no reason to be killed. */
	CU_ASSERT_TRUE(hear_text(fd, "WATCHDOG=1\nSTATUS=store not loaded yet"));
	alive_now = false;
	CU_ASSERT_TRUE(hear_text(fd, "STATUS=the loop stands still"));
	CU_ASSERT_STRING_EQUAL(hear(fd, WAIT_MS), "STATUS=the loop stands still");
	alive_now = true;
	CU_ASSERT_TRUE(hear_text(fd, "WATCHDOG=1\nSTATUS=store not loaded yet"));
	admin_stop(admin);
	metrics_destroy(metrics);
	close(fd);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"states are told", test_states_are_told},
		{"nobody is told without a socket", test_nobody_is_told_without_a_socket},
		{"the interval is the watchdog's", test_the_interval_is_the_watchdogs},
		{"the watchdog starves when the program is not alive",
		 test_the_watchdog_starves_when_the_program_is_not_alive},
	};

	return SUITE_RUN("notify", tests);
}
