/* Writing zones and RRsets as godwitctl does, and reading them back. */
#include "sqlite_fixture.h"
#include "suite.h"

#include "dns/name.h"

#include <stdio.h>
#include <string.h>

/* Writes one RRset in a transaction of its own. */
static void put(struct fixture *f, const char *apex, const char *owner, const char *type,
		const char *const *contents, size_t count)
{
	EXPECT_STATUS(f->writer, storage_begin(f->writer), STORAGE_OK);
	EXPECT_STATUS(f->writer,
		      storage_rrset_put(f->writer, apex, owner, type, 300, contents, count),
		      STORAGE_OK);
	EXPECT_STATUS(f->writer, storage_commit(f->writer), STORAGE_OK);
}

static void add_zone(struct fixture *f, const char *apex)
{
	EXPECT_STATUS(f->writer, storage_begin(f->writer), STORAGE_OK);
	EXPECT_STATUS(f->writer, storage_zone_add(f->writer, apex), STORAGE_OK);
	EXPECT_STATUS(f->writer, storage_commit(f->writer), STORAGE_OK);
}

static void expect_sql(struct fixture *f, const char *sql, const char *expected)
{
	char *text = fixture_sql_text(f, sql);

	EXPECT_TEXT(text, expected);
	sqlite3_free(text);
}

/* What was read, a line a name. */
struct reading {
	char text[1024];
	int stop_after;
};

static int on_name(void *ctx, const struct storage_name *name)
{
	struct reading *reading = ctx;
	size_t size = strlen(reading->text);

	size += (size_t)snprintf(reading->text + size, sizeof(reading->text) - size,
				 "%s in %s:", name->owner, name->zone);
	for (size_t i = 0; i < name->count; i++)
		size += (size_t)snprintf(reading->text + size, sizeof(reading->text) - size,
					 " %s %s", name->records[i].type, name->records[i].content);
	snprintf(reading->text + size, sizeof(reading->text) - size, "\n");
	return --reading->stop_after == 0;
}

static int on_apex(void *ctx, const char *apex)
{
	struct reading *reading = ctx;

	strcat(reading->text, apex);
	strcat(reading->text, "\n");
	return --reading->stop_after == 0;
}

static void test_columns(void)
{
	struct fixture f;
	const char *mx[] = {"10 mail.example.", "20 ."};
	const char *srv[] = {" 1 2  3 sip.example."};
	const char *soa[] = {"ns.example. hm.example. 7 1 2 3 4"};
	const char *txt[] = {"\"ends in a dot.\" \"b  c.\""};
	const char *cname[] = {"dot\\."};
	const char *odd[] = {"mail.example."}, *generic[] = {"\\# 2 0a0b"};
	static const char columns[] = "SELECT group_concat(content || '|' || coalesce(prio, '-') "
				      "|| '|' || ttl || '|' || auth || '|' || disabled, ' & ') "
				      "FROM records WHERE type = '%s'";
	static const struct {
		const char *type, *expected;
	} cases[] = {
		{"MX", "mail.example|10|300|1|0 & .|20|300|1|0"},
		{"SRV", "2  3 sip.example|1|300|1|0"},
		{"SOA", "ns.example hm.example 7 1 2 3 4|-|300|1|0"},
		{"TXT", "\"ends in a dot.\" \"b  c.\"|-|300|1|0"},
		{"CNAME", "dot\\.|-|300|1|0"},
		{"TYPE65280", "\\# 2 0a0b|-|300|1|0"},
	};

	fixture_start_store(&f);
	add_zone(&f, "example");
	expect_sql(&f, "SELECT name || type FROM domains", "exampleNATIVE");
	put(&f, "example", "example", "mx", odd, 1);
	put(&f, "example", "example", "mx", mx, 2);
	put(&f, "example", "_sip.example", "SRV", srv, 1);
	put(&f, "example", "example", "SOA", soa, 1);
	put(&f, "example", "example", "TXT", txt, 1);
	put(&f, "example", "c.example", "CNAME", cname, 1);
	put(&f, "example", "g.example", "type65280", generic, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sql[256];
		snprintf(sql, sizeof(sql), columns, cases[i].type);
		expect_sql(&f, sql, cases[i].expected);
	}
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "full\nzone example\n"
			      "_sip.example in example: SRV 300 1 2  3 sip.example\n"
			      "c.example in example: CNAME 300 dot\\.\n"
			      "example in example: MX 300 10 mail.example, MX 300 20 ., "
			      "SOA 300 ns.example hm.example 7 1 2 3 4, "
			      "TXT 300 \"ends in a dot.\" \"b  c.\"\n"
			      "g.example in example: TYPE65280 300 \\# 2 0a0b\ncommit\n");
	fixture_stop(&f);
}

