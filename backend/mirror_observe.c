/*
 * What changed, for who keeps answers: facts (dns/hash.h) gathered while a batch is put, told at
 * its end, when all of it shows.
 *
 * A name's records that change, a name that comes or goes, empty non-terminals included, change
 * DNS_FACT_DATA; NS or DNAME records that come or go, or the whole name, change DNS_FACT_CUT. When
 * there is more than a list can hold, or a zone comes or goes, everything may have changed.
 */
#include "backend/mirror_internal.h"

#include "dns/hash.h"

#include <stdlib.h>

/* Facts told one by one at the end of one batch. */
#define OBSERVED_MAX 16384

static void observe_fact(struct mirror_observer *observer, enum dns_fact fact, const uint8_t *name)
{
	if (observer->everything)
		return;
	if (observer->count == OBSERVED_MAX)
		observer->everything = true;
	else
		observer->facts[observer->count++] = dns_fact_hash(fact, name);
}

void mirror_observe_node(struct mirror *mirror, const struct mirror_node *node, bool cut)
{
	struct mirror_observer *observer = &mirror->observer;
	uint8_t name[DNS_NAME_MAX];

	if (!observer->tell || observer->everything)
		return;
	node_build_name(node, name);
	observe_fact(observer, DNS_FACT_DATA, name);
	if (cut)
		observe_fact(observer, DNS_FACT_CUT, name);
}

void mirror_observe_everything(struct mirror *mirror)
{
	mirror->observer.everything = true;
}

void mirror_tell_observer(struct mirror *mirror)
{
	struct mirror_observer *observer = &mirror->observer;

	if (observer->tell && (observer->everything || observer->count > 0))
		observer->tell(observer->ctx, observer->facts,
			       observer->everything ? 0 : observer->count, observer->everything);
	observer->count = 0;
	observer->everything = false;
}

void mirror_set_observer(struct mirror *mirror, mirror_observer_fn tell, void *ctx)
{
	struct mirror_observer *observer = &mirror->observer;

	free(observer->facts);
	*observer = (struct mirror_observer){.tell = tell, .ctx = ctx};
	if (!tell)
		return;
	observer->facts = calloc(OBSERVED_MAX, sizeof(*observer->facts));
	if (!observer->facts)
		abort();
}
