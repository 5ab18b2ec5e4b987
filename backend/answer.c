#include "backend/answer.h"

#include "backend/facts.h"
#include "backend/mirror.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "dns/writer.h"

#include <string.h>

/* CNAMEs followed for one question, those that DNAMEs make counted. */
#define CHAIN_MAX 16
/* RRsets whose names are looked up for the additional section, and addresses given there. */
#define ADDITIONAL_RRSETS_MAX 20
#define ADDITIONAL_NAMES_MAX 64
/* Octets kept free for the OPT record until the end. */
#define EDNS_RESERVE 128

static const uint8_t wildcard_label[] = {1, '*'};

/* A name being looked up: the question's at first, then each alias's target. */
struct lookup_name {
	const uint8_t *wire;
	uint8_t labels[DNS_LABELS_MAX];
	unsigned int count;
};

/*
 * How far the walk from the apex towards a name came. Labels are counted from the front of the
 * name: `encloser_label` is where the closest encloser's own name begins, 0 when it is the name
 * itself. `cut` and `dname` exclude each other: the walk ends at the first of either.
 */
struct walk {
	const struct mirror_node *encloser;
	unsigned int encloser_label;
	const struct mirror_node *cut;   /* a delegation at or above the name */
	const struct mirror_node *dname; /* a DNAME above the name */
};

/* An RRset put in the answer or authority whose names may want addresses. */
struct additional {
	const struct mirror_zone *zone;
	const uint8_t *apex; /* the zone's name, within a name that lives as long as the answer */
	const struct mirror_rrset *rrset;
	bool glue; /* addresses below a delegation will do (RFC 1034 section 4.2.1) */
};

/* A DNAME given, and how many labels the name had that it was first used for. */
struct dname_use {
	const struct mirror_node *node;
	unsigned int labels;
};

struct answer {
	const struct mirror *mirror;
	const struct dns_query *query;
	struct answer_info *info; /* where facts go; NULL: nobody wants them */
	struct dns_writer writer;
	uint16_t flags;
	int rcode;
	int ede;
	const char *ede_text;

	struct lookup_name name;
	const struct mirror_zone *zone; /* of `name` */
	unsigned int apex_label;        /* where the zone's name begins in `name` */

	/* The chain so far: owners of the CNAMEs given, and the DNAMEs. */
	const uint8_t *aliases[CHAIN_MAX];
	unsigned int alias_count;
	struct dname_use dnames[CHAIN_MAX];
	unsigned int dname_count;
	uint8_t targets[CHAIN_MAX][DNS_NAME_MAX]; /* of synthesised CNAMEs */

	struct additional additional[ADDITIONAL_RRSETS_MAX];
	unsigned int additional_count;
	const uint8_t *addressed[ADDITIONAL_NAMES_MAX]; /* names whose addresses are given */
	unsigned int addressed_count;
};

enum outcome { OUTCOME_DONE, OUTCOME_FOLLOW };

static const uint8_t *name_suffix(const struct lookup_name *name, unsigned int label)
{
	return label < name->count ? name->wire + name->labels[label]
				   : name->wire + dns_name_size(name->wire) - 1;
}

static void lookup_name_set(struct lookup_name *name, const uint8_t *wire)
{
	name->wire = wire;
	name->count = dns_name_find_labels(wire, name->labels);
}

/* The reply that says we failed: whatever was written is given up. */
static void answer_fail(struct answer *answer, const char *why)
{
	dns_writer_init(&answer->writer, answer->writer.buffer, answer->writer.capacity,
			answer->query);
	answer->flags = 0;
	answer->rcode = DNS_RCODE_SERVFAIL;
	answer->ede = DNS_EDE_OTHER;
	answer->ede_text = why;
	answer->additional_count = 0;
}

/* --- putting RRsets --------------------------------------------------------------------------- */

/* Puts all records of an RRset, or none and DNS_ERROR_NO_SPACE. */
static int put_rrset(struct answer *answer, enum dns_section section, const uint8_t *owner,
		     const struct mirror_rrset *rrset, uint32_t ttl)
{
	const struct dns_writer_mark before = dns_writer_mark(&answer->writer);
	const uint8_t *data = rrset->data;

	for (uint16_t i = 0; i < rrset->count; i++) {
		uint16_t size;
		memcpy(&size, data, sizeof(size));
		data += sizeof(size);
		int status = dns_writer_put_record(&answer->writer, section, owner, rrset->type,
						   ttl, data, size);
		if (status < 0) {
			dns_writer_rewind(&answer->writer, &before);
			return status;
		}
		data += size;
	}
	return 0;
}

