/* Opening SQLite stores: files that are missing, locked, damaged, replaced, or may only be read. */
#include "sqlite_fixture.h"
#include "suite.h"

#include "common/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char one_zone[] =
	"INSERT INTO domains (id, name, type) VALUES (1, 'example', 'NATIVE');"
	"INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
	"(1, 'www.example', 'A', '192.0.2.1', 60)";
static const char one_zone_loaded[] =
	"full\nzone example\nwww.example in example: A 60 192.0.2.1\ncommit\n";

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *file = fopen(path, "wb");

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(data, 1, size, file), size);
	CU_ASSERT_EQUAL(fclose(file), 0);
}

static void expect_error(const struct storage *storage, const char *part)
{
	if (!strstr(storage_error(storage), part))
		fprintf(stderr, "\nno \"%s\" in: %s\n", part, storage_error(storage));
	CU_ASSERT_PTR_NOT_NULL(strstr(storage_error(storage), part));
}

static void expect_url(const char *url, const char *error_part)
{
	char error[256] = "";
	struct storage *storage = storage_create(url, NULL, error, sizeof(error));

	CU_ASSERT_EQUAL(storage == NULL, error_part != NULL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, error_part ? error_part : ""));
	storage_destroy(storage);
}

static void test_urls(void)
{
	expect_url("sqlite:store.db", NULL);
	expect_url("sqlite:/var/lib/store.db", NULL);
	expect_url("sqlite:///var/lib/store.db", NULL);
	expect_url("sqlite://host/store.db", "names a host");
	expect_url("sqlite:", "names no file");
	expect_url("sqlite::memory:", "names no file");
	expect_url("redis://localhost/0", NULL);
	expect_url("mysql://pdns@localhost/pdns", NULL);
	expect_url("store.db", "use sqlite:FILE");
	expect_url("", "use sqlite:FILE");
	storage_destroy(NULL);
}

static void test_missing(void)
{
	struct fixture f;

	fixture_start(&f);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_UNAVAILABLE);
	expect_error(f.follower, f.path);
	expect_error(f.follower, "does not exist");
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_UNAVAILABLE);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_UNAVAILABLE);
	/* For a writer it is the same, except for init. */
	EXPECT_STATUS(f.writer, storage_open(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_begin(f.writer), STORAGE_UNAVAILABLE);
	expect_error(f.writer, "does not exist");
	EXPECT_STATUS(f.writer, storage_zone_find(f.writer, "example"), STORAGE_UNAVAILABLE);
	CU_ASSERT_FALSE(exists(f.path));
	EXPECT_STATUS(f.writer, storage_init(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "full\ncommit\n");
	fixture_stop(&f);
}

static void test_not_a_store(void)
{
	static const char text[8192] = "This is a letter, not a database.";
	struct fixture f;

	fixture_start(&f);
	CU_ASSERT_EQUAL(mkdir(f.path, 0755), 0);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_UNAVAILABLE);
	expect_error(f.follower, "Is a directory");
	CU_ASSERT_EQUAL(rmdir(f.path), 0);
	/* Opening a pipe would wait for its other end. */
	CU_ASSERT_EQUAL(mkfifo(f.path, 0600), 0);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_UNAVAILABLE);
	CU_ASSERT_EQUAL(unlink(f.path), 0);
	write_file(f.path, text, sizeof(text));
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_DAMAGED);
	expect_error(f.follower, f.path);
	EXPECT_STATUS(f.writer, storage_open(f.writer), STORAGE_DAMAGED);
	write_file(f.path, "", 0);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_NOT_READY);
	expect_error(f.follower, f.path);
	expect_error(f.follower, "init`");
	EXPECT_TEXT(f.events, "");
	fixture_stop(&f);
}

/* Overwrites all but the first pages with noise. */
static void test_damaged(void)
{
	struct fixture f;
	char noise[4096];

	fixture_start_store(&f);
	fixture_sql(&f, one_zone);
	fixture_sql(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
			"WHERE i < 5000) INSERT INTO records (domain_id, name, type, content) "
			"SELECT 1, 'n' || i || '.example', 'A', '192.0.2.1' FROM n;"
			"PRAGMA wal_checkpoint(TRUNCATE)");
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	memset(noise, 0xa5, sizeof(noise));
	int fd = open(f.path, O_WRONLY);
	long long pages = fixture_sql_integer(&f, "PRAGMA page_count");
	for (long long page = pages / 4; page < pages; page++)
		CU_ASSERT_EQUAL(pwrite(fd, noise, sizeof(noise), page * 4096), 4096);
	close(fd);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_DAMAGED);
	expect_error(f.follower, f.path);
	/* Whatever was handed over does not count. */
	if (f.events_size > 0)
		CU_ASSERT_PTR_NOT_NULL(strstr(f.events, "abort\n"));
	CU_ASSERT_PTR_NULL(strstr(f.events, "commit"));
	fixture_stop(&f);
}

