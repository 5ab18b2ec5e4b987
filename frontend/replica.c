/* Replicas: creation, bookkeeping and what is logged about them. */
#include "frontend/replica.h"

#include "common/log.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "frontend/sources.h"

#include <stdlib.h>
#include <string.h>

/* Writes the probe, `zone` SOA IN, without EDNS: the plainest query there is. */
static void replica_write_probe(struct replica *replica, const uint8_t *zone)
{
	uint8_t *probe = replica->probe;
	size_t size = dns_name_size(zone);
	memset(probe, 0, DNS_HEADER_SIZE);
	dns_put16(probe, (uint16_t)random());
	dns_put16(probe + 4, 1);
	memcpy(probe + DNS_HEADER_SIZE, zone, size);
	dns_put16(probe + DNS_HEADER_SIZE + size, DNS_TYPE_SOA);
	dns_put16(probe + DNS_HEADER_SIZE + size + 2, DNS_CLASS_IN);
	replica->probe_size = DNS_HEADER_SIZE + size + 4;
	dns_query_parse(probe, replica->probe_size, &replica->probe_query);
}

/* The channel, and a stream that waits for it to be connected. */
static int replica_open(struct replica *replica, const struct replica_options *options,
			const struct plan_backend *backend)
{
	replica->channel = channel_open(options->queue, replica->address.target, backend,
					&options->calls, replica);
	if (!replica->channel)
		return -1;
	replica->sources = options->sources;
	if (replica->sources)
		replica->source = sources_hold(replica->sources, replica->address.key);
	const struct stream_options stream = {
		.base = options->base,
		.channel = replica->channel,
		.coherence = options->coherence,
		.source = replica->source,
		.shard = options->shard,
		.handler = options->streams,
		.owner = replica,
	};
	replica->stream = stream_create(&stream);
	return replica->stream ? 0 : -1;
}

struct replica *replica_create(const struct replica_options *options,
			       const struct plan_address *address,
			       const struct plan_backend *backend, const uint8_t *zone)
{
	struct replica *replica = calloc(1, sizeof(*replica));
	if (!replica)
		return NULL;
	balance_peer_init(&replica->peer, REPLICA_CALLS_MAX);
	replica->address = *address;
	atomic_store_explicit(&replica->figures.trusted, true, memory_order_relaxed);
	replica_write_probe(replica, zone);
	if (replica_open(replica, options, backend) != 0) {
		replica_destroy(replica);
		return NULL;
	}
	return replica;
}

void replica_destroy(struct replica *replica)
{
	if (!replica)
		return;
	stream_destroy(replica->stream);
	channel_close(replica->channel);
	if (replica->sources)
		sources_release(replica->sources, replica->source);
	free(replica);
}

void replica_note_stream(struct replica *replica, bool open)
{
	replica->peer.cap = open ? WINDOW_QUESTIONS : REPLICA_CALLS_MAX;
	atomic_store_explicit(&replica->figures.streams, open, memory_order_relaxed);
}

static void replica_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

void replica_begin_call(struct replica *replica)
{
	replica->peer.in_flight++;
	replica_count(&replica->figures.calls);
	atomic_store_explicit(&replica->figures.in_flight, replica->peer.in_flight,
			      memory_order_relaxed);
}

void replica_end_call(struct replica *replica)
{
	replica->peer.in_flight--;
	atomic_store_explicit(&replica->figures.in_flight, replica->peer.in_flight,
			      memory_order_relaxed);
}

static void replica_publish_trust(struct replica *replica)
{
	atomic_store_explicit(&replica->figures.trusted, replica->peer.trust == BALANCE_TRUSTED,
			      memory_order_relaxed);
}

static void replica_log(const struct replica *replica, enum log_level level, const char *event,
			const char *reason)
{
	log_write(replica->talkative ? level : LOG_LEVEL_DEBUG, event, "backend=%s reason=%s",
		  replica->address.text, reason);
}

void replica_note_success(struct replica *replica)
{
	bool was_trusted = replica->peer.trust == BALANCE_TRUSTED;
	balance_note_success(&replica->peer);
	if (was_trusted)
		return;
	replica_publish_trust(replica);
	replica_log(replica, LOG_LEVEL_INFO, "backend answers again", "it answered");
}

void replica_note_failure(struct replica *replica, const char *reason, int64_t now_ms)
{
	replica_count(&replica->figures.failures);
	if (balance_note_failure(&replica->peer, now_ms)) {
		replica_publish_trust(replica);
		replica_log(replica, LOG_LEVEL_WARNING, "backend fails, probing it", reason);
	}
}

void replica_note_probe_failure(struct replica *replica, const char *reason, int64_t now_ms)
{
	bool was_suspect = replica->peer.trust == BALANCE_SUSPECT;
	replica_count(&replica->figures.failures);
	balance_note_probe_failure(&replica->peer, now_ms);
	if (was_suspect)
		replica_log(replica, LOG_LEVEL_WARNING, "backend out of use until it answers",
			    reason);
}

static enum balance_connection replica_connection_of(enum channel_state state)
{
	switch (state) {
	case CHANNEL_READY:
		return BALANCE_CONNECTION_READY;
	case CHANNEL_PENDING:
		return BALANCE_CONNECTION_PENDING;
	default:
		return BALANCE_CONNECTION_BROKEN;
	}
}

void replica_note_connection(struct replica *replica, enum channel_state state)
{
	enum balance_connection before = replica->peer.connection;
	balance_note_connection(&replica->peer, replica_connection_of(state));
	replica_publish_trust(replica);
	atomic_store_explicit(&replica->figures.connected, state == CHANNEL_READY,
			      memory_order_relaxed);
	stream_note_connection(replica->stream, state == CHANNEL_READY);
	if (state == CHANNEL_READY)
		replica_log(replica, LOG_LEVEL_INFO, "backend connected", "connection established");
	else if (before == BALANCE_CONNECTION_READY)
		replica_log(replica, LOG_LEVEL_WARNING, "backend connection lost",
			    "closed by the other side");
	else if (state == CHANNEL_BROKEN)
		replica_log(replica, LOG_LEVEL_WARNING, "backend not reachable",
			    "connecting failed, trying on");
}
