/*
 * The MySQL and MariaDB driver: records in PowerDNS's tables on a server, followed by polling.
 *
 * One connection, used by one thread at a time. A follower asks every poll_ms, 100 by default, for
 * the rows that triggers added to godwit_changes since (mysql_schema.c has the triggers,
 * mysql_follow.c the asking), reads the names they tell of again, each as a whole, and hands them
 * over. Reads happen in one consistent view each, so what is handed over is a state that the
 * server really had. mysql_internal.h says which file does what.
 */
#include "storage/mysql_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_POLL_MS 100

static void destroy(struct storage *storage)
{
	struct mysql_store *store = mysql_store_of(storage);

	mysql_store_close(store);
	mysql_writer_destroy(store->writer);
	mysql_url_clear(&store->url);
	mysql_text_clear(&store->statement);
	mysql_gaps_clear(&store->gaps);
	powerdns_zones_clear(&store->zones);
	free(store->password_file);
	free(store);
}

static struct storage *create(const char *url, const char *location,
			      const struct storage_options *options, char *error, size_t error_size)
{
	struct mysql_store *store = calloc(1, sizeof(*store));

	(void)url;
	if (!store) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	if (!mysql_url_parse(&store->url, location, error, error_size)) {
		destroy(&store->base);
		return NULL;
	}
	if (options->password_file) {
		store->password_file = strdup(options->password_file);
		if (!store->password_file) {
			snprintf(error, error_size, "out of memory");
			destroy(&store->base);
			return NULL;
		}
	}
	if (store->url.poll_ms == 0)
		store->url.poll_ms = options->poll_ms > 0 ? options->poll_ms : DEFAULT_POLL_MS;
	return &store->base;
}

const struct storage_driver storage_driver_mysql = {
	.scheme = "mysql",
	.create = create,
	.destroy = destroy,
	.open = mysql_store_open,
	.load = mysql_store_load,
	.follow = mysql_store_follow,
	.init = mysql_store_init,
	.begin = mysql_store_begin,
	.commit = mysql_store_commit,
	.rollback = mysql_store_rollback,
	.zone_add = mysql_store_zone_add,
	.zone_delete = mysql_store_zone_delete,
	.zone_clear = mysql_store_zone_clear,
	.zone_find = mysql_store_zone_find,
	.zone_list = mysql_store_zone_list,
	.zone_read = mysql_store_zone_read,
	.name_read = mysql_store_name_read,
	.rrset_put = mysql_store_rrset_put,
	.rrset_delete = mysql_store_rrset_delete,
};
