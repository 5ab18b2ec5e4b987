/* The announcer's end of the life line, against a front end made of a bare socket. */
#include "announcer/life_line.h"
#include "common/clock.h"
#include "suite.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 5000
#define HEARD_MAX 64

struct fixture {
	char directory[32];
	char path[64];
	struct event_base *base;
	struct life_line *line;
	int listener;
	int front_end; /* the connection, at its other end */
	enum life_line_state heard[HEARD_MAX];
	int count;
};

static void on_change(void *ctx, enum life_line_state state)
{
	struct fixture *fixture = ctx;

	CU_ASSERT_EQUAL(life_line_state(fixture->line), state);
	if (fixture->count < HEARD_MAX)
		fixture->heard[fixture->count] = state;
	fixture->count++;
}

static void start_listening(struct fixture *fixture)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, fixture->path, sizeof(fixture->path));
	fixture->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	unlink(fixture->path);
	CU_ASSERT_EQUAL_FATAL(
		bind(fixture->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fixture->listener, 4), 0);
}

static void start(struct fixture *fixture)
{
	memset(fixture, 0, sizeof(*fixture));
	snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/godwit-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof(fixture->path), "%s/life", fixture->directory);
	fixture->listener = -1;
	fixture->front_end = -1;
	fixture->base = event_base_new();
	fixture->line = life_line_create(fixture->base, fixture->path, on_change, fixture);
	CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->line);
}

static void stop(struct fixture *fixture)
{
	life_line_destroy(fixture->line);
	event_base_free(fixture->base);
	if (fixture->front_end >= 0)
		close(fixture->front_end);
	if (fixture->listener >= 0)
		close(fixture->listener);
	unlink(fixture->path);
	rmdir(fixture->directory);
}

/* Runs the loop until so many changes were heard. */
static bool wait_count(struct fixture *fixture, int count)
{
	const struct timeval step = {.tv_usec = 2000};
	int64_t end = clock_now_ms() + WAIT_MS;

	while (fixture->count < count && clock_now_ms() < end) {
		event_base_loopexit(fixture->base, &step);
		event_base_dispatch(fixture->base);
	}
	return fixture->count == count;
}

/* Runs the loop until the line has connected, and accepts it. */
static void accept_line(struct fixture *fixture)
{
	CU_ASSERT_TRUE_FATAL(wait_count(fixture, fixture->count + 1));
	CU_ASSERT_EQUAL(life_line_state(fixture->line), LIFE_LINE_SILENT);
	fixture->front_end = accept(fixture->listener, NULL, NULL);
	CU_ASSERT_FATAL(fixture->front_end >= 0);
}

static void say(struct fixture *fixture, const char *text)
{
	CU_ASSERT_EQUAL(write(fixture->front_end, text, strlen(text)), (ssize_t)strlen(text));
}

static void start_connected(struct fixture *fixture)
{
	start(fixture);
	start_listening(fixture);
	accept_line(fixture);
}

static void test_is_lost_until_somebody_listens(void)
{
	struct fixture fixture;
	const struct timeval while_lost = {.tv_usec = 400000};

	start(&fixture);
	CU_ASSERT_EQUAL(life_line_state(fixture.line), LIFE_LINE_LOST);
	event_base_loopexit(fixture.base, &while_lost);
	event_base_dispatch(fixture.base);
	CU_ASSERT_EQUAL(fixture.count, 0);
	start_listening(&fixture);
	int64_t before = clock_now_ms();
	accept_line(&fixture);
	CU_ASSERT(clock_now_ms() - before < 2000); /* tried at least every 250 ms */
	CU_ASSERT_EQUAL(fixture.heard[0], LIFE_LINE_SILENT);
	stop(&fixture);
}

static void test_follows_what_the_front_end_says(void)
{
	struct fixture fixture;

	start_connected(&fixture);
	say(&fixture, "not serving\nserving\n");
	CU_ASSERT_TRUE(wait_count(&fixture, 2)); /* silent it was */
	CU_ASSERT_EQUAL(fixture.heard[1], LIFE_LINE_SERVING);
	say(&fixture, "not serving\n");
	CU_ASSERT_TRUE(wait_count(&fixture, 3));
	CU_ASSERT_EQUAL(fixture.heard[2], LIFE_LINE_SILENT);
	say(&fixture, "serving\nserving\ndraining\n");
	CU_ASSERT_TRUE(wait_count(&fixture, 5));
	CU_ASSERT_EQUAL(fixture.heard[3], LIFE_LINE_SERVING);
	CU_ASSERT_EQUAL(fixture.heard[4], LIFE_LINE_DRAINING);
	stop(&fixture);
}

static void test_lines_come_in_pieces(void)
{
	struct fixture fixture;

	start_connected(&fixture);
	for (const char *p = "serving"; *p; p++) {
		const char piece[] = {*p, '\0'};
		say(&fixture, piece);
		event_base_loop(fixture.base, EVLOOP_NONBLOCK);
	}
	CU_ASSERT_EQUAL(fixture.count, 1);
	say(&fixture, "\n");
	CU_ASSERT_TRUE(wait_count(&fixture, 2));
	CU_ASSERT_EQUAL(fixture.heard[1], LIFE_LINE_SERVING);
	stop(&fixture);
}

