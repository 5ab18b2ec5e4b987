/* Cached answers as text. */
#include "frontend/cache_show.h"

#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"
#include "frontend/cache.h"

#include <stdio.h>
#include <string.h>

/* Longest first line, line of a reply, and last line. */
#define SHOW_HEAD_MAX (DNS_NAME_TEXT_MAX + 40)
#define SHOW_LINE_MAX 192
#define SHOW_MORE_MAX 32

_Static_assert(SHOW_HEAD_MAX + SHOW_MORE_MAX < CACHE_SHOW_MIN, "first and last line have room");

/* Lines as they are gathered. */
struct show {
	char *lines;
	size_t used;
	size_t room;     /* in `lines` */
	size_t count;    /* replies seen */
	size_t left_out; /* of them */
};

static void show_rcode(uint8_t rcode, char *out, size_t size)
{
	static const char *const names[] = {
		[DNS_RCODE_NOERROR] = "NOERROR",   [DNS_RCODE_FORMERR] = "FORMERR",
		[DNS_RCODE_SERVFAIL] = "SERVFAIL", [DNS_RCODE_NXDOMAIN] = "NXDOMAIN",
		[DNS_RCODE_NOTIMP] = "NOTIMP",     [DNS_RCODE_REFUSED] = "REFUSED",
		[DNS_RCODE_YXDOMAIN] = "YXDOMAIN", [DNS_RCODE_NOTAUTH] = "NOTAUTH",
	};
	if (rcode < sizeof(names) / sizeof(names[0]) && names[rcode])
		snprintf(out, size, "%s", names[rcode]);
	else
		snprintf(out, size, "RCODE%u", rcode);
}

/* By what a reply is kept: facts, or its TTLs. */
static void show_keeper(const struct cache_view *view, char *out, size_t size)
{
	if (view->source)
		snprintf(out, size, "by facts of source %u", view->source);
	else if (view->left_ms > 0)
		snprintf(out, size, "by TTL, %lld s left", (long long)(view->left_ms + 999) / 1000);
	else
		snprintf(out, size, "by TTL, over since %lld s", (long long)-view->left_ms / 1000);
}

static const char *show_state(enum cache_state state)
{
	switch (state) {
	case CACHE_STATE_GOOD:
		return "good";
	case CACHE_STATE_SUSPECT:
		return "suspect";
	case CACHE_STATE_EXPIRED:
		return "expired";
	default:
		return "outdated";
	}
}

/* A cache_visit_fn. */
static void show_reply(void *ctx, const struct cache_view *view)
{
	struct show *show = ctx;
	char type[DNS_TYPE_TEXT_MAX];
	char rcode[16];
	char keeper[64];
	char line[SHOW_LINE_MAX];
	dns_type_to_text(view->qtype, type);
	show_rcode(view->rcode, rcode, sizeof(rcode));
	show_keeper(view, keeper, sizeof(keeper));
	int length = snprintf(
		line, sizeof(line), "\n%s%s  %s  %u record%s  %zu octets  %s  %lld s old  %s", type,
		view->dnssec_ok ? " +DO" : "", rcode, view->records, view->records == 1 ? "" : "s",
		view->size, keeper, (long long)view->age_ms / 1000, show_state(view->state));
	show->count++;
	/* Once one is left out, so are the shorter ones after it. */
	if (length < 0 || show->left_out || (size_t)length >= show->room - show->used) {
		show->left_out++;
		return;
	}
	memcpy(show->lines + show->used, line, (size_t)length + 1);
	show->used += (size_t)length;
}

/* Writes the first line, and the last one if it is needed, around the lines gathered. */
static void show_finish(const struct show *show, const uint8_t *name, char *out)
{
	char text[DNS_NAME_TEXT_MAX];
	char more[SHOW_MORE_MAX] = "";
	dns_name_to_text(name, text);
	size_t head = (size_t)snprintf(out, SHOW_HEAD_MAX, "%zu answer%s for %s", show->count,
				       show->count == 1 ? "" : "s", text);
	memmove(out + head, show->lines, show->used);
	if (show->left_out)
		snprintf(more, sizeof(more), "\nand %zu more", show->left_out);
	memcpy(out + head + show->used, more, strlen(more) + 1);
}

void cache_show_name(const struct cache *cache, const uint8_t *name, int64_t now_ms, char *out,
		     size_t size)
{
	struct show show = {.lines = out + SHOW_HEAD_MAX,
			    .room = size - SHOW_HEAD_MAX - SHOW_MORE_MAX};
	cache_visit(cache, name, now_ms, show_reply, &show);
	show_finish(&show, name, out);
}
