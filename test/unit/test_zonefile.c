/*
 * The master-file reader against what real files hold, and what hostile ones might. A test writes a
 * file, reads it, and compares the records, one line each, or the error with its place.
 */
#include "ctl/lexer.h"
#include "ctl/origin.h"
#include "ctl/ttl.h"
#include "ctl/zonefile.h"
#include "dns/name.h"
#include "dns/rdata.h"
#include "suite.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX (256 * 1024)
#define SOA "@ 300 IN SOA ns hostmaster 1 2 3 4 5\n"

static char directory[64]; /* of main's, for all tests */

/* What a read came to. */
struct result {
	int status;
	size_t records;
	char text[TEXT_MAX];
	char error[ZONEFILE_ERROR_MAX + 512];
};

static struct result result;

static int collect(void *ctx, const struct zonefile_record *record, char *error, size_t error_size)
{
	static char data[TEXT_MAX];
	char owner[DNS_NAME_TEXT_MAX], type[DNS_TYPE_TEXT_MAX];
	struct result *out = ctx;
	size_t used = strlen(out->text);

	(void)error, (void)error_size;
	out->records++;
	dns_name_to_text(record->owner, owner);
	dns_type_to_text(record->type, type);
	if (dns_rdata_to_text(record->type, record->rdata, record->rdata_size, data, sizeof(data)) <
	    0)
		snprintf(data, sizeof(data), "?");
	snprintf(out->text + used, sizeof(out->text) - used, "%s %u %s %s\n", owner, record->ttl,
		 type, data);
	return 0;
}

static int count_record(void *ctx, const struct zonefile_record *record, char *error,
			size_t error_size)
{
	(void)ctx, (void)record, (void)error, (void)error_size;
	return 0;
}

static void write_octets(const char *name, const char *octets, size_t size)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	CU_ASSERT_EQUAL(fwrite(octets, 1, size, file), size);
	fclose(file);
}

static void write_file(const char *name, const char *text)
{
	write_octets(name, text, strlen(text));
}

/* Reads directory/NAME with an origin in presentation form, or none. */
static void read_file(const char *name, const char *origin)
{
	uint8_t octets[DNS_NAME_MAX];
	char path[128];
	const struct zonefile_sink sink = {.ctx = &result, .record = collect};

	memset(&result, 0, sizeof(result));
	if (origin)
		dns_name_from_text(origin, strlen(origin), NULL, octets);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	result.status = zonefile_read(path, origin ? octets : NULL, &sink, result.error,
				      sizeof(result.error));
}

static void read_text(const char *text, const char *origin)
{
	write_file("file", text);
	read_file("file", origin);
}

static void expect_records(const char *text, const char *origin, const char *records)
{
	read_text(text, origin);
	if (result.status || strcmp(result.text, records) != 0)
		printf("\n  got %s\n%s", result.error, result.text);
	CU_ASSERT_EQUAL(result.status, 0);
	CU_ASSERT_STRING_EQUAL(result.text, records);
}

/* The error must begin with FILE:PLACE and hold the words. */
static void expect_error_of(const char *name, const char *place, const char *words)
{
	char begin[160];
	snprintf(begin, sizeof(begin), "%s/%s:%s: ", directory, name, place);
	bool right = result.status == -1 && strncmp(result.error, begin, strlen(begin)) == 0 &&
		     strstr(result.error, words);
	if (!right)
		printf("\n  wanted %s...%s\n  got %d %s\n", begin, words, result.status,
		       result.error);
	CU_ASSERT(right);
}

static void expect_error(const char *text, const char *place, const char *words)
{
	read_text(text, "example.");
	expect_error_of("file", place, words);
}

