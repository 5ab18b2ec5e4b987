/* Memory for large tables. */
#include "frontend/pages.h"
#include "test/unit/suite.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)

/* How many of a mapping's pages have to be asked of the kernel yet, by whoever touches them. */
static size_t count_absent(void *memory, size_t size)
{
	size_t pages = (size + PAGE - 1) / PAGE;
	unsigned char *present = calloc(pages, 1);
	size_t absent = 0;
	CU_ASSERT_EQUAL_FATAL(mincore(memory, size, present), 0);
	for (size_t i = 0; i < pages; i++)
		absent += !(present[i] & 1);
	free(present);
	return absent;
}

static void check_pages(size_t size)
{
	uint8_t *memory = pages_map(size);
	CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
	CU_ASSERT_EQUAL(count_absent(memory, size), 0);
	CU_ASSERT_EQUAL(memory[0], 0);
	CU_ASSERT_EQUAL(memory[size - 1], 0);
	memset(memory, 1, size);
	pages_unmap(memory, size);
}

static void test_pages_are_there_before_they_are_used(void)
{
	check_pages(1);
	check_pages(100000);
	check_pages((8 << 20) + 5000);
}

static void test_too_much_is_refused(void)
{
	CU_ASSERT_PTR_NULL(pages_map(SIZE_MAX / 4));
	pages_unmap(NULL, 1);
}

int main(void)
{
	static const struct suite_test tests[] = {
		{"pages are there before they are used", test_pages_are_there_before_they_are_used},
		{"too much is refused", test_too_much_is_refused},
	};
	return SUITE_RUN("pages", tests);
}
