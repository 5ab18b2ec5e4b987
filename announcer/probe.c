/*
 * The probe's checks: when each one asks, which of its questions are open, and what their ends
 * mean.
 *
 * A check has one timer, for whatever is due first: the next question, or the deadline of the
 * oldest open one. Its open questions hang in a list in the order they were asked, which is also
 * that of their deadlines. Questions end in three ways: by what comes through their sockets, by
 * their deadline, or with the probe. Whoever is told of a change may do anything to the probe, so
 * telling is the last thing that each callback does with it. Log lines come after that: a standard
 * error that is stuck must not hold up a withdrawal.
 */
#include "announcer/probe.h"

#include "announcer/check.h"
#include "announcer/metrics.h"
#include "announcer/probe_question.h"
#include "common/clock.h"
#include "common/log.h"
#include "dns/rdata.h"

#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOLS 3

TAILQ_HEAD(question_list, question);

/* One protocol. */
struct probe_check {
	struct probe *probe;
	const struct question_transport *transport;
	struct check check;
	struct question_list open;
	unsigned int open_count;
	struct event *timer;
	int64_t due_ms; /* what the timer is set to */
	int64_t last_asked_ms;
	int64_t last_good_ns; /* when the last good answer came */
	uint32_t random;      /* the jitter of the next question */
	enum announcer_metric good, failed;
	char cause[PROBE_CAUSE_MAX]; /* of the last failure */
	/* For the log, when all is done. */
	bool known_up; /* the state that was logged last */
	bool missed;   /* a question has failed since then, */
	bool local;    /* for a want of ours */
};

struct probe {
	const struct announcer_probe *config;
	struct metrics_shard *metrics;
	probe_change_fn on_change;
	void *ctx;
	bool up;
	struct probe_check checks[PROTOCOLS];
	size_t check_count;
	struct question_setup setup;
	uint8_t *answer; /* of setup.expectation */
};

static const struct {
	enum announcer_protocol protocol;
	const struct question_transport *transport;
	enum announcer_metric good, failed;
} probe_protocols[PROTOCOLS] = {
	{ANNOUNCER_PROTOCOL_UDP, &question_udp, METRIC_PROBES_GOOD_UDP, METRIC_PROBES_FAILED_UDP},
	{ANNOUNCER_PROTOCOL_TCP, &question_tcp, METRIC_PROBES_GOOD_TCP, METRIC_PROBES_FAILED_TCP},
	{ANNOUNCER_PROTOCOL_TLS, &question_tls, METRIC_PROBES_GOOD_TLS, METRIC_PROBES_FAILED_TLS},
};

/* --- results ---------------------------------------------------------------------------------- */

/* Takes a question out of the list and ends it. */
static void probe_check_drop(struct probe_check *check, struct question *question)
{
	TAILQ_REMOVE(&check->open, question, next);
	check->open_count--;
	question_close(question);
}

static void probe_check_note_good(struct probe_check *check, struct question *question)
{
	struct metrics_shard *metrics = check->probe->metrics;
	check->last_good_ns = clock_now_ns();
	metrics_add(metrics, check->good, 1);
	metrics_observe(metrics, METRIC_PROBE_SECONDS,
			(uint64_t)(check->last_good_ns - question->asked_ns));
	probe_check_drop(check, question);
	check_add(&check->check, true);
}

/* `check->cause` says why. */
static void probe_check_note_failed(struct probe_check *check, struct question *question)
{
	bool counted = question->counted;
	metrics_add(check->probe->metrics, check->failed, 1);
	probe_check_drop(check, question);
	check->missed = true;
	if (!counted)
		check_add(&check->check, false);
}

/* Ends a question that has come to a verdict. True when it has. */
static bool probe_check_conclude(struct probe_check *check, struct question *question)
{
	switch (question_advance(question)) {
	case QUESTION_GOOD:
		probe_check_note_good(check, question);
		return true;
	case QUESTION_FAILED:
		memcpy(check->cause, question->cause, sizeof(check->cause));
		probe_check_note_failed(check, question);
		return true;
	default:
		return false;
	}
}

/* Reads what waits in the sockets of all open questions. */
static void probe_check_read_all(struct probe_check *check)
{
	struct question *following;
	for (struct question *question = TAILQ_FIRST(&check->open); question;
	     question = following) {
		following = TAILQ_NEXT(question, next);
		probe_check_conclude(check, question);
	}
}