static void test_rfc1035_example(void)
{
	expect_records("$ORIGIN ISI.EDU.\n"
		       "$TTL 60\n"
		       "@   IN  SOA     VENERA      Action\\.domains (\n"
		       "                                 20     ; SERIAL\n"
		       "                                 7200   ; REFRESH\n"
		       "                                 600    ; RETRY\n"
		       "                                 3600000; EXPIRE\n"
		       "                                 60)    ; MINIMUM\n"
		       "\n"
		       "        NS      A.ISI.EDU.\n"
		       "        NS      VENERA\n"
		       "        MX      10      VENERA\n"
		       "A       A       26.3.0.103\n",
		       NULL,
		       "ISI.EDU. 60 SOA VENERA.ISI.EDU. Action\\.domains.ISI.EDU. 20 7200 600 "
		       "3600000 60\n"
		       "ISI.EDU. 60 NS A.ISI.EDU.\n"
		       "ISI.EDU. 60 NS VENERA.ISI.EDU.\n"
		       "ISI.EDU. 60 MX 10 VENERA.ISI.EDU.\n"
		       "A.ISI.EDU. 60 A 26.3.0.103\n");
}

static void test_ttl_and_class_in_any_order(void)
{
	expect_records("a 1 IN A 192.0.2.1\n"
		       "b IN 2 A 192.0.2.1\n"
		       "c in A 192.0.2.1\n"
		       "d 1h1M A 192.0.2.1\n"
		       "e CLASS1 4 TYPE1 192.0.2.1\n"
		       "in in A 192.0.2.1\n"
		       "60 60 A 192.0.2.1\n",
		       "x.",
		       "a.x. 1 A 192.0.2.1\nb.x. 2 A 192.0.2.1\nc.x. 2 A 192.0.2.1\n"
		       "d.x. 3660 A 192.0.2.1\ne.x. 4 A 192.0.2.1\nin.x. 4 A 192.0.2.1\n"
		       "60.x. 60 A 192.0.2.1\n");
}

static void test_ttl_defaults(void)
{
	/* The SOA's minimum, then the last one given, then $TTL for all after it. */
	expect_records("@ SOA ns h 1 2 3 4 77\n"
		       "a A 192.0.2.1\n"
		       "b 5 A 192.0.2.1\n"
		       "c A 192.0.2.1\n"
		       "$TTL 1d\n"
		       "d A 192.0.2.1\n"
		       "e 6 A 192.0.2.1\n"
		       "f A 192.0.2.1\n",
		       "x.",
		       "x. 77 SOA ns.x. h.x. 1 2 3 4 77\na.x. 77 A 192.0.2.1\nb.x. 5 A 192.0.2.1\n"
		       "c.x. 5 A 192.0.2.1\nd.x. 86400 A 192.0.2.1\ne.x. 6 A 192.0.2.1\n"
		       "f.x. 86400 A 192.0.2.1\n");
	expect_error("a A 192.0.2.1\n", "1", "$TTL");
	expect_error("$TTL 2147483648\n", "1", "$TTL");
	expect_error("$TTL\n", "1", "$TTL");
	expect_error("$TTL 3x\n", "1", "$TTL");
	expect_error("a 2147483648 A 192.0.2.1\n", "1", "2147483648 is neither");
}

static void test_white_space_and_line_ends(void)
{
	expect_records("a\t1\tA\t192.0.2.1\r\n"
		       "\tAAAA 2001:db8::1 ; comment ( \" \\\r\n"
		       "   \t \r\n"
		       ";\r\n"
		       " ; only a comment\r\n"
		       "\tTXT a b",
		       "x.",
		       "a.x. 1 A 192.0.2.1\na.x. 1 AAAA 2001:db8::1\na.x. 1 TXT \"a\" \"b\"\n");
	expect_records("\xef\xbb\xbf"
		       "a 1 A 192.0.2.1\n",
		       "x.", "a.x. 1 A 192.0.2.1\n");
	expect_records("", "x.", "");
	expect_records(";", "x.", "");
	expect_records("( )\n(\n)\n", "x.", "");
}

static void test_parentheses(void)
{
	expect_records("a 1 A(192.0.2.1)\n"
		       "(b 1 A 192.0.2.1\n"
		       ")\n"
		       "c ( 1 ; one\n A\n ( 192.0.2.1 ) )\n"
		       "\t( A ) 192.0.2.2\n",
		       "x.",
		       "a.x. 1 A 192.0.2.1\nb.x. 1 A 192.0.2.1\nc.x. 1 A 192.0.2.1\n"
		       "c.x. 1 A 192.0.2.2\n");
	expect_error("a 1 A 192.0.2.1\nb 1 A ( 192.0.2.1\nc 1 A 192.0.2.1\n", "2", "never closed");
	expect_error("\na 1 A 192.0.2.1 )\n", "2", "without a \"(\"");
	expect_error("a 1 A ( 192.0.2.1 ))\n", "1", "without a \"(\"");
}

