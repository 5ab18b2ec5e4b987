/* Equal questions in flight: who joins whom, and who comes back with whom. */
#include "dns/name.h"
#include "dns/protocol.h"
#include "frontend/flights.h"
#include "suite.h"

#include <string.h>

/* A query as serve.c fills it in. */
static void make(struct query *query, const char *name, uint16_t type, uint64_t hash)
{
	memset(query, 0, sizeof(*query));
	query->message = query->inline_message;
	int size = dns_name_from_text(name, strlen(name), NULL, query->message);
	CU_ASSERT_FATAL(size > 0);
	query->dns.qname = query->message;
	query->dns.qname_size = (uint16_t)size;
	query->dns.qtype = type;
	query->key_hash = hash;
	query->plan = 1;
}

static size_t count(const struct query *joined)
{
	size_t found = 0;
	for (; joined; joined = joined->joined)
		found++;
	return found;
}

static void test_the_same_question_joins(void)
{
	static struct flights flights;
	static struct query first, second, third;
	make(&first, "www.example.", DNS_TYPE_A, 77);
	make(&second, "WWW.example.", DNS_TYPE_A, 77);
	make(&third, "www.example.", DNS_TYPE_A, 77);
	second.denial_too = true;
	CU_ASSERT(!flights_join(&flights, &first));
	CU_ASSERT(flights_join(&flights, &second));
	CU_ASSERT(flights_join(&flights, &third));
	/* Asked for twice: what the leader brings is kept. */
	CU_ASSERT(first.denial_too);
	struct query *joined = flights_land(&flights, &first);
	CU_ASSERT_EQUAL(count(joined), 2);
	CU_ASSERT_PTR_NULL(flights_land(&flights, &first));
	/* It has landed: the next one leads. */
	make(&third, "www.example.", DNS_TYPE_A, 77);
	CU_ASSERT(!flights_join(&flights, &third));
	CU_ASSERT_PTR_NULL(flights_land(&flights, &third));
}

static void test_other_questions_do_not_join(void)
{
	static struct flights flights;
	static struct query first, other;
	make(&first, "www.example.", DNS_TYPE_A, 77);
	CU_ASSERT(!flights_join(&flights, &first));
	/* Even if their hashes are the same, or their places. */
	make(&other, "ww.example.", DNS_TYPE_A, 77);
	CU_ASSERT(!flights_join(&flights, &other));
	make(&other, "www.example.", DNS_TYPE_AAAA, 77);
	CU_ASSERT(!flights_join(&flights, &other));
	make(&other, "www.example.", DNS_TYPE_A, 77);
	other.dns.edns.dnssec_ok = true;
	CU_ASSERT(!flights_join(&flights, &other));
	make(&other, "www.example.", DNS_TYPE_A, 77);
	other.plan = 2;
	CU_ASSERT(!flights_join(&flights, &other));
	make(&other, "www.example.", DNS_TYPE_A, 77 + FLIGHTS_PLACES);
	CU_ASSERT(!flights_join(&flights, &other));
	/* And when such a one lands, the leader stays. */
	CU_ASSERT_PTR_NULL(flights_land(&flights, &other));
	make(&other, "www.example.", DNS_TYPE_A, 77);
	CU_ASSERT(flights_join(&flights, &other));
	CU_ASSERT_PTR_EQUAL(flights_land(&flights, &first), &other);
}

static void test_a_full_flight_is_followed_by_another(void)
{
	static struct flights flights;
	static struct query queries[FLIGHTS_JOINED_MAX + 3];
	for (size_t i = 0; i < FLIGHTS_JOINED_MAX + 3; i++) {
		make(&queries[i], "www.example.", DNS_TYPE_A, 77);
		bool leads = i == 0 || i == FLIGHTS_JOINED_MAX + 1;
		CU_ASSERT_EQUAL(flights_join(&flights, &queries[i]), !leads);
	}
	CU_ASSERT_EQUAL(count(flights_land(&flights, &queries[0])), FLIGHTS_JOINED_MAX);
	CU_ASSERT_EQUAL(count(flights_land(&flights, &queries[FLIGHTS_JOINED_MAX + 1])), 1);
}

static void test_not_all_queries_wait_for_others(void)
{
	enum { LEADERS = FLIGHTS_JOINED_TOTAL / FLIGHTS_JOINED_MAX };
	static struct flights flights;
	static struct query leaders[LEADERS], joined[FLIGHTS_JOINED_TOTAL], other, more;
	for (size_t i = 0; i < LEADERS; i++) {
		make(&leaders[i], "www.example.", DNS_TYPE_A, i);
		CU_ASSERT(!flights_join(&flights, &leaders[i]));
	}
	make(&other, "ww.example.", DNS_TYPE_A, LEADERS);
	CU_ASSERT(!flights_join(&flights, &other));
	for (size_t i = 0; i < FLIGHTS_JOINED_TOTAL; i++) {
		make(&joined[i], "www.example.", DNS_TYPE_A, i % LEADERS);
		CU_ASSERT(flights_join(&flights, &joined[i]));
	}
	make(&more, "ww.example.", DNS_TYPE_A, LEADERS);
	CU_ASSERT(!flights_join(&flights, &more));
	CU_ASSERT_EQUAL(count(flights_land(&flights, &leaders[0])), FLIGHTS_JOINED_MAX);
	CU_ASSERT(flights_join(&flights, &more));
	CU_ASSERT_PTR_EQUAL(flights_land(&flights, &other), &more);
	for (size_t i = 1; i < LEADERS; i++)
		CU_ASSERT_EQUAL(count(flights_land(&flights, &leaders[i])), FLIGHTS_JOINED_MAX);
	CU_ASSERT_EQUAL(flights.joined, 0);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"the same question joins", test_the_same_question_joins},
		{"other questions do not join", test_other_questions_do_not_join},
		{"a full flight is followed by another", test_a_full_flight_is_followed_by_another},
		{"not all queries wait for others", test_not_all_queries_wait_for_others},
	};
	return SUITE_RUN("flights", tests);
}
