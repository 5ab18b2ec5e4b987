/*
 * The mirror: every zone of the store in memory, ready to answer from.
 *
 * What is in it. A `struct mirror` holds zones; a zone is a tree of nodes, one for each owner name
 * and each empty non-terminal between it and the apex (RFC 4592 section 2.2.2). A node knows its
 * parent and its own label only; the edges (parent, label) -> child are entries of one lock-free
 * hash table for all zones (liburcu's cds_lfht). So a name costs its label rather than its whole
 * length, a walk from the apex down meets delegations, DNAMEs and the closest encloser on the way,
 * and a name that does not exist costs one look-up more than its closest encloser. All RRsets of a
 * node are one immutable block behind one pointer: a reader sees a name before a change or after
 * it, never half of it.
 *
 * Who runs what. Any number of reader threads, registered with mirror_reader_register, walk the
 * mirror between mirror_read_begin and mirror_read_end without locks or writes; what they find
 * stays valid until mirror_read_end. One writer thread at a time changes it, in batches:
 * mirror_write_begin, any of the mirror_put and _remove functions, mirror_write_commit. A zone
 * added in a batch is not found before the commit, and one without an SOA is not served at all.
 */
#ifndef GODWIT_BACKEND_MIRROR_H
#define GODWIT_BACKEND_MIRROR_H

#include "dns/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mirror;
struct mirror_zone;
struct mirror_node;

/* One RRset as a reader finds it. Its data is `count` times: 16-bit size (host order), octets. */
struct mirror_rrset {
	uint32_t ttl;  /* seconds */
	uint32_t size; /* octets of `data` */
	uint16_t type;
	uint16_t count;
	uint8_t data[];
};

/* One RRset as the writer hands it over: the same layout, the data elsewhere. */
struct mirror_rrset_input {
	uint32_t ttl;
	uint32_t size;
	uint16_t type;
	uint16_t count;
	const uint8_t *data; /* `count` times: 16-bit size (host order, unaligned), octets */
};

struct mirror_stats {
	uint64_t zones;        /* that are served */
	uint64_t zones_no_soa; /* that are not, for want of an SOA */
	uint64_t names;        /* with records */
	uint64_t records;
	uint64_t bytes; /* that the mirror has allocated, about: its tables included */
};

/* Never fails but for memory, here and later, which ends the process. */
struct mirror *mirror_create(void);
/* No reader may be left. */
void mirror_destroy(struct mirror *mirror);

/* --- writing: one thread at a time, itself registered as a reader ----------------------------- */

/*
 * Told at the end of each batch that changed something, on the writer's thread, when all of it
 * shows: the facts that changed (dns/hash.h), or that everything may have.
 */
typedef void (*mirror_observer_fn)(void *ctx, const uint64_t *facts, size_t count, bool everything);

/* Sets the one observer, or none. Before the first batch, or between two. */
void mirror_set_observer(struct mirror *mirror, mirror_observer_fn tell, void *ctx);

/* Begins a batch. With `full`, zones and names not put before the commit are removed by it. */
void mirror_write_begin(struct mirror *mirror, bool full);

/*
 * Puts a zone whose names follow: those not put before the commit are removed by it. In a full
 * batch every zone is put this way. `apex` is an uncompressed wire name of any case.
 */
void mirror_put_zone(struct mirror *mirror, const uint8_t *apex);

void mirror_remove_zone(struct mirror *mirror, const uint8_t *apex);

/*
 * Puts the RRsets of a name, replacing what it had; with count 0 the name is removed. A name put
 * again within a batch that began with mirror_put_zone of its zone (another spelling of the same
 * name) adds to what the batch put before; equal records count once, the lowest TTL holds. Copies
 * everything. Returns 0, or -1 and does nothing when no such zone was put or the name is not within
 * it.
 */
int mirror_put_name(struct mirror *mirror, const uint8_t *apex, const uint8_t *owner,
		    const struct mirror_rrset_input *rrsets, size_t count);

/*
 * How many records the commit of the batch in progress would remove for not being named by it.
 * Looks at every name: for full batches.
 */
uint64_t mirror_count_unnamed(struct mirror *mirror);

/* Makes the batch visible, removes what a full one did not name, frees what no reader holds. */
void mirror_write_commit(struct mirror *mirror);

/*
 * Ends a batch that was cut short: what was put stays put, nothing is removed for not being named,
 * new zones stay invisible until a later batch puts them.
 */
void mirror_write_abort(struct mirror *mirror);

/* --- reading ---------------------------------------------------------------------------------- */

/* Around a thread's life as a reader. */
void mirror_reader_register(void);
void mirror_reader_unregister(void);

/* Around each use. Nests. Never block or wait inside. */
void mirror_read_begin(void);
void mirror_read_end(void);

/*
 * The served zone with the longest apex at or above `name` (above it only, with `above`), or NULL.
 * `*apex_label` receives the index of the name's label where the apex starts. `labels` and `count`
 * are what dns_name_find_labels gave for `name`. Inside a read section. Hot path.
 */
const struct mirror_zone *mirror_find_zone(const struct mirror *mirror, const uint8_t *name,
					   const uint8_t *labels, unsigned int count, bool above,
					   unsigned int *apex_label);

/* The zone's apex node; never NULL. */
const struct mirror_node *mirror_zone_apex(const struct mirror_zone *zone);

/* The child of `node` with that label (length octet and octets, any case), or NULL. Hot path. */
const struct mirror_node *mirror_find_child(const struct mirror *mirror,
					    const struct mirror_node *node, const uint8_t *label);

/* A node's RRset of a type, or NULL. Hot path. */
const struct mirror_rrset *mirror_find_rrset(const struct mirror_node *node, uint16_t type);

/* A node's first RRset in type order, or NULL for an empty non-terminal. */
const struct mirror_rrset *mirror_first_rrset(const struct mirror_node *node);

/* Bits that say what a node has, so that a walk needs no look into its RRsets. Hot path. */
enum mirror_node_flag {
	MIRROR_NODE_HAS_DATA = 1,
	MIRROR_NODE_HAS_NS = 2,
	MIRROR_NODE_HAS_DNAME = 4,
	MIRROR_NODE_HAS_CNAME = 8,
	MIRROR_NODE_HAS_WILDCARD = 16, /* a child "*" exists */
};
unsigned int mirror_node_flags(const struct mirror_node *node);

/* Figures for metrics and logs. Any thread. */
void mirror_read_stats(const struct mirror *mirror, struct mirror_stats *out);

/* True once a full batch has been committed. Any thread. */
bool mirror_is_loaded(const struct mirror *mirror);

/* --- everything ------------------------------------------------------------------------------- */

/* Where mirror_export says what there is. A function that returns other than 0 ends it. */
struct mirror_export {
	void *ctx;
	/* A zone; all of them come before the first RRset of a name below an apex. */
	int (*zone)(void *ctx, const uint8_t *apex);
	/* An RRset of a zone that was told before. Names in wire format, lower case. */
	int (*rrset)(void *ctx, const uint8_t *apex, const uint8_t *owner,
		     const struct mirror_rrset *rrset);
};

/*
 * Tells all zones that were loaded completely, and their records, while the writer goes on: each
 * name as it was at some moment meanwhile. Memory that the writer gives up is kept for as long. Any
 * registered thread, outside read sections. Returns what a function that ended it returned, else 0.
 */
int mirror_export(struct mirror *mirror, const struct mirror_export *export);

#endif
