/* The admin server, asked over a real socket. */
#include "common/admin.h"
#include "common/admin_connections.h"
#include "common/metrics.h"
#include "suite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const struct metric_def defs[] = {
	{"test_events_total", NULL, "Events.", METRIC_COUNTER},
};

static atomic_bool ready_now;

static bool answer_ready(void *ctx, char *reason, size_t reason_size)
{
	snprintf(reason, reason_size, "%s %s", (const char *)ctx, ready_now ? "in" : "missing");
	return ready_now;
}

/* A running server with what it borrows. */
struct fixture {
	struct metrics *metrics;
	struct metrics_shard *shard;
	struct admin *admin;
	struct sockaddr_in address;
	char text[64];
};

/* A port that was free a moment ago. */
static unsigned short find_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		abort();
	close(fd);
	return ntohs(address.sin_port);
}

static void start(struct fixture *fixture)
{
	static char what[] = "zones";
	char error[256] = "";
	unsigned short port = find_port();

	*fixture = (struct fixture){
		.address = {.sin_family = AF_INET,
			    .sin_port = htons(port),
			    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
	};
	snprintf(fixture->text, sizeof(fixture->text), "127.0.0.1:%hu", port);
	fixture->metrics = metrics_create(defs, 1);
	fixture->shard = metrics_shard_create(fixture->metrics);
	ready_now = true;
	fixture->admin = admin_start(fixture->text, fixture->metrics, answer_ready, what, error,
				     sizeof(error));
	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->admin);
}

static void stop(struct fixture *fixture)
{
	admin_stop(fixture->admin);
	metrics_destroy(fixture->metrics);
}

static int open_connection(const struct fixture *fixture)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT_EQUAL_FATAL(
		connect(fd, (const struct sockaddr *)&fixture->address, sizeof(fixture->address)),
		0);
	return fd;
}

/* Sends a request and reads the reply to its end into a static buffer. */
static const char *ask(const struct fixture *fixture, const char *request)
{
	static char reply[ADMIN_REPLY_MAX + 4096];
	size_t used = 0;
	ssize_t got;
	int fd = open_connection(fixture);

	CU_ASSERT_EQUAL_FATAL(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	while ((got = read(fd, reply + used, sizeof(reply) - 1 - used)) > 0)
		used += (size_t)got;
	reply[used] = '\0';
	close(fd);
	return reply;
}

#define ASSERT_STARTS(text, start) CU_ASSERT_EQUAL(strncmp(text, start, strlen(start)), 0)
#define ASSERT_ENDS(text, end)                                                                     \
	CU_ASSERT_STRING_EQUAL(                                                                    \
		text + (strlen(text) > strlen(end) ? strlen(text) - strlen(end) : 0), end)

static void test_readiness_is_asked_each_time(void)
{
	struct fixture fixture;

	start(&fixture);
	const char *reply = ask(&fixture, "GET /readyz HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nzones in\n");
	ready_now = false;
	reply = ask(&fixture, "GET /readyz HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 503 Service Unavailable\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nzones missing\n");
	reply = ask(&fixture, "GET /livez HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	stop(&fixture);
}

static void test_metrics_are_prometheus_text(void)
{
	struct fixture fixture;

	start(&fixture);
	metrics_add(fixture.shard, 0, 42);
	const char *reply = ask(&fixture, "GET /metrics HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "Content-Type: text/plain; version=0.0.4"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\ntest_events_total 42\n"));
	stop(&fixture);
}

static void test_the_status_page_is_html_that_runs_nothing_foreign(void)
{
	struct fixture fixture;

	start(&fixture);
	const char *reply = ask(&fixture, "GET / HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\nX-Content-Type-Options: nosniff\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(
		reply, "\r\nContent-Security-Policy: default-src 'none'; script-src 'sha256-"));
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\n\r\n<!DOCTYPE html>"));
	ASSERT_ENDS(reply, "</html>\n");
	ASSERT_STARTS(ask(&fixture, "POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n"),
		      "HTTP/1.0 405 ");
	stop(&fixture);
}

