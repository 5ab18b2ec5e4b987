/*
 * Names from a message and from text.
 *
 * Input: two octets, the offset of a name in the rest, which is taken as a message and as text.
 */
#include "dns/name.h"
#include "dns/protocol.h"
#include "fuzz.h"

#include <string.h>

/* A name that was accepted is whole, and its text is read back as the same octets. */
static void check_name(const uint8_t *name, size_t size)
{
	char text[DNS_NAME_TEXT_MAX];
	uint8_t labels[DNS_LABELS_MAX];
	uint8_t again[DNS_NAME_MAX];

	FUZZ_CHECK(size >= 1 && size <= DNS_NAME_MAX && dns_name_size(name) == size);
	FUZZ_CHECK(dns_name_find_labels(name, labels) == dns_name_count_labels(name));
	size_t length = dns_name_to_text(name, text);
	FUZZ_CHECK(length < sizeof(text) && strlen(text) == length);
	FUZZ_CHECK(dns_name_from_text(text, length, NULL, again) == (int)size);
	FUZZ_CHECK(memcmp(again, name, size) == 0);
	FUZZ_CHECK(dns_name_copy_lower(name, again) == size && dns_name_equal(name, again));
	FUZZ_CHECK(dns_name_is_within(name, again));
}

static void parse(const uint8_t *data, size_t size, size_t offset)
{
	uint8_t name[DNS_NAME_MAX];
	size_t parsed = offset;
	size_t skipped = offset;
	int status = dns_name_parse(data, size, &parsed, name);
	int skip = dns_name_skip(data, size, &skipped);

	if (status < 0)
		return;
	FUZZ_CHECK(skip == 0 && skipped == parsed && parsed <= size);
	check_name(name, (size_t)status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t origin[] = "\7example\3com";
	uint8_t name[DNS_NAME_MAX];

	if (size < 2)
		return 0;
	size_t offset = dns_get16(data);
	data += 2;
	size -= 2;
	parse(data, size, offset <= size ? offset : size);

	int status = dns_name_from_text((const char *)data, size, NULL, name);
	if (status >= 0)
		check_name(name, (size_t)status);
	status = dns_name_from_text((const char *)data, size, origin, name);
	if (status >= 0)
		check_name(name, (size_t)status);
	return 0;
}
