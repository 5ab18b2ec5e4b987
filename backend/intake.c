#include "backend/intake.h"

#include "backend/counters.h"
#include "backend/mirror.h"
#include "backend/rrsets.h"
#include "common/clock.h"
#include "common/heartbeat.h"
#include "common/log.h"
#include "common/metrics.h"
#include "dns/name.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Records, names and zones complained about by a line of their own; the rest only counts. */
#define COMPLAINTS_PER_MINUTE 100

struct intake {
	struct mirror *mirror;
	struct metrics_shard *shard;
	struct rrsets *rrsets;
	struct heartbeat *heartbeat;
	enum storage_batch batch;
	uint64_t rejected; /* in this batch */
	uint64_t zones_no_soa;
	unsigned int guard_percent; /* 100: no guard */
	uint64_t records_before;    /* this batch */
	uint64_t records_lost;      /* by the last full one, had it been committed */
	bool stopped;
	_Atomic int64_t changed_ms;

	char zone_text[DNS_NAME_TEXT_MAX]; /* the apex that was used last, and the same parsed */
	uint8_t zone_apex[DNS_NAME_MAX];
	bool zone_valid;

	unsigned int complaints; /* in the minute that began at complaints_ms */
	int64_t complaints_ms;
};

/*
 * True when one more line about a record is fine. A few bad records are all named; a store full of
 * them does not flood the log.
 */
static bool may_complain(struct intake *intake)
{
	int64_t now = clock_now_ms();

	if (intake->complaints == 0 || now - intake->complaints_ms > 60000) {
		intake->complaints = 0;
		intake->complaints_ms = now;
	}
	intake->complaints++;
	if (intake->complaints == COMPLAINTS_PER_MINUTE)
		log_warning("too many bad records to name them all",
			    "lines_per_minute=%d metric=%s", COMPLAINTS_PER_MINUTE,
			    "godwit_backend_records_rejected_total");
	return intake->complaints < COMPLAINTS_PER_MINUTE;
}

static void reject(struct intake *intake, const struct storage_name *name,
		   const struct storage_record *record, const char *reason)
{
	intake->rejected++;
	metrics_add(intake->shard, BACKEND_RECORDS_REJECTED, 1);
	if (may_complain(intake))
		log_warning("record left out", "key=%s owner=%s zone=%s type=%s reason=%s",
			    record->key, name->owner, name->zone, record->type, reason);
}

static void reject_name(struct intake *intake, const struct storage_name *name, const char *reason)
{
	for (size_t i = 0; i < name->count; i++)
		reject(intake, name, &name->records[i], reason);
}

static void on_rejected(void *ctx, const struct storage_name *name,
			const struct storage_record *record, const char *reason)
{
	reject(ctx, name, record, reason);
}

static void on_odd(void *ctx, const struct storage_name *name, const char *what)
{
	if (may_complain(ctx))
		log_warning("name looks wrong", "owner=%s zone=%s key=%s reason=%s", name->owner,
			    name->zone, name->count > 0 ? name->records[0].key : "", what);
}

/* The zone's apex in wire format, or NULL. Zones come in runs: the last one is remembered. */
static const uint8_t *find_apex(struct intake *intake, const char *zone)
{
	if (strcmp(zone, intake->zone_text) != 0) {
		snprintf(intake->zone_text, sizeof(intake->zone_text), "%s", zone);
		intake->zone_valid =
			dns_name_from_text(zone, strlen(zone), NULL, intake->zone_apex) > 0;
	}
	return intake->zone_valid ? intake->zone_apex : NULL;
}

static void sink_begin(void *ctx, enum storage_batch batch)
{
	struct intake *intake = ctx;
	struct mirror_stats stats;

	mirror_read_stats(intake->mirror, &stats);
	intake->records_before = stats.records;
	intake->stopped = false;
	intake->batch = batch;
	intake->rejected = 0;
	mirror_write_begin(intake->mirror, batch == STORAGE_BATCH_FULL);
}

static void sink_zone(void *ctx, const char *apex)
{
	struct intake *intake = ctx;
	const uint8_t *wire = find_apex(intake, apex);

	heartbeat_beat(intake->heartbeat);
	if (wire != NULL)
		mirror_put_zone(intake->mirror, wire);
	else if (may_complain(intake))
		log_warning("zone left out", "zone=%s reason=%s", apex,
			    "its name is no domain name");
}

static void sink_zone_gone(void *ctx, const char *apex)
{
	struct intake *intake = ctx;
	const uint8_t *wire = find_apex(intake, apex);

	if (wire != NULL)
		mirror_remove_zone(intake->mirror, wire);
}

