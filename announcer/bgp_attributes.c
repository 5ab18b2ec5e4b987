/*
 * Path attributes, checked and written: see the header.
 *
 *     Flags (1) | Type (1) | Length (1, or 2 with the extended flag) | Value
 */
#include "announcer/bgp_attributes.h"

#include "announcer/bgp_message.h"
#include "announcer/bgp_octets.h"

#include <stdio.h>
#include <sys/socket.h>

#define BGP_FLAGS_WELL_KNOWN BGP_FLAG_TRANSITIVE
#define BGP_FLAGS_TRANSITIVE (BGP_FLAG_OPTIONAL | BGP_FLAG_TRANSITIVE)
#define BGP_FLAGS_MASK (BGP_FLAG_OPTIONAL | BGP_FLAG_TRANSITIVE)

#define BGP_AS_SEQUENCE 2       /* RFC 4271 section 4.3; AS_SET is 1 */
#define BGP_AS_CONFED_SET 4     /* the last type there is (RFC 5065) */
#define BGP_ORIGIN_INCOMPLETE 2 /* the last value there is */

/* How an attribute's value is told to be right. */
enum bgp_shape {
	BGP_SHAPE_UNKNOWN, /* an attribute that is not known */
	BGP_SHAPE_EXACT,   /* so many octets */
	BGP_SHAPE_LIST,    /* one or more of so many octets each */
	BGP_SHAPE_PATH,    /* AS numbers, in segments */
	BGP_SHAPE_ROUTES,  /* MP_REACH_NLRI, MP_UNREACH_NLRI */
	BGP_SHAPE_ANY,     /* malformed, it is left out (RFC 7606 section 7, RFC 6793 section 6), as
			      we leave out all of them: no need to look */
};

struct bgp_attribute_rule {
	uint8_t flags; /* which of BGP_FLAGS_MASK it has */
	uint8_t shape;
	uint8_t size;
	bool internal; /* from external peers it is left out (RFC 7606 sections 7.5, 7.9, 7.10) */
};

static const struct bgp_attribute_rule bgp_rules[256] = {
	[BGP_ATTRIBUTE_ORIGIN] = {BGP_FLAGS_WELL_KNOWN, BGP_SHAPE_EXACT, 1, false},
	[BGP_ATTRIBUTE_AS_PATH] = {BGP_FLAGS_WELL_KNOWN, BGP_SHAPE_PATH, 0, false},
	[BGP_ATTRIBUTE_NEXT_HOP] = {BGP_FLAGS_WELL_KNOWN, BGP_SHAPE_EXACT, 4, false},
	[BGP_ATTRIBUTE_MED] = {BGP_FLAG_OPTIONAL, BGP_SHAPE_EXACT, 4, false},
	[BGP_ATTRIBUTE_LOCAL_PREF] = {BGP_FLAGS_WELL_KNOWN, BGP_SHAPE_EXACT, 4, true},
	[BGP_ATTRIBUTE_ATOMIC_AGGREGATE] = {BGP_FLAGS_WELL_KNOWN, BGP_SHAPE_ANY, 0, false},
	[BGP_ATTRIBUTE_AGGREGATOR] = {BGP_FLAGS_TRANSITIVE, BGP_SHAPE_ANY, 0, false},
	[BGP_ATTRIBUTE_COMMUNITIES] = {BGP_FLAGS_TRANSITIVE, BGP_SHAPE_LIST, 4, false},
	[BGP_ATTRIBUTE_ORIGINATOR_ID] = {BGP_FLAG_OPTIONAL, BGP_SHAPE_EXACT, 4, true},
	[BGP_ATTRIBUTE_CLUSTER_LIST] = {BGP_FLAG_OPTIONAL, BGP_SHAPE_LIST, 4, true},
	[BGP_ATTRIBUTE_MP_REACH] = {BGP_FLAG_OPTIONAL, BGP_SHAPE_ROUTES, 0, false},
	[BGP_ATTRIBUTE_MP_UNREACH] = {BGP_FLAG_OPTIONAL, BGP_SHAPE_ROUTES, 0, false},
	[BGP_ATTRIBUTE_EXTENDED] = {BGP_FLAGS_TRANSITIVE, BGP_SHAPE_LIST, 8, false},
	[BGP_ATTRIBUTE_AS4_PATH] = {BGP_FLAGS_TRANSITIVE, BGP_SHAPE_ANY, 0, false},
	[BGP_ATTRIBUTE_AS4_AGGREGATOR] = {BGP_FLAGS_TRANSITIVE, BGP_SHAPE_ANY, 0, false},
	[BGP_ATTRIBUTE_LARGE] = {BGP_FLAGS_TRANSITIVE, BGP_SHAPE_LIST, 12, false},
};

