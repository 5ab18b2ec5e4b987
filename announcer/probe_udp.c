/*
 * Questions over UDP: connected sockets, which take datagrams from the server alone and hear of a
 * closed port at once.
 */
#include "announcer/probe_question.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>

#define READS_MAX 16 /* datagrams at a time: a flood of them must not keep the loop */

static bool udp_start(struct question *question)
{
	question->stage = STAGE_SEND;
	return true;
}

static enum question_state udp_send(struct question *question)
{
	const struct probe_query *query = &question->query;
	if (send(question->fd, query->octets, query->size, MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN)
			return question_fail(question, "send", errno);
		question->wanted = EV_WRITE;
		return QUESTION_WAITING;
	}
	question->stage = STAGE_MESSAGE;
	question->wanted = EV_READ;
	return QUESTION_WAITING;
}

static enum question_state udp_receive(struct question *question)
{
	struct question_setup *setup = question->setup;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t size = recv(question->fd, setup->buffer, sizeof(setup->buffer), 0);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return QUESTION_WAITING;
		if (size < 0)
			return question_fail(question, "receive", errno);
		enum probe_verdict verdict =
			probe_query_judge(&question->query, &setup->expectation, false,
					  setup->buffer, (size_t)size, question->cause);
		if (verdict != PROBE_UNRELATED)
			return verdict == PROBE_GOOD ? QUESTION_GOOD : QUESTION_FAILED;
	}
	return QUESTION_WAITING;
}

static enum question_state udp_advance(struct question *question)
{
	return question->stage == STAGE_SEND ? udp_send(question) : udp_receive(question);
}

static void udp_describe(const struct question *question, char *out, size_t size)
{
	(void)question;
	snprintf(out, size, "no answer");
}

static void udp_stop(struct question *question)
{
	(void)question;
}

const struct question_transport question_udp = {
	.name = "udp",
	.type = SOCK_DGRAM,
	.start = udp_start,
	.advance = udp_advance,
	.describe = udp_describe,
	.stop = udp_stop,
};
