#include "backend/mirror_internal.h"

#include "dns/protocol.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Discarded objects kept before the writer stops to wait for readers. */
#define GARBAGE_MAX 65536
/* The same while an export is under way. */
#define GARBAGE_EXPORT_MAX (16 * GARBAGE_MAX)
/* Buckets of a hash table at least; a power of two. */
#define TABLE_MIN 1024

/* --- memory ----------------------------------------------------------------------------------- */

/* What one allocation really takes from glibc's heap: the usable octets and its size word. */
static uint64_t memory_size(void *memory)
{
	return malloc_usable_size(memory) + sizeof(size_t);
}

void *mirror_allocate(struct mirror *mirror, size_t size)
{
	void *memory = malloc(size);

	if (!memory)
		abort(); /* nothing sensible can be served from half a mirror */
	atomic_fetch_add_explicit(&mirror->bytes, memory_size(memory), memory_order_relaxed);
	return memory;
}

void mirror_free(struct mirror *mirror, void *memory)
{
	atomic_fetch_sub_explicit(&mirror->bytes, memory_size(memory), memory_order_relaxed);
	free(memory);
}

void mirror_discard(struct mirror *mirror, void *memory)
{
	struct mirror_garbage *garbage = &mirror->garbage;

	if (garbage->count == garbage->capacity) {
		garbage->capacity = garbage->capacity ? 2 * garbage->capacity : 64;
		garbage->items =
			realloc(garbage->items, garbage->capacity * sizeof(*garbage->items));
		if (!garbage->items)
			abort();
	}
	garbage->items[garbage->count++] = memory;
}

void mirror_empty_garbage(struct mirror *mirror)
{
	struct mirror_garbage *garbage = &mirror->garbage;

	if (garbage->count == 0 ||
	    (atomic_load(&mirror->exports) > 0 && garbage->count < GARBAGE_EXPORT_MAX))
		return;
	synchronize_rcu();
	for (size_t i = 0; i < garbage->count; i++)
		mirror_free(mirror, garbage->items[i]);
	free(garbage->items);
	*garbage = (struct mirror_garbage){0};
}

/* --- tables ----------------------------------------------------------------------------------- */

/*
 * The writer knows how many entries there are, so it sets the size itself: one bucket an entry, at
 * least. (cds_lfht's own guesses take ten times that, or a tenth.)
 */
static void table_init(struct mirror_table *table)
{
	table->buckets = TABLE_MIN;
	table->lfht = cds_lfht_new(TABLE_MIN, TABLE_MIN, 0, 0, NULL);
	if (!table->lfht)
		abort();
}

/* Outside read sections: growing and shrinking wait for readers. True when it has grown. */
static bool table_grow(struct mirror_table *table)
{
	if (table->entries <= table->buckets)
		return false;
	while (table->entries > table->buckets)
		table->buckets *= 2;
	cds_lfht_resize(table->lfht, table->buckets);
	return true;
}

static void table_shrink(struct mirror_table *table)
{
	if (table->buckets == TABLE_MIN || table->entries > table->buckets / 8)
		return;
	while (table->buckets > TABLE_MIN && table->entries <= table->buckets / 4)
		table->buckets /= 2;
	cds_lfht_resize(table->lfht, table->buckets);
}

void mirror_table_add(struct mirror_table *table, unsigned long hash, struct cds_lfht_node *entry)
{
	cds_lfht_add(table->lfht, hash, entry);
	table->entries++;
}

void mirror_table_remove(struct mirror_table *table, struct cds_lfht_node *entry)
{
	cds_lfht_del(table->lfht, entry);
	table->entries--;
}

/* --- zones ------------------------------------------------------------------------------------ */

static unsigned long zone_hash(const struct mirror *mirror, const uint8_t *name, size_t size)
{
	uint64_t hash = mirror_hash(mirror->seed, name, size);

	return hash ^ hash >> 32;
}

/* An apex to look for: a suffix in lower case. */
struct zone_key {
	const uint8_t *name;
	size_t size;
};

