/*
 * What the files of the mirror share: its objects and who owns them. Not for others.
 *
 * mirror.c          zones and batches
 * mirror_node.c     nodes and the table of edges
 * mirror_filter.c   which edges are surely not there
 * mirror_block.c    the immutable RRsets of one node
 * mirror_observe.c  what changed, for who keeps answers
 * mirror_export.c   everything there is, for the snapshot
 */
#ifndef GODWIT_BACKEND_MIRROR_INTERNAL_H
#define GODWIT_BACKEND_MIRROR_INTERNAL_H

#include "backend/mirror.h"

#include <stdatomic.h>
#include <urcu.h> /* its default flavour, memb: readers need no barrier */
#include <urcu/list.h>
#include <urcu/rculfhash.h>

/* All RRsets of a node, in type order, in one allocation. Never changed once it is published. */
struct mirror_block {
	uint32_t size;    /* octets of `rrsets` */
	uint16_t count;   /* RRsets */
	uint16_t flags;   /* MIRROR_NODE_HAS_DATA, _NS, _DNAME, _CNAME */
	uint8_t rrsets[]; /* struct mirror_rrset, each padded to a multiple of four octets */
};

/* An owner name or an empty non-terminal. Owned by its zone's list; readers come by the table. */
struct mirror_node {
	struct cds_lfht_node edge;            /* in mirror.edges, by (parent, label) */
	struct cds_list_head of_zone;         /* writer only */
	struct mirror_node *parent;           /* NULL at an apex */
	_Atomic(struct mirror_block *) block; /* NULL: an empty non-terminal */
	uint32_t children;                    /* writer only */
	uint16_t generation;                  /* writer only: of the zone when it was last put */
	atomic_bool has_wildcard;             /* a child "*" may exist: a look is worth while */
	/* Length octet and octets, lower case. At an apex, the address of its zone instead. */
	uint8_t label[];
};

struct mirror_zone {
	struct cds_lfht_node entry;   /* in mirror.zones, by apex */
	struct cds_list_head touched; /* in mirror.touched during a batch, else empty */
	struct mirror_node *apex;
	struct cds_list_head nodes; /* all of them, the apex too; writer only */
	uint16_t generation;        /* goes up with each mirror_put_zone */
	atomic_bool complete;       /* a batch that named all of it has been committed */
	bool replaced;              /* put in this batch: sweep at its commit */
	atomic_bool served;
	uint8_t labels;    /* of the apex */
	uint8_t apex_size; /* octets of `name` */
	uint8_t name[];    /* the apex in wire format, lower case */
};

/* What was unlinked and must outlive the readers of now. */
struct mirror_garbage {
	void **items;
	size_t count;
	size_t capacity;
};

/* A hash table and what the writer knows of it. */
struct mirror_table {
	struct cds_lfht *lfht;
	unsigned long buckets;
	unsigned long entries;
};

/* Who is told what changed, and what has changed in the batch so far. */
struct mirror_observer {
	mirror_observer_fn tell; /* NULL: nobody */
	void *ctx;
	uint64_t *facts;
	size_t count;
	bool everything;
};

struct mirror_filter;

struct mirror {
	struct mirror_observer observer; /* writer only */
	struct mirror_table edges;
	_Atomic(struct mirror_filter *) filter; /* of the edges; NULL: none at present */
	struct mirror_table zones;
	uint64_t seed; /* of the edge and zone hashes: nobody can prepare collisions */
	/* How many zones have an apex of so many labels: most suffixes need no look-up at all. */
	_Atomic uint32_t depths[DNS_LABELS_MAX + 1];
	struct cds_list_head touched; /* zones to settle at the commit */
	struct mirror_garbage garbage;
	bool full;                    /* the batch in progress */
	_Atomic unsigned int exports; /* that are under way */
	atomic_bool loaded;
	_Atomic uint64_t zones_served;
	_Atomic uint64_t zones_unserved;
	_Atomic uint64_t names;
	_Atomic uint64_t records;
	_Atomic uint64_t bytes;
	_Atomic uint64_t table_bytes;
};

