/*
 * What a driver of storage.h provides, and what all drivers share. Private to storage/.
 *
 * A driver is one struct of function pointers, found by its URL scheme. Its own state embeds
 * `struct storage` as first member. storage.c checks what is the same for all - interruption,
 * transactions, read-only - so that a driver's functions are called only when they make sense.
 */
#ifndef GODWIT_STORAGE_DRIVER_H
#define GODWIT_STORAGE_DRIVER_H

#include "storage/storage.h"

#include <stdatomic.h>

#define STORAGE_ERROR_MAX 768 /* octets of an error line with its NUL */

/* Called for each name read; anything but 0 stops. */
typedef int storage_name_fn(void *ctx, const struct storage_name *name);

struct storage_driver {
	/* What stands before the URL's first colon; more than one separated by single spaces. */
	const char *scheme;

	/*
	 * Makes the driver's state for `url`, the whole of it; `location` is what follows the first
	 * colon. NULL with a reason in `error`. storage.c fills in the common part afterwards.
	 */
	struct storage *(*create)(const char *url, const char *location,
				  const struct storage_options *options, char *error,
				  size_t error_size);
	void (*destroy)(struct storage *storage);

	/* The functions of storage.h of the same name. */
	int (*open)(struct storage *storage);
	int (*load)(struct storage *storage, const struct storage_sink *sink);
	int (*follow)(struct storage *storage, const struct storage_sink *sink, int wait_ms);
	int (*init)(struct storage *storage);
	int (*begin)(struct storage *storage);
	int (*commit)(struct storage *storage);
	void (*rollback)(struct storage *storage);
	int (*zone_add)(struct storage *storage, const char *apex);
	int (*zone_delete)(struct storage *storage, const char *apex);
	int (*zone_clear)(struct storage *storage, const char *apex);
	int (*zone_find)(struct storage *storage, const char *apex);
	int (*zone_list)(struct storage *storage, int (*each)(void *ctx, const char *apex),
			 void *ctx);
	int (*zone_read)(struct storage *storage, const char *apex, storage_name_fn *each,
			 void *ctx);
	int (*name_read)(struct storage *storage, const char *apex, const char *owner,
			 storage_name_fn *each, void *ctx);
	int (*rrset_put)(struct storage *storage, const char *apex, const char *owner,
			 const char *type, uint32_t ttl, const char *const *contents, size_t count);
	int (*rrset_delete)(struct storage *storage, const char *apex, const char *owner,
			    const char *type);
};

/* The part of a store that all drivers have. */
struct storage {
	const struct storage_driver *driver;
	char *url;
	int poll_ms;
	bool read_only;
	bool in_transaction;
	int wake_fd; /* an eventfd, readable once interrupted */
	atomic_bool interrupted;
	char error[STORAGE_ERROR_MAX];
};

/* A name's parent in text form: what follows its first dot that is not escaped; at last ".". */
const char *storage_name_parent(const char *name);

/* Sets what storage_error returns and passes `status` through. */
int storage_fail(struct storage *storage, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* storage_fail for an interruption. */
int storage_fail_interrupted(struct storage *storage);

static inline bool storage_is_interrupted(const struct storage *storage)
{
	return atomic_load_explicit(&storage->interrupted, memory_order_relaxed);
}

/* Sleeps `wait_ms` milliseconds, less when interrupted. Returns false when it was. */
bool storage_wait(struct storage *storage, int wait_ms);

extern const struct storage_driver storage_driver_sqlite;
extern const struct storage_driver storage_driver_redis;
extern const struct storage_driver storage_driver_mysql;

#endif
