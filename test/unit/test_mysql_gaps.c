/* Missing change numbers: kept until they appear, reported once, whatever the order. */
#include "storage/mysql_gaps.h"

#include "suite.h"

#include <stdlib.h>
#include <string.h>

static void reports_numbers_in_order_once(void)
{
	struct mysql_gaps gaps = {0};

	mysql_gaps_start(&gaps, 5);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 4, 0), MYSQL_GAPS_KNOWN);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 5, 0), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 6, 0), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 5, 0), MYSQL_GAPS_KNOWN);
	CU_ASSERT_EQUAL(gaps.count, 0);
	CU_ASSERT_EQUAL(gaps.next, 7);
	mysql_gaps_clear(&gaps);
}

static void splits_and_shrinks_ranges(void)
{
	struct mysql_gaps gaps = {0};

	mysql_gaps_start(&gaps, 1);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 10, 100), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL_FATAL(gaps.count, 1);
	CU_ASSERT_EQUAL(gaps.list[0].first, 1);
	CU_ASSERT_EQUAL(gaps.list[0].last, 9);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 5, 200), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL_FATAL(gaps.count, 2);
	CU_ASSERT_EQUAL(gaps.list[1].first, 6);
	CU_ASSERT_EQUAL(gaps.list[1].since_ms, 100);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 1, 200), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 4, 200), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(gaps.list[0].first, 2);
	CU_ASSERT_EQUAL(gaps.list[0].last, 3);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 3, 200), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 2, 200), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL_FATAL(gaps.count, 1);
	CU_ASSERT_EQUAL(gaps.list[0].first, 6);
	mysql_gaps_clear(&gaps);
}

static void tells_the_older_ranges(void)
{
	struct mysql_gaps gaps = {0};

	mysql_gaps_start(&gaps, 1);
	for (uint64_t number = 2; number <= 20; number += 2)
		mysql_gaps_see(&gaps, number, (int64_t)(number * 10));
	CU_ASSERT_EQUAL(gaps.count, 10);
	CU_ASSERT_EQUAL(mysql_gaps_count_older(&gaps, 0), 0);
	CU_ASSERT_EQUAL(mysql_gaps_count_older(&gaps, 60), 3);
	CU_ASSERT_EQUAL(mysql_gaps_find(&gaps, 6), 3);
	mysql_gaps_close(&gaps, 0, 3);
	CU_ASSERT_EQUAL(gaps.count, 7);
	CU_ASSERT_EQUAL(gaps.list[0].first, 7);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 3, 500), MYSQL_GAPS_KNOWN);
	mysql_gaps_clear(&gaps);
}

static void remembers_no_more_than_its_bound(void)
{
	struct mysql_gaps gaps = {0};
	uint64_t number = 1;

	mysql_gaps_start(&gaps, 1);
	for (size_t i = 0; i < MYSQL_GAPS_MAX; i++)
		CU_ASSERT_EQUAL_FATAL(mysql_gaps_see(&gaps, number += 4, 0), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, number + 4, 0), MYSQL_GAPS_FULL);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 3, 0), MYSQL_GAPS_FULL);
	/* Nothing was noted, and what needs no room still works. */
	CU_ASSERT_EQUAL(gaps.next, number + 1);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, number + 1, 0), MYSQL_GAPS_NEW);
	CU_ASSERT_EQUAL(mysql_gaps_see(&gaps, 1, 0), MYSQL_GAPS_NEW);
	mysql_gaps_clear(&gaps);
}

/* --- a server and its followers, at random ---------------------------------------------------- */

#define NUMBERS 4000 /* that the server gives out in one run */
#define WRITERS 8
#define RUNS 60

enum fate { OPEN, COMMITTED, ROLLED_BACK, SKIPPED };

struct server {
	enum fate fate[NUMBERS + 1];
	int writer[NUMBERS + 1]; /* whose transaction the number is of */
	bool reported[NUMBERS + 1];
	uint64_t next;
};

/* Ends a writer's transaction. */
static void end_transaction(struct server *server, int writer, enum fate fate)
{
	for (uint64_t number = 1; number < server->next; number++) {
		if (server->fate[number] == OPEN && server->writer[number] == writer)
			server->fate[number] = fate;
	}
}