static void test_other_lines_are_ignored(void)
{
	struct fixture fixture;

	start_connected(&fixture);
	say(&fixture, "\nservin\nserving \nSERVING\nserving\r\nhello, servingserving\n");
	char longest[5001];
	memset(longest, 's', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	say(&fixture, longest);
	say(&fixture, "\ndraining\n");
	CU_ASSERT_TRUE(wait_count(&fixture, 2));
	CU_ASSERT_EQUAL(fixture.heard[1], LIFE_LINE_DRAINING);
	stop(&fixture);
}

static void test_an_end_is_heard_at_once_and_mended(void)
{
	struct fixture fixture;

	start_connected(&fixture);
	say(&fixture, "serving\n");
	CU_ASSERT_TRUE(wait_count(&fixture, 2));
	/* What was said last is heard first, in the same round. */
	say(&fixture, "draining\n");
	close(fixture.front_end);
	event_base_loop(fixture.base, EVLOOP_ONCE);
	CU_ASSERT_EQUAL(fixture.count, 4);
	CU_ASSERT_EQUAL(fixture.heard[2], LIFE_LINE_DRAINING);
	CU_ASSERT_EQUAL(fixture.heard[3], LIFE_LINE_LOST);
	accept_line(&fixture);
	/* The half of a line from before is forgotten. */
	say(&fixture, "serv");
	event_base_loop(fixture.base, EVLOOP_NONBLOCK);
	close(fixture.front_end);
	CU_ASSERT_TRUE(wait_count(&fixture, 6));
	accept_line(&fixture);
	say(&fixture, "ing\nserving\n");
	CU_ASSERT_TRUE(wait_count(&fixture, 8));
	CU_ASSERT_EQUAL(fixture.heard[7], LIFE_LINE_SERVING);
	stop(&fixture);
}

static void test_the_withdrawal_is_told(void)
{
	struct fixture fixture;
	char octets[32] = "";

	start_connected(&fixture);
	life_line_say_withdrawn(fixture.line);
	CU_ASSERT_EQUAL(read(fixture.front_end, octets, sizeof(octets) - 1), 10);
	CU_ASSERT_STRING_EQUAL(octets, "withdrawn\n");
	stop(&fixture);
}

static void test_a_withdrawal_that_nobody_hears_does_no_harm(void)
{
	struct fixture fixture;

	start(&fixture);
	life_line_say_withdrawn(fixture.line); /* not connected */
	start_listening(&fixture);
	accept_line(&fixture);
	close(fixture.front_end);
	life_line_say_withdrawn(fixture.line); /* not any more, and not known yet */
	CU_ASSERT_TRUE(wait_count(&fixture, 2));
	CU_ASSERT_EQUAL(fixture.heard[1], LIFE_LINE_LOST);
	accept_line(&fixture);
	/* A front end that does not read: said once too often, and no wait. */
	for (int i = 0; i < 100000; i++)
		life_line_say_withdrawn(fixture.line);
	CU_ASSERT_EQUAL(life_line_state(fixture.line), LIFE_LINE_SILENT);
	stop(&fixture);
}

static void test_the_descriptor_is_not_for_children(void)
{
	struct fixture fixture;
	int found = 0;

	start_connected(&fixture);
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_un address = {0};
		socklen_t size = sizeof(address);
		if (fd == fixture.listener || fd == fixture.front_end ||
		    getpeername(fd, (struct sockaddr *)&address, &size) != 0 ||
		    strcmp(address.sun_path, fixture.path) != 0)
			continue;
		found++;
		CU_ASSERT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	CU_ASSERT_EQUAL(found, 1);
	stop(&fixture);
}

static void test_states_have_names(void)
{
	CU_ASSERT_STRING_EQUAL(life_line_state_name(LIFE_LINE_LOST), "lost");
	CU_ASSERT_STRING_EQUAL(life_line_state_name(LIFE_LINE_DRAINING), "draining");
	life_line_destroy(NULL);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"is lost until somebody listens", test_is_lost_until_somebody_listens},
		{"follows what the front end says", test_follows_what_the_front_end_says},
		{"lines come in pieces", test_lines_come_in_pieces},
		{"other lines are ignored", test_other_lines_are_ignored},
		{"an end is heard at once, and mended", test_an_end_is_heard_at_once_and_mended},
		{"the withdrawal is told", test_the_withdrawal_is_told},
		{"a withdrawal that nobody hears does no harm",
		 test_a_withdrawal_that_nobody_hears_does_no_harm},
		{"the descriptor is not for children", test_the_descriptor_is_not_for_children},
		{"states have names", test_states_have_names},
	};
	return SUITE_RUN("life_line", tests);
}
