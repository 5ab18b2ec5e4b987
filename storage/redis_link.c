#include "storage/redis_link.h"

#include "common/clock.h"
#include "storage/redis_resolve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE ((size_t)64 * 1024)
#define SAY_WORDS_MAX 12
#define ELEMENTS_MAX (1 << 20) /* of an array in a reply; none of those asked for comes near */

int redis_link_fail(struct redis_link *link, const char *format, ...)
{
	char text[STORAGE_ERROR_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return storage_fail(link->storage, STORAGE_UNAVAILABLE, "redis %s: %.480s", link->name,
			    text);
}

/* Waits until the socket is ready or `deadline` (clock_now_ms) has come: then false in `ready`. */
static int wait_for(struct redis_link *link, short events, int64_t deadline, bool *ready)
{
	struct pollfd fds[2] = {
		{.fd = link->fd, .events = events},
		{.fd = link->storage->wake_fd, .events = POLLIN},
	};

	*ready = false;
	for (;;) {
		int64_t left = deadline - clock_now_ms();
		int count = poll(fds, 2, left > 0 ? (int)left : 0);
		if (storage_is_interrupted(link->storage))
			return storage_fail_interrupted(link->storage);
		*ready = count > 0;
		if (count > 0 || left <= 0)
			return STORAGE_OK;
	}
}

/* --- connecting ------------------------------------------------------------------------------- */

/* Connects to one address. On failure the socket is closed and the error line set. */
static int connect_to(struct redis_link *link, const struct sockaddr *address, socklen_t size,
		      int64_t deadline)
{
	int status = STORAGE_OK, error = 0, on = 1;
	socklen_t error_size = sizeof(error);
	bool ready = true;

	link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return redis_link_fail(link, "cannot make a socket: %s", strerror(errno));
	if (address->sa_family != AF_UNIX)
		setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(link->fd, address, size) < 0)
		error = errno;
	if (error == EINPROGRESS) {
		status = wait_for(link, POLLOUT, deadline, &ready);
		if (status == STORAGE_OK && ready)
			getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
		else
			error = ETIMEDOUT;
	}
	if (status == STORAGE_OK && error == 0)
		return STORAGE_OK;
	close(link->fd);
	link->fd = -1;
	return status != STORAGE_OK ? status
				    : redis_link_fail(link, "cannot connect: %s", strerror(error));
}

static int connect_unix(struct redis_link *link, const char *path, int64_t deadline)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return redis_link_fail(link, "the socket's path is too long");
	strcpy(address.sun_path, path);
	return connect_to(link, (const struct sockaddr *)&address, sizeof(address), deadline);
}

/* Tries the host's addresses in turn; each gets its share of the time that is left. */
static int connect_tcp(struct redis_link *link, const struct redis_host *host, int64_t deadline)
{
	struct addrinfo *list = NULL;
	const char *reason = NULL;
	int count = 0;
	int status = redis_resolve(link->storage, host->name, host->port, deadline, &list, &reason);

	if (status == STORAGE_UNAVAILABLE)
		return redis_link_fail(link, "cannot look up the host: %s", reason);
	if (status != STORAGE_OK)
		return status;
	for (const struct addrinfo *info = list; info; info = info->ai_next)
		count++;
	for (const struct addrinfo *info = list; info; info = info->ai_next, count--) {
		int64_t now = clock_now_ms();
		status = connect_to(link, info->ai_addr, info->ai_addrlen,
				    now + (deadline - now) / count);
		if (status == STORAGE_OK || status == STORAGE_INTERRUPTED)
			break;
	}
	freeaddrinfo(list);
	return status;
}

static int start_tls(struct redis_link *link, SSL_CTX *tls, const char *server_name,
		     int64_t deadline)
{
	link->tls = redis_tls_start(link, tls, server_name);
	if (!link->tls)
		return STORAGE_UNAVAILABLE;
	for (;;) {
		bool ready;
		int done = redis_tls_shake(link);
		if (done != 0)
			return done > 0 ? STORAGE_OK : STORAGE_UNAVAILABLE;
		int status =
			wait_for(link, link->tls_wants_write ? POLLOUT : POLLIN, deadline, &ready);
		if (status != STORAGE_OK)
			return status;
		if (!ready)
			return redis_link_fail(link, "no TLS within %d s: does it speak TLS?",
					       REDIS_CONNECT_MS / 1000);
	}
}

