/*
 * Questions over TCP and TLS: connect, shake hands, send the query with its length before it (RFC
 * 1035 section 4.2.2, RFC 7858), read the answer's length and the answer.
 */
#include "announcer/probe_question.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool stream_start(struct question *question)
{
	const struct probe_query *query = &question->query;
	const int on = 1;
	setsockopt(question->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	dns_put16(question->frame, (uint16_t)query->size);
	memcpy(question->frame + 2, query->octets, query->size);
	question->stage = STAGE_CONNECT;
	return question->transport != &question_tls || question_tls_start(question);
}

/* --- the stages ------------------------------------------------------------------------------- */
/* Each returns QUESTION_GOOD when the next stage can begin. */

static enum question_state stream_connect(struct question *question)
{
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer);
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(question->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (error != 0)
		return question_fail(question, "connect", error);
	if (getpeername(question->fd, (struct sockaddr *)&peer, &peer_size) != 0) {
		question->wanted = EV_WRITE;
		return QUESTION_WAITING;
	}
	question->stage = question->tls ? STAGE_HANDSHAKE : STAGE_SEND;
	return QUESTION_GOOD;
}

static enum question_state stream_handshake(struct question *question)
{
	enum question_state state = question_tls_handshake(question);
	if (state == QUESTION_GOOD)
		question->stage = STAGE_SEND;
	return state;
}

static enum question_state stream_send(struct question *question)
{
	size_t size = 2 + question->query.size;
	while (question->done < size) {
		const uint8_t *octets = question->frame + question->done;
		size_t left = size - question->done;
		ssize_t sent = question->tls ? question_tls_write(question, octets, left)
					     : send(question->fd, octets, left, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			question->wanted = question->tls ? question->wanted : EV_WRITE;
			return QUESTION_WAITING;
		}
		if (sent <= 0)
			return question_fail(question, "send", sent < 0 ? errno : EPIPE);
		question->done += (size_t)sent;
	}
	question->done = 0;
	question->stage = STAGE_LENGTH;
	return QUESTION_GOOD;
}

/* Reads until `size` octets are there. */
static enum question_state stream_receive(struct question *question, uint8_t *octets, size_t size)
{
	while (question->done < size) {
		uint8_t *at = octets + question->done;
		size_t left = size - question->done;
		ssize_t got = question->tls ? question_tls_read(question, at, left)
					    : recv(question->fd, at, left, 0);
		if (got < 0 && errno == EAGAIN) {
			question->wanted = question->tls ? question->wanted : EV_READ;
			return QUESTION_WAITING;
		}
		if (got < 0)
			return question_fail(question, "receive", errno);
		if (got == 0) {
			snprintf(question->cause, sizeof(question->cause),
				 "the connection was closed before a whole answer came");
			return QUESTION_FAILED;
		}
		question->done += (size_t)got;
	}
	question->done = 0;
	return QUESTION_GOOD;
}

static enum question_state stream_receive_length(struct question *question)
{
	enum question_state state = stream_receive(question, question->frame, 2);
	if (state != QUESTION_GOOD)
		return state;
	question->size = dns_get16(question->frame);
	question->message = malloc(question->size + 1); /* never none */
	if (!question->message)
		return question_fail(question, "receive", ENOMEM);
	question->stage = STAGE_MESSAGE;
	return QUESTION_GOOD;
}

static enum question_state stream_receive_message(struct question *question)
{
	enum question_state state = stream_receive(question, question->message, question->size);
	if (state != QUESTION_GOOD)
		return state;
	return probe_query_judge(&question->query, &question->setup->expectation, true,
				 question->message, question->size, question->cause) == PROBE_GOOD
		       ? QUESTION_GOOD
		       : QUESTION_FAILED;
}

static enum question_state stream_advance(struct question *question)
{
	static enum question_state (*const stages[])(struct question *) = {
		[STAGE_CONNECT] = stream_connect,
		[STAGE_HANDSHAKE] = stream_handshake,
		[STAGE_SEND] = stream_send,
		[STAGE_LENGTH] = stream_receive_length,
		[STAGE_MESSAGE] = stream_receive_message,
	};
	for (;;) {
		bool last = question->stage == STAGE_MESSAGE;
		enum question_state state = stages[question->stage](question);
		if (state != QUESTION_GOOD || last)
			return state;
	}
}

/* --- in words, and the end -------------------------------------------------------------------- */

static void stream_describe(const struct question *question, char *out, size_t size)
{
	static const char *const texts[] = {
		[STAGE_CONNECT] = "no connection",
		[STAGE_HANDSHAKE] = "no TLS handshake",
		[STAGE_SEND] = "query not taken",
		[STAGE_LENGTH] = "no answer",
	};
	if (question->stage == STAGE_MESSAGE)
		snprintf(out, size, "only %zu of %zu octets of an answer", question->done,
			 question->size);
	else
		snprintf(out, size, "%s", texts[question->stage]);
}

static void stream_stop(struct question *question)
{
	if (question->tls && question->state == QUESTION_GOOD)
		SSL_shutdown(question->tls); /* says goodbye; nobody waits for the answer */
	SSL_free(question->tls);
}

const struct question_transport question_tcp = {
	.name = "tcp",
	.type = SOCK_STREAM,
	.start = stream_start,
	.advance = stream_advance,
	.describe = stream_describe,
	.stop = stream_stop,
};

const struct question_transport question_tls = {
	.name = "tls",
	.type = SOCK_STREAM,
	.start = stream_start,
	.advance = stream_advance,
	.describe = stream_describe,
	.stop = stream_stop,
};
