/*
 * Noticing what no trigger told: TRUNCATE, tables that were dropped and made again, a restored
 * backup, rows deleted while triggers were missing.
 *
 * Every CHECK_EVERY_MS the state of the tables is read in one statement and compared with what it
 * was: the lowest and highest ids, when tables and triggers were created, which ids are given out
 * next, and how many of our triggers are there, as far as this account may see them. Ids that
 * changed are suspicious only when no change was seen that explains them; tables created at another
 * time, ids given out a second time and missing triggers are so always. Rows are counted besides,
 * as often as that costs next to nothing: COUNT_EVERY_MS after the last time at the earliest, and
 * only when the store has been quiet for QUIET_MS, because only then two counts can be compared.
 *
 * Anything suspicious leads to loading anew, which is always right. What remains: rows updated in
 * place, or deleted from the middle of a busy store, while its triggers are missing and the account
 * may not see triggers; and a TRUNCATE after which, within a second, as many rows are written as
 * ever were. `init` puts missing triggers back and makes every follower load.
 */
#include "storage/mysql_internal.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHECK_EVERY_MS 1000
#define COUNT_EVERY_MS 10000
#define COUNT_SHARE 100 /* at most that part of the time goes into counting */
#define QUIET_MS 3000

/* One row: ids, times of creation, next ids of records and domains, triggers. */
static const char fingerprint_sql[] =
	"SELECT CONCAT_WS(' ', IFNULL((SELECT MIN(id) FROM records), '-'), "
	"IFNULL((SELECT MAX(id) FROM records), '-'), "
	"IFNULL((SELECT MIN(id) FROM domains), '-'), "
	"IFNULL((SELECT MAX(id) FROM domains), '-')), "
	"CONCAT_WS(' ', r.create_time, d.create_time, (SELECT MAX(created) "
	"FROM information_schema.triggers WHERE trigger_schema = DATABASE() "
	"AND trigger_name LIKE 'godwit\\_%')), r.auto_increment, d.auto_increment, "
	"(SELECT COUNT(*) FROM information_schema.triggers "
	"WHERE trigger_schema = DATABASE() AND trigger_name LIKE 'godwit\\_%') "
	"FROM information_schema.tables AS r JOIN information_schema.tables AS d "
	"WHERE r.table_schema = DATABASE() AND r.table_name = 'records' "
	"AND d.table_schema = DATABASE() AND d.table_name = 'domains'";

static const char doing[] = "check its history";

static int read_fingerprint(struct mysql_store *store, struct mysql_fingerprint *out)
{
	struct mysql_result result;

	*out = (struct mysql_fingerprint){.counts = {-1, -1}};
	mysql_text_start(&store->statement, fingerprint_sql);
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	if (status == STORAGE_OK && result.row) {
		snprintf(out->ids, sizeof(out->ids), "%s", mysql_result_text(&result, 0));
		snprintf(out->created, sizeof(out->created), "%s", mysql_result_text(&result, 1));
		out->next_ids[0] = (uint64_t)mysql_result_number(&result, 2, 0);
		out->next_ids[1] = (uint64_t)mysql_result_number(&result, 3, 0);
		out->triggers = (uint64_t)mysql_result_number(&result, 4, 0);
	}
	mysql_result_close(store, &result);
	return status;
}

static int count_rows(struct mysql_store *store, int64_t *counts)
{
	int64_t started_ms = clock_now_ms();
	struct mysql_result result;

	mysql_text_start(&store->statement,
			 "SELECT (SELECT COUNT(*) FROM records), (SELECT COUNT(*) FROM domains)");
	int status = mysql_store_query(store, false, MYSQL_REPLY_LONG_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	for (unsigned int i = 0; status == STORAGE_OK && result.row && i < 2; i++)
		counts[i] = mysql_result_number(&result, i, -1);
	mysql_result_close(store, &result);
	store->counted_ms = clock_now_ms();
	store->count_took_ms = store->counted_ms - started_ms;
	return status;
}

int mysql_history_start(struct mysql_store *store)
{
	int status = read_fingerprint(store, &store->fingerprint);

	if (status == STORAGE_OK)
		status = count_rows(store, store->fingerprint.counts);
	store->checked_ms = clock_now_ms();
	return status;
}

bool mysql_history_is_due(const struct mysql_store *store, int64_t now_ms)
{
	return now_ms - store->checked_ms >= CHECK_EVERY_MS;
}

static int fail_history(struct mysql_store *store, const char *what)
{
	return storage_fail(&store->base, STORAGE_RELOAD, "mysql %s: %s", store->place, what);
}

/* What can be said whatever changes were seen. */
static int check_tables(struct mysql_store *store, const struct mysql_fingerprint *then,
			const struct mysql_fingerprint *now)
{
	if (strcmp(then->created, now->created) != 0)
		return fail_history(store, "its tables or triggers were altered or created anew");
	for (int i = 0; i < 2; i++) {
		if (now->next_ids[i] != 0 && now->next_ids[i] < then->next_ids[i])
			return fail_history(store, "ids of rows are given out a second time: was "
						   "a table emptied?");
	}
	if (now->triggers < then->triggers)
		return fail_history(store, "triggers on its tables are gone");
	return STORAGE_OK;
}

static bool count_is_due(const struct mysql_store *store, int64_t now_ms)
{
	int64_t pause_ms = COUNT_SHARE * store->count_took_ms;

	if (pause_ms < COUNT_EVERY_MS)
		pause_ms = COUNT_EVERY_MS;
	return now_ms - store->counted_ms >= pause_ms && now_ms - store->changed_ms >= QUIET_MS;
}

/* Counts, and compares when nothing was seen to change since the last time. */
static int check_counts(struct mysql_store *store, int64_t *counts)
{
	bool comparable = counts[0] >= 0 && store->changed_ms < store->counted_ms;
	int64_t before[2] = {counts[0], counts[1]};
	int status = count_rows(store, counts);

	if (status == STORAGE_OK && comparable &&
	    (counts[0] != before[0] || counts[1] != before[1]))
		return storage_fail(&store->base, STORAGE_RELOAD,
				    "mysql %s: %" PRId64 " records became %" PRId64 " and %" PRId64
				    " zones %" PRId64 " without a change being told: are the "
				    "triggers missing?",
				    store->place, before[0], counts[0], before[1], counts[1]);
	return status;
}

int mysql_history_check(struct mysql_store *store, bool changed, int64_t now_ms)
{
	struct mysql_fingerprint now;
	int status = read_fingerprint(store, &now);

	if (status == STORAGE_OK)
		status = check_tables(store, &store->fingerprint, &now);
	if (status == STORAGE_OK && !changed && store->changed_ms < store->checked_ms &&
	    strcmp(now.ids, store->fingerprint.ids) != 0)
		status = fail_history(store, "rows came or went without a change being told");
	memcpy(now.counts, store->fingerprint.counts, sizeof(now.counts));
	if (status == STORAGE_OK && !changed && count_is_due(store, now_ms))
		status = check_counts(store, now.counts);
	if (status != STORAGE_OK)
		return status;
	store->fingerprint = now;
	store->checked_ms = now_ms;
	return STORAGE_OK;
}
