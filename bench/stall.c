#include "bench/stall.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* One end of a connection as /proc/net/tcp shows it. */
struct stall_end {
	unsigned int unsent; /* or not acknowledged */
	unsigned int unread;
};

/* Finds the server's end of the connection that begins at `client`. */
static bool find_server_end(const struct sockaddr_in *server, const struct sockaddr_in *client,
			    struct stall_end *end)
{
	char line[512];
	bool found = false;
	FILE *file = fopen("/proc/net/tcp", "re");

	while (file && !found && fgets(line, sizeof(line), file)) {
		struct {
			unsigned int address;
			unsigned int port;
		} local, remote;
		unsigned int state;
		found = sscanf(line, "%*d: %x:%x %x:%x %x %x:%x", &local.address, &local.port,
			       &remote.address, &remote.port, &state, &end->unsent,
			       &end->unread) == 7 &&
			local.address == server->sin_addr.s_addr &&
			local.port == ntohs(server->sin_port) &&
			remote.address == client->sin_addr.s_addr &&
			remote.port == ntohs(client->sin_port);
	}
	if (file)
		fclose(file);
	return found;
}

void stall_tell(const struct lane *lane, unsigned int number, int64_t silence_ns)
{
	struct sockaddr_in client;
	socklen_t size = sizeof(client);
	struct stall_end server;
	int unsent = -1;
	int unread = -1;

	ioctl(lane->fd, SIOCOUTQ, &unsent);
	ioctl(lane->fd, SIOCINQ, &unread);
	fprintf(stderr,
		"load: lane %u: no reply for %.2f s with %u queries under way; here %zu octets not "
		"given to the socket, %d not acknowledged, %d not read; ",
		number, (double)silence_ns / 1e9, lane_outstanding(lane), lane->out_size, unsent,
		unread);
	if (lane->transport != LANE_UDP && lane->transport != LANE_QUIC &&
	    getsockname(lane->fd, (struct sockaddr *)&client, &size) == 0 &&
	    find_server_end(&lane->server, &client, &server))
		fprintf(stderr, "at the server %u not acknowledged, %u not read\n", server.unsent,
			server.unread);
	else
		fputs("the server's end cannot be seen\n", stderr);
}
