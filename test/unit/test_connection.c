/*
 * Stream connections as a whole, plain and in TLS: a server on its loop, and a client that does
 * what clients may do, in random order. It seals many messages into one record or one into many,
 * sends and reads in random cuts through small socket buffers, changes its keys, says goodbye with
 * replies outstanding, or vanishes. The server's protocol answers some messages at once and others
 * later, in another order, with replies longer than what a connection may have unsent.
 *
 * What is shown is that no event gets lost. Whenever the client sends nothing more for a while and
 * reads what comes, every message of which the last octet was given to the socket has its reply:
 * none waits for another octet, or for time to pass. Each case has a seed, told when it fails:
 * test_connection SEED [COUNT] runs it alone, or it and those after it, in all ways.
 */
#include "frontend/connection.h"
#include "test/unit/self_signed.h"
#include "test/unit/stream_client.h"
#include "test/unit/suite.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define CASES 150
#else
#define CASES 1000
#endif

#define MESSAGES_MAX 300
#define MESSAGE_HEAD                                                                               \
	11 /* its length, two octets; number, reply's size, whether to answer later                \
	    */
#define MESSAGE_MAX 4000
#define REPLY_HEAD 8 /* its length and number */
#define REPLY_MAX 40000
#define QUIET_ROUNDS 12 /* a message as long as they get has come in fewer */

enum mode { PLAIN, TLS_1_2, TLS_1_3 };

/* A message that is answered later. */
struct late {
	struct query query; /* first */
	uint32_t number;
	uint32_t size;
};

struct model {
	uint64_t random;
	struct event_base *base;
	struct connection_server *server;
	struct late *late[MESSAGES_MAX];
	unsigned int late_count;
	struct stream_client client;
	size_t message_ends[MESSAGES_MAX];
	unsigned int message_count;
	bool replied[MESSAGES_MAX];
	unsigned int reply_count;
	bool broken; /* what must never happen has */
};

static struct model *model; /* of the case that runs */
static struct tls *tls;
static struct serve serve;
static uint64_t first_seed; /* 0: each way has its own */
static uint64_t seed_count = CASES;

static uint32_t choose(uint32_t count)
{
	/* xorshift64* (Marsaglia, Vigna) */
	model->random ^= model->random >> 12;
	model->random ^= model->random << 25;
	model->random ^= model->random >> 27;
	return (uint32_t)((model->random * 0x2545f4914f6cdd1d) >> 32) % count;
}

/* Mostly small, at times up to `most`. */
static uint32_t choose_size(uint32_t most)
{
	return choose(8) ? choose(200) : choose(most + 1);
}

static void put32(uint8_t *out, uint32_t number)
{
	memcpy(out, &number, sizeof(number));
}

static uint32_t get32(const uint8_t *in)
{
	uint32_t number;
	memcpy(&number, in, sizeof(number));
	return number;
}

/* --- the server ------------------------------------------------------------------------------- */

static void write_reply(struct connection *connection, uint32_t number, uint32_t size)
{
	static uint8_t reply[REPLY_HEAD + REPLY_MAX];
	put32(reply, size);
	put32(reply + 4, number);
	memset(reply + REPLY_HEAD, (int)number, size);
	connection_write(connection, reply, REPLY_HEAD + size);
}

static void take_message(struct connection *connection, const uint8_t *message)
{
	connection_note_progress(connection);
	if (!message[10]) {
		write_reply(connection, get32(message + 2), get32(message + 6));
		return;
	}
	struct late *late = calloc(1, sizeof(*late));
	late->number = get32(message + 2);
	late->size = get32(message + 6);
	connection_add_query(connection, &late->query);
	model->late[model->late_count++] = late;
}

static bool take(struct connection *connection)
{
	struct evbuffer *input = connection_input(connection);
	while (!connection_is_full(connection)) {
		uint8_t prefix[2];
		if (evbuffer_copyout(input, prefix, 2) < 2)
			return true;
		size_t size = 2 + (size_t)(prefix[0] << 8 | prefix[1]);
		if (evbuffer_get_length(input) < size)
			return true;
		take_message(connection, evbuffer_pullup(input, (ev_ssize_t)size));
		evbuffer_drain(input, size);
	}
	return true;
}

/* The server's side of the socket takes any size, too: what it does not take has to wait. */
static int begin(struct connection *connection)
{
	const int room = 1 << choose(18);
	setsockopt(bufferevent_getfd(connection->stream), SOL_SOCKET, SO_SNDBUF, &room,
		   sizeof(room));
	return 0;
}

static const struct connection_protocol protocol = {
	.size = sizeof(struct connection),
	.input_max = 2 + MESSAGE_MAX,
	.begin = begin,
	.take = take,
};

/* Answers one of those that are to be answered later. False: there is none. */
static bool answer_late(void)
{
	if (model->late_count == 0)
		return false;
	unsigned int chosen = choose(model->late_count);
	struct late *late = model->late[chosen];
	model->late[chosen] = model->late[--model->late_count];
	struct connection *connection = connection_take_query(&late->query);
	if (connection)
		write_reply(connection, late->number, late->size);
	free(late);
	return true;
}

