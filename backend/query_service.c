#include "backend/query_service.h"

#include "backend/answer.h"
#include "backend/counters.h"
#include "backend/mirror.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "dns/protocol.h"
#include "proto/dns.pb-c.h"

#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <stdalign.h>
#include <string.h>

/*
 * Where protobuf-c puts what it unpacks: the message, its octets and unknown fields. A request that
 * needs more is one nobody sends in earnest, and is refused.
 */
#define ARENA_SIZE ((size_t)2 * RPC_REQUEST_MAX)

struct query_worker {
	const struct mirror *mirror;
	struct metrics_shard *shard;
	ProtobufCAllocator allocator; /* hands out `arena`, takes nothing back */
	size_t arena_used;
	alignas(max_align_t) uint8_t arena[ARENA_SIZE];
	uint8_t request[RPC_REQUEST_MAX];
	uint8_t reply[ANSWER_SIZE_MAX];
};

static void *arena_alloc(void *data, size_t size)
{
	struct query_worker *worker = data;
	size_t start = worker->arena_used;

	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (size > ARENA_SIZE - start)
		return NULL;
	worker->arena_used = start + size;
	return worker->arena + start;
}

static void arena_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

struct query_worker *query_worker_create(const struct mirror *mirror, struct metrics_shard *shard)
{
	struct query_worker *worker = gpr_zalloc(sizeof(*worker));

	worker->mirror = mirror;
	worker->shard = shard;
	worker->allocator.alloc = arena_alloc;
	worker->allocator.free = arena_free;
	worker->allocator.allocator_data = worker;
	return worker;
}

void query_worker_destroy(struct query_worker *worker)
{
	gpr_free(worker);
}

/* The request's packet, valid until the next call; NULL when it is not one. */
static const Coredns__Dns__DnsPacket *unpack(struct query_worker *worker, struct rpc_call *call)
{
	int64_t size = rpc_call_read(call, worker->request);

	worker->arena_used = 0;
	if (size < 0)
		return NULL;
	return coredns__dns__dns_packet__unpack(&worker->allocator, (size_t)size, worker->request);
}

/* A DnsPacket with the first `size` octets of the worker's reply, as the slice gRPC will send. */
static grpc_slice pack(struct query_worker *worker, size_t size)
{
	Coredns__Dns__DnsPacket packet = COREDNS__DNS__DNS_PACKET__INIT;
	grpc_slice slice;

	packet.msg.data = worker->reply;
	packet.msg.len = size;
	slice = grpc_slice_malloc(coredns__dns__dns_packet__get_packed_size(&packet));
	coredns__dns__dns_packet__pack(&packet, GRPC_SLICE_START_PTR(slice));
	return slice;
}

static void refuse(struct query_worker *worker, struct rpc_call *call, const char *words)
{
	metrics_add(worker->shard, BACKEND_CALLS_QUERY_INVALID_ARGUMENT, 1);
	rpc_call_finish(call, GRPC_STATUS_INVALID_ARGUMENT, words, NULL);
}

void query_worker_serve(struct rpc_call *call, void *ctx)
{
	struct query_worker *worker = ctx;
	int64_t started = clock_now_ns();
	const Coredns__Dns__DnsPacket *packet;
	struct answer_info info = {0};
	grpc_slice message;
	size_t size;

	if (!mirror_is_loaded(worker->mirror)) {
		metrics_add(worker->shard, BACKEND_CALLS_QUERY_UNAVAILABLE, 1);
		rpc_call_finish(call, GRPC_STATUS_UNAVAILABLE, "records not loaded yet", NULL);
		return;
	}
	packet = unpack(worker, call);
	if (packet == NULL) {
		refuse(worker, call, "not a coredns.dns.DnsPacket");
		return;
	}
	if (packet->msg.len > DNS_MESSAGE_MAX) {
		refuse(worker, call, "DNS message longer than 65535 octets");
		return;
	}
	mirror_read_begin();
	size = answer_query(worker->mirror, packet->msg.data, packet->msg.len,
			    QUERY_SERVICE_UDP_PAYLOAD, worker->reply, &info);
	mirror_read_end();
	if (size == 0) {
		refuse(worker, call, "not a DNS query: a response, or shorter than a header");
		return;
	}
	message = pack(worker, size);
	/* First, so that who has the answer finds it counted. */
	metrics_add(worker->shard, BACKEND_CALLS_QUERY_OK, 1);
	metrics_add(worker->shard, backend_counter_of_rcode(info.rcode), 1);
	metrics_add(worker->shard, backend_counter_of_qtype(info.qtype), 1);
	rpc_call_finish(call, GRPC_STATUS_OK, NULL, &message);
	metrics_observe(worker->shard, BACKEND_ANSWER_SECONDS,
			(uint64_t)(clock_now_ns() - started));
}
