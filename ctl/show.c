/* godwitctl zone export and record list: what only reads the store and prints. */
#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/rrlist.h"
#include "ctl/store.h"
#include "ctl/text.h"
#include "dns/name.h"

#include <stdlib.h>

/*
 * An RRset in the store may have several TTLs, since others write there too; the backend serves it
 * with the lowest, so that is what is shown.
 */
static void settle_ttls(struct rrlist *list)
{
	for (size_t i = 0; i < list->count;) {
		size_t count = rrlist_rrset_length(list, i);
		uint32_t ttl = rrlist_lowest_ttl(list, i, count);
		for (size_t n = i; n < i + count; n++)
			list->records[n].ttl = ttl;
		i += count;
	}
}

/* Brings records as read from the store into the order and form they are shown in. */
static int tidy(struct rrlist *list)
{
	if (rrlist_sort(list)) {
		text_fail("godwitctl: out of memory");
		return -1;
	}
	rrlist_drop_duplicates(list);
	settle_ttls(list);
	return 0;
}

int command_zone_export(struct storage *storage, const struct options *options, char **words,
			size_t count)
{
	uint8_t name[DNS_NAME_MAX];
	char apex[DNS_NAME_TEXT_MAX];
	struct rrlist list;
	int code = EXIT_FAILURE;

	(void)options, (void)count;
	if (text_read_name(words[0], "zone", name))
		return EXIT_FAILURE;
	text_store_name(name, apex);
	rrlist_init(&list);
	if (store_read_zone(storage, apex, &list, store_warn_skipped, NULL) == 0 &&
	    tidy(&list) == 0 && print_zonefile(&list, name) == 0)
		code = EXIT_SUCCESS;
	rrlist_clear(&list);
	return code;
}

/* Reads a zone, if the name is one's apex, else the name. */
static int read_zone_or_name(struct storage *storage, const uint8_t *name, struct rrlist *list)
{
	char text[DNS_NAME_TEXT_MAX], apex[DNS_NAME_TEXT_MAX];
	text_store_name(name, text);
	int status = storage_zone_find(storage, text);
	if (status == STORAGE_OK)
		return store_read_zone(storage, text, list, store_warn_skipped, NULL);
	if (status != STORAGE_NOT_FOUND)
		return store_fail(storage);
	if (store_find_zone(storage, name, 0, apex))
		return -1;
	return store_read_name(storage, apex, name, list, store_warn_skipped, NULL);
}

int command_record_list(struct storage *storage, const struct options *options, char **words,
			size_t count)
{
	uint8_t name[DNS_NAME_MAX];
	struct rrlist list;
	int code = EXIT_FAILURE;

	(void)count;
	if (text_read_name(words[0], "name", name))
		return EXIT_FAILURE;
	rrlist_init(&list);
	if (read_zone_or_name(storage, name, &list) || tidy(&list))
		goto end;
	if ((options->given & OPTION_JSON ? print_json(&list) : print_records(&list)) == 0)
		code = EXIT_SUCCESS;
end:
	rrlist_clear(&list);
	return code;
}
