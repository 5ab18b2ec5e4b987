/*
 * Following changes: asking for the rows of godwit_changes that were not seen yet, and handing over
 * what they tell of in one batch per look.
 *
 * Numbers become visible out of order, because a row has its number when it is written and is seen
 * when its transaction commits. So a look asks for everything behind the newest row seen and, in
 * the same statement, for the numbers below it that are missing (mysql_gaps.h) - the latest
 * GAPS_AT_ONCE of them each time, all of them once in GAPS_ALL_MS. When anything is there, it is
 * read again in a consistent view together with the names it tells of: a batch leads from one state
 * that the server had to a later one. Missing numbers are given up in mysql_settle.c, and only when
 * nobody can fill them any more.
 *
 * The newest row seen is asked for, too, each time. When it is not there, or was written at another
 * time, the history is not the one followed so far - godwit_changes was emptied, the database
 * restored - and everything has to be loaded. So it has to be when a row without a zone asks for
 * it.
 *
 * After an outage, and when nobody looked for LOOK_GAP_MS, since changes that became visible
 * meanwhile may have been trimmed (mysql_trim.c keeps them for longer), it has to be proven that
 * nothing was missed: mysql_resume.c. A look that fails before anything was handed over leaves
 * everything as it was, so that the next one, on another connection perhaps, finds the same again.
 */
#include "storage/mysql_internal.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAPS_AT_ONCE 256 /* ranges in one statement */
#define GAPS_ALL_MS 1000
#define LOOK_GAP_MS 30000

/* Loading notes what is missing among the changes of so long. */
#define HISTORY_MINUTES "60"
#define HISTORY_PAGE "10000"

static const char doing[] = "read changes";

/* --- where changes stand ---------------------------------------------------------------------- */

/* STORAGE_RELOAD for store->mark not being there any more. */
static int mysql_follow_fail_lost(struct mysql_store *store)
{
	return storage_fail(&store->base, STORAGE_RELOAD,
			    "mysql %s: change %" PRIu64
			    ", the last one followed, is gone: the database was restored, or "
			    "godwit_changes emptied or trimmed",
			    store->place, store->mark.seq);
}

static void set_mark(struct mysql_change_mark *mark, const struct mysql_result *result)
{
	mark->seq = strtoull(mysql_result_text(result, 0), NULL, 10);
	snprintf(mark->at, sizeof(mark->at), "%s", mysql_result_text(result, 1));
}

/* Reads the newest change. */
static int read_mark(struct mysql_store *store)
{
	struct mysql_result result;

	store->has_mark = false;
	store->mark = (struct mysql_change_mark){0};
	mysql_text_start(&store->statement,
			 "SELECT seq, at FROM godwit_changes ORDER BY seq DESC LIMIT 1");
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	if (status == STORAGE_OK && result.row) {
		store->has_mark = true;
		set_mark(&store->mark, &result);
	}
	mysql_result_close(store, &result);
	return status;
}

/*
 * Finds the number from which on to look for missing ones: that of a row with none but old ones
 * before it, a page of them at least. When all are recent it is 1 where missing numbers can be
 * looked into (mysql_settle.c), and the lowest there is elsewhere: what is below has been trimmed,
 * by somebody who missed nothing there.
 */
static int find_history_start(struct mysql_store *store, uint64_t *start)
{
	struct mysql_result result;
	bool recent = true, more = true;
	uint64_t lowest = store->mark.seq + 1;
	int status = STORAGE_OK;

	while (status == STORAGE_OK && recent && more) {
		*start = lowest;
		mysql_text_start(&store->statement,
				 "SELECT MIN(seq), MAX(at) > NOW(6) - INTERVAL " HISTORY_MINUTES
				 " MINUTE FROM (SELECT seq, at FROM godwit_changes WHERE seq < ");
		mysql_text_add_format(
			&store->statement,
			"%" PRIu64 " ORDER BY seq DESC LIMIT " HISTORY_PAGE ") AS page", lowest);
		status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
		if (status != STORAGE_OK)
			break;
		status = mysql_result_next(store, &result, doing);
		more = status == STORAGE_OK && result.row && result.row[0];
		if (more) {
			lowest = strtoull(result.row[0], NULL, 10);
			recent = mysql_result_number(&result, 1, 0) == 1;
		}
		mysql_result_close(store, &result);
	}
	if (recent && !store->remote_writers)
		*start = 1;
	return status;
}

