/* Names into addresses. Only "localhost" is looked up, which needs no network. */
#include "frontend/resolver.h"
#include "suite.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>

static _Atomic int changes;

static void count_change(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&changes, 1);
}

static struct address address_of(const char *text)
{
	struct address address;
	char error[200];
	CU_ASSERT_FATAL(address_parse(text, &address, error, sizeof(error)) == 0);
	return address;
}

/* True when one of the addresses is 127.0.0.1 with that port. */
static bool has_loopback(struct resolver *resolver, size_t index, unsigned short port)
{
	struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
	size_t count = resolver_read(resolver, index, found);
	for (size_t i = 0; i < count; i++) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&found[i];
		if (v4->sin_family == AF_INET && ntohl(v4->sin_addr.s_addr) == INADDR_LOOPBACK &&
		    ntohs(v4->sin_port) == port)
			return true;
	}
	return false;
}

static void test_names_are_looked_up(void)
{
	const struct address ip = address_of("192.0.2.1:1");
	const struct address name = address_of("localhost:8053");
	const struct address *names[] = {&ip, &name};
	atomic_store(&changes, 0);
	struct resolver *resolver = resolver_create(names, 2, count_change, NULL);
	CU_ASSERT_FATAL(resolver != NULL);
	resolver_wait(resolver, 5000);
	CU_ASSERT(has_loopback(resolver, 1, 8053));
	struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
	CU_ASSERT_EQUAL(resolver_read(resolver, 0, found), 0);
	resolver_destroy(resolver);
	CU_ASSERT_EQUAL(atomic_load(&changes), 1);
}

static void test_nothing_to_look_up(void)
{
	const struct address ip = address_of("192.0.2.1:1");
	const struct address *names[] = {&ip};
	struct resolver *resolver = resolver_create(names, 1, count_change, NULL);
	CU_ASSERT_FATAL(resolver != NULL);
	resolver_hurry(resolver, 0);
	resolver_wait(resolver, 5000);
	resolver_destroy(resolver);
}

static void test_a_reload_keeps_known_addresses(void)
{
	const struct address known = address_of("localhost:8053");
	const struct address other = address_of("localhost:8054");
	const struct address *before[] = {&known};
	const struct address *after[] = {&other, &known};
	struct resolver *old = resolver_create(before, 1, count_change, NULL);
	CU_ASSERT_FATAL(old != NULL);
	resolver_wait(old, 5000);
	struct resolver *resolver = resolver_create(after, 2, count_change, NULL);
	CU_ASSERT_FATAL(resolver != NULL);
	resolver_inherit(resolver, old);
	/* Inherited, or looked up already: never missing. */
	CU_ASSERT(has_loopback(resolver, 1, 8053));
	resolver_destroy(old);
	resolver_wait(resolver, 5000);
	CU_ASSERT(has_loopback(resolver, 0, 8054));
	CU_ASSERT_FALSE(has_loopback(resolver, 0, 8053));
	resolver_destroy(resolver);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"names are looked up", test_names_are_looked_up},
		{"nothing to look up", test_nothing_to_look_up},
		{"a reload keeps known addresses", test_a_reload_keeps_known_addresses},
	};
	return SUITE_RUN("resolver", tests);
}
