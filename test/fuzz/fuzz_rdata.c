/*
 * Records as other systems write them into a store: any text for any type.
 *
 * Input: two octets, the type; then the text up to a zero octet; behind that wire data of the type.
 */
#include "dns/protocol.h"
#include "dns/rdata.h"
#include "fuzz.h"
#include "storage/record.h"

#include <string.h>

#define TEXT_MAX (5 * DNS_RDATA_MAX)

static uint8_t wire[DNS_RDATA_MAX];
static uint8_t again[DNS_RDATA_MAX];
static char text[TEXT_MAX];
static char reason[256];

/*
 * Data that was accepted has the type's layout and can be written. What is written is the same data
 * again when it is read, unless it is refused: libldns does not read all that it writes, and who
 * writes to a store has to check (ctl/store.c does).
 */
static void check_data(uint16_t type, size_t size)
{
	FUZZ_CHECK(dns_rdata_check(type, wire, size) == 0);
	int length = dns_rdata_to_text(type, wire, size, text, sizeof(text));
	FUZZ_CHECK(length > 0 && strlen(text) == (size_t)length);
	int back =
		dns_rdata_from_text(type, text, NULL, again, sizeof(again), reason, sizeof(reason));
	if (back >= 0 && (back != (int)size || memcmp(wire, again, size) != 0)) {
		fprintf(stderr, "TYPE%u %s: differs\n", type, text);
		abort();
	}
}

static void read_text(uint16_t type, const uint8_t *data, size_t size)
{
	static const uint8_t origin[] = "\7example\3com";
	char *content = malloc(size + 1); /* of just its size, so that reading on is seen */
	char mnemonic[DNS_TYPE_TEXT_MAX];
	uint16_t number;

	if (!content)
		return;
	memcpy(content, data, size);
	content[size] = '\0';
	int status = dns_rdata_from_text(type, content, origin, wire, sizeof(wire), reason,
					 sizeof(reason));
	if (status >= 0)
		check_data(type, (size_t)status);

	dns_type_to_text(type, mnemonic);
	const struct storage_record record = {.type = mnemonic, .content = content, .ttl = 60};
	status = storage_record_parse(&record, &number, wire, sizeof(wire), reason, sizeof(reason));
	if (status >= 0)
		FUZZ_CHECK(number == type && dns_rdata_check(type, wire, (size_t)status) == 0);
	free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	uint16_t type = dns_get16(data);
	const uint8_t *content = data + 2;
	size_t length = strnlen((const char *)content, size - 2);
	read_text(type, content, length);

	if (length < size - 2 && size - 3 - length <= DNS_RDATA_MAX)
		dns_rdata_to_text(type, content + length + 1, size - 3 - length, text,
				  sizeof(text));
	return 0;
}
