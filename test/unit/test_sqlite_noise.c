/*
 * A follower's picture of the store after any history of changes is the picture that loading the
 * store gives. Random statements, sensible and not, run on a plain connection; after each
 * transaction what was followed is compared with what a fresh load finds.
 */
#include "sqlite_fixture.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a receiver of batches knows, kept in an SQL database of its own. */
struct picture {
	sqlite3 *db;
};

static void run(struct picture *picture, char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(picture->db, sql, NULL, NULL, &error) != SQLITE_OK) {
		fprintf(stderr, "\n%s: %s\n", sql, error);
		CU_FAIL_FATAL("SQL failed");
	}
	sqlite3_free(sql);
}

static void on_begin(void *ctx, enum storage_batch batch)
{
	if (batch == STORAGE_BATCH_FULL)
		run(ctx, sqlite3_mprintf("DELETE FROM zones; DELETE FROM records"));
	run(ctx, sqlite3_mprintf("DELETE FROM whole"));
}

static void on_zone(void *ctx, const char *apex)
{
	run(ctx, sqlite3_mprintf("INSERT OR IGNORE INTO zones VALUES (%Q);"
				 "INSERT INTO whole VALUES (%Q);"
				 "DELETE FROM records WHERE zone = %Q",
				 apex, apex, apex));
}

static void on_zone_gone(void *ctx, const char *apex)
{
	run(ctx, sqlite3_mprintf("DELETE FROM zones WHERE zone = %Q;"
				 "DELETE FROM records WHERE zone = %Q",
				 apex, apex));
}

static void on_name(void *ctx, const struct storage_name *name)
{
	run(ctx, sqlite3_mprintf("DELETE FROM records WHERE zone = %Q AND owner = %Q "
				 "AND zone NOT IN (SELECT zone FROM whole)",
				 name->zone, name->owner));
	for (size_t i = 0; i < name->count; i++)
		run(ctx, sqlite3_mprintf("INSERT INTO records VALUES (%Q, %Q, %Q, %d, %Q, %Q)",
					 name->zone, name->owner, name->records[i].type,
					 (int)name->records[i].ttl, name->records[i].content,
					 name->records[i].key));
}

static void on_end(void *ctx)
{
	(void)ctx;
}

static struct storage_sink make_sink(struct picture *picture)
{
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(":memory:", &picture->db), SQLITE_OK);
	run(picture,
	    sqlite3_mprintf("CREATE TABLE zones (zone PRIMARY KEY);"
			    "CREATE TABLE whole (zone);"
			    "CREATE TABLE records (zone, owner, type, ttl, content, key)"));
	return (struct storage_sink){.ctx = picture,
				     .begin = on_begin,
				     .zone = on_zone,
				     .zone_gone = on_zone_gone,
				     .name = on_name,
				     .commit = on_end,
				     .abort = on_end};
}

/* All of it as one text, for sqlite3_free. */
static char *describe(struct picture *picture)
{
	sqlite3_stmt *statement = NULL;

	CU_ASSERT_EQUAL_FATAL(
		sqlite3_prepare_v2(
			picture->db,
			"SELECT group_concat(line, char(10)) FROM ("
			"SELECT zone AS line FROM zones UNION ALL "
			"SELECT zone || ' ' || owner || ' ' || type || ' ' || ttl || ' ' "
			"|| content || ' ' || key FROM records ORDER BY 1)",
			-1, &statement, NULL),
		SQLITE_OK);
	sqlite3_step(statement);
	const unsigned char *text = sqlite3_column_text(statement, 0);
	char *copy = sqlite3_mprintf("%s", text ? (const char *)text : "");
	sqlite3_finalize(statement);
	return copy;
}

