/*
 * Whether a service is announced, and how: a small state machine. Pure: what is seen and the time
 * come in.
 *
 *            healthy                  to be drained
 *     DOWN ----------> UP ---------------------------> DRAINING
 *      ^ ^             |  not healthy                   |     | graceful_shutdown_ms are over,
 *      | +-------------+                                |     v or not healthy
 *      |                                                |   DRAINED
 *      +------- no longer to be drained ----------------+-----+      (and UP at once, if healthy)
 *
 * Healthy means that the probe is up and, with a life line, that the front end says it serves (or
 * that it drains, which it does while serving). In DRAINING the routes are announced as a last
 * resort (RFC 8326), unless there is nobody to hear it; in DOWN and DRAINED not at all. A service
 * that is to be drained and was down is DRAINED: that it is not announced is meant.
 */
#ifndef GODWIT_ANNOUNCER_SERVICE_STATE_H
#define GODWIT_ANNOUNCER_SERVICE_STATE_H

#include "announcer/life_line.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_CAUSE_MAX 256

enum service_phase { SERVICE_DOWN, SERVICE_UP, SERVICE_DRAINING, SERVICE_DRAINED };

/* Reasons to drain, as bits: any of them is enough. */
enum service_drain {
	SERVICE_DRAIN_STOPPING = 1, /* the announcer ends */
	SERVICE_DRAIN_HAND = 2,     /* POST /drain */
	SERVICE_DRAIN_FILE = 4,
	SERVICE_DRAIN_FRONTEND = 8, /* the life line says so */
};

/* What is seen of a service. */
struct service_view {
	bool probe_up;
	char probe_reason[SERVICE_CAUSE_MAX];
	bool has_life_line;
	enum life_line_state life_line;
	unsigned int drains;
	bool unheard; /* no router listens: a last resort would be announced to nobody */
};

struct service_state {
	enum service_phase phase;
	int64_t since_ms;              /* of the phase */
	int64_t withdrawn_ms;          /* when announcing last ended; INT64_MIN: never begun */
	int64_t graceful_ms;           /* how long DRAINING lasts */
	char cause[SERVICE_CAUSE_MAX]; /* why it is in its phase, one line */
};

void service_state_init(struct service_state *state, int64_t graceful_ms, int64_t now_ms);

/*
 * Takes what is seen now. Returns true when the phase has changed; in a phase that stays, `cause`
 * follows what is seen.
 */
bool service_state_update(struct service_state *state, const struct service_view *view,
			  int64_t now_ms);

/* When service_state_update is to be called next for the time's sake; INT64_MAX: not. */
int64_t service_state_deadline(const struct service_state *state);

/* True in UP and DRAINING. */
bool service_state_is_announced(const struct service_state *state);

/* True while the service is not announced on purpose, or on the way there. */
bool service_state_is_draining(const struct service_state *state);

/* "down", "up", "draining", "drained". */
const char *service_phase_name(enum service_phase phase);

#endif