/* ---- NLRI ---- */

size_t bgp_nlri_size(const struct prefix *prefix)
{
	return 1 + (prefix->length + 7u) / 8;
}

uint8_t *bgp_nlri_put(uint8_t *out, const struct prefix *prefix)
{
	return bgp_put_octets(bgp_put8(out, prefix->length), prefix->address,
			      bgp_nlri_size(prefix) - 1);
}

/*
 * RFC 7606 section 5.3: what makes NLRI unreadable. Bits behind the length are of no consequence.
 */
int bgp_nlri_count(const uint8_t *nlri, size_t size, int family)
{
	unsigned int bits_max = family == AF_INET ? 32 : 128;
	int count = 0;

	while (size > 0) {
		size_t octets = 1 + (nlri[0] + 7u) / 8;
		if (nlri[0] > bits_max || octets > size)
			return -1;
		nlri += octets;
		size -= octets;
		count++;
	}
	return count;
}

/* ---- Writing ---- */

static uint8_t *bgp_attribute_put_head(uint8_t *p, uint8_t flags, uint8_t type, size_t size)
{
	if (size > UINT8_MAX) {
		p = bgp_put8(bgp_put8(p, flags | BGP_FLAG_EXTENDED), type);
		return bgp_put16(p, (uint16_t)size);
	}
	return bgp_put8(bgp_put8(bgp_put8(p, flags), type), (uint8_t)size);
}

static uint8_t *bgp_attribute_put32(uint8_t *p, uint8_t flags, uint8_t type, uint32_t value)
{
	return bgp_put32(bgp_attribute_put_head(p, flags, type, 4), value);
}

/*
 * AS_PATH or AS4_PATH: empty within our AS, else our number once and as often again as it is to be
 * prepended (RFC 4271 section 5.1.2). In 2 octets, a number that does not fit is AS_TRANS.
 */
static uint8_t *bgp_path_put(uint8_t *p, uint8_t flags, uint8_t type, uint32_t as,
			     unsigned int count, bool as4)
{
	p = bgp_attribute_put_head(p, flags, type, count ? 2 + count * (as4 ? 4u : 2u) : 0);
	if (count > 0)
		p = bgp_put8(bgp_put8(p, BGP_AS_SEQUENCE), (uint8_t)count);
	for (unsigned int i = 0; i < count; i++) {
		if (as4)
			p = bgp_put32(p, as);
		else
			p = bgp_put16(p, as > UINT16_MAX ? BGP_AS_TRANS : (uint16_t)as);
	}
	return p;
}

static uint8_t *bgp_communities_put(uint8_t *p, const struct bgp_route *route)
{
	if (route->community_count > 0)
		p = bgp_attribute_put_head(p, BGP_FLAGS_TRANSITIVE, BGP_ATTRIBUTE_COMMUNITIES,
					   4 * route->community_count);
	for (size_t i = 0; i < route->community_count; i++)
		p = bgp_put32(p, route->communities[i]);
	return p;
}

static uint8_t *bgp_large_communities_put(uint8_t *p, const struct bgp_route *route)
{
	if (route->large_count > 0)
		p = bgp_attribute_put_head(p, BGP_FLAGS_TRANSITIVE, BGP_ATTRIBUTE_LARGE,
					   12 * route->large_count);
	for (size_t i = 0; i < route->large_count; i++) {
		p = bgp_put32(p, route->large[i].global);
		p = bgp_put32(p, route->large[i].local1);
		p = bgp_put32(p, route->large[i].local2);
	}
	return p;
}

/* In the order of their types, as RFC 4271 section 5 recommends. */
size_t bgp_attributes_write(const struct bgp_route *route, const struct bgp_agreement *agreement,
			    uint8_t out[BGP_ATTRIBUTES_MAX])
{
	unsigned int hops = agreement->internal ? 0 : 1 + route->prepend;
	uint8_t *p = out;

	p = bgp_put8(bgp_attribute_put_head(p, BGP_FLAGS_WELL_KNOWN, BGP_ATTRIBUTE_ORIGIN, 1), 0);
	p = bgp_path_put(p, BGP_FLAGS_WELL_KNOWN, BGP_ATTRIBUTE_AS_PATH, agreement->local_as, hops,
			 agreement->as4);
	if (route->prefix.family == AF_INET) {
		p = bgp_attribute_put_head(p, BGP_FLAGS_WELL_KNOWN, BGP_ATTRIBUTE_NEXT_HOP, 4);
		p = bgp_put_octets(p, route->next_hop, 4);
	}
	if (route->has_med)
		p = bgp_attribute_put32(p, BGP_FLAG_OPTIONAL, BGP_ATTRIBUTE_MED, route->med);
	if (agreement->internal)
		p = bgp_attribute_put32(p, BGP_FLAGS_WELL_KNOWN, BGP_ATTRIBUTE_LOCAL_PREF,
					route->local_pref);
	p = bgp_communities_put(p, route);
	/* RFC 6793 section 4.2.2: only where AS_PATH had to say AS_TRANS. */
	if (!agreement->as4 && hops > 0 && agreement->local_as > UINT16_MAX)
		p = bgp_path_put(p, BGP_FLAGS_TRANSITIVE, BGP_ATTRIBUTE_AS4_PATH,
				 agreement->local_as, hops, true);
	p = bgp_large_communities_put(p, route);
	return (size_t)(p - out);
}