static int zone_match(struct cds_lfht_node *entry, const void *key_pointer)
{
	const struct zone_key *key = key_pointer;
	const struct mirror_zone *zone = caa_container_of(entry, struct mirror_zone, entry);

	return zone->apex_size == key->size && memcmp(zone->name, key->name, key->size) == 0;
}

static struct mirror_zone *zone_find(const struct mirror *mirror, const uint8_t *name, size_t size)
{
	struct zone_key key = {name, size};
	struct cds_lfht_iter iter;

	cds_lfht_lookup(mirror->zones.lfht, zone_hash(mirror, name, size), zone_match, &key, &iter);
	struct cds_lfht_node *entry = cds_lfht_iter_get_node(&iter);
	return entry ? caa_container_of(entry, struct mirror_zone, entry) : NULL;
}

/* The writer's look-up: served or not. */
static struct mirror_zone *zone_find_apex(const struct mirror *mirror, const uint8_t *apex)
{
	uint8_t lower[DNS_NAME_MAX];
	size_t size = dns_name_copy_lower(apex, lower);

	return zone_find(mirror, lower, size);
}

static struct mirror_zone *zone_create(struct mirror *mirror, const uint8_t *apex)
{
	size_t size = dns_name_size(apex);
	struct mirror_zone *zone = mirror_allocate(mirror, sizeof(*zone) + size);

	memset(zone, 0, sizeof(*zone));
	dns_name_copy_lower(apex, zone->name);
	zone->apex_size = (uint8_t)size;
	zone->labels = (uint8_t)dns_name_count_labels(apex);
	CDS_INIT_LIST_HEAD(&zone->touched);
	CDS_INIT_LIST_HEAD(&zone->nodes);
	zone->apex = node_create_apex(mirror, zone);
	atomic_fetch_add(&mirror->zones_unserved, 1);
	atomic_fetch_add(&mirror->depths[zone->labels], 1);
	mirror_table_add(&mirror->zones, zone_hash(mirror, zone->name, size), &zone->entry);
	return zone;
}

static void zone_set_served(struct mirror *mirror, struct mirror_zone *zone, bool served)
{
	if (atomic_load(&zone->served) == served)
		return;
	atomic_store(&zone->served, served);
	atomic_fetch_add(&mirror->zones_served, served ? 1 : UINT64_MAX);
	atomic_fetch_add(&mirror->zones_unserved, served ? UINT64_MAX : 1);
	mirror_observe_everything(mirror);
}

static void zone_remove(struct mirror *mirror, struct mirror_zone *zone)
{
	zone_set_served(mirror, zone, false);
	mirror_table_remove(&mirror->zones, &zone->entry);
	atomic_fetch_sub(&mirror->zones_unserved, 1);
	atomic_fetch_sub(&mirror->depths[zone->labels], 1);
	cds_list_del(&zone->touched);
	node_remove_all(mirror, zone);
	mirror_discard(mirror, zone);
}

/* Puts a zone among those that the commit settles. */
static void zone_touch(struct mirror *mirror, struct mirror_zone *zone)
{
	if (cds_list_empty(&zone->touched))
		cds_list_add_tail(&zone->touched, &mirror->touched);
}

/* Removes what the batch that replaced the zone did not name. */
static void zone_sweep(struct mirror *mirror, struct mirror_zone *zone)
{
	struct cds_list_head *at = zone->nodes.next;

	while (at != &zone->nodes) {
		struct mirror_node *node = cds_list_entry(at, struct mirror_node, of_zone);
		if (node->generation == zone->generation ||
		    !atomic_load_explicit(&node->block, memory_order_relaxed)) {
			at = at->next;
			continue;
		}
		/*
		 * Clearing may unlink this node and ancestors, which stand behind it on the list: a
		 * node is added at the front after its parent. What stands before it stays.
		 */
		struct cds_list_head *before = at->prev;
		rcu_read_lock();
		node_clear(mirror, node);
		rcu_read_unlock();
		at = before->next == at ? at->next : before->next;
		if (mirror->garbage.count >= GARBAGE_MAX)
			mirror_empty_garbage(mirror);
	}
}