static const char *pick(const char *const *list, size_t count)
{
	return list[(size_t)rand() % count];
}
#define PICK(...)                                                                                  \
	pick((const char *const[]){__VA_ARGS__},                                                   \
	     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static const char *any_zone(void)
{
	return PICK("'a'", "'A.'", "'b'", "'sub.a'", "'.'", "''", "x'61'", "'b.'");
}

static const char *any_name(void)
{
	return PICK("'a'", "'www.a'", "'WWW.a.'", "'\\119ww.a'", "'x\\.y.a'", "'x\\.'", "'x\\\\.'",
		    "'www..a'", "'www.a..'", "'*.a'", "''", "'.'", "NULL", "7", "x'776100FF'",
		    "'bad\\'", "'\xff\xfe'", "'it''s.a'");
}

static const char *any_value(void)
{
	return PICK("NULL", "''", "'A'", "'MX'", "'SRV'", "'192.0.2.1'", "'mail.a'", "'10 mail.a'",
		    "x'00'", "x'41004200'", "-1", "1e300", "9223372036854775807", "1", "0",
		    "randomblob(40)", "zeroblob(3)", "'5 5060 sip.a'", "printf('%.5000c', 'x')");
}

/* One random statement. Some fail: a zone's name is unique, for one. */
static void change(struct fixture *f)
{
	int domain = rand() % 4 + 1, id = rand() % 30 + 1;
	char *sql = NULL;

	switch (rand() % 10) {
	case 0:
		sql = sqlite3_mprintf("INSERT INTO domains (id, name, type) VALUES (%d, %s, '')",
				      domain, any_zone());
		break;
	case 1:
		sql = sqlite3_mprintf("DELETE FROM domains WHERE id = %d AND %d", domain,
				      rand() % 2);
		break;
	case 2:
		sql = sqlite3_mprintf("UPDATE domains SET name = %s WHERE id = %d", any_zone(),
				      domain);
		break;
	case 3:
		sql = sqlite3_mprintf("REPLACE INTO domains (id, name, type) VALUES (%d, %s, '')",
				      domain, any_zone());
		break;
	case 4:
		sql = sqlite3_mprintf("DELETE FROM records WHERE name = %s OR id = %d", any_name(),
				      id);
		break;
	case 5:
		sql = sqlite3_mprintf("UPDATE records SET name = %s WHERE id = %d", any_name(), id);
		break;
	case 6:
		sql = sqlite3_mprintf("UPDATE records SET domain_id = %d, disabled = %d, "
				      "content = %s WHERE id = %d",
				      domain, rand() % 2, any_value(), id);
		break;
	default:
		sql = sqlite3_mprintf("REPLACE INTO records (id, domain_id, name, type, content, "
				      "ttl, prio, disabled) VALUES (%d, %d, %s, %s, %s, %s, %s, 0)",
				      id, domain, any_name(), any_value(), any_value(), any_value(),
				      any_value());
	}
	sqlite3_exec(f->other, sql, NULL, NULL, NULL);
	sqlite3_free(sql);
}

static void compare(struct picture *followed, struct picture *loaded)
{
	char *actual = describe(followed), *expected = describe(loaded);

	EXPECT_TEXT(actual, expected);
	sqlite3_free(actual);
	sqlite3_free(expected);
}

static void follow_history(unsigned int seed, bool foreign_keys)
{
	struct fixture f;
	struct picture followed, loaded;

	fixture_start_store(&f);
	struct storage_sink follow_sink = make_sink(&followed), load_sink = make_sink(&loaded);
	fixture_sql(&f, foreign_keys ? "PRAGMA foreign_keys = ON" : "PRAGMA foreign_keys = OFF");
	EXPECT_STATUS(f.follower, storage_load(f.follower, &follow_sink), STORAGE_OK);
	srand(seed);
	for (int round = 0; round < 300 && CU_get_number_of_failures() == 0; round++) {
		fixture_sql(&f, "BEGIN");
		for (int i = rand() % 6; i >= 0; i--)
			change(&f);
		fixture_sql(&f, rand() % 8 == 0 ? "ROLLBACK" : "COMMIT");
		EXPECT_STATUS(f.follower, storage_follow(f.follower, &follow_sink, 0), STORAGE_OK);
		EXPECT_STATUS(f.writer, storage_load(f.writer, &load_sink), STORAGE_OK);
		compare(&followed, &loaded);
	}
	sqlite3_close(followed.db);
	sqlite3_close(loaded.db);
	fixture_stop(&f);
}

static void test_history(void)
{
	for (unsigned int seed = 1; seed <= 4; seed++)
		follow_history(seed, seed % 2 == 0);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"following any history leads to what loading finds", test_history},
	};

	return SUITE_RUN("sqlite_noise", tests);
}
