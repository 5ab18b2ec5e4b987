/*
 * godwitctl status: asks servers' admin addresses, one after the other, whether they are ready, and
 * shows a few of their figures. By default those of this machine; an announcer need not be there.
 */
#include "ctl/command.h"
#include "ctl/figures.h"
#include "ctl/http.h"
#include "ctl/text.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const default_admins[] = {"127.0.0.1:9153", "127.0.0.1:9154", "127.0.0.1:9155"};
#define DEFAULT_ADMINS (sizeof(default_admins) / sizeof(default_admins[0]))
#define DEFAULT_ANNOUNCER (DEFAULT_ADMINS - 1)

/* False when nobody listens there: a server that hangs does. */
static bool is_there(const struct http_server *server)
{
	int fd = socket(server->address.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool there = fd < 0 || connect(fd, (const struct sockaddr *)&server->address.addr,
				       server->address.addr_size) == 0;
	if (fd >= 0)
		close(fd);
	return there;
}

/* Prints a server's state. Returns true when it is ready. */
static bool show_server(const struct http_server *server)
{
	struct evbuffer *body = evbuffer_new();
	if (!body)
		return false;
	int code = http_exchange(server, EVHTTP_REQ_GET, "/readyz", body);
	char *reason = http_read_line(body);
	const char *state = code == 200 ? "ready" : code == 0 ? "no answer" : "not ready";
	printf("%s  %s%s%s\n", server->text, state, reason && *reason ? ": " : "",
	       reason ? reason : "");
	free(reason);
	evbuffer_drain(body, evbuffer_get_length(body));
	if (code != 0 && http_exchange(server, EVHTTP_REQ_GET, "/metrics", body) == 200)
		figures_print(body);
	evbuffer_free(body);
	return code == 200;
}

int command_status(struct storage *storage, const struct options *options, char **words,
		   size_t count)
{
	struct http_server servers[OPTIONS_REPEAT_MAX];
	bool given = options->admin_count > 0;
	const char *const *admins = given ? options->admin : default_admins;
	size_t server_count = given ? options->admin_count : DEFAULT_ADMINS;
	size_t failed = 0;

	(void)storage, (void)words, (void)count;
	if (http_read_servers(admins, server_count, servers))
		return EXIT_FAILURE;
	if (!given && !is_there(&servers[DEFAULT_ANNOUNCER]))
		server_count--;
	for (size_t i = 0; i < server_count; i++)
		if (!show_server(&servers[i]))
			failed++;
	if (failed > 0)
		return text_fail("godwitctl: %zu of %zu servers not ready: look at what is printed "
				 "above and at their logs",
				 failed, server_count);
	return EXIT_SUCCESS;
}
