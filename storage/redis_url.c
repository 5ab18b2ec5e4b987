#include "storage/redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT 6379
#define DEFAULT_SENTINEL_PORT 26379
#define DEFAULT_PREFIX "dns:"

/* A part of the URL. */
struct part {
	const char *text;
	size_t size;
};

struct parser {
	struct redis_url *url;
	bool is_unix;
	char *error;
	size_t error_size;
};

static int fail(struct parser *parser, const char *reason)
{
	snprintf(parser->error, parser->error_size, "the Redis URL: %s", reason);
	return -1;
}

/* Takes what stands before `separator` off the front of `rest`. False when there is none. */
static bool cut(struct part *rest, char separator, struct part *front)
{
	const char *end = memchr(rest->text, separator, rest->size);

	*front = *rest;
	if (!end) {
		rest->text += rest->size;
		rest->size = 0;
		return false;
	}
	front->size = (size_t)(end - rest->text);
	rest->text = end + 1;
	rest->size -= front->size + 1;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Copies a part with its %XX resolved into `*out`. */
static int decode(struct parser *parser, struct part part, char **out)
{
	char *text = malloc(part.size + 1);
	size_t size = 0;

	if (!text)
		return fail(parser, "out of memory");
	for (size_t i = 0; i < part.size; i++) {
		int octet = (unsigned char)part.text[i];
		if (octet == '%') {
			int high = i + 2 < part.size ? hex_digit(part.text[i + 1]) : -1;
			int low = i + 2 < part.size ? hex_digit(part.text[i + 2]) : -1;
			octet = high < 0 || low < 0 ? 0 : high * 16 + low;
			i += 2;
		}
		if (octet == 0) {
			free(text);
			return fail(parser, "\"%\" is not followed by two hexadecimal digits of an "
					    "octet other than 00");
		}
		text[size++] = (char)octet;
	}
	text[size] = '\0';
	free(*out);
	*out = text;
	return 0;
}

/* A decimal number of at most `most`, or -1. */
static long parse_number(struct part part, long most)
{
	long number = 0;

	for (size_t i = 0; i < part.size; i++) {
		if (part.text[i] < '0' || part.text[i] > '9')
			return -1;
		number = number * 10 + (part.text[i] - '0');
		if (number > most)
			return -1;
	}
	return part.size > 0 ? number : -1;
}

static int parse_database(struct parser *parser, struct part part)
{
	long number = parse_number(part, 1000000);

	if (number < 0)
		return fail(parser, "the database is not a number: write redis://host:port/0");
	if (number > 0 && parser->url->mode == REDIS_CLUSTER)
		return fail(parser, "a Redis Cluster has only database 0");
	parser->url->database = (int)number;
	return 0;
}

/* --- hosts ------------------------------------------------------------------------------------ */

/* Adds an entry; takes what it needs from `name`. */
static int add_host(struct parser *parser, struct part name, long port)
{
	struct redis_url *url = parser->url;
	struct redis_host *hosts = realloc(url->hosts, (url->host_count + 1) * sizeof(*url->hosts));

	if (!hosts)
		return fail(parser, "out of memory");
	url->hosts = hosts;
	hosts[url->host_count] = (struct redis_host){.port = (uint16_t)port};
	if (decode(parser, name, &hosts[url->host_count].name) < 0)
		return -1;
	url->host_count++;
	return 0;
}

/* host, host:port, [v6], [v6]:port */
static int parse_host(struct parser *parser, struct part text)
{
	struct part name, port = text;
	long number = parser->url->mode == REDIS_SENTINEL ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT;
	bool has_port;

	if (text.size > 0 && text.text[0] == '[') {
		port.text++;
		port.size--;
		if (!cut(&port, ']', &name))
			return fail(parser, "\"[\" of an IPv6 address without \"]\"");
		has_port = port.size > 0;
		if (has_port && port.text[0] != ':')
			return fail(parser, "after \"]\" only :port may follow");
		port.text += has_port;
		port.size -= has_port;
	} else {
		has_port = cut(&port, ':', &name);
	}
	if (name.size == 0)
		return fail(parser, "a host's name is missing: write redis://host:port/0");
	if (has_port)
		number = parse_number(port, 65535);
	if (number <= 0)
		return fail(parser, "a port is not a number from 1 to 65535 (an IPv6 address "
				    "stands in brackets)");
	return add_host(parser, name, number);
}

/* [user@]host[,host...] */
static int parse_authority(struct parser *parser, struct part text)
{
	struct part user, host;
	bool more = memchr(text.text, '@', text.size) != NULL;

	if (more) {
		cut(&text, '@', &user);
		if (memchr(user.text, ':', user.size))
			return fail(parser, "a password does not belong into it: put it into a "
					    "file, see password_file or --password-file");
		if (user.size > 0 && decode(parser, user, &parser->url->user) < 0)
			return -1;
	}
	do {
		more = cut(&text, ',', &host);
		if (parse_host(parser, host) < 0)
			return -1;
	} while (more);
	return 0;
}

/* --- path and parameters ---------------------------------------------------------------------- */

/* What follows the hosts' slash: [database], or master-name[/database]. */
static int parse_path(struct parser *parser, struct part text)
{
	struct part master;

	if (parser->url->mode == REDIS_SENTINEL) {
		cut(&text, '/', &master);
		if (master.size == 0)
			return fail(parser, "the master's name is missing: write "
					    "redis+sentinel://host:port/master-name");
		if (decode(parser, master, &parser->url->master) < 0)
			return -1;
	}
	return text.size > 0 ? parse_database(parser, text) : 0;
}

static bool is_named(struct part name, const char *text)
{
	return strlen(text) == name.size && memcmp(name.text, text, name.size) == 0;
}

static int parse_parameter(struct parser *parser, struct part name, struct part value)
{
	struct redis_url *url = parser->url;
	const struct {
		const char *name;
		char **target;
		bool of_tls;
	} parameters[] = {
		{"prefix", &url->prefix, false},
		{"ca", &url->ca, true},
		{"cert", &url->certificate, true},
		{"key", &url->key, true},
		{"server_name", &url->server_name, true},
		{"sentinel_user", &url->sentinel_user, false},
		{"sentinel_password_file", &url->sentinel_password_file, false},
	};

	if (is_named(name, "db"))
		return parse_database(parser, value);
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		if (!is_named(name, parameters[i].name))
			continue;
		if (parameters[i].of_tls && !url->tls)
			return fail(parser, "ca, cert, key and server_name are for TLS: write "
					    "rediss in place of redis");
		return decode(parser, value, parameters[i].target);
	}
	return fail(parser, "unknown parameter: there are prefix, db, ca, cert, key, server_name, "
			    "sentinel_user and sentinel_password_file");
}

