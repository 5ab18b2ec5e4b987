/* Stored records into RRsets: what is merged, what is kept, what is left out. */
#include "backend/rrsets.h"
#include "dns/protocol.h"
#include "suite.h"

#include <stdint.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* What the builder reported in one test. */
struct reports {
	size_t rejected;
	size_t odd;
	char keys[256]; /* of what was rejected, each with a blank behind it */
};

static void on_rejected(void *ctx, const struct storage_name *name,
			const struct storage_record *record, const char *reason)
{
	struct reports *reports = ctx;

	CU_ASSERT_PTR_NOT_NULL(name);
	CU_ASSERT(reason[0] != '\0');
	reports->rejected++;
	strncat(reports->keys, record->key, sizeof(reports->keys) - strlen(reports->keys) - 2);
	strcat(reports->keys, " ");
}

static void on_odd(void *ctx, const struct storage_name *name, const char *what)
{
	struct reports *reports = ctx;

	CU_ASSERT_PTR_NOT_NULL(name);
	CU_ASSERT_PTR_NOT_NULL(what);
	reports->odd++;
}

static struct reports reports;
static struct rrsets *rrsets;

static size_t build(const struct storage_record *records, size_t count, bool at_apex,
		    const struct mirror_rrset_input **out)
{
	const struct storage_name name = {"example.com", "www.example.com", records, count};

	memset(&reports, 0, sizeof(reports));
	return rrsets_build(rrsets, &name, at_apex, out);
}

/* The octets of the set's record `index`; its size into `size`. */
static const uint8_t *data_of(const struct mirror_rrset_input *set, size_t index, uint16_t *size)
{
	const uint8_t *at = set->data;

	memcpy(size, at, sizeof(*size));
	for (size_t i = 0; i < index; i++) {
		at += sizeof(*size) + *size;
		memcpy(size, at, sizeof(*size));
	}
	return at + sizeof(*size);
}

static void test_records_are_grouped_by_type(void)
{
	static const struct storage_record records[] = {
		{"TXT", "\"words\"", 300, "1"},
		{"A", "192.0.2.2", 300, "2"},
		{"AAAA", "2001:db8::1", 60, "3"},
		{"a", "192.0.2.1", 300, "4"},
	};
	const struct mirror_rrset_input *sets;
	const uint8_t *data;
	uint16_t size;

	CU_ASSERT_EQUAL_FATAL(build(records, COUNT(records), false, &sets), 3);
	CU_ASSERT_EQUAL(sets[0].type, DNS_TYPE_A);
	CU_ASSERT_EQUAL(sets[1].type, DNS_TYPE_TXT);
	CU_ASSERT_EQUAL(sets[2].type, DNS_TYPE_AAAA);
	CU_ASSERT_EQUAL(sets[2].ttl, 60);
	CU_ASSERT_EQUAL_FATAL(sets[0].count, 2);
	CU_ASSERT_EQUAL(sets[0].size, 2 * (2 + 4));
	data = data_of(&sets[0], 0, &size);
	CU_ASSERT(size == 4 && memcmp(data, "\xc0\x00\x02\x01", 4) == 0);
	data = data_of(&sets[0], 1, &size);
	CU_ASSERT(size == 4 && memcmp(data, "\xc0\x00\x02\x02", 4) == 0);
	CU_ASSERT_EQUAL(reports.rejected, 0);
}

static void test_equal_records_are_merged_with_the_lowest_ttl(void)
{
	static const struct storage_record records[] = {
		{"A", "192.0.2.1", 300, "1"},
		{"A", "192.0.2.1", 60, "2"},
		{"A", "192.0.2.2", 90, "3"},
	};
	const struct mirror_rrset_input *sets;

	CU_ASSERT_EQUAL_FATAL(build(records, COUNT(records), false, &sets), 1);
	CU_ASSERT_EQUAL(sets[0].count, 2);
	CU_ASSERT_EQUAL(sets[0].ttl, 60);
	CU_ASSERT_EQUAL(reports.rejected, 0);
}

static void test_ttls_beyond_31_bits_count_as_zero(void)
{
	static const struct storage_record records[] = {{"A", "192.0.2.1", 0x80000000, "1"}};
	const struct mirror_rrset_input *sets;

	CU_ASSERT_EQUAL_FATAL(build(records, COUNT(records), false, &sets), 1);
	CU_ASSERT_EQUAL(sets[0].ttl, 0);
}

static void test_what_does_not_parse_is_left_out(void)
{
	static const struct storage_record records[] = {
		{"A", "192.0.2.300", 300, "1"}, {"A", "192.0.2.1", 300, "2"},
		{"NONSENSE", "x", 300, "3"},    {"MX", "mail.example.com", 300, "4"},
		{"OPT", "\\# 0", 300, "5"},     {"ANY", "\\# 0", 300, "6"},
	};
	const struct mirror_rrset_input *sets;

	CU_ASSERT_EQUAL_FATAL(build(records, COUNT(records), false, &sets), 1);
	CU_ASSERT_EQUAL(sets[0].count, 1);
	CU_ASSERT_STRING_EQUAL(reports.keys, "1 3 4 5 6 ");
}

