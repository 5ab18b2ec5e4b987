/* storage/redis_url.h: every form of URL, and a reason for each wrong one. */
#include "storage/redis_url.h"
#include "test/unit/suite.h"

#include <string.h>

static struct redis_url parsed;
static char reason[256];

/* Parses a URL that must be right. */
static void parse(const char *text)
{
	redis_url_clear(&parsed);
	CU_ASSERT_EQUAL(redis_url_parse(text, &parsed, reason, sizeof(reason)), 0);
}

/* True when the URL is refused with words that contain `words`. */
static bool refuses(const char *text, const char *words)
{
	struct redis_url url;

	if (redis_url_parse(text, &url, reason, sizeof(reason)) == 0) {
		redis_url_clear(&url);
		return false;
	}
	return strstr(reason, words) != NULL && url.hosts == NULL;
}

static bool is_host(size_t index, const char *name, unsigned int port)
{
	return index < parsed.host_count && strcmp(parsed.hosts[index].name, name) == 0 &&
	       parsed.hosts[index].port == port;
}

static void test_one_host(void)
{
	parse("redis://127.0.0.1:6380/2");
	CU_ASSERT(is_host(0, "127.0.0.1", 6380));
	CU_ASSERT_EQUAL(parsed.host_count, 1);
	CU_ASSERT_EQUAL(parsed.database, 2);
	CU_ASSERT_EQUAL(parsed.mode, REDIS_SINGLE);
	CU_ASSERT_FALSE(parsed.tls);
	CU_ASSERT_STRING_EQUAL(parsed.prefix, "dns:");
	CU_ASSERT_PTR_NULL(parsed.user);
	parse("redis://store.example");
	CU_ASSERT(is_host(0, "store.example", 6379));
	CU_ASSERT_EQUAL(parsed.database, 0);
	parse("redis://store.example/");
	CU_ASSERT_EQUAL(parsed.database, 0);
}

static void test_ipv6_hosts(void)
{
	parse("redis://[::1]:7000,[2001:db8::1]/1");
	CU_ASSERT(is_host(0, "::1", 7000));
	CU_ASSERT(is_host(1, "2001:db8::1", 6379));
	CU_ASSERT(refuses("redis://[::1", "\"[\""));
	CU_ASSERT(refuses("redis://[::1]7000", "\"]\""));
	CU_ASSERT(refuses("redis://::1:7000", "port"));
}

static void test_users_and_no_passwords(void)
{
	parse("redis://godwit@a:1/0");
	CU_ASSERT_STRING_EQUAL(parsed.user, "godwit");
	parse("redis://a%40b%2f@a:1/0");
	CU_ASSERT_STRING_EQUAL(parsed.user, "a@b/");
	CU_ASSERT(refuses("redis://godwit:secret@a:1/0", "password"));
	CU_ASSERT_PTR_NULL(strstr(reason, "secret"));
	CU_ASSERT(refuses("redis://:secret@a:1/0", "password"));
}

static void test_sentinels(void)
{
	parse("redis+sentinel://a,b:26380,c/my%20master/3?sentinel_user=x");
	CU_ASSERT_EQUAL(parsed.mode, REDIS_SENTINEL);
	CU_ASSERT_EQUAL(parsed.host_count, 3);
	CU_ASSERT(is_host(0, "a", 26379) && is_host(1, "b", 26380) && is_host(2, "c", 26379));
	CU_ASSERT_STRING_EQUAL(parsed.master, "my master");
	CU_ASSERT_EQUAL(parsed.database, 3);
	CU_ASSERT_STRING_EQUAL(parsed.sentinel_user, "x");
	CU_ASSERT(refuses("redis+sentinel://a,b", "master's name"));
	CU_ASSERT(refuses("redis+sentinel://a/m/x", "database"));
}

static void test_clusters(void)
{
	parse("rediss+cluster://a:7000,b:7001?prefix=%7bdns%7d:");
	CU_ASSERT_EQUAL(parsed.mode, REDIS_CLUSTER);
	CU_ASSERT(parsed.tls);
	CU_ASSERT_STRING_EQUAL(parsed.prefix, "{dns}:");
	CU_ASSERT(refuses("redis+cluster://a:7000/1", "database 0"));
}

static void test_tls(void)
{
	parse("rediss://a?ca=/etc/ca.pem&cert=c.pem&key=k.pem&server_name=redis.example");
	CU_ASSERT(parsed.tls);
	CU_ASSERT_STRING_EQUAL(parsed.ca, "/etc/ca.pem");
	CU_ASSERT_STRING_EQUAL(parsed.certificate, "c.pem");
	CU_ASSERT_STRING_EQUAL(parsed.key, "k.pem");
	CU_ASSERT_STRING_EQUAL(parsed.server_name, "redis.example");
	CU_ASSERT(refuses("redis://a?ca=x", "rediss"));
	CU_ASSERT(refuses("rediss://a?cert=x", "belong together"));
	CU_ASSERT(refuses("rediss://a?key=x", "belong together"));
}

static void test_unix_sockets(void)
{
	parse("redis+unix:///run/redis%20one.sock?db=4");
	CU_ASSERT(is_host(0, "/run/redis one.sock", 0));
	CU_ASSERT_EQUAL(parsed.database, 4);
	CU_ASSERT(refuses("redis+unix://run/redis.sock", "redis+unix:///"));
}

static void test_wrong_urls(void)
{
	CU_ASSERT(refuses("redis:", "\"//\""));
	CU_ASSERT(refuses("redis://", "host"));
	CU_ASSERT(refuses("redis://a,,b", "host"));
	CU_ASSERT(refuses("redis://a:0", "port"));
	CU_ASSERT(refuses("redis://a:65536", "port"));
	CU_ASSERT(refuses("redis://a:99999999999999999999", "port"));
	CU_ASSERT(refuses("redis://a:port", "port"));
	CU_ASSERT(refuses("redis://a/one", "database"));
	CU_ASSERT(refuses("redis://a/-1", "database"));
	CU_ASSERT(refuses("redis://a?prefix", "NAME=VALUE"));
	CU_ASSERT(refuses("redis://a?colour=red", "unknown parameter"));
	CU_ASSERT(refuses("redis://a?prefix=", "empty prefix"));
	CU_ASSERT(refuses("redis://a?prefix=%0", "hexadecimal"));
	CU_ASSERT(refuses("redis://a?prefix=%zz", "hexadecimal"));
	CU_ASSERT(refuses("redis://a?prefix=a%00b", "hexadecimal"));
	CU_ASSERT(refuses("redis+other://a", "scheme"));
}

static const struct suite_test tests[] = {
	{"a host, a port and a database", test_one_host},
	{"IPv6 addresses in brackets", test_ipv6_hosts},
	{"users, but no passwords", test_users_and_no_passwords},
	{"sentinels and their master's name", test_sentinels},
	{"the nodes of a cluster", test_clusters},
	{"files for TLS", test_tls},
	{"unix sockets", test_unix_sockets},
	{"wrong URLs are refused with a reason", test_wrong_urls},
};

int main(void)
{
	int status = SUITE_RUN("redis_url", tests);

	redis_url_clear(&parsed);
	return status;
}
