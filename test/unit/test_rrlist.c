/* Sorting record lists, and the checks made on them. */
#include "ctl/check.h"
#include "ctl/rrlist.h"
#include "dns/name.h"
#include "dns/rdata.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rrlist list;

/* Adds one record; its line is its number. */
static void add(const char *owner, const char *type, const char *data)
{
	uint8_t name[DNS_NAME_MAX], rdata[1024];
	char reason[256];
	int number = dns_type_from_text(type);
	int size = dns_rdata_from_text((uint16_t)number, data, NULL, rdata, sizeof(rdata), reason,
				       sizeof(reason));
	CU_ASSERT_FATAL(dns_name_from_text(owner, strlen(owner), NULL, name) > 0 && size >= 0);
	struct rr rr = {
		.owner = name,
		.rdata = rdata,
		.file = "f",
		.line = (uint32_t)list.count + 1,
		.ttl = 300,
		.rdata_size = (uint16_t)size,
		.type = (uint16_t)number,
	};
	CU_ASSERT_EQUAL_FATAL(rrlist_add(&list, &rr), 0);
}

static void expect_order(const char *expected)
{
	char text[1024] = "";
	for (size_t i = 0; i < list.count; i++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, "%u ", list.records[i].line);
	}
	if (strcmp(text, expected) != 0)
		printf("\n  got %s\n", text);
	CU_ASSERT_STRING_EQUAL(text, expected);
}

/* Sorts, drops duplicates and checks. The line that is to blame, or 0. */
static uint32_t check(void)
{
	struct check_finding finding;
	CU_ASSERT_EQUAL(rrlist_sort(&list), 0);
	rrlist_drop_duplicates(&list);
	uint32_t line = check_names(&list, &finding) ? finding.record->line : 0;
	rrlist_clear(&list);
	return line;
}

static void test_canonical_order(void)
{
	/* RFC 4034 section 6.1, its own example, backwards. */
	add("\\200.z.example", "A", "192.0.2.1");
	add("*.z.example", "A", "192.0.2.1");
	add("\\001.z.example", "A", "192.0.2.1");
	add("z.example", "A", "192.0.2.1");
	add("zABC.a.EXAMPLE", "A", "192.0.2.1");
	add("Z.a.example", "A", "192.0.2.1");
	add("yljkjljk.a.example", "A", "192.0.2.1");
	add("a.example", "A", "192.0.2.1");
	add("example", "A", "192.0.2.1");
	CU_ASSERT_EQUAL(rrlist_sort(&list), 0);
	expect_order("9 8 7 6 5 4 3 2 1 ");
	rrlist_clear(&list);
}

static void test_order_within_a_name(void)
{
	add("a", "TXT", "x");
	add("a", "A", "192.0.2.2");
	add("a", "A", "192.0.2.1");
	add("a", "SOA", ". . 1 2 3 4 5");
	add("A", "A", "192.0.2.2");
	CU_ASSERT_EQUAL(rrlist_sort(&list), 0);
	expect_order("4 3 2 5 1 ");
	CU_ASSERT_EQUAL(rrlist_name_length(&list, 0), 5);
	CU_ASSERT_EQUAL(rrlist_rrset_length(&list, 1), 3);
	CU_ASSERT_EQUAL(rrlist_drop_duplicates(&list), 1);
	expect_order("4 3 2 1 ");
	rrlist_clear(&list);
}

static void test_data_is_compared_as_names(void)
{
	add("a", "MX", "10 Mail.example.");
	add("a", "MX", "10 mail.EXAMPLE.");
	add("a", "MX", "11 mail.example.");
	add("a", "TXT", "x");
	add("a", "TXT", "X");
	CU_ASSERT_EQUAL(rrlist_sort(&list), 0);
	CU_ASSERT_EQUAL(rrlist_drop_duplicates(&list), 1);
	rrlist_clear(&list);
}

