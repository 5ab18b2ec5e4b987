/*
 * What connections cost a server: how many can be opened in a second, and what they hold.
 *
 *     handshakes --server 127.0.0.1:8530 --pattern 'h#######.example.com' --resume
 *     handshakes --server 127.0.0.1:8530 --pattern 'h#######.example.com' --quic
 *     handshakes --server 127.0.0.1:5300 --pattern 'h#######.example.com' --tcp
 *     handshakes --server 127.0.0.1:8530 --pattern 'h#######.example.com' --hold 10000
 *
 * Without --hold, --window connections are always under way. Each is opened, does its handshake,
 * asks one query, gets the reply and is closed; a client without the reply does not know that the
 * server has finished. With --resume all of them come with the session that a first connection was
 * given. With --quic the connections are QUIC's, with --tcp plain TCP's. It warms up, writes
 * "measuring", counts for --seconds, writes "measured", and ends with a line of JSON; load.c says
 * why.
 *
 * With --hold, that many connections are opened, one query is asked on each, and they stay until
 * the standard input ends: "holding" tells that all are there.
 *
 * Clients come from 250 addresses of 127.0.1.0/24, one after the other, so that neither ports nor a
 * server's limits per client run out. A handshake costs a client as much as a server; where
 * "failed" is not 0, the figures are worth nothing.
 */
#include "bench/histogram.h"
#include "bench/lane_quic.h"
#include "bench/lane_tls.h"
#include "bench/questions.h"

#include "common/clock.h"
#include "dns/protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 1024
#define SOURCES 250
#define WAIT_MS 1000 /* without any progress: the server is gone */
#define TIMERS_MS 5  /* QUIC's clients are looked at so often whatever comes */
#define FAILED_MAX 10000

struct options {
	struct sockaddr_in server;
	struct questions_options questions;
	int version; /* 0: any */
	bool quic;
	bool tcp;
	bool resume;
	unsigned int window;
	unsigned int hold;
	double seconds;
	double warm_seconds;
};

struct client {
	int fd;
	SSL *ssl;
	struct lane_quic *quic; /* in place of `ssl` */
	bool asked;
	bool replied; /* QUIC */
	int64_t begun_ns;
};

struct counts {
	uint64_t done;
	uint64_t resumed;
	uint64_t failed;
	struct histogram latency;
};

struct bench {
	struct options options;
	struct questions *questions;
	SSL_CTX *context;
	SSL_SESSION *session; /* with --resume */
	struct lane_quic_context *quic;
	struct client clients[CLIENTS_MAX];
	struct counts counts;
	unsigned int next_source;
};

/* --- options ---------------------------------------------------------------------------------- */

static void usage(void)
{
	fputs("usage: handshakes --server ADDRESS:PORT --pattern NAME [--names N] [--tls 1.2|1.3]\n"
	      "                  [--resume] [--window N] [--seconds N] [--warm N] | --hold N\n"
	      "       handshakes --quic --server ADDRESS:PORT --pattern NAME [--names N] "
	      "[--resume]\n"
	      "                  [--window N] [--seconds N] [--warm N]\n"
	      "       handshakes --tcp --server ADDRESS:PORT --pattern NAME [--names N]\n"
	      "                  [--window N] [--seconds N] [--warm N]\n",
	      stderr);
	exit(2);
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "handshakes: %s: %s\n", what, why);
	exit(1);
}

static double parse_number(const char *text, double least, double most)
{
	char *end = NULL;
	double number = strtod(text, &end);

	if (end == text || *end != '\0' || !(number >= least && number <= most))
		fail(text, "not a number in its range");
	return number;
}

static void parse_server(struct options *options, char *text)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		usage();
	*colon = '\0';
	options->server.sin_family = AF_INET;
	options->server.sin_port = htons((uint16_t)parse_number(colon + 1, 1, 65535));
	if (inet_pton(AF_INET, text, &options->server.sin_addr) != 1)
		fail(text, "not an IPv4 address");
}

