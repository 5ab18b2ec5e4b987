#include "backend/listen.h"

#include "common/address.h"
#include "common/log.h"

#include <errno.h>
#include <grpc/grpc_security.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What others than owner and group lose of a socket file's mode: 0777 & ~0117 is 0660. */
#define SOCKET_UMASK 0117

static int fail(char *error, size_t error_size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char *error, size_t error_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, error_size, format, args);
	va_end(args);
	return -1;
}

/* True when a process accepts connections on that socket file. */
static bool socket_is_alive(const struct address *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return false;
	/* EAGAIN: there is a listener, its backlog is full */
	alive = connect(fd, (const struct sockaddr *)&address->addr, address->addr_size) == 0 ||
		errno == EAGAIN;
	close(fd);
	return alive;
}

/* Checks what gRPC does not: the directory is there and the path is free or a dead socket. */
static int check_unix_path(const struct address *address, char *error, size_t error_size)
{
	const char *path = address->host;
	const char *slash = strrchr(path, '/');
	char directory[sizeof(address->host)] = ".";
	struct stat status;

	if (slash != NULL)
		snprintf(directory, sizeof(directory), "%.*s",
			 slash == path ? 1 : (int)(slash - path), path);
	if (stat(directory, &status) < 0)
		return fail(error, error_size, "cannot listen on unix:%s: directory %s: %s", path,
			    directory, strerror(errno));
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0
				       : fail(error, error_size, "cannot listen on unix:%s: %s",
					      path, strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return fail(error, error_size,
			    "cannot listen on unix:%s: a file that is no socket is there", path);
	if (socket_is_alive(address))
		return fail(error, error_size,
			    "cannot listen on unix:%s: another process listens there", path);
	return 0;
}

/* Binds a server to an address, by TLS or (NULL) without; false when gRPC could not. */
static bool bind_address(grpc_server *server, const char *address, struct credentials *credentials)
{
	grpc_server_credentials *opened = credentials != NULL
						  ? credentials_open(credentials)
						  : grpc_insecure_server_credentials_create();
	int port = opened != NULL ? grpc_server_add_http2_port(server, address, opened) : 0;

	grpc_server_credentials_release(opened);
	return port != 0;
}

static int listen_unix(grpc_server *server, const char *text, const struct address *address,
		       char *error, size_t error_size)
{
	mode_t before;
	bool bound;

	if (check_unix_path(address, error, error_size) < 0)
		return -1;
	before = umask(SOCKET_UMASK);
	bound = bind_address(server, text, NULL);
	umask(before);
	if (!bound)
		return fail(error, error_size,
			    "cannot listen on %s: a socket cannot be made in that directory", text);
	return 0;
}

/* Why gRPC could not bind: it does not say, so the same is tried without it. */
static const char *bind_reason(const struct address *address)
{
	int fd, failed;

	if (address->kind == ADDRESS_HOST)
		return "the name has no address of ours, or the port is taken";
	fd = socket(address->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return strerror(errno);
	failed = bind(fd, (const struct sockaddr *)&address->addr, address->addr_size);
	if (failed == 0)
		failed = listen(fd, 1); /* Linux may report a taken port only here */
	failed = failed != 0 ? errno : 0;
	close(fd);
	return failed != 0 ? strerror(failed) : "gRPC refused it";
}

static int listen_port(grpc_server *server, const char *text, const struct address *address,
		       struct credentials *credentials, char *error, size_t error_size)
{
	if (!bind_address(server, text, credentials))
		return fail(error, error_size, "cannot listen on %s: %s", text,
			    bind_reason(address));
	if (credentials == NULL && !address_is_loopback(address))
		log_warning("listening without TLS beyond this machine", "address=%s advice=%s",
			    text, "anyone who reaches it can ask, and read along; configure tls");
	return 0;
}

int listen_add(grpc_server *server, const char *address, struct credentials *credentials,
	       char *error, size_t error_size)
{
	struct address parsed;
	char reason[200];
	int failed;

	if (address_parse(address, &parsed, reason, sizeof(reason)) < 0)
		return fail(error, error_size, "cannot listen on %s: %s", address, reason);
	if (parsed.kind == ADDRESS_UNIX)
		failed = listen_unix(server, address, &parsed, error, error_size);
	else
		failed = listen_port(server, address, &parsed, credentials, error, error_size);
	if (failed == 0)
		log_info("listening", "address=%s tls=%d", address,
			 credentials != NULL && parsed.kind != ADDRESS_UNIX);
	return failed;
}
