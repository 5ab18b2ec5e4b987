/* godwitctl init, zone add, zone list and zone delete. */
#include "ctl/command.h"
#include "ctl/rrlist.h"
#include "ctl/store.h"
#include "ctl/text.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_TTL 3600 /* seconds */

/* Two names in presentation form, numbers and spaces. */
#define SOA_TEXT_MAX (2 * DNS_NAME_TEXT_MAX + 64)

int command_init(struct storage *storage, const struct options *options, char **words, size_t count)
{
	(void)options, (void)words, (void)count;
	if (storage_init(storage))
		return text_fail("godwitctl: %s", storage_error(storage));
	return EXIT_SUCCESS;
}

/*
 * The mailbox of the SOA: a name, or a mail address, whose first part is one label even if it has
 * dots in it (RFC 1035 section 8).
 */
static int read_mailbox(const char *text, uint8_t *out)
{
	char name[DNS_NAME_TEXT_MAX];
	const char *at = strchr(text, '@');
	size_t used = 0;
	if (!at)
		return text_read_name(text, "--mbox", out);
	for (const char *p = text; *p && used + 3 < sizeof(name); p++) {
		if (p < at && *p == '.')
			name[used++] = '\\';
		name[used++] = p == at ? '.' : *p;
	}
	name[used] = '\0';
	return text_read_name(name, "--mbox", out);
}

static int add_record(struct rrlist *list, const uint8_t *owner, uint16_t type, uint32_t ttl,
		      const char *text)
{
	uint8_t rdata[SOA_TEXT_MAX];
	char reason[256];
	int size =
		dns_rdata_from_text(type, text, NULL, rdata, sizeof(rdata), reason, sizeof(reason));
	if (size < 0) {
		text_fail("godwitctl: %.300s: %s", text, reason);
		return -1;
	}
	struct rr rr = {
		.owner = owner,
		.rdata = rdata,
		.ttl = ttl,
		.rdata_size = (uint16_t)size,
		.type = type,
	};
	if (rrlist_add(list, &rr) == 0)
		return 0;
	text_fail("godwitctl: out of memory");
	return -1;
}

/* Builds a new zone's records: SOA and NS. */
static int make_records(const struct options *options, const uint8_t *apex, struct rrlist *list)
{
	char primary[DNS_NAME_TEXT_MAX], mailbox[DNS_NAME_TEXT_MAX], text[SOA_TEXT_MAX];
	uint8_t name[DNS_NAME_MAX];
	uint32_t ttl = options->given & OPTION_TTL ? options->ttl : DEFAULT_TTL;
	time_t now = time(NULL);
	struct tm today;
	char date[16];

	if (options->mbox) {
		if (read_mailbox(options->mbox, name))
			return -1;
	} else {
		int size = dns_name_from_text("hostmaster", strlen("hostmaster"), apex, name);
		if (size < 0) {
			text_fail("godwitctl: hostmaster.ZONE is too long a name: give --mbox");
			return -1;
		}
	}
	dns_name_to_text(name, mailbox);
	if (text_read_name(options->ns[0], "--ns", name))
		return -1;
	dns_name_to_text(name, primary);
	gmtime_r(&now, &today);
	strftime(date, sizeof(date), "%Y%m%d", &today);
	snprintf(text, sizeof(text), "%s %s %s01 10800 3600 604800 3600", primary, mailbox, date);
	if (add_record(list, apex, DNS_TYPE_SOA, ttl, text))
		return -1;
	for (size_t i = 0; i < options->ns_count; i++) {
		if (text_read_name(options->ns[i], "--ns", name))
			return -1;
		dns_name_to_text(name, primary);
		if (add_record(list, apex, DNS_TYPE_NS, ttl, primary))
			return -1;
	}
	return 0;
}

/* Writes a zone that does not exist yet. One transaction. */
static int write_zone(struct storage *storage, const char *apex, const struct rrlist *list)
{
	struct store_writer writer = {0};
	int result = -1;
	if (storage_begin(storage))
		return store_fail(storage);
	int status = storage_zone_add(storage, apex);
	if (status == STORAGE_EXISTS) {
		text_fail("godwitctl: the zone %s is in the store already: see godwitctl record "
			  "list %s",
			  apex, apex);
		goto end;
	}
	if (status) {
		store_fail(storage);
		goto end;
	}
	for (size_t i = 0; i < list->count;) {
		size_t count = rrlist_rrset_length(list, i);
		if (store_put_rrset(storage, &writer, apex, &list->records[i], count,
				    list->records[i].ttl)) {
			text_fail("%s", writer.error);
			goto end;
		}
		i += count;
	}
	result = storage_commit(storage) ? store_fail(storage) : 0;
end:
	if (result)
		storage_rollback(storage);
	store_writer_clear(&writer);
	return result;
}

int command_zone_add(struct storage *storage, const struct options *options, char **words,
		     size_t count)
{
	uint8_t name[DNS_NAME_MAX];
	char apex[DNS_NAME_TEXT_MAX];
	struct rrlist list;
	int code = EXIT_FAILURE;

	(void)count;
	if (text_read_name(words[0], "zone", name))
		return EXIT_FAILURE;
	if (options->ns_count == 0)
		return text_fail("godwitctl: zone add needs the zone's name servers: --ns NAME");
	text_store_name(name, apex);
	rrlist_init(&list);
	if (make_records(options, name, &list))
		goto end;
	if (rrlist_sort(&list)) {
		text_fail("godwitctl: out of memory");
		goto end;
	}
	rrlist_drop_duplicates(&list);
	if (write_zone(storage, apex, &list) == 0)
		code = EXIT_SUCCESS;
end:
	rrlist_clear(&list);
	return code;
}

static int print_zone(void *ctx, const char *apex)
{
	(void)ctx;
	puts(apex);
	return 0;
}

int command_zone_list(struct storage *storage, const struct options *options, char **words,
		      size_t count)
{
	(void)options, (void)words, (void)count;
	if (storage_zone_list(storage, print_zone, NULL))
		return text_fail("godwitctl: %s", storage_error(storage));
	return EXIT_SUCCESS;
}

int command_zone_delete(struct storage *storage, const struct options *options, char **words,
			size_t count)
{
	uint8_t name[DNS_NAME_MAX];
	char apex[DNS_NAME_TEXT_MAX];

	(void)options, (void)count;
	if (text_read_name(words[0], "zone", name))
		return EXIT_FAILURE;
	text_store_name(name, apex);
	if (storage_begin(storage))
		return text_fail("godwitctl: %s", storage_error(storage));
	int status = storage_zone_delete(storage, apex);
	if (status == STORAGE_OK)
		status = storage_commit(storage);
	if (status == STORAGE_OK)
		return EXIT_SUCCESS;
	if (status == STORAGE_NOT_FOUND)
		text_fail("godwitctl: the store has no zone %s: see godwitctl zone list", apex);
	else
		store_fail(storage);
	storage_rollback(storage);
	return EXIT_FAILURE;
}
