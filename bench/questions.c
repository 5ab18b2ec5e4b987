#include "bench/questions.h"

#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 1200

/* One query, ready but for its ID, and for what is chosen anew each time. */
struct query {
	uint8_t wire[QUESTIONS_SIZE_MAX];
	uint16_t size;
};

struct questions {
	struct questions_options options;
	uint64_t random;
	struct query *queries; /* one of a pattern; all of a file */
	size_t count;
	size_t space;
	size_t type_at;   /* offset of a pattern's QTYPE */
	size_t number_at; /* offsets and lengths of a pattern's runs; length 0: none */
	size_t number_size;
	size_t random_at;
	size_t random_size;
};

/* xorshift64*: even enough for a choice of names, and next to free. */
static uint64_t next_random(struct questions *questions)
{
	uint64_t x = questions->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	questions->random = x;
	return x * UINT64_C(2685821657736338717);
}

/* Even over 0 to below - 1, without a division. */
static uint64_t next_below(struct questions *questions, uint64_t below)
{
	return (uint64_t)(((unsigned __int128)next_random(questions) * below) >> 64);
}

/* RFC 6891 section 6.1.2: the root, type OPT, the payload as class, no flags, no options. */
static size_t write_opt(uint8_t *out, uint16_t payload)
{
	memset(out, 0, 11);
	dns_put16(out + 1, DNS_TYPE_OPT);
	dns_put16(out + 3, payload);
	return 11;
}

/* Adds a query for `name`, which is `length` octets of text; false when it is no domain name. */
static bool add_query(struct questions *questions, const char *name, size_t length, uint16_t type)
{
	static const uint8_t header[DNS_HEADER_SIZE] = {0, 0, 1, 0, 0, 1};
	uint8_t wire_name[DNS_NAME_MAX];

	if (dns_name_from_text(name, length, NULL, wire_name) < 0)
		return false;
	struct query *query = &questions->queries[questions->count++];
	size_t name_size = dns_name_size(wire_name);
	size_t at = sizeof(header) + name_size;

	memcpy(query->wire, header, sizeof(header));
	memcpy(query->wire + sizeof(header), wire_name, name_size);
	dns_put16(query->wire + at, type);
	dns_put16(query->wire + at + 2, DNS_CLASS_IN);
	questions->type_at = at;
	at += 4;
	if (questions->options.edns_size > 0) {
		query->wire[11] = 1;
		at += write_opt(query->wire + at, questions->options.edns_size);
	}
	query->size = (uint16_t)at;
	return true;
}

/* Finds the first run of `mark` in the pattern's query; its length is 0 when there is none. */
static void find_run(const struct query *query, uint8_t mark, size_t *at, size_t *size)
{
	const uint8_t *start =
		memchr(query->wire + DNS_HEADER_SIZE, mark, query->size - DNS_HEADER_SIZE);

	*at = 0;
	*size = 0;
	if (!start)
		return;
	*at = (size_t)(start - query->wire);
	while (query->wire[*at + *size] == mark)
		++*size;
}

static bool use_pattern(struct questions *questions, char *error, size_t error_size)
{
	const char *pattern = questions->options.pattern;

	questions->queries = calloc(1, sizeof(*questions->queries));
	if (!questions->queries ||
	    !add_query(questions, pattern, strlen(pattern), questions->options.types[0])) {
		snprintf(error, error_size, "\"%s\" makes no domain name", pattern);
		return false;
	}
	find_run(questions->queries, '#', &questions->number_at, &questions->number_size);
	find_run(questions->queries, '?', &questions->random_at, &questions->random_size);
	return true;
}

static bool make_space(struct questions *questions)
{
	size_t space = questions->space > 0 ? 2 * questions->space : 1024;

	if (questions->count < questions->space)
		return true;
	struct query *queries = realloc(questions->queries, space * sizeof(*queries));
	if (!queries)
		return false;
	questions->queries = queries;
	questions->space = space;
	return true;
}

static bool add_line(struct questions *questions, char *line)
{
	char *rest = NULL;
	const char *name = strtok_r(line, " \t\r\n", &rest);
	const char *type_text = strtok_r(NULL, " \t\r\n", &rest);
	int type = type_text ? dns_type_from_text(type_text) : DNS_TYPE_A;

	if (!name || *name == ';')
		return true;
	return type >= 0 && make_space(questions) &&
	       add_query(questions, name, strlen(name), (uint16_t)type);
}

static bool use_file(struct questions *questions, char *error, size_t error_size)
{
	char line[LINE_SIZE];
	unsigned long number = 0;
	bool good = true;
	FILE *file = fopen(questions->options.file, "r");

	if (!file) {
		snprintf(error, error_size, "%s: %s", questions->options.file, strerror(errno));
		return false;
	}
	while (good && fgets(line, sizeof(line), file)) {
		number++;
		good = add_line(questions, line);
	}
	fclose(file);
	if (!good)
		snprintf(error, error_size, "%s:%lu: not a name and a type",
			 questions->options.file, number);
	else if (questions->count == 0)
		snprintf(error, error_size, "%s: no queries", questions->options.file);
	return good && questions->count > 0;
}

struct questions *questions_create(const struct questions_options *options, char *error,
				   size_t error_size)
{
	struct questions *questions = calloc(1, sizeof(*questions));

	if (!questions) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	questions->options = *options;
	questions->random = options->seed != 0 ? options->seed : 1;
	if (options->file ? use_file(questions, error, error_size)
			  : use_pattern(questions, error, error_size))
		return questions;
	questions_destroy(questions);
	return NULL;
}

void questions_destroy(struct questions *questions)
{
	if (!questions)
		return;
	free(questions->queries);
	free(questions);
}

static void write_number(uint8_t *out, size_t size, uint64_t number)
{
	while (size > 0) {
		out[--size] = (uint8_t)('0' + number % 10);
		number /= 10;
	}
}

static void write_random(uint8_t *out, size_t size, struct questions *questions)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < size; i++) {
		if (i % 16 == 0)
			bits = next_random(questions);
		out[i] = (uint8_t) "0123456789abcdef"[bits & 15];
		bits >>= 4;
	}
}

static void fill_pattern(struct questions *questions, uint8_t *out)
{
	const struct questions_options *options = &questions->options;

	if (questions->number_size > 0)
		write_number(out + questions->number_at, questions->number_size,
			     next_below(questions, options->names));
	if (questions->random_size > 0)
		write_random(out + questions->random_at, questions->random_size, questions);
	if (options->type_count > 1)
		dns_put16(out + questions->type_at,
			  options->types[next_below(questions, options->type_count)]);
}

size_t questions_write(struct questions *questions, uint16_t id, uint8_t *out)
{
	size_t chosen = questions->options.file ? next_below(questions, questions->count) : 0;
	const struct query *query = &questions->queries[chosen];

	memcpy(out, query->wire, query->size);
	if (!questions->options.file)
		fill_pattern(questions, out);
	dns_put16(out, id);
	return query->size;
}
