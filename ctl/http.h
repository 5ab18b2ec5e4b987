/*
 * One HTTP exchange with a server's admin address, in the clear, as godwitctl needs it. Any thread.
 */
#ifndef GODWIT_CTL_HTTP_H
#define GODWIT_CTL_HTTP_H

#include "common/address.h"

#include <event2/http.h>

struct evbuffer;

/* Where a server is asked. */
struct http_server {
	const char *text; /* as the person wrote it: argv's */
	struct address address;
};

/*
 * Reads the addresses of --admin into `servers`, which has room for all. 0, or -1 after a line on
 * standard error.
 */
int http_read_servers(const char *const *texts, size_t count, struct http_server *servers);

/*
 * Sends a request without a body and adds the response's body to `body`. Returns the response's
 * code, or 0 when none came within 5 seconds. Bodies larger than 8 MiB are cut off and count as no
 * response.
 */
int http_exchange(const struct http_server *server, enum evhttp_cmd_type method, const char *path,
		  struct evbuffer *body);

/*
 * Takes the first line out of a body, "" if there is none, control characters replaced: what a
 * server says does not play with the terminal. The caller frees it; NULL: no memory.
 */
char *http_read_line(struct evbuffer *body);

#endif
