/*
 * Questions in flight, so that a question that is asked again before its answer has come is not put
 * to the backend again: it joins the one that is under way and gets the same answer.
 *
 * When the answer of a popular name is outdated, or its backend hangs, all its clients' queries
 * would otherwise go the same way at once, and keep others from what the backends can take.
 *
 * A table with a place per hash; a question whose place is taken by another is asked without being
 * found by anybody. So nothing has to be searched or moved, and what is lost is a question asked
 * twice. At most FLIGHTS_JOINED_MAX queries join another; the next one leads anew. And no more than
 * a quarter of the worker's queries wait so: what comes beyond takes its place in the line, and is
 * told when that is full, rather than leave no queries for others.
 *
 * Of one worker, used by its thread alone. No allocation. Hot path.
 */
#ifndef GODWIT_FRONTEND_FLIGHTS_H
#define GODWIT_FRONTEND_FLIGHTS_H

#include "frontend/query.h"

#define FLIGHTS_PLACES 4096 /* a power of two */
#define FLIGHTS_JOINED_MAX 256
#define FLIGHTS_JOINED_TOTAL (QUERY_POOL_SIZE / 4)

struct flights {
	struct query *places[FLIGHTS_PLACES]; /* by hash; what leads there, or NULL */
	size_t joined;                        /* queries that wait for another */
};

/*
 * Lets `query`, whose `key_hash` and `plan` are set, join one that asks the same: true, and it is
 * held there until flights_land, and the answer is kept as either wants it. False: it is to be
 * asked, and others may join it.
 */
bool flights_join(struct flights *flights, struct query *query);

/*
 * The query has come back, or is given up: nobody joins it any more. Returns those that did, one
 * behind the other by `joined`, or NULL. Any query, also one that never was in here.
 */
struct query *flights_land(struct flights *flights, struct query *query);

#endif