static void sink_name(void *ctx, const struct storage_name *name)
{
	struct intake *intake = ctx;
	const uint8_t *apex = find_apex(intake, name->zone);
	const struct mirror_rrset_input *sets;
	uint8_t owner[DNS_NAME_MAX];
	size_t count;
	int size = dns_name_from_text(name->owner, strlen(name->owner), NULL, owner);

	heartbeat_beat(intake->heartbeat);
	if (apex == NULL) {
		reject_name(intake, name, "its zone's name is no domain name");
	} else if (size < 0) {
		reject_name(intake, name, dns_error_text(size));
	} else if (!dns_name_is_within(owner, apex)) {
		reject_name(intake, name, "the owner name is outside its zone");
	} else {
		count = rrsets_build(intake->rrsets, name, dns_name_equal(owner, apex), &sets);
		if (mirror_put_name(intake->mirror, apex, owner, sets, count) < 0)
			reject_name(intake, name, "there is no such zone");
	}
}

/* Says when more or fewer zones lack an SOA: such a zone is not served. */
static void report_zones_without_soa(struct intake *intake, const struct mirror_stats *stats)
{
	if (stats->zones_no_soa > intake->zones_no_soa)
		log_warning("zones without an SOA are not served", "zones=%" PRIu64,
			    stats->zones_no_soa);
	else if (stats->zones_no_soa < intake->zones_no_soa)
		log_info("fewer zones are without an SOA", "zones=%" PRIu64, stats->zones_no_soa);
	intake->zones_no_soa = stats->zones_no_soa;
}

/* True when the batch would take away more than the guard lets pass. */
static bool guard_stops(struct intake *intake)
{
	if (intake->batch != STORAGE_BATCH_FULL || intake->guard_percent >= 100)
		return false;
	intake->records_lost = mirror_count_unnamed(intake->mirror);
	return intake->records_lost * 100 > intake->records_before * intake->guard_percent;
}

static void sink_commit(void *ctx)
{
	struct intake *intake = ctx;
	struct mirror_stats stats;

	intake->stopped = guard_stops(intake);
	if (intake->stopped) {
		mirror_write_abort(intake->mirror);
		return;
	}
	mirror_write_commit(intake->mirror);
	mirror_read_stats(intake->mirror, &stats);
	atomic_store_explicit(&intake->changed_ms, clock_now_ms(), memory_order_relaxed);
	if (intake->batch == STORAGE_BATCH_CHANGES)
		metrics_add(intake->shard, BACKEND_STORE_CHANGES, 1);
	report_zones_without_soa(intake, &stats);
}

static void sink_abort(void *ctx)
{
	struct intake *intake = ctx;

	mirror_write_abort(intake->mirror);
}

struct intake *intake_create(struct mirror *mirror, struct metrics_shard *shard,
			     struct heartbeat *heartbeat)
{
	struct intake *intake = calloc(1, sizeof(*intake));
	const struct rrsets_report report = {intake, on_rejected, on_odd};

	if (intake == NULL)
		return NULL;
	intake->mirror = mirror;
	intake->shard = shard;
	intake->heartbeat = heartbeat;
	intake->guard_percent = 100;
	intake->rrsets = rrsets_create(&report);
	if (intake->rrsets == NULL) {
		free(intake);
		return NULL;
	}
	return intake;
}

void intake_destroy(struct intake *intake)
{
	if (intake == NULL)
		return;
	rrsets_destroy(intake->rrsets);
	free(intake);
}

struct storage_sink intake_sink(struct intake *intake)
{
	return (struct storage_sink){
		.ctx = intake,
		.begin = sink_begin,
		.zone = sink_zone,
		.zone_gone = sink_zone_gone,
		.name = sink_name,
		.commit = sink_commit,
		.abort = sink_abort,
	};
}

void intake_set_guard(struct intake *intake, unsigned int percent)
{
	intake->guard_percent = percent;
}

bool intake_was_stopped(const struct intake *intake, uint64_t *lost, uint64_t *of)
{
	if (lost != NULL)
		*lost = intake->records_lost;
	if (of != NULL)
		*of = intake->records_before;
	return intake->stopped;
}

uint64_t intake_rejected(const struct intake *intake)
{
	return intake->rejected;
}

int64_t intake_changed_ms(const struct intake *intake)
{
	return atomic_load_explicit(&intake->changed_ms, memory_order_relaxed);
}
