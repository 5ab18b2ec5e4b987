/*
 * A store in a directory of its own, for the tests of the SQLite driver: a follower that only
 * reads, a writer as godwitctl has one, and a plain connection as any other program has one.
 */
#ifndef GODWIT_TEST_UNIT_SQLITE_FIXTURE_H
#define GODWIT_TEST_UNIT_SQLITE_FIXTURE_H

#include "storage/storage.h"

#include <sqlite3.h>

struct fixture {
	char directory[64];
	char path[128];
	char url[160];
	struct storage *writer;
	struct storage *follower;
	sqlite3 *other;
	struct storage_sink sink; /* writes what it is told into `events` */
	char *events;
	size_t events_size;
	size_t events_capacity;
};

/* Makes the directory; no store yet. */
void fixture_start(struct fixture *f);
/* Makes the directory and an initialised store, with everybody connected. */
void fixture_start_store(struct fixture *f);
void fixture_stop(struct fixture *f);

/* Runs SQL on the plain connection, which must succeed. */
void fixture_sql(struct fixture *f, const char *sql);
/* The first column of the first row, for sqlite3_free; NULL without one. */
char *fixture_sql_text(struct fixture *f, const char *sql);
long long fixture_sql_integer(struct fixture *f, const char *sql);

/* Loads; returns the status. `events` then has one line for each call:
 * "full" or "changes", "zone APEX", "gone APEX", "OWNER in APEX: TYPE TTL CONTENT, ..." or
 * "OWNER in APEX: none", "commit" or "abort". */
int fixture_load(struct fixture *f);
/* Follows until something was handed over, the status is not STORAGE_OK, or two seconds passed. */
int fixture_follow(struct fixture *f);
/* Follows for one look only. */
int fixture_look(struct fixture *f);

/* Compares with `expected`, shows both when they differ. */
void fixture_expect(const char *file, int line, const char *actual, const char *expected);
#define EXPECT_TEXT(actual, expected) fixture_expect(__FILE__, __LINE__, actual, expected)

/* The status, and the error line if it is another. */
void fixture_expect_status(const char *file, int line, const struct storage *storage, int actual,
			   int expected);
#define EXPECT_STATUS(storage, call, expected)                                                     \
	fixture_expect_status(__FILE__, __LINE__, storage, call, expected)

#endif
