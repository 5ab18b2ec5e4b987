/*
 * The hash by which both halves of Godwit name a fact: something an answer rests on.
 *
 * A fact is told by a name and what about it: its data and existence, or whether a delegation or a
 * DNAME starts there. The function is fixed, part of the protocol between front end and backend
 * (proto/godwit.proto), and the same in every replica. Collisions cost a question asked again and
 * nothing else, so nobody gains by making them.
 */
#ifndef GODWIT_DNS_HASH_H
#define GODWIT_DNS_HASH_H

#include <stdint.h>

enum dns_fact {
	DNS_FACT_DATA = 1, /* the name's records, and whether the name exists */
	DNS_FACT_CUT = 2,  /* whether NS or DNAME records at the name take over what is below it */
};

/* The hash of a fact about `name`, a trusted wire name, case ignored. Pure; any thread. */
uint64_t dns_fact_hash(enum dns_fact fact, const uint8_t *name);

#endif
