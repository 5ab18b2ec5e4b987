/* The state machine of one service. */
#include "announcer/service_state.h"

#include <stdio.h>
#include <string.h>

void service_state_init(struct service_state *state, int64_t graceful_ms, int64_t now_ms)
{
	*state = (struct service_state){
		.phase = SERVICE_DOWN,
		.since_ms = now_ms,
		.withdrawn_ms = INT64_MIN,
		.graceful_ms = graceful_ms,
	};
	snprintf(state->cause, sizeof(state->cause), "not probed yet");
}

/* True when clients can be sent here; in any case one line that says why or why not. */
static bool service_view_is_healthy(const struct service_view *view, char *cause, size_t size)
{
	bool serves = view->life_line == LIFE_LINE_SERVING || view->life_line == LIFE_LINE_DRAINING;
	if (view->has_life_line && view->life_line == LIFE_LINE_LOST)
		snprintf(cause, size, "life line: the front end is not there");
	else if (view->has_life_line && !serves)
		snprintf(cause, size, "life line: the front end does not say that it serves");
	else
		snprintf(cause, size, "probe %.*s", SERVICE_CAUSE_MAX - 8, view->probe_reason);
	return view->probe_up && (serves || !view->has_life_line);
}

static const char *service_drain_words(unsigned int drains)
{
	if (drains & SERVICE_DRAIN_STOPPING)
		return "the announcer stops";
	if (drains & SERVICE_DRAIN_HAND)
		return "drained by hand";
	if (drains & SERVICE_DRAIN_FILE)
		return "the drain file is there";
	return "the front end is about to stop";
}

static void service_state_enter(struct service_state *state, enum service_phase phase,
				const char *cause, int64_t now_ms)
{
	bool was_announced = service_state_is_announced(state);
	if (phase != state->phase)
		state->since_ms = now_ms;
	state->phase = phase;
	if (was_announced && !service_state_is_announced(state))
		state->withdrawn_ms = now_ms;
	snprintf(state->cause, sizeof(state->cause), "%.*s", SERVICE_CAUSE_MAX - 1, cause);
}

/* The phase while there is a reason to drain. */
static enum service_phase service_state_drain(const struct service_state *state,
					      const struct service_view *view, bool healthy,
					      int64_t now_ms)
{
	bool over = state->phase == SERVICE_DRAINING
			    ? now_ms - state->since_ms >= state->graceful_ms
			    : state->graceful_ms <= 0;
	return service_state_is_announced(state) && healthy && !over && !view->unheard
		       ? SERVICE_DRAINING
		       : SERVICE_DRAINED;
}

bool service_state_update(struct service_state *state, const struct service_view *view,
			  int64_t now_ms)
{
	enum service_phase old = state->phase;
	char cause[SERVICE_CAUSE_MAX];
	bool healthy = service_view_is_healthy(view, cause, sizeof(cause));
	if (view->drains == 0) {
		service_state_enter(state, healthy ? SERVICE_UP : SERVICE_DOWN, cause, now_ms);
		return state->phase != old;
	}
	enum service_phase phase = service_state_drain(state, view, healthy, now_ms);
	const char *words = service_drain_words(view->drains);
	char both[SERVICE_CAUSE_MAX];
	if (!healthy && service_state_is_announced(state))
		snprintf(both, sizeof(both), "%s; at once: %.180s", words, cause);
	else
		snprintf(both, sizeof(both), "%s", words);
	service_state_enter(state, phase, both, now_ms);
	return state->phase != old;
}

int64_t service_state_deadline(const struct service_state *state)
{
	return state->phase == SERVICE_DRAINING ? state->since_ms + state->graceful_ms : INT64_MAX;
}

bool service_state_is_announced(const struct service_state *state)
{
	return state->phase == SERVICE_UP || state->phase == SERVICE_DRAINING;
}

bool service_state_is_draining(const struct service_state *state)
{
	return state->phase == SERVICE_DRAINING || state->phase == SERVICE_DRAINED;
}

const char *service_phase_name(enum service_phase phase)
{
	static const char *const names[] = {"down", "up", "draining", "drained"};
	return names[phase];
}
