/*
 * The ceiling: what it costs to take a UDP message in and send it back, and nothing else. It only
 * sets the QR bit, so that what comes back looks like a reply.
 *
 *     echo PORT       (of 127.0.0.1; one thread; until a signal ends it)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define MESSAGE_MAX 2048
#define SOCKET_BUFFER (4 << 20)

static uint8_t data[BATCH][MESSAGE_MAX];
static struct sockaddr_in clients[BATCH];
static struct iovec pieces[BATCH];
static struct mmsghdr messages[BATCH];

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	const int size = SOCKET_BUFFER;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	fprintf(stderr, "echo: cannot listen on port %u: %s\n", port, strerror(errno));
	exit(1);
}

static void prepare(void)
{
	for (unsigned int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){.iov_base = data[i], .iov_len = MESSAGE_MAX};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &clients[i],
						      .msg_namelen = sizeof(clients[i]),
						      .msg_iov = &pieces[i],
						      .msg_iovlen = 1};
	}
}

/* Takes what waits, at least one message, and sends it back. */
static void echo_batch(int fd)
{
	int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);

	for (int i = 0; i < count; i++) {
		data[i][2] |= 0x80;
		pieces[i].iov_len = messages[i].msg_len;
	}
	for (int sent = 0; sent < count;) {
		int left = sendmmsg(fd, messages + sent, (unsigned int)(count - sent), 0);
		sent += left > 0 ? left : 1;
	}
	for (int i = 0; i < count; i++)
		pieces[i].iov_len = MESSAGE_MAX;
}

int main(int argc, char **argv)
{
	unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (port == 0 || port > UINT16_MAX) {
		fprintf(stderr, "usage: echo PORT\n");
		return 2;
	}
	int fd = listen_on((uint16_t)port);
	prepare();
	for (;;)
		echo_batch(fd);
}
