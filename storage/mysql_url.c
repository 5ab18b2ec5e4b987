#include "storage/mysql_url.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS_MAX 60000

/* Where a reason goes. */
struct complaint {
	char *text;
	size_t size;
};

static bool complain(const struct complaint *complaint, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Always false, for the caller to return. */
static bool complain(const struct complaint *complaint, const char *format, ...)
{
	int used = snprintf(complaint->text, complaint->size, "the store's URL ");
	va_list arguments;

	va_start(arguments, format);
	if (used >= 0 && (size_t)used < complaint->size)
		vsnprintf(complaint->text + used, complaint->size - (size_t)used, format,
			  arguments);
	va_end(arguments);
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into a string of its own, `*out`, which was NULL. An encoded NUL is refused. */
static bool decode(const char *text, size_t size, char **out, const struct complaint *complaint)
{
	char *to = *out = malloc(size + 1);

	if (!to)
		return complain(complaint, "does not fit into memory");
	for (size_t i = 0; i < size; i++) {
		if (text[i] != '%') {
			*to++ = text[i];
			continue;
		}
		int high = i + 2 < size ? hex_digit(text[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
		if (low < 0 || 16 * high + low == 0)
			return complain(complaint, "has a %% that two hexadecimal digits of an "
						   "octet other than 0 do not follow");
		*to++ = (char)(16 * high + low);
		i += 2;
	}
	*to = '\0';
	return true;
}

/* A decimal number of one to five digits up to `max`, or -1. */
static int parse_number(const char *text, size_t size, int max)
{
	int value = 0;

	if (size == 0 || size > 5)
		return -1;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = 10 * value + text[i] - '0';
	}
	return value <= max ? value : -1;
}

/* --- user and hosts --------------------------------------------------------------------------- */

static bool parse_user(struct mysql_url *url, const char *text, size_t size,
		       const struct complaint *complaint)
{
	if (memchr(text, ':', size))
		return complain(complaint, "holds a password: put it into a file and name that "
					   "(password_file, or godwitctl --password-file)");
	if (size == 0)
		return complain(complaint, "names no user: write mysql://USER@HOST/DATABASE");
	return decode(text, size, &url->user, complaint);
}

static bool parse_host(struct mysql_url *url, const char *text, size_t size,
		       const struct complaint *complaint)
{
	struct mysql_host *host = &url->hosts[url->host_count];
	const char *end = text + size, *name_end;
	int port = MYSQL_URL_PORT;

	if (size > 0 && text[0] == '[') {
		text++;
		name_end = memchr(text, ']', (size_t)(end - text));
		if (!name_end)
			return complain(complaint, "has a [ without its ]");
		size = (size_t)(name_end++ - text);
	} else {
		name_end = memchr(text, ':', size);
		name_end = name_end ? name_end : end;
		size = (size_t)(name_end - text);
	}
	if (size == 0)
		return complain(complaint, "names a host without a name");
	if (name_end < end)
		port = *name_end == ':'
			       ? parse_number(name_end + 1, (size_t)(end - name_end - 1), 65535)
			       : -1;
	if (port <= 0)
		return complain(complaint, "has a port that is no number from 1 to 65535");
	host->name = strndup(text, size);
	if (!host->name)
		return complain(complaint, "does not fit into memory");
	host->port = (unsigned int)port;
	url->host_count++;
	return true;
}

static bool parse_hosts(struct mysql_url *url, const char *text, size_t size,
			const struct complaint *complaint)
{
	size_t count = 1;

	for (size_t i = 0; i < size; i++)
		count += text[i] == ',';
	url->hosts = calloc(count, sizeof(*url->hosts));
	if (!url->hosts)
		return complain(complaint, "does not fit into memory");
	for (size_t start = 0; size > 0 && start <= size;) {
		const char *comma = memchr(text + start, ',', size - start);
		size_t length = comma ? (size_t)(comma - text) - start : size - start;
		if (!parse_host(url, text + start, length, complaint))
			return false;
		start += length + 1;
	}
	return true;
}

/* --- parameters ------------------------------------------------------------------------------- */

static bool set_tls(struct mysql_url *url, const char *value, const struct complaint *complaint)
{
	static const char *const modes[] = {
		[MYSQL_TLS_OFF] = "off",
		[MYSQL_TLS_REQUIRED] = "required",
		[MYSQL_TLS_VERIFY] = "verify",
	};

	for (enum mysql_tls mode = MYSQL_TLS_OFF; mode <= MYSQL_TLS_VERIFY; mode++) {
		if (strcmp(value, modes[mode]) == 0) {
			url->tls = mode;
			return true;
		}
	}
	return complain(complaint, "has tls=%s: use off, required or verify", value);
}

static bool set_parameter(struct mysql_url *url, const char *name, const char *value,
			  const struct complaint *complaint)
{
	struct {
		const char *name;
		char **place;
	} const texts[] = {{"socket", &url->socket},
			   {"ca", &url->ca},
			   {"cert", &url->certificate},
			   {"key", &url->key}};

	if (strcmp(name, "tls") == 0)
		return set_tls(url, value, complaint);
	if (strcmp(name, "poll_ms") == 0) {
		url->poll_ms = parse_number(value, strlen(value), POLL_MS_MAX);
		return url->poll_ms > 0 ||
		       complain(complaint, "has poll_ms=%s: use 1 to %d", value, POLL_MS_MAX);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(name, texts[i].name) != 0)
			continue;
		if (*value == '\0')
			return complain(complaint, "has an empty %s=", name);
		free(*texts[i].place);
		*texts[i].place = strdup(value);
		return *texts[i].place || complain(complaint, "does not fit into memory");
	}
	return complain(complaint,
			"has an unknown parameter %s: there are socket, tls, ca, cert, key and "
			"poll_ms",
			name);
}

static bool parse_parameters(struct mysql_url *url, const char *text,
			     const struct complaint *complaint)
{
	while (*text != '\0') {
		size_t size = strcspn(text, "&");
		char *parameter = NULL, *value = NULL;
		bool good = decode(text, size, &parameter, complaint);
		if (good)
			value = strchr(parameter, '=');
		if (value) {
			*value++ = '\0';
			good = set_parameter(url, parameter, value, complaint);
		} else if (good) {
			good = complain(complaint, "has a parameter %s without =", parameter);
		}
		free(parameter);
		if (!good)
			return false;
		text += size + (text[size] == '&');
	}
	return true;
}

/* What must go together. */
static bool check(struct mysql_url *url, const struct complaint *complaint)
{
	bool files = url->ca || url->certificate || url->key;

	if (url->host_count == 0 && !url->socket)
		return complain(complaint, "names no host: write mysql://USER@HOST/DATABASE");
	if (*url->database == '\0')
		return complain(complaint, "names no database: write mysql://USER@HOST/DATABASE");
	if (!url->certificate != !url->key)
		return complain(complaint, "has only one of cert= and key=");
	if (url->tls == MYSQL_TLS_DEFAULT)
		url->tls = files ? MYSQL_TLS_VERIFY : MYSQL_TLS_OFF;
	if (url->tls == MYSQL_TLS_OFF && files)
		return complain(complaint, "has tls=off with ca=, cert= or key=");
	return true;
}

static bool parse(struct mysql_url *url, const char *location, const struct complaint *complaint)
{
	if (strncmp(location, "//", 2) != 0)
		return complain(complaint, "is not mysql://USER@HOST/DATABASE");
	const char *authority = location + 2;
	size_t authority_size = strcspn(authority, "/?");
	const char *path = authority + authority_size;
	if (*path == '/')
		path++;
	size_t path_size = strcspn(path, "?");
	const char *parameters = path + path_size + (path[path_size] == '?');
	/* The last @, should the user's name have one that is not encoded. */
	const char *at = memrchr(authority, '@', authority_size);
	size_t user_size = at ? (size_t)(at - authority) : 0;
	size_t skip = at ? user_size + 1 : 0;

	return parse_user(url, authority, user_size, complaint) &&
	       parse_hosts(url, authority + skip, authority_size - skip, complaint) &&
	       decode(path, path_size, &url->database, complaint) &&
	       parse_parameters(url, parameters, complaint) && check(url, complaint);
}

bool mysql_url_parse(struct mysql_url *url, const char *location, char *error, size_t error_size)
{
	const struct complaint complaint = {error, error_size};

	*url = (struct mysql_url){0};
	if (parse(url, location, &complaint))
		return true;
	mysql_url_clear(url);
	return false;
}

void mysql_url_clear(struct mysql_url *url)
{
	for (size_t i = 0; i < url->host_count; i++)
		free(url->hosts[i].name);
	free(url->hosts);
	free(url->user);
	free(url->database);
	free(url->socket);
	free(url->ca);
	free(url->certificate);
	free(url->key);
	*url = (struct mysql_url){0};
}