static void test_of_singletons_the_first_stays(void)
{
	static const char *const types[] = {"CNAME", "DNAME"};

	for (size_t i = 0; i < COUNT(types); i++) {
		const struct storage_record records[] = {
			{types[i], "z.example.com", 300, "1"},
			{types[i], "a.example.com", 60, "2"},
			{types[i], "z.example.com", 200, "3"},
		};
		const struct mirror_rrset_input *sets;
		const uint8_t *data;
		uint16_t size;

		CU_ASSERT_EQUAL_FATAL(build(records, COUNT(records), false, &sets), 1);
		CU_ASSERT_EQUAL(sets[0].count, 1);
		CU_ASSERT_EQUAL(sets[0].ttl, 200);
		data = data_of(&sets[0], 0, &size);
		CU_ASSERT(size > 2 && memcmp(data, "\1z", 2) == 0);
		CU_ASSERT_STRING_EQUAL(reports.keys, "2 ");
	}
}

static void test_soa_belongs_to_the_apex(void)
{
	static const struct storage_record records[] = {
		{"SOA", "ns1.example.com hostmaster.example.com 1 2 3 4 5", 300, "1"},
		{"SOA", "ns2.example.com hostmaster.example.com 1 2 3 4 5", 300, "2"},
	};
	const struct mirror_rrset_input *sets;

	CU_ASSERT_EQUAL(build(records, COUNT(records), false, &sets), 0);
	CU_ASSERT_EQUAL(reports.rejected, 2);
	CU_ASSERT_EQUAL_FATAL(build(records, COUNT(records), true, &sets), 1);
	CU_ASSERT_EQUAL(sets[0].count, 1);
	CU_ASSERT_STRING_EQUAL(reports.keys, "2 ");
}

static void test_a_cname_beside_data_is_odd_but_served(void)
{
	static const struct storage_record records[] = {
		{"CNAME", "a.example.com", 300, "1"},
		{"A", "192.0.2.1", 300, "2"},
	};
	const struct mirror_rrset_input *sets;

	CU_ASSERT_EQUAL(build(records, COUNT(records), false, &sets), 2);
	CU_ASSERT_EQUAL(reports.odd, 1);
	CU_ASSERT_EQUAL(build(records, 1, false, &sets), 1);
	CU_ASSERT_EQUAL(reports.odd, 0);
}

static void test_no_records_are_no_sets(void)
{
	const struct mirror_rrset_input *sets;

	CU_ASSERT_EQUAL(build(NULL, 0, false, &sets), 0);
	CU_ASSERT_EQUAL(reports.rejected, 0);
}

static void test_large_sets_keep_every_record(void)
{
	enum { RECORDS = 4200 };
	static struct storage_record records[RECORDS];
	static char contents[RECORDS][16];
	const struct mirror_rrset_input *sets;

	for (int i = 0; i < RECORDS; i++) {
		snprintf(contents[i], sizeof(contents[i]), "10.0.%d.%d", i / 250, i % 250);
		records[i] = (struct storage_record){"A", contents[i], 300, "key"};
	}
	CU_ASSERT_EQUAL_FATAL(build(records, 4000, false, &sets), 1);
	CU_ASSERT_EQUAL(sets[0].count, 4000);
	CU_ASSERT_EQUAL(sets[0].size, 4000 * 6);
	CU_ASSERT_EQUAL(reports.odd, 0);
	CU_ASSERT_EQUAL(build(records, RECORDS, false, &sets), 1);
	CU_ASSERT_EQUAL(reports.odd, 1); /* kept, but no reply can hold it */
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"records are grouped by type", test_records_are_grouped_by_type},
		{"equal records are merged", test_equal_records_are_merged_with_the_lowest_ttl},
		{"TTLs beyond 31 bits are zero", test_ttls_beyond_31_bits_count_as_zero},
		{"what does not parse is left out", test_what_does_not_parse_is_left_out},
		{"of singletons the first stays", test_of_singletons_the_first_stays},
		{"an SOA belongs to the apex", test_soa_belongs_to_the_apex},
		{"a CNAME beside data", test_a_cname_beside_data_is_odd_but_served},
		{"no records are no sets", test_no_records_are_no_sets},
		{"large sets keep every record", test_large_sets_keep_every_record},
	};
	const struct rrsets_report report = {&reports, on_rejected, on_odd};
	int status;

	rrsets = rrsets_create(&report);
	if (rrsets == NULL)
		return 1;
	status = SUITE_RUN("rrsets", tests);
	rrsets_destroy(rrsets);
	return status;
}
