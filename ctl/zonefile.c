/*
 * One struct zonefile holds what lasts through a whole read: the owner and TTL that later records
 * inherit, the buffers. One struct source holds what belongs to a file: $INCLUDE puts another one
 * on top, reads it to its end, and goes on with the first, whose origin and last owner are then as
 * they were (RFC 1035 section 5.1 keeps the origin; BIND keeps the owner too). $TTL holds for "all
 * records after it" (RFC 2308), wherever they stand, so it is not put back.
 *
 * While no origin is known names are completed with a placeholder that no file can hold by chance,
 * and what comes out is searched for it: only a file that really has a relative name has to say
 * what it is relative to. This asks nothing of the record types, whose data we do not look into.
 */
#include "ctl/zonefile.h"

#include "ctl/generate.h"
#include "ctl/lexer.h"
#include "ctl/origin.h"
#include "ctl/ttl.h"
#include "dns/name.h"
#include "dns/protocol.h"
#include "dns/rdata.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* One label with octets of no alphabet, and the root. */
static const uint8_t no_origin[] = "\x0e\x00\x01no\xffgodwit\xfe\x02\x00";

struct source {
	const char *path;
	struct lexer *lexer;
	struct source *parent; /* that includes this one; NULL for the outermost */
	unsigned int depth;    /* 1 for the outermost */
	uint32_t line;         /* of the entry at hand */
	dev_t device;          /* device and inode tell a file that includes itself */
	ino_t inode;
};

struct zonefile {
	const struct zonefile_sink *sink;
	const char *path; /* the outermost */
	struct source *outermost;
	unsigned int included; /* files, in all */
	uint64_t generated;    /* records of $GENERATE, in all */
	char *error;
	size_t error_size;

	bool has_origin;
	uint8_t origin[DNS_NAME_MAX];
	bool has_owner;
	uint8_t owner[DNS_NAME_MAX];
	bool has_apex; /* an SOA was read: `apex` is its owner */
	uint8_t apex[DNS_NAME_MAX];
	bool has_default_ttl;
	uint32_t default_ttl; /* of $TTL */
	bool has_last_ttl;
	uint32_t last_ttl; /* of the record before */

	uint8_t rdata[DNS_RDATA_MAX];
};

/* What stands before the data of a record. */
struct record_head {
	bool has_ttl;
	uint32_t ttl;
	uint16_t type;
	const char *type_text;
	size_t next; /* index of the first token of the data */
};

static int zonefile_read_source(struct zonefile *reader, const char *path, struct source *parent);

static int zonefile_fail(struct zonefile *reader, const struct source *source, const char *format,
			 ...) __attribute__((format(printf, 3, 4)));

