/* A ring under a lock that passes on its waiter's priority, and the thread that empties it. */
#include "announcer/bfd_report.h"

#include <pthread.h>
#include <stdlib.h>

#define REPORTER_ROOM 64 /* lines */

struct bfd_reporter {
	pthread_mutex_t lock; /* for all below but the thread */
	pthread_cond_t queued;
	struct bfd_report ring[REPORTER_ROOM];
	size_t first;
	size_t count;
	uint64_t lost; /* that did not fit since the last that did */
	bool stopping;
	pthread_t thread;
};

static void reporter_write(const struct bfd_report *report)
{
	unsigned long long suppressed = report->suppressed;

	if (report->has_states)
		log_write(report->level, report->event,
			  "peer=%s reason=%s state=%s diagnostic=%s remote_state=%s "
			  "remote_diagnostic=%s suppressed=%llu",
			  report->peer, report->reason, bfd_state_name(report->state),
			  bfd_diagnostic_name(report->diagnostic),
			  bfd_state_name(report->remote_state),
			  bfd_diagnostic_name(report->remote_diagnostic), suppressed);
	else
		log_write(report->level, report->event, "peer=%s reason=%s suppressed=%llu",
			  report->peer, report->reason, suppressed);
}

static void *reporter_run(void *arg)
{
	struct bfd_reporter *reporter = arg;

	pthread_setname_np(pthread_self(), "bfd-log");
	pthread_mutex_lock(&reporter->lock);
	while (reporter->count > 0 || !reporter->stopping) {
		if (reporter->count == 0) {
			pthread_cond_wait(&reporter->queued, &reporter->lock);
			continue;
		}
		struct bfd_report report = reporter->ring[reporter->first];
		reporter->first = (reporter->first + 1) % REPORTER_ROOM;
		reporter->count--;
		pthread_mutex_unlock(&reporter->lock);
		reporter_write(&report);
		pthread_mutex_lock(&reporter->lock);
	}
	pthread_mutex_unlock(&reporter->lock);
	return NULL;
}

struct bfd_reporter *bfd_reporter_start(void)
{
	struct bfd_reporter *reporter = calloc(1, sizeof(*reporter));
	pthread_mutexattr_t attributes;

	if (!reporter)
		return NULL;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&reporter->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	pthread_cond_init(&reporter->queued, NULL);
	if (pthread_create(&reporter->thread, NULL, reporter_run, reporter) == 0)
		return reporter;
	pthread_cond_destroy(&reporter->queued);
	pthread_mutex_destroy(&reporter->lock);
	free(reporter);
	return NULL;
}

void bfd_reporter_stop(struct bfd_reporter *reporter)
{
	if (!reporter)
		return;
	pthread_mutex_lock(&reporter->lock);
	reporter->stopping = true;
	pthread_cond_signal(&reporter->queued);
	pthread_mutex_unlock(&reporter->lock);
	pthread_join(reporter->thread, NULL);
	pthread_cond_destroy(&reporter->queued);
	pthread_mutex_destroy(&reporter->lock);
	free(reporter);
}

void bfd_report(struct bfd_reporter *reporter, const struct bfd_report *report)
{
	pthread_mutex_lock(&reporter->lock);
	if (reporter->count == REPORTER_ROOM) {
		reporter->lost += 1 + report->suppressed;
	} else {
		size_t at = (reporter->first + reporter->count++) % REPORTER_ROOM;
		reporter->ring[at] = *report;
		reporter->ring[at].suppressed += reporter->lost;
		reporter->lost = 0;
		pthread_cond_signal(&reporter->queued);
	}
	pthread_mutex_unlock(&reporter->lock);
}
