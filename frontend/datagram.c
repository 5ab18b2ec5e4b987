/* Datagrams on their way out. */
#include "frontend/datagram.h"

#include <errno.h>

/* Sends datagrams that have one socket in common. Returns how many are lost. */
static size_t datagram_send_run(int fd, struct mmsghdr *headers, size_t count)
{
	size_t done = 0;
	size_t lost = 0;
	while (done < count) {
		int sent = sendmmsg(fd, &headers[done], (unsigned int)(count - done), MSG_DONTWAIT);
		if (sent > 0) {
			done += (size_t)sent;
			continue;
		}
		if (errno == EINTR)
			continue;
		/* A full send buffer stops all of them, anything else only the first. */
		size_t stopped = errno == EAGAIN || errno == ENOBUFS ? count - done : 1;
		lost += stopped;
		done += stopped;
	}
	return lost;
}

size_t datagram_send_batch(const int *fds, struct mmsghdr *headers, size_t count)
{
	size_t lost = 0;
	size_t first = 0;
	while (first < count) {
		size_t end = first + 1;
		while (end < count && fds[end] == fds[first])
			end++;
		lost += datagram_send_run(fds[first], &headers[first], end - first);
		first = end;
	}
	return lost;
}