_Static_assert(4 + 2 * (6 + 4 * (1 + BGP_PREPEND_MAX)) + 7 + 7 + 7 + 4 + 4 * BGP_COMMUNITIES_MAX +
			       4 + 12 * BGP_LARGE_COMMUNITIES_MAX <=
		       BGP_ATTRIBUTES_MAX,
	       "all attributes of a route fit");

bool bgp_attributes_equal(const struct bgp_route *a, const struct bgp_route *b,
			  const struct bgp_agreement *agreement)
{
	if (a->prefix.family != b->prefix.family || a->has_med != b->has_med ||
	    a->community_count != b->community_count || a->large_count != b->large_count)
		return false;
	if (a->has_med && a->med != b->med)
		return false;
	if (agreement->internal ? a->local_pref != b->local_pref : a->prepend != b->prepend)
		return false;
	for (size_t i = 0; i < a->large_count; i++) {
		if (a->large[i].global != b->large[i].global ||
		    a->large[i].local1 != b->large[i].local1 ||
		    a->large[i].local2 != b->large[i].local2)
			return false;
	}
	return memcmp(a->next_hop, b->next_hop, a->prefix.family == AF_INET ? 4 : 16) == 0 &&
	       memcmp(a->communities, b->communities, 4 * a->community_count) == 0;
}

/* ---- Checking ---- */

/* One attribute as it stands in an UPDATE. */
struct bgp_attribute_view {
	const uint8_t *start; /* its flags */
	uint8_t flags;
	uint8_t type;
	const uint8_t *value;
	size_t size; /* of the value */
};

/* RFC 4271 section 6.3: the data is the attribute, whole. */
static size_t bgp_attribute_size(const struct bgp_attribute_view *view)
{
	return (size_t)(view->value + view->size - view->start);
}

/* The first problem is kept: what follows may only be its consequence. */
static void bgp_attributes_note(struct bgp_attributes *out, uint8_t subcode,
				const struct bgp_attribute_view *view, const char *problem)
{
	if (out->problem[0])
		return;
	snprintf(out->problem, sizeof(out->problem), "%s (attribute %u)", problem, view->type);
	out->subcode = subcode;
	out->data = view->start;
	out->data_size = view->value ? bgp_attribute_size(view) : 0;
}

/* One that has to be there and is not. */
static void bgp_attributes_note_missing(struct bgp_attributes *out, const char *name)
{
	if (out->problem[0] == '\0')
		snprintf(out->problem, sizeof(out->problem), "no %s", name);
}

static int bgp_attribute_fault(const struct bgp_attribute_view *view, uint8_t subcode,
			       const char *words, struct bgp_fault *fault)
{
	return bgp_fault_set_data(fault, BGP_ERROR_UPDATE, subcode, view->start,
				  bgp_attribute_size(view), "peer's UPDATE has %s (attribute %u)",
				  words, view->type);
}

/* RFC 7606 section 7.2, RFC 7607: whole segments, none empty, of types there are, no AS 0. */
static bool bgp_path_is_good(const uint8_t *p, size_t size, size_t as_size, bool internal)
{
	while (size > 0) {
		uint8_t last_type = internal ? BGP_AS_CONFED_SET : BGP_AS_SEQUENCE;
		if (size < 2 || p[0] == 0 || p[0] > last_type || p[1] == 0 ||
		    2 + p[1] * as_size > size)
			return false;
		const uint8_t *as = p + 2;
		for (unsigned int i = 0; i < p[1]; i++, as += as_size) {
			if ((as_size == 4 ? bgp_get32(as) : bgp_get16(as)) == 0)
				return false;
		}
		size -= 2 + p[1] * as_size;
		p = as;
	}
	return true;
}

