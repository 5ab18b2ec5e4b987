/* Zones for tests of the mirror and the answers: text in, a mirror filled. */
#ifndef GODWIT_TEST_UNIT_ZONE_TEXT_H
#define GODWIT_TEST_UNIT_ZONE_TEXT_H

#include "backend/mirror.h"
#include "dns/name.h"
#include "dns/rdata.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

static inline void zone_text_name(const char *text, uint8_t *out)
{
	CU_ASSERT_FATAL(dns_name_from_text(text, strlen(text), NULL, out) > 0);
}

static inline void zone_text_put_zone(struct mirror *mirror, const char *apex)
{
	uint8_t name[DNS_NAME_MAX];

	zone_text_name(apex, name);
	mirror_put_zone(mirror, name);
}

/*
 * Puts a name's records, "TYPE TTL DATA" a line; empty text takes them away. Returns what
 * mirror_put_name does.
 */
static inline int zone_text_put(struct mirror *mirror, const char *apex, const char *owner,
				const char *records)
{
	static uint8_t data[64][4096];
	struct mirror_rrset_input rrsets[64];
	uint8_t apex_name[DNS_NAME_MAX];
	uint8_t owner_name[DNS_NAME_MAX];
	size_t count = 0;
	char lines[8192];
	char *rest = lines;
	char *line;

	zone_text_name(apex, apex_name);
	zone_text_name(owner, owner_name);
	snprintf(lines, sizeof(lines), "%s", records);
	while ((line = strsep(&rest, "\n"))) {
		char type[DNS_TYPE_TEXT_MAX];
		char reason[256];
		unsigned int ttl;
		int at = 0;
		if (*line == '\0')
			continue;
		CU_ASSERT_FATAL(count < 64 && sscanf(line, "%15s %u %n", type, &ttl, &at) == 2);
		int number = dns_type_from_text(type);
		CU_ASSERT_FATAL(number > 0);
		int size = dns_rdata_from_text((uint16_t)number, line + at, NULL, data[count] + 2,
					       sizeof(data[count]) - 2, reason, sizeof(reason));
		CU_ASSERT_FATAL(size >= 0);
		uint16_t octets = (uint16_t)size;
		memcpy(data[count], &octets, sizeof(octets));
		rrsets[count] = (struct mirror_rrset_input){.ttl = ttl,
							    .size = 2u + octets,
							    .type = (uint16_t)number,
							    .count = 1,
							    .data = data[count]};
		count++;
	}
	return mirror_put_name(mirror, apex_name, owner_name, rrsets, count);
}

#define ZONE_TEXT_SOA "SOA 3600 ns1.test. host.test. 1 7200 3600 1209600 300\n"

#endif
