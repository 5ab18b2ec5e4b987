/* Labels of addresses: which count, and with what preference. */
#include "announcer/labels.h"
#include "suite.h"

#include <arpa/inet.h>
#include <string.h>

static const struct announcer_labels labels = {
	.enabled = true,
	.interface = "lo",
	.prefix = "dns",
	.local_pref = 200,
	.decrease = 10,
};

static void test_which_labels_match(void)
{
	static const struct {
		const char *label;
		bool match;
		uint32_t index;
	} cases[] = {
		{"lo:dns", true, 0},    {"lo:dns0", true, 0},
		{"lo:dns1", true, 1},   {"lo:dns12", true, 12},
		{"lo:dns01", false, 0}, {"lo:dnsx", false, 0},
		{"lo:dns1x", false, 0}, {"lo:dn", false, 0},
		{"lo:", false, 0},      {"lo", false, 0},
		{"", false, 0},         {"lo0:dns", false, 0},
		{"eth0:dns", false, 0}, {"lo:DNS", false, 0},
		{"lo:dns-1", false, 0}, {"lo:dns1234567890", false, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t index = 0;
		CU_ASSERT_EQUAL(labels_match(&labels, cases[i].label, &index), cases[i].match);
		if (cases[i].match)
			CU_ASSERT_EQUAL(index, cases[i].index);
	}
}

static void test_preference_never_wraps(void)
{
	struct announcer_labels steep = labels;
	CU_ASSERT_EQUAL(labels_local_pref(&labels, 0), 200);
	CU_ASSERT_EQUAL(labels_local_pref(&labels, 3), 170);
	CU_ASSERT_EQUAL(labels_local_pref(&labels, 20), 0);
	CU_ASSERT_EQUAL(labels_local_pref(&labels, 999999999), 0);
	steep.decrease = UINT32_MAX;
	CU_ASSERT_EQUAL(labels_local_pref(&steep, 999999999), 0);
	steep.decrease = 0;
	CU_ASSERT_EQUAL(labels_local_pref(&steep, 999999999), 200);
}

static struct netlink_address address(const char *ip, uint8_t length, const char *label)
{
	struct netlink_address made = {
		.prefix = {.family = AF_INET, .length = length},
		.interface = "lo",
		.usable = true,
	};
	inet_pton(AF_INET, ip, made.prefix.address);
	strcpy(made.label, label);
	return made;
}

static void test_which_addresses_are_taken(void)
{
	uint32_t preference = 0;
	bool wider;
	struct netlink_address found = address("192.0.2.54", 32, "lo:dns1");
	CU_ASSERT(labels_take(&labels, &found, &preference, &wider));
	CU_ASSERT_EQUAL(preference, 190);
	CU_ASSERT_FALSE(wider);
	found.usable = false;
	CU_ASSERT_FALSE(labels_take(&labels, &found, &preference, &wider));
	found = address("192.0.2.54", 24, "lo:dns1");
	CU_ASSERT_FALSE(labels_take(&labels, &found, &preference, &wider));
	CU_ASSERT(wider);
	found = address("192.0.2.54", 24, "lo");
	CU_ASSERT_FALSE(labels_take(&labels, &found, &preference, &wider));
	CU_ASSERT_FALSE(wider);
	found = address("192.0.2.54", 32, "lo:dns1");
	strcpy(found.interface, "eth0");
	CU_ASSERT_FALSE(labels_take(&labels, &found, &preference, &wider));
	static const struct announcer_labels none;
	found = address("192.0.2.54", 32, "");
	CU_ASSERT_FALSE(labels_take(&none, &found, &preference, &wider));
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"which labels match", test_which_labels_match},
		{"the preference never goes below zero", test_preference_never_wraps},
		{"which addresses are taken", test_which_addresses_are_taken},
	};
	return SUITE_RUN("labels", tests);
}
