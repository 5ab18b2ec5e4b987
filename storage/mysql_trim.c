/*
 * Keeping godwit_changes short. Triggers do not: a DELETE in each would make writers wait for each
 * other. Followers do, those whose account has DELETE on godwit_changes, and godwitctl a little
 * before each of its writes.
 *
 * What no other follower needs any more. A follower that is alive has looked within 30 seconds, or
 * makes sure that nothing was trimmed meanwhile (mysql_resume.c). So a row may go once it has been
 * visible for longer than that - and not merely written for longer, because a transaction may
 * commit an hour after it wrote. A follower therefore trims only below what it saw complete, with
 * the row before the first missing number, at the round before, ROUND_MS ago; and only rows older
 * than KEPT_MINUTES, which leaves something to look at. godwitctl has not followed and goes by age
 * alone, a day.
 *
 * So that a follower can go on after an outage, the newest KEPT_ROWS always stay, and so does what
 * this follower needs itself. Rows go from the lowest on, up to the first that has to stay and
 * never beyond: where a row is, nothing behind it was trimmed.
 *
 * Rows are deleted in small batches, each a statement of its own, so that nobody waits long.
 * Trimming is a service, not a duty: a failure never breaks following.
 */
#include "storage/mysql_internal.h"

#include "common/log.h"

#include <inttypes.h>

#define ROUND_MS 60000
#define BUSY_ROUND_MS 5000 /* while there is more to trim */
#define BATCHES 10         /* in a round */
#define BATCH "5000"       /* rows */
#define BATCH_ROWS 5000
#define KEPT_MINUTES 15
#define KEPT_MINUTES_WRITER (24 * 60)
#define KEPT_ROWS 1000

static const char doing[] = "trim godwit_changes";

/*
 * Deletes one batch of rows below `below` that are older than `minutes`. Returns how many, or -1
 * when this account or server does not allow it. Another failure is the next look's to report.
 */
static int64_t trim_batch(struct mysql_store *store, uint64_t below, int minutes)
{
	struct mysql_result result;
	uint64_t end = 0;

	/* The first row that is too young, or the end of the batch. */
	mysql_text_start(&store->statement, "SELECT COALESCE(MIN(CASE WHEN ");
	mysql_text_add_format(&store->statement, "at >= NOW(6) - INTERVAL %d MINUTE", minutes);
	mysql_text_add(&store->statement, " THEN seq END), MAX(seq) + 1) FROM (SELECT seq, at FROM "
					  "godwit_changes ORDER BY seq LIMIT " BATCH ") AS oldest");
	if (mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result) != STORAGE_OK)
		return 0;
	if (mysql_result_next(store, &result, doing) == STORAGE_OK && result.row)
		end = (uint64_t)mysql_result_number(&result, 0, 0);
	mysql_result_close(store, &result);
	if (end > below)
		end = below;
	if (end == 0)
		return 0;
	mysql_text_start(&store->statement, "DELETE FROM godwit_changes WHERE ");
	mysql_text_add_format(&store->statement,
			      "seq < %" PRIu64 " AND at < NOW(6) - INTERVAL %d MINUTE", end,
			      minutes);
	int status = mysql_store_run(store, MYSQL_REPLY_MS, doing);
	if (status != STORAGE_OK)
		return status == STORAGE_REFUSED ? -1 : 0;
	return (int64_t)mysql_affected_rows(store->db);
}

/* Says once that this account may not. */
static void note_refusal(struct mysql_store *store)
{
	store->trim_refused = true;
	log_info("godwit_changes is left for others to trim",
		 "store=mysql place=%s reason=%s advice=%s", store->place, store->base.error,
		 "grant DELETE on godwit_changes to one backend's account, or delete old rows by "
		 "other means");
}

/* What this follower, and others like it, need no more: rows below that number. */
static uint64_t find_end(const struct mysql_store *store)
{
	uint64_t end = store->mark.seq > KEPT_ROWS ? store->mark.seq - KEPT_ROWS : 0;

	if (store->gaps.count > 0 && store->gaps.list[0].first - 1 < end)
		end = store->gaps.list[0].first - 1;
	return store->witness.first < end ? store->witness.first : end;
}

void mysql_trim_as_follower(struct mysql_store *store, int64_t now_ms)
{
	uint64_t below = store->trim_below;
	int64_t deleted = 0;
	bool more = true;

	if (store->trim_refused || !store->db || now_ms < store->trim_at_ms)
		return;
	for (int i = 0; i < BATCHES && more; i++) {
		deleted = below > 0 ? trim_batch(store, below, KEPT_MINUTES) : 0;
		more = deleted >= BATCH_ROWS / 2; /* some of a batch may have to stay */
	}
	if (deleted < 0)
		note_refusal(store);
	store->trim_at_ms = now_ms + (more ? BUSY_ROUND_MS : ROUND_MS);
	/* For the next round: all below is seen by now. */
	if (!more)
		store->trim_below = find_end(store);
}

void mysql_trim_as_writer(struct mysql_store *store)
{
	struct mysql_result result;
	uint64_t below = 0;

	mysql_text_start(&store->statement,
			 "SELECT seq FROM godwit_changes WHERE at < NOW(6) - INTERVAL 1 MINUTE "
			 "ORDER BY seq DESC LIMIT 1");
	if (mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result) != STORAGE_OK)
		return;
	if (mysql_result_next(store, &result, doing) == STORAGE_OK && result.row)
		below = (uint64_t)mysql_result_number(&result, 0, 0);
	mysql_result_close(store, &result);
	if (below > KEPT_ROWS)
		trim_batch(store, below - KEPT_ROWS, KEPT_MINUTES_WRITER);
}
