/* sendmsg(2) from an evbuffer; see the header. */
#include "announcer/peer_write.h"

#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>

#define WRITE_PIECES 16

int peer_write(int fd, struct evbuffer *buffer)
{
	while (evbuffer_get_length(buffer) > 0) {
		struct evbuffer_iovec pieces[WRITE_PIECES];
		int count = evbuffer_peek(buffer, -1, NULL, pieces, WRITE_PIECES);
		const struct msghdr message = {
			.msg_iov = pieces,
			.msg_iovlen = (size_t)(count < WRITE_PIECES ? count : WRITE_PIECES),
		};
		ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : errno;
		evbuffer_drain(buffer, (size_t)sent);
	}
	return 0;
}
