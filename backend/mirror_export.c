/*
 * Walking over everything in the mirror, beside its writer: for the snapshot.
 *
 * The walk is one long read section. The writer goes on meanwhile; what it takes away is kept until
 * the walk ends, instead of making the writer wait for it (mirror_empty_garbage).
 */
#include "backend/mirror_internal.h"

static int export_node(const struct mirror_node *node, const struct mirror_export *export)
{
	const struct mirror_block *block = atomic_load_explicit(&node->block, memory_order_acquire);
	uint8_t owner[DNS_NAME_MAX];

	if (!block)
		return 0;
	const struct mirror_zone *zone = node_build_name(node, owner);
	if (!atomic_load(&zone->complete))
		return 0;
	for (const struct mirror_rrset *rrset = NULL; (rrset = block_next_rrset(block, rrset));) {
		int status = export->rrset(export->ctx, zone->name, owner, rrset);
		if (status != 0)
			return status;
	}
	return 0;
}

static int export_zones(struct mirror *mirror, const struct mirror_export *export)
{
	struct cds_lfht_iter iter;
	struct mirror_zone *zone;
	int status = 0;

	cds_lfht_for_each_entry(mirror->zones.lfht, &iter, zone, entry) {
		if (!atomic_load(&zone->complete))
			continue;
		status = export->zone(export->ctx, zone->name);
		if (status == 0)
			status = export_node(zone->apex, export);
		if (status != 0)
			break;
	}
	return status;
}

static int export_names(struct mirror *mirror, const struct mirror_export *export)
{
	struct cds_lfht_iter iter;
	struct mirror_node *node;
	int status = 0;

	cds_lfht_for_each_entry(mirror->edges.lfht, &iter, node, edge) {
		status = export_node(node, export);
		if (status != 0)
			break;
	}
	return status;
}

int mirror_export(struct mirror *mirror, const struct mirror_export *export)
{
	atomic_fetch_add(&mirror->exports, 1);
	mirror_read_begin();
	int status = export_zones(mirror, export);
	if (status == 0)
		status = export_names(mirror, export);
	mirror_read_end();
	atomic_fetch_sub(&mirror->exports, 1);
	return status;
}
