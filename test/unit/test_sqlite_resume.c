/* Following on after the file could not be used for a while: when it is right, and when not. */
#include "sqlite_fixture.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Moves what is in the write-ahead log into the file, which can be copied then. */
static const char checkpoint[] = "PRAGMA wal_checkpoint(TRUNCATE)";

/* A store with one zone, loaded by the follower. All of it in the one file. */
static void start(struct fixture *f)
{
	fixture_start_store(f);
	fixture_sql(f, "INSERT INTO domains (id, name, type) VALUES (1, 'example', 'NATIVE');"
		       "INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
		       "(1, 'a.example', 'A', '192.0.2.1', 60)");
	fixture_sql(f, checkpoint);
	EXPECT_STATUS(f->follower, fixture_load(f), STORAGE_OK);
}

static void copy_file(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	char data[65536];
	size_t size;

	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	while ((size = fread(data, 1, sizeof(data), in)) > 0)
		CU_ASSERT_EQUAL(fwrite(data, 1, size, out), size);
	fclose(in);
	CU_ASSERT_EQUAL(fclose(out), 0);
}

static void test_what_changed_meanwhile_is_followed(void)
{
	struct fixture f;
	char away[160];

	start(&f);
	snprintf(away, sizeof(away), "%s.away", f.path);
	CU_ASSERT_EQUAL(rename(f.path, away), 0);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_UNAVAILABLE);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_UNAVAILABLE);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_UNAVAILABLE);
	CU_ASSERT_EQUAL(rename(away, f.path), 0);
	fixture_sql(&f, "INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
			"(1, 'b.example', 'A', '192.0.2.2', 60);"
			"INSERT INTO domains (id, name, type) VALUES (2, 'other', 'NATIVE')");
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	EXPECT_TEXT(f.events,
		    "changes\nzone other\nb.example in example: A 60 192.0.2.2\ncommit\n");
	/* And on, with zones as they were noted before. */
	fixture_sql(&f, "DELETE FROM domains WHERE id = 2");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "changes\ngone other\ncommit\n");
	fixture_stop(&f);
}

static void test_nothing_changed_meanwhile(void)
{
	struct fixture f;

	start(&f);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "");
	fixture_stop(&f);
}

/* Opens anew what `sql` did something to; it has to be loaded. */
static void expect_reload(const char *sql)
{
	struct fixture f;

	start(&f);
	fixture_sql(&f, sql);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_RELOAD);
	EXPECT_TEXT(f.events, "");
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	fixture_stop(&f);
}

static void test_histories_that_are_not_the_one_followed(void)
{
	expect_reload("DELETE FROM godwit_changes");
	expect_reload("DELETE FROM godwit_changes WHERE seq = (SELECT MAX(seq) FROM "
		      "godwit_changes)");
	expect_reload("UPDATE godwit_changes SET token = token + 1 WHERE seq = (SELECT MAX(seq) "
		      "FROM godwit_changes)");
	expect_reload("DROP TRIGGER godwit_records_delete; DELETE FROM records;"
		      "CREATE TRIGGER godwit_records_delete AFTER DELETE ON records BEGIN "
		      "INSERT INTO godwit_changes (domain_id, name) VALUES (OLD.domain_id, "
		      "OLD.name); END");
}

static void test_a_copy_put_back_in_place(void)
{
	struct fixture f;
	char copy[160];

	start(&f);
	snprintf(copy, sizeof(copy), "%s.copy", f.path);
	copy_file(f.path, copy);
	fixture_sql(&f, "INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
			"(1, 'b.example', 'A', '192.0.2.2', 60)");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
	fixture_sql(&f, checkpoint);
	/* Into the same file: only its content is of yesterday. */
	copy_file(copy, f.path);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_RELOAD);
	unlink(copy);
	fixture_stop(&f);
}

static void test_another_file_is_not_followed_on(void)
{
	struct fixture f;
	char copy[160];

	start(&f);
	snprintf(copy, sizeof(copy), "%s.copy", f.path);
	copy_file(f.path, copy);
	CU_ASSERT_EQUAL(rename(copy, f.path), 0);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_RELOAD);
	fixture_stop(&f);
}

static void test_a_load_that_failed_is_not_followed_on(void)
{
	struct fixture f;

	start(&f);
	fixture_sql(&f, "PRAGMA writable_schema = ON; ALTER TABLE records RENAME TO gone");
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_NOT_READY);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_RELOAD);
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"what changed meanwhile is followed", test_what_changed_meanwhile_is_followed},
		{"nothing changed meanwhile", test_nothing_changed_meanwhile},
		{"histories that are not the one followed",
		 test_histories_that_are_not_the_one_followed},
		{"a copy put back in place", test_a_copy_put_back_in_place},
		{"another file is not followed on", test_another_file_is_not_followed_on},
		{"a load that failed is not followed on",
		 test_a_load_that_failed_is_not_followed_on},
	};

	return SUITE_RUN("sqlite_resume", tests);
}