/* Puts an RRset that the answer cannot do without. False: it has failed instead. */
static bool put_required(struct answer *answer, enum dns_section section, const uint8_t *owner,
			 const struct mirror_rrset *rrset, uint32_t ttl)
{
	if (put_rrset(answer, section, owner, rrset, ttl) == 0)
		return true;
	answer_fail(answer, "the answer is longer than a DNS message");
	return false;
}

static bool type_wants_additional(uint16_t type)
{
	return type == DNS_TYPE_NS || type == DNS_TYPE_MX || type == DNS_TYPE_SRV ||
	       type == DNS_TYPE_SVCB || type == DNS_TYPE_HTTPS;
}

static void want_additional(struct answer *answer, const struct mirror_rrset *rrset)
{
	if (!type_wants_additional(rrset->type) ||
	    answer->additional_count == ADDITIONAL_RRSETS_MAX)
		return;
	answer->additional[answer->additional_count++] = (struct additional){
		.zone = answer->zone,
		.apex = name_suffix(&answer->name, answer->apex_label),
		.rrset = rrset,
		.glue = rrset->type == DNS_TYPE_NS,
	};
}

/* An RRset of the name asked for, or of the wildcard it matches. */
static void put_answer(struct answer *answer, const struct mirror_rrset *rrset)
{
	if (put_required(answer, DNS_SECTION_ANSWER, answer->name.wire, rrset, rrset->ttl))
		want_additional(answer, rrset);
}

/* The SOA of a negative answer: its TTL is how long the denial holds (RFC 2308 section 3). */
static void put_authority_soa(struct answer *answer)
{
	const struct mirror_node *apex = mirror_zone_apex(answer->zone);
	const struct mirror_rrset *soa = mirror_find_rrset(apex, DNS_TYPE_SOA);

	if (!soa) { /* being deleted at this very moment */
		answer_fail(answer, "the zone has no SOA");
		return;
	}
	uint16_t size;
	memcpy(&size, soa->data, sizeof(size));
	uint32_t minimum = dns_get32(soa->data + sizeof(size) + size - 4);
	put_required(answer, DNS_SECTION_AUTHORITY, name_suffix(&answer->name, answer->apex_label),
		     soa, soa->ttl < minimum ? soa->ttl : minimum);
}

static void put_nodata(struct answer *answer)
{
	put_authority_soa(answer);
}

static void put_nxdomain(struct answer *answer)
{
	answer->rcode = DNS_RCODE_NXDOMAIN;
	put_authority_soa(answer);
}

/* A referral (RFC 1034 section 4.3.2 step 3b): authoritative only for aliases before it. */
static void put_delegation(struct answer *answer, const struct walk *walk)
{
	const struct mirror_rrset *ns = mirror_find_rrset(walk->cut, DNS_TYPE_NS);

	if (!ns) { /* gone since the walk */
		answer_fail(answer, "the delegation changed");
		return;
	}
	if (answer->alias_count == 0)
		answer->flags &= (uint16_t)~DNS_FLAG_AA;
	if (put_required(answer, DNS_SECTION_AUTHORITY,
			 name_suffix(&answer->name, walk->encloser_label), ns, ns->ttl))
		want_additional(answer, ns);
}

/* --- aliases ---------------------------------------------------------------------------------- */

/* True when the CNAME at the current name is in the answer already: a loop. */
static bool alias_is_known(const struct answer *answer)
{
	for (unsigned int i = 0; i < answer->alias_count; i++) {
		if (dns_name_equal(answer->aliases[i], answer->name.wire))
			return true;
	}
	return false;
}

static const struct dname_use *dname_find_use(const struct answer *answer,
					      const struct mirror_node *node)
{
	for (unsigned int i = 0; i < answer->dname_count; i++) {
		if (answer->dnames[i].node == node)
			return &answer->dnames[i];
	}
	return NULL;
}

