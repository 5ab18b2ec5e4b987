/*
 * Reading master files (RFC 1035 section 5, $TTL of RFC 2308 section 4, unknown types of RFC 3597,
 * BIND's $GENERATE, see ctl/generate.h).
 *
 * The reader turns a file and what it includes into records, one call each, owner and data in wire
 * format, data checked against its type. It knows syntax and nothing of zones: whether the records
 * together make one is checked elsewhere (ctl/check.h).
 *
 * What names are relative to: the origin the caller gives or $ORIGIN. Where a file has neither, the
 * owner of its SOA record, once that was read; else a name made out of the file's own name
 * (example.com.zone, db.example.com, example.com), if it looks like one; else the first relative
 * name is an error.
 *
 * A record without TTL gets that of the last $TTL; without one, the TTL of the record before it
 * (RFC 1035), or the SOA's minimum if there is none either. Any thread; one read is one call.
 */
#ifndef GODWIT_CTL_ZONEFILE_H
#define GODWIT_CTL_ZONEFILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ZONEFILE_INCLUDE_MAX 16         /* files open at once, the first counted */
#define ZONEFILE_INCLUDES_MAX 10000     /* $INCLUDEs in all: files that multiply end here */
#define ZONEFILE_GENERATED_MAX 16777216 /* records of $GENERATE in all: one for each of a /8 */
#define ZONEFILE_ERROR_MAX 1024         /* octets that an error line needs at most */

/* One record. Pointers live until the callback returns. */
struct zonefile_record {
	const uint8_t *owner; /* wire format, case as written */
	const uint8_t *rdata; /* uncompressed wire format */
	uint16_t rdata_size;
	uint16_t type;
	uint32_t ttl;     /* seconds */
	const char *file; /* where it stands, for messages */
	uint32_t line;
	uint64_t bytes_read; /* octets read of the outermost file so far */
};

struct zonefile_sink {
	void *ctx;
	/* Receives each record. Other than 0 ends the read; say why in `error`, without a place. */
	int (*record)(void *ctx, const struct zonefile_record *record, char *error,
		      size_t error_size);
};

/*
 * Reads `path`. `origin` is a wire name or NULL. Returns 0, or -1 with one line "FILE:LINE: what is
 * wrong and what to do" in `error` (ZONEFILE_ERROR_MAX octets).
 */
int zonefile_read(const char *path, const uint8_t *origin, const struct zonefile_sink *sink,
		  char *error, size_t error_size);

/*
 * The same for an open file, which stays the caller's. `name` stands for its path: in errors, and
 * as what the paths of $INCLUDE are relative to; one without a "/" makes that the working
 * directory.
 */
int zonefile_read_stream(FILE *file, const char *name, const uint8_t *origin,
			 const struct zonefile_sink *sink, char *error, size_t error_size);

#endif
