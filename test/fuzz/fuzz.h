/*
 * A fuzz target is one function that takes any octets and must come back, with nothing broken on
 * the way. The sanitizers say what is broken; FUZZ_CHECK says what else has to hold.
 *
 * libFuzzer calls it with inputs it makes up (scripts/fuzz); replay.c with the inputs kept in
 * corpus/, as a test of every build.
 */
#ifndef GODWIT_TEST_FUZZ_FUZZ_H
#define GODWIT_TEST_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The input belongs to the caller; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