static void test_quotes_and_escapes(void)
{
	expect_records("a 1 TXT \"one; (two)\" three\\;four \"fi\\\"ve\" \"\" si\\032x\n"
		       "b\\.c 1 A 192.0.2.1\n"
		       "\\@ 1 A 192.0.2.1\n"
		       "\\$TTL 1 A 192.0.2.1\n"
		       "d\\032\\(\\000 1 A 192.0.2.1\n",
		       "x.",
		       "a.x. 1 TXT \"one; (two)\" \"three;four\" \"fi\\\"ve\" \"\" \"si x\"\n"
		       "b\\.c.x. 1 A 192.0.2.1\n\\@.x. 1 A 192.0.2.1\n\\$TTL.x. 1 A 192.0.2.1\n"
		       "d\\032\\(\\000.x. 1 A 192.0.2.1\n");
	expect_error("a 1 TXT \"open\nb 1 A 192.0.2.1\n", "1", "not closed");
	expect_error("a 1 TXT \"open", "1", "not closed");
	expect_error("\na 1 TXT \\", "2", "backslash");
	expect_error("a 1 TXT \\\nb 1 A 192.0.2.1\n", "1", "backslash");
	expect_error("\"a\" 1 A 192.0.2.1\n", "1", "without quotes");
	expect_error("a\\256 1 A 192.0.2.1\n", "1", "owner name a\\256");
}

static void test_names(void)
{
	expect_records("$ORIGIN sub\n"
		       "@ 1 NS @\n"
		       "* 1 NS *\n"
		       "$ORIGIN deep.er\n"
		       "a 1 CNAME b\n"
		       "$ORIGIN .\n"
		       "com 1 NS a.root\n"
		       ". 1 NS a.\n",
		       "x.",
		       "sub.x. 1 NS sub.x.\n*.sub.x. 1 NS *.sub.x.\n"
		       "a.deep.er.sub.x. 1 CNAME b.deep.er.sub.x.\ncom. 1 NS a.root.\n. 1 NS a.\n");
	expect_error("a..b 1 A 192.0.2.1\n", "1", "owner name a..b");
	expect_error("$ORIGIN a b\n", "1", "$ORIGIN");
	expect_error(" 1 A 192.0.2.1\n", "1", "there is none");
	expect_error(
		"0123456789012345678901234567890123456789012345678901234567890123 1 A 192.0.2.1\n",
		"1", "63");
}

static void test_types(void)
{
	expect_records("a 1 TYPE65280 \\# 3 ( 01\n 02 03 )\n"
		       "a 1 TYPE1 \\# 4 c0000201\n"
		       "a 1 A \\# 4 c0000201\n"
		       "a 1 SVCB 1 svc alpn=\"h2,h3\" port=853\n"
		       "a 1 CAA 0 issue \"ca.example; x=1\"\n"
		       "a 1 SRV 1 2 3 target\n"
		       "a 1 NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@x!\" .\n"
		       "a 1 DS 1 8 2 ( 00112233445566778899AABBCCDDEEFF\n"
		       " 00112233445566778899AABBCCDDEEFF )\n"
		       "@ 1 SOA ns h 1 1h 2M 1w 0\n",
		       "x.",
		       "a.x. 1 TYPE65280 \\# 3 010203\n"
		       "a.x. 1 A 192.0.2.1\n"
		       "a.x. 1 A 192.0.2.1\n"
		       "a.x. 1 SVCB 1 svc.x. alpn=h2,h3 port=853\n"
		       "a.x. 1 CAA 0 issue \"ca.example; x=1\"\n"
		       "a.x. 1 SRV 1 2 3 target.x.\n"
		       "a.x. 1 NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@x!\" .\n"
		       "a.x. 1 DS 1 8 2 "
		       "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
		       "x. 1 SOA ns.x. h.x. 1 3600 120 604800 0\n");
}