/* Makes `target` the name to go on with. */
static enum outcome follow(struct answer *answer, const uint8_t *target)
{
	answer->aliases[answer->alias_count++] = answer->name.wire;
	lookup_name_set(&answer->name, target);
	return OUTCOME_FOLLOW;
}

static enum outcome put_cname(struct answer *answer, const struct mirror_rrset *cname)
{
	if (alias_is_known(answer) || answer->alias_count == CHAIN_MAX)
		return OUTCOME_DONE;
	put_answer(answer, cname);
	if (answer->rcode != DNS_RCODE_NOERROR)
		return OUTCOME_DONE;
	return follow(answer, cname->data + sizeof(uint16_t));
}

/*
 * RFC 6672 section 3.1: the DNAME, a CNAME made from it, and on with the new name. A chain may meet
 * a DNAME again and still end well: the record is given once. But when it comes back with a longer
 * name, DNAMEs feed each other, and it would only grow.
 */
static enum outcome put_dname(struct answer *answer, const struct walk *walk)
{
	const struct mirror_rrset *dname = mirror_find_rrset(walk->dname, DNS_TYPE_DNAME);
	const uint8_t *owner = name_suffix(&answer->name, walk->encloser_label);

	if (!dname) { /* gone since the walk */
		answer_fail(answer, "the DNAME changed");
		return OUTCOME_DONE;
	}
	const struct dname_use *before = dname_find_use(answer, walk->dname);
	if ((before && answer->name.count > before->labels) || alias_is_known(answer) ||
	    answer->alias_count == CHAIN_MAX)
		return OUTCOME_DONE;
	if (!before) {
		answer->dnames[answer->dname_count++] =
			(struct dname_use){walk->dname, answer->name.count};
		if (!put_required(answer, DNS_SECTION_ANSWER, owner, dname, dname->ttl))
			return OUTCOME_DONE;
	}

	uint8_t *target = answer->targets[answer->alias_count];
	int size = dns_name_replace_suffix(answer->name.wire, owner, dname->data + sizeof(uint16_t),
					   target);
	if (size < 0) { /* RFC 6672 section 2.2 */
		answer->rcode = DNS_RCODE_YXDOMAIN;
		return OUTCOME_DONE;
	}
	if (dns_writer_put_record(&answer->writer, DNS_SECTION_ANSWER, answer->name.wire,
				  DNS_TYPE_CNAME, dname->ttl, target, (uint16_t)size) < 0) {
		answer_fail(answer, "the answer is longer than a DNS message");
		return OUTCOME_DONE;
	}
	/* Who asked for the alias itself has it. */
	if (answer->query->qtype == DNS_TYPE_CNAME)
		return OUTCOME_DONE;
	return follow(answer, target);
}

/* --- finding ---------------------------------------------------------------------------------- */

/*
 * Walks from the apex down to the name, label by label, and stops where the zone's authority ends
 * or a DNAME takes over. `through` walks past both: for glue.
 */
static void walk_zone(const struct mirror *mirror, const struct mirror_zone *zone,
		      unsigned int apex_label, const struct lookup_name *name, uint16_t qtype,
		      bool through, struct walk *walk)
{
	const struct mirror_node *node = mirror_zone_apex(zone);
	unsigned int label = apex_label;

	memset(walk, 0, sizeof(*walk));
	for (;;) {
		unsigned int flags = mirror_node_flags(node);
		walk->encloser = node;
		walk->encloser_label = label;
		/* DS belongs to the parent's side of a cut (RFC 4035 section 3.1.4.1). */
		if ((flags & MIRROR_NODE_HAS_NS) && label != apex_label && !through &&
		    !(label == 0 && qtype == DNS_TYPE_DS)) {
			walk->cut = node;
			return;
		}
		if (label == 0)
			return;
		if ((flags & MIRROR_NODE_HAS_DNAME) && !through) {
			walk->dname = node;
			return;
		}
		node = mirror_find_child(mirror, node, name->wire + name->labels[label - 1]);
		if (!node)
			return;
		label--;
	}
}

/*
 * The node that answers for the name: its own, or the wildcard's right below the closest encloser
 * (RFC 4592 section 3.3.1), or NULL.
 */