static void parse_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{"server", 1, NULL, 's'},  {"pattern", 1, NULL, 'p'}, {"names", 1, NULL, 'n'},
		{"tls", 1, NULL, 't'},     {"resume", 0, NULL, 'r'},  {"window", 1, NULL, 'w'},
		{"seconds", 1, NULL, 'S'}, {"warm", 1, NULL, 'W'},    {"hold", 1, NULL, 'h'},
		{"quic", 0, NULL, 'q'},    {"tcp", 0, NULL, 'c'},     {NULL, 0, NULL, 0},
	};
	int option;

	*options = (struct options){.window = 16, .seconds = 3, .warm_seconds = 0.5};
	options->questions = (struct questions_options){
		.names = 10000, .types = {DNS_TYPE_A}, .type_count = 1, .seed = 1};
	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		if (option == 's')
			parse_server(options, optarg);
		else if (option == 'p')
			options->questions.pattern = optarg;
		else if (option == 'n')
			options->questions.names = (uint64_t)parse_number(optarg, 1, 1e15);
		else if (option == 't')
			options->version =
				strcmp(optarg, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
		else if (option == 'r')
			options->resume = true;
		else if (option == 'q')
			options->quic = true;
		else if (option == 'c')
			options->tcp = true;
		else if (option == 'w')
			options->window = (unsigned int)parse_number(optarg, 1, CLIENTS_MAX);
		else if (option == 'S')
			options->seconds = parse_number(optarg, 0.01, 3600);
		else if (option == 'W')
			options->warm_seconds = parse_number(optarg, 0, 3600);
		else if (option == 'h')
			options->hold = (unsigned int)parse_number(optarg, 1, 1e6);
		else
			usage();
	}
	if (optind != argc || options->server.sin_port == 0 || !options->questions.pattern ||
	    ((options->quic || options->tcp) && (options->hold || options->version)) ||
	    (options->tcp && (options->quic || options->resume)))
		usage();
}

/* --- one client ------------------------------------------------------------------------------- */

