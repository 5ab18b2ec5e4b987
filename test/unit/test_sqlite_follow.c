/* What a follower of an SQLite store is told, when anybody changes it in any way. */
#include "sqlite_fixture.h"
#include "suite.h"

#include "common/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char two_zones[] =
	"INSERT INTO domains (id, name, type) VALUES (1, 'Example.com', 'NATIVE'), "
	"(2, 'example.net', 'MASTER');"
	"INSERT INTO records (id, domain_id, name, type, content, ttl) VALUES "
	"(1, 1, 'example.com', 'SOA', 'ns1.example.com hm.example.com 1', 60), "
	"(2, 1, 'www.example.com', 'A', '192.0.2.1', 60), "
	"(3, 2, 'example.net', 'SOA', 'ns1.example.com hm.example.com 1', 60)";

/* A loaded store with `sql` in it. */
static void start_with(struct fixture *f, const char *sql)
{
	fixture_start_store(f);
	fixture_sql(f, sql);
	EXPECT_STATUS(f->follower, fixture_load(f), STORAGE_OK);
}

/* Runs SQL by the plain connection; the follower must be told `events`. */
static void expect_change(struct fixture *f, const char *sql, const char *events)
{
	fixture_sql(f, sql);
	EXPECT_STATUS(f->follower, fixture_follow(f), STORAGE_OK);
	EXPECT_TEXT(f->events, events);
}

static void test_load_groups(void)
{
	struct fixture f;

	start_with(&f, "INSERT INTO domains (id, name, type) VALUES (5, 'Example.COM.', '');"
		       "INSERT INTO records (domain_id, name, type, content, ttl, prio) VALUES "
		       "(5, 'www.example.com', 'A', '192.0.2.1', 60, NULL), "
		       "(5, 'example.com', 'MX', 'mail.example.com', NULL, 10), "
		       "(5, 'WWW.Example.Com', 'aaaa', '2001:db8::1', 61, 0), "
		       "(5, 'example.com', 'MX', '20 mail2.example.com.', 3600, 7), "
		       "(5, '_sip._tcp.example.com.', 'SRV', '5 5060 sip.example.com', 1, 3), "
		       "(5, '_sip._tcp.example.com.', 'SRV', '1 5 5060 sip.example.com', 1, 3), "
		       "(99, 'www.example.com', 'A', '192.0.2.99', 60, NULL), "
		       "(NULL, 'www.example.com', 'A', '192.0.2.98', 60, NULL)");
	EXPECT_TEXT(f.events,
		    "full\n"
		    "zone example.com\n"
		    "_sip._tcp.example.com in example.com: SRV 1 3 5 5060 sip.example.com, "
		    "SRV 1 1 5 5060 sip.example.com\n"
		    "example.com in example.com: MX 3600 10 mail.example.com, "
		    "MX 3600 20 mail2.example.com.\n"
		    "www.example.com in example.com: A 60 192.0.2.1, aaaa 61 2001:db8::1\n"
		    "commit\n");
	fixture_stop(&f);
}

static void test_load_skips(void)
{
	struct fixture f;

	start_with(&f, "INSERT INTO domains (id, name, type) VALUES (1, '.', 'NATIVE');"
		       "INSERT INTO records (domain_id, name, type, content, ttl, disabled) VALUES "
		       "(1, 'off', 'A', '192.0.2.1', 60, 1), "
		       "(1, 'on', 'A', '192.0.2.2', 60, NULL), "
		       "(1, 'both', 'A', '192.0.2.3', -5, 0), "
		       "(1, 'both', 'A', '192.0.2.4', 60, 1), "
		       "(1, 'ent', NULL, NULL, NULL, 0), "
		       "(1, 'ent2', '', '', NULL, 0), "
		       "(1, '', 'TXT', x'6100', 99999999999, 0)");
	EXPECT_TEXT(f.events, "full\n"
			      "zone .\n"
			      ". in .: TXT 2147483647 a\\000\n"
			      "both in .: A 0 192.0.2.3\n"
			      "on in .: A 60 192.0.2.2\n"
			      "commit\n");
	fixture_stop(&f);
}

