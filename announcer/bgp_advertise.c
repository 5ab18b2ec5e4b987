/* From what a peer knows to what it should know: see the header. */
#include "announcer/bgp_advertise.h"

#include "announcer/bgp_update.h"

#include <stdlib.h>
#include <sys/socket.h>

void bgp_advertise_clear(struct bgp_advertise *advertise)
{
	free(advertise->entries);
	*advertise = (struct bgp_advertise){0};
}

/* The entry of a prefix among the first `count`, or NULL. */
static struct bgp_advertised *bgp_advertise_find(struct bgp_advertised *entries, size_t count,
						 const struct prefix *prefix)
{
	for (size_t i = 0; i < count; i++) {
		if (prefix_equal(&entries[i].wanted.prefix, prefix))
			return &entries[i];
	}
	return NULL;
}

int bgp_advertise_set(struct bgp_advertise *advertise, const struct bgp_route *routes, size_t count)
{
	size_t room = count + bgp_advertise_count(advertise);
	struct bgp_advertised *entries = calloc(room > 0 ? room : 1, sizeof(*entries));
	size_t used = 0;

	if (!entries)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (bgp_advertise_find(entries, used, &routes[i].prefix))
			continue;
		entries[used].wanted = routes[i];
		entries[used].is_wanted = true;
		used++;
	}
	for (size_t i = 0; i < advertise->count; i++) {
		const struct bgp_advertised *old = &advertise->entries[i];
		if (!old->is_sent)
			continue;
		struct bgp_advertised *entry = bgp_advertise_find(entries, used, &old->sent.prefix);
		if (!entry) {
			entry = &entries[used++];
			entry->wanted.prefix = old->sent.prefix; /* it is found by this */
		}
		entry->sent = old->sent;
		entry->is_sent = true;
		entry->again = old->again;
	}
	free(advertise->entries);
	advertise->entries = entries;
	advertise->count = used;
	return 0;
}

void bgp_advertise_repeat(struct bgp_advertise *advertise, int family)
{
	for (size_t i = 0; i < advertise->count; i++) {
		if (advertise->entries[i].wanted.prefix.family == family)
			advertise->entries[i].again = true;
	}
}

static bool bgp_advertised_is_withdrawn(const struct bgp_advertised *entry)
{
	return entry->is_sent && !entry->is_wanted;
}

/* True when the peer does not know the route as it should. */
static bool bgp_advertised_is_due(const struct bgp_advertised *entry,
				  const struct bgp_agreement *agreement)
{
	bool agreed = entry->wanted.prefix.family == AF_INET ? agreement->ipv4 : agreement->ipv6;

	if (!entry->is_wanted || !agreed)
		return false;
	return !entry->is_sent || entry->again ||
	       !bgp_attributes_equal(&entry->wanted, &entry->sent, agreement);
}

/* All withdrawals of a family that fit into one UPDATE. */
static size_t bgp_advertise_withdraw(struct bgp_advertise *advertise, int family,
				     uint8_t out[BGP_MESSAGE_MAX])
{
	struct bgp_update_writer writer;

	bgp_update_begin_withdrawal(&writer, family, out);
	for (size_t i = 0; i < advertise->count; i++) {
		struct bgp_advertised *entry = &advertise->entries[i];
		if (!bgp_advertised_is_withdrawn(entry) || entry->sent.prefix.family != family)
			continue;
		if (!bgp_update_add(&writer, &entry->sent.prefix))
			break;
		entry->is_sent = false;
		entry->again = false;
	}
	return bgp_update_finish(&writer);
}

/* A route that is due and all others with its attributes that fit into one UPDATE. */
static size_t bgp_advertise_announce(struct bgp_advertise *advertise, const struct bgp_route *first,
				     const struct bgp_agreement *agreement,
				     uint8_t out[BGP_MESSAGE_MAX])
{
	struct bgp_update_writer writer;

	bgp_update_begin_routes(&writer, first, agreement, out);
	for (size_t i = 0; i < advertise->count; i++) {
		struct bgp_advertised *entry = &advertise->entries[i];
		if (!bgp_advertised_is_due(entry, agreement) ||
		    !bgp_attributes_equal(&entry->wanted, first, agreement))
			continue;
		if (!bgp_update_add(&writer, &entry->wanted.prefix))
			break;
		entry->sent = entry->wanted;
		entry->is_sent = true;
		entry->again = false;
	}
	return bgp_update_finish(&writer);
}

size_t bgp_advertise_next(struct bgp_advertise *advertise, const struct bgp_agreement *agreement,
			  uint8_t out[BGP_MESSAGE_MAX])
{
	for (size_t i = 0; i < advertise->count; i++) {
		const struct bgp_advertised *entry = &advertise->entries[i];
		if (bgp_advertised_is_withdrawn(entry))
			return bgp_advertise_withdraw(advertise, entry->sent.prefix.family, out);
	}
	for (size_t i = 0; i < advertise->count; i++) {
		const struct bgp_advertised *entry = &advertise->entries[i];
		if (bgp_advertised_is_due(entry, agreement))
			return bgp_advertise_announce(advertise, &entry->wanted, agreement, out);
	}
	return 0;
}

size_t bgp_advertise_count(const struct bgp_advertise *advertise)
{
	size_t count = 0;

	for (size_t i = 0; i < advertise->count; i++)
		count += advertise->entries[i].is_sent;
	return count;
}

bool bgp_advertise_has(const struct bgp_advertise *advertise, const struct prefix *prefix)
{
	const struct bgp_advertised *entry =
		bgp_advertise_find(advertise->entries, advertise->count, prefix);
	return entry && entry->is_sent;
}
