/* What the octets of record data must look like, type by type. */
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <ldns/ldns.h>
#include <stdbool.h>

#define ANY_REST UINT8_MAX /* the layout's tail may have any length */

/* Data of a type as octets before the names, names, octets behind. */
struct rdata_layout {
	uint16_t type;
	uint8_t before;
	uint8_t names;
	uint8_t after;
};

static const struct rdata_layout rdata_layouts[] = {
	{DNS_TYPE_A, 0, 0, 4},
	{DNS_TYPE_NS, 0, 1, 0},
	{DNS_TYPE_MD, 0, 1, 0},
	{DNS_TYPE_MF, 0, 1, 0},
	{DNS_TYPE_CNAME, 0, 1, 0},
	{DNS_TYPE_SOA, 0, 2, 20},
	{DNS_TYPE_MB, 0, 1, 0},
	{DNS_TYPE_MG, 0, 1, 0},
	{DNS_TYPE_MR, 0, 1, 0},
	{DNS_TYPE_PTR, 0, 1, 0},
	{DNS_TYPE_MINFO, 0, 2, 0},
	{DNS_TYPE_MX, 2, 1, 0},
	{LDNS_RR_TYPE_RP, 0, 2, 0},
	{DNS_TYPE_AFSDB, 2, 1, 0},
	{LDNS_RR_TYPE_RT, 2, 1, 0},
	{LDNS_RR_TYPE_PX, 2, 2, 0},
	{DNS_TYPE_AAAA, 0, 0, 16},
	{DNS_TYPE_SRV, 6, 1, 0},
	{LDNS_RR_TYPE_KX, 2, 1, 0},
	{DNS_TYPE_DNAME, 0, 1, 0},
	{DNS_TYPE_DS, 4, 0, ANY_REST},
	{DNS_TYPE_SVCB, 2, 1, ANY_REST},
	{DNS_TYPE_HTTPS, 2, 1, ANY_REST},
};

static const struct rdata_layout *rdata_find_layout(uint16_t type)
{
	for (size_t i = 0; i < sizeof(rdata_layouts) / sizeof(rdata_layouts[0]); i++) {
		if (rdata_layouts[i].type == type)
			return &rdata_layouts[i];
	}
	return NULL;
}

int dns_rdata_find_name(uint16_t type)
{
	const struct rdata_layout *layout = rdata_find_layout(type);

	return layout && layout->names > 0 ? layout->before : -1;
}

/* True when a SvcParamKey's value has the form the key asks for (RFC 9460 sections 7 and 8). */
static bool svcparam_is_sound(uint16_t key, const uint8_t *value, size_t size)
{
	switch (key) {
	case LDNS_SVCPARAM_KEY_MANDATORY: /* other keys than this one, in rising order */
		for (int last = 0; size >= 2 && dns_get16(value) > last; size -= 2, value += 2) {
			if (size == 2)
				return true;
			last = dns_get16(value);
		}
		return false;
	case LDNS_SVCPARAM_KEY_ALPN:
		while (size > 1 && value[0] > 0 && value[0] < size) {
			size -= 1u + value[0];
			value += 1u + value[0];
			if (size == 0)
				return true;
		}
		return false;
	case LDNS_SVCPARAM_KEY_NO_DEFAULT_ALPN:
		return size == 0;
	case LDNS_SVCPARAM_KEY_PORT:
		return size == 2;
	case LDNS_SVCPARAM_KEY_IPV4HINT:
		return size > 0 && size % 4 == 0;
	case LDNS_SVCPARAM_KEY_IPV6HINT:
		return size > 0 && size % 16 == 0;
	default:
		return true;
	}
}

/* SvcParams: keys in rising order, each value whole (RFC 9460 section 2.2). */
static bool svcparams_are_sound(const uint8_t *params, size_t size)
{
	int last = -1;

	while (size >= 4) {
		uint16_t key = dns_get16(params);
		size_t length = dns_get16(params + 2);
		if (key <= last || size - 4 < length || !svcparam_is_sound(key, params + 4, length))
			return false;
		last = key;
		params += 4 + length;
		size -= 4 + length;
	}
	return size == 0;
}

int dns_rdata_check(uint16_t type, const uint8_t *rdata, size_t size)
{
	const struct rdata_layout *layout = rdata_find_layout(type);
	size_t offset;

	if (!layout)
		return 0;
	offset = layout->before;
	if (offset > size)
		return DNS_ERROR_BAD_RDATA;
	for (unsigned int i = 0; i < layout->names; i++) {
		uint8_t name[DNS_NAME_MAX];
		size_t start = offset;
		int name_size = dns_name_parse(rdata, size, &offset, name);
		if (name_size < 0 || offset - start != (size_t)name_size)
			return DNS_ERROR_BAD_RDATA;
	}
	if (layout->after != ANY_REST && size - offset != layout->after)
		return DNS_ERROR_BAD_RDATA;
	if ((type == DNS_TYPE_SVCB || type == DNS_TYPE_HTTPS) &&
	    !svcparams_are_sound(rdata + offset, size - offset))
		return DNS_ERROR_BAD_RDATA;
	return 0;
}
