/*
 * Memory for the large tables that every query reads somewhere: zero until it is written, and on
 * huge pages where the kernel gives them, because a table of thousands of ordinary pages costs a
 * walk of the page tables at nearly every access.
 *
 * The pages are taken from the kernel at once, not when they are first used. Entries are spread by
 * their hash, so each of the first answers would touch a page of its own, and a worker would wait
 * while the kernel clears two megabytes: 0.1 ms, but 5 ms and more in a virtual machine whose host
 * has to find that memory first. A TLS connection's replies leave together; thirty-two at 5 ms, on
 * a busy CPU that the secure worker gets a tenth of, were more than a second without any.
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