/* Writes "FILE:LINE: ..." into the error and returns -1. */
static int zonefile_fail(struct zonefile *reader, const struct source *source, const char *format,
			 ...)
{
	char message[ZONEFILE_ERROR_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (source->line)
		snprintf(reader->error, reader->error_size, "%s:%u: %s", source->path, source->line,
			 message);
	else
		snprintf(reader->error, reader->error_size, "%s: %s", source->path, message);
	return -1;
}

/* A relative name was met and nothing says what it is relative to: finds out or fails. */
static int zonefile_find_origin(struct zonefile *reader, const struct source *source)
{
	if (reader->has_apex)
		memcpy(reader->origin, reader->apex, dns_name_size(reader->apex));
	else if (!origin_from_path(reader->path, reader->origin))
		return zonefile_fail(reader, source,
				     "a relative name, and nothing says to what: begin the file "
				     "with $ORIGIN or give --origin");
	reader->has_origin = true;
	return 0;
}

static const uint8_t *zonefile_origin(const struct zonefile *reader)
{
	return reader->has_origin ? reader->origin : no_origin;
}

/* True when the octets hold the placeholder: a name in them was relative. */
static bool zonefile_lacks_origin(const struct zonefile *reader, const uint8_t *data, size_t size)
{
	return !reader->has_origin && memmem(data, size, no_origin, sizeof(no_origin) - 1) != NULL;
}

static int zonefile_read_name(struct zonefile *reader, const struct source *source,
			      const struct lexer_token *token, const char *what, uint8_t *out)
{
	if (token->text[0] == '"')
		return zonefile_fail(reader, source, "%s %.200s: names stand without quotes", what,
				     token->text);
	int size = dns_name_from_text(token->text, token->length, zonefile_origin(reader), out);
	if (size > 0 && zonefile_lacks_origin(reader, out, (size_t)size)) {
		if (zonefile_find_origin(reader, source))
			return -1;
		size = dns_name_from_text(token->text, token->length, reader->origin, out);
	}
	if (size < 0)
		return zonefile_fail(reader, source, "%s %.200s: %s", what, token->text,
				     dns_error_text(size));
	return 0;
}

/* --- directives ------------------------------------------------------------------------------- */

static int zonefile_set_origin(struct zonefile *reader, const struct source *source,
			       const struct lexer_entry *entry)
{
	uint8_t origin[DNS_NAME_MAX];
	if (entry->count != 2)
		return zonefile_fail(reader, source, "$ORIGIN takes one name");
	if (zonefile_read_name(reader, source, &entry->tokens[1], "$ORIGIN", origin))
		return -1;
	memcpy(reader->origin, origin, dns_name_size(origin));
	reader->has_origin = true;
	return 0;
}

static int zonefile_set_ttl(struct zonefile *reader, const struct source *source,
			    const struct lexer_entry *entry)
{
	if (entry->count != 2 || !ttl_from_text(entry->tokens[1].text, &reader->default_ttl))
		return zonefile_fail(reader, source,
				     "$TTL takes one time, like 3600 or 1h30m, at most %u seconds",
				     TTL_MAX);
	reader->has_default_ttl = true;
	return 0;
}

/*
 * The path of an included file, quotes taken off; one that is relative is relative to the directory
 * of the file that includes it. Allocates.
 */
static char *zonefile_include_path(const struct source *source, const struct lexer_token *token)
{
	const char *name = token->text;
	size_t length = token->length;
	if (length >= 2 && name[0] == '"') {
		name++;
		length -= 2;
	}
	const char *slash = strrchr(source->path, '/');
	size_t directory = slash && name[0] != '/' ? (size_t)(slash - source->path) + 1 : 0;
	char *path = malloc(directory + length + 1);
	if (!path)
		return NULL;
	memcpy(path, source->path, directory);
	memcpy(path + directory, name, length);
	path[directory + length] = '\0';
	return path;
}

static int zonefile_include(struct zonefile *reader, struct source *source,
			    const struct lexer_entry *entry)
{
	if (entry->count != 2 && entry->count != 3)
		return zonefile_fail(reader, source,
				     "$INCLUDE takes a file and, if wanted, an origin");
	if (source->depth == ZONEFILE_INCLUDE_MAX)
		return zonefile_fail(reader, source, "$INCLUDE nested deeper than %d files",
				     ZONEFILE_INCLUDE_MAX);
	if (++reader->included > ZONEFILE_INCLUDES_MAX)
		return zonefile_fail(reader, source, "more than %d files included in all",
				     ZONEFILE_INCLUDES_MAX);

	bool had_origin = reader->has_origin;
	bool had_owner = reader->has_owner;
	uint8_t origin[DNS_NAME_MAX], owner[DNS_NAME_MAX], inner[DNS_NAME_MAX];
	memcpy(origin, reader->origin, sizeof(origin));
	memcpy(owner, reader->owner, sizeof(owner));
	if (entry->count == 3) {
		if (zonefile_read_name(reader, source, &entry->tokens[2], "$INCLUDE origin", inner))
			return -1;
		memcpy(reader->origin, inner, dns_name_size(inner));
		reader->has_origin = true;
	}
	char *path = zonefile_include_path(source, &entry->tokens[1]);
	if (!path)
		return zonefile_fail(reader, source, "out of memory");
	int status = zonefile_read_source(reader, path, source);
	free(path);
	reader->has_origin = had_origin;
	memcpy(reader->origin, origin, sizeof(origin));
	reader->has_owner = had_owner;
	memcpy(reader->owner, owner, sizeof(owner));
	return status;
}

/* --- records ---------------------------------------------------------------------------------- */

/* A class mnemonic, also "CLASS3": its number, or -1 if the text is none. */
static int zonefile_class_from_text(const char *text)
{
	static const struct {
		const char *text;
		int number;
	} classes[] = {{"IN", DNS_CLASS_IN}, {"CS", 2}, {"CH", DNS_CLASS_CH}, {"HS", 4}};
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strcasecmp(text, classes[i].text) == 0)
			return classes[i].number;
	if (strncasecmp(text, "CLASS", 5) != 0 || text[5] < '0' || text[5] > '9')
		return -1;
	char *end;
	unsigned long number = strtoul(text + 5, &end, 10);
	return *end || number > UINT16_MAX ? -1 : (int)number;
}

