/*
 * godwit.v1.Backend/Exchange: batches of DNS questions in, batches of answers out.
 *
 * Each query thread has one struct exchange, and answers the streams that gRPC gives it: a message
 * of questions is read, all of them are answered from the mirror in one read section straight into
 * the message that goes back, and the next one is read. With each answer goes what it rests on, so
 * that a front end may keep it (changes.h).
 *
 * What keeps a client in bounds: the size of a message and the number of its questions (batch.h);
 * one message of questions and one of answers in hand per stream - more wait on the wire -;
 * EXCHANGE_STREAMS_MAX streams a thread, and RESOURCE_EXHAUSTED for others; and a client that does
 * not take its answers for RPC_STALLED_MS is cut off. A message that makes no sense ends its stream
 * with INVALID_ARGUMENT. While the records are not loaded every answer is empty.
 *
 * Threads: create, close and destroy from one; close and count from any; the rest is the queue's.
 */
#ifndef GODWIT_BACKEND_EXCHANGE_H
#define GODWIT_BACKEND_EXCHANGE_H

#include "backend/rpc.h"

struct exchange;
struct metrics_shard;
struct mirror;

#define EXCHANGE_METHOD "/godwit.v1.Backend/Exchange"

#define EXCHANGE_STREAMS_MAX 256

/* Borrows both until destroyed. The shard must be the serving thread's. */
struct exchange *exchange_create(const struct mirror *mirror, struct metrics_shard *shard);
/* No stream may be open any more. */
void exchange_destroy(struct exchange *exchange);

/* Ends every stream within a tick or so, with UNAVAILABLE, and new ones at once. */
void exchange_close(struct exchange *exchange);

/* Streams open now. */
unsigned int exchange_count_streams(const struct exchange *exchange);

/*
 * The serve function of the method, a streaming one, and the queue's tick; `ctx` is the struct
 * exchange. The thread must be a registered reader of the mirror.
 */
void exchange_serve(struct rpc_call *call, void *ctx);
void exchange_tick(void *ctx);

#endif
