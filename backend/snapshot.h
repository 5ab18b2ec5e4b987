/*
 * The snapshot: the mirror in a file, to start from while the store is down.
 *
 * One file, replaced as a whole (written beside it, synced, renamed), so that at any moment, power
 * cuts included, there is the old one or the new one. It ends with a SHA-256 of all before it; a
 * file that is cut off, changed or of another version is refused and left alone. The format is
 * Godwit's own affair, in the byte order of the machine:
 *
 *     "godwit snapshot 1\n", 32-bit byte order mark 0x01020304, 64-bit time of saving
 *     entries: 'Z', apex | 'R', owner, where the apex begins in it, an RRset | 'E', 64-bit entries
 *     SHA-256 (32 octets)
 *
 * Names are in wire format. Threads: snapshot_load is the mirror's writer; snapshot_save any
 * registered reader.
 */
#ifndef GODWIT_BACKEND_SNAPSHOT_H
#define GODWIT_BACKEND_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

struct mirror;

enum snapshot_status {
	SNAPSHOT_OK = 0,
	SNAPSHOT_MISSING = -1, /* no such file */
	SNAPSHOT_DAMAGED = -2, /* cut off, changed, of another version or machine */
	SNAPSHOT_FAILED = -3,  /* the system said no: see the error */
};

/*
 * Writes the mirror to `path`. Anything but SNAPSHOT_OK comes with a line in `error`, and the file
 * that was there before stays.
 */
int snapshot_save(struct mirror *mirror, const char *path, char *error, size_t error_size);

/*
 * Fills the mirror from `path`, as one full batch, after the checksum proved right. `*saved_s`
 * receives when it was saved, in seconds since the epoch.
 */
int snapshot_load(struct mirror *mirror, const char *path, int64_t *saved_s, char *error,
		  size_t error_size);

#endif