/* Reads [TTL] [class] type, TTL and class in either order (RFC 1035 section 5.1), from `i` on. */
static int zonefile_read_head(struct zonefile *reader, const struct source *source,
			      const struct lexer_entry *entry, size_t i, struct record_head *head)
{
	bool has_class = false;
	memset(head, 0, sizeof(*head));
	for (; i < entry->count; i++) {
		const char *text = entry->tokens[i].text;
		int class = zonefile_class_from_text(text);
		if (!has_class && class >= 0) {
			if (class != DNS_CLASS_IN)
				return zonefile_fail(reader, source,
						     "class %.20s: only IN is served", text);
			has_class = true;
		} else if (!head->has_ttl && ttl_from_text(text, &head->ttl)) {
			head->has_ttl = true;
		} else {
			break;
		}
	}
	if (i == entry->count)
		return zonefile_fail(reader, source,
				     "no record type: a record is NAME [TTL] [IN] "
				     "TYPE DATA, white space in front only for the "
				     "same NAME again");
	head->type_text = entry->tokens[i].text;
	head->next = i + 1;
	int type = dns_type_from_text(head->type_text);
	if (type < 0)
		return zonefile_fail(reader, source,
				     "%.200s is neither a TTL, a class nor a record "
				     "type",
				     head->type_text);
	head->type = (uint16_t)type;
	if (!dns_type_is_data(head->type))
		return zonefile_fail(reader, source, "records of type %.20s cannot stand in a zone",
				     head->type_text);
	return 0;
}

/* The last field of an SOA's data, its minimum (RFC 1035 section 3.3.13). */
static uint32_t zonefile_soa_minimum(const uint8_t *rdata, size_t size)
{
	return dns_get32(rdata + size - 4);
}

/* Settles the record's TTL, and what later ones inherit. */
static int zonefile_settle_ttl(struct zonefile *reader, const struct source *source,
			       struct record_head *head, size_t rdata_size)
{
	if (!head->has_ttl && reader->has_default_ttl)
		head->ttl = reader->default_ttl;
	else if (!head->has_ttl && reader->has_last_ttl)
		head->ttl = reader->last_ttl;
	else if (!head->has_ttl && head->type == DNS_TYPE_SOA)
		head->ttl = zonefile_soa_minimum(reader->rdata, rdata_size);
	else if (!head->has_ttl)
		return zonefile_fail(reader, source,
				     "no TTL here or before: put a $TTL at the top");
	if (head->ttl > TTL_MAX)
		return zonefile_fail(reader, source, "a TTL of more than %u seconds", TTL_MAX);
	reader->has_last_ttl = true;
	reader->last_ttl = head->ttl;
	return 0;
}

/* Reads the data into reader->rdata. Returns its size or -1. */
static int zonefile_read_data(struct zonefile *reader, const struct source *source,
			      const struct record_head *head, const char *text)
{
	char reason[256] = "";
	int size = dns_rdata_from_text(head->type, text, zonefile_origin(reader), reader->rdata,
				       sizeof(reader->rdata), reason, sizeof(reason));
	if (size >= 0 && zonefile_lacks_origin(reader, reader->rdata, (size_t)size)) {
		if (zonefile_find_origin(reader, source))
			return -1;
		size = dns_rdata_from_text(head->type, text, reader->origin, reader->rdata,
					   sizeof(reader->rdata), reason, sizeof(reason));
	}
	if (size >= 0)
		return size;
	return zonefile_fail(reader, source, "%.20s data \"%.200s%s\": %s", head->type_text, text,
			     strlen(text) > 200 ? "..." : "", reason);
}

/* Reads the data and hands the record over. */
static int zonefile_add_record(struct zonefile *reader, const struct source *source,
			       const uint8_t *owner, struct record_head *head, const char *data)
{
	/* Before its data: the names in there may be relative to it already. */
	if (head->type == DNS_TYPE_SOA && !reader->has_apex) {
		memcpy(reader->apex, owner, dns_name_size(owner));
		reader->has_apex = true;
	}
	int size = zonefile_read_data(reader, source, head, data);
	if (size < 0 || zonefile_settle_ttl(reader, source, head, (size_t)size))
		return -1;

	struct zonefile_record record = {
		.owner = owner,
		.rdata = reader->rdata,
		.rdata_size = (uint16_t)size,
		.type = head->type,
		.ttl = head->ttl,
		.file = source->path,
		.line = source->line,
		.bytes_read = lexer_bytes_read(reader->outermost->lexer),
	};
	char reason[ZONEFILE_ERROR_MAX] = "";
	if (reader->sink->record(reader->sink->ctx, &record, reason, sizeof(reason)))
		return zonefile_fail(reader, source, "%s", reason);
	return 0;
}

