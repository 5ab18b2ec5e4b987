/*
 * godwitctl announcer: shows how announcers see their peers and services, and takes nodes or single
 * services out and back in by hand.
 */
#include "ctl/command.h"
#include "ctl/http.h"
#include "ctl/text.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

static const char *const default_admins[] = {"127.0.0.1:9155"};

/* A service's name, each octet as "%XX", and what stands before it. */
#define SERVICE_MAX 255
#define PATH_SIZE (3 * SERVICE_MAX + 32)

/* What is asked of each announcer, and how the answer is shown. */
struct announcer_request {
	enum evhttp_cmd_type method;
	char path[PATH_SIZE];
	bool whole; /* the answer is a page, printed as it is */
};

/* Why there is no good answer. */
static void announcer_print_failure(const char *server, int code, const char *line)
{
	if (code == 0)
		printf("%s  no answer\n", server);
	else if (*line && code != HTTP_NOTFOUND)
		printf("%s  %s\n", server, line);
	else
		printf("%s  HTTP status %d%s\n", server, code,
		       code == HTTP_NOTFOUND ? ": is it an announcer?" : "");
}

/* Prints all lines of a page, empty ones too. */
static void announcer_print_page(struct evbuffer *body)
{
	while (evbuffer_get_length(body) > 0) {
		char *line = evbuffer_readln(body, NULL, EVBUFFER_EOL_CRLF);
		if (!line)
			line = http_read_line(body); /* one without a line end */
		if (!line)
			break;
		text_tame(line);
		printf("%s\n", line);
		free(line);
	}
}

/* Returns true when the announcer has done it. */
static bool announcer_ask(const struct http_server *server, const struct announcer_request *request,
			  bool several)
{
	struct evbuffer *body = evbuffer_new();
	if (!body)
		return false;
	int code = http_exchange(server, request->method, request->path, body);
	bool done = code >= 200 && code < 300;
	if (done && request->whole) {
		if (several)
			printf("%s\n", server->text);
		announcer_print_page(body);
	} else {
		char *line = http_read_line(body);
		if (done)
			printf("%s  %s\n", server->text, line && *line ? line : "done");
		else
			announcer_print_failure(server->text, code, line ? line : "");
		free(line);
	}
	evbuffer_free(body);
	return done;
}

/* Asks all announcers. The command's exit code. */
static int announcer_ask_all(const struct options *options, const struct announcer_request *request)
{
	struct http_server servers[OPTIONS_REPEAT_MAX];
	size_t count = options->admin_count ? options->admin_count : 1;
	size_t failed = 0;
	bool json = options->given & OPTION_JSON;

	if (http_read_servers(options->admin_count ? options->admin : default_admins, count,
			      servers))
		return EXIT_FAILURE;
	for (size_t i = 0; i < count; i++)
		if (!announcer_ask(&servers[i], request, count > 1 && !json))
			failed++;
	if (failed > 0)
		return text_fail("godwitctl: %zu of %zu announcers have not done it: see their "
				 "answers above; --admin says where they are",
				 failed, count);
	return EXIT_SUCCESS;
}

int command_announcer_status(struct storage *storage, const struct options *options, char **words,
			     size_t count)
{
	struct announcer_request request = {.method = EVHTTP_REQ_GET, .whole = true};
	(void)storage, (void)words, (void)count;
	snprintf(request.path, sizeof(request.path),
		 options->given & OPTION_JSON ? "/status.json" : "/status");
	return announcer_ask_all(options, &request);
}

static int announcer_post(const struct options *options, const char *page, const char *service)
{
	struct announcer_request request = {.method = EVHTTP_REQ_POST};
	if (!service) {
		snprintf(request.path, sizeof(request.path), "%s", page);
		return announcer_ask_all(options, &request);
	}
	if (!*service || strlen(service) > SERVICE_MAX)
		return text_fail("godwitctl: \"%.40s\" is no service's name", service);
	char *encoded = evhttp_uriencode(service, -1, 0);
	if (!encoded)
		return text_fail("godwitctl: out of memory");
	snprintf(request.path, sizeof(request.path), "%s?service=%s", page, encoded);
	free(encoded);
	return announcer_ask_all(options, &request);
}

int command_announcer_drain(struct storage *storage, const struct options *options, char **words,
			    size_t count)
{
	(void)storage;
	return announcer_post(options, "/drain", count > 0 ? words[0] : NULL);
}

int command_announcer_undrain(struct storage *storage, const struct options *options, char **words,
			      size_t count)
{
	(void)storage;
	return announcer_post(options, "/undrain", count > 0 ? words[0] : NULL);
}
