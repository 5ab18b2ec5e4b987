/*
 * coredns.dns.DnsService/Query: one DNS message in, one out.
 *
 * A worker is what one queue's thread needs to answer: its own buffers and its own counters, so
 * that answering takes no lock and, of ours, allocates nothing. What gRPC status says what:
 *
 *   OK                a reply, whatever its response code
 *   INVALID_ARGUMENT  not a DnsPacket, or its message gets no reply (RFC 1035 messages that are no
 *                     queries, or too short to answer to)
 *   UNAVAILABLE       the records are not loaded yet: another replica may know
 */
#ifndef GODWIT_BACKEND_QUERY_SERVICE_H
#define GODWIT_BACKEND_QUERY_SERVICE_H

#include "backend/rpc.h"

struct metrics_shard;
struct mirror;
struct query_worker;

#define QUERY_SERVICE_METHOD "/coredns.dns.DnsService/Query"

/* The UDP payload size replies announce (EDNS), in octets: what fits every path unfragmented. */
#define QUERY_SERVICE_UDP_PAYLOAD 1232

/* Borrows both until destroyed. The shard must be the serving thread's. */
struct query_worker *query_worker_create(const struct mirror *mirror, struct metrics_shard *shard);
void query_worker_destroy(struct query_worker *worker);

/*
 * The serve function of the method; `ctx` is the worker. Its thread must be a registered reader of
 * the mirror. Hot path.
 */
void query_worker_serve(struct rpc_call *call, void *ctx);

#endif