int mysql_follow_start(struct mysql_store *store)
{
	int64_t now_ms = clock_now_ms();
	struct mysql_result result;
	uint64_t start = 1;
	int status = read_mark(store);

	store->looked_ms = store->settled_ms = now_ms;
	store->changed_ms = 0;
	store->trim_at_ms = 0;
	store->trim_below = 0;
	store->witness = (struct mysql_witness){0};
	snprintf(store->followed, sizeof(store->followed), "%s", store->server);
	mysql_gaps_start(&store->gaps, store->mark.seq + 1);
	if (status != STORAGE_OK || !store->has_mark)
		return status;
	status = find_history_start(store, &start);
	if (status != STORAGE_OK)
		return status;
	mysql_gaps_start(&store->gaps, start);
	mysql_text_start(&store->statement, "SELECT seq, at FROM godwit_changes WHERE seq >= ");
	mysql_text_add_format(&store->statement, "%" PRIu64 " ORDER BY seq", start);
	status = mysql_store_query(store, true, MYSQL_REPLY_LONG_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, doing)) == STORAGE_OK && result.row) {
		uint64_t seq = strtoull(mysql_result_text(&result, 0), NULL, 10);
		/* More holes than can be remembered: the latest count. */
		while (mysql_gaps_see(&store->gaps, seq, now_ms) == MYSQL_GAPS_FULL) {
			mysql_gaps_start(&store->gaps, seq);
			store->witness = (struct mysql_witness){0};
		}
		if (store->witness.count == 0)
			store->witness.first = seq;
		mysql_witness_add(&store->witness, seq, mysql_result_text(&result, 1));
	}
	mysql_result_close(store, &result);
	return status;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Appends "OR seq BETWEEN ..." for some of the missing ranges. */
static void add_ranges(struct mysql_store *store, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		mysql_text_add_format(&store->statement, " OR seq BETWEEN %" PRIu64 " AND %" PRIu64,
				      store->gaps.list[i].first, store->gaps.list[i].last);
}

/* The index of the first of the ranges that are asked for each time. */
static size_t first_recent(const struct mysql_store *store)
{
	return store->gaps.count > GAPS_AT_ONCE ? store->gaps.count - GAPS_AT_ONCE : 0;
}

/* Whether the row the result stands on is the mark. */
static bool is_mark(const struct mysql_store *store, const struct mysql_result *result)
{
	struct mysql_change_mark mark;

	if (!result->row)
		return false;
	set_mark(&mark, result);
	return mark.seq == store->mark.seq && strcmp(mark.at, store->mark.at) == 0;
}

/* Asks, in one short statement, whether there is anything but the mark. */
static int glance(struct mysql_store *store, bool *anything)
{
	struct mysql_result result;

	mysql_text_start(&store->statement, "SELECT seq, at FROM godwit_changes WHERE seq >= ");
	mysql_text_add_format(&store->statement, "%" PRIu64, store->mark.seq);
	add_ranges(store, first_recent(store), store->gaps.count);
	mysql_text_add(&store->statement, " ORDER BY seq LIMIT 2");
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, "look for changes", &result);
	if (status != STORAGE_OK)
		return status;
	*anything = mysql_num_rows(result.set) != (store->has_mark ? 1 : 0);
	status = mysql_result_next(store, &result, doing);
	if (status == STORAGE_OK && !*anything && store->has_mark && !is_mark(store, &result))
		*anything = true; /* what, a closer look says */
	mysql_result_close(store, &result);
	return status;
}