static void test_locked(void)
{
	struct fixture f;

	/* With a rollback journal, as many a database has: readers and writers take turns. */
	fixture_start(&f);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(f.path, &f.other), SQLITE_OK);
	fixture_sql(&f, "CREATE TABLE some_table (x)");
	EXPECT_STATUS(f.writer, storage_init(f.writer), STORAGE_OK);
	fixture_sql(&f, one_zone);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	fixture_sql(&f, "BEGIN EXCLUSIVE; DELETE FROM records");
	int64_t began = clock_now_ms();
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_UNAVAILABLE);
	expect_error(f.follower, "lock");
	expect_error(f.follower, f.path);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_UNAVAILABLE);
	expect_error(f.follower, "lock");
	CU_ASSERT(clock_now_ms() - began < 4000);
	fixture_sql(&f, "ROLLBACK");
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, one_zone_loaded);
	/* Init leaves the journal mode of a database that it finds. */
	EXPECT_STATUS(f.writer, storage_open(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_init(f.writer), STORAGE_OK);
	char *mode = fixture_sql_text(&f, "PRAGMA journal_mode");
	EXPECT_TEXT(mode, "delete");
	sqlite3_free(mode);
	fixture_stop(&f);
}

/* Makes another store at `path`, with one record. */
static void make_other_store(const char *path)
{
	char url[256], error[256];
	const char *content = "192.0.2.77";

	snprintf(url, sizeof(url), "sqlite:%s", path);
	struct storage *storage = storage_create(url, NULL, error, sizeof(error));
	CU_ASSERT_PTR_NOT_NULL_FATAL(storage);
	EXPECT_STATUS(storage, storage_init(storage), STORAGE_OK);
	EXPECT_STATUS(storage, storage_begin(storage), STORAGE_OK);
	EXPECT_STATUS(storage, storage_zone_add(storage, "other"), STORAGE_OK);
	EXPECT_STATUS(storage, storage_rrset_put(storage, "other", "other", "A", 5, &content, 1),
		      STORAGE_OK);
	EXPECT_STATUS(storage, storage_commit(storage), STORAGE_OK);
	storage_destroy(storage);
}

static void test_replaced(void)
{
	static const char other_loaded[] =
		"full\nzone other\nother in other: A 5 192.0.2.77\ncommit\n";
	struct fixture f;
	char path[160];

	fixture_start_store(&f);
	fixture_sql(&f, one_zone);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	/* Renamed over it, while its write-ahead log, full of the old store, stays behind. */
	snprintf(path, sizeof(path), "%s/other.db", f.directory);
	make_other_store(path);
	CU_ASSERT_EQUAL(rename(path, f.path), 0);
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_REPLACED);
	expect_error(f.follower, "replaced");
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, other_loaded);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	/* Deleted, log and all, and made anew. */
	sqlite3_close(f.other);
	f.other = NULL;
	storage_destroy(f.writer);
	f.writer = NULL;
	unlink(f.path);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_UNAVAILABLE);
	expect_error(f.follower, "is gone");
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_UNAVAILABLE);
	CU_ASSERT_FALSE(exists(f.path));
	snprintf(path, sizeof(path), "%s-wal", f.path);
	unlink(path);
	snprintf(path, sizeof(path), "%s-shm", f.path);
	unlink(path);
	make_other_store(f.path);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, other_loaded);
	fixture_stop(&f);
}

/* --- without the right to write --------------------------------------------------------------- */

/* Runs as the user "nobody" in a process of its own; its status is the number of failed checks. */
static int read_as_nobody(struct fixture *f, int to_parent, int from_parent)
{
	char go;
	int failed = setresuid(65534, 65534, 65534) != 0;

	failed += storage_open(f->follower) != STORAGE_OK;
	failed += fixture_load(f) != STORAGE_OK || strcmp(f->events, one_zone_loaded) != 0;
	failed += fixture_look(f) != STORAGE_OK || f->events_size != 0;
	failed += write(to_parent, "1", 1) != 1 || read(from_parent, &go, 1) != 1;
	/* A writer has come and changed something. */
	int status = fixture_follow(f);
	if (status == STORAGE_RELOAD)
		status = fixture_load(f);
	failed += status != STORAGE_OK || strstr(f->events, "A 61 192.0.2.1") == NULL;
	/* It is still there: now changes are followed one by one. */
	failed += write(to_parent, "2", 1) != 1 || read(from_parent, &go, 1) != 1;
	failed += fixture_follow(f) != STORAGE_OK;
	failed +=
		strcmp(f->events, "changes\nwww.example in example: A 62 192.0.2.1\ncommit\n") != 0;
	if (failed)
		fprintf(stderr, "\n%s\n%s\n", storage_error(f->follower), f->events);
	return failed;
}