#if HIREDIS_MAJOR < 1
/* It believes whatever size an array is announced with. Its functions, but for that of arrays. */
static redisReplyObjectFunctions reply_functions;
static void *(*create_any_array)(const redisReadTask *, int);

static void *create_array(const redisReadTask *task, int count)
{
	return count <= ELEMENTS_MAX ? create_any_array(task, count) : NULL;
}

static void limit_arrays(void)
{
	redisReader *reader = redisReaderCreate();

	if (!reader)
		return; /* the next one tells */
	reply_functions = *reader->fn;
	create_any_array = reply_functions.createArray;
	reply_functions.createArray = create_array;
	redisReaderFree(reader);
}

static redisReader *create_reader(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, limit_arrays);
	return create_any_array ? redisReaderCreateWithFunctions(&reply_functions) : NULL;
}
#else
static redisReader *create_reader(void)
{
	redisReader *reader = redisReaderCreate();

	if (reader)
		reader->maxelements = ELEMENTS_MAX;
	return reader;
}
#endif

/* "127.0.0.1:6379", "[::1]:6379", "/run/redis.sock" */
static void name_link(struct redis_link *link, const struct redis_host *host)
{
	if (host->port == 0)
		snprintf(link->name, sizeof(link->name), "%.280s", host->name);
	else if (strchr(host->name, ':'))
		snprintf(link->name, sizeof(link->name), "[%.250s]:%u", host->name, host->port);
	else
		snprintf(link->name, sizeof(link->name), "%.250s:%u", host->name, host->port);
}

int redis_link_open(struct redis_link *link, struct storage *storage, const struct redis_url *url,
		    const struct redis_host *host, SSL_CTX *tls)
{
	int64_t now = clock_now_ms(), deadline = now + REDIS_CONNECT_MS;
	int status;

	*link = (struct redis_link){.storage = storage, .fd = -1, .heard_ms = now};
	name_link(link, host);
	link->reader = create_reader();
	link->in = malloc(READ_SIZE);
	if (!link->reader || !link->in)
		status = redis_link_fail(link, "out of memory");
	else if (host->port == 0)
		status = connect_unix(link, host->name, deadline);
	else
		status = connect_tcp(link, host, deadline);
	if (status == STORAGE_OK && tls)
		status = start_tls(link, tls, url->server_name ? url->server_name : host->name,
				   deadline);
	if (status != STORAGE_OK)
		redis_link_close(link);
	return status;
}

void redis_link_close(struct redis_link *link)
{
	if (!link->storage)
		return;
	SSL_free(link->tls);
	if (link->fd >= 0)
		close(link->fd);
	if (link->reader)
		redisReaderFree(link->reader);
	/* An AUTH may be in it. */
	if (link->out)
		explicit_bzero(link->out, link->out_capacity);
	free(link->out);
	free(link->in);
	*link = (struct redis_link){.fd = -1};
}

/* --- sending ---------------------------------------------------------------------------------- */

static bool reserve_out(struct redis_link *link, size_t size)
{
	if (link->out_sent > 0) {
		memmove(link->out, link->out + link->out_sent, link->out_size - link->out_sent);
		link->out_size -= link->out_sent;
		link->out_sent = 0;
	}
	if (link->out_capacity - link->out_size >= size)
		return true;
	size_t capacity = link->out_capacity ? link->out_capacity : 4096;
	while (capacity - link->out_size < size)
		capacity *= 2;
	char *out = realloc(link->out, capacity);
	if (!out)
		return false;
	link->out = out;
	link->out_capacity = capacity;
	return true;
}

int redis_link_send(struct redis_link *link, int count, const char *const *words,
		    const size_t *sizes)
{
	char *command = NULL;
	/* hiredis takes pointers to pointers that it could change, but does not. */
	const char **argv;
	memcpy(&argv, &words, sizeof(argv));
	int size = redisFormatCommandArgv(&command, count, argv, sizes);

	if (size < 0 || !reserve_out(link, (size_t)size)) {
		redisFreeCommand(command);
		return redis_link_fail(link, "out of memory");
	}
	memcpy(link->out + link->out_size, command, (size_t)size);
	link->out_size += (size_t)size;
	redisFreeCommand(command);
	return STORAGE_OK;
}

