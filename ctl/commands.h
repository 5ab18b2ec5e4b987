/* The table of all commands, and the help made out of it. */
#ifndef GODWIT_CTL_COMMANDS_H
#define GODWIT_CTL_COMMANDS_H

#include "ctl/command.h"

/*
 * The command that the words begin with; `*used` receives how many of them are its name. NULL if
 * there is none.
 */
const struct command *commands_find(char **words, size_t count, size_t *used);

/* Prints the help of all commands together, or of one, on standard output. */
void commands_print_help(void);
void commands_print_command_help(const struct command *command);

#endif
