/* Anonymous mappings, aligned. */
#include "frontend/pages.h"

#include "common/clock.h"

#include <stdint.h>
#include <sys/mman.h>

#define PAGES_HUGE ((size_t)2 << 20) /* x86-64's, and arm64's with pages of 4 kB */
#define PAGES_SMALL ((size_t)4096)

/* How long a program may be kept from starting by the filling of one table. */
#define PAGES_FILL_MS 500

static size_t pages_round(size_t size)
{
	return (size + PAGES_SMALL - 1) / PAGES_SMALL * PAGES_SMALL;
}

/* Maps a huge page more than is needed, and gives back what is before and behind. */
static uint8_t *pages_map_aligned(size_t size)
{
	size_t whole = size + PAGES_HUGE;
	uint8_t *memory =
		mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	size_t before = (PAGES_HUGE - (uintptr_t)memory % PAGES_HUGE) % PAGES_HUGE;
	if (before > 0)
		munmap(memory, before);
	if (PAGES_HUGE > before)
		munmap(memory + before + size, PAGES_HUGE - before);
	return memory + before;
}

static uint8_t *pages_map_small(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

/*
 * Takes the pages from the kernel. What it does not do - in a kernel before Linux 5.14, when memory
 * is short, or when the time is over - is done page by page by who touches them.
 */
static void pages_fill(uint8_t *memory, size_t size)
{
	int64_t end_ms = clock_now_ms() + PAGES_FILL_MS;
	for (size_t at = 0; at < size && clock_now_ms() < end_ms; at += PAGES_HUGE) {
		size_t piece = size - at < PAGES_HUGE ? size - at : PAGES_HUGE;
		if (madvise(memory + at, piece, MADV_POPULATE_WRITE) != 0)
			return;
	}
}

void *pages_map(size_t size)
{
	size = pages_round(size);
	uint8_t *memory = size < PAGES_HUGE ? pages_map_small(size) : pages_map_aligned(size);
	if (!memory)
		return NULL;
	/* A wish: without huge pages it is only slower. */
	if (size >= PAGES_HUGE)
		(void)madvise(memory, size, MADV_HUGEPAGE);
	pages_fill(memory, size);
	return memory;
}

void pages_unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, pages_round(size));
}