/* RFC 7606 section 7, RFC 8092 section 6: a value that can be what the attribute is for. */
static bool bgp_attribute_is_good(const struct bgp_attribute_view *view,
				  const struct bgp_attribute_rule *rule,
				  const struct bgp_agreement *agreement)
{
	switch ((enum bgp_shape)rule->shape) {
	case BGP_SHAPE_EXACT:
		if (view->size != rule->size)
			return false;
		return view->type != BGP_ATTRIBUTE_ORIGIN ||
		       view->value[0] <= BGP_ORIGIN_INCOMPLETE;
	case BGP_SHAPE_LIST:
		return view->size > 0 && view->size % rule->size == 0;
	case BGP_SHAPE_PATH:
		return bgp_path_is_good(view->value, view->size, agreement->as4 ? 4 : 2,
					agreement->internal);
	case BGP_SHAPE_ANY:
	case BGP_SHAPE_ROUTES:
	case BGP_SHAPE_UNKNOWN:
		break;
	}
	return true;
}

/* The family of MP attributes when both offer it, else 0: then what they hold is not for us. */
static int bgp_family_agreed(const uint8_t *value, const struct bgp_agreement *agreement)
{
	uint16_t afi = bgp_get16(value);
	if (value[2] != BGP_SAFI_UNICAST)
		return 0;
	if (afi == BGP_AFI_IPV4 && agreement->ipv4)
		return AF_INET;
	return afi == BGP_AFI_IPV6 && agreement->ipv6 ? AF_INET6 : 0;
}

/*
 * MP_REACH_NLRI: AFI (2) | SAFI (1) | Length of next hop (1) | Next hop | Reserved (1) | NLRI, and
 * MP_UNREACH_NLRI: AFI (2) | SAFI (1) | NLRI (RFC 4760 sections 3 and 4). When these cannot be read
 * nobody knows which routes are meant: the session ends (RFC 7606 sections 3(j), 7.11).
 */
static int bgp_mp_check(const struct bgp_attribute_view *view,
			const struct bgp_agreement *agreement, struct bgp_attributes *out,
			struct bgp_fault *fault)
{
	bool reach = view->type == BGP_ATTRIBUTE_MP_REACH;
	size_t head = reach ? 5 : 3;

	if (view->size < head)
		return bgp_attribute_fault(view, BGP_UPDATE_BAD_OPTIONAL,
					   "multiprotocol routes that are cut off", fault);
	size_t hop = reach ? view->value[3] : 0;
	head += hop;
	if (head > view->size)
		return bgp_attribute_fault(view, BGP_UPDATE_BAD_OPTIONAL,
					   "a next hop that is cut off", fault);
	out->reaches |= reach;
	int family = bgp_family_agreed(view->value, agreement);
	if (family == 0)
		return 0;
	/*
	 * IPv6: with a link-local address or without (RFC 2545); IPv4: RFC 8950 was not agreed on.
	 */
	if (reach && !(family == AF_INET ? hop == 4 : hop == 16 || hop == 32))
		return bgp_attribute_fault(view, BGP_UPDATE_BAD_OPTIONAL,
					   "a next hop of the wrong length", fault);
	int count = bgp_nlri_count(view->value + head, view->size - head, family);
	if (count < 0)
		return bgp_attribute_fault(view, BGP_UPDATE_BAD_OPTIONAL,
					   "a multiprotocol prefix that cannot be", fault);
	*(reach ? &out->announced : &out->withdrawn) += (size_t)count;
	return 0;
}

/* What RFC 4271 section 6.3 calls a value that is not good. */
static uint8_t bgp_attribute_subcode(const struct bgp_attribute_view *view)
{
	if (view->type == BGP_ATTRIBUTE_AS_PATH)
		return BGP_UPDATE_BAD_AS_PATH;
	if (view->type == BGP_ATTRIBUTE_ORIGIN && view->size == 1)
		return BGP_UPDATE_BAD_ORIGIN;
	return BGP_UPDATE_BAD_ATTRIBUTE_LENGTH;
}

/* One attribute, seen for the first time. */
static int bgp_attribute_check(const struct bgp_attribute_view *view,
			       const struct bgp_agreement *agreement, struct bgp_attributes *out,
			       struct bgp_fault *fault)
{
	const struct bgp_attribute_rule *rule = &bgp_rules[view->type];

