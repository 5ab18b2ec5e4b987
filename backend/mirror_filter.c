/*
 * Which edges are surely not there. Most questions of a flood of random names end at a label that
 * its parent does not have, and to learn that from the table of edges takes a walk through cold
 * memory, some lines of it, one after the other. A filter (Bloom's, all bits of an edge in one
 * word) says so from one line of memory that is more likely at hand.
 *
 * The writer sets an edge's bits before the edge can be found. Bits are never taken back: an edge
 * that is gone leaves them set, which costs its askers the walk and nothing else. A filter that is
 * worn, or of another size than the table has now, is replaced at the end of a batch; until then
 * there may be none, and every look-up walks.
 */
#include "backend/mirror_internal.h"

/*
 * Four edges to a word of 64 bits, two bits each: one in seventy edges that are not there passes.
 */
#define FILTER_EDGES_PER_WORD 4

struct mirror_filter {
	size_t count;     /* words, a power of two */
	uint64_t edges;   /* added so far: those that are gone, too */
	uint64_t worn_at; /* edges */
	_Atomic uint64_t words[];
};

/* The bits and the word are of different parts of the hash. */
static uint64_t filter_bits(unsigned long hash)
{
	return (uint64_t)1 << (hash & 63) | (uint64_t)1 << (hash >> 6 & 63);
}

static size_t filter_word(const struct mirror_filter *filter, unsigned long hash)
{
	return hash >> 12 & (filter->count - 1);
}

static void filter_set(struct mirror_filter *filter, unsigned long hash)
{
	atomic_fetch_or_explicit(&filter->words[filter_word(filter, hash)], filter_bits(hash),
				 memory_order_release);
	filter->edges++;
}

static struct mirror_filter *filter_build(struct mirror *mirror)
{
	size_t count = mirror->edges.buckets / FILTER_EDGES_PER_WORD;
	struct mirror_filter *filter =
		mirror_allocate(mirror, sizeof(*filter) + count * sizeof(filter->words[0]));
	struct cds_lfht_iter iter;
	struct mirror_node *node;

	filter->count = count;
	filter->edges = 0;
	for (size_t i = 0; i < count; i++)
		atomic_init(&filter->words[i], 0);
	rcu_read_lock();
	cds_lfht_for_each_entry(mirror->edges.lfht, &iter, node, edge)
		filter_set(filter, node_hash(mirror, node));
	rcu_read_unlock();
	filter->worn_at = filter->edges + mirror->edges.buckets;
	return filter;
}

bool filter_excludes(const struct mirror *mirror, unsigned long hash)
{
	const struct mirror_filter *filter =
		atomic_load_explicit(&mirror->filter, memory_order_acquire);

	if (!filter)
		return false;
	uint64_t bits = filter_bits(hash);
	return (atomic_load_explicit(&filter->words[filter_word(filter, hash)],
				     memory_order_acquire) &
		bits) != bits;
}

void filter_add(struct mirror *mirror, unsigned long hash)
{
	struct mirror_filter *filter = atomic_load_explicit(&mirror->filter, memory_order_relaxed);

	if (filter)
		filter_set(filter, hash);
}

void filter_drop(struct mirror *mirror)
{
	struct mirror_filter *filter = atomic_load_explicit(&mirror->filter, memory_order_relaxed);

	atomic_store_explicit(&mirror->filter, NULL, memory_order_release);
	if (filter)
		mirror_discard(mirror, filter);
}

void filter_settle(struct mirror *mirror)
{
	struct mirror_filter *filter = atomic_load_explicit(&mirror->filter, memory_order_relaxed);

	if (filter && filter->edges < filter->worn_at &&
	    filter->count == mirror->edges.buckets / FILTER_EDGES_PER_WORD)
		return;
	filter_drop(mirror);
	atomic_store_explicit(&mirror->filter, filter_build(mirror), memory_order_release);
}