static int zonefile_read_record(struct zonefile *reader, struct source *source,
				const struct lexer_entry *entry)
{
	struct record_head head;
	if (!entry->starts_blank) {
		uint8_t owner[DNS_NAME_MAX];
		if (zonefile_read_name(reader, source, &entry->tokens[0], "owner name", owner))
			return -1;
		memcpy(reader->owner, owner, dns_name_size(owner));
		reader->has_owner = true;
	} else if (!reader->has_owner) {
		return zonefile_fail(reader, source,
				     "white space in front means the owner name of the record "
				     "before, and there is none: begin the line with a name");
	}
	if (zonefile_read_head(reader, source, entry, entry->starts_blank ? 0 : 1, &head))
		return -1;
	return zonefile_add_record(reader, source, reader->owner, &head,
				   lexer_join(source->lexer, head.next));
}

/*
 * Takes the quotes off the data of $GENERATE where they hold all of it: BIND's way to write data of
 * several fields, "10 mail$". Quotes meant for the data itself stand behind backslashes then.
 * Allocates.
 */
static char *zonefile_unquote(const char *text)
{
	size_t length = strlen(text), used = 0;
	char *plain = strdup(text);
	if (!plain || length < 2 || text[0] != '"')
		return plain;
	for (size_t i = 1; i + 1 < length; i++) {
		if (text[i] == '\\' && text[i + 1] != '"')
			plain[used++] = text[i++]; /* and what it protects */
		else if (text[i] == '\\')
			i++;
		plain[used++] = text[i];
	}
	plain[used] = '\0';
	return plain;
}

/* One record of $GENERATE: owner and data with the number filled in. */
static int zonefile_generate_record(struct zonefile *reader, const struct source *source,
				    const char *owner_text, struct record_head *head,
				    const char *data_text, uint32_t number)
{
	char text[GENERATE_TEXT_MAX], reason[256];
	uint8_t owner[DNS_NAME_MAX];
	struct lexer_token token = {.text = text};

	if (generate_fill(owner_text, number, text, reason, sizeof(reason)))
		return zonefile_fail(reader, source, "$GENERATE: %s", reason);
	token.length = strlen(text);
	if (zonefile_read_name(reader, source, &token, "owner name", owner))
		return -1;
	if (generate_fill(data_text, number, text, reason, sizeof(reason)))
		return zonefile_fail(reader, source, "$GENERATE: %s", reason);
	return zonefile_add_record(reader, source, owner, head, text);
}

/* $GENERATE RANGE OWNER [TTL] [class] TYPE DATA; later lines do not inherit its owner. */
static int zonefile_generate(struct zonefile *reader, const struct source *source,
			     const struct lexer_entry *entry)
{
	struct generate_range range;
	struct record_head head;
	char reason[256];
	int status = 0;

	if (entry->count < 5)
		return zonefile_fail(reader, source,
				     "$GENERATE takes RANGE NAME [TTL] [IN] TYPE DATA");
	if (generate_parse_range(entry->tokens[1].text, &range, reason, sizeof(reason)))
		return zonefile_fail(reader, source, "$GENERATE: %s", reason);
	if (zonefile_read_head(reader, source, entry, 3, &head))
		return -1;
	reader->generated += generate_count(&range);
	if (reader->generated > ZONEFILE_GENERATED_MAX)
		return zonefile_fail(reader, source, "more than %d records of $GENERATE in all",
				     ZONEFILE_GENERATED_MAX);
	bool single = head.next + 1 == entry->count;
	const char *joined = lexer_join(source->lexer, head.next);
	char *data = single ? zonefile_unquote(joined) : strdup(joined);
	if (!data)
		return zonefile_fail(reader, source, "out of memory");
	for (uint64_t number = range.start; number <= range.stop && status == 0;
	     number += range.step)
		status = zonefile_generate_record(reader, source, entry->tokens[2].text, &head,
						  data, (uint32_t)number);
	free(data);
	return status;
}

