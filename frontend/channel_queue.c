/* The one completion queue's thread, and the lists by which it passes events to the loops. */
#include "frontend/channel_queue.h"

#include "common/heartbeat.h"
#include "common/log.h"

#include <errno.h>
#include <event2/event.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct channel_queue {
	void (*flush)(void *ctx);
	void *ctx;
	_Atomic(struct channel_event *) completed; /* newest first */
	_Atomic size_t lent;                       /* events that gRPC has */
	int wake_fd;
	struct event *wake;
};

/* What all queues share; there while `users` is above 0. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t returned; /* some queue has nothing lent any more */
	unsigned int users;
	grpc_completion_queue *queue;
	pthread_t thread;
	struct heartbeat *heartbeat;
} poller = {.lock = PTHREAD_MUTEX_INITIALIZER, .returned = PTHREAD_COND_INITIALIZER};

/* --- the thread ------------------------------------------------------------------------------- */

/* Whose it is; from here on what that loop wrote before is seen. Asked before it is pushed. */
static struct channel_queue *channel_event_owner(const struct channel_event *event)
{
	atomic_load_explicit(&event->is_lent, memory_order_acquire);
	return event->queue;
}

static void channel_queue_push(struct channel_queue *queue, struct channel_event *event, bool ok)
{
	event->ok = ok;
	struct channel_event *head = atomic_load_explicit(&queue->completed, memory_order_relaxed);
	do
		event->next = head;
	while (!atomic_compare_exchange_weak_explicit(&queue->completed, &head, event,
						      memory_order_release, memory_order_relaxed));
	/* Who finds the list empty rings; the loop takes everything at once. */
	const uint64_t one = 1;
	if (!head && write(queue->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking a worker failed", "reason=%s", strerror(errno));
}

/* One event less is lent: the last touch of a queue that is being destroyed. */
static void channel_queue_note_return(struct channel_queue *queue)
{
	pthread_mutex_lock(&poller.lock);
	if (atomic_fetch_sub(&queue->lent, 1) == 1)
		pthread_cond_broadcast(&poller.returned);
	pthread_mutex_unlock(&poller.lock);
}

static gpr_timespec poller_next_beat(void)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
			    gpr_time_from_millis(HEARTBEAT_MS, GPR_TIMESPAN));
}

static void *poller_run(void *ctx)
{
	grpc_completion_queue *completions = ctx;
	gpr_timespec beat = poller_next_beat();
	for (;;) {
		grpc_event completion = grpc_completion_queue_next(completions, beat, NULL);
		heartbeat_beat(poller.heartbeat);
		if (completion.type == GRPC_QUEUE_SHUTDOWN)
			break;
		if (completion.type != GRPC_OP_COMPLETE) {
			beat = poller_next_beat();
			continue;
		}
		struct channel_event *event = completion.tag;
		struct channel_queue *queue = channel_event_owner(event);
		channel_queue_push(queue, event, completion.success);
		channel_queue_note_return(queue);
	}
	heartbeat_end(poller.heartbeat);
	return NULL;
}

/* With the lock held. 0, or -1 when threads are short. */
static int poller_start(void)
{
	poller.queue = grpc_completion_queue_create_for_next(NULL);
	if (pthread_create(&poller.thread, NULL, poller_run, poller.queue) != 0) {
		grpc_completion_queue_shutdown(poller.queue);
		poller_run(poller.queue);
		grpc_completion_queue_destroy(poller.queue);
		return -1;
	}
	pthread_setname_np(poller.thread, "grpc-queue");
	return 0;
}

static int poller_use(void)
{
	int result = 0;
	pthread_mutex_lock(&poller.lock);
	if (poller.users == 0)
		result = poller_start();
	if (result == 0)
		poller.users++;
	pthread_mutex_unlock(&poller.lock);
	return result;
}

