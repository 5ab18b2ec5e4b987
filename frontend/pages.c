/* Anonymous mappings, aligned. */
#include "frontend/pages.h"

#include <stdint.h>
#include <sys/mman.h>

#define PAGES_HUGE ((size_t)2 << 20) /* x86-64's, and arm64's with pages of 4 kB */
#define PAGES_SMALL ((size_t)4096)

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

void *pages_map(size_t size)
{
	size = pages_round(size);
	if (size >= PAGES_HUGE) {
		void *memory = pages_map_aligned(size);
		/* A wish: without huge pages it is only slower. */
		if (memory)
			(void)madvise(memory, size, MADV_HUGEPAGE);
		return memory;
	}
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void pages_unmap(void *memory, size_t size)
{
	if (memory)
		munmap(memory, pages_round(size));
}