static void test_rows(void)
{
	struct fixture f;

	start_with(&f, two_zones);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "");
	expect_change(&f,
		      "INSERT INTO records (domain_id, name, type, content, ttl) "
		      "VALUES (1, 'WWW.example.com.', 'A', '192.0.2.2', 60)",
		      "changes\n"
		      "www.example.com in example.com: A 60 192.0.2.1, A 60 192.0.2.2\n"
		      "commit\n");
	expect_change(&f, "UPDATE records SET content = '192.0.2.9' WHERE id = 2",
		      "changes\n"
		      "www.example.com in example.com: A 60 192.0.2.9, A 60 192.0.2.2\n"
		      "commit\n");
	expect_change(&f, "DELETE FROM records WHERE id = 2",
		      "changes\nwww.example.com in example.com: A 60 192.0.2.2\ncommit\n");
	expect_change(&f, "UPDATE records SET name = 'web.example.com' WHERE type = 'A'",
		      "changes\n"
		      "web.example.com in example.com: A 60 192.0.2.2\n"
		      "www.example.com in example.com: none\n"
		      "commit\n");
	expect_change(&f, "UPDATE records SET domain_id = 2 WHERE type = 'A'",
		      "changes\n"
		      "web.example.com in example.com: none\n"
		      "web.example.com in example.net: A 60 192.0.2.2\n"
		      "commit\n");
	expect_change(&f,
		      "REPLACE INTO records (id, domain_id, name, type, content, ttl) "
		      "VALUES (3, 1, 'x.example.com', 'A', '192.0.2.3', 60)",
		      "changes\n"
		      "x.example.com in example.com: A 60 192.0.2.3\n"
		      "example.net in example.net: none\n"
		      "commit\n");
	/* What PowerDNS writes for its own use is no change. */
	fixture_sql(&f, "UPDATE records SET ordername = 'x', auth = 0;"
			"UPDATE domains SET last_check = 7, notified_serial = 1");
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "");
	fixture_stop(&f);
}

static void test_disabled(void)
{
	struct fixture f;

	start_with(&f, two_zones);
	expect_change(&f, "UPDATE records SET disabled = 1 WHERE id = 2",
		      "changes\nwww.example.com in example.com: none\ncommit\n");
	expect_change(&f, "UPDATE records SET disabled = 0 WHERE id = 2",
		      "changes\nwww.example.com in example.com: A 60 192.0.2.1\ncommit\n");
	fixture_stop(&f);
}

static void test_transactions(void)
{
	struct fixture f;

	start_with(&f, two_zones);
	fixture_sql(&f, "BEGIN; DELETE FROM records WHERE id = 2;"
			"INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
			"(1, 'www.example.com', 'A', '192.0.2.7', 60)");
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "");
	expect_change(&f,
		      "INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
		      "(1, 'www.example.com', 'A', '192.0.2.8', 60), "
		      "(2, 'a.example.net', 'A', '192.0.2.1', 60); COMMIT",
		      "changes\n"
		      "www.example.com in example.com: A 60 192.0.2.7, A 60 192.0.2.8\n"
		      "a.example.net in example.net: A 60 192.0.2.1\n"
		      "commit\n");
	fixture_sql(&f, "BEGIN; DELETE FROM records; ROLLBACK");
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "");
	fixture_stop(&f);
}

/* Writes one RRset anew and again, both of its records with the same TTL. */
static void *rewrite_rrset(void *ctx)
{
	sqlite3 *db = NULL;
	char sql[512];

	if (sqlite3_open(ctx, &db) != SQLITE_OK)
		abort();
	sqlite3_busy_timeout(db, 5000);
	for (int ttl = 1; ttl <= 200; ttl++) {
		snprintf(sql, sizeof(sql),
			 "BEGIN IMMEDIATE; DELETE FROM records WHERE type = 'A';"
			 "INSERT INTO records (domain_id, name, type, content, ttl) "
			 "VALUES (1, 'www.example.com', 'A', '192.0.2.1', %d);"
			 "INSERT INTO records (domain_id, name, type, content, ttl) "
			 "VALUES (1, 'WWW.example.com', 'A', '192.0.2.2', %d); COMMIT",
			 ttl, ttl);
		if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
			abort();
	}
	sqlite3_close(db);
	return NULL;
}

static void test_never_half(void)
{
	struct fixture f;
	pthread_t thread;
	char expected[256];
	unsigned int ttl = 0;

	start_with(&f, two_zones);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, rewrite_rrset, f.path), 0);
	while (ttl < 200) {
		EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
		const char *number = strstr(f.events, ": A ");
		CU_ASSERT_PTR_NOT_NULL_FATAL(number);
		unsigned int now = (unsigned int)atoi(number + 4);
		CU_ASSERT(now > ttl);
		ttl = now;
		snprintf(expected, sizeof(expected),
			 "changes\nwww.example.com in example.com: A %u 192.0.2.1, "
			 "A %u 192.0.2.2\ncommit\n",
			 ttl, ttl);
		EXPECT_TEXT(f.events, expected);
	}
	pthread_join(thread, NULL);
	fixture_stop(&f);
}