static int zonefile_read_directive(struct zonefile *reader, struct source *source,
				   const struct lexer_entry *entry)
{
	const char *name = entry->tokens[0].text;
	if (strcasecmp(name, "$ORIGIN") == 0)
		return zonefile_set_origin(reader, source, entry);
	if (strcasecmp(name, "$TTL") == 0)
		return zonefile_set_ttl(reader, source, entry);
	if (strcasecmp(name, "$INCLUDE") == 0)
		return zonefile_include(reader, source, entry);
	if (strcasecmp(name, "$GENERATE") == 0)
		return zonefile_generate(reader, source, entry);
	return zonefile_fail(reader, source,
			     "unknown directive %.200s: only $ORIGIN, $TTL, $INCLUDE and $GENERATE "
			     "are understood; write out what it stands for",
			     name);
}

/* --- files ------------------------------------------------------------------------------------ */

static int zonefile_read_entries(struct zonefile *reader, struct source *source)
{
	struct lexer_entry entry;
	char reason[256];
	int status;
	while ((status = lexer_next(source->lexer, &entry, reason, sizeof(reason))) > 0) {
		source->line = entry.line;
		const char *first = entry.tokens[0].text;
		if (!entry.starts_blank && first[0] == '$') {
			if (zonefile_read_directive(reader, source, &entry))
				return -1;
		} else if (zonefile_read_record(reader, source, &entry)) {
			return -1;
		}
	}
	if (status == 0)
		return 0;
	source->line = entry.line;
	return zonefile_fail(reader, source, "%s", reason);
}

/* Refuses a file that is being read already: it includes itself, directly or not. */
static int zonefile_check_loop(struct zonefile *reader, const struct source *source)
{
	for (const struct source *outer = source->parent; outer; outer = outer->parent)
		if (outer->device == source->device && outer->inode == source->inode)
			return zonefile_fail(reader, source->parent,
					     "$INCLUDE of %s, which is being read already: a loop",
					     source->path);
	return 0;
}

/* Reads one open file, which stays the caller's. */
static int zonefile_read_open(struct zonefile *reader, FILE *file, const char *path,
			      struct source *parent)
{
	struct source source = {.path = path, .parent = parent};
	struct stat status;

	source.depth = parent ? parent->depth + 1 : 1;
	if (fstat(fileno(file), &status) == 0) {
		source.device = status.st_dev;
		source.inode = status.st_ino;
	}
	if (parent && zonefile_check_loop(reader, &source))
		return -1;
	source.lexer = lexer_create(file);
	if (!source.lexer)
		return zonefile_fail(reader, &source, "out of memory");
	if (!parent)
		reader->outermost = &source;
	int result = zonefile_read_entries(reader, &source);
	lexer_destroy(source.lexer);
	return result;
}

/* Opens and reads one file; errors of opening belong to the $INCLUDE that asked for it. */
static int zonefile_read_source(struct zonefile *reader, const char *path, struct source *parent)
{
	const struct source unopened = {.path = path};
	FILE *file = fopen(path, "re");
	if (!file && parent)
		return zonefile_fail(reader, parent, "$INCLUDE: cannot open %s: %m", path);
	if (!file)
		return zonefile_fail(reader, &unopened, "cannot open: %m");
	int result = zonefile_read_open(reader, file, path, parent);
	fclose(file);
	return result;
}

/* Reads `file`, or where that is NULL the file at `path`. */
static int zonefile_read_all(FILE *file, const char *path, const uint8_t *origin,
			     const struct zonefile_sink *sink, char *error, size_t error_size)
{
	struct zonefile *reader = calloc(1, sizeof(*reader));
	if (!reader) {
		snprintf(error, error_size, "%s: out of memory", path);
		return -1;
	}
	reader->sink = sink;
	reader->path = path;
	reader->error = error;
	reader->error_size = error_size;
	if (origin) {
		memcpy(reader->origin, origin, dns_name_size(origin));
		reader->has_origin = true;
	}
	int result = file ? zonefile_read_open(reader, file, path, NULL)
			  : zonefile_read_source(reader, path, NULL);
	free(reader);
	return result;
}

int zonefile_read(const char *path, const uint8_t *origin, const struct zonefile_sink *sink,
		  char *error, size_t error_size)
{
	return zonefile_read_all(NULL, path, origin, sink, error, error_size);
}

int zonefile_read_stream(FILE *file, const char *name, const uint8_t *origin,
			 const struct zonefile_sink *sink, char *error, size_t error_size)
{
	return zonefile_read_all(file, name, origin, sink, error, error_size);
}
