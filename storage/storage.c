/*
 * The one interface of all record stores: finds the driver by the URL's scheme, keeps what every
 * driver needs (the error line, the eventfd that wakes a waiting call), and refuses calls that
 * cannot make sense, so that drivers need not check.
 */
#include "storage/storage.h"

#include "dns/name.h"
#include "storage/driver.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEFAULT_POLL_MS 50

static const struct storage_driver *const drivers[] = {
	&storage_driver_sqlite, &storage_driver_redis, &storage_driver_mysql};

int storage_fail(struct storage *storage, int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(storage->error, sizeof(storage->error), format, arguments);
	va_end(arguments);
	return status;
}

int storage_fail_interrupted(struct storage *storage)
{
	return storage_fail(storage, STORAGE_INTERRUPTED, "interrupted");
}

bool storage_wait(struct storage *storage, int wait_ms)
{
	struct pollfd wake = {.fd = storage->wake_fd, .events = POLLIN};

	/* A signal ends the sleep early; the caller looks at its clock anyway. */
	poll(&wake, 1, wait_ms);
	return !storage_is_interrupted(storage);
}

/* True when the `length` octets of `scheme` are one of the words of `schemes`. */
static bool is_among(const char *schemes, const char *scheme, size_t length)
{
	while (*schemes != '\0') {
		size_t size = strcspn(schemes, " ");
		if (size == length && strncmp(schemes, scheme, length) == 0)
			return true;
		schemes += size;
		schemes += strspn(schemes, " ");
	}
	return false;
}

/* The driver for a URL, or NULL with a reason. Never repeats the URL: it may hold a password. */
static const struct storage_driver *find_driver(const char *url, char *error, size_t error_size)
{
	size_t length = strcspn(url, ":");

	for (size_t i = 0; url[length] == ':' && i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (is_among(drivers[i]->scheme, url, length))
			return drivers[i];
	}
	snprintf(error, error_size,
		 "the store's URL does not begin with a known scheme: use sqlite:FILE, "
		 "redis://HOST:PORT/DB or mysql://USER@HOST:PORT/DATABASE");
	return NULL;
}

struct storage *storage_create(const char *url, const struct storage_options *options, char *error,
			       size_t error_size)
{
	static const struct storage_options defaults;
	const struct storage_driver *driver = find_driver(url, error, error_size);

	if (!driver)
		return NULL;
	if (!options)
		options = &defaults;
	struct storage *storage =
		driver->create(url, strchr(url, ':') + 1, options, error, error_size);
	if (!storage)
		return NULL;
	storage->driver = driver;
	storage->poll_ms = options->poll_ms > 0 ? options->poll_ms : DEFAULT_POLL_MS;
	storage->read_only = options->read_only;
	atomic_init(&storage->interrupted, false);
	snprintf(storage->error, sizeof(storage->error), "no error");
	storage->url = strdup(url);
	storage->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!storage->url || storage->wake_fd < 0) {
		snprintf(error, error_size, "cannot prepare the store: %s", strerror(errno));
		storage_destroy(storage);
		return NULL;
	}
	return storage;
}

void storage_destroy(struct storage *storage)
{
	if (!storage)
		return;
	if (storage->wake_fd >= 0)
		close(storage->wake_fd);
	free(storage->url);
	storage->driver->destroy(storage);
}

const char *storage_error(const struct storage *storage)
{
	return storage->error;
}

void storage_interrupt(struct storage *storage)
{
	uint64_t one = 1;

	atomic_store(&storage->interrupted, true);
	/* The counter is full only after 2^64 - 1 interruptions: readable then, too. */
	if (write(storage->wake_fd, &one, sizeof(one)) < 0)
		return;
}

int storage_open(struct storage *storage)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	storage->in_transaction = false;
	return storage->driver->open(storage);
}

int storage_load(struct storage *storage, const struct storage_sink *sink)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	return storage->driver->load(storage, sink);
}

int storage_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	return storage->driver->follow(storage, sink, wait_ms);
}

/* What must hold before anything is written. */
static int check_writable(struct storage *storage)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	if (storage->read_only)
		return storage_fail(storage, STORAGE_REFUSED, "%s was opened for reading only",
				    storage->url);
	return STORAGE_OK;
}

