/* Labels of addresses, and what they mean. */
#include "announcer/labels.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool labels_match(const struct announcer_labels *labels, const char *label, uint32_t *index)
{
	size_t interface = strlen(labels->interface);
	size_t prefix = strlen(labels->prefix);
	if (strncmp(label, labels->interface, interface) != 0 || label[interface] != ':' ||
	    strncmp(label + interface + 1, labels->prefix, prefix) != 0)
		return false;
	const char *digits = label + interface + 1 + prefix;
	size_t length = strlen(digits);
	if (strspn(digits, "0123456789") != length || length > 9 ||
	    (length > 1 && digits[0] == '0'))
		return false;
	*index = (uint32_t)strtoul(digits, NULL, 10); /* 0 of nothing */
	return true;
}

uint32_t labels_local_pref(const struct announcer_labels *labels, uint32_t index)
{
	uint64_t less = (uint64_t)labels->decrease * index;
	return less < labels->local_pref ? labels->local_pref - (uint32_t)less : 0;
}

bool labels_take(const struct announcer_labels *labels, const struct netlink_address *address,
		 uint32_t *local_pref, bool *wider)
{
	uint32_t index;
	*wider = false;
	if (!labels->enabled || address->prefix.family != AF_INET || !address->usable ||
	    strcmp(address->interface, labels->interface) != 0 ||
	    !labels_match(labels, address->label, &index))
		return false;
	*wider = !prefix_is_host(&address->prefix);
	if (*wider)
		return false;
	*local_pref = labels_local_pref(labels, index);
	return true;
}