/* --- memory: counted, never NULL -------------------------------------------------------------- */

void *mirror_allocate(struct mirror *mirror, size_t size);
void mirror_free(struct mirror *mirror, void *memory);
/* Frees `memory` once no reader can hold it any more. */
void mirror_discard(struct mirror *mirror, void *memory);
/*
 * Waits for the readers of now, then frees what was discarded. While an export is under way, which
 * is a long read, it does so only when there is very much of it.
 */
void mirror_empty_garbage(struct mirror *mirror);

/* --- tables: the writer's, inside a read section ---------------------------------------------- */

void mirror_table_add(struct mirror_table *table, unsigned long hash, struct cds_lfht_node *entry);
void mirror_table_remove(struct mirror_table *table, struct cds_lfht_node *entry);

/* --- blocks ----------------------------------------------------------------------------------- */

/*
 * Builds a block from RRsets in any order; RRsets of one type become one, equal records count once,
 * the lowest TTL holds, records stand in canonical order (RFC 4034 section 6.3). NULL when there is
 * nothing in it. With `base`, its RRsets count too.
 */
struct mirror_block *block_create(struct mirror *mirror, const struct mirror_block *base,
				  const struct mirror_rrset_input *rrsets, size_t count);
bool block_equal(const struct mirror_block *a, const struct mirror_block *b);
uint64_t block_count_records(const struct mirror_block *block);
/* The RRset behind `rrset`, or the first for NULL; NULL at the end. */
const struct mirror_rrset *block_next_rrset(const struct mirror_block *block,
					    const struct mirror_rrset *rrset);

/* --- the filter of edges, by the hashes of node_hash ------------------------------------------ */

/* True when no node with this hash can be found. Any thread, inside a read section. Hot path. */
bool filter_excludes(const struct mirror *mirror, unsigned long hash);
/* The writer's: before a node can be found. */
void filter_add(struct mirror *mirror, unsigned long hash);
/* Goes without a filter until filter_settle: the table has grown. */
void filter_drop(struct mirror *mirror);
/* At the end of a batch, outside read sections: makes a filter if there is no good one. */
void filter_settle(struct mirror *mirror);

/* --- nodes ------------------------------------------------------------------------------------ */

/* What a node is found by in the table of edges. */
unsigned long node_hash(const struct mirror *mirror, const struct mirror_node *node);
struct mirror_node *node_create_apex(struct mirror *mirror, struct mirror_zone *zone);
/*
 * Writes a node's name into `name`, DNS_NAME_MAX octets, and returns its zone. Any thread, inside a
 * read section, or the writer.
 */
const struct mirror_zone *node_build_name(const struct mirror_node *node, uint8_t *name);
/* The node of `owner`, a wire name within the zone, or NULL. Writer. */
struct mirror_node *node_find(struct mirror *mirror, const struct mirror_zone *zone,
			      const uint8_t *owner);
/* Puts a block at a name that has no node yet, with the empty non-terminals it needs, at once. */
void node_insert(struct mirror *mirror, struct mirror_zone *zone, const uint8_t *owner,
		 struct mirror_block *block);
/* Replaces a node's block, at once; the old one is discarded. */
void node_set_block(struct mirror *mirror, struct mirror_node *node, struct mirror_block *block);
/* Takes a node's records away, and with them the nodes that only led to it, at once. */
void node_clear(struct mirror *mirror, struct mirror_node *node);
/* Discards every node of a zone that readers cannot reach any more. */
void node_remove_all(struct mirror *mirror, struct mirror_zone *zone);

/* --- what changed: the writer's --------------------------------------------------------------- */

/* A node's records changed; with `cut`, whether it takes over what is below it may have too. */
void mirror_observe_node(struct mirror *mirror, const struct mirror_node *node, bool cut);
void mirror_observe_everything(struct mirror *mirror);
/* Ends a batch: tells the observer and starts anew. */
void mirror_tell_observer(struct mirror *mirror);

/* A keyed 64-bit hash of `size` octets. */
uint64_t mirror_hash(uint64_t seed, const uint8_t *octets, size_t size);

#endif
