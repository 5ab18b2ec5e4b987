/* godwitctl reload: asks backends, one after the other, to load their store anew. */
#include "ctl/command.h"
#include "ctl/http.h"
#include "ctl/text.h"

#include <event2/buffer.h>
#include <stdlib.h>

static const char *const default_admins[] = {"127.0.0.1:9154"};

/* Asks one backend and prints its answer. Returns true when it has accepted. */
static bool reload_server(const struct http_server *server, bool force)
{
	struct evbuffer *body = evbuffer_new();
	if (!body)
		return false;
	int code =
		http_exchange(server, EVHTTP_REQ_POST, force ? "/reload?force=1" : "/reload", body);
	char *line = http_read_line(body);
	evbuffer_free(body);
	if (code == 0)
		printf("%s  no answer\n", server->text);
	else if (line && *line)
		printf("%s  %s\n", server->text, line);
	else
		printf("%s  HTTP status %d\n", server->text, code);
	free(line);
	return code >= 200 && code < 300;
}

int command_reload(struct storage *storage, const struct options *options, char **words,
		   size_t count)
{
	struct http_server servers[OPTIONS_REPEAT_MAX];
	size_t server_count = options->admin_count ? options->admin_count : 1;
	size_t failed = 0;

	(void)storage, (void)words, (void)count;
	if (http_read_servers(options->admin_count ? options->admin : default_admins, server_count,
			      servers))
		return EXIT_FAILURE;
	for (size_t i = 0; i < server_count; i++)
		if (!reload_server(&servers[i], options->given & OPTION_FORCE))
			failed++;
	if (failed > 0)
		return text_fail("godwitctl: %zu of %zu backends do not reload: see their answers "
				 "above%s",
				 failed, server_count,
				 options->given & OPTION_FORCE ? ""
							       : ", and godwitctl reload --help");
	return EXIT_SUCCESS;
}
