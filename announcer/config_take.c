/* Values that stand in several blocks of announcer.yaml. */
#include "announcer/config_take.h"

#include "common/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define AS_TRANS 23456 /* RFC 6793: stands for numbers that do not fit, is nobody's */

int config_fail(const struct config_place *place, const char *key, const char *message, ...)
{
	char whole[160];
	char words[400];
	va_list args;
	va_start(args, message);
	vsnprintf(words, sizeof(words), message, args);
	va_end(args);
	snprintf(whole, sizeof(whole), "%s%s", place->around, key);
	config_error(place->error, place->error_size, place->path, whole, "%s", words);
	return -1;
}

int config_take_number(const struct config_place *place, const char *key, const int64_t *value,
		       int64_t fallback, int64_t low, int64_t high, int64_t *out)
{
	*out = value ? *value : fallback;
	if (*out < low || *out > high)
		return config_fail(place, key, "%lld is not between %lld and %lld", (long long)*out,
				   (long long)low, (long long)high);
	return 0;
}

int config_take_u32(const struct config_place *place, const char *key, const int64_t *value,
		    uint32_t fallback, uint32_t *out)
{
	int64_t number;
	if (config_take_number(place, key, value, fallback, 0, UINT32_MAX, &number) != 0)
		return -1;
	*out = (uint32_t)number;
	return 0;
}

int config_take_as(const struct config_place *place, const char *key, int64_t value, uint32_t *out)
{
	if (value < 1 || value >= UINT32_MAX || value == AS_TRANS)
		return config_fail(place, key, "%lld is no AS number", (long long)value);
	*out = (uint32_t)value;
	return 0;
}

int config_take_interface(const struct config_place *place, const char *key, const char *text,
			  char out[IFNAMSIZ])
{
	if (text && (strlen(text) >= IFNAMSIZ || strpbrk(text, "/ :%")))
		return config_fail(place, key, "\"%s\" cannot be an interface's name", text);
	snprintf(out, IFNAMSIZ, "%s", text ? text : "");
	return 0;
}

int config_take_address(const struct config_place *place, const char *key, const char *text,
			struct address *out)
{
	char reason[400];
	if (address_parse(text, out, reason, sizeof(reason)) != 0)
		return config_fail(place, key, "%s", reason);
	if (out->kind != ADDRESS_IP)
		return config_fail(place, key, "%s: give an IP address and a port", text);
	return 0;
}

int config_take_text(const struct config_place *place, const char *key, const char *text,
		     char **out)
{
	*out = text ? strdup(text) : NULL;
	if (text && !*out)
		return config_fail(place, key, "out of memory");
	return 0;
}