static void test_bad_records_are_placed(void)
{
	expect_error(SOA "a 1 A 192.0.2.256\n", "2", "192.0.2.256");
	expect_error(SOA "\n\na 1 A (\n 192.0.2.1\n 192.0.2.2 )\n", "4", "192.0.2.1 192.0.2.2");
	expect_error("a 1 A\n", "1", "no data");
	expect_error("a 1 MX mail\n", "1", "MX data \"mail\"");
	expect_error("a 1\n", "1", "no record type");
	expect_error("a\n", "1", "no record type");
	expect_error("a 1 IN NONSENSE 1\n", "1", "NONSENSE is neither");
	expect_error("a 1 CH A 192.0.2.1\n", "1", "only IN");
	expect_error("a 1 CLASS3 A 192.0.2.1\n", "1", "only IN");
	expect_error("a 1 ANY 192.0.2.1\n", "1", "cannot stand in a zone");
	expect_error("a 1 OPT \\# 0\n", "1", "cannot stand in a zone");
	expect_error("$NONSENSE 1\n", "1", "unknown directive $NONSENSE");
}

static void test_origin_is_asked_for_only_when_needed(void)
{
	expect_records("a.example. 1 CNAME b.example.\n", NULL, "a.example. 1 CNAME b.example.\n");
	expect_records("x. 1 SOA ns.x. h.x. 1 2 3 4 5\nwww 1 A 192.0.2.1\n", NULL,
		       "x. 1 SOA ns.x. h.x. 1 2 3 4 5\nwww.x. 1 A 192.0.2.1\n");
	expect_records("x. 1 SOA ns h 1 2 3 4 5\n", NULL, "x. 1 SOA ns.x. h.x. 1 2 3 4 5\n");
	read_text("a.example. 1 CNAME b\n", NULL);
	expect_error_of("file", "1", "--origin");
	read_text("\na 1 A 192.0.2.1\n", NULL);
	expect_error_of("file", "2", "--origin");

	write_file("db.example.org", "@ 1 SOA ns h 1 2 3 4 5\n");
	read_file("db.example.org", NULL);
	CU_ASSERT_EQUAL(result.status, 0);
	CU_ASSERT_STRING_EQUAL(result.text, "example.org. 1 SOA ns.example.org. h.example.org. 1 2 "
					    "3 4 5\n");
}

static void test_origins_from_file_names(void)
{
	static const struct {
		const char *path;
		const char *origin; /* NULL: none */
	} cases[] = {
		{"example.com", "example.com."},
		{"/some/where/example.com.zone", "example.com."},
		{"db.example.com", "example.com."},
		{"zones.d/2.0.192.in-addr.arpa.db", "2.0.192.in-addr.arpa."},
		{"_tcp.example.com.txt", "_tcp.example.com."},
		{"com.zone", "com."},
		{"zonefile", NULL},
		{"example com.zone", NULL},
		{"db.", NULL},
		{".zone", NULL},
		{"a..b", NULL},
		{"", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t origin[DNS_NAME_MAX];
		char text[DNS_NAME_TEXT_MAX] = "";
		bool found = origin_from_path(cases[i].path, origin);
		CU_ASSERT_EQUAL(found, cases[i].origin != NULL);
		if (!found || !cases[i].origin)
			continue;
		dns_name_to_text(origin, text);
		CU_ASSERT_STRING_EQUAL(text, cases[i].origin);
	}
}

static void test_include(void)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/sub", directory);
	mkdir(path, 0700);
	write_file("sub/one", "b 1 A 192.0.2.1\n$ORIGIN elsewhere.\nc A 192.0.2.2\n$INCLUDE two\n");
	write_file("sub/two", "d A 192.0.2.3\n");
	expect_records("a 9 A 192.0.2.9\n"
		       "$INCLUDE sub/one inner\n"
		       "\tAAAA 2001:db8::1\n"
		       "$INCLUDE \"sub/two\" ; comment\n"
		       "e A 192.0.2.4\n",
		       "x.",
		       "a.x. 9 A 192.0.2.9\nb.inner.x. 1 A 192.0.2.1\nc.elsewhere. 1 A 192.0.2.2\n"
		       "d.elsewhere. 1 A 192.0.2.3\na.x. 1 AAAA 2001:db8::1\nd.x. 1 A 192.0.2.3\n"
		       "e.x. 1 A 192.0.2.4\n");
	write_file("sub/bad", "\n\nf 1 A nonsense\n");
	read_text("$INCLUDE sub/bad\n", "x.");
	expect_error_of("sub/bad", "3", "nonsense");
	expect_error("\n$INCLUDE missing\n", "2", "cannot open");
	expect_error("$INCLUDE\n", "1", "$INCLUDE takes");
	expect_error("$INCLUDE a b c\n", "1", "$INCLUDE takes");
}

