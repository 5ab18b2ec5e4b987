#include "backend/accept_guard.h"

#include "common/log.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The dynamic linker finds this one before the C library's; <sys/socket.h> declares it
 * otherwise.
 */
int accept_guard_accept4(int fd, struct sockaddr *address, socklen_t *size,
			 int flags) __asm__("accept4");

/* Errors of accept that are about us, and now, rather than about the listener. */
static bool may_pass(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

int accept_guard_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	int accepted = (int)syscall(SYS_accept4, fd, address, size, flags);

	if (accepted < 0 && may_pass(errno)) {
		log_warning_limited("connection not accepted for now", "reason=%s",
				    strerror(errno));
		errno = EAGAIN;
	}
	return accepted;
}

void accept_guard_init(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) != 0)
			log_warning("limit of open files not raised", "reason=%s", strerror(errno));
	}
}