/* Takes one row of a scan: seq, at, domain_id, name. */
static int take_change(struct mysql_store *store, const struct mysql_result *result, int64_t now_ms,
		       struct mysql_changes *changes)
{
	uint64_t seq = strtoull(mysql_result_text(result, 0), NULL, 10);

	switch (mysql_gaps_see(&store->gaps, seq, now_ms)) {
	case MYSQL_GAPS_KNOWN:
		return STORAGE_OK;
	case MYSQL_GAPS_FULL:
		return storage_fail(&store->base, STORAGE_RELOAD,
				    "mysql %s: too many changes are missing among those seen",
				    store->place);
	case MYSQL_GAPS_NEW:
		break;
	}
	if (!result->row[2])
		return storage_fail(&store->base, STORAGE_RELOAD,
				    "mysql %s: change %" PRIu64 " asks for loading everything",
				    store->place, seq);
	if (!mysql_changes_add(changes, mysql_result_number(result, 2, 0), result->row[3],
			       result->sizes[3]))
		return mysql_store_fail_memory(store);
	changes->seen++;
	if (changes->lowest == 0 || seq < changes->lowest)
		changes->lowest = seq;
	return STORAGE_OK;
}

/*
 * Runs store->statement, which selects changes, and takes its rows. `head`: the mark comes first.
 */
static int scan(struct mysql_store *store, bool head, int64_t now_ms, struct mysql_changes *changes)
{
	struct mysql_result result;
	bool first = head;
	int status = mysql_store_query(store, true, MYSQL_REPLY_LONG_MS, doing, &result);

	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, doing)) == STORAGE_OK && result.row) {
		/* Rows where there were none: how many came and went before, nobody knows. */
		if (first && !is_mark(store, &result))
			status = mysql_follow_fail_lost(store);
		first = false;
		if (status == STORAGE_OK)
			status = take_change(store, &result, now_ms, changes);
		if (status != STORAGE_OK)
			break;
		if (head)
			set_mark(&store->mark, &result);
	}
	mysql_result_close(store, &result);
	if (status == STORAGE_OK && first && store->has_mark)
		status = mysql_follow_fail_lost(store);
	return status;
}

/*
 * Reads all changes that were not seen: within a consistent view. From the last range to the first,
 * because those that are filled or split move only what is behind them.
 */
static int scan_all(struct mysql_store *store, bool all, int64_t now_ms,
		    struct mysql_changes *changes)
{
	size_t end = store->gaps.count, stop = all ? 0 : first_recent(store);
	int status = STORAGE_OK;

	while (status == STORAGE_OK && end > stop) {
		size_t first = end > GAPS_AT_ONCE ? end - GAPS_AT_ONCE : 0;
		mysql_text_start(&store->statement,
				 "SELECT seq, at, domain_id, name FROM godwit_changes WHERE FALSE");
		add_ranges(store, first, end);
		mysql_text_add(&store->statement, " ORDER BY seq");
		status = scan(store, false, now_ms, changes);
		end = first;
	}
	if (status != STORAGE_OK)
		return status;
	mysql_text_start(&store->statement,
			 "SELECT seq, at, domain_id, name FROM godwit_changes WHERE seq >= ");
	mysql_text_add_format(&store->statement, "%" PRIu64 " ORDER BY seq", store->mark.seq);
	return scan(store, true, now_ms, changes);
}

/* What a look is for, besides changes. */
struct look {
	bool prove;    /* that following on is right */
	bool all_gaps; /* ask for all missing numbers */
	bool history;  /* check what no trigger tells */
};