/* --- time ------------------------------------------------------------------------------------- */

/* Puts a question's deadline off by the time that was slept through; see probe.h for how far. */
static void probe_check_give_back(const struct probe_check *check, struct question *question,
				  int64_t now_ms, int64_t late_ms)
{
	int64_t timeout_ms = check->probe->config->timeout_ms;
	int64_t left_ms = question->deadline_ms > now_ms ? question->deadline_ms - now_ms : 0;
	int64_t fair_ms = question->deadline_ms + late_ms - now_ms;
	int64_t more_ms = (fair_ms < timeout_ms ? fair_ms : timeout_ms) - left_ms;
	if (more_ms > timeout_ms - question->given_ms)
		more_ms = timeout_ms - question->given_ms;
	if (more_ms <= 0)
		return;
	question->given_ms += more_ms;
	question->deadline_ms = now_ms + left_ms + more_ms;
}

/* We were stopped ourselves, or have not had our turn. */
static void probe_check_wake(struct probe_check *check, int64_t now_ms)
{
	int64_t late_ms = now_ms - check->due_ms;
	if (late_ms < PROBE_LATE_MS)
		return;
	probe_check_read_all(check);
	for (struct question *question = TAILQ_FIRST(&check->open); question;
	     question = TAILQ_NEXT(question, next))
		probe_check_give_back(check, question, now_ms, late_ms);
}

/* The oldest question has run out of time; with it those that are as good as lost (check.h). */
static void probe_check_expire(struct probe_check *check)
{
	struct question *oldest = TAILQ_FIRST(&check->open);
	struct question *question = oldest;
	int64_t now_ns = clock_now_ns();
	bool silence = check->last_good_ns < oldest->asked_ns;

	question_describe_timeout(oldest, check->probe->config->timeout_ms, check->cause);
	while (silence && (question = TAILQ_NEXT(question, next))) {
		if (question->counted ||
		    !check_is_silence(&check->check,
				      (now_ns - question->asked_ns) / CLOCK_NS_PER_MS))
			continue;
		question->counted = true;
		check_add(&check->check, false);
	}
	probe_check_note_failed(check, oldest);
}

static void probe_check_expire_all(struct probe_check *check, int64_t now_ms)
{
	struct question *oldest = TAILQ_FIRST(&check->open);
	if (!oldest || oldest->deadline_ms > now_ms)
		return;
	probe_check_read_all(check);
	while ((oldest = TAILQ_FIRST(&check->open)) && oldest->deadline_ms <= now_ms)
		probe_check_expire(check);
}

/* When the next question is due. */
static int64_t probe_check_next_ms(const struct probe_check *check)
{
	if (check->open_count >= PROBE_OPEN_MAX)
		return INT64_MAX;
	return check->last_asked_ms +
	       check_next_ms(&check->check, check->open_count > 0, check->random);
}

