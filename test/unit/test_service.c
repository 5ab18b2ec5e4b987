/* The state of a service: when it is announced, how it is drained, and why. */
#include "announcer/service_state.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

#define GRACEFUL_MS 2000

static struct service_state state;
static struct service_view view;
static int64_t now;

/* Begins anew: a service without a life line, not probed yet. */
static void start(void)
{
	now = 1000;
	view = (struct service_view){.probe_reason = "udp: not asked yet"};
	service_state_init(&state, GRACEFUL_MS, now);
}

static void probe(bool up, const char *reason)
{
	view.probe_up = up;
	snprintf(view.probe_reason, sizeof(view.probe_reason), "%s", reason);
}

static void life_line(enum life_line_state line)
{
	view.has_life_line = true;
	view.life_line = line;
	if (line == LIFE_LINE_DRAINING)
		view.drains |= SERVICE_DRAIN_FRONTEND;
	else
		view.drains &= ~(unsigned int)SERVICE_DRAIN_FRONTEND;
}

/* Looks after `ms` have gone by, and expects a phase. */
static void becomes(int ms, enum service_phase phase)
{
	enum service_phase old = state.phase;
	now += ms;
	CU_ASSERT_EQUAL(service_state_update(&state, &view, now), old != phase);
	if (state.phase != phase)
		fprintf(stderr, "%s, not %s: %s\n", service_phase_name(state.phase),
			service_phase_name(phase), state.cause);
	CU_ASSERT_EQUAL(state.phase, phase);
}

static void up(void)
{
	start();
	probe(true, "udp and tcp answer");
	becomes(1, SERVICE_UP);
}

static void test_nothing_is_announced_before_the_probe_is_up(void)
{
	start();
	CU_ASSERT_FALSE(service_state_is_announced(&state));
	becomes(0, SERVICE_DOWN);
	probe(false, "udp: no answer within 500 ms (2 in a row)");
	becomes(500, SERVICE_DOWN);
	CU_ASSERT_STRING_EQUAL(state.cause, "probe udp: no answer within 500 ms (2 in a row)");
	CU_ASSERT_EQUAL(state.withdrawn_ms, INT64_MIN);
	probe(true, "udp and tcp answer");
	becomes(500, SERVICE_UP);
	CU_ASSERT(service_state_is_announced(&state));
	CU_ASSERT_EQUAL(state.since_ms, 2000);
	CU_ASSERT_STRING_EQUAL(state.cause, "probe udp and tcp answer");
}

static void test_a_failed_probe_withdraws_at_once(void)
{
	up();
	probe(false, "udp: no answer within 500 ms (3 in a row)");
	becomes(10, SERVICE_DOWN);
	CU_ASSERT_FALSE(service_state_is_announced(&state));
	CU_ASSERT_EQUAL(state.withdrawn_ms, now);
	CU_ASSERT_STRING_EQUAL(state.cause, "probe udp: no answer within 500 ms (3 in a row)");
	probe(true, "udp and tcp answer");
	becomes(10, SERVICE_UP);
}

static void test_a_life_line_must_say_serving(void)
{
	up();
	life_line(LIFE_LINE_LOST);
	becomes(0, SERVICE_DOWN);
	CU_ASSERT(strstr(state.cause, "life line") != NULL);
	life_line(LIFE_LINE_SILENT);
	becomes(10, SERVICE_DOWN);
	CU_ASSERT(strstr(state.cause, "does not say that it serves") != NULL);
	life_line(LIFE_LINE_SERVING);
	becomes(10, SERVICE_UP);
	probe(false, "tcp: refused");
	becomes(10, SERVICE_DOWN);
	CU_ASSERT_STRING_EQUAL(state.cause, "probe tcp: refused");
	probe(true, "udp and tcp answer");
	becomes(10, SERVICE_UP);
	life_line(LIFE_LINE_SILENT);
	becomes(10, SERVICE_DOWN);
}

static void test_draining_is_graceful_then_withdrawn(void)
{
	up();
	view.drains = SERVICE_DRAIN_HAND;
	becomes(10, SERVICE_DRAINING);
	CU_ASSERT(service_state_is_announced(&state));
	CU_ASSERT(service_state_is_draining(&state));
	CU_ASSERT_EQUAL(service_state_deadline(&state), now + GRACEFUL_MS);
	CU_ASSERT_STRING_EQUAL(state.cause, "drained by hand");
	becomes(GRACEFUL_MS - 1, SERVICE_DRAINING);
	becomes(1, SERVICE_DRAINED);
	CU_ASSERT_FALSE(service_state_is_announced(&state));
	CU_ASSERT(service_state_is_draining(&state));
	CU_ASSERT_EQUAL(service_state_deadline(&state), INT64_MAX);
	CU_ASSERT_EQUAL(state.withdrawn_ms, now);
	becomes(100000, SERVICE_DRAINED);
	view.drains = 0;
	becomes(10, SERVICE_UP);
}

static void test_a_second_reason_changes_nothing(void)
{
	up();
	view.drains = SERVICE_DRAIN_HAND;
	becomes(10, SERVICE_DRAINING);
	int64_t deadline = service_state_deadline(&state);
	view.drains |= SERVICE_DRAIN_STOPPING;
	becomes(1000, SERVICE_DRAINING);
	CU_ASSERT_EQUAL(service_state_deadline(&state), deadline);
	becomes(1000, SERVICE_DRAINED);
	view.drains &= ~(unsigned int)SERVICE_DRAIN_HAND;
	becomes(10, SERVICE_DRAINED);
}