static int listen_somewhere(struct sockaddr_un *address, socklen_t *size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	*size = sizeof(*address);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* Without a name it gets one of the kernel's choice. */
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(fd, 8), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)address, size), 0);
	return fd;
}

/* A socket of any size. */
static int connect_to(const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int room = 1 << choose(18);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *)address, size), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void run_server(void)
{
	event_base_loop(model->base, EVLOOP_NONBLOCK);
}

/* --- the client ------------------------------------------------------------------------------- */

static void compose(void)
{
	uint8_t message[2 + MESSAGE_MAX] = {0};
	if (model->message_count == MESSAGES_MAX || model->client.said_goodbye)
		return;
	uint32_t size = MESSAGE_HEAD - 2 + choose_size(MESSAGE_MAX - MESSAGE_HEAD);
	message[0] = (uint8_t)(size >> 8);
	message[1] = (uint8_t)size;
	put32(message + 2, model->message_count);
	put32(message + 6, choose_size(choose(4) ? 2000 : REPLY_MAX));
	message[10] = choose(3) == 0;
	evbuffer_add(model->client.plain, message, 2 + size);
	model->message_ends[model->message_count++] =
		model->client.plain_end + evbuffer_get_length(model->client.plain);
}

static void take_replies(void)
{
	uint8_t head[REPLY_HEAD];
	while (evbuffer_copyout(model->client.input, head, sizeof(head)) == sizeof(head)) {
		uint32_t size = get32(head);
		uint32_t number = get32(head + 4);
		if (evbuffer_get_length(model->client.input) < REPLY_HEAD + size)
			return;
		model->broken |= number >= model->message_count || model->replied[number];
		const uint8_t *reply = evbuffer_pullup(model->client.input, REPLY_HEAD + size);
		for (uint32_t i = 0; i < size; i++)
			model->broken |= reply[REPLY_HEAD + i] != (uint8_t)number;
		if (model->broken)
			return;
		model->replied[number] = true;
		model->reply_count++;
		evbuffer_drain(model->client.input, REPLY_HEAD + size);
	}
}

static bool receive_octets(size_t most)
{
	bool received = stream_client_receive(&model->client, most);
	model->broken |= model->client.failed;
	if (received)
		take_replies();
	return received;
}

static bool say_all(void)
{
	bool said = false;
	while (stream_client_seal(&model->client, choose(SSL3_RT_MAX_PLAIN_LENGTH) + 1))
		said = true;
	return said;
}

/* --- a case ----------------------------------------------------------------------------------- */

static void model_open(enum mode mode, uint64_t seed, _Atomic unsigned *open)
{
	const struct connection_options options = {
		.base = event_base_new(),
		.serve = &serve,
		.protocol = &protocol,
		.events = mode == PLAIN ? FRONTEND_CONNECTIONS_TCP : FRONTEND_CONNECTIONS_TLS,
		.open = open,
		.limit = 4,
		.idle_s = 600,
		.handshake_s = 600,
		.tls = mode == PLAIN ? NULL : tls,
	};
	struct sockaddr_un address;
	socklen_t size;
	model->random = seed * 0x9e3779b97f4a7c15 + 1;
	model->base = options.base;
	model->server = connection_server_create(&options);
	CU_ASSERT_PTR_NOT_NULL_FATAL(model->server);
	connection_server_listen(model->server, listen_somewhere(&address, &size));
	stream_client_open(&model->client, connect_to(&address, size),
			   mode == PLAIN     ? 0
			   : mode == TLS_1_2 ? TLS1_2_VERSION
					     : TLS1_3_VERSION);
}

static void model_close(void)
{
	while (answer_late())
		;
	stream_client_clear(&model->client);
	connection_server_destroy(model->server);
	event_base_free(model->base);
}

static void step(void)
{
	switch (choose(8)) {
	case 0:
		for (uint32_t left = choose(4) ? choose(4) : choose(90); left > 0; left--)
			compose();
		break;
	case 1:
		stream_client_seal(&model->client,
				   choose(4) ? choose(600) : choose(SSL3_RT_MAX_PLAIN_LENGTH));
		break;
	case 2:
		stream_client_send(&model->client, choose(4) ? choose(300) : choose(16384));
		break;
	case 3:
		receive_octets(choose(4) ? choose(300) + 1 : choose(16384) + 1);
		break;
	case 4:
		answer_late();
		break;
	case 5:
		if (choose(4) == 0)
			stream_client_change_keys(&model->client, choose(2));
		break;
	default:
		run_server();
	}
}

/*
 * Until nothing moves any more, the client reads and the server works; with `all`, the client says
 * what it has to say, too.
 */