static void test_generate(void)
{
	expect_records("$TTL 60\n"
		       "a A 192.0.2.1\n"
		       "$GENERATE 1-3 host-$ A 192.0.2.$ ; three\n"
		       "\tTXT still-a\n"
		       "$generate 0-20/10 ${-0,3} 5 in PTR h${5,2,x}.$\n"
		       "$GENERATE 1-2 $.${0,3,n} IN 1m MX \"1$ mail$\"\n"
		       "$GENERATE 7-7 t TXT \"\\\"a $\\\" $\"\n"
		       "$GENERATE 7-7 u TXT \"a $\" \"b $$\"\n"
		       "$GENERATE 7-7 $$\\$ TYPE65280 \\# 2 0${0,3,d}\n"
		       "b A 192.0.2.2\n",
		       "x.",
		       "a.x. 60 A 192.0.2.1\n"
		       "host-1.x. 60 A 192.0.2.1\nhost-2.x. 60 A 192.0.2.2\n"
		       "host-3.x. 60 A 192.0.2.3\n"
		       "a.x. 60 TXT \"still-a\"\n"
		       "000.x. 5 PTR h05.0.x.\n010.x. 5 PTR h0f.10.x.\n020.x. 5 PTR h19.20.x.\n"
		       "1.1.0.x. 60 MX 11 mail1.x.\n2.2.0.x. 60 MX 12 mail2.x.\n"
		       "t.x. 60 TXT \"a 7\" \"7\"\nu.x. 60 TXT \"a 7\" \"b $\"\n"
		       "\\$\\$.x. 60 TYPE65280 \\# 2 0007\n"
		       "b.x. 60 A 192.0.2.2\n");
}

static void test_generate_is_bounded_and_placed(void)
{
	expect_error("\n$GENERATE 1-2 a$ A\n", "2", "$GENERATE takes");
	expect_error("$GENERATE 2-1 a$ A 192.0.2.$\n", "1", "2-1 is not a range");
	expect_error("$GENERATE 1-1000001 a$ A 192.0.2.1\n", "1", "more than 1000000 records");
	expect_error("\n$GENERATE 255-256 a$ 1 A 192.0.2.$\n", "2", "192.0.2.256");
	expect_error("$GENERATE 1-2 a..$ A 192.0.2.$\n", "1", "owner name a..1");
	expect_error("$GENERATE 1-2 a${1 A 192.0.2.$\n", "1", "${OFFSET");
	expect_error("$GENERATE 1-2 a$ 1 A 192.0.2.${-2}\n", "1", "below 0");
	expect_error("$GENERATE 1-2 a$ NONSENSE 192.0.2.$\n", "1", "NONSENSE is neither");
	expect_error("$GENERATE 1-2 a$ CH A 192.0.2.$\n", "1", "only IN");
	expect_error("$GENERATE 1-2 a$ A 192.0.2.$\n", "1", "$TTL");
	read_text("\n$GENERATE 1-2 a$ 1 A 192.0.2.$\n", NULL);
	expect_error_of("file", "2", "--origin");

	/* Many lines that each make many records end somewhere too. */
	char many[2048] = "";
	for (int i = 0; i < 17; i++)
		strcat(many, "$GENERATE 1-1000000 $ 1 A 192.0.2.1\n");
	const struct zonefile_sink sink = {.record = count_record};
	char path[128];
	uint8_t root[1] = {0};
	write_file("many", many);
	snprintf(path, sizeof(path), "%s/many", directory);
	result.status = zonefile_read(path, root, &sink, result.error, sizeof(result.error));
	expect_error_of("many", "17", "more than 16777216 records");
}

