/* The completion queue's thread, and the list by which it passes events to the loop. */
#include "frontend/channel_queue.h"

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
	grpc_completion_queue *queue;
	pthread_t thread;
	void (*flush)(void *ctx);
	void *ctx;
	_Atomic(struct channel_event *) completed; /* newest first */
	int wake_fd;
	struct event *wake;
};

/* --- the completion-queue thread -------------------------------------------------------------- */

static void channel_queue_push(struct channel_queue *queue, struct channel_event *event, bool ok)
{
	atomic_load_explicit(&event->lent, memory_order_acquire);
	event->ok = ok;
	struct channel_event *head = atomic_load_explicit(&queue->completed, memory_order_relaxed);
	do
		event->next = head;
	while (!atomic_compare_exchange_weak_explicit(&queue->completed, &head, event,
						      memory_order_release, memory_order_relaxed));
	/* Who finds the list empty rings; the loop takes everything at once. */
	const uint64_t one = 1;
	if (!head && write(queue->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("waking a worker failed", "error=%s", strerror(errno));
}

static void *channel_queue_run(void *ctx)
{
	struct channel_queue *queue = ctx;
	for (;;) {
		grpc_event event = grpc_completion_queue_next(
			queue->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (event.type == GRPC_OP_COMPLETE)
			channel_queue_push(queue, event.tag, event.success);
	}
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
		log_error("reading an eventfd failed", "error=%s", strerror(errno));
	struct channel_event *event = channel_queue_take(queue);
	while (event) {
		struct channel_event *next = event->next; /* it may be lent again */
		event->fire(event, event->ok);
		event = next;
	}
	queue->flush(queue->ctx);
}

void *channel_event_lend(struct channel_event *event)
{
	atomic_store_explicit(&event->lent, true, memory_order_release);
	return event;
}

grpc_completion_queue *channel_queue_inner(struct channel_queue *queue)
{
	return queue->queue;
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
	if (!queue->wake || event_add(queue->wake, NULL) != 0)
		goto failed;
	queue->queue = grpc_completion_queue_create_for_next(NULL);
	if (pthread_create(&queue->thread, NULL, channel_queue_run, queue) != 0)
		goto failed;
	pthread_setname_np(queue->thread, "grpc-queue");
	return queue;
failed:
	if (queue->queue) {
		grpc_completion_queue_shutdown(queue->queue);
		channel_queue_run(queue);
		grpc_completion_queue_destroy(queue->queue);
	}
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
	grpc_completion_queue_shutdown(queue->queue);
	pthread_join(queue->thread, NULL);
	struct channel_event *event = channel_queue_take(queue);
	while (event) {
		struct channel_event *next = event->next;
		event->drop(event);
		event = next;
	}
	grpc_completion_queue_destroy(queue->queue);
	event_free(queue->wake);
	close(queue->wake_fd);
	free(queue);
}
