/* What a service rests on, gathered; its transitions, logged. */
#include "announcer/service.h"

#include "announcer/metrics.h"
#include "announcer/probe.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SERVICE_FILE_MS 200 /* how often the drain file is looked for */

/* --- what is seen ----------------------------------------------------------------------------- */

static void service_on_probe(void *ctx)
{
	struct service *service = ctx;
	service->options.on_change(service->options.ctx);
}

/*
 * The front end's end of file counts at once, before anything else is asked: good answers of the
 * process that has died say nothing about the next one. Nor do those from before it said that it
 * does not serve: `rise` new ones are wanted, which also keeps routes from flapping as fast as its
 * word does. life_line.h logs.
 */
static void service_on_life_line(void *ctx, enum life_line_state state)
{
	struct service *service = ctx;
	enum life_line_state was = service->life_line_was;
	bool lost = state == LIFE_LINE_LOST && was != LIFE_LINE_LOST;
	service->life_line_was = state;
	if (lost || (state == LIFE_LINE_SILENT && was != LIFE_LINE_LOST))
		probe_reset(service->probe);
	if (state == LIFE_LINE_SERVING)
		probe_hurry(service->probe);
	if (state == LIFE_LINE_DRAINING && was != LIFE_LINE_DRAINING)
		service->told = false;
	service->options.on_change(service->options.ctx);
	if (lost)
		metrics_add(service->options.metrics, METRIC_LIFE_LINE_LOST, 1);
}

/* Whether the drain file is there; what cannot be told leaves things as they are. */
static bool service_look_for_file(const struct service *service)
{
	const char *path = service->options.config->drain_file;
	struct stat status;
	if (!path)
		return false;
	if (stat(path, &status) == 0)
		return true;
	if (errno == ENOENT || errno == ENOTDIR)
		return false;
	log_warning_limited("drain file cannot be looked for", "service=%s path=%s reason=%s",
			    service->options.config->name, path, strerror(errno));
	return service->drain_file;
}

static void service_look(const struct service *service, struct service_view *view)
{
	*view = (struct service_view){
		.has_life_line = service->life_line != NULL,
		.unheard = service->unheard,
	};
	view->probe_up =
		probe_is_up(service->probe, view->probe_reason, sizeof(view->probe_reason));
	if (service->life_line)
		view->life_line = life_line_state(service->life_line);
	if (service->stopping)
		view->drains |= SERVICE_DRAIN_STOPPING;
	if (atomic_load(&service->drained_by_hand))
		view->drains |= SERVICE_DRAIN_HAND;
	if (service->drain_file)
		view->drains |= SERVICE_DRAIN_FILE;
	if (service->life_line && view->life_line == LIFE_LINE_DRAINING)
		view->drains |= SERVICE_DRAIN_FRONTEND;
}

/* --- what follows ----------------------------------------------------------------------------- */

/* The next look at the drain file, or the end of DRAINING, if that is sooner. */
static void service_set_timer(struct service *service)
{
	int64_t wait_ms = service->options.config->drain_file ? SERVICE_FILE_MS : INT64_MAX;
	int64_t deadline = service_state_deadline(&service->state);
	if (deadline != INT64_MAX) {
		int64_t left = deadline - clock_now_ms();
		wait_ms = left < wait_ms ? left : wait_ms;
	}
	if (wait_ms == INT64_MAX)
		return;
	wait_ms = wait_ms > 0 ? wait_ms : 0;
	const struct timeval wait = clock_timeval(wait_ms);
	if (event_add(service->timer, &wait) != 0)
		log_error("timer not set", "service=%s", service->options.config->name);
}

static void service_on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct service *service = ctx;
	(void)fd;
	(void)what;
	bool there = service_look_for_file(service);
	bool over = service_state_deadline(&service->state) <= clock_now_ms();
	bool changed = there != service->drain_file;
	service->drain_file = there;
	service_set_timer(service);
	if (changed || over)
		service->options.on_change(service->options.ctx);
}

bool service_update(struct service *service)
{
	service_look(service, &service->view);
	if (!service_state_update(&service->state, &service->view, clock_now_ms()))
		return false;
	service_set_timer(service);
	return true;
}

void service_report(struct service *service)
{
	const char *name = service->options.config->name;
	const char *cause = service->state.cause;
	enum service_phase old = service->reported;
	if (service->state.phase == old)
		return;
	service->reported = service->state.phase;
	switch (service->state.phase) {
	case SERVICE_UP:
		metrics_add(service->options.metrics, METRIC_SERVICE_UPS, 1);
		log_info(old == SERVICE_DOWN ? "service up" : "service no longer drained",
			 "service=%s reason=%s", name, cause);
		break;
	case SERVICE_DOWN:
		if (old != SERVICE_DRAINED)
			metrics_add(service->options.metrics, METRIC_SERVICE_DOWNS, 1);
		log_warning("service down", "service=%s reason=%s", name, cause);
		break;
	case SERVICE_DRAINING:
		log_info("service draining: announced as a last resort",
			 "service=%s reason=%s for_ms=%d", name, cause,
			 service->options.graceful_ms);
		break;
	case SERVICE_DRAINED:
		log_info("service drained: withdrawn", "service=%s reason=%s", name, cause);
		break;
	}
}

bool service_wants_release(const struct service *service)
{
	return service->life_line && !service->told &&
	       life_line_state(service->life_line) == LIFE_LINE_DRAINING &&
	       service->state.phase == SERVICE_DRAINED;
}

void service_release(struct service *service)
{
	log_info("front end told that it may end", "service=%s", service->options.config->name);
	service->told = true;
	life_line_say_withdrawn(service->life_line);
}

void service_stop(struct service *service)
{
	service->stopping = true;
}

/* --- life and death --------------------------------------------------------------------------- */

struct service *service_create(const struct service_options *options, char *error,
			       size_t error_size)
{
	const struct announcer_service *config = options->config;
	char reason[300];
	struct service *service = calloc(1, sizeof(*service));
	if (!service) {
		snprintf(error, error_size, "service %s: out of memory", config->name);
		return NULL;
	}
	service->options = *options;
	service_state_init(&service->state, options->graceful_ms, clock_now_ms());
	service->settled_ms = INT64_MAX;
	snprintf(reason, sizeof(reason), "out of memory");
	service->timer = evtimer_new(options->base, service_on_timer, service);
	if (service->timer)
		service->probe = probe_create(options->base, &config->probe, options->metrics,
					      service_on_probe, service, reason, sizeof(reason));
	if (service->probe && config->watch_socket[0])
		service->life_line = life_line_create(options->base, config->watch_socket,
						      service_on_life_line, service);
	if (!service->probe || (config->watch_socket[0] && !service->life_line)) {
		snprintf(error, error_size, "service %s: %s", config->name, reason);
		service_destroy(service);
		return NULL;
	}
	service->drain_file = service_look_for_file(service);
	service_set_timer(service);
	return service;
}

void service_destroy(struct service *service)
{
	if (!service)
		return;
	if (service->life_line)
		life_line_destroy(service->life_line);
	probe_destroy(service->probe);
	if (service->timer)
		event_free(service->timer);
	free(service);
}