	if (rule->shape == BGP_SHAPE_UNKNOWN) {
		/* RFC 4271 section 6.3: one that everybody has to know, and we do not. */
		if (!(view->flags & BGP_FLAG_OPTIONAL))
			return bgp_attribute_fault(view, BGP_UPDATE_UNKNOWN_WELL_KNOWN,
						   "an unrecognized well-known attribute", fault);
		return 0;
	}
	if ((view->flags & BGP_FLAGS_MASK) != rule->flags) /* RFC 7606 section 3(c) */
		bgp_attributes_note(out, BGP_UPDATE_BAD_FLAGS, view, "flags that are wrong");
	if (rule->shape == BGP_SHAPE_ROUTES)
		return bgp_mp_check(view, agreement, out, fault);
	if (rule->internal && !agreement->internal)
		return 0;
	if (!bgp_attribute_is_good(view, rule, agreement))
		bgp_attributes_note(out, bgp_attribute_subcode(view), view, "a malformed value");
	return 0;
}

/* Takes the next attribute off the front. False when it is cut off: then only its type is given. */
static bool bgp_attribute_next(const uint8_t **p, size_t *size, struct bgp_attribute_view *view)
{
	size_t head = *size >= 1 && ((*p)[0] & BGP_FLAG_EXTENDED) ? 4 : 3;

	*view = (struct bgp_attribute_view){.start = *p};
	if (*size >= 2)
		view->type = (*p)[1];
	if (*size < head)
		return false;
	size_t value_size = head == 4 ? bgp_get16(*p + 2) : (*p)[2];
	if (value_size > *size - head)
		return false;
	view->flags = (*p)[0];
	view->value = *p + head;
	view->size = value_size;
	*p += head + view->size;
	*size -= head + view->size;
	return true;
}

/* Takes all attributes apart. 0, or -1 with the fault. */
static int bgp_attributes_walk(const uint8_t *p, size_t size, const struct bgp_agreement *agreement,
			       bool seen[256], struct bgp_attributes *out, struct bgp_fault *fault)
{
	struct bgp_attribute_view view;

	while (size > 0) {
		bool whole = bgp_attribute_next(&p, &size, &view);
		bool routes = bgp_rules[view.type].shape == BGP_SHAPE_ROUTES;
		if (!whole && routes)
			return bgp_fault_set(fault, BGP_ERROR_UPDATE, BGP_UPDATE_MALFORMED_LIST,
					     "peer's UPDATE has routes that are cut off "
					     "(attribute %u)",
					     view.type);
		/* RFC 7606 section 3(g): the first one counts, but not among routes. */
		if (seen[view.type] && routes)
			return bgp_fault_set(fault, BGP_ERROR_UPDATE, BGP_UPDATE_MALFORMED_LIST,
					     "peer's UPDATE has attribute %u twice", view.type);
		if (whole && !seen[view.type] &&
		    bgp_attribute_check(&view, agreement, out, fault) != 0)
			return -1;
		seen[view.type] = true;
		out->describes |= view.type != BGP_ATTRIBUTE_MP_UNREACH;
		if (whole)
			continue;
		/* RFC 7606 section 4: the IPv4 routes can still be found. */
		bgp_attributes_note(out, BGP_UPDATE_MALFORMED_LIST, &view,
				    "an attribute that is cut off");
		break;
	}
	return 0;
}

int bgp_attributes_check(const uint8_t *attributes, size_t size, bool has_nlri,
			 const struct bgp_agreement *agreement, struct bgp_attributes *out,
			 struct bgp_fault *fault)
{
	bool seen[256] = {false};

	*out = (struct bgp_attributes){0};
	if (bgp_attributes_walk(attributes, size, agreement, seen, out, fault) != 0)
		return -1;

	/* RFC 7606 section 5.2: attributes that describe a route, but there is none: perhaps it was
	 * in what could not be read. */
	bool routes = has_nlri || out->reaches;
	if (out->problem[0] && out->describes && !routes)
		return bgp_fault_set_data(fault, BGP_ERROR_UPDATE, out->subcode, out->data,
					  out->data_size, "peer's UPDATE has no route and %s",
					  out->problem);

	/* RFC 7606 section 3(d): what a route cannot be without. */
	if (routes && !seen[BGP_ATTRIBUTE_ORIGIN])
		bgp_attributes_note_missing(out, "ORIGIN");
	if (routes && !seen[BGP_ATTRIBUTE_AS_PATH])
		bgp_attributes_note_missing(out, "AS_PATH");
	if (has_nlri && !seen[BGP_ATTRIBUTE_NEXT_HOP])
		bgp_attributes_note_missing(out, "NEXT_HOP");
	if (routes && agreement->internal && !seen[BGP_ATTRIBUTE_LOCAL_PREF])
		bgp_attributes_note_missing(out, "LOCAL_PREF");
	return 0;
}
