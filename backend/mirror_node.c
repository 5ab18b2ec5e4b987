#include "backend/mirror_internal.h"

#include <string.h>

/* What an edge is looked up by: the parent's identity and a label in lower case. */
struct edge_key {
	const struct mirror_node *parent;
	const uint8_t *label;
};

static const uint8_t wildcard_label[] = {1, '*'};

/* What makes a node take over what is below it. */
#define BLOCK_CUTS (MIRROR_NODE_HAS_NS | MIRROR_NODE_HAS_DNAME)

uint64_t mirror_hash(uint64_t seed, const uint8_t *octets, size_t size)
{
	uint64_t hash = seed ^ size;
	uint64_t word;

	for (; size >= sizeof(word); octets += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, octets, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	word = 0;
	memcpy(&word, octets, size);
	hash = (hash ^ word) * 0xbf58476d1ce4e5b9u;
	hash ^= hash >> 32;
	return hash * 0x94d049bb133111ebu;
}

/* cds_lfht takes the bits from the low end up, so the best mixed ones, the upper, go there. */
static unsigned long edge_hash(const struct mirror *mirror, const struct edge_key *key)
{
	uint64_t seed = mirror->seed ^ (uintptr_t)key->parent * 0xd6e8feb86659fd93u;
	uint64_t hash = mirror_hash(seed, key->label, 1u + *key->label);

	return hash ^ hash >> 32;
}

unsigned long node_hash(const struct mirror *mirror, const struct mirror_node *node)
{
	const struct edge_key key = {node->parent, node->label};

	return edge_hash(mirror, &key);
}

static int edge_match(struct cds_lfht_node *entry, const void *key_pointer)
{
	const struct edge_key *key = key_pointer;
	const struct mirror_node *node = caa_container_of(entry, struct mirror_node, edge);

	return node->parent == key->parent &&
	       memcmp(node->label, key->label, 1u + *key->label) == 0;
}

static struct mirror_node *edge_find(const struct mirror *mirror, const struct mirror_node *parent,
				     const uint8_t *label)
{
	struct edge_key key = {parent, label};
	unsigned long hash = edge_hash(mirror, &key);
	struct cds_lfht_iter iter;

	if (filter_excludes(mirror, hash))
		return NULL;
	cds_lfht_lookup(mirror->edges.lfht, hash, edge_match, &key, &iter);
	struct cds_lfht_node *entry = cds_lfht_iter_get_node(&iter);
	return entry ? caa_container_of(entry, struct mirror_node, edge) : NULL;
}

const struct mirror_node *mirror_find_child(const struct mirror *mirror,
					    const struct mirror_node *node, const uint8_t *label)
{
	uint8_t lower[1 + DNS_LABEL_MAX];

	for (unsigned int i = 0; i <= *label; i++)
		lower[i] = dns_lower(label[i]);
	return edge_find(mirror, node, lower);
}

/* --- the writer ------------------------------------------------------------------------------- */

/* A new node, not reachable yet, on its zone's list, with a label of `size` octets. */
static struct mirror_node *node_create(struct mirror *mirror, struct mirror_zone *zone,
				       struct mirror_node *parent, const void *label,
				       size_t label_size)
{
	struct mirror_node *node = mirror_allocate(mirror, sizeof(*node) + label_size);

	memset(node, 0, sizeof(*node));
	node->parent = parent;
	node->generation = zone->generation;
	memcpy(node->label, label, label_size);
	cds_list_add(&node->of_zone, &zone->nodes);
	return node;
}

struct mirror_node *node_create_apex(struct mirror *mirror, struct mirror_zone *zone)
{
	return node_create(mirror, zone, NULL, &zone, sizeof(zone));
}

const struct mirror_zone *node_build_name(const struct mirror_node *node, uint8_t *name)
{
	const struct mirror_zone *zone;
	size_t size = 0;

	for (; node->parent; node = node->parent) {
		memcpy(name + size, node->label, 1u + *node->label);
		size += 1u + *node->label;
	}
	memcpy(&zone, node->label, sizeof(zone)); /* at an apex: see mirror_internal.h */
	memcpy(name + size, zone->name, zone->apex_size);
	return zone;
}

/*
 * Walks from the apex to `owner` (lower case) as far as there are nodes. Returns the last one and
 * in `*missing` how many labels of `owner`, counted from its front, have none.
 */
static struct mirror_node *node_walk(const struct mirror *mirror, const struct mirror_zone *zone,
				     const uint8_t *owner, const uint8_t *labels,
				     unsigned int count, unsigned int *missing)
{
	struct mirror_node *node = zone->apex;
	unsigned int left = count - zone->labels;

	while (left > 0) {
		struct mirror_node *child = edge_find(mirror, node, owner + labels[left - 1]);
		if (!child)
			break;
		node = child;
		left--;
	}
	*missing = left;
	return node;
}

struct mirror_node *node_find(struct mirror *mirror, const struct mirror_zone *zone,
			      const uint8_t *owner)
{
	uint8_t lower[DNS_NAME_MAX];
	uint8_t labels[DNS_LABELS_MAX];
	unsigned int missing;

	dns_name_copy_lower(owner, lower);
	unsigned int count = dns_name_find_labels(lower, labels);
	struct mirror_node *node = node_walk(mirror, zone, lower, labels, count, &missing);
	return missing == 0 ? node : NULL;
}

/* Makes a node reachable from its parent. */
static void node_link(struct mirror *mirror, struct mirror_node *node)
{
	unsigned long hash = node_hash(mirror, node);

	node->parent->children++;
	filter_add(mirror, hash);
	mirror_table_add(&mirror->edges, hash, &node->edge);
	if (memcmp(node->label, wildcard_label, sizeof(wildcard_label)) == 0)
		atomic_store_explicit(&node->parent->has_wildcard, true, memory_order_release);
}

/* Keeps the figures in step with what a node has. */
static void node_count(struct mirror *mirror, const struct mirror_block *block, bool added)
{
	uint64_t sign = added ? 1 : UINT64_MAX;

	if (!block)
		return;
	atomic_fetch_add_explicit(&mirror->names, sign, memory_order_relaxed);
	atomic_fetch_add_explicit(&mirror->records, sign * block_count_records(block),
				  memory_order_relaxed);
}

void node_insert(struct mirror *mirror, struct mirror_zone *zone, const uint8_t *owner,
		 struct mirror_block *block)
{
	struct mirror_node *chain[DNS_LABELS_MAX];
	uint8_t lower[DNS_NAME_MAX];
	uint8_t labels[DNS_LABELS_MAX];
	unsigned int missing;

	dns_name_copy_lower(owner, lower);
	unsigned int count = dns_name_find_labels(lower, labels);
	struct mirror_node *node = node_walk(mirror, zone, lower, labels, count, &missing);
	for (unsigned int i = missing; i-- > 0;) {
		const uint8_t *label = lower + labels[i];
		node = chain[i] = node_create(mirror, zone, node, label, 1u + *label);
		mirror_observe_node(mirror, node, true);
	}
	node_count(mirror, block, true);
	atomic_store_explicit(&node->block, block, memory_order_release);
	/* From the far end, so that the last edge makes all of it visible. */
	for (unsigned int i = 0; i < missing; i++)
		node_link(mirror, chain[i]);
}

static unsigned int block_flags(const struct mirror_block *block)
{
	return block ? block->flags : 0;
}

void node_set_block(struct mirror *mirror, struct mirror_node *node, struct mirror_block *block)
{
	struct mirror_block *old = atomic_load_explicit(&node->block, memory_order_relaxed);

	node_count(mirror, old, false);
	node_count(mirror, block, true);
	mirror_observe_node(mirror, node, (block_flags(old) ^ block_flags(block)) & BLOCK_CUTS);
	atomic_store_explicit(&node->block, block, memory_order_release);
	if (old)
		mirror_discard(mirror, old);
}

/* Discards a node that nobody reaches any more. */
static void node_discard(struct mirror *mirror, struct mirror_node *node)
{
	struct mirror_block *block = atomic_load_explicit(&node->block, memory_order_relaxed);

	node_count(mirror, block, false);
	cds_list_del(&node->of_zone);
	if (block)
		mirror_discard(mirror, block);
	mirror_discard(mirror, node);
}

static void node_unlink(struct mirror *mirror, struct mirror_node *node)
{
	if (memcmp(node->label, wildcard_label, sizeof(wildcard_label)) == 0)
		atomic_store_explicit(&node->parent->has_wildcard, false, memory_order_release);
	node->parent->children--;
	mirror_table_remove(&mirror->edges, &node->edge);
}

void node_clear(struct mirror *mirror, struct mirror_node *node)
{
	struct mirror_node *top = node;

	if (node->children > 0 || !node->parent) {
		node_set_block(mirror, node, NULL);
		return;
	}
	/* The empty non-terminals above that have nothing else below them go too... */
	while (top->parent->parent && top->parent->children == 1 &&
	       !atomic_load_explicit(&top->parent->block, memory_order_relaxed))
		top = top->parent;
	/* ...with the topmost edge first: then nothing below it is reachable, at once. */
	struct mirror_node *stop = top->parent;
	node_unlink(mirror, top);
	while (node != stop) {
		struct mirror_node *parent = node->parent;
		mirror_observe_node(mirror, node, true);
		if (node != top)
			node_unlink(mirror, node);
		node_discard(mirror, node);
		node = parent;
	}
}

void node_remove_all(struct mirror *mirror, struct mirror_zone *zone)
{
	struct mirror_node *node;
	struct mirror_node *next;

	cds_list_for_each_entry_safe(node, next, &zone->nodes, of_zone) {
		if (node->parent)
			mirror_table_remove(&mirror->edges, &node->edge);
		node_discard(mirror, node);
	}
}
