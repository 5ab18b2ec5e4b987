/* Addresses wanted, addresses there, and the difference made good. */
#include "announcer/addresses.h"

#include "announcer/metrics.h"
#include "common/clock.h"
#include "common/log.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How soon after it was put on an interface an address is put there again. */
#define PUT_INTERVAL_MS 1000

int addresses_init(struct addresses *addresses, const struct announcer_config *config,
		   struct netlink *netlink, struct metrics_shard *metrics)
{
	size_t count = 0;
	for (size_t s = 0; s < config->service_count; s++)
		count += config->services[s].address_count;
	*addresses = (struct addresses){.netlink = netlink, .metrics = metrics};
	addresses->entries = calloc(count ? count : 1, sizeof(addresses->entries[0]));
	if (!addresses->entries)
		return -1;
	for (size_t s = 0; s < config->service_count; s++)
		for (size_t i = 0; i < config->services[s].address_count; i++) {
			const struct announcer_address *source = &config->services[s].addresses[i];
			addresses->entries[addresses->count++] = (struct address_entry){
				.config = source,
				.service = s,
				.wanted = source->assign == ANNOUNCER_ASSIGN_START,
				.present = source->interface[0] == '\0',
			};
		}
	return 0;
}

/* A cause is logged when it is new, not each time it is met again. */
static void addresses_note_failure(struct addresses *addresses, struct address_entry *entry,
				   const char *what, const char *error)
{
	char text[PREFIX_TEXT_MAX];
	metrics_add(addresses->metrics, METRIC_NETLINK_ERRORS, 1);
	if (strcmp(entry->error, error) == 0)
		return;
	snprintf(entry->error, sizeof(entry->error), "%s", error);
	log_error(what, "address=%s reason=%s", prefix_format(&entry->config->prefix, text), error);
}

static void addresses_put(struct addresses *addresses, struct address_entry *entry)
{
	const struct announcer_address *config = entry->config;
	char text[PREFIX_TEXT_MAX];
	char error[200];
	int64_t now = clock_now_ms();
	if (entry->was_there && entry->put_ms && now - entry->put_ms < PUT_INTERVAL_MS)
		return; /* the owner comes back to it */
	int result = netlink_add_address(addresses->netlink, &config->prefix, config->interface,
					 error, sizeof(error));
	if (result < 0) {
		addresses_note_failure(addresses, entry, "address not assigned", error);
		return;
	}
	entry->error[0] = '\0';
	entry->put_ms = now;
	entry->ours = result == 0;
	entry->present = true;
	prefix_format(&config->prefix, text);
	if (entry->was_there)
		log_warning("address put back: somebody had taken it away",
			    "address=%s interface=%s", text, config->interface);
	else
		log_info("address assigned", "address=%s interface=%s", text, config->interface);
}

static void addresses_take_away(struct addresses *addresses, struct address_entry *entry)
{
	const struct announcer_address *config = entry->config;
	char text[PREFIX_TEXT_MAX];
	char error[200];
	if (netlink_remove_address(addresses->netlink, &config->prefix, config->interface, error,
				   sizeof(error)) != 0) {
		addresses_note_failure(addresses, entry, "address not removed", error);
		return;
	}
	entry->ours = false;
	entry->present = false;
	entry->was_there = false;
	entry->error[0] = '\0';
	log_info("address removed", "address=%s interface=%s", prefix_format(&config->prefix, text),
		 config->interface);
}

/* Looks for the address, whatever its length on the interface. NULL: it is not there. */
static const struct netlink_address *addresses_find(const struct announcer_address *config,
						    const struct netlink_address *list,
						    size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].prefix.family == config->prefix.family &&
		    strcmp(list[i].interface, config->interface) == 0 &&
		    memcmp(list[i].prefix.address, config->prefix.address,
			   sizeof(config->prefix.address)) == 0)
			return &list[i];
	return NULL;
}

/* Brings one address in line with what is wanted. Returns true when `present` has changed. */
static bool addresses_check_one(struct addresses *addresses, struct address_entry *entry,
				const struct netlink_address *list, size_t count)
{
	const struct netlink_address *found = addresses_find(entry->config, list, count);
	bool was = entry->present;
	entry->present = found && found->usable;
	if (!found)
		entry->ours = false;
	if (entry->wanted && !found)
		addresses_put(addresses, entry);
	else if (!entry->wanted && found && entry->ours)
		addresses_take_away(addresses, entry);
	entry->was_there |= entry->present;
	return entry->present != was;
}

bool addresses_check(struct addresses *addresses)
{
	struct netlink_address *list = NULL;
	size_t count = 0;
	char error[200];
	bool changed = false;
	if (netlink_list_addresses(addresses->netlink, "", &list, &count, error, sizeof(error)) !=
	    0) {
		metrics_add(addresses->metrics, METRIC_NETLINK_ERRORS, 1);
		log_warning_limited("addresses not looked at", "reason=%s", error);
		return false; /* what was known still counts */
	}
	for (size_t i = 0; i < addresses->count; i++) {
		struct address_entry *entry = &addresses->entries[i];
		if (entry->config->interface[0] != '\0')
			changed |= addresses_check_one(addresses, entry, list, count);
	}
	free(list);
	return changed;
}

/* Whether this process has CAP_NET_ADMIN. */
static bool addresses_may_assign(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2] = {{0}};
	if (syscall(SYS_capget, &head, sets) != 0)
		return true; /* then the kernel will say */
	return sets[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN);
}

bool addresses_are_allowed(const struct addresses *addresses, char *error, size_t error_size)
{
	char text[PREFIX_TEXT_MAX];
	if (addresses_may_assign())
		return true;
	for (size_t i = 0; i < addresses->count; i++) {
		const struct address_entry *entry = &addresses->entries[i];
		if (entry->config->assign == ANNOUNCER_ASSIGN_NEVER || entry->present)
			continue;
		snprintf(error, error_size,
			 "%s cannot be put on %s: that needs CAP_NET_ADMIN; give it to this "
			 "process, or put the address there and set `assign: never`",
			 prefix_format(&entry->config->prefix, text), entry->config->interface);
		return false;
	}
	return true;
}

void addresses_remove(struct addresses *addresses)
{
	for (size_t i = 0; i < addresses->count; i++) {
		struct address_entry *entry = &addresses->entries[i];
		entry->wanted = false;
		if (entry->ours)
			addresses_take_away(addresses, entry);
	}
}

void addresses_clear(struct addresses *addresses)
{
	free(addresses->entries);
	addresses->entries = NULL;
	addresses->count = 0;
}
