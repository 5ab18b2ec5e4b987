/*
 * Memory for the large tables that every query reads somewhere: zero until it is written, taken
 * from the kernel only as far as it is used, and on huge pages where the kernel gives them, because
 * a table of thousands of ordinary pages costs a walk of the page tables at nearly every access.
 *
 * Any thread.
 */
#ifndef GODWIT_FRONTEND_PAGES_H
#define GODWIT_FRONTEND_PAGES_H

#include <stddef.h>

/* `size` octets of zeros, aligned to a huge page if they are as many. NULL when memory is short. */
void *pages_map(size_t size);

/* Gives back what pages_map returned for the same size; NULL is allowed. */
void pages_unmap(void *memory, size_t size);

#endif