int redis_link_say(struct redis_link *link, const char *word, ...)
{
	const char *words[SAY_WORDS_MAX];
	int count = 0;
	va_list arguments;

	va_start(arguments, word);
	while (word && count < SAY_WORDS_MAX) {
		words[count++] = word;
		word = va_arg(arguments, const char *);
	}
	va_end(arguments);
	return redis_link_send(link, count, words, NULL);
}

int redis_link_ping(struct redis_link *link)
{
	link->asked_ms = clock_now_ms();
	return redis_link_say(link, "PING", NULL);
}

/* Octets that left, 0: not now, -1: failed. */
static ssize_t write_octets(struct redis_link *link, const char *data, size_t size)
{
	if (link->tls)
		return redis_tls_write(link, data, size);
	ssize_t sent = send(link->fd, data, size, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN || errno == EINTR)
		return 0;
	redis_link_fail(link, "lost the connection: %s", strerror(errno));
	return -1;
}

/* Sends what the socket takes now. */
static int flush_out(struct redis_link *link)
{
	while (link->out_sent < link->out_size) {
		ssize_t sent = write_octets(link, link->out + link->out_sent,
					    link->out_size - link->out_sent);
		if (sent < 0)
			return STORAGE_UNAVAILABLE;
		if (sent == 0)
			return STORAGE_OK;
		link->out_sent += (size_t)sent;
	}
	link->out_size = link->out_sent = 0;
	return STORAGE_OK;
}

/* --- receiving -------------------------------------------------------------------------------- */

/* Octets that came, 0: none now, -1: failed. */
static ssize_t read_octets(struct redis_link *link)
{
	if (link->tls)
		return redis_tls_read(link, link->in, READ_SIZE);
	ssize_t size = recv(link->fd, link->in, READ_SIZE, 0);
	if (size > 0)
		return size;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size == 0)
		redis_link_fail(link, "the server closed the connection");
	else
		redis_link_fail(link, "lost the connection: %s", strerror(errno));
	return -1;
}

/* The next reply in what was read, NULL when it is not complete. */
static int parse_reply(struct redis_link *link, redisReply **reply)
{
	void *parsed = NULL;

	*reply = NULL;
	if (redisReaderGetReply(link->reader, &parsed) != REDIS_OK) {
		if (link->reader->err == REDIS_ERR_OOM)
			return redis_link_fail(link, "a reply is too large, or no memory left");
		return redis_link_fail(link, "what it says is not Redis' protocol: %s",
				       link->reader->errstr);
	}
	*reply = parsed;
	return STORAGE_OK;
}

int redis_link_take(struct redis_link *link, redisReply **reply)
{
	int status = flush_out(link);

	*reply = NULL;
	while (status == STORAGE_OK) {
		status = parse_reply(link, reply);
		if (*reply && link->unasked > 0) {
			freeReplyObject(*reply);
			*reply = NULL;
			link->unasked--;
			continue;
		}
		if (status != STORAGE_OK || *reply)
			break;
		ssize_t size = read_octets(link);
		if (size == 0)
			break;
		if (size < 0)
			return STORAGE_UNAVAILABLE;
		link->heard_ms = clock_now_ms();
		link->asked_ms = 0;
		if (redisReaderFeed(link->reader, link->in, (size_t)size) != REDIS_OK)
			status = redis_link_fail(link, "out of memory");
	}
	return status;
}

short redis_link_events(const struct redis_link *link)
{
	if (link->out_sent < link->out_size || link->tls_wants_write)
		return POLLIN | POLLOUT;
	return POLLIN;
}

int redis_link_receive(struct redis_link *link, redisReply **reply)
{
	int64_t since = clock_now_ms();

	for (;;) {
		bool ready;
		int status = redis_link_take(link, reply);
		if (status != STORAGE_OK || *reply)
			return status;
		if (link->heard_ms > since)
			since = link->heard_ms;
		status = wait_for(link, redis_link_events(link), since + REDIS_SILENCE_MS, &ready);
		if (status != STORAGE_OK)
			return status;
		if (!ready)
			return redis_link_fail(link,
					       "no answer within %d s: is it stopped, or "
					       "the network cut?",
					       REDIS_SILENCE_MS / 1000);
	}
}