/* Ends the batch for one zone: with a commit, it shows what was put. */
static void zone_settle(struct mirror *mirror, struct mirror_zone *zone, bool commit)
{
	cds_list_del(&zone->touched);
	CDS_INIT_LIST_HEAD(&zone->touched);
	if (commit && zone->replaced) {
		zone_sweep(mirror, zone);
		zone->complete = true;
	}
	zone->replaced = false;
	zone_set_served(mirror, zone,
			zone->complete && mirror_find_rrset(zone->apex, DNS_TYPE_SOA));
}

/* --- batches ---------------------------------------------------------------------------------- */

struct mirror *mirror_create(void)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));

	if (!mirror || getrandom(&mirror->seed, sizeof(mirror->seed), 0) != sizeof(mirror->seed))
		abort();
	table_init(&mirror->edges);
	table_init(&mirror->zones);
	CDS_INIT_LIST_HEAD(&mirror->touched);
	return mirror;
}

/* Removes every zone, or those that the full batch did not put. */
static void mirror_remove_zones(struct mirror *mirror, bool all)
{
	struct cds_lfht_iter iter;
	struct mirror_zone *zone;

	rcu_read_lock();
	cds_lfht_for_each_entry(mirror->zones.lfht, &iter, zone, entry) {
		if (all || !zone->replaced)
			zone_remove(mirror, zone);
	}
	rcu_read_unlock();
}

void mirror_destroy(struct mirror *mirror)
{
	if (!mirror)
		return;
	mirror_remove_zones(mirror, true);
	filter_drop(mirror);
	mirror_empty_garbage(mirror);
	mirror_set_observer(mirror, NULL, NULL);
	cds_lfht_destroy(mirror->edges.lfht, NULL);
	cds_lfht_destroy(mirror->zones.lfht, NULL);
	free(mirror);
}

void mirror_write_begin(struct mirror *mirror, bool full)
{
	mirror->full = full;
}

void mirror_put_zone(struct mirror *mirror, const uint8_t *apex)
{
	rcu_read_lock();
	struct mirror_zone *zone = zone_find_apex(mirror, apex);
	if (!zone)
		zone = zone_create(mirror, apex);
	if (!zone->replaced)
		zone->generation++;
	zone->replaced = true;
	zone_touch(mirror, zone);
	rcu_read_unlock();
	table_grow(&mirror->zones);
}

void mirror_remove_zone(struct mirror *mirror, const uint8_t *apex)
{
	rcu_read_lock();
	struct mirror_zone *zone = zone_find_apex(mirror, apex);
	if (zone)
		zone_remove(mirror, zone);
	rcu_read_unlock();
}

/* Puts RRsets at a node that exists. */
static void node_put(struct mirror *mirror, struct mirror_zone *zone, struct mirror_node *node,
		     const struct mirror_rrset_input *rrsets, size_t count)
{
	struct mirror_block *old = atomic_load_explicit(&node->block, memory_order_relaxed);
	bool again = zone->replaced && node->generation == zone->generation;
	struct mirror_block *block = block_create(mirror, again ? old : NULL, rrsets, count);

	node->generation = zone->generation;
	if (!block) {
		node_clear(mirror, node);
	} else if (old && block_equal(old, block)) {
		mirror_free(mirror, block);
	} else {
		node_set_block(mirror, node, block);
	}
}

int mirror_put_name(struct mirror *mirror, const uint8_t *apex, const uint8_t *owner,
		    const struct mirror_rrset_input *rrsets, size_t count)
{
	int status = -1;

	rcu_read_lock();
	struct mirror_zone *zone = zone_find_apex(mirror, apex);
	if (!zone || !dns_name_is_within(owner, zone->name))
		goto out;
	status = 0;
	zone_touch(mirror, zone);
	struct mirror_node *node = node_find(mirror, zone, owner);
	if (node) {
		node_put(mirror, zone, node, rrsets, count);
		goto out;
	}
	struct mirror_block *block = block_create(mirror, NULL, rrsets, count);
	if (block)
		node_insert(mirror, zone, owner, block);
out:
	rcu_read_unlock();
	if (table_grow(&mirror->edges))
		filter_drop(mirror);
	if (mirror->garbage.count >= GARBAGE_MAX)
		mirror_empty_garbage(mirror);
	return status;
}

