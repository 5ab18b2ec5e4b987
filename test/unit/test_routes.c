/* What services, addresses and labels together announce. */
#include "announcer/routes.h"
#include "suite.h"

#include <stdlib.h>
#include <string.h>

static struct announcer_address configured[2];
static struct announcer_service services[2];
static struct announcer_config config = {.services = services, .service_count = 2};
static struct service_state states[2];
static const struct service_state *const state_list[2] = {&states[0], &states[1]};
static struct address_entry entries[2];
static struct addresses addresses = {.entries = entries, .count = 2};
static struct netlink_address hosts[4];

static struct prefix prefix(const char *text)
{
	struct prefix made;
	char reason[100];
	CU_ASSERT_EQUAL_FATAL(prefix_parse(text, &made, reason, sizeof(reason)), 0);
	return made;
}

static void host(size_t at, const char *text, const char *label)
{
	hosts[at] =
		(struct netlink_address){.prefix = prefix(text), .interface = "lo", .usable = true};
	strcpy(hosts[at].label, label);
}

/* Two services, both up: one address each, and labels. */
static void start(void)
{
	memset(services, 0, sizeof(services));
	for (size_t i = 0; i < 2; i++) {
		configured[i] = (struct announcer_address){
			.prefix = prefix(i ? "2001:db8::53" : "192.0.2.53"),
			.interface = "lo",
			.local_pref = 100 + (uint32_t)i,
		};
		services[i].labels = (struct announcer_labels){
			.enabled = true, .interface = "lo", .local_pref = 200, .decrease = 10};
		entries[i] = (struct address_entry){
			.config = &configured[i], .service = i, .present = true};
		service_state_init(&states[i], 1000, 0);
		states[i].phase = SERVICE_UP;
	}
	strcpy(services[0].name, "a");
	strcpy(services[1].name, "b");
	strcpy(services[0].labels.prefix, "dns");
	strcpy(services[1].labels.prefix, "int");
}

static void build(struct routes *routes, size_t host_count)
{
	const struct routes_input input = {
		.config = &config,
		.states = state_list,
		.addresses = &addresses,
		.hosts = hosts,
		.host_count = host_count,
	};
	CU_ASSERT_EQUAL_FATAL(routes_build(routes, &input), 0);
}

static void test_each_service_lives_alone(void)
{
	struct routes routes;
	size_t count;
	start();
	states[0].phase = SERVICE_DOWN;
	strcpy(states[0].cause, "probe udp: refused");
	states[1].phase = SERVICE_DRAINING;
	build(&routes, 0);
	CU_ASSERT_EQUAL_FATAL(routes.count, 2);
	CU_ASSERT_FALSE(routes.rows[0].announced);
	CU_ASSERT_STRING_EQUAL(routes.rows[0].why, "service down: probe udp: refused");
	CU_ASSERT(routes.rows[1].announced);
	struct announcement *list = routes_list(&routes, &count);
	CU_ASSERT_EQUAL_FATAL(count, 1);
	CU_ASSERT(prefix_equal(&list[0].prefix, &configured[1].prefix));
	CU_ASSERT(list[0].graceful_shutdown);
	CU_ASSERT_EQUAL(list[0].local_pref, 101);
	free(list);
	routes_clear(&routes);
}

static void test_an_address_that_is_not_there_is_not_announced(void)
{
	struct routes routes;
	start();
	entries[0].present = false;
	strcpy(entries[0].error, "lo: No such device");
	build(&routes, 0);
	CU_ASSERT_FALSE(routes.rows[0].announced);
	CU_ASSERT_STRING_EQUAL(routes.rows[0].why, "it is not on lo: lo: No such device");
	CU_ASSERT(routes.rows[1].announced);
	routes_clear(&routes);
}

static void test_labels_add_addresses(void)
{
	struct routes routes;
	start();
	states[1].phase = SERVICE_DOWN;
	host(0, "192.0.2.60", "lo:dns1");
	host(1, "192.0.2.61", "lo:int");
	host(2, "192.0.2.53", "lo:dns3"); /* configured: its preference counts */
	host(3, "192.0.2.62", "lo");
	build(&routes, 4);
	CU_ASSERT_EQUAL_FATAL(routes.count, 4);
	CU_ASSERT(routes.rows[0].announced && !routes.rows[0].labelled);
	CU_ASSERT_EQUAL(routes.rows[0].announcement.local_pref, 100);
	CU_ASSERT(routes.rows[2].announced && routes.rows[2].labelled);
	CU_ASSERT_EQUAL(routes.rows[2].announcement.local_pref, 190);
	CU_ASSERT_FALSE(routes.rows[3].announced);
	CU_ASSERT_EQUAL(routes.rows[3].service, 1);
	routes_clear(&routes);
}

static void test_labels_that_cannot_be_followed_say_why(void)
{
	struct routes routes;
	start();
	host(0, "192.0.2.53", "lo:int"); /* a's */
	host(1, "192.0.2.0/24", "lo:dns");
	build(&routes, 2);
	CU_ASSERT_EQUAL_FATAL(routes.count, 4);
	CU_ASSERT_FALSE(routes.rows[2].announced);
	CU_ASSERT_STRING_EQUAL(routes.rows[2].why, "lo:dns is not one address's, /32");
	CU_ASSERT_FALSE(routes.rows[3].announced);
	CU_ASSERT_STRING_EQUAL(routes.rows[3].why, "lo:int: service a has it already");
	routes_clear(&routes);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"each service lives and dies alone", test_each_service_lives_alone},
		{"an address that is not there is not announced",
		 test_an_address_that_is_not_there_is_not_announced},
		{"labels add addresses", test_labels_add_addresses},
		{"labels that cannot be followed say why",
		 test_labels_that_cannot_be_followed_say_why},
	};
	return SUITE_RUN("routes", tests);
}
