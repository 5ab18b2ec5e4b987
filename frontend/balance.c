/* Choice among replicas and the state of trust in each. */
#include "frontend/balance.h"

void balance_peer_init(struct balance_peer *peer, unsigned int cap)
{
	*peer = (struct balance_peer){
		.cap = cap,
		.connection = BALANCE_CONNECTION_PENDING,
		.backoff = {.min_ms = BALANCE_PROBE_MIN_MS, .max_ms = BALANCE_PROBE_MAX_MS},
	};
}

/* 0 is best; -1: not to be asked. */
static int balance_tier(const struct balance_peer *peer)
{
	if (peer->connection == BALANCE_CONNECTION_BROKEN || peer->trust == BALANCE_DOWN)
		return -1;
	if (peer->trust == BALANCE_SUSPECT)
		return 2;
	return peer->connection == BALANCE_CONNECTION_READY ? 0 : 1;
}

int balance_choose(const struct balance_peer *const *peers, size_t count,
		   const struct balance_peer *const avoid[2], uint32_t random)
{
	int best = BALANCE_NONE;
	int best_tier = 3;
	unsigned int best_load = 0;
	/* Starting at a random place makes the first of equals a random one. */
	size_t start = count ? random % count : 0;
	for (size_t i = 0; i < count; i++) {
		size_t at = start + i < count ? start + i : start + i - count;
		const struct balance_peer *peer = peers[at];
		int tier = peer == avoid[0] || peer == avoid[1] ? -1 : balance_tier(peer);
		if (tier < 0)
			continue;
		if (peer->in_flight >= peer->cap) {
			if (best == BALANCE_NONE)
				best = BALANCE_FULL;
			continue;
		}
		if (tier < best_tier || (tier == best_tier && peer->in_flight < best_load)) {
			best = (int)at;
			best_tier = tier;
			best_load = peer->in_flight;
		}
	}
	return best;
}

void balance_note_success(struct balance_peer *peer)
{
	peer->failures = 0;
	peer->trust = BALANCE_TRUSTED;
	backoff_reset(&peer->backoff);
}

bool balance_note_failure(struct balance_peer *peer, int64_t now_ms)
{
	peer->failures++;
	if (peer->trust != BALANCE_TRUSTED || peer->failures < BALANCE_FAILURES_MAX)
		return false;
	peer->trust = BALANCE_SUSPECT;
	peer->probe_at_ms = now_ms;
	return true;
}

void balance_note_probe_failure(struct balance_peer *peer, int64_t now_ms)
{
	if (peer->trust == BALANCE_TRUSTED)
		return; /* a call has succeeded meanwhile */
	peer->trust = BALANCE_DOWN;
	peer->probe_at_ms = now_ms + backoff_next(&peer->backoff);
}

void balance_note_connection(struct balance_peer *peer, enum balance_connection connection)
{
	if (connection == BALANCE_CONNECTION_READY && peer->connection != connection)
		balance_note_success(peer);
	peer->connection = connection;
}

int64_t balance_probe_due_ms(const struct balance_peer *peer)
{
	/* Without a connection a probe says nothing that the connection's state does not. */
	if (peer->trust == BALANCE_TRUSTED || peer->probing ||
	    peer->connection == BALANCE_CONNECTION_BROKEN)
		return INT64_MAX;
	return peer->probe_at_ms;
}
