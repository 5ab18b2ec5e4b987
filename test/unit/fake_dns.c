#include "fake_dns.h"

#include "dns/protocol.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			perror("fake_dns: " #condition);                                           \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fake_dns {
	struct event_base *base;
	pthread_t thread;
	unsigned short port, tls_port;
	int udp;
	struct event *udp_event;
	struct evconnlistener *tcp, *tls;
	_Atomic int manner, delay_ms;
	_Atomic unsigned int queries;
	char directory[256];
	pthread_mutex_t lock;
	SSL_CTX *context; /* by lock */
	struct fake_stream *streams;
};

struct fake_stream {
	struct fake_dns *server;
	struct bufferevent *buffer;
	struct fake_stream **link, *next;
};

/* An answer on its way, sent when its delay is over. */
struct fake_reply {
	struct fake_dns *server;
	struct fake_stream *stream; /* NULL: UDP */
	struct event *timer;
	struct sockaddr_in client;
	uint8_t octets[512];
	size_t size;
};

/* --- answers ---------------------------------------------------------------------------------- */

/* Makes an answer out of a query with one question and an OPT record. */
static size_t make_answer(uint8_t *message, size_t query_size, int manner)
{
	static const uint8_t record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
	size_t size = query_size - 11;
	CHECK(query_size > DNS_HEADER_SIZE + 11 && query_size + sizeof(record) < 512);
	message[2] |= DNS_FLAG_QR >> 8;
	message[7] = 1;
	message[11] = 0;
	memcpy(message + size, record, sizeof(record));
	if (manner == FAKE_DNS_SERVFAIL)
		message[3] |= DNS_RCODE_SERVFAIL;
	else if (manner == FAKE_DNS_WRONG_ID)
		message[1] ^= 1;
	else if (manner == FAKE_DNS_WRONG_QUESTION)
		message[DNS_HEADER_SIZE + 1] ^= 1;
	else if (manner == FAKE_DNS_TRUNCATED)
		message[2] |= DNS_FLAG_TC >> 8;
	else if (manner == FAKE_DNS_GARBAGE)
		memset(message, 0xff, size);
	return size + sizeof(record);
}

static void stream_free(struct fake_stream *stream)
{
	*stream->link = stream->next;
	if (stream->next)
		stream->next->link = stream->link;
	bufferevent_free(stream->buffer);
	free(stream);
}

static bool stream_is_open(const struct fake_dns *server, const struct fake_stream *stream)
{
	for (const struct fake_stream *s = server->streams; s; s = s->next)
		if (s == stream)
			return true;
	return false;
}

static void reply_send(evutil_socket_t fd, short events, void *ctx)
{
	struct fake_reply *reply = ctx;
	struct fake_dns *server = reply->server;
	int manner = server->manner;
	(void)fd, (void)events;
	if (manner == FAKE_DNS_WRONG_ID_FIRST && !reply->stream) {
		reply->octets[1] ^= 1;
		sendto(server->udp, reply->octets, reply->size, 0,
		       (struct sockaddr *)&reply->client, sizeof(reply->client));
		reply->octets[1] ^= 1;
	}
	if (!reply->stream) {
		sendto(server->udp, reply->octets, reply->size, 0,
		       (struct sockaddr *)&reply->client, sizeof(reply->client));
	} else if (stream_is_open(server, reply->stream)) {
		uint8_t length[2];
		dns_put16(length, (uint16_t)reply->size);
		bufferevent_write(reply->stream->buffer, length, 2);
		bufferevent_write(reply->stream->buffer, reply->octets,
				  manner == FAKE_DNS_HALF ? 7 : reply->size);
	}
	if (reply->timer)
		event_free(reply->timer);
	free(reply);
}