static void poller_leave(void)
{
	pthread_mutex_lock(&poller.lock);
	bool last = --poller.users == 0;
	grpc_completion_queue *completions = poller.queue;
	pthread_t thread = poller.thread;
	pthread_mutex_unlock(&poller.lock);
	if (!last)
		return;
	grpc_completion_queue_shutdown(completions);
	pthread_join(thread, NULL);
	grpc_completion_queue_destroy(completions);
}

void channel_queue_set_heartbeat(struct heartbeat *heartbeat)
{
	poller.heartbeat = heartbeat;
}

/* --- the loop's side -------------------------------------------------------------------------- */

/* Everything completed so far, oldest first. */
static struct channel_event *channel_queue_take(struct channel_queue *queue)
{
	struct channel_event *event =
		atomic_exchange_explicit(&queue->completed, NULL, memory_order_acquire);
	struct channel_event *oldest = NULL;
	while (event) {
		struct channel_event *next = event->next;
		event->next = oldest;
		oldest = event;
		event = next;
	}
	return oldest;
}

static void channel_queue_on_wake(evutil_socket_t fd, short what, void *ctx)
{
	(void)what;
	struct channel_queue *queue = ctx;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("reading an eventfd failed", "reason=%s", strerror(errno));
	struct channel_event *event = channel_queue_take(queue);
	while (event) {
		struct channel_event *next = event->next; /* it may be lent again */
		event->fire(event, event->ok);
		event = next;
	}
	queue->flush(queue->ctx);
}

void *channel_event_lend(struct channel_queue *queue, struct channel_event *event)
{
	event->queue = queue;
	atomic_fetch_add_explicit(&queue->lent, 1, memory_order_relaxed);
	atomic_store_explicit(&event->is_lent, true, memory_order_release);
	return event;
}

void channel_event_take_back(struct channel_event *event)
{
	atomic_fetch_sub_explicit(&event->queue->lent, 1, memory_order_relaxed);
}

grpc_completion_queue *channel_queue_inner(struct channel_queue *queue)
{
	(void)queue; /* there is but one */
	return poller.queue;
}

void channel_queue_hold(struct channel_queue *queue)
{
	grpc_completion_queue_thread_local_cache_init(channel_queue_inner(queue));
}

bool channel_queue_release(struct channel_queue *queue, const struct channel_event *awaited,
			   bool *ok)
{
	void *tag = NULL;
	int success = 0;
	if (!grpc_completion_queue_thread_local_cache_flush(channel_queue_inner(queue), &tag,
							    &success))
		return false;
	struct channel_event *event = tag;
	struct channel_queue *owner = channel_event_owner(event);
	*ok = success != 0;
	if (event != awaited)
		channel_queue_push(owner, event, *ok);
	channel_queue_note_return(owner);
	return event == awaited;
}

/* --- life and death --------------------------------------------------------------------------- */

struct channel_queue *channel_queue_create(struct event_base *base, void (*flush)(void *ctx),
					   void *ctx)
{
	struct channel_queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return NULL;
	queue->flush = flush;
	queue->ctx = ctx;
	queue->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queue->wake_fd < 0)
		goto failed;
	queue->wake =
		event_new(base, queue->wake_fd, EV_READ | EV_PERSIST, channel_queue_on_wake, queue);
	if (!queue->wake || event_add(queue->wake, NULL) != 0 || poller_use() != 0)
		goto failed;
	return queue;
failed:
	if (queue->wake)
		event_free(queue->wake);
	if (queue->wake_fd >= 0)
		close(queue->wake_fd);
	free(queue);
	return NULL;
}

void channel_queue_destroy(struct channel_queue *queue)
{
	if (!queue)
		return;
	pthread_mutex_lock(&poller.lock);
	while (atomic_load(&queue->lent) > 0)
		pthread_cond_wait(&poller.returned, &poller.lock);
	pthread_mutex_unlock(&poller.lock);
	struct channel_event *event = channel_queue_take(queue);
	while (event) {
		struct channel_event *next = event->next;
		event->drop(event);
		event = next;
	}
	event_free(queue->wake);
	close(queue->wake_fd);
	free(queue);
	poller_leave();
}
