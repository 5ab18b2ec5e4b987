/*
 * Runs a fuzz target on every file of the directories given: the inputs that were worth keeping.
 * Fails when a directory holds none, for then nothing was tried.
 */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

#define INPUT_MAX (1 << 20) /* octets of one file */

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *octets = malloc(INPUT_MAX);
	size_t size;

	if (!file || !octets) {
		perror(path);
		exit(1);
	}
	size = fread(octets, 1, INPUT_MAX, file);
	fclose(file);
	/* In memory of just its size, so that reading past its end is seen. */
	uint8_t *input = malloc(size > 0 ? size : 1);
	if (!input)
		exit(1);
	memcpy(input, octets, size);
	free(octets);
	LLVMFuzzerTestOneInput(input, size);
	free(input);
	return 0;
}

static unsigned int replay_directory(const char *path)
{
	unsigned int count = 0;
	struct dirent *entry;
	char file[4096];
	DIR *directory = opendir(path);

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		replay_file(file);
		count++;
	}
	if (directory)
		closedir(directory);
	return count;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		unsigned int count = replay_directory(argv[i]);
		printf("%s: %u inputs\n", argv[i], count);
		if (count == 0)
			return 1;
	}
	return argc > 1 ? 0 : 1;
}