static void test_zones(void)
{
	struct fixture f;
	static const char soa[] = " SOA 60 ns1.example.com hm.example.com 1\n";
	char expected[512];

	start_with(&f, two_zones);
	expect_change(&f, "INSERT INTO domains (id, name, type) VALUES (7, 'New.example', 'X')",
		      "changes\nzone new.example\ncommit\n");
	snprintf(expected, sizeof(expected),
		 "changes\ngone example.com\nzone example.org\nexample.com in example.org:%s"
		 "www.example.com in example.org: A 60 192.0.2.1\ncommit\n",
		 soa);
	expect_change(&f, "UPDATE domains SET name = 'example.org' WHERE id = 1", expected);
	/* Two zones that change places are not gone. */
	snprintf(expected, sizeof(expected),
		 "changes\nzone example.net\nexample.com in example.net:%s"
		 "www.example.com in example.net: A 60 192.0.2.1\n"
		 "zone example.org\nexample.net in example.org:%s"
		 "commit\n",
		 soa, soa);
	expect_change(&f,
		      "BEGIN; UPDATE domains SET name = 'tmp' WHERE id = 1;"
		      "UPDATE domains SET name = 'example.org' WHERE id = 2;"
		      "UPDATE domains SET name = 'example.net' WHERE id = 1; COMMIT",
		      expected);
	/* With its records, as the schema says; and without, as the sqlite3 program does it. */
	expect_change(&f, "PRAGMA foreign_keys = ON; DELETE FROM domains WHERE id = 1",
		      "changes\ngone example.net\ncommit\n");
	CU_ASSERT_EQUAL(fixture_sql_integer(&f, "SELECT count(*) FROM records"), 1);
	expect_change(&f, "PRAGMA foreign_keys = OFF; DELETE FROM domains WHERE id = 2",
		      "changes\ngone example.org\ncommit\n");
	/* The record that is left is in no zone: changing it tells nothing. */
	expect_change(&f, "DELETE FROM records", "changes\ncommit\n");
	/* Deleted and added again at once, with a lower id: not gone. */
	expect_change(&f,
		      "BEGIN; DELETE FROM domains WHERE id = 7;"
		      "INSERT INTO domains (id, name, type) VALUES (3, 'new.example', 'X'); COMMIT",
		      "changes\nzone new.example\ncommit\n");
	expect_change(&f, "REPLACE INTO domains (id, name, type) VALUES (9, 'NEW.example', 'X')",
		      "changes\nzone new.example\ncommit\n");
	fixture_stop(&f);
}

static void test_spellings(void)
{
	struct fixture f;

	start_with(&f, "INSERT INTO domains (id, name, type) VALUES (1, 'example', 'NATIVE');"
		       "INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
		       "(1, 'a\\032b.example', 'A', '192.0.2.1', 60)");
	/* A name with an escape, written as usual: only that name. */
	expect_change(&f, "UPDATE records SET ttl = 61",
		      "changes\na\\032b.example in example: A 61 192.0.2.1\ncommit\n");
	/* One that looking up by text would miss: the whole zone, then and from then on. */
	expect_change(&f,
		      "INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
		      "(1, '\\119ww.example', 'A', '192.0.2.2', 60)",
		      "changes\nzone example\n\\119ww.example in example: A 60 192.0.2.2\n"
		      "a\\032b.example in example: A 61 192.0.2.1\ncommit\n");
	expect_change(&f,
		      "INSERT INTO records (domain_id, name, type, content, ttl) VALUES "
		      "(1, 'www.example', 'A', '192.0.2.3', 60)",
		      "changes\nzone example\n\\119ww.example in example: A 60 192.0.2.2\n"
		      "a\\032b.example in example: A 61 192.0.2.1\n"
		      "www.example in example: A 60 192.0.2.3\ncommit\n");
	/* A name that is not text at all. */
	expect_change(&f,
		      "DELETE FROM records; INSERT INTO records (domain_id, name, type, content) "
		      "VALUES (1, x'FF0041', 'A', NULL)",
		      "changes\nzone example\n\xff\\000a in example: A 3600 \ncommit\n");
	fixture_stop(&f);
}

static void test_twin_zones(void)
{
	struct fixture f;

	start_with(&f, "INSERT INTO domains (id, name, type) VALUES (1, 'example.', 'NATIVE'), "
		       "(2, 'example', 'NATIVE')");
	EXPECT_TEXT(f.events, "full\nzone example\ncommit\n");
	expect_change(&f, "DELETE FROM domains WHERE id = 1", "changes\ncommit\n");
	expect_change(&f, "DELETE FROM domains", "changes\ngone example\ncommit\n");
	fixture_stop(&f);
}

