/*
 * A name is looked up by a thread of its own, which may outlive the wait: what both sides use is
 * freed by whoever is done with it last.
 */
#include "storage/redis_resolve.h"

#include "common/clock.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* One name being looked up. Owned by two: the thread and who waits. */
struct lookup {
	char *host;
	char port[8];
	struct addrinfo *list; /* the result; the waiter's once `done_fd` is written */
	int code;              /* of getaddrinfo */
	int done_fd;           /* an eventfd, readable when it is over */
	atomic_int owners;
};

static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
static const struct addrinfo numeric_hints = {.ai_socktype = SOCK_STREAM,
					      .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};

static void lookup_release(struct lookup *lookup)
{
	if (atomic_fetch_sub(&lookup->owners, 1) > 1)
		return;
	if (lookup->list)
		freeaddrinfo(lookup->list);
	if (lookup->done_fd >= 0)
		close(lookup->done_fd);
	free(lookup->host);
	free(lookup);
}

static void *lookup_run(void *arg)
{
	struct lookup *lookup = arg;
	uint64_t one = 1;

	lookup->code = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->list);
	/* An eventfd takes a first write always. */
	if (write(lookup->done_fd, &one, sizeof(one)) < 0)
		lookup->code = EAI_SYSTEM;
	lookup_release(lookup);
	return NULL;
}

/* Starts the thread, which takes no signals that are the program's. */
static bool lookup_start(struct lookup *lookup)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	atomic_store(&lookup->owners, 2);
	int error = pthread_create(&thread, &attributes, lookup_run, lookup);
	if (error != 0)
		atomic_store(&lookup->owners, 1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return error == 0;
}

static struct lookup *lookup_create(const char *host, const char *port)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	atomic_init(&lookup->owners, 1);
	snprintf(lookup->port, sizeof(lookup->port), "%s", port);
	lookup->host = strdup(host);
	lookup->done_fd = eventfd(0, EFD_CLOEXEC);
	if (lookup->host && lookup->done_fd >= 0 && lookup_start(lookup))
		return lookup;
	lookup_release(lookup);
	return NULL;
}

/* Waits for the thread's result. */
static int lookup_wait(struct storage *storage, struct lookup *lookup, int64_t deadline,
		       const char **reason)
{
	struct pollfd fds[2] = {
		{.fd = lookup->done_fd, .events = POLLIN},
		{.fd = storage->wake_fd, .events = POLLIN},
	};
	int64_t left;

	while (fds[0].revents == 0 && (left = deadline - clock_now_ms()) > 0) {
		poll(fds, 2, (int)left);
		if (storage_is_interrupted(storage))
			return storage_fail_interrupted(storage);
	}
	*reason = "no name server answers";
	uint64_t count;
	if (fds[0].revents == 0 || read(lookup->done_fd, &count, sizeof(count)) < 0)
		return STORAGE_UNAVAILABLE;
	*reason = gai_strerror(lookup->code);
	return lookup->code == 0 ? STORAGE_OK : STORAGE_UNAVAILABLE;
}

int redis_resolve(struct storage *storage, const char *host, uint16_t port, int64_t deadline,
		  struct addrinfo **list, const char **reason)
{
	char port_text[8];

	snprintf(port_text, sizeof(port_text), "%u", port);
	if (getaddrinfo(host, port_text, &numeric_hints, list) == 0)
		return STORAGE_OK;
	struct lookup *lookup = lookup_create(host, port_text);
	if (!lookup) {
		*reason = "no thread to look it up";
		return STORAGE_UNAVAILABLE;
	}
	int status = lookup_wait(storage, lookup, deadline, reason);
	if (status == STORAGE_OK) {
		*list = lookup->list;
		lookup->list = NULL;
	}
	lookup_release(lookup);
	return status;
}
