/*
 * The answer cache: entries in slots, what makes them good, and their way in and out.
 *
 * An entry, in words from the slot's first on: its head, its key, its facts, its records, and where
 * their TTLs stand.
 */
#include "frontend/cache.h"

#include "dns/protocol.h"
#include "frontend/cache_asked.h"
#include "frontend/cache_reply.h"
#include "frontend/cache_set.h"
#include "frontend/coherence.h"

#include <stdlib.h>
#include <sys/random.h>

/* Octets of slots: most replies fit the first kind, all that are kept the second. */
#define CACHE_SMALL 512
#define CACHE_LARGE 4096
/* What part of the memory large slots have. */
#define CACHE_LARGE_SHARE 8
/* And what part the memory of what was asked for lately. */
#define CACHE_ASKED_SHARE 128

/* Octets of a slot that are fetched ahead: a reply with two or three short records. */
#define CACHE_PREFETCH 192
#define CACHE_LINE 64

enum { CACHE_KINDS = 2 };

struct cache {
	struct cache_options options;
	struct cache_sets kinds[CACHE_KINDS];
	struct cache_asked asked;
	uint64_t seed;
	_Atomic size_t count;
};

struct cache_head {
	int64_t stored_ms;
	uint64_t asked; /* of a source that tells changes */
	uint32_t lifetime_s;
	uint16_t source; /* 0: kept by its TTLs */
	uint16_t flags;
	uint16_t counts[3];
	uint16_t records_size;
	uint16_t ttl_count;
	uint8_t key_count;
	uint8_t fact_count;
	uint8_t zone_size; /* as cache_origin's */
};

/* Where the parts of an entry begin, in words. */
struct cache_layout {
	size_t key;
	size_t facts;
	size_t records;
	size_t ttls;
	size_t end;
};

static struct cache_layout cache_lay_out(const struct cache_head *head)
{
	struct cache_layout at;
	at.key = CACHE_SLOT_WORDS(sizeof(*head));
	at.facts = at.key + head->key_count;
	at.records = at.facts + head->fact_count;
	at.ttls = at.records + CACHE_SLOT_WORDS(head->records_size);
	at.end = at.ttls + CACHE_SLOT_WORDS(head->ttl_count * sizeof(uint16_t));
	return at;
}

/* --- life and death --------------------------------------------------------------------------- */

struct cache *cache_create(const struct cache_options *options)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return NULL;
	size_t large = options->size / CACHE_LARGE_SHARE;
	size_t asked = options->size / CACHE_ASKED_SHARE;
	cache->options = *options;
	if (getrandom(&cache->seed, sizeof(cache->seed), 0) != (ssize_t)sizeof(cache->seed) ||
	    cache_asked_init(&cache->asked, asked) != 0 ||
	    cache_sets_init(&cache->kinds[0], options->size - large - asked, CACHE_SMALL) != 0 ||
	    cache_sets_init(&cache->kinds[1], large, CACHE_LARGE) != 0) {
		cache_destroy(cache);
		return NULL;
	}
	return cache;
}

void cache_destroy(struct cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < CACHE_KINDS; i++)
		cache_sets_clear(&cache->kinds[i]);
	cache_asked_clear(&cache->asked);
	free(cache);
}

size_t cache_size(const struct cache *cache)
{
	return cache->kinds[0].size + cache->kinds[1].size;
}

