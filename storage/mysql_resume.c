/*
 * Following on after an outage: proving that a server, on another connection, has the history that
 * was followed, and that nothing of what came since is gone again.
 *
 * Two things have to hold.
 *
 * All that was taken over is still there. A server that crashed may have lost its latest commits, a
 * replica may not have them yet, a restored copy never had them; but what is missing then is always
 * the end of the commits' order, never their middle. So it is enough that the rows which became
 * visible last are there: those that the last look with a find gave, or, where loading was the
 * last, all it saw of the last hour. They are summed up in a witness (mysql_witness.h) with all
 * rows between them, numbers and times, because numbers are not in the order of the commits.
 *
 * All that became visible meanwhile is still there. Trimming takes the lowest rows first
 * (mysql_trim.c): when the row below the first missing number is there, or the witness' first when
 * none is missing below it, none behind it was trimmed. Whether a table was emptied, altered or
 * restored is mysql_history.c's to find out, as ever.
 *
 * A table that was emptied by TRUNCATE and filled again gives out its ids anew, which the history
 * check sees unless it was filled with as much as before: so a store of which half has changed is
 * loaded, which costs little more.
 *
 * And it has to be the same server: another one, a replica or a member of a cluster, has tables of
 * its own, which these rows prove nothing about. In doubt everything is loaded.
 */
#include "storage/mysql_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char doing[] = "look where changes stand";

/* Whether a number is one of those that were not seen. */
static bool is_missing(const struct mysql_gaps *gaps, uint64_t seq)
{
	size_t place = mysql_gaps_find(gaps, seq);

	return place < gaps->count && gaps->list[place].first <= seq;
}

int mysql_witness_read(struct mysql_store *store, uint64_t first, struct mysql_witness *witness)
{
	struct mysql_result result;

	*witness = (struct mysql_witness){.first = first};
	mysql_text_start(&store->statement,
			 "SELECT seq, at FROM godwit_changes WHERE seq BETWEEN ");
	mysql_text_add_format(&store->statement, "%" PRIu64 " AND %" PRIu64 " ORDER BY seq", first,
			      store->mark.seq);
	int status = mysql_store_query(store, true, MYSQL_REPLY_LONG_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	while ((status = mysql_result_next(store, &result, doing)) == STORAGE_OK && result.row) {
		uint64_t seq = strtoull(mysql_result_text(&result, 0), NULL, 10);
		if (!is_missing(&store->gaps, seq))
			mysql_witness_add(witness, seq, mysql_result_text(&result, 1));
	}
	mysql_result_close(store, &result);
	return status;
}

static int find_row(struct mysql_store *store, uint64_t seq, bool *found)
{
	struct mysql_result result;

	mysql_text_start(&store->statement, "SELECT 1 FROM godwit_changes WHERE seq = ");
	mysql_text_add_format(&store->statement, "%" PRIu64, seq);
	int status = mysql_store_query(store, false, MYSQL_REPLY_MS, doing, &result);
	if (status != STORAGE_OK)
		return status;
	status = mysql_result_next(store, &result, doing);
	*found = result.row != NULL;
	mysql_result_close(store, &result);
	return status;
}

static int fail_resume(struct mysql_store *store, const char *why)
{
	return storage_fail(&store->base, STORAGE_RELOAD,
			    "mysql %s: changes cannot be followed on: %s", store->place, why);
}

int mysql_resume_check(struct mysql_store *store)
{
	const struct mysql_gaps *gaps = &store->gaps;
	struct mysql_witness now;
	bool found = true;
	int status;

	if (strcmp(store->server, store->followed) != 0)
		return fail_resume(store, "it is another server than before");
	if (!store->has_mark || store->witness.count == 0)
		return fail_resume(store, "none had been seen");
	status = mysql_witness_read(store, store->witness.first, &now);
	if (status == STORAGE_OK && !mysql_witness_equal(&store->witness, &now))
		status = fail_resume(store, "some that were seen are gone: the server lost them, "
					    "or they were trimmed");
	/* The witness' first row is there; what is missing may lie below it. */
	if (status == STORAGE_OK && gaps->count > 0 && gaps->list[0].first <= now.first)
		status = find_row(store, gaps->list[0].first - 1, &found);
	if (status == STORAGE_OK && !found)
		status = fail_resume(store, "those that were awaited may have been trimmed");
	return status;
}

int mysql_resume_weigh(struct mysql_store *store, uint64_t changes)
{
	int64_t records = store->fingerprint.counts[0];

	if (records < 0 || changes <= (uint64_t)records / 2)
		return STORAGE_OK;
	return fail_resume(store, "more than half of the records changed");
}
