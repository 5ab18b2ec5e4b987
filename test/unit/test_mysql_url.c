/* The URL of a MySQL store: what it may say, and what is said of one that is wrong. */
#include "storage/mysql_url.h"

#include "suite.h"

#include <string.h>

static char error[300];

static bool parse(struct mysql_url *url, const char *text)
{
	error[0] = '\0';
	return mysql_url_parse(url, text, error, sizeof(error));
}

static void takes_a_plain_url_apart(void)
{
	struct mysql_url url;

	CU_ASSERT_TRUE_FATAL(parse(&url, "//godwit@db1/pdns"));
	CU_ASSERT_STRING_EQUAL(url.user, "godwit");
	CU_ASSERT_EQUAL(url.host_count, 1);
	CU_ASSERT_STRING_EQUAL(url.hosts[0].name, "db1");
	CU_ASSERT_EQUAL(url.hosts[0].port, 3306);
	CU_ASSERT_STRING_EQUAL(url.database, "pdns");
	CU_ASSERT_EQUAL(url.tls, MYSQL_TLS_OFF);
	CU_ASSERT_PTR_NULL(url.socket);
	CU_ASSERT_EQUAL(url.poll_ms, 0);
	mysql_url_clear(&url);
}

static void takes_hosts_in_their_order(void)
{
	struct mysql_url url;

	CU_ASSERT_TRUE_FATAL(parse(&url, "//u@a:1,[2001:db8::1]:65535,c,[::1]/d"));
	CU_ASSERT_EQUAL_FATAL(url.host_count, 4);
	CU_ASSERT_STRING_EQUAL(url.hosts[0].name, "a");
	CU_ASSERT_EQUAL(url.hosts[0].port, 1);
	CU_ASSERT_STRING_EQUAL(url.hosts[1].name, "2001:db8::1");
	CU_ASSERT_EQUAL(url.hosts[1].port, 65535);
	CU_ASSERT_STRING_EQUAL(url.hosts[2].name, "c");
	CU_ASSERT_STRING_EQUAL(url.hosts[3].name, "::1");
	CU_ASSERT_EQUAL(url.hosts[3].port, 3306);
	mysql_url_clear(&url);
}

static void takes_parameters(void)
{
	struct mysql_url url;

	CU_ASSERT_TRUE_FATAL(parse(&url, "//u@/d?socket=/run/my.sock&poll_ms=250"));
	CU_ASSERT_EQUAL(url.host_count, 0);
	CU_ASSERT_STRING_EQUAL(url.socket, "/run/my.sock");
	CU_ASSERT_EQUAL(url.poll_ms, 250);
	mysql_url_clear(&url);
	CU_ASSERT_TRUE_FATAL(parse(&url, "//u@h/d?ca=/etc/ca%20file&cert=c&key=k"));
	CU_ASSERT_STRING_EQUAL(url.ca, "/etc/ca file");
	CU_ASSERT_STRING_EQUAL(url.certificate, "c");
	CU_ASSERT_STRING_EQUAL(url.key, "k");
	CU_ASSERT_EQUAL(url.tls, MYSQL_TLS_VERIFY);
	mysql_url_clear(&url);
	CU_ASSERT_TRUE_FATAL(parse(&url, "//u@h/d?ca=f&tls=required"));
	CU_ASSERT_EQUAL(url.tls, MYSQL_TLS_REQUIRED);
	mysql_url_clear(&url);
}

static void decodes_user_and_database(void)
{
	struct mysql_url url;

	CU_ASSERT_TRUE_FATAL(parse(&url, "//a%40b%2Fc@h/my%3Fdb"));
	CU_ASSERT_STRING_EQUAL(url.user, "a@b/c");
	CU_ASSERT_STRING_EQUAL(url.database, "my?db");
	mysql_url_clear(&url);
}

static void refuses_a_password_and_does_not_repeat_it(void)
{
	struct mysql_url url;

	CU_ASSERT_FALSE(parse(&url, "//u:hunter2@h/d"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "password"));
	CU_ASSERT_PTR_NULL(strstr(error, "hunter2"));
	CU_ASSERT_PTR_NULL(url.user);
}

static void says_what_is_wrong(void)
{
	static const struct {
		const char *url;
		const char *words;
	} cases[] = {
		{"u@h/d", "is not mysql://"},
		{"//h/d", "no user"},
		{"//@h/d", "no user"},
		{"//u@/d", "no host"},
		{"//u@h", "no database"},
		{"//u@h/", "no database"},
		{"//u@h:0/d", "port"},
		{"//u@h:65536/d", "port"},
		{"//u@h:/d", "port"},
		{"//u@h:33x/d", "port"},
		{"//u@[::1/d", "["},
		{"//u@[::1]x/d", "port"},
		{"//u@a,,b/d", "without a name"},
		{"//u@a,/d", "without a name"},
		{"//u%4@h/d", "hexadecimal"},
		{"//u%00@h/d", "hexadecimal"},
		{"//u@h/d?tls=maybe", "tls=maybe"},
		{"//u@h/d?tls=off&ca=f", "tls=off"},
		{"//u@h/d?cert=f", "cert= and key="},
		{"//u@h/d?poll_ms=0", "poll_ms=0"},
		{"//u@h/d?poll_ms=-1", "poll_ms=-1"},
		{"//u@h/d?socket=", "empty socket="},
		{"//u@h/d?speed=9", "unknown parameter speed"},
		{"//u@h/d?tls", "without ="},
	};
	struct mysql_url url;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_FALSE(parse(&url, cases[i].url));
		CU_ASSERT_PTR_NOT_NULL(strstr(error, cases[i].words));
		mysql_url_clear(&url);
	}
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"takes a plain URL apart", takes_a_plain_url_apart},
		{"takes hosts in their order", takes_hosts_in_their_order},
		{"takes parameters", takes_parameters},
		{"decodes user and database", decodes_user_and_database},
		{"refuses a password and does not repeat it",
		 refuses_a_password_and_does_not_repeat_it},
		{"says what is wrong", says_what_is_wrong},
	};

	return SUITE_RUN("mysql_url", tests);
}
