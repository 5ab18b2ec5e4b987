#include "sqlite_fixture.h"

#include "common/clock.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static void add_event(struct fixture *f, const char *format,
							    ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	int size = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (size < 0)
		abort();
	if (f->events_size + (size_t)size + 1 > f->events_capacity) {
		f->events_capacity = 2 * (f->events_size + (size_t)size + 1);
		f->events = realloc(f->events, f->events_capacity);
		if (!f->events)
			abort();
	}
	memcpy(f->events + f->events_size, text, (size_t)size + 1);
	f->events_size += (size_t)size;
	free(text);
}

static void clear_events(struct fixture *f)
{
	f->events_size = 0;
	add_event(f, "%s", "");
}

static void on_begin(void *ctx, enum storage_batch batch)
{
	add_event(ctx, "%s\n", batch == STORAGE_BATCH_FULL ? "full" : "changes");
}

static void on_zone(void *ctx, const char *apex)
{
	add_event(ctx, "zone %s\n", apex);
}

static void on_zone_gone(void *ctx, const char *apex)
{
	add_event(ctx, "gone %s\n", apex);
}

static void on_name(void *ctx, const struct storage_name *name)
{
	add_event(ctx, "%s in %s:%s", name->owner, name->zone, name->count ? "" : " none");
	for (size_t i = 0; i < name->count; i++) {
		const struct storage_record *record = &name->records[i];
		add_event(ctx, "%s %s %u %s", i ? "," : "", record->type, record->ttl,
			  record->content);
	}
	add_event(ctx, "\n");
}

static void on_commit(void *ctx)
{
	add_event(ctx, "commit\n");
}

static void on_abort(void *ctx)
{
	add_event(ctx, "abort\n");
}

static struct storage *make_storage(struct fixture *f, bool read_only)
{
	struct storage_options options = {.read_only = read_only, .poll_ms = 5};
	char error[256] = "";
	struct storage *storage = storage_create(f->url, &options, error, sizeof(error));

	if (!storage)
		fprintf(stderr, "storage_create: %s\n", error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(storage);
	return storage;
}

void fixture_start(struct fixture *f)
{
	*f = (struct fixture){.sink = {.ctx = f,
				       .begin = on_begin,
				       .zone = on_zone,
				       .zone_gone = on_zone_gone,
				       .name = on_name,
				       .commit = on_commit,
				       .abort = on_abort}};
	snprintf(f->directory, sizeof(f->directory), "%s/godwit-test-XXXXXX", P_tmpdir);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->directory));
	snprintf(f->path, sizeof(f->path), "%s/store.db", f->directory);
	snprintf(f->url, sizeof(f->url), "sqlite:%s", f->path);
	f->writer = make_storage(f, false);
	f->follower = make_storage(f, true);
	clear_events(f);
}

void fixture_start_store(struct fixture *f)
{
	fixture_start(f);
	EXPECT_STATUS(f->writer, storage_open(f->writer), STORAGE_OK);
	EXPECT_STATUS(f->writer, storage_init(f->writer), STORAGE_OK);
	EXPECT_STATUS(f->follower, storage_open(f->follower), STORAGE_OK);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(f->path, &f->other), SQLITE_OK);
	sqlite3_busy_timeout(f->other, 2000);
}

void fixture_stop(struct fixture *f)
{
	char command[128];

	storage_destroy(f->follower);
	storage_destroy(f->writer);
	sqlite3_close(f->other);
	free(f->events);
	snprintf(command, sizeof(command), "rm -r %s", f->directory);
	CU_ASSERT_EQUAL(system(command), 0);
}

void fixture_sql(struct fixture *f, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(f->other, sql, NULL, NULL, &error) != SQLITE_OK) {
		fprintf(stderr, "\n%s: %s\n", sql, error);
		CU_FAIL("SQL failed");
	}
	sqlite3_free(error);
}

char *fixture_sql_text(struct fixture *f, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	char *text = NULL;

	CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(f->other, sql, -1, &statement, NULL), SQLITE_OK);
	if (sqlite3_step(statement) == SQLITE_ROW)
		text = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return text;
}

long long fixture_sql_integer(struct fixture *f, const char *sql)
{
	char *text = fixture_sql_text(f, sql);
	long long value = text ? atoll(text) : -1;

	sqlite3_free(text);
	return value;
}

int fixture_load(struct fixture *f)
{
	clear_events(f);
	return storage_load(f->follower, &f->sink);
}

int fixture_follow(struct fixture *f)
{
	int64_t deadline = clock_now_ms() + 2000;
	int status;

	clear_events(f);
	do
		status = storage_follow(f->follower, &f->sink, 20);
	while (status == STORAGE_OK && f->events_size == 0 && clock_now_ms() < deadline);
	return status;
}

int fixture_look(struct fixture *f)
{
	clear_events(f);
	return storage_follow(f->follower, &f->sink, 0);
}

void fixture_expect(const char *file, int line, const char *actual, const char *expected)
{
	bool same = actual && strcmp(actual, expected) == 0;

	if (!same)
		fprintf(stderr, "\n%s:%d:\n--- expected\n%s\n--- got\n%s\n", file, line, expected,
			actual ? actual : "nothing");
	CU_assertImplementation(same, (unsigned int)line, "texts are equal", file, "", CU_FALSE);
}

void fixture_expect_status(const char *file, int line, const struct storage *storage, int actual,
			   int expected)
{
	if (actual != expected)
		fprintf(stderr, "\n%s:%d: status %d instead of %d: %s\n", file, line, actual,
			expected, storage_error(storage));
	CU_assertImplementation(actual == expected, (unsigned int)line, "status", file, "",
				CU_FALSE);
}
