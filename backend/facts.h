/*
 * The facts that an answer rests on (dns/hash.h), gathered while it is made.
 *
 * A walk that ended at a name rests on that name's data; on no delegation or DNAME having started
 * above it; and, where the name is not there, on the next closer name still not being there and on
 * the wildcard (RFC 4592). A zone that comes or goes changes any answer and is told as
 * "everything", so zones are not among the facts; nor is the SOA of a negative answer, whose serial
 * says nothing about names.
 *
 * No allocation. Hot path.
 */
#ifndef GODWIT_BACKEND_FACTS_H
#define GODWIT_BACKEND_FACTS_H

#include "backend/answer.h"
#include "dns/hash.h"

#include <stdbool.h>

/* A name on a walk from its zone's apex; labels are counted from the name's front. */
struct facts_walk {
	const uint8_t *name;
	const uint8_t *labels; /* dns_name_find_labels */
	unsigned int count;    /* of them */
	unsigned int apex;     /* the label where the apex begins */
	unsigned int encloser; /* where the last node met begins; 0: the name itself is there */
	bool taken_over;       /* that node's NS or DNAME answers for what is below it */
};

/* Adds what a walk rests on. */
void facts_add_walk(struct answer_info *info, const struct facts_walk *walk);

#endif