static void probe_check_arm(struct probe_check *check)
{
	int64_t now_ms = clock_now_ms();
	const struct question *oldest = TAILQ_FIRST(&check->open);
	int64_t due_ms = probe_check_next_ms(check);
	if (oldest && oldest->deadline_ms < due_ms)
		due_ms = oldest->deadline_ms;
	if (due_ms < now_ms)
		due_ms = now_ms;
	int64_t wait_ms = due_ms - now_ms;
	const struct timeval wait = clock_timeval(wait_ms);
	check->due_ms = due_ms;
	if (evtimer_add(check->timer, &wait) != 0)
		log_error("the probe has no timer", "protocol=%s", check->transport->name);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* A certificate was refused: perhaps the CA has changed since its file was read. */
static void probe_refresh_tls(struct probe *probe)
{
	char error[256];
	if (!probe->setup.tls_distrusted || !probe->config->tls_ca)
		return;
	if (question_setup_load_tls(&probe->setup, error, sizeof(error)))
		log_warning_limited("the probe keeps its old CA certificates", "reason=%s", error);
}

static void probe_check_ask(struct probe_check *check, int64_t now_ms)
{
	struct probe *probe = check->probe;
	bool local;
	check->last_asked_ms = now_ms;
	check->random = arc4random();
	if (check->transport == &question_tls)
		probe_refresh_tls(probe);
	struct question *question =
		question_open(&probe->setup, check->transport, check->cause, &local);
	if (!question) {
		metrics_add(probe->metrics, check->failed, 1);
		check->missed = true;
		check->local |= local;
		check_add(&check->check, false);
		return;
	}
	question->owner = check;
	question->deadline_ms = now_ms + probe->config->timeout_ms;
	TAILQ_INSERT_TAIL(&check->open, question, next);
	check->open_count++;
	if (question->state != QUESTION_WAITING)
		probe_check_conclude(check, question);
}

/* --- the log ---------------------------------------------------------------------------------- */

/* What is to be logged of a check: copied, for the probe may be gone by then. */
struct probe_news {
	bool changed, up, missed, local;
	const char *protocol;
	char address[ADDRESS_TEXT_MAX];
	char cause[PROBE_CAUSE_MAX];
};

static void probe_check_take_news(struct probe_check *check, struct probe_news *news)
{
	news->up = check->check.up;
	news->changed = news->up != check->known_up;
	news->missed = check->missed && news->up;
	news->local = check->local;
	check->known_up = news->up;
	check->missed = check->local = false;
	if (!news->changed && !news->missed && !news->local)
		return;
	news->protocol = check->transport->name;
	snprintf(news->address, sizeof(news->address), "%s", check->probe->config->address.host);
	memcpy(news->cause, check->cause, sizeof(news->cause));
}

static void probe_news_log(const struct probe_news *news)
{
	if (news->changed && news->up)
		log_info("DNS answers the probe", "protocol=%s address=%s", news->protocol,
			 news->address);
	else if (news->changed)
		log_warning("DNS does not answer the probe", "protocol=%s address=%s reason=%s",
			    news->protocol, news->address, news->cause);
	else if (news->missed)
		log_warning_limited("a probe failed", "protocol=%s address=%s reason=%s",
				    news->protocol, news->address, news->cause);
	if (news->local)
		log_warning_limited("the probe cannot ask", "protocol=%s address=%s reason=%s",
				    news->protocol, news->address, news->cause);
}

/* --- callbacks -------------------------------------------------------------------------------- */

/* The last thing a callback does: sets the timer, tells of a change, logs. */
static void probe_check_settle(struct probe_check *check)
{
	struct probe *probe = check->probe;
	struct probe_news news;
	bool up = true;
	probe_check_take_news(check, &news);
	probe_check_arm(check);
	for (size_t i = 0; i < probe->check_count; i++)
		up = up && probe->checks[i].check.up;
	if (up != probe->up) {
		probe->up = up;
		probe->on_change(probe->ctx);
	}
	probe_news_log(&news);
}

static void probe_on_ready(struct question *question)
{
	struct probe_check *check = question->owner;
	if (probe_check_conclude(check, question))
		probe_check_settle(check);
}

static void probe_on_timer(evutil_socket_t fd, short events, void *ctx)
{
	struct probe_check *check = ctx;
	int64_t now_ms = clock_now_ms();
	(void)fd, (void)events;
	probe_check_wake(check, now_ms);
	probe_check_expire_all(check, now_ms);
	if (probe_check_next_ms(check) <= now_ms)
		probe_check_ask(check, now_ms);
	probe_check_settle(check);
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void probe_check_reset(struct probe_check *check)
{
	const struct announcer_probe *config = check->probe->config;
	while (!TAILQ_EMPTY(&check->open))
		probe_check_drop(check, TAILQ_FIRST(&check->open));
	check_init(&check->check, config->rise, config->fall, config->interval_ms,
		   config->fast_interval_ms);
	check->last_asked_ms = clock_now_ms() - config->interval_ms;
	check->last_good_ns = 0;
	check->cause[0] = '\0';
	check->known_up = check->missed = check->local = false;
	probe_check_arm(check);
}

/* Reads the answer that is expected into octets. 0, or -1 with a reason. */
static int probe_read_expectation(struct probe *probe, char *error, size_t error_size)
{
	const struct announcer_probe *config = probe->config;
	struct probe_expectation *expectation = &probe->setup.expectation;
	char reason[160] = "";
	memcpy(expectation->name, config->name, sizeof(expectation->name));
	expectation->type = config->type;
	expectation->rcode = config->expect_rcode;
	if (!config->expect_answer)
		return 0;
	probe->answer = malloc(DNS_RDATA_MAX);
	if (!probe->answer) {
		snprintf(error, error_size, "out of memory");
		return -1;
	}
	int size = dns_rdata_from_text(config->type, config->expect_answer, NULL, probe->answer,
				       DNS_RDATA_MAX, reason, sizeof(reason));
	if (size < 0) {
		snprintf(error, error_size,
			 "the probe's expected answer \"%s\" is not data of its "
			 "type: %s",
			 config->expect_answer, reason);
		return -1;
	}
	expectation->answer = probe->answer;
	expectation->answer_size = (size_t)size;
	return 0;
}

/* Makes the checks of the protocols that are configured. */
static int probe_add_checks(struct probe *probe, char *error, size_t error_size)
{
	for (size_t i = 0; i < PROTOCOLS; i++) {
		if (!(probe->config->protocols & probe_protocols[i].protocol))
			continue;
		struct probe_check *check = &probe->checks[probe->check_count++];
		check->probe = probe;
		check->transport = probe_protocols[i].transport;
		check->good = probe_protocols[i].good;
		check->failed = probe_protocols[i].failed;
		TAILQ_INIT(&check->open);
		check->timer = evtimer_new(probe->setup.base, probe_on_timer, check);
		if (!check->timer) {
			snprintf(error, error_size, "out of memory");
			return -1;
		}
		probe_check_reset(check);
	}
	return 0;
}

struct probe *probe_create(struct event_base *base, const struct announcer_probe *config,
			   struct metrics_shard *metrics, probe_change_fn on_change, void *ctx,
			   char *error, size_t error_size)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	if (!probe) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	probe->config = config;
	probe->metrics = metrics;
	probe->on_change = on_change;
	probe->ctx = ctx;
	probe->setup.base = base;
	probe->setup.config = config;
	probe->setup.on_ready = probe_on_ready;
	if (probe_read_expectation(probe, error, error_size) ||
	    ((config->protocols & ANNOUNCER_PROTOCOL_TLS) &&
	     question_setup_load_tls(&probe->setup, error, error_size)) ||
	    probe_add_checks(probe, error, error_size)) {
		probe_destroy(probe);
		return NULL;
	}
	return probe;
}

void probe_destroy(struct probe *probe)
{
	if (!probe)
		return;
	for (size_t i = 0; i < probe->check_count; i++) {
		struct probe_check *check = &probe->checks[i];
		while (!TAILQ_EMPTY(&check->open))
			probe_check_drop(check, TAILQ_FIRST(&check->open));
		if (check->timer)
			event_free(check->timer);
	}
	SSL_CTX_free(probe->setup.tls);
	free(probe->answer);
	free(probe);
}

void probe_reset(struct probe *probe)
{
	for (size_t i = 0; i < probe->check_count; i++)
		probe_check_reset(&probe->checks[i]);
	probe->up = false;
}

void probe_hurry(struct probe *probe)
{
	for (size_t i = 0; i < probe->check_count; i++) {
		struct probe_check *check = &probe->checks[i];
		if (!check->check.up && !check->check.last_good)
			probe_check_reset(check);
	}
}

/* --- in words --------------------------------------------------------------------------------- */

/* Why a check is down. */
static void probe_check_describe(const struct probe_check *check, char *out, size_t size)
{
	const char *name = check->transport->name;
	const struct check *state = &check->check;
	if (state->row == 0)
		snprintf(out, size, "%s: not answered yet", name);
	else if (state->last_good)
		snprintf(out, size, "%s: %u good of %u in a row", name, state->row, state->rise);
	else
		snprintf(out, size, "%s: %s (%u in a row)", name, check->cause, state->row);
}

bool probe_is_up(const struct probe *probe, char *reason, size_t reason_size)
{
	size_t count = probe->check_count;
	size_t used = 0;
	if (reason_size > 0)
		reason[0] = '\0';
	for (size_t i = 0; i < count && used < reason_size; i++) {
		char text[PROBE_CAUSE_MAX + 48];
		const struct probe_check *check = &probe->checks[i];
		if (probe->up)
			snprintf(text, sizeof(text), "%s%s", check->transport->name,
				 i + 2 < count    ? ", "
				 : i + 2 == count ? " and "
				 : count == 1     ? " answers"
						  : " answer");
		else if (check->check.up)
			continue;
		else
			probe_check_describe(check, text, sizeof(text));
		used += (size_t)snprintf(reason + used, reason_size - used, "%s%s",
					 !probe->up && used > 0 ? "; " : "", text);
	}
	return probe->up;
}