static void test_rrset_replaces(void)
{
	struct fixture f;
	const char *two[] = {"192.0.2.1", "192.0.2.2"}, *one[] = {"192.0.2.3"};

	fixture_start_store(&f);
	add_zone(&f, "example");
	fixture_sql(&f, "INSERT INTO records (domain_id, name, type, content, disabled) VALUES "
			"(1, 'WWW.example.', 'a', '192.0.2.9', 0), "
			"(1, 'www.example', 'TYPE1', '\\# 4 01020304', 0), "
			"(1, 'www.example', 'A', '192.0.2.8', 1), "
			"(1, 'www.example', 'AAAA', '::1', 0)");
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	put(&f, "example", "www.example", "A", two, 2);
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "changes\nwww.example in example: AAAA 3600 ::1, A 300 192.0.2.1, "
			      "A 300 192.0.2.2\ncommit\n");
	put(&f, "example", "www.example", "A", one, 1);
	expect_sql(&f, "SELECT group_concat(content) FROM records", "::1,192.0.2.3");
	EXPECT_STATUS(f.writer, storage_begin(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_rrset_delete(f.writer, "example", "www.example", "A"),
		      STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_rrset_delete(f.writer, "example", "www.example", "A"),
		      STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_commit(f.writer), STORAGE_OK);
	expect_sql(&f, "SELECT group_concat(content) FROM records", "::1");
	fixture_stop(&f);
}