static void test_lost_track(void)
{
	struct fixture f;

	start_with(&f, two_zones);
	fixture_sql(&f, "INSERT INTO records (domain_id, name) VALUES (1, 'x');"
			"DELETE FROM godwit_changes WHERE seq <= "
			"(SELECT max(seq) - 1 FROM godwit_changes)");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(storage_error(f.follower), f.path));
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	/* Emptied: seen at once, but not again and again. */
	fixture_sql(&f, "DELETE FROM godwit_changes");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_look(&f), STORAGE_OK);
	fixture_sql(&f, "DELETE FROM records");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	/* The same number, but another history. */
	fixture_sql(&f, "UPDATE godwit_changes SET token = token + 1");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	EXPECT_TEXT(f.events, "");
	fixture_stop(&f);
}

static void test_trim(void)
{
	struct fixture f;

	start_with(&f, two_zones);
	fixture_sql(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
			"WHERE i < 105000) INSERT INTO records (domain_id, name, type, content) "
			"SELECT 1, 'n' || i || '.example.com', 'A', '192.0.2.1' FROM n");
	long long kept = fixture_sql_integer(&f, "SELECT count(*) FROM godwit_changes");
	CU_ASSERT(kept >= 100000 && kept < 102000);
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	expect_change(&f, "DELETE FROM records WHERE name = 'n7.example.com'",
		      "changes\nn7.example.com in example.com: none\ncommit\n");
	fixture_stop(&f);
}

/* An older state put back by SQLite's backup, which sqlite3's .restore uses, too. */
static void test_restore(void)
{
	struct fixture f;
	sqlite3 *copy = NULL;

	start_with(&f, two_zones);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(":memory:", &copy), SQLITE_OK);
	sqlite3_backup *backup = sqlite3_backup_init(copy, "main", f.other, "main");
	sqlite3_backup_step(backup, -1);
	CU_ASSERT_EQUAL(sqlite3_backup_finish(backup), SQLITE_OK);
	expect_change(&f, "DELETE FROM records WHERE id = 2",
		      "changes\nwww.example.com in example.com: none\ncommit\n");
	backup = sqlite3_backup_init(f.other, "main", copy, "main");
	sqlite3_backup_step(backup, -1);
	CU_ASSERT_EQUAL(sqlite3_backup_finish(backup), SQLITE_OK);
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.events, "www.example.com in example.com: A 60 192.0.2.1"));
	sqlite3_close(copy);
	fixture_stop(&f);
}

static void test_triggers_dropped(void)
{
	struct fixture f;

	start_with(&f, two_zones);
	fixture_sql(&f, "DROP TRIGGER godwit_records_update");
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_RELOAD);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_NOT_READY);
	CU_ASSERT_PTR_NOT_NULL(strstr(storage_error(f.follower), "godwit_records_update"));
	CU_ASSERT_PTR_NOT_NULL(strstr(storage_error(f.follower), "godwitctl --store sqlite:"));
	EXPECT_STATUS(f.writer, storage_init(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	fixture_stop(&f);
}

static void *interrupt_soon(void *storage)
{
	storage_interrupt(storage);
	return NULL;
}

static void test_interrupt(void)
{
	struct fixture f;
	pthread_t thread;

	start_with(&f, two_zones);
	int64_t began = clock_now_ms();
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, interrupt_soon, f.follower), 0);
	EXPECT_STATUS(f.follower, storage_follow(f.follower, &f.sink, 20000), STORAGE_INTERRUPTED);
	CU_ASSERT(clock_now_ms() - began < 5000);
	pthread_join(thread, NULL);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_INTERRUPTED);
	EXPECT_STATUS(f.follower, storage_open(f.follower), STORAGE_INTERRUPTED);
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"loading gives each owner once, whatever its spelling", test_load_groups},
		{"disabled rows and empty non-terminals are left out", test_load_skips},
		{"rows inserted, updated, moved, replaced and deleted by others", test_rows},
		{"disabling and enabling a record", test_disabled},
		{"a transaction is seen as a whole, after its commit", test_transactions},
		{"an RRset rewritten all the time is never seen half", test_never_half},
		{"zones added, renamed, swapped, deleted and replaced", test_zones},
		{"names in unusual spellings", test_spellings},
		{"a zone that is there in two spellings counts once", test_twin_zones},
		{"a history that was cut or exchanged means loading again", test_lost_track},
		{"the table of changes trims itself", test_trim},
		{"a restored copy means loading again", test_restore},
		{"a missing trigger is noticed and named", test_triggers_dropped},
		{"an interruption ends a wait at once", test_interrupt},
	};

	return SUITE_RUN("sqlite_follow", tests);
}