static void report(struct server *server, struct mysql_gaps *gaps, uint64_t number)
{
	CU_ASSERT_EQUAL_FATAL(mysql_gaps_see(gaps, number, 0), MYSQL_GAPS_NEW);
	CU_ASSERT_FALSE_FATAL(server->reported[number]);
	server->reported[number] = true;
}

/* What a look does: the missing ranges from the last to the first, then what is ahead. */
static void look(struct server *server, struct mysql_gaps *gaps)
{
	for (size_t i = gaps->count; i-- > 0;) {
		struct mysql_gap asked = gaps->list[i];
		for (uint64_t number = asked.first; number <= asked.last; number++) {
			if (server->fate[number] == COMMITTED)
				report(server, gaps, number);
		}
	}
	for (uint64_t number = gaps->next; number < server->next; number++) {
		if (server->fate[number] == COMMITTED)
			report(server, gaps, number);
	}
}

/* Gives up ranges of which nothing is open, as locks tell. */
static void settle(const struct server *server, struct mysql_gaps *gaps)
{
	for (size_t i = gaps->count; i-- > 0;) {
		bool open = false;
		for (uint64_t number = gaps->list[i].first; number <= gaps->list[i].last; number++)
			open = open || server->fate[number] <= COMMITTED;
		if (!open)
			mysql_gaps_close(gaps, i, i + 1);
	}
}

static void check_ranges(const struct mysql_gaps *gaps)
{
	for (size_t i = 0; i < gaps->count; i++) {
		CU_ASSERT_FATAL(gaps->list[i].first <= gaps->list[i].last);
		CU_ASSERT_FATAL(gaps->list[i].last < gaps->next);
		CU_ASSERT_FATAL(i == 0 || gaps->list[i].first > gaps->list[i - 1].last);
	}
}

static void run_once(unsigned int seed, uint64_t step)
{
	static struct server server;
	struct mysql_gaps gaps = {0};

	memset(&server, 0, sizeof(server));
	server.next = 1;
	mysql_gaps_start(&gaps, 1);
	while (server.next + step <= NUMBERS) {
		int writer = rand_r(&seed) % WRITERS, what = rand_r(&seed) % 20;
		if (what < 12) {
			for (uint64_t i = 1; i < step; i++)
				server.fate[server.next++] = SKIPPED;
			server.writer[server.next++] = writer;
		} else if (what < 15) {
			end_transaction(&server, writer, COMMITTED);
		} else if (what < 16) {
			end_transaction(&server, writer, ROLLED_BACK);
		} else if (what < 19) {
			look(&server, &gaps);
		} else {
			settle(&server, &gaps);
		}
	}
	for (int writer = 0; writer < WRITERS; writer++)
		end_transaction(&server, writer, writer % 2 ? COMMITTED : ROLLED_BACK);
	look(&server, &gaps);
	check_ranges(&gaps);
	for (uint64_t number = 1; number < server.next; number++)
		CU_ASSERT_EQUAL(server.reported[number], server.fate[number] == COMMITTED);
	settle(&server, &gaps);
	CU_ASSERT_EQUAL(gaps.count, 0);
	mysql_gaps_clear(&gaps);
}

static void misses_nothing_whatever_the_order(void)
{
	for (unsigned int seed = 1; seed <= RUNS; seed++)
		run_once(seed, 1);
}

static void misses_nothing_where_servers_share_numbers(void)
{
	for (unsigned int seed = 1; seed <= RUNS; seed++)
		run_once(seed, 2 + seed % 3);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"reports numbers in order once", reports_numbers_in_order_once},
		{"splits and shrinks ranges", splits_and_shrinks_ranges},
		{"tells the older ranges", tells_the_older_ranges},
		{"remembers no more than its bound", remembers_no_more_than_its_bound},
		{"misses nothing whatever the order", misses_nothing_whatever_the_order},
		{"misses nothing where servers share numbers",
		 misses_nothing_where_servers_share_numbers},
	};

	return SUITE_RUN("mysql_gaps", tests);
}