static void test_zone_writes(void)
{
	struct fixture f;
	const char *one[] = {"192.0.2.1"};
	char name[32];

	fixture_start_store(&f);
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_begin(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_add(f.writer, "example"), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_add(f.writer, "example"), STORAGE_EXISTS);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		EXPECT_STATUS(f.writer,
			      storage_rrset_put(f.writer, "example", name, "A", 1, one, 1),
			      STORAGE_OK);
	}
	EXPECT_STATUS(f.writer, storage_zone_clear(f.writer, "example"), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_rrset_put(f.writer, "example", "example", "A", 1, one, 1),
		      STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_clear(f.writer, "none"), STORAGE_NOT_FOUND);
	EXPECT_STATUS(f.writer, storage_zone_delete(f.writer, "none"), STORAGE_NOT_FOUND);
	EXPECT_STATUS(f.writer, storage_rrset_put(f.writer, "none", "none", "A", 1, one, 1),
		      STORAGE_NOT_FOUND);
	EXPECT_STATUS(f.writer, storage_commit(f.writer), STORAGE_OK);
	/* All of it is a few changes of the whole zone, none of single names. */
	CU_ASSERT_EQUAL(fixture_sql_integer(&f, "SELECT count(name) FROM godwit_changes"), 0);
	CU_ASSERT_EQUAL(fixture_sql_integer(&f, "SELECT count(*) FROM godwit_bulk"), 0);
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "changes\nzone example\nexample in example: A 1 192.0.2.1\ncommit\n");
	/* Once committed, changes are told one by one again. */
	put(&f, "example", "www.example", "A", one, 1);
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "changes\nwww.example in example: A 300 192.0.2.1\ncommit\n");
	EXPECT_STATUS(f.writer, storage_begin(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_delete(f.writer, "example"), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_rrset_put(f.writer, "example", "example", "A", 1, one, 1),
		      STORAGE_NOT_FOUND);
	EXPECT_STATUS(f.writer, storage_commit(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.follower, fixture_follow(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "changes\ngone example\ncommit\n");
	CU_ASSERT_EQUAL(fixture_sql_integer(&f, "SELECT count(*) FROM records"), 0);
	fixture_stop(&f);
}

/* Rows that plain sqlite3 left behind when it deleted a zone do not turn up in a new one. */
static void test_orphans(void)
{
	struct fixture f;

	fixture_start_store(&f);
	add_zone(&f, "old.example");
	fixture_sql(&f, "INSERT INTO records (domain_id, name, type, content) VALUES "
			"(1, 'old.example', 'A', '192.0.2.1'); DELETE FROM domains");
	add_zone(&f, "new.example");
	EXPECT_STATUS(f.follower, fixture_load(&f), STORAGE_OK);
	EXPECT_TEXT(f.events, "full\nzone new.example\ncommit\n");
	fixture_stop(&f);
}

static void test_transactions(void)
{
	struct fixture f;
	const char *one[] = {"192.0.2.1"};

	fixture_start_store(&f);
	EXPECT_STATUS(f.writer, storage_zone_add(f.writer, "example"), STORAGE_REFUSED);
	EXPECT_STATUS(f.writer, storage_commit(f.writer), STORAGE_REFUSED);
	storage_rollback(f.writer);
	EXPECT_STATUS(f.writer, storage_begin(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_begin(f.writer), STORAGE_REFUSED);
	EXPECT_STATUS(f.writer, storage_init(f.writer), STORAGE_REFUSED);
	EXPECT_STATUS(f.writer, storage_zone_add(f.writer, "example"), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_rrset_put(f.writer, "example", "example", "A", 1, one, 1),
		      STORAGE_OK);
	/* The writer sees what it wrote, nobody else does. */
	EXPECT_STATUS(f.writer, storage_zone_find(f.writer, "example"), STORAGE_OK);
	EXPECT_STATUS(f.follower, storage_zone_find(f.follower, "example"), STORAGE_NOT_FOUND);
	storage_rollback(f.writer);
	EXPECT_STATUS(f.writer, storage_zone_find(f.writer, "example"), STORAGE_NOT_FOUND);
	CU_ASSERT_EQUAL(fixture_sql_integer(&f, "SELECT count(*) FROM records"), 0);
	EXPECT_STATUS(f.follower, storage_begin(f.follower), STORAGE_REFUSED);
	/* A process that dies in the middle of one leaves nothing: here, the connection closes. */
	EXPECT_STATUS(f.writer, storage_begin(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_add(f.writer, "example"), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_open(f.writer), STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_find(f.writer, "example"), STORAGE_NOT_FOUND);
	EXPECT_STATUS(f.writer, storage_zone_add(f.writer, "example"), STORAGE_REFUSED);
	fixture_stop(&f);
}

static void expect_enclosing(struct fixture *f, const char *name, bool above, const char *expected)
{
	char apex[DNS_NAME_TEXT_MAX] = "";

	EXPECT_STATUS(f->follower, storage_zone_find_enclosing(f->follower, name, above, apex),
		      expected ? STORAGE_OK : STORAGE_NOT_FOUND);
	EXPECT_TEXT(apex, expected ? expected : "");
}

static void test_finding(void)
{
	struct fixture f;

	fixture_start_store(&f);
	fixture_sql(&f, "INSERT INTO domains (name, type) VALUES ('Example', ''), "
			"('sub.example.', ''), ('b\\.c.example', '')");
	EXPECT_STATUS(f.follower, storage_zone_find(f.follower, "sub.example"), STORAGE_OK);
	expect_enclosing(&f, "a.b.sub.example", false, "sub.example");
	expect_enclosing(&f, "sub.example", false, "sub.example");
	expect_enclosing(&f, "sub.example", true, "example");
	expect_enclosing(&f, "a.b\\.c.example", false, "b\\.c.example");
	expect_enclosing(&f, "x\\.sub.example", false, "example");
	expect_enclosing(&f, "xsub.example", false, "example");
	expect_enclosing(&f, "example", true, NULL);
	expect_enclosing(&f, "org", false, NULL);
	expect_enclosing(&f, ".", false, NULL);
	fixture_sql(&f, "INSERT INTO domains (name, type) VALUES ('', '')");
	expect_enclosing(&f, ".", false, ".");
	expect_enclosing(&f, "example", true, ".");
	expect_enclosing(&f, ".", true, NULL);
	fixture_stop(&f);
}

static void test_reading(void)
{
	struct fixture f;
	struct reading reading = {.text = ""};

	fixture_start_store(&f);
	fixture_sql(&f, "INSERT INTO domains (id, name, type) VALUES (1, 'B.example', ''), "
			"(2, 'a.example.', '');"
			"INSERT INTO records (domain_id, name, type, content) VALUES "
			"(1, 'b.example', 'A', '192.0.2.1'), (1, 'x.b.example', 'A', '192.0.2.2'), "
			"(1, 'X.b.example.', 'A', '192.0.2.3')");
	EXPECT_STATUS(f.writer, storage_zone_list(f.writer, on_apex, &reading), STORAGE_OK);
	EXPECT_TEXT(reading.text, "a.example\nb.example\n");
	reading = (struct reading){.text = "", .stop_after = 1};
	EXPECT_STATUS(f.writer, storage_zone_list(f.writer, on_apex, &reading), STORAGE_OK);
	EXPECT_TEXT(reading.text, "a.example\n");
	reading = (struct reading){.text = "", .stop_after = 1};
	EXPECT_STATUS(f.writer, storage_zone_read(f.writer, "b.example", on_name, &reading),
		      STORAGE_OK);
	EXPECT_TEXT(reading.text, "b.example in b.example: A 192.0.2.1\n");
	reading = (struct reading){.text = ""};
	EXPECT_STATUS(f.writer,
		      storage_name_read(f.writer, "b.example", "x.b.example", on_name, &reading),
		      STORAGE_OK);
	EXPECT_TEXT(reading.text, "x.b.example in b.example: A 192.0.2.2 A 192.0.2.3\n");
	reading = (struct reading){.text = ""};
	EXPECT_STATUS(f.writer,
		      storage_name_read(f.writer, "b.example", "y.b.example", on_name, &reading),
		      STORAGE_OK);
	EXPECT_STATUS(f.writer, storage_zone_read(f.writer, "a.example", on_name, &reading),
		      STORAGE_OK);
	EXPECT_TEXT(reading.text, "");
	EXPECT_STATUS(f.writer, storage_zone_read(f.writer, "c.example", on_name, &reading),
		      STORAGE_NOT_FOUND);
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"rows are written the way PowerDNS writes them", test_columns},
		{"an RRset replaces the one before, however that was spelled", test_rrset_replaces},
		{"writing a zone leaves one change of the whole", test_zone_writes},
		{"a new zone does not take over what another left behind", test_orphans},
		{"transactions are all or nothing", test_transactions},
		{"finding the zone of a name", test_finding},
		{"listing and reading", test_reading},
	};

	return SUITE_RUN("sqlite_write", tests);
}