/* Finds what changed and hands it over; notes what was seen. */
static int take_changes(struct mysql_store *store, const struct storage_sink *sink,
			const struct look *look, bool *delivered)
{
	struct mysql_changes changes = {0};
	struct mysql_witness witness;
	int64_t now_ms = clock_now_ms();
	int status = scan_all(store, look->all_gaps, now_ms, &changes);

	if (status == STORAGE_OK && look->prove)
		status = mysql_resume_weigh(store, changes.seen);
	if (status == STORAGE_OK && look->history)
		status = mysql_history_check(store, changes.count > 0, now_ms);
	if (status == STORAGE_OK && changes.count > 0) {
		status = mysql_witness_read(store, changes.lowest, &witness);
		if (status == STORAGE_OK)
			status = mysql_changes_deliver(store, &changes, sink);
		if (status == STORAGE_OK) {
			store->changed_ms = now_ms;
			store->witness = witness;
			*delivered = true;
		}
	}
	mysql_changes_clear(&changes);
	return status;
}

/* The same, within the consistent view that was begun; all or nothing. */
static int look_closely(struct mysql_store *store, const struct storage_sink *sink,
			const struct look *look, bool *delivered)
{
	const struct mysql_change_mark mark = store->mark;
	struct mysql_gaps gaps = {0};
	int status = look->prove ? mysql_resume_check(store) : STORAGE_OK;

	if (status == STORAGE_OK && !mysql_gaps_copy(&gaps, &store->gaps))
		status = mysql_store_fail_memory(store);
	if (status != STORAGE_OK)
		return status;
	status = take_changes(store, sink, look, delivered);
	if (status != STORAGE_OK) {
		/* What was noted as seen was not handed over. */
		struct mysql_gaps seen = store->gaps;
		store->gaps = gaps;
		store->mark = mark;
		gaps = seen;
	}
	mysql_gaps_clear(&gaps);
	return status;
}

/* Looks for changes once. */
static int look_once(struct mysql_store *store, const struct storage_sink *sink, bool *delivered)
{
	int64_t now_ms = clock_now_ms();
	bool prove = store->unproven || now_ms - store->looked_ms > LOOK_GAP_MS;
	const struct look look = {
		.prove = prove,
		.all_gaps = prove || (store->gaps.count > GAPS_AT_ONCE &&
				      now_ms - store->gaps_asked_ms >= GAPS_ALL_MS),
		.history = prove || mysql_history_is_due(store, now_ms),
	};
	bool closely = look.all_gaps || look.history;
	int status = prove ? mysql_schema_check(store) : STORAGE_OK;

	if (status == STORAGE_OK && !closely)
		status = glance(store, &closely);
	if (status == STORAGE_OK && closely) {
		status = mysql_store_read_begin(store);
		if (status == STORAGE_OK)
			status = look_closely(store, sink, &look, delivered);
		mysql_store_read_end(store);
	}
	if (status != STORAGE_OK)
		return status;
	if (look.all_gaps)
		store->gaps_asked_ms = now_ms;
	store->looked_ms = now_ms;
	store->unproven = false;
	return STORAGE_OK;
}

int mysql_store_follow(struct storage *storage, const struct storage_sink *sink, int wait_ms)
{
	struct mysql_store *store = mysql_store_of(storage);
	int64_t deadline = clock_now_ms() + wait_ms;
	bool delivered = false;

	if (!store->db)
		return storage_fail(storage, STORAGE_UNAVAILABLE, "mysql %s: not connected",
				    store->place);
	if (!store->loaded)
		return storage_fail(storage, STORAGE_RELOAD, "mysql %s: load it first",
				    store->place);
	for (;;) {
		int status = look_once(store, sink, &delivered);
		if (status == STORAGE_OK)
			status = mysql_settle_gaps(store, clock_now_ms());
		if (status == STORAGE_OK)
			mysql_trim_as_follower(store, clock_now_ms());
		int64_t left = deadline - clock_now_ms();
		if (status != STORAGE_OK || delivered || left <= 0)
			return status;
		int pause = store->url.poll_ms;
		if (!storage_wait(storage, left < pause ? (int)left : pause))
			return storage_fail_interrupted(storage);
	}
}