size_t cache_count(const struct cache *cache)
{
	return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

uint64_t cache_seed(const struct cache *cache)
{
	return cache->seed;
}

/* --- what an entry is worth ------------------------------------------------------------------- */

/* An entry that was found, as far as it has been read; in use while it is looked at. */
struct cache_found {
	const struct cache_slot *slot;
	uint64_t sequence;
	struct cache_head head;
	struct cache_layout at;
};

/* Reads the head of a slot's entry; false when it is being written. */
static bool cache_read_head(const struct cache_slot *slot, struct cache_found *found)
{
	found->slot = slot;
	found->sequence = cache_slot_begin_read(slot);
	if (found->sequence & 1)
		return false;
	cache_slot_copy_out(slot, 0, &found->head, sizeof(found->head));
	/* From here on the head can be trusted: lengths are read from it. */
	return cache_slot_is_whole(slot, found->sequence);
}

/* True when an entry's key is `key_count` words and begins with `words`; lays `found` out. */
static bool cache_has_key(struct cache_found *found, unsigned int key_count, const uint64_t *words,
			  unsigned int count)
{
	if (found->head.key_count != key_count)
		return false;
	found->at = cache_lay_out(&found->head);
	for (unsigned int i = 0; i < count; i++)
		if (cache_slot_get(found->slot, found->at.key + i) != words[i])
			return false;
	return true;
}

/* True when a slot has the entry of `key`; `found` is then filled in, but not to be trusted yet. */
static bool cache_open_slot(const struct cache_slot *slot, const struct cache_key *key,
			    struct cache_found *found)
{
	return cache_read_head(slot, found) &&
	       cache_has_key(found, key->count, key->words, key->count);
}

/* What an entry of a source that tells changes is worth. */
static enum cache_result cache_judge_facts(const struct cache *cache,
					   const struct cache_found *found, int64_t now_ms)
{
	const struct cache_head *head = &found->head;
	const struct coherence *coherence = cache->options.coherence;
	uint64_t facts[CACHE_FACTS_MAX];
	cache_slot_copy_out(found->slot, found->at.facts, facts,
			    head->fact_count * sizeof(facts[0]));
	switch (coherence_check(coherence, head->source, head->asked, facts, head->fact_count)) {
	case COHERENCE_GOOD:
		return CACHE_HIT;
	case COHERENCE_SUSPECT:
		return now_ms - coherence_suspect_since_ms(coherence, head->source) <
				       (int64_t)cache->options.stale_s * 1000
			       ? CACHE_STALE
			       : CACHE_OUTDATED;
	default:
		return CACHE_OUTDATED;
	}
}

/* What an entry that lives by its TTLs is worth. */
static enum cache_result cache_judge_age(const struct cache *cache, const struct cache_head *head,
					 int64_t now_ms)
{
	int64_t left_ms = head->stored_ms + (int64_t)head->lifetime_s * 1000 - now_ms;
	if (left_ms > 0) {
		bool refresh = left_ms * 10 < (int64_t)head->lifetime_s * 1000 &&
			       !cache_reply_is_failure(head->flags);
		return refresh ? CACHE_REFRESH : CACHE_HIT;
	}
	if (cache_reply_is_failure(head->flags))
		return CACHE_MISS;
	return -left_ms < (int64_t)cache->options.stale_s * 1000 ? CACHE_STALE : CACHE_MISS;
}

static enum cache_result cache_judge(const struct cache *cache, const struct cache_found *found,
				     int64_t now_ms)
{
	return found->head.source ? cache_judge_facts(cache, found, now_ms)
				  : cache_judge_age(cache, &found->head, now_ms);
}

/* --- fetching ahead --------------------------------------------------------------------------- */

void cache_prefetch_set(const struct cache *cache, const struct cache_key *key)
{
	for (size_t i = 0; i < CACHE_KINDS; i++)
		__builtin_prefetch(cache_sets_find(&cache->kinds[i], key->hash));
}

const struct cache_slot *cache_prefetch_slot(const struct cache *cache, const struct cache_key *key)
{
	for (size_t i = 0; i < CACHE_KINDS; i++) {
		const struct cache_sets *sets = &cache->kinds[i];
		const struct cache_set *set = cache_sets_find(sets, key->hash);
		unsigned int way = cache_set_find(set, key->hash, 0);
		if (way == CACHE_WAYS)
			continue;
		const struct cache_slot *slot = cache_set_slot(sets, set, way);
		for (size_t at = 0; at < CACHE_PREFETCH; at += CACHE_LINE)
			__builtin_prefetch((const uint8_t *)slot + at);
		return slot;
	}
	cache_asked_prefetch(&cache->asked, key->hash);
	return NULL;
}

void cache_prefetch_facts(const struct cache *cache, const struct cache_slot *slot)
{
	struct cache_found found;
	if (!cache->options.coherence || !cache_read_head(slot, &found) || !found.head.source)
		return;
	size_t first = cache_lay_out(&found.head).facts;
	for (size_t i = 0; i < found.head.fact_count; i++)
		coherence_prefetch(cache->options.coherence, cache_slot_get(slot, first + i));
}

/* --- the way out ------------------------------------------------------------------------------ */

/* Sets the TTLs of the records in `out` as the entry's age demands. */
static void cache_age_records(const struct cache_found *found, int64_t now_ms, bool stale,
			      uint8_t *records)
{
	uint16_t ttls[CACHE_REPLY_RECORDS_MAX];
	const struct cache_head *head = &found->head;
	cache_slot_copy_out(found->slot, found->at.ttls, ttls, head->ttl_count * sizeof(ttls[0]));
	if (!cache_slot_is_whole(found->slot, found->sequence))
		return;
	/* Another worker may have stored it after this one read its clock. */
	int64_t age_ms = now_ms > head->stored_ms ? now_ms - head->stored_ms : 0;
	cache_reply_count_down(records, ttls, head->ttl_count,
			       stale ? 0 : (uint32_t)(age_ms / 1000),
			       stale ? CACHE_STALE_TTL_S : UINT32_MAX);
}

/* What is looked up, and where a reply goes. */
struct cache_search {
	struct cache *cache;
	const struct cache_key *key;
	const struct dns_query *query;
	int64_t now_ms;
	bool stale_too; /* else a stale entry is as good as none */
	uint8_t *out;
	struct cache_hit *hit;
};

/* Writes the reply; false when the slot was written to meanwhile. */
static bool cache_write_reply(const struct cache_search *search, const struct cache_found *found,
			      bool stale)
{
	const struct cache_head *head = &found->head;
	uint8_t *out = search->out;
	size_t records = cache_reply_begin(out, search->query, head->flags, head->counts);
	cache_slot_copy_out(found->slot, found->at.records, out + records, head->records_size);
	if (stale || !head->source)
		cache_age_records(found, search->now_ms, stale, out + records);
	search->hit->zone_size = head->zone_size;
	search->hit->size = cache_reply_end(out, records + head->records_size, search->query,
					    search->cache->options.udp_payload, stale);
	return cache_slot_is_whole(found->slot, found->sequence);
}

static enum cache_result cache_try_way(const struct cache_search *search,
				       const struct cache_sets *sets, struct cache_set *set,
				       unsigned int way)
{
	struct cache_found found;
	if (!cache_open_slot(cache_set_slot(sets, set, way), search->key, &found))
		return CACHE_MISS;
	enum cache_result result = cache_judge(search->cache, &found, search->now_ms);
	if (result == CACHE_STALE && !search->stale_too)
		return found.head.source ? CACHE_OUTDATED : CACHE_MISS;
	if (result == CACHE_MISS || result == CACHE_OUTDATED)
		return result;
	if (!cache_write_reply(search, &found, result == CACHE_STALE))
		return CACHE_MISS;
	bool hot = cache_set_note_hit(set, way);
	if (result == CACHE_REFRESH && (!hot || !cache_set_begin_refresh(set, way)))
		return CACHE_HIT;
	return result;
}

static enum cache_result cache_search(const struct cache_search *search)
{
	enum cache_result best = CACHE_MISS;
	for (size_t i = 0; i < CACHE_KINDS; i++) {
		const struct cache_sets *sets = &search->cache->kinds[i];
		struct cache_set *set = cache_sets_find(sets, search->key->hash);
		unsigned int way = cache_set_find(set, search->key->hash, 0);
		for (; way < CACHE_WAYS; way = cache_set_find(set, search->key->hash, way + 1)) {
			enum cache_result result = cache_try_way(search, sets, set, way);
			if (result != CACHE_MISS && result != CACHE_OUTDATED)
				return result;
			best = result == CACHE_OUTDATED ? result : best;
		}
	}
	return best;
}

enum cache_result cache_lookup(struct cache *cache, const struct cache_key *key,
			       const struct dns_query *query, int64_t now_ms, uint8_t *out,
			       struct cache_hit *hit)
{
	const struct cache_search search = {cache, key, query, now_ms, false, out, hit};
	return cache_search(&search);
}

enum cache_result cache_lookup_stale(struct cache *cache, const struct cache_key *key,
				     const struct dns_query *query, int64_t now_ms, uint8_t *out,
				     struct cache_hit *hit)
{
	const struct cache_search search = {cache, key, query, now_ms, true, out, hit};
	enum cache_result result = cache_search(&search);
	if (result == CACHE_REFRESH)
		return CACHE_HIT;
	return result == CACHE_OUTDATED ? CACHE_MISS : result;
}

bool cache_is_current(const struct cache *cache, const struct cache_origin *origin)
{
	return origin->source == 0 ||
	       (origin->fact_count <= CACHE_FACTS_MAX &&
		coherence_check(cache->options.coherence, origin->source, origin->asked,
				origin->facts, origin->fact_count) == COHERENCE_GOOD);
}

bool cache_has_stale(const struct cache *cache, const struct cache_key *key, int64_t now_ms)
{
	struct cache_found found;
	for (size_t i = 0; i < CACHE_KINDS; i++) {
		const struct cache_sets *sets = &cache->kinds[i];
		const struct cache_set *set = cache_sets_find(sets, key->hash);
		unsigned int way = cache_set_find(set, key->hash, 0);
		for (; way < CACHE_WAYS; way = cache_set_find(set, key->hash, way + 1))
			if (cache_open_slot(cache_set_slot(sets, set, way), key, &found) &&
			    cache_judge(cache, &found, now_ms) == CACHE_STALE &&
			    cache_slot_is_whole(found.slot, found.sequence))
				return true;
	}
	return false;
}

/* --- the way in ------------------------------------------------------------------------------- */

/* The head of an entry; false when it is not to be kept. */
static bool cache_make_head(const struct cache *cache, const struct cache_key *key,
			    const struct cache_reply *reply, const struct cache_origin *origin,
			    int64_t now_ms, struct cache_head *head)
{
	*head = (struct cache_head){
		.stored_ms = now_ms,
		.lifetime_s = reply->lifetime_s,
		.flags = reply->flags,
		.counts = {reply->counts[0], reply->counts[1], reply->counts[2]},
		.records_size = reply->records_size,
		.ttl_count = reply->ttl_count,
		.key_count = (uint8_t)key->count,
		.zone_size = origin->zone_size,
	};
	/* SERVFAIL rests on nothing that changes would tell of, whoever it comes from. */
	if (origin->source == 0 || (reply->flags & 0xf) == DNS_RCODE_SERVFAIL)
		return reply->lifetime_s > 0;
	if (origin->fact_count > CACHE_FACTS_MAX ||
	    coherence_check(cache->options.coherence, origin->source, origin->asked, origin->facts,
			    origin->fact_count) != COHERENCE_GOOD)
		return false;
	head->source = (uint16_t)origin->source;
	head->asked = origin->asked;
	head->fact_count = (uint8_t)origin->fact_count;
	return true;
}

bool cache_note_miss(struct cache *cache, const struct cache_key *key)
{
	for (size_t i = 0; i < CACHE_KINDS; i++) {
		const struct cache_set *set = cache_sets_find(&cache->kinds[i], key->hash);
		if (cache_set_find(set, key->hash, 0) < CACHE_WAYS)
			return true;
	}
	return cache_asked_before(&cache->asked, key->hash);
}

/* Forgets the entry that one of another kind of slot has taken the place of. */
static void cache_remove(struct cache *cache, size_t kind, uint64_t tag)
{
	struct cache_set *set = cache_sets_find(&cache->kinds[kind], tag);
	unsigned int way = cache_set_find(set, tag, 0);
	if (way < CACHE_WAYS && cache_set_remove(set, way, tag))
		atomic_fetch_sub_explicit(&cache->count, 1, memory_order_relaxed);
}

static enum cache_fate cache_place(struct cache *cache, size_t kind, struct cache_set *set,
				   unsigned int way, uint64_t tag)
{
	uint64_t before = cache_set_place(set, way, tag);
	for (size_t i = 0; i < CACHE_KINDS; i++)
		if (i != kind)
			cache_remove(cache, i, tag);
	if (!before)
		atomic_fetch_add_explicit(&cache->count, 1, memory_order_relaxed);
	return before && before != tag ? CACHE_KEPT_FOR_ANOTHER : CACHE_KEPT;
}

enum cache_fate cache_store(struct cache *cache, const struct cache_key *key,
			    const struct dns_query *query, const uint8_t *reply, size_t size,
			    const struct cache_origin *origin, bool denial_too, int64_t now_ms)
{
	struct cache_reply parts;
	struct cache_head head;
	if (!denial_too && cache_reply_says_no_name(reply))
		return CACHE_PUT_OFF;
	if (!cache_reply_read(&parts, query, reply, size))
		return CACHE_NOT_KEPT;
	if (parts.denial && !denial_too)
		return CACHE_PUT_OFF;
	if (!cache_make_head(cache, key, &parts, origin, now_ms, &head))
		return CACHE_NOT_KEPT;
	struct cache_layout at = cache_lay_out(&head);
	size_t kind = 0;
	while (kind < CACHE_KINDS && at.end > cache_sets_slot_words(&cache->kinds[kind]))
		kind++;
	if (kind == CACHE_KINDS)
		return CACHE_NOT_KEPT;
	struct cache_set *set = cache_sets_find(&cache->kinds[kind], key->hash);
	unsigned int way = cache_set_choose(set, key->hash);
	struct cache_slot *slot = cache_set_slot(&cache->kinds[kind], set, way);
	if (!cache_slot_begin_write(slot))
		return CACHE_NOT_KEPT;
	cache_slot_copy_in(slot, 0, &head, sizeof(head));
	cache_slot_copy_in(slot, at.key, key->words, key->count * sizeof(key->words[0]));
	cache_slot_copy_in(slot, at.facts, origin->facts,
			   head.fact_count * sizeof(origin->facts[0]));
	cache_slot_copy_in(slot, at.records, parts.records, head.records_size);
	cache_slot_copy_in(slot, at.ttls, parts.ttls, head.ttl_count * sizeof(parts.ttls[0]));
	cache_slot_end_write(slot);
	return cache_place(cache, kind, set, way, key->hash);
}

/* --- all of a name, or of everything ---------------------------------------------------------- */

/* A name as keys begin with it. */
struct cache_name {
	uint64_t words[CACHE_KEY_WORDS_MAX];
	unsigned int count;
};

/* Goes through the slots in use; begins zeroed. */
struct cache_walk {
	size_t kind;
	size_t next; /* slot of that kind */
	struct cache_set *set;
	unsigned int way;
	uint64_t tag;
	const struct cache_slot *slot;
};

/* The next slot in use; false: there are no more. */
static bool cache_walk_next(const struct cache *cache, struct cache_walk *walk)
{
	for (; walk->kind < CACHE_KINDS; walk->kind++, walk->next = 0) {
		const struct cache_sets *sets = &cache->kinds[walk->kind];
		while (walk->next < sets->count * CACHE_WAYS) {
			walk->set = cache_sets_at(sets, walk->next / CACHE_WAYS);
			walk->way = (unsigned int)(walk->next++ % CACHE_WAYS);
			walk->tag = cache_set_tag(walk->set, walk->way);
			walk->slot = cache_set_slot(sets, walk->set, walk->way);
			if (walk->tag)
				return true;
		}
	}
	return false;
}

/* True when a slot has an entry for the name; `found` is as cache_open_slot leaves it. */
static bool cache_open_name(const struct cache_slot *slot, const struct cache_name *name,
			    struct cache_found *found)
{
	return cache_read_head(slot, found) &&
	       cache_has_key(found, name->count + CACHE_KEY_MORE_WORDS, name->words, name->count);
}

size_t cache_flush(struct cache *cache, const uint8_t *name)
{
	struct cache_name sought;
	struct cache_found found;
	struct cache_walk walk = {0};
	size_t removed = 0;
	if (name)
		sought.count = cache_key_put_name(sought.words, name, dns_name_size(name));
	while (cache_walk_next(cache, &walk))
		if (!name || cache_open_name(walk.slot, &sought, &found))
			removed += cache_set_remove(walk.set, walk.way, walk.tag);
	atomic_fetch_sub_explicit(&cache->count, removed, memory_order_relaxed);
	return removed;
}

static enum cache_state cache_state_of(enum cache_result result, bool coherent)
{
	switch (result) {
	case CACHE_HIT:
	case CACHE_REFRESH:
		return CACHE_STATE_GOOD;
	case CACHE_STALE:
		return coherent ? CACHE_STATE_SUSPECT : CACHE_STATE_EXPIRED;
	default:
		return coherent ? CACHE_STATE_OUTDATED : CACHE_STATE_EXPIRED;
	}
}

/* Makes the view of an entry; false when its slot was written to meanwhile. */
static bool cache_view_entry(const struct cache *cache, const struct cache_found *found,
			     size_t name_size, int64_t now_ms, struct cache_view *view)
{
	const struct cache_head *head = &found->head;
	size_t name_words = CACHE_KEY_NAME_WORDS(name_size);
	uint64_t asked = cache_slot_get(found->slot, found->at.key + name_words);
	int64_t age_ms = now_ms - head->stored_ms;
	*view = (struct cache_view){
		.qtype = (uint16_t)(asked >> 1),
		.dnssec_ok = asked & 1,
		.rcode = head->flags & 0xf,
		.records = (unsigned int)head->counts[0] + head->counts[1] + head->counts[2],
		.size = DNS_HEADER_SIZE + name_size + 4 + head->records_size,
		.source = head->source,
		.age_ms = age_ms > 0 ? age_ms : 0,
		.left_ms = head->source ? 0 : (int64_t)head->lifetime_s * 1000 - age_ms,
		.state = cache_state_of(cache_judge(cache, found, now_ms), head->source != 0),
	};
	return cache_slot_is_whole(found->slot, found->sequence);
}

void cache_visit(const struct cache *cache, const uint8_t *name, int64_t now_ms,
		 cache_visit_fn visit, void *ctx)
{
	size_t name_size = dns_name_size(name);
	struct cache_name sought;
	struct cache_found found;
	struct cache_walk walk = {0};
	struct cache_view view;
	sought.count = cache_key_put_name(sought.words, name, name_size);
	while (cache_walk_next(cache, &walk))
		if (cache_open_name(walk.slot, &sought, &found) &&
		    cache_view_entry(cache, &found, name_size, now_ms, &view))
			visit(ctx, &view);
}