static void test_other_requests_are_refused(void)
{
	struct fixture fixture;

	start(&fixture);
	ASSERT_STARTS(ask(&fixture, "GET /etc/passwd HTTP/1.0\r\n\r\n"), "HTTP/1.0 404 ");
	ASSERT_STARTS(ask(&fixture, "DELETE /metrics HTTP/1.0\r\n\r\n"), "HTTP/1.1 501 ");
	ASSERT_STARTS(ask(&fixture, "no request at all\r\n\r\n"), "HTTP/1.1 400 ");
	stop(&fixture);
}

/* What POST /do does. */
static bool act(void *ctx, const char *query, char *reply, size_t reply_size)
{
	bool force = query && strcmp(query, "force=1") == 0;

	++*(int *)ctx;
	snprintf(reply, reply_size, force ? "forced" : "rather not");
	return force;
}

static void test_the_programs_own_page_is_posted_to(void)
{
	struct fixture fixture;
	int calls = 0;

	start(&fixture);
	ASSERT_STARTS(ask(&fixture, "POST /do HTTP/1.0\r\n\r\n"), "HTTP/1.0 404 ");
	admin_add_page(fixture.admin, ADMIN_POST, "/do", act, &calls);
	const char *reply = ask(&fixture, "POST /do?force=1 HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nforced\n");
	reply = ask(&fixture, "POST /do HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 409 Conflict\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nrather not\n");
	CU_ASSERT_EQUAL(calls, 2);
	reply = ask(&fixture, "GET /do HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 405 ");
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\nAllow: POST\r\n"));
	ASSERT_STARTS(ask(&fixture, "POST /metrics HTTP/1.0\r\n\r\n"), "HTTP/1.0 405 ");
	ASSERT_STARTS(ask(&fixture, "POST /readyz HTTP/1.0\r\n\r\n"), "HTTP/1.0 405 ");
	CU_ASSERT_EQUAL(calls, 2);
	stop(&fixture);
}

static void test_pages_are_there_from_the_first_answer_on(void)
{
	struct fixture fixture;
	char error[256] = "";
	char reply[256] = "";
	int calls = 0;

	start(&fixture);
	admin_stop(fixture.admin);
	fixture.admin = admin_create(fixture.text, fixture.metrics, answer_ready, NULL, error,
				     sizeof(error));
	CU_ASSERT_PTR_NOT_NULL_FATAL(fixture.admin);
	int early = open_connection(&fixture); /* is not refused: it waits */
	CU_ASSERT_EQUAL(write(early, "POST /do?force=1 HTTP/1.0\r\n\r\n", 29), 29);
	admin_add_page(fixture.admin, ADMIN_POST, "/do", act, &calls);
	CU_ASSERT_EQUAL(admin_serve(fixture.admin, error, sizeof(error)), 0);
	CU_ASSERT(read(early, reply, sizeof(reply) - 1) > 0);
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	close(early);
	stop(&fixture);
}

static void test_a_server_that_never_served_can_be_stopped(void)
{
	struct fixture fixture;
	char error[256] = "";

	start(&fixture);
	admin_stop(fixture.admin);
	fixture.admin = admin_create(fixture.text, fixture.metrics, answer_ready, NULL, error,
				     sizeof(error));
	CU_ASSERT_PTR_NOT_NULL(fixture.admin);
	stop(&fixture);
}

static void test_liveness_is_asked_where_the_program_says_so(void)
{
	struct fixture fixture;
	static char zones[] = "zones";

	start(&fixture);
	ready_now = false;
	const char *reply = ask(&fixture, "GET /livez HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nalive\n");
	admin_set_live(fixture.admin, answer_ready, zones);
	ASSERT_STARTS(ask(&fixture, "GET /livez HTTP/1.0\r\n\r\n"), "HTTP/1.0 503 ");
	ready_now = true;
	reply = ask(&fixture, "GET /livez HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nzones in\n");
	stop(&fixture);
}