static void test_readable_only(void)
{
	struct fixture f;
	int up[2], down[2], status;
	char byte;

	if (geteuid() != 0)
		return; /* only root can become somebody who may not write */
	fixture_start_store(&f);
	fixture_sql(&f, one_zone);
	CU_ASSERT_EQUAL(chmod(f.directory, 0755), 0);
	CU_ASSERT_EQUAL(chmod(f.path, 0644), 0);
	/* Nobody has it open: there is no -wal, and no way to make one. */
	storage_destroy(f.writer);
	storage_destroy(f.follower);
	sqlite3_close(f.other);
	CU_ASSERT_EQUAL(sqlite3_open(f.path, &f.other), SQLITE_OK);
	fixture_sql(&f, "PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_close(f.other);
	f.writer = NULL;
	struct storage_options options = {.read_only = true, .poll_ms = 5};
	char error[256];
	f.follower = storage_create(f.url, &options, error, sizeof(error));
	CU_ASSERT_EQUAL_FATAL(pipe(up), 0);
	CU_ASSERT_EQUAL_FATAL(pipe(down), 0);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		_exit(read_as_nobody(&f, up[1], down[0]));
	CU_ASSERT_EQUAL(read(up[0], &byte, 1), 1);
	CU_ASSERT_EQUAL(sqlite3_open(f.path, &f.other), SQLITE_OK);
	fixture_sql(&f, "UPDATE records SET ttl = 61");
	CU_ASSERT_EQUAL(write(down[1], "1", 1), 1);
	CU_ASSERT_EQUAL(read(up[0], &byte, 1), 1);
	fixture_sql(&f, "UPDATE records SET ttl = 62");
	CU_ASSERT_EQUAL(write(down[1], "2", 1), 1);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
	fixture_stop(&f);
}

/* --- init ------------------------------------------------------------------------------------- */

static void test_init_twice(void)
{
	struct fixture f;

	fixture_start_store(&f);
	fixture_sql(&f, one_zone);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	char *before = fixture_sql_text(&f, "SELECT group_concat(sql) FROM sqlite_master");
	EXPECT_STATUS(f.writer, storage_init(f.writer), STORAGE_OK);
	char *after = fixture_sql_text(&f, "SELECT group_concat(sql) FROM sqlite_master");
	EXPECT_TEXT(after, before);
	sqlite3_free(before);
	sqlite3_free(after);
	/* A follower does not even notice. */
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "");
	EXPECT_STATUS(f.follower, storage_init(f.follower), STORAGE_REFUSED);
	fixture_stop(&f);
}

/* A database as PowerDNS 4.1 made it, which had other columns and indexes, with data. */
static void test_init_powerdns(void)
{
	struct fixture f;

	fixture_start(&f);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(f.path, &f.other), SQLITE_OK);
	fixture_sql(&f,
		    "CREATE TABLE domains (id INTEGER PRIMARY KEY, name VARCHAR(255) NOT NULL "
		    "COLLATE NOCASE, master VARCHAR(128), last_check INTEGER, type VARCHAR(6) NOT "
		    "NULL, notified_serial INTEGER, account VARCHAR(40));"
		    "CREATE UNIQUE INDEX name_index ON domains(name);"
		    "CREATE TABLE records (id INTEGER PRIMARY KEY, domain_id INTEGER, name "
		    "VARCHAR(255), type VARCHAR(10), content VARCHAR(65535), ttl INTEGER, prio "
		    "INTEGER, change_date INTEGER, disabled BOOLEAN DEFAULT 0, ordername "
		    "VARCHAR(255), auth BOOL DEFAULT 1, FOREIGN KEY(domain_id) REFERENCES "
		    "domains(id) ON DELETE CASCADE ON UPDATE CASCADE);"
		    "CREATE INDEX rec_name_index ON records(name);"
		    "CREATE INDEX nametype_index ON records(name,type);"
		    "CREATE INDEX domain_id ON records(domain_id);");
	fixture_sql(&f, one_zone);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_NOT_READY);
	EXPECT_STATUS(f.writer, storage_open(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_find(f.writer, "example"), STORAGE_NOT_READY);
	expect_error(f.writer, f.url);
	EXPECT_STATUS(f.writer, storage_init(f.writer), STORAGE_OK);
	CU_ASSERT_EQUAL(fixture_sql_integer(&f, "SELECT count(*) FROM sqlite_master WHERE "
						"name = 'records_lookup_idx'"),
			0);
	CU_ASSERT_EQUAL(fixture_sql_integer(&f, "SELECT count(*) FROM sqlite_master WHERE "
						"name IN ('tsigkeys', 'domainmetadata')"),
			2);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, one_zone_loaded);
	fixture_sql(&f, "UPDATE records SET ttl = 7, change_date = 1");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "changes\nwww.example in example: A 7 192.0.2.1\ncommit\n");
	/* Tables of the same names that are something else. */
	fixture_sql(&f, "ALTER TABLE records RENAME COLUMN content TO data");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_NOT_READY);
	expect_error(f.follower, "content");
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"URLs that are understood and those that are not", test_urls},
		{"a missing file is not created but by init", test_missing},
		{"what is no database is refused by name", test_not_a_store},
		{"a damaged file never counts as loaded", test_damaged},
		{"a lock is waited for, but not for long", test_locked},
		{"a file that was replaced or deleted is noticed", test_replaced},
		{"a store that may only be read is followed", test_readable_only},
		{"init changes nothing the second time", test_init_twice},
		{"init prepares a PowerDNS database and keeps its data", test_init_powerdns},
	};

	return SUITE_RUN("sqlite_file", tests);
}