static void settle(bool all)
{
	for (unsigned int quiet = 0; quiet < QUIET_ROUNDS && !model->broken;) {
		bool moved = all && say_all();
		while (all && stream_client_send(&model->client, 16384))
			moved = true;
		run_server();
		moved |= answer_late();
		while (!model->client.closed && receive_octets(16384))
			moved = true;
		quiet = moved ? 0 : quiet + 1;
	}
}

/* The messages that the server has been given to the last octet. */
static unsigned int count_due(void)
{
	size_t arrived = stream_client_arrived(&model->client);
	unsigned int due = 0;
	while (due < model->message_count && model->message_ends[due] <= arrived)
		due++;
	return due;
}

static void fail(const char *what, enum mode mode, uint64_t seed)
{
	printf("\n    seed %llu, way %d, %s: %u messages, %u arrived, %u replies%s\n",
	       (unsigned long long)seed, (int)mode, what, model->message_count, count_due(),
	       model->reply_count, model->broken ? ", something is wrong with them" : "");
	model->broken = true;
}

static void check(const char *when, enum mode mode, uint64_t seed)
{
	if (model->broken || model->reply_count != count_due())
		fail(when, mode, seed);
}

static void run_end(enum mode mode, uint64_t seed)
{
	uint32_t end = choose(4);
	if (end > 0) {
		settle(true);
		check("at the end", mode, seed);
		if (model->reply_count != model->message_count)
			fail("something was never said", mode, seed);
	}
	if (end > 1) {
		compose();
		compose();
		say_all();
		stream_client_say_goodbye(&model->client);
		settle(true);
		check("after a goodbye", mode, seed);
		if (!model->client.closed)
			fail("a goodbye is not answered", mode, seed);
	}
	stream_client_vanish(&model->client);
	for (int i = 0; i < QUIET_ROUNDS; i++) {
		while (answer_late())
			;
		run_server();
	}
	if (!connection_server_is_empty(model->server))
		fail("the client has gone, its connection has not", mode, seed);
}

/* False when it fails. */
static bool run_case(enum mode mode, uint64_t seed)
{
	_Atomic unsigned open = 0;
	model = calloc(1, sizeof(*model));
	model_open(mode, seed, &open);
	for (uint32_t left = choose(400); left > 0 && !model->broken; left--) {
		step();
		if (choose(40) == 0) {
			settle(false);
			check("in between", mode, seed);
		}
	}
	run_end(mode, seed);
	bool sound = !model->broken;
	CU_ASSERT_TRUE(sound);
	model_close();
	CU_ASSERT_EQUAL(open, 0);
	free(model);
	return sound;
}

static void run_cases(enum mode mode)
{
	uint64_t first = first_seed ? first_seed : (uint64_t)mode * CASES + 1;
	for (uint64_t seed = first; seed < first + seed_count; seed++)
		if (!run_case(mode, seed))
			return;
}

static void test_plain(void)
{
	run_cases(PLAIN);
}

static void test_tls_1_2(void)
{
	run_cases(TLS_1_2);
}

static void test_tls_1_3(void)
{
	run_cases(TLS_1_3);
}

/* --- certificates ----------------------------------------------------------------------------- */

static char directory[] = "/tmp/godwit-connection-XXXXXX";
static char certificate_path[sizeof(directory) + 8];
static char key_path[sizeof(directory) + 8];

static void write_pair(void)
{
	EVP_PKEY *key;
	X509 *certificate;
	self_signed_make(&key, &certificate);
	FILE *file = fopen(certificate_path, "we");
	PEM_write_X509(file, certificate);
	fclose(file);
	file = fopen(key_path, "we");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static struct tls *open_tls(void)
{
	static struct frontend_certificate pair = {certificate_path, key_path};
	static const struct frontend_tls config = {&pair, 1};
	char error[400];
	if (!mkdtemp(directory))
		return NULL;
	snprintf(certificate_path, sizeof(certificate_path), "%s/tls.crt", directory);
	snprintf(key_path, sizeof(key_path), "%s/tls.key", directory);
	write_pair();
	struct tls *made = tls_create(&config, error, sizeof(error));
	if (!made)
		printf("%s\n", error);
	return made;
}

static void close_tls(void)
{
	tls_destroy(tls);
	unlink(certificate_path);
	unlink(key_path);
	rmdir(directory);
}

int main(int argc, char **argv)
{
	static const struct suite_test tests[] = {
		{"no message waits in a plain stream", test_plain},
		{"no message waits in TLS 1.2", test_tls_1_2},
		{"no message waits in TLS 1.3", test_tls_1_3},
	};
	signal(SIGPIPE, SIG_IGN);
	struct metrics *metrics = metrics_create(frontend_metric_defs, FRONTEND_METRIC_COUNT);
	serve.shard = metrics_shard_create(metrics);
	tls = open_tls();
	if (argc > 1) {
		first_seed = strtoull(argv[1], NULL, 10);
		seed_count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	}
	int result = tls ? SUITE_RUN("connection", tests) : 1;
	close_tls();
	metrics_destroy(metrics);
	return result;
}
