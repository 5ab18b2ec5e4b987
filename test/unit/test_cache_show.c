/* What the answer cache tells a person of a name it keeps. */
#include "cache_fixture.h"
#include "common/clock.h"
#include "dns/protocol.h"
#include "frontend/cache_show.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

#define ASSERT_STARTS(text, start) CU_ASSERT_EQUAL(strncmp(text, start, strlen(start)), 0)
#define ASSERT_ENDS(text, end)                                                                     \
	CU_ASSERT_STRING_EQUAL(                                                                    \
		text + (strlen(text) > strlen(end) ? strlen(text) - strlen(end) : 0), end)

/* What cache_show_name says of a name. */
static const char *show(const struct fixture *f, const char *name)
{
	static char text[16384];
	uint8_t wire[DNS_NAME_MAX];
	CU_ASSERT_FATAL(dns_name_from_text(name, strlen(name), NULL, wire) > 0);
	cache_show_name(f->cache, wire, f->now_ms, text, sizeof(text));
	return text;
}

static void test_show_by_ttl(void)
{
	struct fixture f;
	fixture_start(&f, 1 << 20);
	CU_ASSERT_STRING_EQUAL(show(&f, "www.example."), "0 answers for www.example.");
	fixture_ask(&f, "www.example.", DNS_TYPE_A, ASK_DO);
	fixture_answer_a(&f, 300, 1);
	fixture_store(&f);
	fixture_ask(&f, "ww.example.", DNS_TYPE_A, 0);
	fixture_answer_a(&f, 300, 1);
	fixture_store(&f);
	f.now_ms += 12500;
	CU_ASSERT_STRING_EQUAL(show(&f, "wWw.example"),
			       "1 answer for wWw.example.\n"
			       "A +DO  NOERROR  1 record  45 octets  by TTL, 288 s left  12 s old  "
			       "good");
	f.now_ms += 300000;
	CU_ASSERT_STRING_EQUAL(show(&f, "www.example."),
			       "1 answer for www.example.\n"
			       "A +DO  NOERROR  1 record  45 octets  by TTL, over since 12 s  "
			       "312 s old  expired");
	/* Showing is no hit. */
	fixture_ask(&f, "ww.example.", DNS_TYPE_A, 0);
	f.now_ms -= 20000;
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_HIT);
	CU_ASSERT_EQUAL(fixture_look_up(&f), CACHE_REFRESH);
	fixture_stop(&f);
}

static void test_show_by_facts(void)
{
	const uint64_t fact = 42;
	struct fixture f;
	fixture_start(&f, 1 << 20);
	f.now_ms = clock_now_ms();
	fixture_ask(&f, ".", 65280, 0);
	struct dns_writer writer = fixture_begin_reply(&f);
	fixture_put_soa(&writer, 300, 60);
	fixture_put_soa(&writer, 300, 61);
	fixture_end_reply(&f, &writer, DNS_FLAG_AA, DNS_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, fact), CACHE_PUT_OFF);
	CU_ASSERT_EQUAL(fixture_store_coherent(&f, fact), CACHE_KEPT);
	const char *text = show(&f, ".");
	ASSERT_STARTS(text, "1 answer for .\nTYPE65280  NXDOMAIN  2 records  ");
	ASSERT_ENDS(text, " octets  by facts of source 1  0 s old  good");
	coherence_watch_end(f.coherence, 1);
	f.now_ms = coherence_suspect_since_ms(f.coherence, 1) + 1000;
	text = show(&f, ".");
	ASSERT_ENDS(text, " s old  suspect");
	f.now_ms += 3600000;
	text = show(&f, ".");
	ASSERT_ENDS(text, " s old  outdated");
	f.now_ms -= 3600000;
	coherence_change(f.coherence, &fact, 1);
	text = show(&f, ".");
	ASSERT_ENDS(text, " s old  outdated");
	fixture_stop(&f);
}

static void test_show_says_what_it_leaves_out(void)
{
	enum { TYPES = 300 };
	struct fixture f;
	unsigned int lines = 0;
	unsigned int more = 0;
	fixture_start(&f, 1 << 24);
	for (uint16_t i = 0; i < TYPES; i++) {
		fixture_ask(&f, "many.example.", (uint16_t)(1000 + i), 0);
		fixture_answer_a(&f, 300, 1);
		CU_ASSERT_EQUAL(fixture_store(&f), CACHE_KEPT);
	}
	const char *text = show(&f, "many.example.");
	ASSERT_STARTS(text, "300 answers for many.example.\nTYPE1");
	CU_ASSERT(strlen(text) < 16384 && strlen(text) > 14000);
	for (const char *p = strchr(text, '\n'); p; p = strchr(p + 1, '\n')) {
		CU_ASSERT(strncmp(p + 1, "TYPE1", 5) == 0 ||
			  sscanf(p, "\nand %u more", &more) == 1);
		lines++;
	}
	CU_ASSERT(more > 0);
	CU_ASSERT_EQUAL(lines - 1 + more, TYPES);
	fixture_stop(&f);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"show what is kept by TTL", test_show_by_ttl},
		{"show what is kept by facts", test_show_by_facts},
		{"show says what it leaves out", test_show_says_what_it_leaves_out},
	};
	return SUITE_RUN("cache_show", tests);
}