static int open_socket(struct bench *bench)
{
	const int on = 1;
	struct sockaddr_in source = {.sin_family = AF_INET};
	int type = bench->options.quic ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	source.sin_addr.s_addr = htonl(0x7f000101 + bench->next_source++ % SOURCES);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (!bench->options.quic)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0 &&
	    connect(fd, (struct sockaddr *)&bench->options.server, sizeof(source)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A session that was not ended in order cannot be resumed. */
static void client_close(struct client *client)
{
	if (client->ssl && client->asked)
		SSL_shutdown(client->ssl);
	ERR_clear_error();
	SSL_free(client->ssl);
	lane_quic_close(client->quic);
	if (client->fd >= 0)
		close(client->fd);
	*client = (struct client){.fd = -1};
}

/* A lane_quic_reply_fn. */
static void client_take_reply(void *ctx, uint16_t id, uint8_t *reply, size_t size)
{
	struct client *client = ctx;

	(void)id, (void)reply;
	client->replied = size >= DNS_HEADER_SIZE;
}

static bool client_open(struct bench *bench, struct client *client)
{
	*client = (struct client){.fd = open_socket(bench), .begun_ns = clock_now_ns()};
	if (client->fd < 0)
		return false;
	if (bench->options.quic) {
		client->quic = lane_quic_open(bench->quic, client->fd, client_take_reply, client);
		if (!client->quic)
			client_close(client);
		return client->quic;
	}
	if (bench->options.tcp)
		return true;
	client->ssl = SSL_new(bench->context);
	if (!client->ssl || SSL_set_fd(client->ssl, client->fd) != 1 ||
	    (bench->session && SSL_set_session(client->ssl, bench->session) != 1)) {
		client_close(client);
		return false;
	}
	SSL_set_connect_state(client->ssl);
	return true;
}

/* client_step by QUIC. */
static int client_step_quic(struct bench *bench, struct client *client)
{
	uint8_t query[QUESTIONS_SIZE_MAX];
	enum lane_quic_state state = lane_quic_receive(client->quic);

	if (state == LANE_QUIC_OPEN && !client->asked) {
		size_t size = questions_write(bench->questions, 1, query);
		client->asked = lane_quic_ask(client->quic, 1, query, size);
		state = client->asked ? lane_quic_flush(client->quic) : LANE_QUIC_ENDED;
	}
	if (client->replied)
		return 1;
	return state == LANE_QUIC_ENDED ? -1 : 0;
}

/* client_step by plain TCP. */
static int client_step_tcp(struct bench *bench, struct client *client)
{
	uint8_t data[2 + QUESTIONS_SIZE_MAX];

	if (!client->asked) {
		size_t size = questions_write(bench->questions, 1, data + 2);
		dns_put16(data, (uint16_t)size);
		if (write(client->fd, data, 2 + size) != (ssize_t)(2 + size))
			return -1;
		client->asked = true;
	}
	ssize_t got = read(client->fd, data, sizeof(data));
	if (got > 2)
		return 1;
	return got < 0 && errno == EAGAIN ? 0 : -1;
}

/* Handshake, query and reply, as far as they go. 1: the reply has come; 0: not yet; -1: failed. */
static int client_step(struct bench *bench, struct client *client)
{
	uint8_t data[2 + QUESTIONS_SIZE_MAX];
	int result;

	if (client->quic)
		return client_step_quic(bench, client);
	if (!client->ssl)
		return client_step_tcp(bench, client);
	if (!client->asked) {
		result = SSL_do_handshake(client->ssl);
		if (result != 1)
			goto wait;
		size_t size = questions_write(bench->questions, 1, data + 2);
		dns_put16(data, (uint16_t)size);
		result = SSL_write(client->ssl, data, (int)size + 2);
		if (result <= 0)
			goto wait;
		client->asked = true;
	}
	result = SSL_read(client->ssl, data, sizeof(data));
	if (result > 2)
		return 1;
wait:
	result = SSL_get_error(client->ssl, result) == SSL_ERROR_WANT_READ ? 0 : -1;
	ERR_clear_error();
	return result;
}

/* Has all later connections resume the session of a first one. */
static bool make_quic_session(struct bench *bench)
{
	struct client client;
	int64_t begun_ns = clock_now_ns();
	int result = 0;

	if (!client_open(bench, &client))
		return false;
	while (result == 0 && clock_now_ns() - begun_ns < WAIT_MS * INT64_C(1000000)) {
		struct pollfd wait = {client.fd, POLLIN, 0};
		poll(&wait, 1, TIMERS_MS);
		result = client_step(bench, &client);
	}
	bool kept = result == 1 && lane_quic_keep_session(client.quic, bench->quic);
	client_close(&client);
	return kept;
}

/* A session that later connections resume. */
static SSL_SESSION *make_session(struct bench *bench)
{
	struct client client;
	SSL_SESSION *session = NULL;

	if (client_open(bench, &client) && client_step(bench, &client) == 1)
		session = SSL_get1_session(client.ssl);
	if (session && !SSL_SESSION_is_resumable(session)) {
		SSL_SESSION_free(session);
		session = NULL;
	}
	client_close(&client);
	return session;
}

/* --- handshakes ------------------------------------------------------------------------------- */

/* Opens the next connection; what became of its first step, which may well be the last. */
static int client_begin(struct bench *bench, struct client *client)
{
	if (!client_open(bench, client))
		fail("cannot connect", strerror(errno));
	fcntl(client->fd, F_SETFL, O_NONBLOCK);
	return client_step(bench, client);
}

static void client_count(struct bench *bench, const struct client *client, int result)
{
	struct counts *counts = &bench->counts;

	if (result < 0) {
		if (counts->failed++ == FAILED_MAX)
			fail("no connections", "the server takes none");
		return;
	}
	counts->done++;
	if (client->quic)
		counts->resumed += (uint64_t)lane_quic_is_resumed(client->quic);
	else if (client->ssl)
		counts->resumed += (uint64_t)SSL_session_reused(client->ssl);
	histogram_add(&counts->latency, clock_now_ns() - client->begun_ns);
}

/* Counts a connection that has come to its end, and those after it that end at once. */
static void client_go_on(struct bench *bench, struct client *client, int result)
{
	while (result != 0) {
		client_count(bench, client, result);
		client_close(client);
		result = client_begin(bench, client);
	}
}

static double run(struct bench *bench, double seconds)
{
	struct pollfd polls[CLIENTS_MAX];
	int64_t start_ns = clock_now_ns();
	int64_t timers_ns = start_ns;
	const bool quic = bench->options.quic;

	while (clock_now_ns() - start_ns < (int64_t)(seconds * 1e9)) {
		for (unsigned int i = 0; i < bench->options.window; i++)
			polls[i] = (struct pollfd){bench->clients[i].fd, POLLIN, 0};
		if (poll(polls, bench->options.window, quic ? TIMERS_MS : WAIT_MS) <= 0 && !quic)
			fail("no progress", "the server does not go on");
		bool all = quic && clock_now_ns() - timers_ns >= TIMERS_MS * INT64_C(1000000);
		if (all)
			timers_ns = clock_now_ns();
		for (unsigned int i = 0; i < bench->options.window; i++) {
			struct client *client = &bench->clients[i];
			if (all || polls[i].revents)
				client_go_on(bench, client, client_step(bench, client));
		}
	}
	return (double)(clock_now_ns() - start_ns) / 1e9;
}

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static void measure(struct bench *bench)
{
	for (unsigned int i = 0; i < bench->options.window; i++)
		client_go_on(bench, &bench->clients[i], client_begin(bench, &bench->clients[i]));
	run(bench, bench->options.warm_seconds);
	memset(&bench->counts, 0, sizeof(bench->counts));
	say("measuring");
	double seconds = run(bench, bench->options.seconds);
	const struct counts *counts = &bench->counts;
	say("measured");
	printf("{\"seconds\": %.3f, \"answered\": %" PRIu64
	       ", \"rate\": %.1f, \"resumed\": %" PRIu64 ", \"failed\": %" PRIu64
	       ", \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
	       seconds, counts->done, (double)counts->done / seconds, counts->resumed,
	       counts->failed, (double)histogram_percentile(&counts->latency, 0.5) / 1000,
	       (double)histogram_percentile(&counts->latency, 0.99) / 1000);
	for (unsigned int i = 0; i < bench->options.window; i++)
		client_close(&bench->clients[i]);
}

/* --- idle connections ------------------------------------------------------------------------- */

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void hold(struct bench *bench)
{
	unsigned int count = bench->options.hold;
	struct client *clients = calloc(count, sizeof(*clients));
	char octet;

	if (!clients)
		fail("cannot hold connections", strerror(errno));
	raise_descriptors();
	SSL_CTX_set_mode(bench->context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(bench->context, 0);
	for (unsigned int i = 0; i < count; i++) {
		if (!client_open(bench, &clients[i]) || client_step(bench, &clients[i]) != 1)
			fail("cannot connect", strerror(errno));
	}
	say("holding");
	while (read(STDIN_FILENO, &octet, 1) > 0)
		continue;
	for (unsigned int i = 0; i < count; i++)
		client_close(&clients[i]);
	free(clients);
}

int main(int argc, char **argv)
{
	static struct bench bench; /* too large for the stack */
	char error[256];

	parse_options(&bench.options, argc, argv);
	bench.questions = questions_create(&bench.options.questions, error, sizeof(error));
	if (!bench.questions)
		fail("cannot make queries", error);
	bench.context = lane_tls_create_context(bench.options.version);
	bench.quic = lane_quic_create_context();
	if (!bench.context || !bench.quic)
		fail("cannot make a context", "out of memory");
	if (bench.options.resume &&
	    !(bench.options.quic ? make_quic_session(&bench)
				 : !!(bench.session = make_session(&bench))))
		fail("--resume", "the server gives no session");
	if (bench.options.hold)
		hold(&bench);
	else
		measure(&bench);
	SSL_SESSION_free(bench.session);
	SSL_CTX_free(bench.context);
	lane_quic_destroy_context(bench.quic);
	questions_destroy(bench.questions);
	return 0;
}