static const struct mirror_node *walk_match(const struct mirror *mirror, const struct walk *walk)
{
	if (walk->encloser_label == 0)
		return walk->encloser;
	if (!(mirror_node_flags(walk->encloser) & MIRROR_NODE_HAS_WILDCARD))
		return NULL;
	return mirror_find_child(mirror, walk->encloser, wildcard_label);
}

/* The answer from a node that exists, exactly or by wildcard. */
static enum outcome put_node(struct answer *answer, const struct mirror_node *node)
{
	uint16_t qtype = answer->query->qtype;
	/* ANY gets one RRset: enough to say the name is there (RFC 8482 section 4.1). */
	const struct mirror_rrset *rrset =
		qtype == DNS_TYPE_ANY ? mirror_first_rrset(node) : mirror_find_rrset(node, qtype);

	if (rrset) {
		/* A chain may end at a DNAME that it passed, and gave, before. */
		if (rrset->type != DNS_TYPE_DNAME || !dname_find_use(answer, node))
			put_answer(answer, rrset);
		return OUTCOME_DONE;
	}
	const struct mirror_rrset *cname = mirror_find_rrset(node, DNS_TYPE_CNAME);
	if (cname)
		return put_cname(answer, cname);
	put_nodata(answer);
	return OUTCOME_DONE;
}

/* Finds the zone for the current name; DS at an apex is asked of the parent, if we serve it. */
static bool find_zone(struct answer *answer)
{
	const struct lookup_name *name = &answer->name;
	unsigned int apex_label = 0;
	const struct mirror_zone *zone = NULL;

	if (answer->query->qtype == DNS_TYPE_DS && name->count > 0)
		zone = mirror_find_zone(answer->mirror, name->wire, name->labels, name->count, true,
					&apex_label);
	if (!zone)
		zone = mirror_find_zone(answer->mirror, name->wire, name->labels, name->count,
					false, &apex_label);
	answer->zone = zone;
	answer->apex_label = apex_label;
	return zone != NULL;
}

/* Notes what a walk towards `name` rests on. */
static void note_facts(struct answer *answer, const struct lookup_name *name,
		       unsigned int apex_label, const struct walk *walk)
{
	if (!answer->info)
		return;
	const struct facts_walk facts = {
		.name = name->wire,
		.labels = name->labels,
		.count = name->count,
		.apex = apex_label,
		.encloser = walk->encloser_label,
		.taken_over = walk->cut || walk->dname,
	};
	facts_add_walk(answer->info, &facts);
}

/* Notes the zone of the name asked for. */
static void note_zone(struct answer *answer)
{
	const struct lookup_name *name = &answer->name;

	if (answer->info)
		answer->info->zone_size = (uint8_t)(name->wire + answer->query->qname_size -
						    name_suffix(name, answer->apex_label));
}

/* One round of RFC 1034 section 4.3.2, for the current name. */
static enum outcome answer_name(struct answer *answer)
{
	struct walk walk;

	if (!find_zone(answer)) {
		if (answer->alias_count == 0) {
			answer->rcode = DNS_RCODE_REFUSED;
			answer->ede = DNS_EDE_NOT_AUTHORITATIVE;
		}
		return OUTCOME_DONE; /* an alias led out of what we serve: the rest is for others */
	}
	answer->flags |= DNS_FLAG_AA;
	if (answer->alias_count == 0)
		note_zone(answer);
	walk_zone(answer->mirror, answer->zone, answer->apex_label, &answer->name,
		  answer->query->qtype, false, &walk);
	note_facts(answer, &answer->name, answer->apex_label, &walk);
	if (walk.cut) {
		put_delegation(answer, &walk);
		return OUTCOME_DONE;
	}
	if (walk.dname)
		return put_dname(answer, &walk);
	const struct mirror_node *node = walk_match(answer->mirror, &walk);
	if (node)
		return put_node(answer, node);
	put_nxdomain(answer);
	return OUTCOME_DONE;
}

/* --- additional ------------------------------------------------------------------------------- */

