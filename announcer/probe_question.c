#include "announcer/probe_question.h"

#include "common/clock.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum question_state question_fail(struct question *question, const char *what, int error)
{
	snprintf(question->cause, sizeof(question->cause), "%s: %s", what, strerror(error));
	return QUESTION_FAILED;
}

static void question_on_event(evutil_socket_t fd, short events, void *ctx)
{
	struct question *question = ctx;
	(void)fd, (void)events;
	question->setup->on_ready(question);
}

/* Has the loop wait for `wanted`. */
static bool question_listen(struct question *question, short wanted)
{
	struct event *event = question->event;
	event_del(event);
	return event_assign(event, question->setup->base, question->fd,
			    (short)(wanted | EV_PERSIST), question_on_event, question) == 0 &&
	       event_add(event, NULL) == 0;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* Where a transport's questions go: TLS has a port of its own. */
static void question_find_server(const struct question *question, struct sockaddr_storage *out)
{
	const struct announcer_probe *config = question->setup->config;
	*out = config->address.addr;
	if (question->transport != &question_tls)
		return;
	if (out->ss_family == AF_INET6)
		((struct sockaddr_in6 *)out)->sin6_port = htons(config->tls_port);
	else
		((struct sockaddr_in *)out)->sin_port = htons(config->tls_port);
}

static bool question_make_socket(struct question *question)
{
	struct question_setup *setup = question->setup;
	question->fd = socket(setup->config->address.addr.ss_family,
			      question->transport->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (question->fd < 0) {
		question_fail(question, "no socket", errno);
		return false;
	}
	question->event =
		event_new(setup->base, question->fd, EV_READ, question_on_event, question);
	if (!question->event) {
		question_fail(question, "no event", ENOMEM);
		return false;
	}
	return true;
}

/* Everything that needs nothing but this machine. */
static bool question_prepare(struct question *question)
{
	uint64_t random;
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		question_fail(question, "no random number", errno);
		return false;
	}
	probe_query_write(&question->query, &question->setup->expectation, random);
	return question_make_socket(question);
}

/* True for errors of connect(2) that this machine has to answer for, not the server. */
static bool question_is_local(int error)
{
	return error != ECONNREFUSED && error != ECONNRESET && error != ETIMEDOUT;
}

static bool question_connect(struct question *question, bool *local)
{
	struct sockaddr_storage server;
	question_find_server(question, &server);
	if (connect(question->fd, (const struct sockaddr *)&server,
		    question->setup->config->address.addr_size) != 0 &&
	    errno != EINPROGRESS) {
		*local = question_is_local(errno);
		question_fail(question, "connect", errno);
		return false;
	}
	return true;
}

struct question *question_open(struct question_setup *setup,
			       const struct question_transport *transport, char *cause, bool *local)
{
	struct question *question = calloc(1, sizeof(*question));
	*local = true;
	if (!question) {
		snprintf(cause, PROBE_CAUSE_MAX, "out of memory");
		return NULL;
	}
	question->setup = setup;
	question->transport = transport;
	question->fd = -1;
	question->asked_ns = clock_now_ns();
	if (question_prepare(question) && transport->start(question) &&
	    question_connect(question, local)) {
		*local = false;
		if (question_advance(question) != QUESTION_FAILED)
			return question;
	}
	snprintf(cause, PROBE_CAUSE_MAX, "%s", question->cause);
	question_close(question);
	return NULL;
}

/* --- going on --------------------------------------------------------------------------------- */

enum question_state question_advance(struct question *question)
{
	short wanted = question->wanted;
	if (question->state != QUESTION_WAITING)
		return question->state;
	question->state = question->transport->advance(question);
	if (question->state == QUESTION_WAITING && question->wanted != wanted &&
	    !question_listen(question, question->wanted))
		question->state = question_fail(question, "no event", ENOMEM);
	return question->state;
}

void question_describe_timeout(const struct question *question, int timeout_ms, char *out)
{
	char missing[64];
	question->transport->describe(question, missing, sizeof(missing));
	if (*question->cause)
		snprintf(out, PROBE_CAUSE_MAX, "%s within %d ms (%.64s)", missing, timeout_ms,
			 question->cause);
	else
		snprintf(out, PROBE_CAUSE_MAX, "%s within %d ms", missing, timeout_ms);
}

void question_close(struct question *question)
{
	if (question->event)
		event_free(question->event);
	question->transport->stop(question);
	if (question->fd >= 0) {
		/* Without an answer: a reset, or a server that hangs keeps our ports for long. */
		const struct linger cut = {.l_onoff = 1, .l_linger = 0};
		if (question->state != QUESTION_GOOD && question->transport->type == SOCK_STREAM)
			setsockopt(question->fd, SOL_SOCKET, SO_LINGER, &cut, sizeof(cut));
		close(question->fd);
	}
	free(question->message);
	free(question);
}
