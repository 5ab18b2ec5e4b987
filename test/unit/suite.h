/* A CUnit program in one call: its tests, run with names, and an exit status for ctest. */
#ifndef GODWIT_TEST_UNIT_SUITE_H
#define GODWIT_TEST_UNIT_SUITE_H

#include <CUnit/Basic.h>
#include <stddef.h>

struct suite_test {
	const char *name; /* the behaviour it shows, in words */
	void (*run)(void);
};

/* Runs the tests under one suite name; returns what main should. */
static inline int suite_run(const char *name, const struct suite_test *tests, size_t count)
{
	unsigned int failures = 1;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	CU_pSuite suite = CU_add_suite(name, NULL, NULL);
	for (size_t i = 0; suite && i < count; i++) {
		if (!CU_add_test(suite, tests[i].name, tests[i].run))
			suite = NULL;
	}
	if (suite) {
		CU_basic_set_mode(CU_BRM_VERBOSE);
		CU_basic_run_tests();
		failures = CU_get_number_of_failures();
	}
	CU_cleanup_registry();
	return failures == 0 ? 0 : 1;
}

#define SUITE_RUN(name, tests) suite_run(name, tests, sizeof(tests) / sizeof((tests)[0]))

#endif