static void mirror_end_batch(struct mirror *mirror, bool commit)
{
	struct mirror_zone *zone;
	struct mirror_zone *next;

	if (commit && mirror->full)
		mirror_remove_zones(mirror, false);
	cds_list_for_each_entry_safe(zone, next, &mirror->touched, touched)
		zone_settle(mirror, zone, commit);
	mirror_tell_observer(mirror);
	table_shrink(&mirror->edges);
	table_shrink(&mirror->zones);
	filter_settle(mirror);
	mirror_empty_garbage(mirror);
	atomic_store(&mirror->table_bytes, sizeof(struct cds_lfht_node) *
						   (mirror->edges.buckets + mirror->zones.buckets));
	if (commit && mirror->full)
		atomic_store(&mirror->loaded, true);
	mirror->full = false;
}

/* Records of a zone that the batch in progress has not named. */
static uint64_t zone_count_unnamed(const struct mirror *mirror, const struct mirror_zone *zone)
{
	struct mirror_node *node;
	uint64_t count = 0;

	if (!zone->replaced && !mirror->full)
		return 0;
	cds_list_for_each_entry(node, &zone->nodes, of_zone) {
		const struct mirror_block *block =
			atomic_load_explicit(&node->block, memory_order_relaxed);
		if (block && (!zone->replaced || node->generation != zone->generation))
			count += block_count_records(block);
	}
	return count;
}

uint64_t mirror_count_unnamed(struct mirror *mirror)
{
	struct cds_lfht_iter iter;
	struct mirror_zone *zone;
	uint64_t count = 0;

	rcu_read_lock();
	cds_lfht_for_each_entry(mirror->zones.lfht, &iter, zone, entry)
		count += zone_count_unnamed(mirror, zone);
	rcu_read_unlock();
	return count;
}

void mirror_write_commit(struct mirror *mirror)
{
	mirror_end_batch(mirror, true);
}

void mirror_write_abort(struct mirror *mirror)
{
	mirror_end_batch(mirror, false);
}

/* --- reading ---------------------------------------------------------------------------------- */

void mirror_reader_register(void)
{
	rcu_register_thread();
}

void mirror_reader_unregister(void)
{
	rcu_unregister_thread();
}

void mirror_read_begin(void)
{
	rcu_read_lock();
}

void mirror_read_end(void)
{
	rcu_read_unlock();
}

const struct mirror_zone *mirror_find_zone(const struct mirror *mirror, const uint8_t *name,
					   const uint8_t *labels, unsigned int count, bool above,
					   unsigned int *apex_label)
{
	uint8_t lower[DNS_NAME_MAX];
	size_t size = dns_name_copy_lower(name, lower);

	for (unsigned int i = above ? 1 : 0; i <= count; i++) {
		size_t start = i < count ? labels[i] : size - 1;
		if (atomic_load_explicit(&mirror->depths[count - i], memory_order_relaxed) == 0)
			continue;
		const struct mirror_zone *zone = zone_find(mirror, lower + start, size - start);
		if (zone && atomic_load_explicit(&zone->served, memory_order_acquire)) {
			*apex_label = i;
			return zone;
		}
	}
	return NULL;
}

const struct mirror_node *mirror_zone_apex(const struct mirror_zone *zone)
{
	return zone->apex;
}

void mirror_read_stats(const struct mirror *mirror, struct mirror_stats *out)
{
	out->zones = atomic_load(&mirror->zones_served);
	out->zones_no_soa = atomic_load(&mirror->zones_unserved);
	out->names = atomic_load(&mirror->names);
	out->records = atomic_load(&mirror->records);
	out->bytes = atomic_load(&mirror->bytes) + atomic_load(&mirror->table_bytes);
}

bool mirror_is_loaded(const struct mirror *mirror)
{
	return atomic_load(&mirror->loaded);
}
