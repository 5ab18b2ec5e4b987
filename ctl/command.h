/*
 * The commands of godwitctl. Each is one function: it does its work on an open store, prints what
 * it has to say, and returns the exit code, 0 or 1 after one line on standard error (text_fail).
 */
#ifndef GODWIT_CTL_COMMAND_H
#define GODWIT_CTL_COMMAND_H

#include "ctl/options.h"

struct storage;

/* What a command wants of the store before it runs. */
enum command_store {
	COMMAND_NO_STORE,
	COMMAND_READS,
	COMMAND_WRITES,
	COMMAND_CREATES, /* the store need not be there yet: not opened */
};

struct command {
	const char *group; /* the first word, "zone"; NULL for commands of one word */
	const char *name;
	const char *operands; /* as --help shows them */
	const char *summary;  /* one line */
	const char *help;     /* the rest of the command's --help, lines with line ends */
	enum command_store store;
	unsigned int options; /* option_bits it takes, besides --store and --password-file */
	size_t words_min;     /* operands, the command's own words not counted */
	size_t words_max;
	int (*run)(struct storage *storage, const struct options *options, char **words,
		   size_t count);
};

int command_init(struct storage *storage, const struct options *options, char **words,
		 size_t count);
int command_zone_add(struct storage *storage, const struct options *options, char **words,
		     size_t count);
int command_zone_list(struct storage *storage, const struct options *options, char **words,
		      size_t count);
int command_zone_import(struct storage *storage, const struct options *options, char **words,
			size_t count);
int command_zone_export(struct storage *storage, const struct options *options, char **words,
			size_t count);
int command_zone_delete(struct storage *storage, const struct options *options, char **words,
			size_t count);
int command_record_set(struct storage *storage, const struct options *options, char **words,
		       size_t count);
int command_record_add(struct storage *storage, const struct options *options, char **words,
		       size_t count);
int command_record_delete(struct storage *storage, const struct options *options, char **words,
			  size_t count);
int command_record_list(struct storage *storage, const struct options *options, char **words,
			size_t count);
int command_copy(struct storage *storage, const struct options *options, char **words,
		 size_t count);
int command_cache_flush(struct storage *storage, const struct options *options, char **words,
			size_t count);
int command_cache_show(struct storage *storage, const struct options *options, char **words,
		       size_t count);
int command_reload(struct storage *storage, const struct options *options, char **words,
		   size_t count);
int command_announcer_status(struct storage *storage, const struct options *options, char **words,
			     size_t count);
int command_announcer_drain(struct storage *storage, const struct options *options, char **words,
			    size_t count);
int command_announcer_undrain(struct storage *storage, const struct options *options, char **words,
			      size_t count);
int command_external_dns(struct storage *storage, const struct options *options, char **words,
			 size_t count);
int command_status(struct storage *storage, const struct options *options, char **words,
		   size_t count);

#endif