/* Fills its reply to the last octet. */
static bool fill(void *ctx, const char *query, char *reply, size_t reply_size)
{
	(void)query;
	CU_ASSERT_EQUAL(reply_size, ADMIN_REPLY_MAX);
	memset(reply, *(const char *)ctx, reply_size - 1);
	return true;
}

static void test_pages_have_a_method_and_room(void)
{
	struct fixture fixture;
	static char expected[ADMIN_REPLY_MAX + 1];
	static char letter[] = "x";
	int calls = 0;

	start(&fixture);
	admin_add_page(fixture.admin, ADMIN_GET, "/long", fill, letter);
	admin_add_page(fixture.admin, ADMIN_POST, "/do", act, &calls);
	memset(expected, *letter, ADMIN_REPLY_MAX - 1);
	memcpy(expected + ADMIN_REPLY_MAX - 1, "\n", 2);
	const char *reply = ask(&fixture, "GET /long HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	ASSERT_ENDS(reply, expected);
	reply = ask(&fixture, "POST /long HTTP/1.0\r\n\r\n");
	ASSERT_STARTS(reply, "HTTP/1.0 405 ");
	CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\nAllow: GET\r\n"));
	ASSERT_STARTS(ask(&fixture, "GET /longer HTTP/1.0\r\n\r\n"), "HTTP/1.0 404 ");
	/* Another method of the same path. */
	admin_add_page(fixture.admin, ADMIN_POST, "/long", act, &calls);
	reply = ask(&fixture, "POST /long?force=1 HTTP/1.0\r\n\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nforced\n");
	reply = ask(&fixture, "GET /long HTTP/1.0\r\n\r\n");
	ASSERT_ENDS(reply, expected);
	reply = ask(&fixture, "POST /do?force=1 HTTP/1.0\r\n\r\n");
	ASSERT_ENDS(reply, "\r\n\r\nforced\n");
	CU_ASSERT_EQUAL(calls, 2);
	stop(&fixture);
}

static void test_a_page_too_many_is_not_served(void)
{
	static const char *const paths[] = {"/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"};
	struct fixture fixture;
	int calls = 0;

	start(&fixture);
	for (size_t i = 0; i <= ADMIN_PAGES_MAX; i++)
		admin_add_page(fixture.admin, ADMIN_POST, paths[i], act, &calls);
	ASSERT_STARTS(ask(&fixture, "POST /7 HTTP/1.0\r\n\r\n"), "HTTP/1.0 409 ");
	ASSERT_STARTS(ask(&fixture, "POST /8 HTTP/1.0\r\n\r\n"), "HTTP/1.0 404 ");
	CU_ASSERT_EQUAL(calls, 1);
	stop(&fixture);
}

static void test_a_taken_port_is_named(void)
{
	struct fixture fixture;
	char error[256];
	char expected[256];

	start(&fixture);
	CU_ASSERT_PTR_NULL(admin_start(fixture.text, fixture.metrics, answer_ready, NULL, error,
				       sizeof(error)));
	snprintf(expected, sizeof(expected), "cannot listen on %s: Address already in use",
		 fixture.text);
	CU_ASSERT_STRING_EQUAL(error, expected);
	stop(&fixture);
}

static void test_only_ip_addresses_are_taken(void)
{
	char error[256];

	CU_ASSERT_PTR_NULL(
		admin_start("localhost:9153", NULL, answer_ready, NULL, error, sizeof(error)));
	CU_ASSERT_STRING_EQUAL(error, "\"localhost:9153\" is not an IP address and port");
}

static void test_stops_with_clients_connected(void)
{
	struct fixture fixture;

	start(&fixture);
	int idle = open_connection(&fixture);
	int half = open_connection(&fixture);
	CU_ASSERT_EQUAL(write(half, "GET /met", 8), 8);
	ask(&fixture, "GET /livez HTTP/1.0\r\n\r\n"); /* by now the others are accepted */
	stop(&fixture);
	close(idle);
	close(half);
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void test_out_of_descriptors_does_not_spin(void)
{
	struct fixture fixture;
	struct rlimit limit, low;
	char reply[64] = "";
	const struct timespec while_out = {.tv_nsec = 500000000};

	start(&fixture);
	int client = open_connection(&fixture); /* accepted, or not yet */
	ask(&fixture, "GET /livez HTTP/1.0\r\n\r\n");
	int late = socket(AF_INET, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)late + 1;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &low), 0);
	double before = cpu_seconds();
	CU_ASSERT_EQUAL(
		connect(late, (const struct sockaddr *)&fixture.address, sizeof(fixture.address)),
		0);
	nanosleep(&while_out, NULL); /* what is watched is that nothing much happens */
	CU_ASSERT(cpu_seconds() - before < 0.2);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CU_ASSERT_EQUAL(write(late, "GET /livez HTTP/1.0\r\n\r\n", 23), 23);
	CU_ASSERT(read(late, reply, sizeof(reply) - 1) > 0);
	ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	close(late);
	close(client);
	stop(&fixture);
}