static void test_sort_keeps_many_records(void)
{
	char owner[32];
	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(owner, sizeof(owner), "n%u.example", i * 7919 % 5000);
		add(owner, "A", "192.0.2.1");
	}
	CU_ASSERT_EQUAL(rrlist_sort(&list), 0);
	CU_ASSERT_EQUAL(list.count, 5000);
	for (size_t i = 1; i < list.count; i++)
		CU_ASSERT(rr_compare_owner(list.records[i - 1].owner, list.records[i].owner) < 0);
	CU_ASSERT_EQUAL(rrlist_drop_duplicates(&list), 0);
	rrlist_clear(&list);
}

static void test_cname_stands_alone(void)
{
	add("a", "CNAME", "b.");
	add("b", "A", "192.0.2.1");
	add("a", "TXT", "x");
	CU_ASSERT_EQUAL(check(), 3);
	add("a", "A", "192.0.2.1");
	add("A", "CNAME", "b.");
	CU_ASSERT_EQUAL(check(), 2);
	add("a", "CNAME", "b.");
	add("a", "CNAME", "c.");
	CU_ASSERT_EQUAL(check(), 2);
	/* Said twice is said once; a DNAME is other data; NSEC is not. */
	add("a", "CNAME", "b.");
	add("a", "CNAME", "B.");
	add("a", "NSEC", "b. CNAME");
	CU_ASSERT_EQUAL(check(), 0);
	add("a", "CNAME", "b.");
	add("a", "DNAME", "b.");
	CU_ASSERT_EQUAL(check(), 2);
}

static void test_one_dname_and_one_soa(void)
{
	add("a", "DNAME", "b.");
	add("a", "DNAME", "c.");
	CU_ASSERT_EQUAL(check(), 2);
	add("a", "SOA", ". . 1 2 3 4 5");
	add("a", "SOA", ". . 2 2 3 4 5");
	CU_ASSERT_EQUAL(check(), 2);
	add("a", "SOA", ". . 1 2 3 4 5");
	add("a", "A", "192.0.2.1");
	add("a", "SOA", ". . 1 2 3 4 5");
	CU_ASSERT_EQUAL(check(), 0);
}

static void test_unusual_is_no_error(void)
{
	add("z", "SOA", ". . 1 2 3 4 5");
	add("d.z", "NS", "ns.d.z.");
	add("x.d.z", "TXT", "below a delegation");
	add("dname.z", "DNAME", "x.");
	add("x.dname.z", "TXT", "below a DNAME");
	add("*.z", "NS", "a.");
	add("*.y.z", "DNAME", "a.");
	CU_ASSERT_EQUAL(check(), 0);
}

static void test_apex(void)
{
	struct check_finding finding;
	add("a.z", "A", "192.0.2.1");
	CU_ASSERT_PTR_NULL(check_find_apex(&list, &finding));
	CU_ASSERT_PTR_NULL(finding.record);
	add("Z", "SOA", ". . 1 2 3 4 5");
	const struct rr *soa = check_find_apex(&list, &finding);
	CU_ASSERT_PTR_NOT_NULL_FATAL(soa);
	CU_ASSERT_EQUAL(soa->line, 2);
	add("y", "A", "192.0.2.1");
	add("x", "A", "192.0.2.1");
	CU_ASSERT_PTR_NULL(check_find_apex(&list, &finding));
	CU_ASSERT_EQUAL(finding.record->line, 3);
	rrlist_clear(&list);

	add("z", "SOA", ". . 1 2 3 4 5");
	add("a.z", "SOA", ". . 1 2 3 4 5");
	CU_ASSERT_PTR_NULL(check_find_apex(&list, &finding));
	CU_ASSERT_EQUAL(finding.record->line, 2);
	rrlist_clear(&list);
}

static const struct suite_test tests[] = {
	{"names in canonical order", test_canonical_order},
	{"SOA first, then by type and data", test_order_within_a_name},
	{"equal data: names without case, text with", test_data_is_compared_as_names},
	{"many records", test_sort_keeps_many_records},
	{"a CNAME stands alone", test_cname_stands_alone},
	{"one DNAME and one SOA a name", test_one_dname_and_one_soa},
	{"what is merely unusual passes", test_unusual_is_no_error},
	{"the apex is the SOA's owner, and all is within", test_apex},
};

int main(void)
{
	return SUITE_RUN("rrlist", tests);
}