static void test_draining_can_be_taken_back(void)
{
	up();
	view.drains = SERVICE_DRAIN_FILE;
	becomes(10, SERVICE_DRAINING);
	view.drains = 0;
	becomes(10, SERVICE_UP);
	view.drains = SERVICE_DRAIN_FILE;
	becomes(10, SERVICE_DRAINING);
	CU_ASSERT_EQUAL(service_state_deadline(&state), now + GRACEFUL_MS);
}

static void test_a_failure_while_draining_withdraws_at_once(void)
{
	up();
	view.drains = SERVICE_DRAIN_HAND;
	becomes(10, SERVICE_DRAINING);
	probe(false, "udp: refused");
	becomes(10, SERVICE_DRAINED);
	CU_ASSERT(strstr(state.cause, "udp: refused") != NULL);
	probe(true, "udp and tcp answer");
	becomes(10, SERVICE_DRAINED);
	probe(false, "udp: refused");
	view.drains = 0;
	becomes(10, SERVICE_DOWN);
}

static void test_what_is_down_is_drained_without_being_announced(void)
{
	start();
	view.drains = SERVICE_DRAIN_STOPPING;
	becomes(10, SERVICE_DRAINED);
	CU_ASSERT_EQUAL(state.withdrawn_ms, INT64_MIN);
	CU_ASSERT_STRING_EQUAL(state.cause, "the announcer stops");
	probe(true, "udp and tcp answer");
	becomes(10, SERVICE_DRAINED);
}

static void test_a_front_end_that_drains_goes_on_serving(void)
{
	up();
	life_line(LIFE_LINE_SERVING);
	becomes(10, SERVICE_UP);
	life_line(LIFE_LINE_DRAINING);
	becomes(10, SERVICE_DRAINING);
	becomes(GRACEFUL_MS, SERVICE_DRAINED);
	life_line(LIFE_LINE_LOST);
	probe(false, "udp: not asked yet");
	becomes(10, SERVICE_DOWN);
	/* the next front end */
	life_line(LIFE_LINE_SERVING);
	becomes(10, SERVICE_DOWN);
	probe(true, "udp and tcp answer");
	becomes(10, SERVICE_UP);
}

static void test_a_front_end_that_dies_while_draining(void)
{
	up();
	life_line(LIFE_LINE_DRAINING);
	becomes(10, SERVICE_DRAINING);
	life_line(LIFE_LINE_LOST);
	becomes(10, SERVICE_DOWN);
	CU_ASSERT_EQUAL(state.withdrawn_ms, now);
}

static void test_without_a_graceful_time_draining_withdraws_at_once(void)
{
	start();
	service_state_init(&state, 0, now);
	probe(true, "udp and tcp answer");
	becomes(10, SERVICE_UP);
	view.drains = SERVICE_DRAIN_HAND;
	becomes(10, SERVICE_DRAINED);
}

static void test_nobody_to_hear_it_is_no_reason_to_wait(void)
{
	up();
	view.unheard = true;
	becomes(1, SERVICE_UP);
	view.drains = SERVICE_DRAIN_STOPPING;
	becomes(1, SERVICE_DRAINED);
	/* The last session ends while it drains. */
	up();
	view.drains = SERVICE_DRAIN_FILE;
	becomes(1, SERVICE_DRAINING);
	view.unheard = true;
	becomes(1, SERVICE_DRAINED);
	view.unheard = false; /* a router comes: it hears nothing that goes again at once */
	becomes(1, SERVICE_DRAINED);
}

static void test_long_causes_are_cut(void)
{
	start();
	memset(view.probe_reason, 'x', sizeof(view.probe_reason) - 1);
	view.probe_up = true;
	becomes(10, SERVICE_UP);
	CU_ASSERT(strncmp(state.cause, "probe xxx", 9) == 0);
	CU_ASSERT(strlen(state.cause) < SERVICE_CAUSE_MAX);
	view.probe_up = false;
	view.drains = SERVICE_DRAIN_STOPPING;
	becomes(10, SERVICE_DRAINED);
	CU_ASSERT(strlen(state.cause) < SERVICE_CAUSE_MAX);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"nothing is announced before the probe is up",
		 test_nothing_is_announced_before_the_probe_is_up},
		{"a failed probe withdraws at once", test_a_failed_probe_withdraws_at_once},
		{"a life line must say serving", test_a_life_line_must_say_serving},
		{"draining is graceful, then withdrawn", test_draining_is_graceful_then_withdrawn},
		{"a second reason to drain changes nothing", test_a_second_reason_changes_nothing},
		{"draining can be taken back", test_draining_can_be_taken_back},
		{"a failure while draining withdraws at once",
		 test_a_failure_while_draining_withdraws_at_once},
		{"what is down is drained without being announced",
		 test_what_is_down_is_drained_without_being_announced},
		{"a front end that drains goes on serving",
		 test_a_front_end_that_drains_goes_on_serving},
		{"a front end that dies while draining is gone",
		 test_a_front_end_that_dies_while_draining},
		{"without a graceful time draining withdraws at once",
		 test_without_a_graceful_time_draining_withdraws_at_once},
		{"nobody to hear it is no reason to wait",
		 test_nobody_to_hear_it_is_no_reason_to_wait},
		{"long causes are cut", test_long_causes_are_cut},
	};
	return SUITE_RUN("service", tests);
}
