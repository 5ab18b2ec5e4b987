#include "ctl/serial.h"

#include "dns/name.h"
#include "dns/protocol.h"

#include <stdio.h>
#include <string.h>

/* Serial, refresh, retry, expire and minimum stand behind the two names. */
#define NUMBERS_SIZE 20

static void ignore_unreadable(void *ctx, const struct storage_name *name,
			      const struct storage_record *record, const char *reason)
{
	(void)ctx, (void)name, (void)record, (void)reason;
}

/* Writes the SOA record with the next serial. */
static int serial_write(struct storage *storage, struct store_writer *writer, const char *apex,
			struct rr soa)
{
	uint8_t rdata[2 * DNS_NAME_MAX + NUMBERS_SIZE];
	if (soa.rdata_size < NUMBERS_SIZE || soa.rdata_size > sizeof(rdata)) {
		snprintf(writer->error, sizeof(writer->error),
			 "godwitctl: the SOA record of %.800s has a wrong size", apex);
		return -1;
	}
	memcpy(rdata, soa.rdata, soa.rdata_size);
	soa.rdata = rdata;
	uint8_t *serial = rdata + soa.rdata_size - NUMBERS_SIZE;
	dns_put32(serial, dns_get32(serial) + 1);
	return store_put_rrset(storage, writer, apex, &soa, 1, soa.ttl);
}

enum serial_result serial_raise(struct storage *storage, struct store_writer *writer,
				const char *apex)
{
	const struct store_listener listener = {.skipped = ignore_unreadable};
	enum serial_result result = SERIAL_FAILED;
	uint8_t name[DNS_NAME_MAX];
	struct rrlist list;

	rrlist_init(&list);
	if (dns_name_from_text(apex, strlen(apex), NULL, name) < 0) {
		snprintf(writer->error, sizeof(writer->error),
			 "godwitctl: the zone \"%.800s\" is not a domain name", apex);
		goto end;
	}
	if (store_gather_name(storage, apex, name, &list, &listener, writer->error))
		goto end;
	size_t i = 0;
	while (i < list.count && list.records[i].type != DNS_TYPE_SOA)
		i++;
	if (i == list.count)
		result = SERIAL_NO_SOA;
	else if (serial_write(storage, writer, apex, list.records[i]) == 0)
		result = SERIAL_RAISED;
end:
	rrlist_clear(&list);
	return result;
}
