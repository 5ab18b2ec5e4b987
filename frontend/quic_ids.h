/*
 * Connection IDs of QUIC (RFC 9000 section 5.1) and what each leads to. A client picks the first
 * one, of 8 to 20 octets; the rest are random and ours. Used by one thread.
 */
#ifndef GODWIT_FRONTEND_QUIC_IDS_H
#define GODWIT_FRONTEND_QUIC_IDS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define QUIC_ID_MAX 20
/* Of those that we give out: short headers do not tell the length. */
#define QUIC_ID_SIZE 16

struct quic_ids;

struct quic_id {
	LIST_ENTRY(quic_id) chain; /* in the table */
	LIST_ENTRY(quic_id) own;   /* of the same owner */
	void *owner;
	size_t size;
	uint8_t octets[QUIC_ID_MAX];
};

/* The IDs of one owner; to be set up with LIST_INIT. */
LIST_HEAD(quic_id_list, quic_id);

/* An empty table. NULL: no memory, or no random numbers to seed it with. */
struct quic_ids *quic_ids_create(void);
/* When all IDs have been removed. NULL is allowed. */
void quic_ids_destroy(struct quic_ids *ids);

/* The owner of an ID of any size; NULL: it is nobody's. */
void *quic_ids_find(const struct quic_ids *ids, const uint8_t *octets, size_t size);

/* Makes an ID lead to `owner`. 0; or -1: out of memory, longer than QUIC_ID_MAX, or taken. */
int quic_ids_add(struct quic_ids *ids, struct quic_id_list *list, void *owner,
		 const uint8_t *octets, size_t size);

/* Forgets one ID of a list, if it is there; or all of them. */
void quic_ids_remove(struct quic_id_list *list, const uint8_t *octets, size_t size);
void quic_ids_remove_all(struct quic_id_list *list);

#endif