/* Puts a target's addresses if this zone has them. False when there is no room for more. */
static bool put_addresses(struct answer *answer, const struct additional *additional,
			  const uint8_t *target)
{
	struct lookup_name name;
	struct walk walk;

	if (answer->addressed_count == ADDITIONAL_NAMES_MAX)
		return false;
	for (unsigned int i = 0; i < answer->addressed_count; i++) {
		if (dns_name_equal(answer->addressed[i], target))
			return true;
	}
	if (!dns_name_is_within(target, additional->apex))
		return true;
	lookup_name_set(&name, target);
	unsigned int apex_label = name.count - dns_name_count_labels(additional->apex);
	walk_zone(answer->mirror, additional->zone, apex_label, &name, DNS_TYPE_A, additional->glue,
		  &walk);
	note_facts(answer, &name, apex_label, &walk);
	const struct mirror_node *node =
		walk.cut || walk.dname ? NULL : walk_match(answer->mirror, &walk);
	if (!node)
		return true;
	answer->addressed[answer->addressed_count++] = target;
	static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct mirror_rrset *rrset = mirror_find_rrset(node, types[i]);
		if (rrset &&
		    put_rrset(answer, DNS_SECTION_ADDITIONAL, target, rrset, rrset->ttl) < 0)
			return false;
	}
	return true;
}

/* Octets before the name in the data of the types that want addresses. */
static size_t rdata_name_offset(uint16_t type)
{
	switch (type) {
	case DNS_TYPE_NS:
		return 0;
	case DNS_TYPE_SRV:
		return 6;
	default:
		return 2;
	}
}

static void put_additional(struct answer *answer)
{
	for (unsigned int i = 0; i < answer->additional_count; i++) {
		const struct additional *additional = &answer->additional[i];
		const uint8_t *data = additional->rrset->data;
		size_t offset = rdata_name_offset(additional->rrset->type);
		for (uint16_t k = 0; k < additional->rrset->count; k++) {
			uint16_t size;
			memcpy(&size, data, sizeof(size));
			data += sizeof(size);
			if (!put_addresses(answer, additional, data + offset))
				return;
			data += size;
		}
	}
}

/* --- driver ----------------------------------------------------------------------------------- */

static size_t answer_finish(struct answer *answer, uint16_t udp_payload)
{
	struct dns_writer *writer = &answer->writer;

	writer->capacity += EDNS_RESERVE;
	if (dns_writer_put_edns(writer, answer->query, udp_payload, answer->rcode, answer->ede,
				answer->ede_text) < 0)
		dns_writer_put_edns(writer, answer->query, udp_payload, answer->rcode, DNS_EDE_NONE,
				    NULL);
	return dns_writer_finish(writer, answer->flags, answer->rcode);
}

size_t answer_query(const struct mirror *mirror, const uint8_t *query, size_t size,
		    uint16_t udp_payload, uint8_t *reply, struct answer_info *info)
{
	struct dns_query question;
	struct answer answer;
	int rcode = dns_query_parse(query, size, &question);
	size_t reply_size;

	if (info) {
		info->fact_count = 0;
		info->is_volatile = false;
		info->zone_size = 0;
	}
	if (rcode == DNS_QUERY_DROP)
		return 0;
	if (rcode != DNS_RCODE_NOERROR) {
		reply_size = dns_reply_write_error(&question, rcode, udp_payload, DNS_EDE_NONE,
						   NULL, reply, ANSWER_SIZE_MAX);
	} else {
		answer.mirror = mirror;
		answer.query = &question;
		answer.info = info && info->wants_facts ? info : NULL;
		answer.flags = 0;
		answer.rcode = DNS_RCODE_NOERROR;
		answer.ede = DNS_EDE_NONE;
		answer.ede_text = NULL;
		answer.alias_count = answer.dname_count = 0;
		answer.additional_count = answer.addressed_count = 0;
		dns_writer_init(&answer.writer, reply, ANSWER_SIZE_MAX - EDNS_RESERVE, &question);
		lookup_name_set(&answer.name, question.qname);
		while (answer_name(&answer) == OUTCOME_FOLLOW)
			;
		put_additional(&answer);
		reply_size = answer_finish(&answer, udp_payload);
		rcode = answer.rcode;
	}
	if (info) {
		info->rcode = rcode;
		info->qtype = question.question_size ? question.qtype : 0;
	}
	return reply_size;
}