/* What must hold before a function that says "inside a transaction". */
static int check_in_transaction(struct storage *storage)
{
	int status = check_writable(storage);

	if (status == STORAGE_OK && !storage->in_transaction)
		status = storage_fail(storage, STORAGE_REFUSED, "%s: no transaction was begun",
				      storage->url);
	return status;
}

int storage_init(struct storage *storage)
{
	int status = check_writable(storage);

	if (status == STORAGE_OK && storage->in_transaction)
		status = storage_fail(storage, STORAGE_REFUSED, "%s: init inside a transaction",
				      storage->url);
	return status == STORAGE_OK ? storage->driver->init(storage) : status;
}

int storage_begin(struct storage *storage)
{
	int status = check_writable(storage);

	if (status == STORAGE_OK && storage->in_transaction)
		status = storage_fail(storage, STORAGE_REFUSED, "%s: a transaction is open already",
				      storage->url);
	if (status == STORAGE_OK)
		status = storage->driver->begin(storage);
	storage->in_transaction = storage->in_transaction || status == STORAGE_OK;
	return status;
}

int storage_commit(struct storage *storage)
{
	int status = check_in_transaction(storage);

	if (status == STORAGE_OK)
		status = storage->driver->commit(storage);
	/* A commit that failed leaves the transaction open: the caller rolls it back. */
	if (status == STORAGE_OK)
		storage->in_transaction = false;
	return status;
}

void storage_rollback(struct storage *storage)
{
	if (storage->in_transaction)
		storage->driver->rollback(storage);
	storage->in_transaction = false;
}

int storage_zone_add(struct storage *storage, const char *apex)
{
	int status = check_in_transaction(storage);

	return status == STORAGE_OK ? storage->driver->zone_add(storage, apex) : status;
}

int storage_zone_delete(struct storage *storage, const char *apex)
{
	int status = check_in_transaction(storage);

	return status == STORAGE_OK ? storage->driver->zone_delete(storage, apex) : status;
}

int storage_zone_clear(struct storage *storage, const char *apex)
{
	int status = check_in_transaction(storage);

	return status == STORAGE_OK ? storage->driver->zone_clear(storage, apex) : status;
}

int storage_zone_find(struct storage *storage, const char *apex)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	return storage->driver->zone_find(storage, apex);
}

const char *storage_name_parent(const char *name)
{
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '.' && p[1] != '\0')
			return p + 1;
	}
	return ".";
}

int storage_zone_find_enclosing(struct storage *storage, const char *name, bool above, char *apex)
{
	const char *suffix = name;

	if (above && strcmp(name, ".") == 0)
		return storage_fail(storage, STORAGE_NOT_FOUND, "nothing is above the root");
	if (above)
		suffix = storage_name_parent(name);
	for (;;) {
		int status = storage_zone_find(storage, suffix);
		if (status == STORAGE_OK)
			snprintf(apex, DNS_NAME_TEXT_MAX, "%s", suffix);
		if (status != STORAGE_NOT_FOUND)
			return status;
		if (strcmp(suffix, ".") == 0)
			return storage_fail(storage, STORAGE_NOT_FOUND, "%s has no zone for %s",
					    storage->url, name);
		suffix = storage_name_parent(suffix);
	}
}

int storage_zone_list(struct storage *storage, int (*each)(void *ctx, const char *apex), void *ctx)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	return storage->driver->zone_list(storage, each, ctx);
}

int storage_zone_read(struct storage *storage, const char *apex,
		      int (*each)(void *ctx, const struct storage_name *name), void *ctx)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	return storage->driver->zone_read(storage, apex, each, ctx);
}

int storage_name_read(struct storage *storage, const char *apex, const char *owner,
		      int (*each)(void *ctx, const struct storage_name *name), void *ctx)
{
	if (storage_is_interrupted(storage))
		return storage_fail_interrupted(storage);
	return storage->driver->name_read(storage, apex, owner, each, ctx);
}

int storage_rrset_put(struct storage *storage, const char *apex, const char *owner,
		      const char *type, uint32_t ttl, const char *const *contents, size_t count)
{
	int status = check_in_transaction(storage);

	if (status != STORAGE_OK)
		return status;
	return storage->driver->rrset_put(storage, apex, owner, type, ttl, contents, count);
}

int storage_rrset_delete(struct storage *storage, const char *apex, const char *owner,
			 const char *type)
{
	int status = check_in_transaction(storage);

	if (status != STORAGE_OK)
		return status;
	return storage->driver->rrset_delete(storage, apex, owner, type);
}
