/* godwitctl: finds the command, opens the store it works on, runs it. */
#include "ctl/commands.h"
#include "ctl/store.h"
#include "ctl/text.h"
#include "storage/storage.h"

#include <stdio.h>
#include <stdlib.h>

/* Refuses operands and options that the command does not take. 0, or -1 after a line. */
static int check_usage(const struct command *command, const struct options *options, size_t words)
{
	unsigned int extra = options->given & ~(command->options | OPTION_STORE |
						OPTION_PASSWORD_FILE | OPTION_HELP);
	const char *group = command->group ? command->group : "";
	const char *space = command->group ? " " : "";
	if (extra) {
		text_fail("godwitctl: %s is no option of \"%s%s%s\": see godwitctl %s%s%s --help",
			  options_name(extra), group, space, command->name, group, space,
			  command->name);
		return -1;
	}
	if (words < command->words_min || words > command->words_max) {
		text_fail("godwitctl: usage: godwitctl %s%s%s %s", group, space, command->name,
			  command->operands);
		return -1;
	}
	return 0;
}

/* Makes the store and, unless the command creates it, opens it. NULL after a line. */
static struct storage *open_store(const struct command *command, const struct options *options)
{
	bool read_only = command->store == COMMAND_READS;
	if (!options->store || !*options->store) {
		text_fail("godwitctl: which store? Give --store URL (" STORE_URLS
			  ") or set GODWIT_STORE");
		return NULL;
	}
	if (command->store == COMMAND_CREATES)
		return store_create(options->store, options->password_file, read_only);
	return store_open(options->store, options->password_file, read_only);
}

static int run_command(const struct command *command, const struct options *options, char **words,
		       size_t count)
{
	struct storage *storage = NULL;
	if (command->store != COMMAND_NO_STORE) {
		storage = open_store(command, options);
		if (!storage)
			return EXIT_FAILURE;
	}
	int code = command->run(storage, options, words, count);
	storage_destroy(storage);
	return code;
}

/* What was printed must have arrived: a full disk is an error like any other. */
static int finish_output(int code)
{
	if ((fflush(stdout) || ferror(stdout)) && code == EXIT_SUCCESS)
		return text_fail("godwitctl: cannot write the output: %m");
	return code;
}

int main(int argc, char **argv)
{
	struct options options;
	size_t used = 0;

	if (options_parse(argc, argv, &options))
		return EXIT_FAILURE;
	if (options.given & OPTION_VERSION) {
		printf("godwitctl %s\n", GODWIT_VERSION);
		return finish_output(EXIT_SUCCESS);
	}
	const struct command *command = commands_find(options.words, options.word_count, &used);
	if (options.given & OPTION_HELP) {
		if (command)
			commands_print_command_help(command);
		else
			commands_print_help();
		return finish_output(EXIT_SUCCESS);
	}
	if (options.word_count == 0)
		return text_fail("godwitctl: no command: see godwitctl --help");
	if (!command)
		return text_fail("godwitctl: no command \"%s%s%s\": see godwitctl --help",
				 options.words[0], options.word_count > 1 ? " " : "",
				 options.word_count > 1 ? options.words[1] : "");
	size_t count = options.word_count - used;
	if (check_usage(command, &options, count))
		return EXIT_FAILURE;
	return finish_output(run_command(command, &options, options.words + used, count));
}