static void answer(struct fake_dns *server, struct fake_stream *stream,
		   const struct sockaddr_in *client, const uint8_t *query, size_t size)
{
	int manner = server->manner;
	int delay_ms = server->delay_ms;
	server->queries++;
	if (manner == FAKE_DNS_SILENT)
		return;
	if (manner == FAKE_DNS_CLOSE && stream) {
		stream_free(stream);
		return;
	}
	struct fake_reply *reply = calloc(1, sizeof(*reply));
	CHECK(reply && size <= sizeof(reply->octets));
	reply->server = server;
	reply->stream = stream;
	reply->client = client ? *client : (struct sockaddr_in){0};
	memcpy(reply->octets, query, size);
	reply->size = make_answer(reply->octets, size, manner);
	if (delay_ms == 0) {
		reply_send(-1, 0, reply);
		return;
	}
	const struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
	reply->timer = evtimer_new(server->base, reply_send, reply);
	CHECK(reply->timer && evtimer_add(reply->timer, &delay) == 0);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void udp_on_readable(evutil_socket_t fd, short events, void *ctx)
{
	uint8_t query[512];
	struct sockaddr_in client;
	socklen_t client_size = sizeof(client);
	(void)events;
	ssize_t size = recvfrom(fd, query, sizeof(query), MSG_DONTWAIT, (struct sockaddr *)&client,
				&client_size);
	if (size > 0)
		answer(ctx, NULL, &client, query, (size_t)size);
}

static void stream_on_read(struct bufferevent *buffer, void *ctx)
{
	struct fake_stream *stream = ctx;
	struct evbuffer *input = bufferevent_get_input(buffer);
	uint8_t query[2 + 512];
	size_t size = evbuffer_get_length(input);
	if (size < 2 || size > sizeof(query))
		return;
	evbuffer_copyout(input, query, size);
	if (size < 2u + dns_get16(query))
		return;
	evbuffer_drain(input, size);
	answer(stream->server, stream, NULL, query + 2, size - 2);
}

static void stream_on_event(struct bufferevent *buffer, short events, void *ctx)
{
	(void)buffer;
	if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		stream_free(ctx);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *client,
		      int client_size, void *ctx)
{
	struct fake_dns *server = ctx;
	struct fake_stream *stream = calloc(1, sizeof(*stream));
	(void)client, (void)client_size;
	CHECK(stream);
	stream->server = server;
	if (listener == server->tls) {
		pthread_mutex_lock(&server->lock);
		SSL *tls = SSL_new(server->context);
		pthread_mutex_unlock(&server->lock);
		stream->buffer = bufferevent_openssl_socket_new(
			server->base, fd, tls, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	} else {
		stream->buffer = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	}
	CHECK(stream->buffer);
	stream->next = server->streams;
	stream->link = &server->streams;
	if (stream->next)
		stream->next->link = &stream->next;
	server->streams = stream;
	bufferevent_setcb(stream->buffer, stream_on_read, NULL, stream_on_event, stream);
	bufferevent_enable(stream->buffer, EV_READ | EV_WRITE);
}

static struct evconnlistener *make_listener(struct fake_dns *server, unsigned short *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(*port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	struct evconnlistener *listener =
		evconnlistener_new_bind(server->base, on_accept, server,
					LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE |
						LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_THREADSAFE,
					64, (struct sockaddr *)&address, sizeof(address));
	CHECK(listener);
	CHECK(getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &size) ==
	      0);
	*port = ntohs(address.sin_port);
	return listener;
}

static bool open_udp(struct fake_dns *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(server->port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(server->udp >= 0);
	if (bind(server->udp, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(server->udp);
		return false;
	}
	server->udp_event =
		event_new(server->base, server->udp, EV_READ | EV_PERSIST, udp_on_readable, server);
	CHECK(server->udp_event && event_add(server->udp_event, NULL) == 0);
	return true;
}

static void close_ports(struct fake_dns *server)
{
	event_free(server->udp_event);
	close(server->udp);
	evconnlistener_free(server->tcp);
}

void fake_dns_close_ports(struct fake_dns *server, bool closed)
{
	if (closed) {
		close_ports(server);
		return;
	}
	CHECK(open_udp(server));
	server->tcp = make_listener(server, &server->port);
}

/* --- TLS -------------------------------------------------------------------------------------- */

void fake_dns_renew_certificate(struct fake_dns *server)
{
	char path[300];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	CHECK(key && certificate && context);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), random());
	X509_set_version(certificate, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	X509_NAME *name = X509_get_subject_name(certificate);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1,
				   0);
	X509_set_issuer_name(certificate, name);
	X509_EXTENSION *extension =
		X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:dns.example");
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
	CHECK(SSL_CTX_use_certificate(context, certificate) == 1);
	CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
	snprintf(path, sizeof(path), "%s/ca.pem", server->directory);
	FILE *file = fopen(path, "w");
	CHECK(file && PEM_write_X509(file, certificate) && fclose(file) == 0);
	X509_free(certificate);
	EVP_PKEY_free(key);
	pthread_mutex_lock(&server->lock);
	SSL_CTX_free(server->context);
	server->context = context;
	pthread_mutex_unlock(&server->lock);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void *run(void *ctx)
{
	struct fake_dns *server = ctx;
	event_base_loop(server->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

struct fake_dns *fake_dns_start(const char *tls_directory)
{
	struct fake_dns *server = calloc(1, sizeof(*server));
	CHECK(server && evthread_use_pthreads() == 0);
	server->base = event_base_new();
	CHECK(server->base && pthread_mutex_init(&server->lock, NULL) == 0);
	for (;;) {
		server->port = 0;
		server->tcp = make_listener(server, &server->port);
		if (open_udp(server))
			break;
		evconnlistener_free(server->tcp); /* taken over UDP: another one */
	}
	if (tls_directory) {
		snprintf(server->directory, sizeof(server->directory), "%s", tls_directory);
		fake_dns_renew_certificate(server);
		server->tls = make_listener(server, &server->tls_port);
	}
	CHECK(pthread_create(&server->thread, NULL, run, server) == 0);
	return server;
}

/* Delayed answers that are left are lost with the loop, and counted by nobody. */
static int free_reply(const struct event_base *base, const struct event *event, void *ctx)
{
	struct fake_reply ***end = ctx;
	(void)base;
	if (event_get_callback(event) == reply_send)
		*(*end)++ = event_get_callback_arg(event);
	return 0;
}

void fake_dns_stop(struct fake_dns *server)
{
	static struct fake_reply *left[4096];
	struct fake_reply **end = left;
	event_base_loopexit(server->base, NULL);
	pthread_join(server->thread, NULL);
	event_base_foreach_event(server->base, free_reply, &end);
	for (struct fake_reply **reply = left; reply < end; reply++) {
		event_free((*reply)->timer);
		free(*reply);
	}
	while (server->streams)
		stream_free(server->streams);
	close_ports(server);
	if (server->tls)
		evconnlistener_free(server->tls);
	event_base_free(server->base);
	SSL_CTX_free(server->context);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

unsigned short fake_dns_port(const struct fake_dns *server)
{
	return server->port;
}

unsigned short fake_dns_tls_port(const struct fake_dns *server)
{
	return server->tls_port;
}

void fake_dns_behave(struct fake_dns *server, enum fake_dns_manner manner, int delay_ms)
{
	server->manner = manner;
	server->delay_ms = delay_ms;
}

unsigned int fake_dns_queries(const struct fake_dns *server)
{
	return server->queries;
}
