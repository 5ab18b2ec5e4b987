/*
 * ExternalDNS's webhook provider protocol (application/external.dns.webhook+json;version=1) upon a
 * record store, without its HTTP: JSON in, JSON out. godwitctl external-dns serves it.
 *
 * ExternalDNS reads all records, works out what must change so that a cluster's Services and
 * Ingresses have theirs, and asks for just that. Its unit is the endpoint, an RRset with its data
 * as "targets"; ours is the record: what an endpoint does not name stays, so that a TXT record of
 * ExternalDNS's own, by which it knows what it owns, can share a name with those of others.
 *
 * An endpoint that cannot be served - no zone for it, data that does not parse, a CNAME beside
 * other data - is left out with its owner's other changes, logged and counted; it must not stand in
 * the way of all others. ExternalDNS does not find it when it reads, and asks again each time.
 *
 * One thread.
 */
#ifndef GODWIT_CTL_WEBHOOK_H
#define GODWIT_CTL_WEBHOOK_H

#include "ctl/rrlist.h"
#include "ctl/store.h"
#include "dns/name.h"
#include "dns/rdata.h"

#include <jansson.h>

struct evbuffer;

enum webhook_result {
	WEBHOOK_OK = 0,
	WEBHOOK_BAD_REQUEST = -1, /* JSON of another shape: `error` says what is expected */
	WEBHOOK_FAILED = -2,      /* the store or memory: nothing was written; `error` says why */
};

/* Zero-initialise but for the first three. */
struct webhook {
	struct storage *storage;                /* the caller's, open */
	uint32_t ttl;                           /* of records for which ExternalDNS gives none */
	const uint8_t (*domains)[DNS_NAME_MAX]; /* what may be read and written; none: everything */
	size_t domain_count;
	struct store_writer writer;
	uint8_t rdata[DNS_RDATA_MAX];
	char error[STORE_ERROR_MAX];
	uint64_t written;  /* records added and removed, since the start */
	uint64_t left_out; /* records that were not, for what they are */
};

void webhook_clear(struct webhook *webhook);

/* GET /: the domains, as ExternalDNS's domain filter. A new reference, or NULL without memory. */
json_t *webhook_domain_filter(const struct webhook *webhook);

/* GET /records: writes the store's endpoints as one JSON array. */
enum webhook_result webhook_read(struct webhook *webhook, struct evbuffer *out);

/*
 * POST /adjustendpoints: writes targets as webhook_read would, and takes off what no store keeps
 * (provider-specific properties): what is the same then looks the same to ExternalDNS.
 */
enum webhook_result webhook_adjust(struct webhook *webhook, json_t *endpoints);

/* POST /records: Create, UpdateOld, UpdateNew and Delete in one transaction. */
enum webhook_result webhook_apply(struct webhook *webhook, const json_t *changes);

/* --- between the parts ------------------------------------------------------------------------ */

/* True for the types that ExternalDNS knows. */
bool webhook_type_is_known(int type);

/* True when the name lies in one of the domains. */
bool webhook_may_touch(const struct webhook *webhook, const uint8_t *name);

/*
 * Reads a target into `webhook->rdata`. The size, or -1 with a reason for a person. TXT may come
 * with or without quotes; names with or without the dot at the end.
 */
int webhook_target_parse(struct webhook *webhook, uint16_t type, const char *target, char *reason,
			 size_t reason_size);

/* Notes in `error` that there is no memory. Always WEBHOOK_FAILED. */
enum webhook_result webhook_fail_memory(struct webhook *webhook);

#endif