static void test_include_loops(void)
{
	expect_error("\n$INCLUDE file\n", "2", "loop");
	write_file("ping", "$INCLUDE pong\n");
	write_file("pong", "$INCLUDE ./ping\n");
	read_file("ping", "x.");
	expect_error_of("pong", "1", "loop");

	char name[16], text[32];
	for (int i = 0; i < ZONEFILE_INCLUDE_MAX + 4; i++) {
		snprintf(name, sizeof(name), "nest%d", i);
		snprintf(text, sizeof(text), "$INCLUDE nest%d\n", i + 1);
		write_file(name, text);
	}
	read_file("nest0", "x.");
	CU_ASSERT_EQUAL(result.status, -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.error, "deeper"));

	/* Ten levels of ten would be as many files as nobody can read. */
	for (int i = 0; i < 10; i++) {
		char ten[512] = "";
		for (int n = 0; n < 10; n++)
			sprintf(ten + strlen(ten), "$INCLUDE bomb%d\n", i + 1);
		snprintf(name, sizeof(name), "bomb%d", i);
		write_file(name, ten);
	}
	write_file("bomb10", "");
	read_file("bomb0", "x.");
	CU_ASSERT_EQUAL(result.status, -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.error, "in all"));
}

static void test_stream(void)
{
	const struct zonefile_sink sink = {.ctx = &result, .record = collect};
	char text[] = "x. 1 SOA a b 1 2 3 4 5\nc 1 A 192.0.2.256\n";
	FILE *file = fmemopen(text, strlen(text), "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	memset(&result, 0, sizeof(result));
	result.status = zonefile_read_stream(file, "<stdin>", NULL, &sink, result.error,
					     sizeof(result.error));
	CU_ASSERT_EQUAL(result.status, -1);
	CU_ASSERT_STRING_EQUAL(result.text, "x. 1 SOA a.x. b.x. 1 2 3 4 5\n");
	CU_ASSERT_PTR_EQUAL(strstr(result.error, "<stdin>:2: "), result.error);
	fclose(file);
}

static void test_octets_that_are_no_text(void)
{
	write_octets("file", "a 1 A 192.0.2.1\nb\0c 1 A 192.0.2.1\n", 34);
	read_file("file", "x.");
	expect_error_of("file", "2", "NUL");
	write_octets("file", "a 1 TXT \"\0\"\n", 12);
	read_file("file", "x.");
	expect_error_of("file", "1", "NUL");
	write_octets("file", "a 1 TXT \\\0\n", 11);
	read_file("file", "x.");
	expect_error_of("file", "1", "NUL");
	expect_records("\xff 1 TXT \"\xc3\xa9\"\n", "x.", "\\255.x. 1 TXT \"\\195\\169\"\n");

	/* A directory opens but does not read. */
	read_file("sub", "x.");
	CU_ASSERT_EQUAL(result.status, -1);
	read_file("missing", "x.");
	CU_ASSERT_PTR_NOT_NULL(strstr(result.error, "missing: cannot open"));
}

static void test_long_lines(void)
{
	size_t size = 2 * LEXER_ENTRY_MAX;
	char *text = malloc(size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);

	/* Data of nearly 64 KiB is a record like any other. */
	size_t used = (size_t)sprintf(text, "a 1 TXT");
	for (int i = 0; i < 255; i++) {
		text[used++] = ' ';
		memset(text + used, 'x', 255);
		used += 255;
	}
	text[used++] = '\n';
	write_octets("file", text, used);
	read_file("file", "x.");
	CU_ASSERT_EQUAL(result.status, 0);
	CU_ASSERT_EQUAL(result.records, 1);

	memset(text, 'y', size);
	write_octets("file", text, size);
	read_file("file", "x.");
	expect_error_of("file", "1", "more than");

	memset(text, ';', size); /* a comment may be as long as it likes */
	memcpy(text + size - 17, "\na 1 A 192.0.2.1\n", 17);
	write_octets("file", text, size);
	read_file("file", "x.");
	CU_ASSERT_EQUAL(result.records, 1);

	for (size_t i = 0; i < size; i += 2)
		memcpy(text + i, "( ", 2);
	write_octets("file", text, size);
	read_file("file", "x.");
	expect_error_of("file", "1", "never closed");

	for (size_t i = 0; i < size; i += 2)
		memcpy(text + i, "a ", 2);
	write_octets("file", text, size);
	read_file("file", "x.");
	expect_error_of("file", "1", "more than");
	free(text);
}

/* Random pieces of syntax: whatever comes out, it comes out. */
static void test_nonsense_ends_in_order(void)
{
	static const char *const pieces[] = {
		"a",
		".",
		"@",
		" ",
		"\t",
		"\n",
		"\r\n",
		"(",
		")",
		"\"",
		"\\",
		"\\000",
		"\\#",
		";",
		"$TTL",
		"$ORIGIN",
		"$INCLUDE",
		"$GENERATE",
		"0-9",
		"${1,2,n}",
		"$",
		"IN",
		"CH",
		"A",
		"TXT",
		"SOA",
		"NS",
		"TYPE9",
		"TYPE65535",
		"1",
		"4294967296",
		"1w",
		"192.0.2.1",
		"::1",
		"\xff",
		"SVCB",
		"key=\"",
		"0 issue",
		"file",
		"a 1 A 192.0.2.1\n",
		" A 192.0.2.1\n",
		"x. 1 SOA a. b. 1 1 1 1 1\n",
	};
	char text[1024];
	unsigned int seed = 1;
	for (int round = 0; round < 4000; round++) {
		size_t used = 0;
		for (int n = rand_r(&seed) % 24; n >= 0; n--) {
			size_t i = (size_t)rand_r(&seed) % (sizeof(pieces) / sizeof(pieces[0]));
			used += (size_t)sprintf(text + used, "%s%s", pieces[i],
						rand_r(&seed) % 2 ? " " : "");
		}
		read_text(text, round % 2 ? "x." : NULL);
		if (result.status)
			CU_ASSERT_NOT_EQUAL(result.error[0], '\0');
	}
}

static void test_ttl_texts(void)
{
	uint32_t ttl;
	CU_ASSERT(ttl_from_text("0", &ttl) && ttl == 0);
	CU_ASSERT(ttl_from_text("2147483647", &ttl) && ttl == 2147483647);
	CU_ASSERT(ttl_from_text("1w2d3h4m5s", &ttl) && ttl == 788645);
	CU_ASSERT(ttl_from_text("1W1", &ttl) && ttl == 604801);
	static const char *const wrong[] = {
		"", "-1", "1x", "w", "2147483648", "99999999999999999999", "3551w", "1 ", "1.5"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_FALSE(ttl_from_text(wrong[i], &ttl));
}

static const struct suite_test tests[] = {
	{"the example of RFC 1035 section 5.3", test_rfc1035_example},
	{"TTL and class stand in any order or not at all", test_ttl_and_class_in_any_order},
	{"a missing TTL comes from $TTL, the record before, the SOA", test_ttl_defaults},
	{"tabs, CRLF, comments, a byte order mark, no last line end",
	 test_white_space_and_line_ends},
	{"parentheses join lines and must balance", test_parentheses},
	{"quotes and escapes protect", test_quotes_and_escapes},
	{"names are relative to the origin", test_names},
	{"record data of many types", test_types},
	{"bad records are errors with a line", test_bad_records_are_placed},
	{"an origin is asked for only when a name is relative",
	 test_origin_is_asked_for_only_when_needed},
	{"file names that look like zones are origins", test_origins_from_file_names},
	{"$INCLUDE reads files and puts origin and owner back", test_include},
	{"$INCLUDE loops and deep nesting end", test_include_loops},
	{"$GENERATE makes records of a range", test_generate},
	{"$GENERATE has limits, and errors with a line", test_generate_is_bounded_and_placed},
	{"an open file is read under any name", test_stream},
	{"octets that are no text are errors", test_octets_that_are_no_text},
	{"long lines have a limit", test_long_lines},
	{"nonsense neither crashes nor hangs", test_nonsense_ends_in_order},
	{"TTL units and limits", test_ttl_texts},
};

int main(void)
{
	snprintf(directory, sizeof(directory), "/tmp/godwit-zonefile-XXXXXX");
	if (!mkdtemp(directory))
		return 1;
	int code = SUITE_RUN("zonefile", tests);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command) ? 1 : code;
}
