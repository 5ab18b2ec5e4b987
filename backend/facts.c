#include "backend/facts.h"

#include "dns/name.h"

#include <string.h>

/* Adds one fact, unless it is there; more than fit make the answer volatile. */
static void facts_add(struct answer_info *info, enum dns_fact fact, const uint8_t *name)
{
	uint64_t hash;

	if (info->is_volatile)
		return;
	hash = dns_fact_hash(fact, name);
	for (unsigned int i = 0; i < info->fact_count; i++) {
		if (info->facts[i] == hash)
			return;
	}
	if (info->fact_count == ANSWER_FACTS_MAX)
		info->is_volatile = true;
	else
		info->facts[info->fact_count++] = hash;
}

static const uint8_t *suffix(const struct facts_walk *walk, unsigned int label)
{
	return label < walk->count ? walk->name + walk->labels[label]
				   : walk->name + dns_name_size(walk->name) - 1;
}

/* The wildcard right below the closest encloser, there or not. */
static void add_wildcard(struct answer_info *info, const uint8_t *encloser)
{
	uint8_t name[DNS_NAME_MAX + 2] = {1, '*'};
	size_t size = dns_name_size(encloser);

	if (2 + size > DNS_NAME_MAX)
		return; /* no such name can be */
	memcpy(name + 2, encloser, size);
	facts_add(info, DNS_FACT_DATA, name);
}

void facts_add_walk(struct answer_info *info, const struct facts_walk *walk)
{
	const uint8_t *encloser = suffix(walk, walk->encloser);

	for (unsigned int label = walk->apex; label > walk->encloser; label--)
		facts_add(info, DNS_FACT_CUT, suffix(walk, label));
	if (walk->encloser == 0 || walk->taken_over) {
		facts_add(info, DNS_FACT_DATA, encloser);
		return;
	}
	facts_add(info, DNS_FACT_CUT, encloser);
	facts_add(info, DNS_FACT_DATA, suffix(walk, walk->encloser - 1)); /* next closer */
	add_wildcard(info, encloser);
}