static void test_open_connections_are_bounded(void)
{
	enum { MANY = 3 * ADMIN_CONNECTIONS_MAX };
	struct fixture fixture;
	struct rlimit limit, low;
	int clients[MANY];
	char reply[64];

	start(&fixture);
	/* Room for the clients' own ends, and for what the server may have open; not for all. */
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 32 + MANY + 2 * ADMIN_CONNECTIONS_MAX;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (size_t i = 0; i < MANY; i++) {
		clients[i] = open_connection(&fixture);
		CU_ASSERT_EQUAL(write(clients[i], "GET /liv", 8), 8);
		if (i % 16 == 15)
			ASSERT_STARTS(ask(&fixture, "GET /livez HTTP/1.0\r\n\r\n"),
				      "HTTP/1.0 200 OK\r\n");
	}
	/* The oldest have lost their connections, the youngest are served. */
	CU_ASSERT(read(clients[0], reply, sizeof(reply)) <= 0);
	CU_ASSERT(read(clients[MANY - ADMIN_CONNECTIONS_MAX - 1], reply, sizeof(reply)) <= 0);
	for (size_t i = MANY - ADMIN_CONNECTIONS_MAX / 2; i < MANY; i++) {
		CU_ASSERT_EQUAL(write(clients[i], "ez HTTP/1.0\r\n\r\n", 15), 15);
		CU_ASSERT(read(clients[i], reply, sizeof(reply)) > 15);
		ASSERT_STARTS(reply, "HTTP/1.0 200 OK\r\n");
	}
	for (size_t i = 0; i < MANY; i++)
		close(clients[i]);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	stop(&fixture);
}

static void test_nothing_to_stop_is_fine(void)
{
	admin_stop(NULL);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"readiness is asked each time", test_readiness_is_asked_each_time},
		{"metrics are Prometheus text", test_metrics_are_prometheus_text},
		{"the status page is HTML that runs nothing foreign",
		 test_the_status_page_is_html_that_runs_nothing_foreign},
		{"other requests are refused", test_other_requests_are_refused},
		{"the program's own page is posted to", test_the_programs_own_page_is_posted_to},
		{"pages are there from the first answer on",
		 test_pages_are_there_from_the_first_answer_on},
		{"a server that never served can be stopped",
		 test_a_server_that_never_served_can_be_stopped},
		{"liveness is asked where the program says so",
		 test_liveness_is_asked_where_the_program_says_so},
		{"pages have a method and room", test_pages_have_a_method_and_room},
		{"a page too many is not served", test_a_page_too_many_is_not_served},
		{"a taken port is named", test_a_taken_port_is_named},
		{"only IP addresses are taken", test_only_ip_addresses_are_taken},
		{"stops with clients connected", test_stops_with_clients_connected},
		{"out of descriptors does not spin", test_out_of_descriptors_does_not_spin},
		{"open connections are bounded", test_open_connections_are_bounded},
		{"nothing to stop is fine", test_nothing_to_stop_is_fine},
	};
	return SUITE_RUN("admin", tests);
}
