#include "ctl/ttl.h"

/* Seconds of a unit, 0 for none such. */
static uint32_t ttl_unit(char unit)
{
	switch (unit) {
	case 'w':
	case 'W':
		return 604800;
	case 'd':
	case 'D':
		return 86400;
	case 'h':
	case 'H':
		return 3600;
	case 'm':
	case 'M':
		return 60;
	case 's':
	case 'S':
		return 1;
	default:
		return 0;
	}
}

bool ttl_from_text(const char *text, uint32_t *ttl)
{
	uint64_t sum = 0;
	if (!*text)
		return false;
	while (*text) {
		if (*text < '0' || *text > '9')
			return false;
		uint64_t number = 0;
		while (*text >= '0' && *text <= '9') {
			number = number * 10 + (uint64_t)(*text++ - '0');
			if (number > TTL_MAX)
				return false;
		}
		/* A number without a unit is seconds, and the last. */
		uint32_t unit = *text ? ttl_unit(*text++) : 1;
		sum += number * unit;
		if (unit == 0 || sum > TTL_MAX)
			return false;
	}
	*ttl = (uint32_t)sum;
	return true;
}
