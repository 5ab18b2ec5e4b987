#include "ctl/origin.h"

#include "dns/name.h"

#include <string.h>
#include <strings.h>

static const char *const endings[] = {".zone", ".db", ".txt"};

static bool origin_is_host_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

bool origin_from_path(const char *path, uint8_t *origin)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t length = strlen(name);
	bool decorated = false;

	if (strncasecmp(name, "db.", 3) == 0) {
		decorated = true;
		name += 3;
		length -= 3;
	}
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t size = strlen(endings[i]);
		if (length > size && strcasecmp(name + length - size, endings[i]) == 0) {
			decorated = true;
			length -= size;
			break;
		}
	}
	if (length == 0 || (!decorated && !memchr(name, '.', length)))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!origin_is_host_character(name[i]))
			return false;
	return dns_name_from_text(name, length, NULL, origin) > 1;
}
