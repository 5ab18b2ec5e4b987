/*
 * Giving up numbers of godwit_changes that nobody will fill: those of transactions that were rolled
 * back, and those that a server skips when it shares the numbers with others.
 *
 * On the server where all writing happens this can be known. A change that is written but not
 * committed is locked by its transaction, so a locking read of a missing number says at once,
 * without waiting (NOWAIT), whether it is. A number is taken and its row written in one step, with
 * nothing in between that could wait: when SETTLE_AGE_MS after it was noticed missing there is no
 * row, committed or not, there never will be. Transactions may stay open as long as they like.
 * Such a read needs no privilege but SELECT (MySQL before 8.0.22 wants one more; then what follows
 * holds) and locks nothing, since it finds nothing.
 *
 * A replica, or a member of a cluster, has no locks of transactions that are open elsewhere. There,
 * and on servers without NOWAIT, numbers are asked for during GIVE_UP_MS, an hour; after that
 * everything is loaded once more to be sure. That is the one bound: a transaction on another server
 * that stays open for longer may be missed until its names change again or the store is reloaded.
 */
#include "storage/mysql_internal.h"

#include "common/log.h"

#include <inttypes.h>
#include <mysqld_error.h>

#define SETTLE_EVERY_MS 1000
#define SETTLE_AGE_MS 5000
#define SETTLE_STATEMENTS 20 /* of many ranges each, in a round */
#define SETTLE_TOGETHER 200  /* ranges in one statement */
#define SETTLE_ALONE 20      /* statements when one of them was not free */
#define GIVE_UP_MS (60 * 60 * 1000)

#define ER_LOCK_NOWAIT_MYSQL 3572 /* of MySQL 8; MariaDB says ER_LOCK_WAIT_TIMEOUT */

enum finding {
	FINDING_FREE,    /* no row, and nobody is writing one */
	FINDING_TAKEN,   /* at least one number has a row, committed or not */
	FINDING_UNKNOWN, /* this server cannot say */
	FINDING_FAILED,
};

/* Looks with a locking read whether the ranges from `first` up to `end` are free. */
static enum finding probe(struct mysql_store *store, size_t first, size_t end)
{
	static const char doing[] = "look for changes under way";
	struct mysql_result result;
	enum finding finding = FINDING_FAILED;

	mysql_text_start(&store->statement, "SELECT 1 FROM godwit_changes WHERE FALSE");
	for (size_t i = first; i < end; i++)
		mysql_text_add_format(&store->statement, " OR seq BETWEEN %" PRIu64 " AND %" PRIu64,
				      store->gaps.list[i].first, store->gaps.list[i].last);
	/* Each server knows but one of the two ways to write it. */
	mysql_text_add(&store->statement, mariadb_connection(store->db)
						  ? " LIMIT 1 LOCK IN SHARE MODE NOWAIT"
						  : " LIMIT 1 FOR SHARE NOWAIT");
	if (mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result) == STORAGE_OK) {
		if (mysql_result_next(store, &result, doing) == STORAGE_OK)
			finding = result.row ? FINDING_TAKEN : FINDING_FREE;
		mysql_result_close(store, &result);
		return finding;
	}
	if (!store->db || storage_is_interrupted(&store->base))
		return FINDING_FAILED;
	switch (mysql_errno(store->db)) {
	case ER_LOCK_WAIT_TIMEOUT:
	case ER_LOCK_NOWAIT_MYSQL:
		return FINDING_TAKEN;
	case ER_PARSE_ERROR:
	case ER_TABLEACCESS_DENIED_ERROR:
		return FINDING_UNKNOWN;
	default:
		return FINDING_FAILED;
	}
}

/*
 * Looks at some ranges, together first and one by one when some number of them is taken. Moves
 * `*place` behind those that stay. Returns the last finding.
 */
static enum finding settle_some(struct mysql_store *store, size_t *place, size_t *end)
{
	size_t together = *end - *place < SETTLE_TOGETHER ? *end - *place : SETTLE_TOGETHER;
	enum finding finding = probe(store, *place, *place + together);

	if (finding == FINDING_FREE) {
		mysql_gaps_close(&store->gaps, *place, *place + together);
		*end -= together;
	}
	for (size_t i = 0; finding == FINDING_TAKEN && i < SETTLE_ALONE && *place < *end; i++) {
		enum finding alone = probe(store, *place, *place + 1);
		if (alone == FINDING_FREE) {
			mysql_gaps_close(&store->gaps, *place, *place + 1);
			(*end)--;
		} else if (alone == FINDING_TAKEN) {
			(*place)++;
		} else {
			finding = alone;
		}
	}
	return finding;
}

/* Where the transactions are: goes on where the last round ended. */
static int settle_by_locks(struct mysql_store *store, int64_t now_ms)
{
	size_t end = mysql_gaps_count_older(&store->gaps, now_ms - SETTLE_AGE_MS);
	size_t place = mysql_gaps_find(&store->gaps, store->settle_from);
	enum finding finding = FINDING_FREE;

	for (int i = 0; i < SETTLE_STATEMENTS && finding == FINDING_FREE && place < end; i++)
		finding = settle_some(store, &place, &end);
	store->settle_from = place < end ? store->gaps.list[place].first : 0;
	if (finding == FINDING_UNKNOWN) {
		log_info("missing changes are waited for by time, not by locks",
			 "store=mysql place=%s reason=%s", store->place, mysql_error(store->db));
		store->remote_writers = true;
	}
	/* A connection that was lost is the next look's to report. */
	return storage_is_interrupted(&store->base) ? storage_fail_interrupted(&store->base)
						    : STORAGE_OK;
}

/* Elsewhere: by time. */
static int settle_by_age(struct mysql_store *store, int64_t now_ms)
{
	size_t old = mysql_gaps_count_older(&store->gaps, now_ms - GIVE_UP_MS);

	if (old == 0)
		return STORAGE_OK;
	uint64_t first = store->gaps.list[0].first;
	mysql_gaps_close(&store->gaps, 0, old);
	return storage_fail(&store->base, STORAGE_RELOAD,
			    "mysql %s: change %" PRIu64
			    " did not appear for an hour: loading once more to be sure",
			    store->place, first);
}

int mysql_settle_gaps(struct mysql_store *store, int64_t now_ms)
{
	if (store->gaps.count == 0 || now_ms - store->settled_ms < SETTLE_EVERY_MS)
		return STORAGE_OK;
	store->settled_ms = now_ms;
	return store->remote_writers ? settle_by_age(store, now_ms)
				     : settle_by_locks(store, now_ms);
}