static int parse_parameters(struct parser *parser, struct part text)
{
	struct part parameter, name;
	bool more = text.size > 0;

	while (more) {
		more = cut(&text, '&', &parameter);
		if (!cut(&parameter, '=', &name))
			return fail(parser, "a parameter is not NAME=VALUE");
		if (parse_parameter(parser, name, parameter) < 0)
			return -1;
	}
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int parse_scheme(struct parser *parser, struct part scheme)
{
	static const struct {
		const char *name;
		enum redis_mode mode;
		bool tls, is_unix;
	} schemes[] = {
		{"redis", REDIS_SINGLE, false, false},
		{"rediss", REDIS_SINGLE, true, false},
		{"redis+sentinel", REDIS_SENTINEL, false, false},
		{"rediss+sentinel", REDIS_SENTINEL, true, false},
		{"redis+cluster", REDIS_CLUSTER, false, false},
		{"rediss+cluster", REDIS_CLUSTER, true, false},
		{"redis+unix", REDIS_SINGLE, false, true},
	};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (!is_named(scheme, schemes[i].name))
			continue;
		parser->url->mode = schemes[i].mode;
		parser->url->tls = schemes[i].tls;
		parser->is_unix = schemes[i].is_unix;
		return 0;
	}
	return fail(parser, "unknown scheme");
}

static int parse(struct parser *parser, const char *text)
{
	struct part rest = {text, strlen(text)}, scheme, body, authority;

	cut(&rest, ':', &scheme);
	if (parse_scheme(parser, scheme) < 0)
		return -1;
	if (rest.size < 2 || memcmp(rest.text, "//", 2) != 0)
		return fail(parser, "\"//\" is missing: write redis://host:port/0");
	rest.text += 2;
	rest.size -= 2;
	cut(&rest, '?', &body);
	if (parser->is_unix) {
		if (body.size < 2 || body.text[0] != '/')
			return fail(parser, "write redis+unix:///path/of/socket");
		if (add_host(parser, body, 0) < 0)
			return -1;
	} else {
		cut(&body, '/', &authority);
		if (parse_authority(parser, authority) < 0 || parse_path(parser, body) < 0)
			return -1;
	}
	return parse_parameters(parser, rest);
}

int redis_url_parse(const char *text, struct redis_url *url, char *error, size_t error_size)
{
	struct parser parser = {.url = url, .error = error, .error_size = error_size};
	int status;

	*url = (struct redis_url){.prefix = strdup(DEFAULT_PREFIX)};
	status = url->prefix ? parse(&parser, text) : fail(&parser, "out of memory");
	if (status == 0 && url->prefix[0] == '\0')
		status = fail(&parser, "an empty prefix would take every key for a name");
	if (status == 0 && !url->certificate != !url->key)
		status = fail(&parser, "cert and key belong together");
	if (status < 0)
		redis_url_clear(url);
	return status;
}

void redis_url_clear(struct redis_url *url)
{
	for (size_t i = 0; i < url->host_count; i++)
		free(url->hosts[i].name);
	free(url->hosts);
	free(url->prefix);
	free(url->user);
	free(url->master);
	free(url->ca);
	free(url->certificate);
	free(url->key);
	free(url->server_name);
	free(url->sentinel_user);
	free(url->sentinel_password_file);
	*url = (struct redis_url){0};
}
