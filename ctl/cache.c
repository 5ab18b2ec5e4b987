/*
 * godwitctl cache flush and show: has front ends, one after the other, forget or show what they
 * have cached.
 */
#include "ctl/command.h"
#include "ctl/http.h"
#include "ctl/text.h"
#include "dns/name.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

static const char *const default_admins[] = {"127.0.0.1:9153"};

/* A name as text, each octet as "%XX", and what stands before it. */
#define PATH_MAX_OCTETS (3 * DNS_NAME_TEXT_MAX + 32)

/* Writes `page`, with "?name=NAME" if there is a name. 0, or -1 after a line on standard error. */
static int cache_make_path(const char *page, const char *name, char *path)
{
	uint8_t wire[DNS_NAME_MAX];
	char text[DNS_NAME_TEXT_MAX];
	if (!name) {
		snprintf(path, PATH_MAX_OCTETS, "%s", page);
		return 0;
	}
	if (text_read_name(name, "name", wire))
		return -1;
	dns_name_to_text(wire, text);
	char *encoded = evhttp_uriencode(text, -1, 0);
	if (!encoded) {
		text_fail("godwitctl: out of memory");
		return -1;
	}
	snprintf(path, PATH_MAX_OCTETS, "%s?name=%s", page, encoded);
	free(encoded);
	return 0;
}

/* Prints a server's answer, its first line beside the address, more of them below it. */
static void cache_print_answer(const char *server, int code, struct evbuffer *body)
{
	char *line = http_read_line(body);
	if (code == 0)
		printf("%s  no answer\n", server);
	else if (line && *line && code != HTTP_NOTFOUND)
		printf("%s  %s\n", server, line);
	else
		printf("%s  HTTP status %d\n", server, code);
	free(line);
	while (code >= 200 && code < 300 && evbuffer_get_length(body) > 0) {
		line = http_read_line(body);
		if (!line)
			break;
		printf("    %s\n", line);
		free(line);
	}
}

/* Returns true when the server has done it. */
static bool cache_ask_server(const struct http_server *server, enum evhttp_cmd_type method,
			     const char *path)
{
	struct evbuffer *body = evbuffer_new();
	if (!body)
		return false;
	int code = http_exchange(server, method, path, body);
	cache_print_answer(server->text, code, body);
	evbuffer_free(body);
	return code >= 200 && code < 300;
}

/* Asks all servers. The command's exit code. */
static int cache_ask_servers(const struct options *options, enum evhttp_cmd_type method,
			     const char *page, const char *name)
{
	struct http_server servers[OPTIONS_REPEAT_MAX];
	char path[PATH_MAX_OCTETS];
	size_t count = options->admin_count ? options->admin_count : 1;
	size_t failed = 0;

	if (cache_make_path(page, name, path) ||
	    http_read_servers(options->admin_count ? options->admin : default_admins, count,
			      servers))
		return EXIT_FAILURE;
	for (size_t i = 0; i < count; i++)
		if (!cache_ask_server(&servers[i], method, path))
			failed++;
	if (failed > 0)
		return text_fail("godwitctl: %zu of %zu front ends have not done it: see their "
				 "answers above; --admin says where they are",
				 failed, count);
	return EXIT_SUCCESS;
}

int command_cache_flush(struct storage *storage, const struct options *options, char **words,
			size_t count)
{
	(void)storage;
	return cache_ask_servers(options, EVHTTP_REQ_POST, "/cache/flush",
				 count > 0 ? words[0] : NULL);
}

int command_cache_show(struct storage *storage, const struct options *options, char **words,
		       size_t count)
{
	(void)storage, (void)count;
	return cache_ask_servers(options, EVHTTP_REQ_GET, "/cache", words[0]);
}
